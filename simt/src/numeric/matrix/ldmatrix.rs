//! `ldmatrix`, `stmatrix` and `movmatrix`: 8 × 8 matrices of 16-bit elements
//! (ISA, "Warp-level matrix load instruction: ldmatrix", "… store instruction: stmatrix").
//!
//! Matrix `j` of `.x1`, `.x2`, `.x4` is register `j` of every lane; lane `8j + r` gives the address of
//! its row `r`, 16 bytes. `stmatrix` uses the same maps the other way.

/// The lane whose address operand is row `row` of matrix `matrix`.
#[inline(always)]
pub fn address_lane(matrix: usize, row: usize) -> usize {
    8 * matrix + row
}

/// Row in memory and position in that row of the 16-bit element `half` (0 low, 1 high) that `lane`
/// holds of each matrix.
#[inline(always)]
pub fn element(trans: bool, lane: usize, half: usize) -> (usize, usize) {
    let (row, column) = (lane / 4, 2 * (lane % 4) + half);
    if trans { (column, row) } else { (row, column) }
}

/// Registers of one matrix, from its eight rows as memory holds them: four 32-bit words each.
#[inline(always)]
pub fn load(trans: bool, rows: &[[u32; 4]; 8]) -> [u32; 32] {
    if !trans {
        // A row's four words are the registers of four lanes.
        return std::array::from_fn(|lane| rows[lane / 4][lane % 4]);
    }
    let at = |(row, column): (usize, usize)| rows[row][column / 2] >> (16 * (column % 2)) & 0xffff;
    std::array::from_fn(|lane| at(element(true, lane, 0)) | at(element(true, lane, 1)) << 16)
}

/// Rows as memory shall hold them, from the registers of one matrix: the inverse of [`load`].
#[inline(always)]
pub fn store(trans: bool, registers: &[u32; 32]) -> [[u32; 4]; 8] {
    // Transposing twice gives back the matrix, and rows and registers are the same words.
    let rows = std::array::from_fn(|r| std::array::from_fn(|w| registers[4 * r + w]));
    if !trans {
        return rows;
    }
    let turned = load(true, &rows);
    std::array::from_fn(|r| std::array::from_fn(|w| turned[4 * r + w]))
}

/// `movmatrix.trans`: the registers of the transposed matrix.
#[inline(always)]
pub fn transpose(registers: &[u32; 32]) -> [u32; 32] {
    let rows = std::array::from_fn(|r| std::array::from_fn(|w| registers[4 * r + w]));
    load(true, &rows)
}
