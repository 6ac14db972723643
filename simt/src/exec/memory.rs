//! Loads and stores (PTX ISA, "Data Movement and Conversion Instructions": `ld`, `ldu`, `st`, `cvta`,
//! `isspacep`, `prefetch`, fences).

use super::access::*;
use super::facts::{Class, Effect};
use super::lanes::{Value, closure, versions};
use super::program::{Exec, Inst, NONE, Place, Step};
use super::touch::{Kind, Order, Scope, Touch};
use super::warp::Warp;
use super::{Entry, For};
use crate::memory::{LOCAL_WINDOW, PARAM_WINDOW, SHARED_WINDOW, WINDOW_MASK};
use crate::ptx::Result;
use crate::ptx::ast::Operand;
use crate::ptx::decode::emit::Raw;
use crate::ptx::decode::instr::{Address, Instr, Use};
use crate::ptx::decode::scope::Symbol;
use crate::ptx::error;
use crate::ptx::types::{Space, Type};

pub const TABLE: &[Entry] = &[
    Entry("ld", For::All, load),
    Entry("ldu", For::All, load),
    Entry("st", For::All, store),
    Entry("cvta", For::All, convert_address),
    Entry("isspacep", For::All, is_in_space),
    Entry("prefetch", For::All, prefetch),
    Entry("prefetchu", For::All, prefetch),
    Entry("applypriority", For::All, prefetch),
    Entry("membar", For::All, fence),
    Entry("fence", For::All, fence),
];

/// What an access's modifiers and address say.
pub struct Access {
    pub space: Space,
    pub symbol: Option<Symbol>,
    /// The base, what is added to it, and bits of [`super::access`].
    pub place: Place,
    pub offset: u64,
    pub flags: u32,
}

/// How an access's modifiers say that it is ordered and cached.
pub struct Semantics {
    pub order: Order,
    pub scope: Scope,
    pub non_coherent: bool,
}

impl Semantics {
    /// The access as these say.
    pub fn of(&self, mut touch: Touch) -> Touch {
        touch.order = self.order;
        touch.scope = self.scope;
        touch.non_coherent = self.non_coherent;
        touch
    }
}

/// Takes the modifiers that say how an access is ordered and cached.
pub fn take_ordering(i: &mut Instr<'_, '_, '_>) -> Semantics {
    const ORDERS: [(&str, Order); 6] = [
        ("volatile", Order::Volatile),
        ("relaxed", Order::Relaxed),
        ("acquire", Order::Acquire),
        ("release", Order::Release),
        ("mmio", Order::Mmio),
        ("acq_rel", Order::AcqRel),
    ];
    let order = match i.one_of(&ORDERS.map(|(name, _)| name)) {
        Some(index) => {
            i.aux |= STRONG;
            ORDERS[index].1
        }
        None => Order::Weak,
    };
    i.flag("weak");
    let scope = take_scope(i).unwrap_or(Scope::Sys);
    i.one_of(&["ca", "cg", "cs", "cv", "lu", "wb", "wt"]);
    let non_coherent = i.flag("nc");
    i.flag("unified");
    let hint = |m: &str| m.starts_with("L1::") || m.starts_with("L2::");
    while i.modifier(|m| hint(m).then_some(())).is_some() {}
    Semantics {
        order,
        scope,
        non_coherent,
    }
}

/// Takes a scope, if one is said.
fn take_scope(i: &mut Instr<'_, '_, '_>) -> Option<Scope> {
    let index = i.one_of(&["cta", "cluster", "gpu", "sys"])?;
    Some([Scope::Cta, Scope::Cluster, Scope::Gpu, Scope::Sys][index])
}

