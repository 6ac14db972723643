//! Instructions in which the threads of a warp see one another (PTX ISA, `shfl`, `vote`, `match`,
//! `redux`, `activemask`, `elect`, `bar.warp`).

use super::lanes::lanes_where;
use super::program::{Exec, Inst, NONE, Step};
use super::warp::Warp;
use super::{Entry, For};
use crate::ptx::Result;
use crate::ptx::ast::Operand;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Type::{self, *};

pub const TABLE: &[Entry] = &[
    Entry("shfl", For::All, shuffle),
    Entry("vote", For::All, vote),
    Entry("match", For::All, matching),
    Entry("redux", For::All, redux),
    Entry("activemask", For::All, |i| {
        let ty = i.ty()?;
        i.dst(ty)?;
        Ok(|w, i, mask| {
            // SAFETY: the decoder took a row of 32 bits.
            unsafe { w.put(i.places[0], mask, &[mask; 32]) };
            Step::Next
        })
    }),
    Entry("elect", For::All, elect),
];

/// The member mask of a `.sync` instruction at `place`, of the first running lane. Where its threads
/// are not all here, the answer is what the warp does instead.
#[inline(always)]
pub unsafe fn members(w: &mut Warp, place: u32, mask: u32) -> std::result::Result<u32, Step> {
    // SAFETY: the caller's decoder took a row of 32 bits.
    let members = unsafe { w.row::<u32>(place) }[mask.trailing_zeros() as usize];
    w.gather(members)?;
    Ok(members)
}

/// `shfl{.sync}.mode.b32 d{|p}, a, b, c{, membermask}`
fn shuffle(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let sync = i.flag("sync");
    let Some(mode) = i.one_of(&["up", "down", "bfly", "idx"]) else {
        return i.refuse();
    };
    let ty = i.ty()?;
    if ty.bits() != 32 {
        return i.refuse();
    }
    match i.operand()? {
        Operand::Pair(d, p) => {
            i.dst_of(d, ty)?;
            i.dst_of(p, Pred)?;
        }
        d => {
            i.dst_of(d, ty)?;
            i.push(NONE, true);
        }
    }
    i.src(ty)?;
    i.src(U32)?;
    i.src(U32)?;
    if sync {
        i.src(U32)?;
        i.facts.together(Some(i.last()));
    }
    i.aux = mode as u32;
    Ok(|w, i, mask| {
        // SAFETY: the decoder took rows of 32 bits and a predicate.
        unsafe {
            if i.places[5] != NONE
                && let Err(step) = members(w, i.places[5], mask)
            {
                return step;
            }
            let a = *w.row::<u32>(i.places[2]);
            let (b, c) = (w.row::<u32>(i.places[3]), w.row::<u32>(i.places[4]));
            let mut out = [0; 32];
            let mut valid = 0u32;
            for lane in 0..32u32 {
                let (b, c) = (b[lane as usize] & 31, c[lane as usize]);
                let (clamp, segment) = (c & 31, c >> 8 & 31);
                let last = lane & segment | clamp & !segment;
                let first = lane & segment;
                let (source, is_valid) = match i.aux {
                    0 => (lane.wrapping_sub(b), lane as i32 - b as i32 >= last as i32),
                    1 => (lane + b, lane + b <= last),
                    2 => (lane ^ b, lane ^ b <= last),
                    _ => (first | b & !segment, first | b & !segment <= last),
                };
                let source = if is_valid { source } else { lane };
                out[lane as usize] = a[(source & 31) as usize];
                valid |= u32::from(is_valid) << lane;
            }
            w.put(i.places[0], mask, &out);
            if i.places[1] != NONE {
                w.put_predicate(i.places[1], mask, valid);
            }
        }
        Step::Next
    })
}

/// `vote{.sync}.{all,any,uni}.pred p, {!}a{, membermask}`, `vote.ballot.b32 d, …`
fn vote(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let sync = i.flag("sync");
    let Some(mode) = i.one_of(&["all", "any", "uni", "ballot"]) else {
        return i.refuse();
    };
    let ty = i.ty()?;
    if (mode == 3) != (ty == B32) || mode != 3 && ty != Pred {
        return i.refuse();
    }
    i.dst(ty)?;
    let negated = i.predicate()?;
    i.aux = mode as u32 | if negated { 4 } else { 0 };
    if sync {
        i.src(U32)?;
        i.facts.together(Some(i.last()));
    }
    Ok(|w, i, mask| {
        // SAFETY: the decoder took these widths.
        unsafe {
            let mut voters = mask;
            if i.places[2] != NONE {
                match members(w, i.places[2], mask) {
                    Ok(members) => voters = mask & members,
                    Err(step) => return step,
                }
            }
            let holds = w.predicate(i.places[1]) ^ if i.aux & 4 != 0 { !0 } else { 0 };
            let (yes, no) = (holds & voters, !holds & voters);
            let result = match i.aux & 3 {
                0 => no == 0,
                1 => yes != 0,
                2 => yes == 0 || no == 0,
                _ => {
                    w.put(i.places[0], voters, &[yes; 32]);
                    return Step::Next;
                }
            };
            w.put_predicate(i.places[0], voters, if result { !0 } else { 0 });
        }
        Step::Next
    })
}

