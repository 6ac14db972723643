//! Exact numbers as ratios of big integers, and their rounding to a binary format by definition.

use num_bigint::BigUint;
use simt::numeric::Rounding;
use std::cmp::Ordering;

/// A binary format, described by numbers from its definition.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    pub exponent_bits: u32,
    pub fraction_bits: u32,
    /// Largest finite value.
    pub max: f64,
    pub infinity: bool,
    /// The number of NaN magnitudes, which are the topmost.
    pub nans: u64,
}

const fn spec(exponent_bits: u32, fraction_bits: u32, max: f64, infinity: bool, nans: u64) -> Spec {
    Spec {
        exponent_bits,
        fraction_bits,
        max,
        infinity,
        nans,
    }
}

pub const F64: Spec = spec(11, 52, f64::MAX, true, (1 << 52) - 1);
pub const F32: Spec = spec(8, 23, f32::MAX as f64, true, (1 << 23) - 1);
pub const F16: Spec = spec(5, 10, 65504.0, true, 1023);
pub const BF16: Spec = spec(8, 7, 3.3895313892515355e38, true, 127);
pub const TF32: Spec = spec(8, 10, 3.4011621342146535e38, true, 1023);
pub const E5M2: Spec = spec(5, 2, 57344.0, true, 3);
pub const E4M3: Spec = spec(4, 3, 448.0, false, 1);
pub const E3M2: Spec = spec(3, 2, 28.0, false, 0);
pub const E2M3: Spec = spec(2, 3, 7.5, false, 0);
pub const E2M1: Spec = spec(2, 1, 6.0, false, 0);

impl Spec {
    pub fn bits(&self) -> u32 {
        1 + self.exponent_bits + self.fraction_bits
    }

    fn bias(&self) -> i32 {
        (1 << (self.exponent_bits - 1)) - 1
    }

    /// The value of a code by the definition of its fields.
    pub fn decode(&self, code: u64) -> f64 {
        let magnitude = code & ((1 << (self.bits() - 1)) - 1);
        let top = (1u64 << (self.bits() - 1)) - self.nans;
        let sign = if code >> (self.bits() - 1) & 1 == 1 {
            -1.0
        } else {
            1.0
        };
        if magnitude >= top {
            return f64::NAN;
        }
        if self.infinity && magnitude == top - 1 {
            return sign * f64::INFINITY;
        }
        let field = (magnitude >> self.fraction_bits) as i32;
        let fraction = (magnitude & ((1 << self.fraction_bits) - 1)) as f64;
        let fraction = fraction / (1u64 << self.fraction_bits) as f64;
        let (hidden, exponent) = if field == 0 { (0.0, 1) } else { (1.0, field) };
        sign * (hidden + fraction) * 2f64.powi(exponent - self.bias())
    }

    /// The magnitude codes of finite numbers, ascending.
    pub fn finite_codes(&self) -> std::ops::Range<u64> {
        0..(1 << (self.bits() - 1)) - self.nans - u64::from(self.infinity)
    }
}

/// A magnitude: `num / den`, or the square root of that.
#[derive(Clone, Debug)]
pub struct Exact {
    pub num: BigUint,
    pub den: BigUint,
    pub root: bool,
}

fn power(exponent: u32) -> BigUint {
    BigUint::from(1u8) << exponent
}

impl Exact {
    pub fn ratio(num: BigUint, den: BigUint) -> Exact {
        Exact {
            num,
            den,
            root: false,
        }
    }

    /// |x| of a finite f64.
    pub fn of(x: f64) -> Exact {
        let bits = x.abs().to_bits();
        let field = (bits >> 52) as i32;
        let fraction = bits & ((1 << 52) - 1);
        let significand = BigUint::from(if field == 0 {
            fraction
        } else {
            fraction | 1 << 52
        });
        let exponent = field.max(1) - 1075;
        if exponent < 0 {
            Exact::ratio(significand, power(exponent.unsigned_abs()))
        } else {
            Exact::ratio(significand << exponent, power(0))
        }
    }

    pub fn is_zero(&self) -> bool {
        self.num == BigUint::ZERO
    }

