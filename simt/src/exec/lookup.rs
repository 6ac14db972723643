//! `lop3` with a predicate (PTX ISA, "Logic and Shift Instructions: lop3").

use super::lanes::lanes_where;
use super::program::{Exec, Step};
use crate::numeric::bits::logic;
use crate::ptx::Result;
use crate::ptx::ast::Operand;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Type::*;

/// In `aux`, beside the truth table: both have to hold, not one of them; `q` is negated.
const AND: u32 = 1 << 8;
const NEGATED: u32 = 1 << 9;

/// `lop3.{and,or}.b32 d|p, a, b, c, table, q`: the predicate tells whether `d` is not zero, together with
/// `q`.
pub fn with_predicate(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let is_and = i.one_of(&["or", "and"]) == Some(1);
    let Operand::Pair(d, p) = i.operand()? else {
        return i.error("expected two destinations");
    };
    i.dst_of(d, B32)?;
    i.dst_of(p, Pred)?;
    for _ in 0..3 {
        i.src(B32)?;
    }
    let table = i.immediate()?;
    if !(0..256).contains(&table) {
        return i.error("a truth table has 8 bits");
    }
    let negated = i.predicate()?;
    let flag = |is, bit| if is { bit } else { 0 };
    i.aux = table as u32 | flag(is_and, AND) | flag(negated, NEGATED);
    Ok(|w, i, mask| {
        // SAFETY: the decoder took rows of 32 bits and predicates.
        unsafe {
            let [a, b, c] = [2, 3, 4].map(|at| *w.row::<u32>(i.places[at]));
            let d: [u32; 32] =
                std::array::from_fn(|lane| logic::lop3(a[lane], b[lane], c[lane], i.aux as u8));
            let q = w.predicate(i.places[5]) ^ if i.aux & NEGATED != 0 { !0 } else { 0 };
            let any = lanes_where(|lane| d[lane] != 0);
            let p = if i.aux & AND != 0 { any & q } else { any | q };
            w.put(i.places[0], mask, &d);
            w.put_predicate(i.places[1], mask, p);
        }
        Step::Next
    })
}