/// Takes an address operand, in the space that the modifiers have said.
pub fn take_address(i: &mut Instr<'_, '_, '_>, space: Space) -> Result<Access> {
    let Address { symbol, bits } = i.address()?;
    if bits == 32 {
        i.aux |= BASE_32;
    }
    let space = match (space, symbol) {
        // `ld [variable]` without a space means the variable's.
        (Space::Generic, Some(symbol)) => symbol.space(),
        (space, _) => space,
    };
    if let Some(found) = symbol
        && found.space() != space
        && space != Space::Generic
    {
        return i.error(format_args!(
            "a variable in {:?} memory as {space:?}",
            found.space()
        ));
    }
    if matches!(symbol, Some(Symbol::Local(_) | Symbol::FrameParam(_))) {
        i.aux |= FRAME;
    }
    Ok(Access {
        space,
        symbol,
        place: i.last(),
        offset: i.imm,
        flags: i.aux & (BASE_32 | FRAME),
    })
}

/// Number of elements that `.v2`, `.v4` or `.v8` say.
fn take_vector(i: &mut Instr<'_, '_, '_>) -> u32 {
    let count = [2, 4, 8][..]
        .get(i.one_of(&["v2", "v4", "v8"]).unwrap_or(3))
        .copied()
        .unwrap_or(1);
    i.aux |= count << COUNT_SHIFT;
    count
}

/// Makes an [`Exec`] for the kind of memory that an access goes to.
macro_rules! in_space {
    ($access:expr, $make:ident::<$($t:ty),*>($f:expr)) => {
        match ($access.space, $access.symbol) {
            (Space::Global | Space::Const, _) => $make::<Global, $($t,)* _>($f),
            (Space::Shared, _) => $make::<Shared, $($t,)* _>($f),
            (Space::Local, _) | (Space::Param, Some(Symbol::FrameParam(_))) => $make::<Local, $($t,)* _>($f),
            (Space::Param, Some(_)) => $make::<EntryParam, $($t,)* _>($f),
            // A parameter's address in a register is generic here.
            _ => $make::<Generic, $($t,)* _>($f),
        }
    };
}

/// The memory and register types of a load or store, and a function between them.
macro_rules! by_widths {
    ($i:ident, $access:expr, $ty:expr, $register:expr, $make:ident, $(($tys:pat, $bits:literal) => $m:ty, $d:ty, $f:expr;)*) => {
        match ($ty, $register) {
            $(($tys, $bits) => in_space!($access, $make::<$m, $d>($f)),)*
            _ => return $i.refuse(),
        }
    };
}

fn load(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.facts.class = Class::Load;
    let semantics = take_ordering(i);
    let space = i.space();
    let count = take_vector(i);
    let ty = i.ty()?;
    let elements = i.elements()?;
    if elements.len() != count as usize {
        return i.error(format_args!(
            "expected {count} registers, found {}",
            elements.len()
        ));
    }
    let mut register = 0;
    for (index, element) in elements.iter().enumerate() {
        let bits = match element {
            Operand::Name("_", None) if register != 0 => {
                let same = [Type::B16, Type::B32, Type::B64, Type::B128]
                    .into_iter()
                    .find(|t| t.bits() == register);
                i.dst_wide(element, same.unwrap_or(ty))?
            }
            _ => i.dst_wide(element, ty)?,
        };
        if index > 0 && bits != register {
            return i.error("registers of different widths");
        }
        register = bits;
    }
    i.in_list = count > 4;
    let access = take_address(i, space)?;
    i.facts
        .touch(semantics.of(Touch::new(Kind::Read, &access, ty.bytes(), count)));
    if i.left() > 0 {
        // A cache policy.
        i.src(Type::B64)?;
        i.uses.pop();
    }
    use Type::*;
    Ok(by_widths!(i, access, ty, register, read,
        (B8 | U8 | E4m3 | E5m2, 16) => u8, u16, |m: u8| u16::from(m);
        (B8 | U8, 32) => u8, u32, |m: u8| u32::from(m);
        (B8 | U8, 64) => u8, u64, |m: u8| u64::from(m);
        (S8, 16) => i8, i16, |m: i8| i16::from(m);
        (S8, 32) => i8, i32, |m: i8| i32::from(m);
        (S8, 64) => i8, i64, |m: i8| i64::from(m);
        (B16 | U16 | S16 | F16 | Bf16, 16) => u16, u16, |m: u16| m;
        (B16 | U16 | F16 | Bf16, 32) => u16, u32, |m: u16| u32::from(m);
        (B16 | U16, 64) => u16, u64, |m: u16| u64::from(m);
        (S16, 32) => i16, i32, |m: i16| i32::from(m);
        (S16, 64) => i16, i64, |m: i16| i64::from(m);
        (B32 | U32 | S32 | F32 | F16x2 | Bf16x2, 32) => u32, u32, |m: u32| m;
        (B32 | U32 | F32, 64) => u32, u64, |m: u32| u64::from(m);
        (S32, 64) => i32, i64, |m: i32| i64::from(m);
        (B64 | U64 | S64 | F64 | F32x2, 64) => u64, u64, |m: u64| m;
        (B128, 128) => u128, u128, |m: u128| m;
    ))
}

