//! The bytes that one instruction of a warp touches, as ranges that do not overlap.

/// Bytes of a sector: what moves between caches and memory at once.
pub const SECTOR: u64 = 32;

/// Ranges of bytes in rising order, none touching another: at most one for each lane.
pub struct Intervals {
    ranges: [(u64, u64); 32],
    count: usize,
}

impl Intervals {
    /// The union of `bytes(lane)` from `addresses[lane]` on, for the lanes in the mask.
    pub fn new(addresses: &[u64; 32], mask: u32, bytes: impl Fn(usize) -> u32) -> Intervals {
        let mut ranges = [(0, 0); 32];
        let mut count = 0;
        let mut is_sorted = true;
        let mut left = mask;
        while left != 0 {
            let lane = left.trailing_zeros() as usize;
            left &= left - 1;
            let length = u64::from(bytes(lane));
            if length == 0 {
                continue;
            }
            let range = (addresses[lane], addresses[lane].saturating_add(length));
            if count > 0 && range.0 < ranges[count - 1].0 {
                is_sorted = false;
            }
            ranges[count] = range;
            count += 1;
        }
        if !is_sorted {
            ranges[..count].sort_unstable();
        }
        let count = join(&mut ranges[..count]);
        Intervals { ranges, count }
    }

    /// First byte, and one past the last, of each range.
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges[..self.count]
    }
}

/// Joins sorted ranges that overlap or touch, at the front of the slice; the answer is how many there are
/// then.
pub fn join(ranges: &mut [(u64, u64)]) -> usize {
    let mut kept = 0;
    for at in 0..ranges.len() {
        let (first, end) = ranges[at];
        if kept > 0 && first <= ranges[kept - 1].1 {
            ranges[kept - 1].1 = ranges[kept - 1].1.max(end);
        } else {
            ranges[kept] = (first, end);
            kept += 1;
        }
    }
    kept
}

/// Bytes of ranges in all.
pub fn bytes(ranges: &[(u64, u64)]) -> u64 {
    ranges.iter().map(|(first, end)| end - first).sum()
}

/// Calls `f` with the number of the first part of `part` bytes and the number of parts of each run of
/// them that joined ranges touch; no part comes twice.
pub fn parts(ranges: &[(u64, u64)], part: u64, mut f: impl FnMut(u64, u64)) {
    let mut run: Option<(u64, u64)> = None;
    for (first, end) in ranges {
        let (first, last) = (first / part, (end - 1) / part);
        run = match run {
            Some((start, stop)) if first <= stop + 1 => Some((start, stop.max(last))),
            Some((start, stop)) => {
                f(start, stop - start + 1);
                Some((first, last))
            }
            None => Some((first, last)),
        };
    }
    if let Some((start, stop)) = run {
        f(start, stop - start + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sectors(addresses: &[u64; 32], mask: u32, bytes: u32) -> (u64, Vec<(u64, u64)>) {
        let intervals = Intervals::new(addresses, mask, |_| bytes);
        let mut runs = Vec::new();
        parts(intervals.ranges(), SECTOR, |first, count| {
            runs.push((first, count));
        });
        (super::bytes(intervals.ranges()), runs)
    }

    #[test]
    fn lanes_in_any_order_and_overlapping() {
        let down = std::array::from_fn(|lane| 4096 + 4 * (31 - lane as u64));
        assert_eq!(sectors(&down, !0, 4), (128, vec![(128, 4)]));
        assert_eq!(sectors(&[64; 32], !0, 8), (8, vec![(2, 1)]));
        // Two lanes at either end of one sector, one lane far away.
        let mut apart = [0; 32];
        (apart[3], apart[7], apart[9]) = (60, 32, 3200);
        let mask = 1 << 3 | 1 << 7 | 1 << 9;
        assert_eq!(sectors(&apart, mask, 4), (12, vec![(1, 1), (100, 1)]));
    }

    #[test]
    fn a_run_goes_on_over_a_gap_within_neighbouring_sectors() {
        let strided = std::array::from_fn(|lane| lane as u64 * 32);
        assert_eq!(sectors(&strided, !0, 4), (128, vec![(0, 32)]));
    }
}
