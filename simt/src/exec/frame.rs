//! Moves between registers and a function's frame that no line of the text says: parameters, arguments
//! and results that are registers.

use super::access::*;
use super::memory::{read, write};
use super::program::{Inst, NONE, Step};
use super::touch::{Kind, Touch};
use super::warp::Warp;
use crate::ptx::decode::emit::Raw;
use crate::ptx::decode::instr::Use;
use crate::ptx::types::Type;
use crate::ptx::{Result, error};

/// A load from the frame that no line of the text says: a parameter that is a register.
pub fn frame_load(register: u32, ty: Type, offset: u64, line: u32) -> Result<Raw> {
    let exec = match ty.bits() {
        8 => read::<Local, u8, u16, _>(|m: u8| u16::from(m)),
        16 => read::<Local, u16, u16, _>(|m: u16| m),
        32 => read::<Local, u32, u32, _>(|m: u32| m),
        64 => read::<Local, u64, u64, _>(|m: u64| m),
        _ => {
            return error(
                line,
                format!("a parameter of type .{} in a register", ty.name()),
            );
        }
    };
    let uses = vec![
        Use {
            place: register,
            is_write: true,
        },
        Use {
            place: NONE,
            is_write: false,
        },
    ];
    let mut raw = Raw::implied(exec, uses, offset, line);
    raw.aux = FRAME | 1 << COUNT_SHIFT;
    raw.facts
        .touch(Touch::frame(Kind::Read, offset, ty.bytes()));
    Ok(raw)
}

/// A store to the frame that no line of the text says: a result or an argument that is a register.
pub fn frame_store(register: u32, ty: Type, offset: u64, line: u32) -> Result<Raw> {
    let used = Use {
        place: register,
        is_write: false,
    };
    frame_store_value(used, ty, offset, line)
}

/// As [`frame_store`], of a register or constant.
pub fn frame_store_value(value: Use, ty: Type, offset: u64, line: u32) -> Result<Raw> {
    let exec = match ty.bits() {
        8 => write::<Local, u8, u16, _>(|d: u16| d as u8),
        16 => write::<Local, u16, u16, _>(|d: u16| d),
        32 => write::<Local, u32, u32, _>(|d: u32| d),
        64 => write::<Local, u64, u64, _>(|d: u64| d),
        _ => {
            return error(
                line,
                format!("an argument of type .{} in a register", ty.name()),
            );
        }
    };
    let uses = vec![
        Use {
            place: NONE,
            is_write: false,
        },
        value,
    ];
    let mut raw = Raw::implied(exec, uses, offset, line);
    raw.aux = FRAME | 1 << COUNT_SHIFT;
    raw.facts
        .touch(Touch::frame(Kind::Write, offset, ty.bytes()));
    Ok(raw)
}

/// A copy of `bytes` from one place of the frame to another, around a call.
pub fn frame_copy(from: u64, to: u64, bytes: u32, line: u32) -> Raw {
    fn copy(w: &mut Warp, i: &Inst, mask: u32) -> Step {
        // The low halves are offsets; the bit above marks what lies behind the frame.
        let half = |bits: u64| (bits & 0x7fff_ffff) | (bits & 0x8000_0000) << 1;
        let from = super::call::frame_offset(w, half(i.imm & 0xffff_ffff)) as usize;
        let to = super::call::frame_offset(w, half(i.imm >> 32)) as usize;
        let (bytes, stride) = (i.aux as usize, w.local_stride as usize);
        if from.max(to) + bytes > stride {
            return w.fail(super::fault::Fault::StackOverflow);
        }
        // SAFETY: a line is 64 bytes without padding.
        let local = unsafe {
            std::slice::from_raw_parts_mut(w.local.as_mut_ptr().cast::<u8>(), w.local.len() * 64)
        };
        for lane in (0..32).filter(|lane| mask >> lane & 1 != 0) {
            let base = lane * stride;
            local.copy_within(base + from..base + from + bytes, base + to);
        }
        Step::Next
    }
    let half = |offset: u64| (offset & 0x7fff_ffff) | (offset & super::call::OUTGOING) >> 1;
    let mut raw = Raw::implied(copy, Vec::new(), half(from) | half(to) << 32, line);
    raw.aux = bytes;
    raw.facts.touch(Touch::frame(Kind::Read, from, bytes));
    raw.facts.touch(Touch::frame(Kind::Write, to, bytes));
    raw
}
