//! Programs that change tensor maps (PTX ISA, `tensormap.replace`, `tensormap.cp_fenceproxy`).

use super::fault::Fault;
use super::program::{Exec, Inst, Step};
use super::tensor_map::{TYPES, TensorMap};
use super::warp::Warp;
use super::{Entry, For, reach};
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Space;
use crate::ptx::types::Type::*;

pub const TABLE: &[Entry] = &[Entry("tensormap", For::All, decode)];

/// Fields of one value; then those of one for each dimension; then those of a constant.
const FIELDS: [&str; 10] = [
    "global_address",
    "rank",
    "box_dim",
    "global_dim",
    "global_stride",
    "element_stride",
    "elemtype",
    "interleave_layout",
    "swizzle_mode",
    "fill_mode",
];

/// The driver's numbers of element types, by the ISA's (`tensormap.replace`, "new_val").
const TYPE_NUMBERS: [u8; 13] = [0, 1, 2, 3, 4, 5, 6, 7, 10, 8, 9, 11, 12];

/// In `aux`: base registers of 32 bits; the space; the field; the dimension; the value has 64 bits.
const NARROW: u32 = 1;
const FROM_NARROW: u32 = 2;
const GLOBAL: u32 = 4;
const SHARED: u32 = 8;
const WIDE: u32 = 16;
const FIELD_SHIFT: u32 = 8;
const DIMENSION_SHIFT: u32 = 12;

/// Bytes of a map, and its alignment.
const BYTES: u64 = 128;
const ALIGN: u64 = 64;

fn decode(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    if i.flag("cp_fenceproxy") {
        return copy(i);
    }
    if !(i.flag("replace") & i.flag("tile") & i.flag("b1024")) {
        return i.refuse();
    }
    let Some(field) = i.one_of(&FIELDS) else {
        return i.refuse();
    };
    let space = i.space();
    i.aux = match space {
        Space::Global => GLOBAL,
        Space::Shared => SHARED,
        Space::Generic => 0,
        _ => return i.refuse(),
    };
    let ty = i.ty()?;
    let is_wide = matches!(FIELDS[field], "global_address" | "global_stride");
    if ty != if is_wide { B64 } else { B32 } {
        return i.refuse();
    }
    i.aux |= (field as u32) << FIELD_SHIFT | if is_wide { WIDE } else { 0 };
    reach::take(i, space, NARROW)?;
    if (2..=5).contains(&field) {
        // The innermost dimension has no stride of its own.
        let most = if FIELDS[field] == "global_stride" {
            3
        } else {
            4
        };
        match i.immediate()? {
            dimension @ 0..=4 if dimension <= most => {
                i.aux |= (dimension as u32) << DIMENSION_SHIFT;
            }
            _ => return i.error("no such dimension"),
        }
    }
    i.src(ty)?;
    Ok(replace)
}

fn replace(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    let space = match i.aux & (GLOBAL | SHARED) {
        GLOBAL => Space::Global,
        SHARED => Space::Shared,
        _ => Space::Generic,
    };
    // SAFETY: the decoder took these operands; `reach` checks the addresses.
    unsafe {
        let addresses = w.address_rows(&i.places, 0, i.aux & NARROW != 0);
        let values: [u64; 32] = match i.aux & WIDE {
            0 => w.row::<u32>(i.places[2]).map(u64::from),
            _ => *w.row::<u64>(i.places[2]),
        };
        for lane in (0..32).filter(|lane| mask >> lane & 1 != 0) {
            let changed = w
                .reach(space, addresses[lane], BYTES, ALIGN)
                .and_then(|at| {
                    let mut map = TensorMap::read(at)?;
                    set(&mut map, i.aux, values[lane])?;
                    at.cast::<TensorMap>().write_unaligned(map);
                    Ok(())
                });
            if let Err(fault) = changed {
                return w.fail(fault);
            }
        }
    }
    Step::Next
}

/// Sets a field; what the ISA does not allow, or this machine does not have, is a fault.
fn set(map: &mut TensorMap, aux: u32, value: u64) -> std::result::Result<(), Fault> {
    let dimension = (aux >> DIMENSION_SHIFT & 7) as usize;
    let demand = |holds: bool| match holds {
        true => Ok(()),
        false => Err(Fault::Operand(
            "a value that the tensor map's field does not take",
        )),
    };
    match FIELDS[(aux >> FIELD_SHIFT & 15) as usize] {
        "global_address" => {
            demand(value.is_multiple_of(16))?;
            map.address = value;
        }
        "rank" => {
            // The field counts from zero.
            demand(value < 5)?;
            map.rank = value as u8 + 1;
        }
        "box_dim" => {
            demand((1..=256).contains(&value))?;
            map.extent[dimension] = value as u16;
        }
        "global_dim" => {
            demand(value >= 1)?;
            map.last[dimension] = (value - 1) as u32;
        }
        "global_stride" => {
            demand(value.is_multiple_of(16) && value < 1 << 40)?;
            map.strides[dimension] = value;
        }
        "element_stride" => {
            demand((1..=8).contains(&value))?;
            map.element_strides[dimension] = value as u8;
        }
        "elemtype" => {
            let number = TYPE_NUMBERS.get(value as usize).copied();
            map.ty = number.ok_or(Fault::Operand("no element type of a tensor map"))?;
            map.element = TYPES[usize::from(map.ty)].bytes() as u8;
        }
        "interleave_layout" => demand(value == 0)?,
        "swizzle_mode" => {
            demand(value <= 3)?;
            map.swizzle = value as u8;
        }
        _ => {
            demand(value <= 1)?;
            map.fills_with_nan = value as u8;
        }
    }
    Ok(())
}

/// `tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.scope.sync.aligned [to], [from],
/// 128`: the warp copies a map, and fences.
fn copy(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let spaces = i.flag("global") & i.flag("shared::cta") & i.flag("tensormap::generic");
    let together = i.flag("release") & i.flag("sync") & i.flag("aligned");
    let scope = i.one_of(&["cta", "cluster", "gpu", "sys"]);
    if !spaces || !together || scope.is_none() {
        return i.refuse();
    }
    reach::take(i, Space::Global, NARROW)?;
    reach::take(i, Space::Shared, FROM_NARROW)?;
    if i.immediate()? != BYTES as i64 {
        return i.error("a tensor map has 128 bytes");
    }
    i.facts.together(None);
    Ok(|w, i, mask| {
        if let Err(step) = w.gather(!0) {
            return step;
        }
        let lane = mask.trailing_zeros() as usize;
        // SAFETY: as for `replace`.
        unsafe {
            let to = w.address_rows(&i.places, 0, i.aux & NARROW != 0)[lane];
            let from = w.address_rows(&i.places, 2, i.aux & FROM_NARROW != 0)[lane];
            let ends = w.reach(Space::Global, to, BYTES, ALIGN).and_then(|to| {
                let from = w.reach(Space::Shared, from, BYTES, ALIGN)?;
                Ok((to, from))
            });
            match ends {
                Ok((to, from)) => to.copy_from(from, BYTES as usize),
                Err(fault) => return w.fail(fault),
            }
        }
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        Step::Next
    })
}
