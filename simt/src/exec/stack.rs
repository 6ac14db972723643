//! Local memory that a function takes while it runs (PTX ISA, "Stack Manipulation Instructions": `alloca`,
//! `stacksave`, `stackrestore`). It lies behind what all functions need, and grows upwards.

use super::fault::Fault;
use super::program::{Exec, Inst, Step};
use super::warp::Warp;
use super::{Entry, For};
use crate::ptx::Result;
use crate::ptx::decode::emit::Raw;
use crate::ptx::decode::instr::{Instr, Use};
use crate::ptx::types::Type::*;

pub const TABLE: &[Entry] = &[
    Entry("alloca", For::All, allocate),
    Entry("stacksave", For::All, |i| {
        i.aux = width(i)?;
        i.dst(if i.aux == 64 { U64 } else { U32 })?;
        Ok(save)
    }),
    Entry("stackrestore", For::All, |i| {
        i.aux = width(i)?;
        i.src(if i.aux == 64 { U64 } else { U32 })?;
        Ok(restore)
    }),
];

/// Bytes of a thread for this, in programs that ask for it. A chip's default is a few KiB for everything.
pub const ROOM: u32 = 16 << 10;
/// Alignment where none is said.
const ALIGN: u32 = 8;

fn width(i: &mut Instr<'_, '_, '_>) -> Result<u32> {
    match i.ty()? {
        U32 => Ok(32),
        U64 => Ok(64),
        _ => i.refuse(),
    }
}

/// `alloca.type d, size{, align}`: `d` is an address in local memory.
fn allocate(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.aux = width(i)?;
    let ty = if i.aux == 64 { U64 } else { U32 };
    i.dst(ty)?;
    i.src(ty)?;
    let align = if i.left() > 0 {
        i.immediate()?
    } else {
        ALIGN.into()
    };
    if !(1..=1024).contains(&align) || align & (align - 1) != 0 {
        return i.error("an alignment is a power of two");
    }
    i.imm = align as u64;
    Ok(|w, i, mask| {
        // SAFETY: the decoder took rows of these widths.
        unsafe {
            let sizes = read(w, i, 1);
            let mut places = [0u64; 32];
            for lane in (0..32).filter(|lane| mask >> lane & 1 != 0) {
                let start = u64::from(w.stack_top[lane]).next_multiple_of(i.imm);
                let end = start.saturating_add(sizes[lane]);
                if end > w.local_stride.into() {
                    return w.fail(Fault::StackOverflow);
                }
                w.stack_top[lane] = end as u32;
                places[lane] = start;
            }
            write(w, i, mask, &places);
        }
        Step::Next
    })
}

/// The operand of that index in 64 bits.
unsafe fn read(w: &Warp, i: &Inst, at: usize) -> [u64; 32] {
    // SAFETY: the decoder took a row of this width.
    unsafe {
        match i.aux {
            64 => *w.row::<u64>(i.places[at]),
            _ => w.row::<u32>(i.places[at]).map(u64::from),
        }
    }
}

unsafe fn write(w: &mut Warp, i: &Inst, mask: u32, values: &[u64; 32]) {
    // SAFETY: as for `read`.
    unsafe {
        match i.aux {
            64 => w.put(i.places[0], mask, values),
            _ => w.put(i.places[0], mask, &values.map(|v| v as u32)),
        }
    }
}

fn save(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    let tops = w.stack_top.map(u64::from);
    // SAFETY: the decoder took a row of this width.
    unsafe { write(w, i, mask, &tops) };
    Step::Next
}

fn restore(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    // SAFETY: as for `save`.
    let tops = unsafe { read(w, i, 0) };
    for lane in (0..32).filter(|lane| mask >> lane & 1 != 0) {
        // A stack only shrinks so.
        if tops[lane] > u64::from(w.stack_top[lane]) {
            return w.fail(Fault::StackOverflow);
        }
        w.stack_top[lane] = tops[lane] as u32;
    }
    Step::Next
}

/// What a function that takes memory does first: `register`, of 64 bits, keeps where the stack ends.
pub fn implied_save(register: u32, line: u32) -> Raw {
    implied(save, register, true, line)
}

/// What it does before it returns.
pub fn implied_restore(register: u32, line: u32) -> Raw {
    implied(restore, register, false, line)
}

fn implied(exec: Exec, register: u32, is_write: bool, line: u32) -> Raw {
    let used = Use {
        place: register,
        is_write,
    };
    let mut raw = Raw::implied(exec, vec![used], 0, line);
    raw.aux = 64;
    raw
}
