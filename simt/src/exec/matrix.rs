//! Matrix instructions of a warp (PTX ISA, `ldmatrix`, `stmatrix`, `movmatrix`, `mma.sync`).

use super::access::{Generic, Memory, Shared, addresses};
use super::facts::{Class, Work};
use super::operand::take_address;
use super::program::{Exec, Inst, Step};
use super::touch::{Form, Kind, Touch};
use super::warp::Warp;
use super::{Entry, For};
use crate::numeric::matrix::element::Element;
use crate::numeric::matrix::fragment::Shape;
use crate::numeric::matrix::{ldmatrix, mma};
use crate::numeric::rounding::Rounding;
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Space;
use crate::ptx::types::Type::{self, *};

pub const TABLE: &[Entry] = &[
    Entry("ldmatrix", For::All, |i| load_or_store(i, false)),
    Entry("stmatrix", For::All, |i| load_or_store(i, true)),
    Entry("mma", For::All, multiply),
];

/// In `aux`, beside the bits of [`super::access`]: transposed.
const TRANS: u32 = 16;

/// `ldmatrix.sync.aligned.m8n8.{x1,x2,x4}{.trans}{.shared}.b16 {d…}, [a]` and `stmatrix`.
fn load_or_store(i: &mut Instr<'_, '_, '_>, is_store: bool) -> Result<Exec> {
    i.flag("sync");
    i.flag("aligned");
    let trans = i.flag("trans");
    let Some(count) = i.one_of(&["x1", "x2", "x4"]) else {
        return i.refuse();
    };
    let space = i.space();
    let shape = i.flag("m8n8");
    let ty = i.ty()?;
    if !shape || ty != B16 {
        return i.refuse();
    }
    let count = 1 << count;
    // Each matrix has eight rows of sixteen bytes, whose addresses eight lanes give.
    let touch = |kind, access: &_| {
        let mut touch = Touch::new(kind, access, 16, 1);
        touch.form = Form::Lanes(!0 >> (32 - 8 * count));
        touch
    };
    i.facts.together(None);
    if is_store {
        let access = take_address(i, space)?;
        i.facts.class = Class::Store;
        i.facts.touch(touch(Kind::Write, &access));
        i.srcs(B32, count)?;
        i.aux |= if trans { TRANS } else { 0 };
        return Ok(match (access.space, count) {
            (Space::Shared, 1) => store::<Shared, 1>,
            (Space::Shared, 2) => store::<Shared, 2>,
            (Space::Shared, _) => store::<Shared, 4>,
            (Space::Generic, 1) => store::<Generic, 1>,
            (Space::Generic, 2) => store::<Generic, 2>,
            (Space::Generic, _) => store::<Generic, 4>,
            _ => return i.refuse(),
        });
    }
    i.dsts(B32, count)?;
    let access = take_address(i, space)?;
    i.facts.class = Class::Load;
    i.facts.touch(touch(Kind::Read, &access));
    i.aux |= if trans { TRANS } else { 0 };
    Ok(match (access.space, count) {
        (Space::Shared, 1) => load::<Shared, 1>,
        (Space::Shared, 2) => load::<Shared, 2>,
        (Space::Shared, _) => load::<Shared, 4>,
        (Space::Generic, 1) => load::<Generic, 1>,
        (Space::Generic, 2) => load::<Generic, 2>,
        (Space::Generic, _) => load::<Generic, 4>,
        _ => return i.refuse(),
    })
}

/// Pointers to the rows of `N` matrices: those of the lanes `0..8·N`.
unsafe fn rows<S: Memory, const N: usize>(
    w: &mut Warp,
    i: &Inst,
    place: u32,
    mask: u32,
) -> std::result::Result<[u64; 32], Step> {
    w.gather(!0)?;
    let used = (!0u32 >> (32 - 8 * N)) & mask;
    // SAFETY: the decoder took a row of addresses there.
    let mut at = unsafe { addresses(w, i, place, if used == 0 { mask } else { used }) };
    S::writable(w, i, &mut at, 16)?;
    Ok(at)
}

