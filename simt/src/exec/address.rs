//! Addresses, caches and fences (PTX ISA, `cvta`, `isspacep`, `prefetch`, `applypriority`, `discard`,
//! `membar`, `fence`).

use super::access::{Global, Memory, addresses};
use super::facts::{Class, Effect};
use super::operand::{take_address, take_scope};
use super::program::{Exec, Step};
use super::touch::{Kind, Order, Scope, Touch};
use super::{Entry, For};
use crate::memory::{LOCAL_WINDOW, PARAM_WINDOW, SHARED_WINDOW, WINDOW_MASK};
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::{Space, Type};

pub const TABLE: &[Entry] = &[
    Entry("cvta", For::All, convert_address),
    Entry("isspacep", For::All, is_in_space),
    Entry("prefetch", For::All, prefetch),
    Entry("prefetchu", For::All, prefetch),
    Entry("applypriority", For::All, prefetch),
    Entry("discard", For::All, discard),
    Entry("membar", For::All, fence),
    Entry("fence", For::All, fence),
];

/// `cvta.space` adds a window, `cvta.to.space` takes it away.
fn convert_address(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    use super::lanes::map1;
    i.facts.class = Class::Integer;
    let to = i.flag("to");
    let space = i.space();
    let ty = i.ty()?;
    i.unary(ty)?;
    if ty == Type::U32 {
        return i.error("only 64-bit addresses are supported");
    }
    Ok(match (space, to) {
        (Space::Global | Space::Const, _) => map1(|a: u64| a),
        // Compilers take the address of a parameter in 32 bits, which leaves its window out.
        (Space::Param, false) => map1(|a: u64| match a & WINDOW_MASK {
            0 => a.wrapping_add(PARAM_WINDOW),
            _ => a,
        }),
        (Space::Param, true) => map1(|a: u64| a),
        (Space::Shared, false) => map1(|a: u64| a.wrapping_add(SHARED_WINDOW)),
        (Space::Shared, true) => map1(|a: u64| a.wrapping_sub(SHARED_WINDOW)),
        (Space::Local, false) => map1(|a: u64| a.wrapping_add(LOCAL_WINDOW)),
        (Space::Local, true) => map1(|a: u64| a.wrapping_sub(LOCAL_WINDOW)),
        _ => return i.refuse(),
    })
}

fn is_in_space(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.facts.class = Class::Predicate;
    if !i.has("shared::cluster") && (i.has("shared") || i.has("shared::cta")) {
        i.space();
        i.dst(Type::Pred)?;
        i.src(Type::B64)?;
        return Ok(|w, i, mask| {
            // SAFETY: the decoder took a predicate and a row of 64 bits.
            unsafe {
                let a = *w.row::<u64>(i.places[1]);
                let own = |a: u64| {
                    let found = a & WINDOW_MASK == SHARED_WINDOW;
                    found && [0, w.block().rank + 1].contains(&(a as u32 >> 24))
                };
                let lanes = super::lanes::lanes_where(|l| own(a[l]));
                w.put_predicate(i.places[0], mask, lanes);
            }
            Step::Next
        });
    }
    i.aux = match i.space() {
        Space::Global | Space::Const => 0,
        Space::Shared => (SHARED_WINDOW >> 56) as u32,
        Space::Local => (LOCAL_WINDOW >> 56) as u32,
        Space::Param => (PARAM_WINDOW >> 56) as u32,
        _ => return i.refuse(),
    };
    i.dst(Type::Pred)?;
    i.src(Type::B64)?;
    Ok(|w, i, mask| {
        // SAFETY: the decoder took a predicate and a row of 64 bits.
        unsafe {
            let a = *w.row::<u64>(i.places[1]);
            let window = u64::from(i.aux) << 56;
            let lanes = super::lanes::lanes_where(|l| a[l] & WINDOW_MASK == window);
            w.put_predicate(i.places[0], mask, lanes);
        }
        Step::Next
    })
}

/// There are no caches to fill.
fn prefetch(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.space();
    let hint = |m: &str| m.starts_with("L1") || m.starts_with("L2");
    while i.modifier(|m| hint(m).then_some(())).is_some() {}
    i.flag("tensormap");
    i.address()?;
    if i.left() > 0 {
        i.immediate()?;
    }
    i.uses.clear();
    Ok(super::control::nothing)
}

/// Bytes of a line of the L2 cache.
const LINE: u32 = 128;
/// What is in a discarded line: of f32 and bf16, NaN, which no sum forgets.
const INDETERMINATE: u8 = 0xff;

/// `discard.L2 [a], 128` gives up a line: whoever reads it before it is written again gets anything. Generic
/// addresses have to be global ones, which are the same.
fn discard(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.facts.class = Class::Store;
    let space = i.space();
    if !matches!(space, Space::Global | Space::Generic) || !i.flag("L2") {
        return i.refuse();
    }
    let access = take_address(i, Space::Global)?;
    i.facts.touch(Touch::new(Kind::Discard, &access, LINE, 1));
    if i.immediate()? != i64::from(LINE) {
        return i.error("expected a size of 128");
    }
    Ok(|w, i, mask| {
        // SAFETY: the decoder took the address of a row; `writable` checks where the lines lie.
        unsafe {
            let mut at = addresses(w, i, i.places[0], mask);
            if let Err(step) = Global::writable(w, i, &mut at, LINE) {
                return step;
            }
            for line in at {
                (line as *mut u8).write_bytes(INDETERMINATE, LINE as usize);
            }
        }
        Step::Next
    })
}

/// A warp's accesses happen in the order of the program; between host threads a fence is one.
fn fence(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    // `membar` orders as `fence.sc` does.
    let order = match i.one_of(&["sc", "acq_rel", "acquire", "release"]) {
        None if i.opcode == "membar" => Order::Sc,
        Some(0) => Order::Sc,
        Some(2) => Order::Acquire,
        Some(3) => Order::Release,
        _ => Order::AcqRel,
    };
    let scope = match take_scope(i) {
        None if i.flag("gl") => Scope::Gpu,
        scope => scope.unwrap_or(Scope::Sys),
    };
    let proxy = i.flag("proxy")
        || i.modifier(|m| m.starts_with("proxy").then_some(()))
            .is_some();
    i.facts.class = Class::Fence;
    i.facts.effect = Effect::Fence {
        order,
        scope,
        proxy,
    };
    if proxy {
        i.modifier(|m| {
            (m.starts_with("async") || m.starts_with("tensormap") || m == "alias").then_some(())
        });
        i.space();
        if i.left() > 0 {
            // `fence.proxy.tensormap::generic.acquire.scope [a], 128`
            i.address()?;
            i.immediate()?;
            i.uses.clear();
        }
    }
    i.flag("mbarrier_init");
    i.modifier(|m| m.starts_with("sync_restrict").then_some(()));
    Ok(|_, _, _| {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        Step::Next
    })
}
