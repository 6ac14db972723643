//! Products of four warps (PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions": `wgmma`).
//!
//! Each warp computes its own sixteen rows, at the instruction itself: a program that reads its
//! accumulators without waiting gets them all the same.

use super::control::nothing;
use super::facts::{Effect, Work};
use super::fault::Fault;
use super::program::{Exec, Inst, Step};
use super::touch::{Form, Touch};
use super::warp::Warp;
use super::{Entry, For};
use crate::numeric::matrix::descriptor::{Descriptor, Major};
use crate::numeric::matrix::element::Element;
use crate::numeric::matrix::fragment::{self, Shape};
use crate::numeric::matrix::product;
use crate::ptx::Result;
use crate::ptx::ast::Operand;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Space;
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

const ELEMENTS: [(Type, Element); 5] = [
    (F16, Element::F16),
    (Bf16, Element::Bf16),
    (Tf32, Element::Tf32),
    (E4m3, Element::E4m3),
    (E5m2, Element::E5m2),
];

/// Rows of a warp.
const ROWS: usize = 16;
/// Most columns, and most steps along k.
const COLUMNS: usize = 256;
const STEPS: usize = 32;

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
        return Ok(nothing);
    }
    if i.flag("wait_group") {
        let keep = i.immediate()?;
        i.facts.effect = match u32::try_from(keep) {
            Ok(keep) => Effect::WgmmaWait { keep },
            Err(_) => return i.error("a negative number of groups"),
        };
        return Ok(nothing);
    }
    if !i.flag("mma_async") {
        return i.refuse();
    }
    let shape = i.modifier(|m| {
        let (n, k) = m.strip_prefix("m64n")?.split_once('k')?;
        Some((n.parse::<usize>().ok()?, k.parse::<usize>().ok()?))
    });
    let (d, a, b) = (i.ty()?, i.ty()?, i.ty()?);
    let index = |ty| ELEMENTS.iter().position(|(t, _)| *t == ty);
    let (Some((n, k)), Some(a_index), Some(b_index), F32) = (shape, index(a), index(b), d) else {
        return i.refuse();
    };
    let bits = ELEMENTS[a_index].1.bits();
    let alike = a == b || bits == 8 && ELEMENTS[b_index].1.bits() == 8;
    if !alike || k * bits != 256 || n % 8 != 0 || !(8..=COLUMNS).contains(&n) {
        return i.refuse();
    }
    i.aux = a_index as u32 | (b_index as u32) << B_SHIFT | (n as u32) << COLUMNS_SHIFT;
    i.in_list = true;

    // The accumulators are read and written.
    let accumulators = i.elements()?;
    if accumulators.len() != n / 2 {
        return i.error(format_args!("expected {} accumulators", n / 2));
    }
    accumulators.iter().try_for_each(|d| i.dst_of(d, F32))?;
    accumulators.iter().try_for_each(|d| i.src_of(d, F32))?;
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
    if bits == 16 {
        if !in_registers && i.immediate()? != 0 {
            i.aux |= A_TRANSPOSED;
        }
        if i.immediate()? != 0 {
            i.aux |= B_TRANSPOSED;
        }
    }
    let tile = |aux: u32, bit, rows, by_warp| Form::Tile {
        major: major(aux, bit),
        bits: bits as u32,
        rows,
        by_warp,
    };
    if !in_registers {
        let form = tile(i.aux, A_TRANSPOSED, ROWS as u32, true);
        i.facts.touch(Touch::tile(a_place, form));
    }
    let form = tile(i.aux, B_TRANSPOSED, n as u32, false);
    i.facts.touch(Touch::tile(b_place, form));
    i.facts.work = Work::Tensor(2 * (ROWS * n * k) as u32);
    i.facts.together(None);
    Ok(multiply)
}

/// Which dimension of an operand is contiguous.
fn major(aux: u32, transposed: u32) -> Major {
    if aux & transposed != 0 {
        Major::Mn
    } else {
        Major::K
    }
}