unsafe fn load<S: Memory, const N: usize>(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    // SAFETY: the decoder took these operands; `pointers` checked 16 bytes at each address.
    unsafe {
        let at = match rows::<S, N>(w, i, i.places[N], mask) {
            Ok(at) => at,
            Err(step) => return step,
        };
        for matrix in 0..N {
            let rows: [[u32; 4]; 8] = std::array::from_fn(|r| {
                (at[ldmatrix::address_lane(matrix, r)] as *const [u32; 4]).read()
            });
            let out = ldmatrix::load(i.aux & TRANS != 0, &rows);
            w.put(i.places[matrix], mask, &out);
        }
    }
    Step::Next
}

unsafe fn store<S: Memory, const N: usize>(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    // SAFETY: as for `load`.
    unsafe {
        let at = match rows::<S, N>(w, i, i.places[0], mask) {
            Ok(at) => at,
            Err(step) => return step,
        };
        for matrix in 0..N {
            let rows = ldmatrix::store(i.aux & TRANS != 0, w.row(i.places[1 + matrix]));
            for (r, row) in rows.iter().enumerate() {
                (at[ldmatrix::address_lane(matrix, r)] as *mut [u32; 4]).write(*row);
            }
        }
    }
    Step::Next
}

/// `movmatrix.sync.aligned.m8n8.trans.b16 d, a`
pub fn transpose(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let known = i.flag("sync") & i.flag("aligned") & i.flag("m8n8") & i.flag("trans");
    let ty = i.ty()?;
    i.unary(B32)?;
    i.facts.together(None);
    if !known || ty != B16 {
        return i.refuse();
    }
    Ok(|w, i, mask| {
        if let Err(step) = w.gather(!0) {
            return step;
        }
        // SAFETY: the decoder took rows of 32 bits.
        unsafe {
            let out = ldmatrix::transpose(w.row(i.places[1]));
            w.put(i.places[0], mask, &out);
        }
        Step::Next
    })
}

fn element(ty: Type) -> Option<Element> {
    Some(match ty {
        F16 => Element::F16,
        Bf16 => Element::Bf16,
        Tf32 => Element::Tf32,
        F64 => Element::F64,
        E4m3 => Element::E4m3,
        E5m2 => Element::E5m2,
        S8 => Element::S8,
        U8 => Element::U8,
        S4 => Element::S4,
        U4 => Element::U4,
        B1 => Element::B1,
        _ => return None,
    })
}

/// What an `mma` multiplies, found by its index in `imm`.
#[derive(Debug, Clone, Copy)]
struct Product {
    shape: Shape,
    a: Element,
    b: Element,
    saturate: bool,
}

/// Shapes of `mma.sync` but for those of f16 with four products, in the order of their indices.
const SHAPES: [(&str, Shape); 8] = [
    ("m16n8k4", Shape::new(16, 8, 4)),
    ("m16n8k8", Shape::new(16, 8, 8)),
    ("m16n8k16", Shape::new(16, 8, 16)),
    ("m16n8k32", Shape::new(16, 8, 32)),
    ("m16n8k64", Shape::new(16, 8, 64)),
    ("m8n8k4", Shape::new(8, 8, 4)),
    ("m8n8k16", Shape::new(8, 8, 16)),
    ("m8n8k32", Shape::new(8, 8, 32)),
];
const ELEMENTS: [Element; 10] = [
    Element::F16,
    Element::Bf16,
    Element::Tf32,
    Element::F64,
    Element::E4m3,
    Element::E5m2,
    Element::S8,
    Element::U8,
    Element::S4,
    Element::U4,
];

