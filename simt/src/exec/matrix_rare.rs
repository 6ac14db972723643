//! `mma` of single bits, and of f16 with four products of eight lanes each (PTX ISA, `mma`).

use super::program::{Exec, Inst, Step};
use super::warp::Warp;
use crate::numeric::matrix::fragment::{Layout, Shape};
use crate::numeric::matrix::mma::{self, Accumulator, BitOperation};
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Type::*;

const BIT_SHAPES: [(&str, Shape); 3] = [
    ("m8n8k128", Shape::new(8, 8, 128)),
    ("m16n8k128", Shape::new(16, 8, 128)),
    ("m16n8k256", Shape::new(16, 8, 256)),
];

/// In `aux` of bits: the shape's index, and `.and`; of quads: columns first, and which of C and D is f32.
const AND: u32 = 4;
const A_COLUMNS: u32 = 1;
const B_COLUMNS: u32 = 2;
const C_F32: u32 = 4;
const D_F32: u32 = 8;

/// The registers at some places.
///
/// # Safety
/// They are rows of 32 bits.
unsafe fn rows<const N: usize>(w: &Warp, places: &[u32]) -> [[u32; 32]; N] {
    // SAFETY: the caller's promise.
    std::array::from_fn(|at| match places.get(at) {
        Some(place) => unsafe { *w.row::<u32>(*place) },
        None => [0; 32],
    })
}

/// `mma.sync.aligned.shape.row.col.s32.b1.b1.s32.{xor,and}.popc d, a, b, c`
pub fn bits(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let names = BIT_SHAPES.map(|(name, _)| name);
    let known = i.flag("sync") & i.flag("aligned") & i.flag("row") & i.flag("col") & i.flag("popc");
    let (Some(index), Some(operation), true) = (i.one_of(&names), i.one_of(&["xor", "and"]), known)
    else {
        return i.refuse();
    };
    if (i.ty()?, i.ty()?, i.ty()?, i.ty()?) != (S32, B1, B1, S32) {
        return i.refuse();
    }
    let shape = BIT_SHAPES[index].1;
    i.aux = index as u32 | if operation == 1 { AND } else { 0 };
    i.dsts(B32, shape.c_elements())?;
    i.srcs(B32, shape.a_registers(32))?;
    i.srcs(B32, shape.b_registers(32))?;
    i.srcs(B32, shape.c_elements())?;
    i.in_list = true;
    Ok(|w, i, mask| {
        if let Err(step) = w.gather(!0) {
            return step;
        }
        let shape = BIT_SHAPES[(i.aux & 3) as usize].1;
        let operation = match i.aux & AND {
            0 => BitOperation::Xor,
            _ => BitOperation::And,
        };
        let (c, a, b) = (
            shape.c_elements(),
            shape.a_registers(32),
            shape.b_registers(32),
        );
        // SAFETY: the decoder made a list of just these.
        unsafe {
            let places = w.list(i, 2 * c + a + b);
            let (d, rest) = places.split_at(c);
            let factors = (rows::<4>(w, &rest[..a]), rows::<2>(w, &rest[a..a + b]));
            let mut sums = rows::<4>(w, &rest[a + b..]);
            mma::mma_b1(
                shape,
                operation,
                &factors.0[..a],
                &factors.1[..b],
                &mut sums[..c],
            );
            for (place, row) in d.iter().zip(&sums) {
                w.put(*place, mask, row);
            }
        }
        Step::Next
    })
}

/// `mma.sync.aligned.m8n8k4.alayout.blayout.dtype.f16.f16.ctype d, a, b, c`
pub fn quads(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let known = i.flag("sync") & i.flag("aligned") & i.flag("m8n8k4");
    let (a, b) = (i.one_of(&["row", "col"]), i.one_of(&["row", "col"]));
    let (d, a_type, b_type, c) = (i.ty()?, i.ty()?, i.ty()?, i.ty()?);
    let sums = matches!((d, c), (F16 | F32, F16 | F32));
    let (Some(a), Some(b), true) = (a, b, known && sums && (a_type, b_type) == (F16, F16)) else {
        return i.refuse();
    };
    let flag = |is, bit| if is { bit } else { 0 };
    i.aux = flag(a == 1, A_COLUMNS)
        | flag(b == 1, B_COLUMNS)
        | flag(c == F32, C_F32)
        | flag(d == F32, D_F32);
    i.dsts(B32, accumulators(i.aux & D_F32))?;
    i.srcs(B32, 2)?;
    i.srcs(B32, 2)?;
    i.srcs(B32, accumulators(i.aux & C_F32))?;
    i.in_list = true;
    Ok(run_quads)
}

/// Registers of C or D: f32, or pairs of f16.
fn accumulators(is_f32: u32) -> usize {
    if is_f32 != 0 { 8 } else { 4 }
}

fn run_quads(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    if let Err(step) = w.gather(!0) {
        return step;
    }
    let layout = |bit| match i.aux & bit {
        0 => Layout::Row,
        _ => Layout::Col,
    };
    let kind = |bit| match i.aux & bit {
        0 => Accumulator::F16,
        _ => Accumulator::F32,
    };
    let (d_count, c_count) = (accumulators(i.aux & D_F32), accumulators(i.aux & C_F32));
    // SAFETY: the decoder made a list of just these.
    unsafe {
        let places = w.list(i, d_count + 4 + c_count);
        let (d, rest) = places.split_at(d_count);
        let (a, b) = (rows::<2>(w, &rest[..2]), rows::<2>(w, &rest[2..4]));
        let c = rows::<8>(w, &rest[4..]);
        let mut sums = [[0; 32]; 8];
        mma::mma_quad(
            layout(A_COLUMNS),
            layout(B_COLUMNS),
            &a,
            &b,
            kind(C_F32),
            &c[..c_count],
            kind(D_F32),
            &mut sums[..d_count],
        );
        for (place, row) in d.iter().zip(&sums) {
            w.put(*place, mask, row);
        }
    }
    Step::Next
}
