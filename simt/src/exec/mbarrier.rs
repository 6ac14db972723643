//! Barriers in shared memory that count arrivals and bytes of asynchronous copies (PTX ISA, "Parallel
//! Synchronization and Communication Instructions: mbarrier").

use super::bulk::{Completion, Operation, Work};
use super::facts::Effect;
use super::fault::Fault;
use super::mbarrier_object::{MOST, Mbarrier, change};
use super::program::{Exec, Inst, NONE, Step};
use super::touch::{Kind, Order, Scope, Touch};
use super::warp::Warp;
use super::{Entry, For, reach};
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Space;
use crate::ptx::types::Type::*;

pub const TABLE: &[Entry] = &[Entry("mbarrier", For::All, decode)];

/// In `aux`: the address register has 32 bits; what is done; how.
pub const NARROW: u32 = 1;
pub const GENERIC: u32 = 2;
const DROP: u32 = 4;
const NO_COMPLETE: u32 = 8;
const EXPECT: u32 = 16;
pub const PARITY: u32 = 32;
pub const TRY: u32 = 64;
const COMPLETE: u32 = 128;
const NO_INCREMENT: u32 = 256;

/// Places: 0 the result, 1 and 2 the address, 3 the operand. The answer is `order`, or what the text says
/// instead.
fn take(i: &mut Instr<'_, '_, '_>, order: Order) -> Result<Order> {
    let is_relaxed = i.one_of(&["release", "acquire", "relaxed"]) == Some(2);
    i.one_of(&["cta", "cluster"]);
    let space = i.space();
    if i.modifier(|m| (m == "b64").then_some(())).is_none() {
        return i.refuse();
    }
    if !matches!(space, Space::Shared | Space::Generic) {
        return i.refuse();
    }
    if space == Space::Generic {
        i.aux |= GENERIC;
    }
    Ok(if is_relaxed { Order::Relaxed } else { order })
}

/// The barrier's address; `kind` and `order` say what the instruction does to it.
fn take_barrier(i: &mut Instr<'_, '_, '_>, kind: Kind, order: Order) -> Result<()> {
    let space = if i.aux & GENERIC != 0 {
        Space::Generic
    } else {
        Space::Shared
    };
    let access = reach::take(i, space, NARROW)?;
    let mut touch = Touch::new(kind, &access, 8, 1);
    (touch.order, touch.scope) = (order, Scope::Cluster);
    i.facts.touch(touch);
    Ok(())
}

fn decode(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    let operations = [
        "init",
        "inval",
        "arrive",
        "arrive_drop",
        "test_wait",
        "try_wait",
        "pending_count",
    ];
    let operation = i.one_of(&operations).map(|at| operations[at]);
    match operation {
        Some("init") => {
            take(i, Order::Weak)?;
            i.push(NONE, true);
            take_barrier(i, Kind::Write, Order::Weak)?;
            i.src(U32)?;
            Ok(initialise)
        }
        Some("inval") => {
            take(i, Order::Weak)?;
            i.push(NONE, true);
            take_barrier(i, Kind::Write, Order::Weak)?;
            Ok(initialise)
        }
        Some(arrival @ ("arrive" | "arrive_drop")) => {
            if arrival == "arrive_drop" {
                i.aux |= DROP;
            }
            if i.flag("noComplete") {
                i.aux |= NO_COMPLETE;
            }
            if i.flag("expect_tx") {
                i.aux |= EXPECT;
            }
            let order = take(i, Order::Release)?;
            i.dst(B64)?;
            take_barrier(i, Kind::Atomic, order)?;
            if i.left() > 0 {
                i.src(U32)?;
            } else if i.aux & (EXPECT | NO_COMPLETE) != 0 {
                return i.error("too few operands");
            }
            Ok(arrive)
        }
        Some(wait @ ("test_wait" | "try_wait")) => {
            if wait == "try_wait" {
                i.aux |= TRY;
            }
            let parity = i.flag("parity");
            let order = take(i, Order::Acquire)?;
            i.dst(Pred)?;
            take_barrier(i, Kind::Read, order)?;
            if parity {
                i.aux |= PARITY;
                i.src(U32)?;
            } else {
                i.src(B64)?;
            }
            if i.aux & TRY != 0 && i.left() > 0 {
                // How long to wait is a hint.
                i.src(U32)?;
                i.uses.pop();
            }
            i.facts.effect = Effect::MbarrierWait;
            Ok(super::mbarrier_wait::wait_for_phase)
        }
        Some(_) => {
            if i.modifier(|m| (m == "b64").then_some(())).is_none() {
                return i.refuse();
            }
            i.dst(U32)?;
            i.src(B64)?;
            Ok(super::lanes::map1(|state: u64| state as u32 & MOST))
        }
        None => {
            i.aux |= match i.one_of(&["expect_tx", "complete_tx"]) {
                Some(0) => EXPECT,
                Some(_) => COMPLETE,
                None => return i.refuse(),
            };
            take(i, Order::Relaxed)?;
            i.push(NONE, true);
            take_barrier(i, Kind::Atomic, Order::Relaxed)?;
            i.src(U32)?;
            Ok(count_bytes)
        }
    }
}