impl Product {
    fn pack(self) -> Option<u32> {
        let shape = SHAPES.iter().position(|(_, shape)| *shape == self.shape)?;
        let a = ELEMENTS.iter().position(|e| *e == self.a)?;
        let b = ELEMENTS.iter().position(|e| *e == self.b)?;
        Some(shape as u32 | (a as u32) << 4 | (b as u32) << 8 | u32::from(self.saturate) << 12)
    }

    #[inline(always)]
    fn unpack(aux: u32) -> Product {
        Product {
            shape: SHAPES[(aux & 15) as usize].1,
            a: ELEMENTS[(aux >> 4 & 15) as usize],
            b: ELEMENTS[(aux >> 8 & 15) as usize],
            saturate: aux >> 12 & 1 != 0,
        }
    }
}

/// `mma.sync.aligned.shape.row.col{.satfinite}.d.a.b.c d, a, b, c`
fn multiply(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    if i.has("b1") {
        return super::matrix_rare::bits(i);
    }
    if i.has("m8n8k4") && !i.has("f64") {
        return super::matrix_rare::quads(i);
    }
    let known = i.flag("sync") & i.flag("aligned");
    let names = SHAPES.map(|(name, _)| name);
    let (Some(shape), true) = (i.one_of(&names), known) else {
        return i.refuse();
    };
    if !i.flag("row") || !i.flag("col") {
        return i.refuse();
    }
    let saturate = i.flag("satfinite");
    let shape = SHAPES[shape].1;
    let (d, a, b, c) = (i.ty()?, i.ty()?, i.ty()?, i.ty()?);
    let (Some(a), Some(b)) = (element(a), element(b)) else {
        return i.refuse();
    };
    let is_integer = matches!(a, Element::S8 | Element::U8 | Element::S4 | Element::U4);
    let allowed = match (a, b) {
        (Element::S8 | Element::U8, Element::S8 | Element::U8) => {
            matches!((shape.m, shape.k), (8, 16) | (16, 16) | (16, 32))
        }
        (Element::S4 | Element::U4, Element::S4 | Element::U4) => {
            matches!((shape.m, shape.k), (8, 32) | (16, 32) | (16, 64))
        }
        (Element::F16, Element::F16) | (Element::Bf16, Element::Bf16) => {
            shape.m == 16 && matches!(shape.k, 8 | 16)
        }
        (Element::Tf32, Element::Tf32) => shape.m == 16 && matches!(shape.k, 4 | 8),
        (Element::E4m3 | Element::E5m2, Element::E4m3 | Element::E5m2) => {
            shape.m == 16 && matches!(shape.k, 16 | 32)
        }
        (Element::F64, Element::F64) => true,
        _ => false,
    };
    let product = Product {
        shape,
        a,
        b,
        saturate,
    }
    .pack();
    let (Some(product), true) = (product, allowed && (is_integer || !saturate)) else {
        return i.refuse();
    };
    i.aux = product;
    i.in_list = true;
    let operations = 2 * (shape.m * shape.n * shape.k) as u32;
    i.facts.class = Class::Tensor;
    i.facts.work = if is_integer {
        Work::TensorInteger(operations)
    } else {
        Work::Tensor(operations)
    };
    i.facts.together(None);
    let (a_count, b_count) = (
        shape.a_registers(a.per_register()),
        shape.b_registers(b.per_register()),
    );
    let take = |i: &mut Instr<'_, '_, '_>, accumulator: Type, multiplicand: Type, count: usize| {
        i.dsts(accumulator, count)?;
        i.srcs(multiplicand, a_count)?;
        i.srcs(multiplicand, b_count)?;
        i.srcs(accumulator, count)
    };
    let wide = shape.c_elements();
    Ok(match (a, d, c) {
        (Element::F64, F64, F64) => {
            take(i, F64, F64, wide)?;
            float64
        }
        (_, S32, S32) if is_integer => {
            take(i, B32, B32, wide)?;
            integers
        }
        (
            Element::Bf16 | Element::F16 | Element::Tf32 | Element::E4m3 | Element::E5m2,
            F32,
            F32,
        ) => {
            take(i, B32, B32, wide)?;
            float32
        }
        (Element::F16 | Element::E4m3 | Element::E5m2, F16, F16) => {
            take(i, B32, B32, wide / 2)?;
            float16
        }
        _ => return i.refuse(),
    })
}

