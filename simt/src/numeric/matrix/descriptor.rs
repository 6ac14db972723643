//! The shared-memory matrix descriptor of `wgmma`, and where it puts each element
//! (ISA, "Matrix Descriptor Format", "Strides", "Canonical Layouts" of
//! "Asynchronous Warpgroup Level Matrix Shared Memory Layout").
//!
//! In units of `T = 128 / bits` elements, 16 bytes, the canonical layouts are, before the swizzle and
//! with `s` units to a swizzled line (2, 4, 8 for 32, 64, 128 bytes):
//!
//! | major | swizzle | layout, strides in elements |
//! |---|---|---|
//! | K | none | `((8, m), (T, 2k)) : ((1T, SBO), (1, LBO))` |
//! | K | s | `((8, m), (T, 2k)) : ((sT, SBO), (1, T))` |
//! | MN | none | `((T, 1, m), (8, k)) : ((1, T, SBO), (1T, LBO))` |
//! | MN | s | `((T, s, m), (8, k)) : ((1, T, LBO), (sT, SBO))` |
//!
//! The swizzle exchanges bits of the byte address (`Swizzle<b, 4, 3>`): the `b` bits from bit 4 on are
//! XORed with those from bit 7 on, in the address itself, so that patterns lie fixed in memory. The
//! base offset corrects it for a pattern that starts off its natural boundary.

/// Swizzling mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Swizzle {
    /// No swizzle, "interleaved".
    None,
    /// Lines of 32 bytes.
    B32,
    /// Lines of 64 bytes.
    B64,
    /// Lines of 128 bytes.
    B128,
}

impl Swizzle {
    /// Address bits exchanged.
    #[inline(always)]
    pub const fn exchanged(self) -> u32 {
        match self {
            Swizzle::None => 0,
            Swizzle::B32 => 1,
            Swizzle::B64 => 2,
            Swizzle::B128 => 3,
        }
    }

    /// The swizzled byte address of a plain one. Tensor maps of `cp.async.bulk.tensor` use the same.
    #[inline(always)]
    pub const fn apply(self, address: u32) -> u32 {
        let mask = (1 << self.exchanged()) - 1;
        address ^ (address >> 7 & mask) << 4
    }
}

/// Which dimension of the operand is contiguous: `imm-trans` 0 is K, 1 is M or N.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Major {
    /// Elements of one row (of A) or column (of B) are adjacent along k.
    K,
    /// Elements of one k are adjacent along m or n.
    Mn,
}

/// A decoded descriptor; offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Descriptor {
    /// Matrix start address in shared memory.
    pub start: u32,
    /// Leading dimension byte offset.
    pub leading: u32,
    /// Stride dimension byte offset.
    pub stride: u32,
    /// Matrix base offset, 0 to 7.
    pub base: u32,
    /// Swizzling mode.
    pub swizzle: Swizzle,
}

impl Descriptor {
    /// Decodes the register: 14-bit fields hold bits 4 to 17 of their value.
    #[inline(always)]
    pub const fn decode(register: u64) -> Descriptor {
        const fn field(register: u64, low: u32) -> u32 {
            ((register >> low & 0x3fff) << 4) as u32
        }
        Descriptor {
            start: field(register, 0),
            leading: field(register, 16),
            stride: field(register, 32),
            base: (register >> 49 & 7) as u32,
            swizzle: match register >> 62 {
                0 => Swizzle::None,
                1 => Swizzle::B128,
                2 => Swizzle::B64,
                _ => Swizzle::B32,
            },
        }
    }

    /// Shared-memory byte address of the element at `row` (m of A, n of B) and `k`, of `bits` (8, 16
    /// or 32) each.
    #[inline(always)]
    pub fn address(&self, major: Major, bits: u32, row: u32, k: u32) -> u32 {
        let (contiguous, other) = match major {
            Major::K => (k, row),
            Major::Mn => (row, k),
        };
        let byte = contiguous * bits / 8;
        self.unit_address(major, byte / 16, other) + byte % 16
    }

    /// Shared-memory byte address of 16 bytes that lie together, whatever the swizzle: `unit` counts
    /// them along the contiguous dimension, `other` is the index in the other one.
    #[inline(always)]
    pub fn unit_address(&self, major: Major, unit: u32, other: u32) -> u32 {
        let (eighth, block) = (other % 8, other / 8);
        let line = 1 << self.swizzle.exchanged();
        let offset = match (major, self.swizzle) {
            (Major::K, Swizzle::None) => unit * self.leading + eighth * 16 + block * self.stride,
            // The leading offset is not used: a matrix is one line wide at most.
            (Major::K, _) => unit * 16 + eighth * 16 * line + block * self.stride,
            (Major::Mn, Swizzle::None) => unit * self.stride + eighth * 16 + block * self.leading,
            (Major::Mn, _) => {
                unit % line * 16
                    + unit / line * self.leading
                    + eighth * 16 * line
                    + block * self.stride
            }
        };
        let plain = self.start + offset;
        // Bits 7 to 9 count the lines of a pattern from the pattern's own start.
        let phase = plain.wrapping_sub(self.base << 7);
        plain ^ self.swizzle.apply(phase) ^ phase
    }
}

/// Sixteen bytes of an operand: which ones along its contiguous dimension, the index in the other one, and where they
/// lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    pub along: u32,
    pub other: u32,
    pub address: u32,
}

impl Descriptor {
    /// Every unit of `rows` rows (m of A, n of B) from `first` on, of elements of `bits` each, for one product's
    /// steps along k.
    pub fn units(
        self,
        major: Major,
        bits: u32,
        first: u32,
        rows: u32,
    ) -> impl Iterator<Item = Unit> {
        let (per_unit, steps) = (128 / bits, 256 / bits);
        let (units, others) = match major {
            Major::K => (0..steps / per_unit, first..first + rows),
            Major::Mn => (first / per_unit..(first + rows) / per_unit, 0..steps),
        };
        others.flat_map(move |other| {
            units.clone().map(move |along| Unit {
                along,
                other,
                address: self.unit_address(major, along, other),
            })
        })
    }
}
