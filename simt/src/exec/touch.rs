//! A piece of memory that an instruction touches: where each lane's address comes from, how many bytes,
//! and how the access is ordered.

use super::access::{BASE_32, FRAME};
use super::call::frame_offset;
use super::operand::Access;
use super::program::{NONE, Place};
use super::warp::Warp;
use crate::numeric::matrix::descriptor::{Descriptor, Major};
use crate::ptx::decode::scope::Symbol;
use crate::ptx::types::Space;

/// What happens to the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
    /// Read and written in one step: `atom`, and `red`, which gives no result.
    Atomic,
    /// Source and destination of a copy whose bytes land later.
    CopyFrom,
    CopyTo,
    /// What a copy makes one with what is there.
    Reduce,
    /// Brought near, and used by nobody yet.
    Prefetch,
    /// Given up: a write of nothing in particular, which need not reach memory.
    Discard,
}

impl Kind {
    pub fn reads(self) -> bool {
        matches!(
            self,
            Kind::Read | Kind::Atomic | Kind::CopyFrom | Kind::Reduce
        )
    }

    pub fn writes(self) -> bool {
        matches!(
            self,
            Kind::Write | Kind::Atomic | Kind::CopyTo | Kind::Reduce | Kind::Discard
        )
    }
}

/// Memory ordering (PTX ISA, "Memory Consistency Model").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    #[default]
    Weak,
    Volatile,
    Mmio,
    Relaxed,
    Acquire,
    Release,
    AcqRel,
    /// Of fences alone.
    Sc,
}

/// Whom an ordered access is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Scope {
    #[default]
    Cta,
    Cluster,
    Gpu,
    Sys,
}

/// How many of a lane's bytes are touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Whole,
    /// No more than the row of 32 bits says.
    AtMost(Place),
    /// None where the predicate holds.
    Unless(Place),
}

/// How addresses come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Every lane of the mask gives its own; `ldmatrix` asks the first 8, 16 or all of them.
    Lanes(u32),
    /// A tile of shared memory by a `wgmma` descriptor, the same for all lanes.
    Tile {
        major: Major,
        /// Of an element.
        bits: u32,
        rows: u32,
        /// Each warp of the four touches its own rows, of which there are `rows`.
        by_warp: bool,
    },
}

/// A piece of memory that an instruction touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touch {
    pub kind: Kind,
    /// [`Space::Generic`]: each address says it, by its window ([`resolve`]).
    pub space: Space,
    /// Of a lane's element, and elements side by side.
    pub bytes: u32,
    pub count: u32,
    pub extent: Extent,
    pub form: Form,
    pub order: Order,
    pub scope: Scope,
    /// `.nc`: nobody writes it while the kernel runs.
    pub non_coherent: bool,
    place: Place,
    offset: u64,
    flags: u32,
    /// What a store of up to four elements stores, and the width of these registers in bytes.
    values: [Place; 4],
    register_bytes: u32,
}

impl Touch {
    /// `count` elements of `bytes` at an address operand, weakly ordered.
    pub fn new(kind: Kind, access: &Access, bytes: u32, count: u32) -> Touch {
        let space = match (access.space, access.symbol) {
            (Space::Global | Space::Const | Space::Shared | Space::Local, _) => access.space,
            (Space::Param, Some(Symbol::FrameParam(_))) => Space::Local,
            (Space::Param, Some(_)) => Space::Param,
            _ => Space::Generic,
        };
        Touch {
            kind,
            space,
            bytes,
            count,
            extent: Extent::Whole,
            form: Form::Lanes(!0),
            order: Order::Weak,
            scope: Scope::default(),
            non_coherent: false,
            place: access.place,
            offset: access.offset,
            flags: access.flags,
            values: [NONE; 4],
            register_bytes: 0,
        }
    }

    /// The registers that a store takes its elements from, of so many bytes each.
    pub fn set_values(&mut self, places: impl Iterator<Item = Place>, register_bytes: u32) {
        for (value, place) in self.values.iter_mut().zip(places) {
            *value = place;
        }
        self.register_bytes = register_bytes;
    }

    /// `bytes` at an offset in the function's frame of local memory.
    pub fn frame(kind: Kind, offset: u64, bytes: u32) -> Touch {
        let access = Access {
            space: Space::Local,
            symbol: None,
            place: NONE,
            offset,
            flags: FRAME,
        };
        Touch::new(kind, &access, bytes, 1)
    }

    /// A tile that the descriptor at `place` describes.
    pub fn tile(place: Place, form: Form) -> Touch {
        let access = Access {
            space: Space::Shared,
            symbol: None,
            place,
            offset: 0,
            flags: 0,
        };
        Touch {
            form,
            ..Touch::new(Kind::Read, &access, 16, 1)
        }
    }