/// Copies the registers at some places side by side, as far as there are places.
#[inline(always)]
unsafe fn registers<'r, T: super::lanes::Value, const N: usize>(
    w: &Warp,
    places: &[u32],
    room: &'r mut std::mem::MaybeUninit<[[T; 32]; N]>,
) -> &'r mut [[T; 32]] {
    let count = places.len().min(N);
    let first = room.as_mut_ptr().cast::<[T; 32]>();
    // SAFETY: the decoder took rows of `T`; the first `count` are written before they are read.
    unsafe {
        for (at, place) in places[..count].iter().enumerate() {
            first
                .add(at)
                .copy_from_nonoverlapping(w.row::<T>(*place), 1);
        }
        std::slice::from_raw_parts_mut(first, count)
    }
}

/// Places of D, A, B and C in an instruction's list.
struct Operands<'a> {
    d: &'a [u32],
    a: &'a [u32],
    b: &'a [u32],
    c: &'a [u32],
}

unsafe fn operands<'a>(w: &Warp, i: &Inst, product: Product, accumulators: usize) -> Operands<'a> {
    let a = product.shape.a_registers(product.a.per_register());
    let b = product.shape.b_registers(product.b.per_register());
    // SAFETY: the decoder made a list of just these.
    let list = unsafe { w.list(i, 2 * accumulators + a + b) };
    let (d, rest) = list.split_at(accumulators);
    let (a, rest) = rest.split_at(a);
    let (b, c) = rest.split_at(b);
    Operands { d, a, b, c }
}

macro_rules! products {
    ($($name:ident, $t:ty, $count:expr, |$p:ident, $a:ident, $b:ident, $acc:ident| $f:expr;)*) => {$(
        unsafe fn $name(w: &mut Warp, i: &Inst, mask: u32) -> Step {
            if let Err(step) = w.gather(!0) {
                return step;
            }
            // SAFETY: the decoder took these operands.
            unsafe {
                let $p = Product::unpack(i.aux);
                const MOST: usize = $count;
                let count = if MOST == 2 { $p.shape.c_elements() / 2 } else { $p.shape.c_elements() };
                let o = operands(w, i, $p, count);
                let mut rooms = (
                    std::mem::MaybeUninit::<[[$t; 32]; 8]>::uninit(),
                    std::mem::MaybeUninit::<[[$t; 32]; 4]>::uninit(),
                    std::mem::MaybeUninit::<[[$t; 32]; MOST]>::uninit(),
                );
                let $a = &*registers(w, o.a, &mut rooms.0);
                let $b = &*registers(w, o.b, &mut rooms.1);
                let $acc = registers(w, o.c, &mut rooms.2);
                $f;
                for (place, row) in o.d.iter().zip(&*$acc) {
                    w.put(*place, mask, row);
                }
            }
            Step::Next
        }
    )*};
}

products! {
    float32, u32, 4, |p, a, b, acc| mma::mma_f32(p.shape, p.a, p.b, a, b, acc.try_into().expect("the decoder took four"));
    float16, u32, 2, |p, a, b, acc| mma::mma_f16(p.shape, p.a, p.b, a, b, acc.try_into().expect("the decoder took two"));
    integers, u32, 4, |p, a, b, acc| {
        mma::mma_s32(p.shape, p.saturate, p.a, p.b, a, b, acc)
    };
    float64, u64, 4, |p, a, b, acc| mma::mma_f64(p.shape, Rounding::Rn, a, b, acc);
}
