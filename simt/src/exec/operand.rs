//! What the modifiers and the address of a memory instruction say.

use super::access::*;
use super::program::Place;
use super::touch::{Order, Scope, Touch};
use crate::ptx::Result;
use crate::ptx::decode::instr::{Address, Instr};
use crate::ptx::decode::scope::Symbol;
use crate::ptx::types::Space;

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
pub(super) fn take_scope(i: &mut Instr<'_, '_, '_>) -> Option<Scope> {
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
pub(super) fn take_vector(i: &mut Instr<'_, '_, '_>) -> u32 {
    let count = [2, 4, 8][..]
        .get(i.one_of(&["v2", "v4", "v8"]).unwrap_or(3))
        .copied()
        .unwrap_or(1);
    i.aux |= count << COUNT_SHIFT;
    count
}