    /// Replaces virtual registers by their places in the frame.
    pub fn map_places(&mut self, place: impl Fn(Place) -> Place) {
        self.place = place(self.place);
        self.values = self.values.map(&place);
        match &mut self.extent {
            Extent::Whole => {}
            Extent::AtMost(at) | Extent::Unless(at) => *at = place(*at),
        }
    }
}

/// The space that an address is in, and the address or offset there. Global and constant addresses are
/// the host's; offsets in shared memory count from the block's, in local memory from the thread's
/// first byte. `None`: in no memory.
pub fn resolve(space: Space, address: u64) -> Option<(Space, u64)> {
    use crate::memory::{LOCAL_WINDOW, PARAM_WINDOW, SHARED_WINDOW, WINDOW_MASK};
    if space != Space::Generic {
        return Some((space, address));
    }
    let space = match address & WINDOW_MASK {
        0 => Space::Global,
        SHARED_WINDOW => Space::Shared,
        LOCAL_WINDOW => Space::Local,
        PARAM_WINDOW => Space::Param,
        _ => return None,
    };
    Some((space, address & !WINDOW_MASK))
}

/// A [`Touch`] of an instruction that a warp is about to execute.
#[derive(Clone, Copy)]
pub struct Touched<'a> {
    warp: &'a Warp,
    mask: u32,
    touch: &'a Touch,
}

impl std::ops::Deref for Touched<'_> {
    type Target = Touch;

    fn deref(&self) -> &Touch {
        self.touch
    }
}

impl<'a> Touched<'a> {
    /// # Safety
    /// `touch` belongs to the instruction that `warp` is about to execute for the lanes in `mask`.
    pub(crate) unsafe fn new(warp: &'a Warp, mask: u32, touch: &'a Touch) -> Touched<'a> {
        Touched { warp, mask, touch }
    }

    /// The lanes that give addresses.
    pub fn lanes(&self) -> u32 {
        match self.form {
            Form::Lanes(lanes) => self.mask & lanes,
            Form::Tile { .. } => 0,
        }
    }

    /// Each lane's address, as the program computes it; those of lanes that are not in
    /// [`Touched::lanes`] mean nothing.
    #[inline]
    pub fn addresses(&self) -> [u64; 32] {
        let touch = self.touch;
        if touch.flags & FRAME != 0 {
            return [frame_offset(self.warp, touch.offset); 32];
        }
        if touch.place == NONE {
            return [touch.offset; 32];
        }
        // SAFETY: the decoder took a row of this width, and `new` was promised that the frame is that
        // of the instruction.
        unsafe {
            if touch.flags & BASE_32 != 0 {
                let base = self.warp.row::<u32>(touch.place);
                base.map(|a| u64::from(a).wrapping_add(touch.offset))
            } else {
                let base = self.warp.row::<u64>(touch.place);
                base.map(|a| a.wrapping_add(touch.offset))
            }
        }
    }

    /// Bytes that a lane touches.
    #[inline]
    pub fn lane_bytes(&self, lane: usize) -> u32 {
        let whole = self.bytes * self.count;
        // SAFETY: as in `addresses`.
        unsafe {
            match self.extent {
                Extent::Whole => whole,
                Extent::AtMost(place) => whole.min(self.warp.row::<u32>(place)[lane]),
                Extent::Unless(place) if self.warp.predicate(place) >> lane & 1 != 0 => 0,
                Extent::Unless(_) => whole,
            }
        }
    }

    /// The bytes that a lane stores, if they are known: see [`Touch::set_values`].
    pub fn stored(&self, lane: usize) -> Option<Vec<u8>> {
        let (bytes, width) = (self.bytes as usize, self.register_bytes as usize);
        let places = self.values.get(..self.count as usize)?;
        if places.contains(&NONE) || bytes > width || lane >= 32 {
            return None;
        }
        let mut stored = Vec::with_capacity(places.len() * bytes);
        for place in places {
            // SAFETY: the decoder took rows of this width, and the frame is the instruction's.
            let value = unsafe {
                let first = self.warp.at(*place).add(lane * width);
                std::slice::from_raw_parts(first, bytes)
            };
            stored.extend_from_slice(value);
        }
        Some(stored)
    }

    /// Calls `f` with the shared-memory offset of every 16 bytes of a [`Form::Tile`].
    pub fn units(&self, mut f: impl FnMut(u32)) {
        let Form::Tile {
            major,
            bits,
            rows,
            by_warp,
        } = self.form
        else {
            return;
        };
        // SAFETY: as in `addresses`.
        let descriptor = Descriptor::decode(unsafe { self.warp.row::<u64>(self.place) }[0]);
        let first = if by_warp {
            rows * (self.warp.first_thread / 32 % 4)
        } else {
            0
        };
        let units = descriptor.units(major, bits, first, rows);
        units.for_each(|unit| f(unit.address));
    }
}