fn store(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    if i.has("async") {
        return super::bulk_value::decode(i);
    }
    i.facts.class = Class::Store;
    let semantics = take_ordering(i);
    let space = i.space();
    let count = take_vector(i);
    let ty = i.ty()?;
    let access = take_address(i, space)?;
    i.facts
        .touch(semantics.of(Touch::new(Kind::Write, &access, ty.bytes(), count)));
    let elements = i.elements()?;
    if elements.len() != count as usize {
        return i.error(format_args!(
            "expected {count} registers, found {}",
            elements.len()
        ));
    }
    let mut register = 0;
    let mut widths = Vec::new();
    for element in elements {
        widths.push(i.src_wide(element, ty)?);
        register = register.max(widths[widths.len() - 1]);
    }
    // Constants have the type's own width; with wider registers beside them they are made again.
    if widths.iter().any(|bits| *bits != register) {
        i.uses.truncate(1);
        let wide = [Type::B16, Type::B32, Type::B64, Type::B128];
        let wide = wide
            .into_iter()
            .find(|t| t.bits() == register)
            .unwrap_or(ty);
        for element in elements {
            i.src_of(element, wide)?;
        }
    }
    i.in_list = count > 4;
    if let Some(touch) = &mut i.facts.touches[0] {
        touch.set_values(i.uses[1..].iter().map(|u| u.place), register / 8);
    }
    if i.left() > 0 {
        i.src(Type::B64)?;
        i.uses.pop();
    }
    if matches!(
        access.symbol,
        Some(Symbol::EntryParam(_) | Symbol::Const(_))
    ) {
        return i.error("a store to what cannot be written");
    }
    use Type::*;
    Ok(by_widths!(i, access, ty, register, write,
        (B8 | U8 | S8 | E4m3 | E5m2, 16) => u8, u16, |d: u16| d as u8;
        (B8 | U8 | S8, 32) => u8, u32, |d: u32| d as u8;
        (B8 | U8 | S8, 64) => u8, u64, |d: u64| d as u8;
        (B16 | U16 | S16 | F16 | Bf16, 16) => u16, u16, |d: u16| d;
        (B16 | U16 | S16, 32) => u16, u32, |d: u32| d as u16;
        (B16 | U16 | S16, 64) => u16, u64, |d: u64| d as u16;
        (B32 | U32 | S32 | F32 | F16x2 | Bf16x2, 32) => u32, u32, |d: u32| d;
        (B32 | U32 | S32, 64) => u32, u64, |d: u64| d as u32;
        (B64 | U64 | S64 | F64 | F32x2, 64) => u64, u64, |d: u64| d;
        (B128, 128) => u128, u128, |d: u128| d;
    ))
}

/// Whether lane after lane lies right behind the one before.
#[inline(always)]
fn is_contiguous(at: &Pointers, bytes: u64) -> bool {
    let mut apart = 0;
    for lane in 0..32 {
        apart |= at[lane] ^ (at[0] + lane as u64 * bytes);
    }
    apart == 0
}

