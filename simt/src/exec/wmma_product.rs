//! `wmma.mma`: products of fragments (PTX ISA, "Warp-level Matrix Multiply-and-Accumulate Instruction:
//! wmma.mma").

use super::facts::Work;
use super::program::{Exec, Inst, Step};
use super::warp::Warp;
use super::wmma::*;
use super::wmma_fragment::{Fragment, Matrix};
use crate::numeric::half::Half;
use crate::numeric::matrix::element::Element;
use crate::numeric::matrix::product;
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Type::{self, *};

/// `wmma.mma{.op.popc}.sync.aligned.alayout.blayout.shape{.d}{.a.b}{.c}{.satfinite} d, a, b, c`
pub fn multiply(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    // The layouts say how A and B were loaded; fragments here do not depend on it.
    let layouts = i.one_of(&["row", "col"]).is_some() & i.one_of(&["row", "col"]).is_some();
    if i.flag("satfinite") {
        i.aux |= SATURATES;
    }
    let popc = i.flag("popc");
    match i.one_of(&["xor", "and"]) {
        Some(operation) if popc => i.aux |= if operation == 1 { AND } else { 0 },
        None if !popc => {}
        _ => return i.refuse(),
    }
    i.flag("rn");
    let d = i.ty()?;
    let second = i.ty()?;
    // Of f16 factors only the accumulators are written.
    let (a, b, c) = match i.modifier(Type::parse) {
        Some(b) => (second, b, i.ty()?),
        None => (F16, F16, second),
    };
    i.aux |= index(i, a)? << TYPE_SHIFT | index(i, b)? << B_SHIFT;
    i.aux |= index(i, c)? << C_SHIFT | index(i, d)? << D_SHIFT;
    let fragments = fragments(i.aux);
    let alike = a == b || matches!((a, b), (S8 | U8, S8 | U8) | (S4 | U4, S4 | U4));
    let sums = match a {
        F16 => matches!((c, d), (F16 | F32, F16 | F32)),
        Bf16 | Tf32 => (c, d) == (F32, F32),
        F64 => (c, d) == (F64, F64),
        _ => (c, d) == (S32, S32),
    };
    let allowed = fragments.iter().all(|fragment| fragment.is_allowed());
    if !layouts || !alike || !sums || !allowed || popc != (a == B1) {
        return i.refuse();
    }
    for (at, fragment) in fragments.iter().enumerate() {
        let (count, register) = fragment.registers();
        match at {
            0 => i.dsts(register, count)?,
            _ => i.srcs(register, count)?,
        }
    }
    i.in_list = true;
    let operations = 2 * fragments[1].shape.iter().product::<usize>() as u32;
    i.facts.work = match d {
        S32 => Work::TensorInteger(operations),
        F64 => Work::F64(operations / 32),
        _ => Work::Tensor(operations),
    };
    i.facts.together(None);
    Ok(run)
}

/// D, A, B and C.
fn fragments(aux: u32) -> [Fragment; 4] {
    [
        fragment_of(aux, Matrix::C, D_SHIFT),
        fragment_of(aux, Matrix::A, TYPE_SHIFT),
        fragment_of(aux, Matrix::B, B_SHIFT),
        fragment_of(aux, Matrix::C, C_SHIFT),
    ]
}

fn run(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    if let Err(step) = w.gather(!0) {
        return step;
    }
    let fragments = fragments(i.aux);
    let counts = fragments.map(|fragment| fragment.registers().0);
    // SAFETY: the decoder made a list of just these.
    unsafe {
        let places = w.list(i, counts.iter().sum());
        let (d, rest) = places.split_at(counts[0]);
        let (a, rest) = rest.split_at(counts[1]);
        let (b, c) = rest.split_at(counts[2]);
        let a = fragments[1].read(w, a);
        let b = fragments[2].read(w, b);
        let c = fragments[3].read(w, c);
        let sums = match fragments[1].ty {
            F64 => doubles(fragments[1].shape, &a, &b, &c),
            F16 | Bf16 | Tf32 => floats(&fragments, &a, &b, &c),
            _ => integers(&fragments, i.aux, &a, &b, &c),
        };
        fragments[0].write(w, d, mask, &sums);
    }
    Step::Next
}

fn doubles([m, n, k]: [usize; 3], a: &[u64], b: &[u64], c: &[u64]) -> Vec<u64> {
    let sum = |at: usize| {
        let (row, column) = (at / n, at % n);
        let terms = (0..k).map(|s| (a[row * k + s], b[s * n + column]));
        terms.fold(f64::from_bits(c[at]), |sum, (a, b)| {
            f64::from_bits(a).mul_add(f64::from_bits(b), sum)
        })
    };
    (0..m * n).map(|at| sum(at).to_bits()).collect()
}

fn floats(fragments: &[Fragment; 4], a: &[u64], b: &[u64], c: &[u64]) -> Vec<u64> {
    let [m, n, k] = fragments[1].shape;
    let element = match fragments[1].ty {
        F16 => Element::F16,
        Bf16 => Element::Bf16,
        _ => Element::Tf32,
    };
    let factors =
        |x: &[u64]| -> Vec<f32> { x.iter().map(|v| element.float(*v as u32, 0)).collect() };
    let mut sums: Vec<f32> = c
        .iter()
        .map(|v| match fragments[3].ty {
            F16 => Half::F16.to_f32(*v as u16),
            _ => f32::from_bits(*v as u32),
        })
        .collect();
    product::accumulate(m, n, k, &factors(a), &factors(b), &mut sums);
    sums.iter()
        .map(|v| match fragments[0].ty {
            F16 => Half::F16.from_f32(*v).into(),
            _ => v.to_bits().into(),
        })
        .collect()
}

fn integers(fragments: &[Fragment; 4], aux: u32, a: &[u64], b: &[u64], c: &[u64]) -> Vec<u64> {
    let [m, n, k] = fragments[1].shape;
    let value = |ty: Type, bits: u64| match ty {
        S8 => i64::from(bits as i8),
        S4 => (bits << 60) as i64 >> 60,
        _ => bits as i64,
    };
    let term = |x: u64, y: u64| match fragments[1].ty {
        B1 if aux & AND != 0 => (x & y) as i64,
        B1 => (x ^ y) as i64,
        _ => value(fragments[1].ty, x) * value(fragments[2].ty, y),
    };
    let sum = |at: usize| {
        let (row, column) = (at / n, at % n);
        let products = (0..k).map(|s| term(a[row * k + s], b[s * n + column]));
        let sum = i64::from(c[at] as i32) + products.sum::<i64>();
        match aux & SATURATES {
            0 => sum as i32,
            _ => sum.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
        }
    };
    (0..m * n).map(|at| u64::from(sum(at) as u32)).collect()
}