    pub fn times(&self, other: &Exact) -> Exact {
        Exact::ratio(&self.num * &other.num, &self.den * &other.den)
    }

    pub fn over(&self, other: &Exact) -> Exact {
        Exact::ratio(&self.num * &other.den, &self.den * &other.num)
    }

    /// Compares with `k · 2^exponent`.
    fn cmp(&self, k: &BigUint, exponent: i32) -> Ordering {
        let (k, exponent) = if self.root {
            (k * k, 2 * exponent)
        } else {
            (k.clone(), exponent)
        };
        let right = k * &self.den;
        if exponent < 0 {
            (&self.num << exponent.unsigned_abs()).cmp(&right)
        } else {
            self.num.cmp(&(right << exponent))
        }
    }
}

/// Signed sum of exact ratios: the sign of the result and its magnitude.
pub fn sum(a: (bool, Exact), b: (bool, Exact)) -> (bool, Exact) {
    let den = &a.1.den * &b.1.den;
    let (left, right) = (&a.1.num * &b.1.den, &b.1.num * &a.1.den);
    if a.0 == b.0 {
        (a.0, Exact::ratio(left + right, den))
    } else if left >= right {
        (a.0, Exact::ratio(left - right, den))
    } else {
        (b.0, Exact::ratio(right - left, den))
    }
}

/// The code of `± value`, rounded: by searching the last place, comparing with halves of it.
/// Overflow follows IEEE 754 in formats with infinities; `finite` and formats without give the maximum.
pub fn round(spec: &Spec, rounding: Rounding, finite: bool, negative: bool, value: &Exact) -> u64 {
    let sign = u64::from(negative) << (spec.bits() - 1);
    if value.is_zero() {
        return sign;
    }
    // The exponent of the leading bit, then of the last place.
    let digits = |x: &BigUint| x.bits() as i32;
    let mut leading = digits(&value.num) - digits(&value.den);
    if value.root {
        leading = leading.div_euclid(2) + 1;
    }
    let one = BigUint::from(1u8);
    while value.cmp(&one, leading) == Ordering::Less {
        leading -= 1;
    }
    let last = leading.max(1 - spec.bias()) - spec.fraction_bits as i32;
    let floor = {
        // value / 2^last, rounded down.
        let (shift, num, den) = if value.root {
            (2 * last, &value.num, &value.den)
        } else {
            (last, &value.num, &value.den)
        };
        let quotient = if shift < 0 {
            (num << shift.unsigned_abs()) / den
        } else {
            num / (den << shift)
        };
        if value.root {
            quotient.sqrt()
        } else {
            quotient
        }
    };
    let exact = value.cmp(&floor, last) == Ordering::Equal;
    let half = value.cmp(&(&floor * 2u8 + 1u8), last - 1);
    let odd = floor.bit(0);
    let up = match rounding {
        Rounding::Rn => half == Ordering::Greater || half == Ordering::Equal && odd,
        Rounding::Rna => half != Ordering::Less,
        Rounding::Rz => false,
        Rounding::Rm => negative && !exact,
        Rounding::Rp => !negative && !exact,
    };
    let rounded = if up { floor + 1u8 } else { floor };
    let code = encode(spec, rounded, last);
    let largest = spec.finite_codes().end - 1;
    if code <= largest {
        return sign | code;
    }
    let to_infinity = match rounding {
        Rounding::Rn | Rounding::Rna => true,
        Rounding::Rz => false,
        Rounding::Rm => negative,
        Rounding::Rp => !negative,
    };
    sign | if to_infinity && spec.infinity && !finite {
        largest + 1
    } else {
        largest
    }
}

/// The code of `k · 2^last`; codes beyond the format's stay ordered.
fn encode(spec: &Spec, mut k: BigUint, mut last: i32) -> u64 {
    let hidden = power(spec.fraction_bits);
    if k >= &hidden << 1u8 {
        k >>= 1u8;
        last += 1;
    }
    if k < hidden {
        return k.try_into().expect("a fraction");
    }
    let field = last + spec.fraction_bits as i32 + spec.bias();
    let fraction: u64 = (k - hidden).try_into().expect("a fraction");
    (field as u64) << spec.fraction_bits | fraction
}
