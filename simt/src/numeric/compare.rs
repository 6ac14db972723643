//! Comparisons of `set` and `setp` (ISA, "Comparison and Selection Instructions").

use std::cmp::Ordering;

/// `.CmpOp` of `set` and `setp`.
///
/// On integers the unordered forms do not exist, and `lo`, `ls`, `hi`, `hs` are `lt`, `le`, `gt`, `ge`
/// of unsigned types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Not equal; false where an operand is NaN.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// Equal or unordered.
    Equ,
    /// Not equal or unordered.
    Neu,
    /// Less or unordered.
    Ltu,
    /// Less, equal or unordered.
    Leu,
    /// Greater or unordered.
    Gtu,
    /// Greater, equal or unordered.
    Geu,
    /// Both operands are numbers.
    Num,
    /// An operand is NaN.
    Nan,
}

/// `a CmpOp b` of integers or floats of any width; halves as their f32 values.
#[inline(always)]
pub fn compare<T: PartialOrd>(comparison: Comparison, a: T, b: T) -> bool {
    let ordered = a.partial_cmp(&b).is_some();
    match comparison {
        Comparison::Eq => a == b,
        Comparison::Ne => a != b && ordered,
        Comparison::Lt => a < b,
        Comparison::Le => a <= b,
        Comparison::Gt => a > b,
        Comparison::Ge => a >= b,
        Comparison::Equ => a == b || !ordered,
        Comparison::Neu => a != b,
        Comparison::Ltu => a < b || !ordered,
        Comparison::Leu => a <= b || !ordered,
        Comparison::Gtu => a > b || !ordered,
        Comparison::Geu => a >= b || !ordered,
        Comparison::Num => ordered,
        Comparison::Nan => !ordered,
    }
}

/// `slct.dtype.f32`: `a` where `c` is zero or above, `b` otherwise and for NaN.
#[inline(always)]
pub fn slct_f32<T>(a: T, b: T, c: f32) -> T {
    match c.partial_cmp(&0.0) {
        Some(Ordering::Greater | Ordering::Equal) => a,
        _ => b,
    }
}

/// `slct.dtype.s32`: `a` where `c` is zero or above, `b` otherwise.
#[inline(always)]
pub fn slct_s32<T>(a: T, b: T, c: i32) -> T {
    if c >= 0 { a } else { b }
}