/// The places of `count` elements and their address.
///
/// # Safety
/// The decoder took that many; the slice is not used beyond the instruction.
#[inline(always)]
unsafe fn places<'a>(w: &Warp, i: &Inst, count: usize) -> &'a [u32] {
    // SAFETY: the caller's promise; few places lie in the instruction, more in the program's lists,
    // and both outlive the run.
    unsafe {
        let places = if count > 4 {
            w.list(i, count + 1)
        } else {
            &i.places[..]
        };
        std::slice::from_raw_parts(places.as_ptr(), count + 1)
    }
}

fn read<S: Memory, M: Value, D: Value, F: Fn(M) -> D + Copy + 'static>(_: F) -> Exec {
    #[inline(always)]
    unsafe fn body<S: Memory, M: Value, D: Value, F: Fn(M) -> D + Copy + 'static>(
        w: &mut Warp,
        i: &Inst,
        mask: u32,
    ) -> Step {
        // SAFETY: the decoder checked the places, `pointers` the addresses; a program whose threads
        // race gets one of the values that were there, as the plain loads of the host give it.
        unsafe {
            let f = closure::<F>();
            let count = (i.aux >> COUNT_SHIFT) as usize;
            let places = places(w, i, count);
            let mut at = addresses(w, i, places[count], mask);
            if let Err(step) = S::pointers(w, i, &mut at, (count * size_of::<M>()) as u32) {
                return step;
            }
            if i.aux & STRONG != 0 {
                w.spin();
            }
            let mut out = [D::default(); 32];
            if count == 1 && mask == !0 && is_contiguous(&at, size_of::<M>() as u64) {
                let values = (at[0] as *const [M; 32]).read_unaligned();
                for lane in 0..32 {
                    out[lane] = f(values[lane]);
                }
                w.put(places[0], mask, &out);
                return Step::Next;
            }
            for (index, place) in places[..count].iter().enumerate() {
                for lane in 0..32 {
                    out[lane] = f((at[lane] as *const M).add(index).read_unaligned());
                }
                w.put(*place, mask, &out);
            }
        }
        Step::Next
    }
    versions!(body::<S, M, D, F> where S: Memory, M: Value, D: Value, F: Fn(M) -> D + Copy + 'static)
}

fn write<S: Memory, M: Value, D: Value, F: Fn(D) -> M + Copy + 'static>(_: F) -> Exec {
    #[inline(always)]
    unsafe fn body<S: Memory, M: Value, D: Value, F: Fn(D) -> M + Copy + 'static>(
        w: &mut Warp,
        i: &Inst,
        mask: u32,
    ) -> Step {
        // SAFETY: as for `read`.
        unsafe {
            let f = closure::<F>();
            let count = (i.aux >> COUNT_SHIFT) as usize;
            let places = places(w, i, count);
            let mut at = addresses(w, i, places[0], mask);
            if let Err(step) = S::writable(w, i, &mut at, (count * size_of::<M>()) as u32) {
                return step;
            }
            for (index, place) in places[1..].iter().enumerate() {
                let row = w.row::<D>(*place);
                if mask == !0 {
                    if count == 1 && is_contiguous(&at, size_of::<M>() as u64) {
                        let values: &mut [M; 32] = &mut *(at[0] as *mut [M; 32]);
                        for lane in 0..32 {
                            values[lane] = f(row[lane]);
                        }
                        continue;
                    }
                    for lane in 0..32 {
                        (at[lane] as *mut M)
                            .add(index)
                            .write_unaligned(f(row[lane]));
                    }
                    continue;
                }
                let mut left = mask;
                while left != 0 {
                    let lane = left.trailing_zeros() as usize;
                    left &= left - 1;
                    (at[lane] as *mut M)
                        .add(index)
                        .write_unaligned(f(row[lane]));
                }
            }
        }
        Step::Next
    }
    versions!(body::<S, M, D, F> where S: Memory, M: Value, D: Value, F: Fn(D) -> M + Copy + 'static)
}

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