/// `match.any.sync.type d, a, membermask`, `match.all.sync.type d|p, a, membermask`
fn matching(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let mode = i.one_of(&["any", "all"]);
    i.flag("sync");
    let ty = i.ty()?;
    match i.operand()? {
        Operand::Pair(d, p) if mode == Some(1) => {
            i.dst_of(d, B32)?;
            i.dst_of(p, Pred)?;
        }
        d => {
            i.dst_of(d, B32)?;
            i.push(NONE, true);
        }
    }
    i.src(ty)?;
    i.src(U32)?;
    i.facts.together(Some(i.last()));
    fn run(w: &mut Warp, i: &Inst, mask: u32, values: impl Fn(&Warp, usize) -> u64) -> Step {
        // SAFETY: the decoder took these widths.
        unsafe {
            let members = match members(w, i.places[3], mask) {
                Ok(members) => members & mask,
                Err(step) => return step,
            };
            let all: [u64; 32] = std::array::from_fn(|lane| values(w, lane));
            if i.aux == 0 {
                let out = std::array::from_fn(|l| lanes_where(|o| all[o] == all[l]) & members);
                w.put(i.places[0], members, &out);
                return Step::Next;
            }
            let first = all[members.trailing_zeros() as usize & 31];
            let same = lanes_where(|l| all[l] == first) & members == members;
            w.put(i.places[0], members, &[if same { members } else { 0 }; 32]);
            if i.places[1] != NONE {
                w.put_predicate(i.places[1], members, if same { !0 } else { 0 });
            }
        }
        Step::Next
    }
    i.aux = match mode {
        Some(mode) => mode as u32,
        None => return i.refuse(),
    };
    Ok(match ty {
        B32 => |w, i, m| {
            // SAFETY: the decoder took a row of 32 bits.
            run(w, i, m, |w, l| {
                u64::from((unsafe { w.row::<u32>(i.places[2]) })[l])
            })
        },
        B64 => |w, i, m| {
            // SAFETY: the decoder took a row of 64 bits.
            run(w, i, m, |w, l| (unsafe { w.row::<u64>(i.places[2]) })[l])
        },
        _ => return i.refuse(),
    })
}

/// `redux.sync.op.type d, a, membermask`
fn redux(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.flag("sync");
    let operation = i.one_of(&["add", "min", "max", "and", "or", "xor"]);
    let ty = i.ty()?;
    i.unary(ty)?;
    i.src(U32)?;
    i.facts.together(Some(i.last()));
    fn run(w: &mut Warp, i: &Inst, mask: u32, f: impl Fn(u32, u32) -> u32) -> Step {
        // SAFETY: the decoder took rows of 32 bits.
        unsafe {
            let members = match members(w, i.places[2], mask) {
                Ok(members) => members & mask,
                Err(step) => return step,
            };
            let a = *w.row::<u32>(i.places[1]);
            let lanes = (0..32).filter(|l| members >> l & 1 != 0);
            let result = lanes.map(|l| a[l]).reduce(f).unwrap_or(0);
            w.put(i.places[0], members, &[result; 32]);
        }
        Step::Next
    }
    Ok(match (operation, ty) {
        (Some(0), U32 | S32) => |w, i, m| run(w, i, m, u32::wrapping_add),
        (Some(1), U32) => |w, i, m| run(w, i, m, u32::min),
        (Some(2), U32) => |w, i, m| run(w, i, m, u32::max),
        (Some(1), S32) => |w, i, m| run(w, i, m, |a, b| (a as i32).min(b as i32) as u32),
        (Some(2), S32) => |w, i, m| run(w, i, m, |a, b| (a as i32).max(b as i32) as u32),
        (Some(3), B32) => |w, i, m| run(w, i, m, |a, b| a & b),
        (Some(4), B32) => |w, i, m| run(w, i, m, |a, b| a | b),
        (Some(5), B32) => |w, i, m| run(w, i, m, |a, b| a ^ b),
        _ => return i.refuse(),
    })
}

/// `elect.sync d|p, membermask`: the lowest of the members.
fn elect(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.flag("sync");
    match i.operand()? {
        Operand::Pair(d, p) => {
            i.dst_of(d, Type::B32)?;
            i.dst_of(p, Pred)?;
        }
        _ => return i.refuse(),
    }
    i.src(U32)?;
    i.facts.together(Some(i.last()));
    Ok(|w, i, mask| {
        // SAFETY: the decoder took these widths.
        unsafe {
            let members = match members(w, i.places[2], mask) {
                Ok(members) => members & mask,
                Err(step) => return step,
            };
            let leader = members.trailing_zeros();
            w.put(i.places[0], members, &[leader; 32]);
            w.put_predicate(i.places[1], members, 1 << (leader & 31));
        }
        Step::Next
    })
}