/// An operand of `rows` (m of A, n of B) from row `first` on, in shared memory, into `put(row, k, value)`.
fn fetch(
    w: &Warp,
    descriptor: u64,
    major: Major,
    element: Element,
    first: usize,
    rows: usize,
    mut put: impl FnMut(usize, usize, f32),
) -> std::result::Result<(), Fault> {
    let descriptor = Descriptor::decode(descriptor);
    let (bits, shared) = (element.bits(), w.block().shared());
    let (per_unit, steps) = (128 / bits, 256 / bits);
    let (units, others) = match major {
        Major::K => (0..steps / per_unit, first..first + rows),
        Major::Mn => (first / per_unit..(first + rows) / per_unit, 0..steps),
    };
    for other in others {
        for unit in units.clone() {
            let address = descriptor.unit_address(major, unit as u32, other as u32);
            if address + 16 > w.block().shared_bytes {
                let address = address.into();
                return Err(Fault::IllegalAddress {
                    space: Space::Shared,
                    address,
                    bytes: 16,
                });
            }
            // SAFETY: the sixteen bytes are in the block's shared memory.
            let words: [u32; 4] = unsafe {
                shared
                    .add(address as usize)
                    .cast::<[u32; 4]>()
                    .read_unaligned()
            };
            for at in 0..per_unit {
                let value = element.float(words[at * bits / 32], at % element.per_register());
                let along = unit * per_unit + at;
                match major {
                    Major::K => put(other - first, along, value),
                    Major::Mn => put(along - first, other, value),
                }
            }
        }
    }
    Ok(())
}

fn multiply(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    if let Err(step) = w.gather(!0) {
        return step;
    }
    let (a_type, b_type) = (
        ELEMENTS[(i.aux & 15) as usize].1,
        ELEMENTS[(i.aux >> B_SHIFT & 15) as usize].1,
    );
    let n = (i.aux >> COLUMNS_SHIFT & 0xfff) as usize;
    let steps = 256 / a_type.bits();
    let in_registers = i.aux & A_IN_REGISTERS != 0;
    let a_count = if in_registers { 4 } else { 1 };
    // SAFETY: the decoder made a list of just these, of these widths.
    unsafe {
        let places = w.list(i, n + a_count + 2);
        let (d, rest) = places.split_at(n / 2);
        let (_, rest) = rest.split_at(n / 2);
        let (a, rest) = rest.split_at(a_count);
        let b = w.row::<u64>(rest[0])[0];
        let lane = mask.trailing_zeros();
        let negated = i.aux & SCALE_NEGATED != 0;
        let accumulates = (w.predicate(rest[1]) >> lane & 1 != 0) != negated;

        let mut a_tile = [0f32; ROWS * STEPS];
        let mut b_tile = [0f32; STEPS * COLUMNS];
        let mut d_tile = [0f32; ROWS * COLUMNS];
        let sign = if i.aux & NEGATIVE != 0 { -1.0 } else { 1.0 };
        let major = |bit| major(i.aux, bit);
        let own = ROWS * (w.first_thread as usize / 32 % 4);
        let fetched = if in_registers {
            let per_register = a_type.per_register();
            let shape = Shape::new(ROWS, 8, steps);
            for (at, place) in a.iter().enumerate() {
                let row = w.row::<u32>(*place);
                for lane in 0..32 {
                    for part in 0..per_register {
                        let (r, k) =
                            fragment::a(shape, per_register, lane, at * per_register + part);
                        a_tile[r * steps + k] = sign * a_type.float(row[lane], part);
                    }
                }
            }
            Ok(())
        } else {
            let descriptor = w.row::<u64>(a[0])[0];
            fetch(
                w,
                descriptor,
                major(A_TRANSPOSED),
                a_type,
                own,
                ROWS,
                |r, k, x| {
                    a_tile[r * steps + k] = sign * x;
                },
            )
        };
        let fetched = fetched.and_then(|()| {
            fetch(w, b, major(B_TRANSPOSED), b_type, 0, n, |c, k, x| {
                b_tile[k * n + c] = x
            })
        });
        if let Err(fault) = fetched {
            return w.fail(fault);
        }
        let place_of = |lane: usize, at: usize| {
            let (row, column) = fragment::c(lane, at % 4);
            row * n + column + 8 * (at / 4)
        };
        if accumulates {
            for (at, place) in d.iter().enumerate() {
                let row = w.row::<f32>(*place);
                for lane in 0..32 {
                    d_tile[place_of(lane, at)] = row[lane];
                }
            }
        }
        product::accumulate(ROWS, n, steps, &a_tile, &b_tile, &mut d_tile);
        for (at, place) in d.iter().enumerate() {
            let out: [f32; 32] = std::array::from_fn(|lane| d_tile[place_of(lane, at)]);
            w.put(*place, mask, &out);
        }
    }
    Step::Next
}
