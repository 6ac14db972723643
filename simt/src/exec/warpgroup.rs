//! Products of four warps (PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions": `wgmma`).
//!
//! Each warp computes its own sixteen rows, when it waits for them: see `matrix_queue`.

use super::control::nothing;
use super::facts::{Effect, Work};
use super::matrix_queue::{Product, Source};
use super::program::{Exec, Inst, Step};
use super::touch::{Form, Touch};
use super::warp::Warp;
use super::{Entry, For};
use crate::numeric::matrix::descriptor::Major;
use crate::numeric::matrix::element::Element;
use crate::ptx::Result;
use crate::ptx::ast::Operand;
use crate::ptx::decode::instr::{Deferred, Instr};
use crate::ptx::types::Type::{self, *};

pub const TABLE: &[Entry] = &[Entry("wgmma", For::All, wgmma)];

/// In `aux`: element types of A and B (indices in [`ELEMENTS`]), columns, and flags.
const B_SHIFT: u32 = 4;
const COLUMNS_SHIFT: u32 = 8;
const A_IN_REGISTERS: u32 = 1 << 20;
const NEGATIVE: u32 = 1 << 21;
const A_TRANSPOSED: u32 = 1 << 22;
const B_TRANSPOSED: u32 = 1 << 23;
const SCALE_NEGATED: u32 = 1 << 24;
const PACKED: u32 = 1 << 25;
const SATURATED: u32 = 1 << 26;
/// In `aux`: computes at once. A function that may return before it waits gives its registers away.
pub const AT_ONCE: u32 = 1 << 27;

const ELEMENTS: [(Type, Element); 8] = [
    (F16, Element::F16),
    (Bf16, Element::Bf16),
    (Tf32, Element::Tf32),
    (E4m3, Element::E4m3),
    (E5m2, Element::E5m2),
    (S8, Element::S8),
    (U8, Element::U8),
    (B1, Element::B1),
];

/// Rows of a warp.
pub const ROWS: usize = 16;

/// What a product multiplies, as `aux` says it.
pub struct Shape {
    pub a: Element,
    pub b: Element,
    pub n: usize,
    pub a_major: Major,
    pub b_major: Major,
    /// One factor is negated.
    pub negative: bool,
    /// Accumulators are pairs of f16.
    pub packs: bool,
    pub saturates: bool,
}

impl Shape {
    /// From `aux`.
    pub fn unpack(aux: u32) -> Shape {
        let major = |bit| match aux & bit {
            0 => Major::K,
            _ => Major::Mn,
        };
        Shape {
            a: ELEMENTS[(aux & 15) as usize].1,
            b: ELEMENTS[(aux >> B_SHIFT & 15) as usize].1,
            n: (aux >> COLUMNS_SHIFT & 0xfff) as usize,
            a_major: major(A_TRANSPOSED),
            b_major: major(B_TRANSPOSED),
            negative: aux & NEGATIVE != 0,
            packs: aux & PACKED != 0,
            saturates: aux & SATURATED != 0,
        }
    }

    /// Registers of D in each lane.
    pub fn accumulators(&self) -> usize {
        if self.packs { self.n / 4 } else { self.n / 2 }
    }
}

fn wgmma(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let aligned = i.flag("sync") & i.flag("aligned");
    if !aligned {
        return i.refuse();
    }
    if i.flag("fence") {
        i.facts.effect = Effect::WgmmaFence;
        return Ok(nothing);
    }
    if i.flag("commit_group") {
        i.facts.effect = Effect::WgmmaCommit;
        return Ok(|w, _, _| {
            w.products.commit();
            Step::Next
        });
    }
    if i.flag("wait_group") {
        i.aux = match u32::try_from(i.immediate()?) {
            Ok(count) => count,
            Err(_) => return i.error("a negative number of groups"),
        };
        i.facts.effect = Effect::WgmmaWait { keep: i.aux };
        i.deferred = Deferred::Lands;
        return Ok(|w, i, _| match w.finish_products(i.aux) {
            Ok(()) => Step::Next,
            Err(fault) => w.fail(fault),
        });
    }
    if !i.flag("mma_async") {
        return i.refuse();
    }
    product(i)
}

