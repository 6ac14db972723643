//! How many threads a row takes where each moves 16 bytes.

/// Threads of a block at most, where blocks share nothing.
const BLOCK: usize = 256;

/// The packs of a row: what one thread moves.
pub(super) struct Packs {
    /// Of the row.
    pub count: usize,
    /// Threads of a block: whole warps.
    pub threads: usize,
    /// Blocks that cover the row.
    pub blocks: usize,
}

impl Packs {
    /// Packs of 16 bytes of a row of `widths[0]` elements of type `T`, or of one element where not all
    /// of `widths` (of rows and parts of rows that begin a pack) are whole numbers of packs.
    pub fn of<T>(widths: &[usize]) -> Packs {
        let widest = 16 / size_of::<T>();
        let whole = widths.iter().all(|width| width.is_multiple_of(widest));
        Packs::split(widths[0] / if whole { widest } else { 1 })
    }

    /// The blocks of `count` threads in a line.
    pub fn split(count: usize) -> Packs {
        let threads = count.next_multiple_of(32).clamp(32, BLOCK);
        Packs {
            count,
            threads,
            blocks: count.div_ceil(threads),
        }
    }
}
