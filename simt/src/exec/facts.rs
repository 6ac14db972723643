//! What an instruction is to those who watch it: its class, its floating-point operations, how it
//! makes threads wait for one another, and what memory it touches.
//!
//! A family's decoder says it where it gives the semantics. The executor itself reads none of it.

use super::pieces::Mover;
use super::program::{NONE, Place};
use super::touch::{Order, Scope, Touch};
use crate::ptx::types::{Space, Type};

/// What kind of work an instruction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Class {
    /// No instruction of the text: a mark for threads that meet, a copy around a call.
    #[default]
    Implied,
    Integer,
    F32,
    F64,
    /// f16 and bf16, single and packed.
    Half,
    Convert,
    /// Register to register.
    Move,
    /// Comparisons, selections, logic of predicates.
    Predicate,
    /// Divisions, roots, reciprocals, exponentials, logarithms, trigonometric functions.
    Special,
    /// `mma`, `wgmma`.
    Tensor,
    Control,
    /// Loads, `ldmatrix` too; [`Facts::name`] says from where.
    Load,
    Store,
    /// `atom`, `red`.
    Atomic,
    /// `cp.async` and what waits for it.
    AsyncCopy,
    /// Barriers of the block.
    Barrier,
    /// Instructions in which the threads of a warp see one another.
    Warp,
    Fence,
    Other,
}

impl Class {
    /// The class of an instruction of a family, which may depend on the type that it ends in.
    pub fn of(family: Class, last: Option<Type>) -> Class {
        use Type::*;
        match (family, last) {
            (Class::F32, Some(F64)) => Class::F64,
            (Class::F32, Some(F16 | Bf16 | F16x2 | Bf16x2)) => Class::Half,
            (Class::Integer, Some(Pred)) => Class::Predicate,
            _ => family,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Class::Implied => "implied",
            Class::Integer => "integer",
            Class::F32 => "f32",
            Class::F64 => "f64",
            Class::Half => "half",
            Class::Convert => "convert",
            Class::Move => "move",
            Class::Predicate => "predicate",
            Class::Special => "special",
            Class::Tensor => "tensor",
            Class::Control => "control",
            Class::Load => "load",
            Class::Store => "store",
            Class::Atomic => "atomic",
            Class::AsyncCopy => "async copy",
            Class::Barrier => "barrier",
            Class::Warp => "warp",
            Class::Fence => "fence",
            Class::Other => "other",
        }
    }
}

/// Arithmetic of an instruction: operations of one lane, but for the tensor's, which are the warp's. An
/// addition or multiplication is one operation, a fused one two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Work {
    #[default]
    None,
    Half(u32),
    F32(u32),
    F64(u32),
    /// Products of floating-point matrices.
    Tensor(u32),
    /// Products of integer matrices.
    TensorInteger(u32),
}

/// What an instruction does to the order in which threads run and memory changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effect {
    #[default]
    None,
    /// The threads of the mask at `members` execute it together; [`NONE`]: all of the warp. `orders`:
    /// what they did before it happens before what they do after it.
    Warp {
        members: Place,
        orders: bool,
    },
    /// A barrier of the block: rows of 32 bits with its index and the count of threads, [`NONE`]: all of
    /// the block. `waits`: not `arrive`.
    Barrier {
        index: Place,
        count: Place,
        waits: bool,
        /// `.aligned`: all threads of the warp execute the same one.
        aligned: bool,
    },
    Fence {
        order: Order,
        scope: Scope,
        /// Between the generic proxy and another one.
        proxy: bool,
    },
    /// Ends the `cp.async` group that the threads are filling.
    CopyCommit,
    /// Waits for all `cp.async` groups but so many; `None`: for everything, committed or not.
    CopyWait {
        keep: Option<u32>,
    },
    /// Looks whether an mbarrier has completed a phase, and may wait for it.
    MbarrierWait,
    /// Arrives at the barrier of the cluster. `releases`: what the threads did before happens before what
    /// others do behind it.
    ClusterArrive {
        releases: bool,
    },
    /// Waits for the threads of the cluster.
    ClusterWait,
    /// Ends the bulk group that the threads are filling.
    BulkCommit,
    /// Waits for all bulk groups but so many, or only for what they read.
    BulkWait {
        keep: u32,
        only_reads: bool,
    },
    WgmmaFence,
    WgmmaCommit,
    /// Waits for all `wgmma` groups but so many.
    WgmmaWait {
        keep: u32,
    },
    Exit,
    /// Returns, or exits where nothing has called: see `Warp::is_called`.
    Return,
}

/// All that is known of an instruction besides its semantics.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    pub class: Class,
    pub work: Work,
    pub effect: Effect,
    /// Of a copy, first what is read, then what is written.
    pub touches: [Option<Touch>; 2],
    /// Memory is touched that no [`Touch`] can say: `exec::pieces` does.
    pub mover: Option<Mover>,
}

impl Facts {
    /// Facts of a class of which nothing more is known.
    pub fn of(class: Class) -> Facts {
        Facts {
            class,
            ..Facts::default()
        }
    }

    /// Adds a piece of memory that the instruction touches.
    pub fn touch(&mut self, touch: Touch) {
        if let Some(free) = self.touches.iter_mut().find(|t| t.is_none()) {
            *free = Some(touch);
        }
    }

    /// Whether nobody has to see the instruction.
    pub fn is_silent(&self) -> bool {
        self.class == Class::Implied && self.effect == Effect::None && self.touches[0].is_none()
    }

    /// The class, for memory with the state space: `load.global`, `store.shared`, `integer`.
    pub fn name(&self) -> &'static str {
        let space = |names: [&'static str; 6]| match self.touches[0].map(|t| t.space) {
            Some(Space::Global) => names[0],
            Some(Space::Shared) => names[1],
            Some(Space::Local) => names[2],
            Some(Space::Const) => names[3],
            Some(Space::Param) => names[4],
            _ => names[5],
        };
        match self.class {
            Class::Load => space([
                "load.global",
                "load.shared",
                "load.local",
                "load.const",
                "load.param",
                "load.generic",
            ]),
            Class::Store => space([
                "store.global",
                "store.shared",
                "store.local",
                "store",
                "store.param",
                "store.generic",
            ]),
            Class::Atomic => space([
                "atomic.global",
                "atomic.shared",
                "atomic",
                "atomic",
                "atomic",
                "atomic.generic",
            ]),
            class => class.name(),
        }
    }

    /// Replaces virtual registers by their places in the frame.
    pub fn map_places(&mut self, place: impl Fn(Place) -> Place) {
        self.touches
            .iter_mut()
            .flatten()
            .for_each(|t| t.map_places(&place));
        match &mut self.effect {
            Effect::Warp { members, .. } => *members = place(*members),
            Effect::Barrier { index, count, .. } => {
                *index = place(*index);
                *count = place(*count);
            }
            _ => {}
        }
    }

    /// The threads of a `.sync` instruction: `members` is its mask's operand, or [`NONE`] for all.
    pub fn together(&mut self, members: Option<Place>) {
        self.effect = Effect::Warp {
            members: members.unwrap_or(NONE),
            orders: false,
        };
    }
}