/// `wgmma.mma_async.sync.aligned.shape.d.a.b d, a, b, scale-d{, scales and majors}`
fn product(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let shape = i.modifier(|m| {
        let (n, k) = m.strip_prefix("m64n")?.split_once('k')?;
        Some((n.parse::<usize>().ok()?, k.parse::<usize>().ok()?))
    });
    let saturates = i.flag("satfinite");
    let (d, a, b) = (i.ty()?, i.ty()?, i.ty()?);
    let index = |ty| ELEMENTS.iter().position(|(t, _)| *t == ty);
    let (Some((n, k)), Some(a_index), Some(b_index)) = (shape, index(a), index(b)) else {
        return i.refuse();
    };
    let bits = ELEMENTS[a_index].1.bits();
    let is_integer = matches!(a, S8 | U8 | B1);
    let eight = |ty| matches!(ty, E4m3 | E5m2);
    let bytes = |ty| matches!(ty, S8 | U8);
    let alike = a == b || eight(a) && eight(b) || bytes(a) && bytes(b);
    let accumulates_so = match d {
        F32 => !is_integer,
        F16 => a == F16 || eight(a),
        S32 => is_integer,
        _ => false,
    };
    let columns = (8..=256).contains(&n) && (n % 16 == 0 || n % 8 == 0 && (n <= 24 || !is_integer));
    if !alike || !accumulates_so || k * bits != 256 || !columns || saturates && !bytes(a) {
        return i.refuse();
    }
    if a == B1 && !(i.flag("and") & i.flag("popc")) {
        return i.refuse();
    }
    i.aux = a_index as u32 | (b_index as u32) << B_SHIFT | (n as u32) << COLUMNS_SHIFT;
    let flags = [(d == F16, PACKED), (saturates, SATURATED)];
    i.aux |= flags
        .iter()
        .fold(0, |all, (is, bit)| all | if *is { *bit } else { 0 });
    i.in_list = true;

    // The accumulators are read and written.
    let (count, ty) = if d == F16 { (n / 4, B32) } else { (n / 2, d) };
    let accumulators = i.elements()?;
    if accumulators.len() != count {
        return i.error(format_args!("expected {count} accumulators"));
    }
    accumulators.iter().try_for_each(|d| i.dst_of(d, ty))?;
    accumulators.iter().try_for_each(|d| i.src_of(d, ty))?;
    let in_registers = matches!(i.peek(), Some(Operand::Vector(_)));
    if in_registers {
        i.aux |= A_IN_REGISTERS;
        i.srcs(B32, 4)?;
    } else {
        i.src(B64)?;
    }
    let a_place = i.last();
    i.src(B64)?;
    let b_place = i.last();
    if i.predicate()? {
        i.aux |= SCALE_NEGATED;
    }
    if !is_integer {
        take_scales(i, bits == 16, in_registers)?;
    }
    let shape = Shape::unpack(i.aux);
    let tile = |major, rows, by_warp| Form::Tile {
        major,
        // 32 single bits lie as one element does.
        bits: bits.max(8) as u32,
        rows,
        by_warp,
    };
    if !in_registers {
        let form = tile(shape.a_major, ROWS as u32, true);
        i.facts.touch(Touch::tile(a_place, form));
    }
    let form = tile(shape.b_major, n as u32, false);
    i.facts.touch(Touch::tile(b_place, form));
    let operations = 2 * (ROWS * n * k) as u32;
    i.facts.work = match is_integer {
        true => Work::TensorInteger(operations),
        false => Work::Tensor(operations),
    };
    i.facts.together(None);
    i.deferred = Deferred::Starts;
    Ok(start)
}

/// Signs of the factors, and, of 16-bit types, which dimension of them is contiguous.
fn take_scales(i: &mut Instr<'_, '_, '_>, has_majors: bool, in_registers: bool) -> Result<()> {
    let mut sign = 1;
    for _ in 0..2 {
        sign *= match i.immediate()? {
            scale @ (1 | -1) => scale,
            _ => return i.error("a scale is 1 or -1"),
        };
    }
    if sign < 0 {
        i.aux |= NEGATIVE;
    }
    if has_majors {
        if !in_registers && i.immediate()? != 0 {
            i.aux |= A_TRANSPOSED;
        }
        if i.immediate()? != 0 {
            i.aux |= B_TRANSPOSED;
        }
    }
    Ok(())
}

fn start(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    if let Err(step) = w.gather(!0) {
        return step;
    }
    let accumulators = Shape::unpack(i.aux).accumulators();
    let in_registers = i.aux & A_IN_REGISTERS != 0;
    let a_count = if in_registers { 4 } else { 1 };
    // SAFETY: the decoder made a list of just these, of these widths.
    let product = unsafe {
        let places = w.list(i, 2 * accumulators + a_count + 2);
        let rest = &places[2 * accumulators..];
        let lane = mask.trailing_zeros();
        let negated = i.aux & SCALE_NEGATED != 0;
        Product {
            inst: *i,
            frame_base: w.frame_base,
            lanes: mask,
            a: if in_registers {
                Source::Registers(Box::new(std::array::from_fn(|at| *w.row::<u32>(rest[at]))))
            } else {
                Source::Descriptor(w.row::<u64>(rest[0])[0])
            },
            b: w.row::<u64>(rest[a_count])[0],
            accumulates: (w.predicate(rest[a_count + 1]) >> lane & 1 != 0) != negated,
        }
    };
    if i.aux & AT_ONCE == 0 {
        w.products.start(product);
        return Step::Next;
    }
    match w.finish_product(&product) {
        Ok(()) => Step::Next,
        Err(fault) => w.fail(fault),
    }
}
