//! Atomic operations on vectors in global memory, each element by itself (PTX ISA, `atom`, `red` with
//! `.v2`, `.v4`, `.v8`).

use super::fault::Fault;
use super::operand::Access;
use super::program::{Exec, Inst, NONE, Step};
use super::reach;
use super::reduction::{OPERATIONS, Reduction};
use super::warp::Warp;
use crate::ptx::Result;
use crate::ptx::decode::instr::{Instr, Use};
use crate::ptx::types::Space;
use crate::ptx::types::Type::{self, *};

/// In `aux`: base register of 32 bits, a generic address, results; elements; operation; type (an index in
/// [`TYPES`]).
const NARROW: u32 = 1;
const GENERIC: u32 = 2;
const RESULTS: u32 = 4;
const COUNT_SHIFT: u32 = 4;
const OPERATION_SHIFT: u32 = 8;
const TYPE_SHIFT: u32 = 12;

/// Types of elements, the type that is added, and how many of those are in one.
const TYPES: [(Type, Type, usize); 5] = [
    (F32, F32, 1),
    (F16, F16, 1),
    (Bf16, Bf16, 1),
    (F16x2, F16, 2),
    (Bf16x2, Bf16, 2),
];

/// What follows the modifiers: `{d…}, [a], {b…}` of `count` elements; `red` has no `d`.
pub fn decode(
    i: &mut Instr<'_, '_, '_>,
    space: Space,
    operation: &str,
    (ty, count): (Type, usize),
    has_results: bool,
) -> Result<(Exec, Access)> {
    let kind = TYPES.iter().position(|(t, _, _)| *t == ty);
    let operation = OPERATIONS.iter().position(|name| *name == operation);
    let (Some(kind), Some(operation)) = (kind, operation) else {
        return i.refuse();
    };
    let allowed = match ty {
        F32 => OPERATIONS[operation] == "add" && count <= 4,
        F16 | Bf16 => true,
        _ => count <= 4,
    };
    let known = Reduction::find(operation, TYPES[kind].1).is_some();
    if !allowed || !known || !matches!(space, Space::Global | Space::Generic) {
        return i.refuse();
    }
    i.aux = (count as u32) << COUNT_SHIFT
        | (operation as u32) << OPERATION_SHIFT
        | (kind as u32) << TYPE_SHIFT;
    if space == Space::Generic {
        i.aux |= GENERIC;
    }
    if has_results {
        i.aux |= RESULTS;
        i.dsts(ty, count)?;
    } else {
        let nothing = Use {
            place: NONE,
            is_write: true,
        };
        i.uses.resize(count, nothing);
    }
    let access = reach::take(i, space, NARROW)?;
    i.srcs(ty, count)?;
    if i.left() > 0 {
        // A cache policy.
        i.src(B64)?;
        i.uses.pop();
    }
    i.in_list = true;
    Ok((run, access))
}

fn run(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    let count = (i.aux >> COUNT_SHIFT & 15) as usize;
    let (ty, word, parts) = TYPES[(i.aux >> TYPE_SHIFT & 7) as usize];
    let operation = (i.aux >> OPERATION_SHIFT & 15) as usize;
    let Some(reduction) = Reduction::find(operation, word) else {
        return w.fail(Fault::Operand("an operation that the type does not have"));
    };
    let space = match i.aux & GENERIC {
        0 => Space::Global,
        _ => Space::Generic,
    };
    let (bytes, width) = (ty.bytes() as usize, word.bits());
    // SAFETY: the decoder made a list of just these, of these widths; `reach` checks the addresses.
    unsafe {
        let places = w.list(i, 2 * count + 2);
        let addresses = w.address_rows(places, count, i.aux & NARROW != 0);
        let mut old = [[0u32; 32]; 8];
        for lane in (0..32).filter(|lane| mask >> lane & 1 != 0) {
            let total = (count * bytes) as u64;
            let at = match w.reach(space, addresses[lane], total, total) {
                Ok(at) => at,
                Err(fault) => return w.fail(fault),
            };
            for (element, place) in places[count + 2..].iter().enumerate() {
                let operand = match bytes {
                    2 => w.row::<u16>(*place)[lane].into(),
                    _ => w.row::<u32>(*place)[lane],
                };
                for part in 0..parts {
                    let to = at.add(element * bytes + part * bytes / parts);
                    let shift = part as u32 * (width % 32);
                    let before = reduction.exchange(to, u64::from(operand >> shift) & low(width));
                    old[element][lane] |= (before as u32) << shift;
                }
            }
        }
        if i.aux & RESULTS != 0 {
            for (row, place) in old.iter().zip(&places[..count]) {
                match bytes {
                    2 => w.put(*place, mask, &row.map(|v| v as u16)),
                    _ => w.put(*place, mask, row),
                }
            }
            w.spin();
        }
    }
    Step::Next
}

/// A mask of the low bits.
fn low(bits: u32) -> u64 {
    !0 >> (64 - bits)
}
