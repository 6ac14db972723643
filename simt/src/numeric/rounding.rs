//! Rounding modes, and the one place where an exact number becomes one of few bits.

use super::format::Format;

/// Floating-point rounding of PTX (ISA, "Rounding Modifiers" and `cvt`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// `.rn`: to nearest, ties to even.
    Rn,
    /// `.rz`: toward zero.
    Rz,
    /// `.rm`: toward negative infinity.
    Rm,
    /// `.rp`: toward positive infinity.
    Rp,
    /// `.rna`: to nearest, ties away from zero.
    Rna,
}

impl Rounding {
    /// All modes.
    pub const ALL: [Rounding; 5] = [
        Rounding::Rn,
        Rounding::Rz,
        Rounding::Rm,
        Rounding::Rp,
        Rounding::Rna,
    ];

    /// Whether a magnitude grows by a last place: `rest` is what was cut off, `half` a half of the
    /// last place in the same unit, `odd` the last bit kept.
    #[inline(always)]
    fn increments(self, negative: bool, odd: bool, rest: u64, half: u64) -> bool {
        match self {
            Rounding::Rn => rest > half || (rest == half && odd),
            Rounding::Rna => rest >= half,
            Rounding::Rz => false,
            Rounding::Rm => negative && rest != 0,
            Rounding::Rp => !negative && rest != 0,
        }
    }

    /// Whether a magnitude beyond the largest finite one becomes infinite.
    #[inline(always)]
    fn overflows(self, negative: bool) -> bool {
        match self {
            Rounding::Rn | Rounding::Rna => true,
            Rounding::Rz => false,
            Rounding::Rm => negative,
            Rounding::Rp => !negative,
        }
    }
}

/// Rounds `significand · 2^exponent`, a magnitude above zero, to the magnitude bits of `format`;
/// `negative` steers the directed modes. `None` where the result lies beyond the largest finite
/// value and the mode does not hold it there.
///
/// The lowest bit of a significand of more than `format.fraction_bits + 2` bits may be sticky: set
/// for anything that lies below it.
#[inline(always)]
pub fn round_magnitude(
    format: Format,
    rounding: Rounding,
    negative: bool,
    significand: u64,
    exponent: i32,
) -> Option<u64> {
    debug_assert!(significand != 0);
    let fraction_bits = format.fraction_bits as i32;
    let leading = exponent + 63 - significand.leading_zeros() as i32;
    // Below the smallest normal number the last place stays where it is.
    let scale = leading.max(format.min_exponent());
    let cut = scale - fraction_bits - exponent;
    let (kept, increment) = match cut {
        ..=0 => (significand << -cut, false),
        1..=63 => {
            let (kept, rest) = (significand >> cut, significand & ((1 << cut) - 1));
            (
                kept,
                rounding.increments(negative, kept & 1 == 1, rest, 1 << (cut - 1)),
            )
        }
        64 => (
            0,
            rounding.increments(negative, false, significand, 1 << 63),
        ),
        // Less than half the last place.
        _ => (0, rounding.increments(negative, false, 1, 2)),
    };
    // The hidden bit of `kept` adds the last 1 to the exponent field, and so does a carry.
    let field = (scale - format.min_exponent()) as u64;
    let bits = (field << format.fraction_bits) + kept + u64::from(increment);
    if bits <= format.max {
        Some(bits)
    } else if rounding.overflows(negative) {
        None
    } else {
        Some(format.max)
    }
}

/// Integer rounding of `cvt` (ISA, `cvt`, "Integer Notes").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntegerRounding {
    /// `.rni`: to nearest, ties to even.
    Rni,
    /// `.rzi`: toward zero.
    Rzi,
    /// `.rmi`: toward negative infinity.
    Rmi,
    /// `.rpi`: toward positive infinity.
    Rpi,
}

impl IntegerRounding {
    /// All modes.
    pub const ALL: [IntegerRounding; 4] = [
        IntegerRounding::Rni,
        IntegerRounding::Rzi,
        IntegerRounding::Rmi,
        IntegerRounding::Rpi,
    ];
}