/// Does something to the barrier of each lane.
#[inline(always)]
unsafe fn each(
    w: &mut Warp,
    i: &Inst,
    mask: u32,
    mut f: impl FnMut(&mut Warp, usize, *mut u64, u64) -> std::result::Result<(), Fault>,
) -> Step {
    // SAFETY: the decoder took the address's places.
    let addresses = unsafe { w.address_rows(&i.places, 1, i.aux & NARROW != 0) };
    let space = if i.aux & GENERIC != 0 {
        Space::Generic
    } else {
        Space::Shared
    };
    for lane in (0..32).filter(|lane| mask >> lane & 1 != 0) {
        let done = w
            .reach(space, addresses[lane], 8, 8)
            .and_then(|at| f(w, lane, at.cast(), addresses[lane]));
        if let Err(fault) = done {
            return w.fail(fault);
        }
    }
    w.block().stir();
    Step::Next
}

/// The operand in a lane, or a default.
unsafe fn operand(w: &Warp, i: &Inst, lane: usize, default: u32) -> u32 {
    match i.places[3] {
        NONE => default,
        // SAFETY: the decoder took a row of 32 bits.
        place => unsafe { w.row::<u32>(place)[lane] },
    }
}

/// `mbarrier.init [a], count`; without an operand `mbarrier.inval [a]`.
fn initialise(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    // SAFETY: the decoder took these operands; `each` checks the addresses.
    unsafe {
        each(w, i, mask, |w, lane, at, address| {
            let count = operand(w, i, lane, 0);
            let is_init = i.places[3] != NONE;
            if is_init && !(1..=MOST).contains(&count) {
                let problem = "a count that is not from 1 to 2^20 - 1";
                return Err(Fault::Mbarrier { address, problem });
            }
            let barrier = Mbarrier {
                pending: count,
                expected: count,
                bytes: 0,
                parity: 0,
            };
            at.write(if is_init { barrier.encode() } else { 0 });
            Ok(())
        })
    }
}

fn arrive(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    let mut states = [0u64; 32];
    // SAFETY: as for `initialise`.
    unsafe {
        let step = each(w, i, mask, |w, lane, at, address| {
            let operand = operand(w, i, lane, 1);
            states[lane] = change(at, address, |barrier| {
                let mut count = operand;
                if i.aux & EXPECT != 0 {
                    barrier.expect(operand.into())?;
                    count = 1;
                }
                if i.aux & DROP != 0 {
                    let left = barrier.expected.checked_sub(count);
                    barrier.expected = left.ok_or("more drops than arrivals are expected")?;
                }
                let parity = barrier.parity;
                barrier.arrive(count)?;
                if i.aux & NO_COMPLETE != 0 && barrier.parity != parity {
                    return Err("an arrival with .noComplete that completes the phase");
                }
                Ok(())
            })?;
            Ok(())
        });
        w.put(i.places[0], mask, &states);
        step
    }
}

fn count_bytes(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    // SAFETY: as for `initialise`.
    unsafe {
        each(w, i, mask, |w, lane, at, address| {
            let bytes = i64::from(operand(w, i, lane, 0));
            let sign = if i.aux & COMPLETE != 0 { -1 } else { 1 };
            change(at, address, |barrier| {
                barrier.expect(sign * bytes)?;
                barrier.settle();
                Ok(())
            })?;
            Ok(())
        })
    }
}

/// `cp.async.mbarrier.arrive{.noinc}{.shared}.b64 [a]`: an arrival once the thread's copies have landed.
pub fn arrive_after_copies(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.flag("mbarrier");
    if !i.flag("arrive") {
        return i.refuse();
    }
    if i.flag("noinc") {
        i.aux |= NO_INCREMENT;
    }
    take(i, Order::Release)?;
    i.push(NONE, true);
    take_barrier(i, Kind::Atomic, Order::Release)?;
    // Who waits for the barrier waits for the copies.
    i.facts.effect = Effect::CopyWait { keep: None };
    Ok(|w, i, mask| {
        // SAFETY: as for `initialise`; copies were checked when they started.
        unsafe {
            each(w, i, mask, |w, lane, at, address| {
                change(at, address, |barrier| {
                    if i.aux & NO_INCREMENT == 0 {
                        barrier.pending += 1;
                        if barrier.pending > MOST {
                            return Err("more arrivals than a phase can count");
                        }
                    }
                    Ok(())
                })?;
                let operation = Operation {
                    barrier: at,
                    address,
                    completion: Completion::Arrival,
                    work: Work::Copies(w.copies.take(lane)),
                    owner: Some(w.first_thread + lane as u32),
                };
                w.block().operations.borrow_mut().push(operation);
                Ok(())
            })
        }
    })
}
