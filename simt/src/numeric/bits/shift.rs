//! Shifts and funnel shifts (ISA, "Logic and Shift Instructions").

macro_rules! shifts {
    ($shl:ident, $shr:ident, $sar:ident, $unsigned:ty, $signed:ty) => {
        /// `shl`: amounts of the width and above give zero.
        #[inline(always)]
        pub fn $shl(a: $unsigned, amount: u32) -> $unsigned {
            if amount < <$unsigned>::BITS {
                a << amount
            } else {
                0
            }
        }

        /// `shr.u` and `shr.b`: amounts of the width and above give zero.
        #[inline(always)]
        pub fn $shr(a: $unsigned, amount: u32) -> $unsigned {
            if amount < <$unsigned>::BITS {
                a >> amount
            } else {
                0
            }
        }

        /// `shr.s`: amounts of the width and above leave the sign only.
        #[inline(always)]
        pub fn $sar(a: $signed, amount: u32) -> $signed {
            a >> amount.min(<$signed>::BITS - 1)
        }
    };
}

shifts!(shl16, shr16, sar16, u16, i16);
shifts!(shl32, shr32, sar32, u32, i32);
shifts!(shl64, shr64, sar64, u64, i64);

/// `.mode` of `shf`: what becomes of amounts above 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Overlong {
    /// They count as 32; as 32 bits in `szext` and `bmsk`.
    Clamp,
    /// Modulo 32.
    Wrap,
}

impl Overlong {
    #[inline(always)]
    fn amount(self, amount: u32) -> u32 {
        match self {
            Overlong::Clamp => amount.min(32),
            Overlong::Wrap => amount & 31,
        }
    }
}

/// `shf.l`: the upper word of `high:low` shifted left.
#[inline(always)]
pub fn shf_l(mode: Overlong, low: u32, high: u32, amount: u32) -> u32 {
    let both = u64::from(high) << 32 | u64::from(low);
    (both << mode.amount(amount) >> 32) as u32
}

/// `shf.r`: the lower word of `high:low` shifted right.
#[inline(always)]
pub fn shf_r(mode: Overlong, low: u32, high: u32, amount: u32) -> u32 {
    let both = u64::from(high) << 32 | u64::from(low);
    (both >> mode.amount(amount)) as u32
}
