//! Which addresses belong to somebody.

use std::sync::Arc;

/// A snapshot of all allocations, sorted: what one launch may touch.
#[derive(Debug, Clone, Default)]
pub struct Allocations {
    /// First byte, and one past the last.
    ranges: Arc<[(u64, u64)]>,
}

impl Allocations {
    /// From ranges (first byte, one past the last) that do not overlap, in any order.
    pub fn new(mut ranges: Vec<(u64, u64)>) -> Allocations {
        ranges.sort_unstable();
        Allocations {
            ranges: ranges.into(),
        }
    }

    /// These and others; what is in both counts once.
    pub fn joined(&self, others: &Allocations) -> Allocations {
        let mut ranges = [&self.ranges[..], &others.ranges[..]].concat();
        ranges.sort_unstable();
        ranges.dedup();
        Allocations {
            ranges: ranges.into(),
        }
    }

    /// The allocation that holds an address.
    pub fn find(&self, address: u64) -> Option<(u64, u64)> {
        let at = self.ranges.partition_point(|(first, _)| *first <= address);
        let range = *self.ranges.get(at.checked_sub(1)?)?;
        (address < range.1).then_some(range)
    }

    /// Whether `bytes` from `address` on lie in one allocation.
    pub fn holds(&self, address: u64, bytes: u64) -> bool {
        self.find(address)
            .is_some_and(|(_, end)| address.checked_add(bytes).is_some_and(|last| last <= end))
    }
}
