//! `lop3` and `cnot` (ISA, "Logic and Shift Instructions").

/// `lop3.b32`: the function of three bits whose table is `table`; bit `4a + 2b + c` of it is the
/// result for `a`, `b`, `c`.
#[inline(always)]
pub fn lop3(a: u32, b: u32, c: u32, table: u8) -> u32 {
    // A table chooses between two by a, each of which chooses between two by b, and so on; with a
    // constant table it folds to a few operations.
    let bit = |i: u8| if table >> i & 1 != 0 { u32::MAX } else { 0 };
    let by_c = |i: u8| bit(i) & !c | bit(i + 1) & c;
    let by_b = |i: u8| by_c(i) & !b | by_c(i + 2) & b;
    by_b(0) & !a | by_b(4) & a
}

/// `cnot`: 1 of zero, 0 of the rest.
#[inline(always)]
pub fn cnot(a: u64) -> u64 {
    u64::from(a == 0)
}
