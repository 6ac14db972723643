//! Who asked for which memory: what belongs to the program now, and what it has given back.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// Most allocations that are remembered after they were freed.
const REMEMBERED: usize = 10_000;

/// What kind of memory it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// By that entry point of the driver.
    Call(&'static str),
    /// Memory of the host, by that entry point: the host writes it by itself.
    Host(&'static str),
    /// A variable of a module.
    Variable(String),
}

/// A piece of device memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    pub address: u64,
    /// In bytes.
    pub bytes: u64,
    /// Counts the allocations of the process, from 1 on.
    pub number: u64,
    pub origin: Origin,
    /// The entry point that gave it back.
    pub freed_by: Option<&'static str>,
}

impl Allocation {
    fn holds(&self, address: u64) -> bool {
        address.wrapping_sub(self.address) < self.bytes
    }
}

impl fmt::Display for Allocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Allocation { bytes, number, .. } = self;
        match &self.origin {
            Origin::Call(call) | Origin::Host(call) => {
                write!(f, "allocation {number} of {bytes} bytes by {call}")?
            }
            Origin::Variable(name) => write!(f, "variable {name} of {bytes} bytes")?,
        }
        match self.freed_by {
            Some(call) => write!(f, ", freed by {call}"),
            None => Ok(()),
        }
    }
}

/// All allocations of the process.
#[derive(Debug, Default)]
pub struct Allocations {
    live: BTreeMap<u64, Allocation>,
    /// The latest last.
    freed: VecDeque<Allocation>,
    count: u64,
}

impl Allocations {
    /// New memory.
    pub fn add(&mut self, address: u64, bytes: u64, origin: Origin) {
        self.count += 1;
        let allocation = Allocation {
            address,
            bytes,
            number: self.count,
            origin,
            freed_by: None,
        };
        self.live.insert(address, allocation);
    }

    /// Memory that has just been added is a variable.
    pub fn name(&mut self, address: u64, name: &str) {
        if let Some(allocation) = self.live.get_mut(&address) {
            allocation.origin = Origin::Variable(name.to_owned());
        }
    }

    /// Memory is given back.
    pub fn free(&mut self, address: u64, by: &'static str) {
        if let Some(mut allocation) = self.live.remove(&address) {
            allocation.freed_by = Some(by);
            if self.freed.len() == REMEMBERED {
                self.freed.pop_front();
            }
            self.freed.push_back(allocation);
        }
    }

    /// The live allocation that holds an address.
    pub fn find(&self, address: u64) -> Option<&Allocation> {
        let (_, before) = self.live.range(..=address).next_back()?;
        before.holds(address).then_some(before)
    }

    /// The allocation that was freed last of those that held an address.
    pub fn find_freed(&self, address: u64) -> Option<&Allocation> {
        self.freed.iter().rev().find(|a| a.holds(address))
    }

    /// What an address that is in no allocation was probably meant for: one that has been freed, or
    /// the nearest.
    pub fn nearest(&self, address: u64) -> Option<&Allocation> {
        if let Some(freed) = self.find_freed(address) {
            return Some(freed);
        }
        let before = self.live.range(..=address).next_back().map(|(_, a)| a);
        let after = self.live.range(address..).next().map(|(_, a)| a);
        let gap = |a: &&Allocation| {
            if a.address > address {
                a.address - address
            } else {
                address - a.address - a.bytes + 1
            }
        };
        before.into_iter().chain(after).min_by_key(gap)
    }

    /// Allocations that are still there, but for variables, in the order of their numbers.
    pub fn left(&self) -> Vec<&Allocation> {
        let is_asked_for = |a: &&Allocation| !matches!(a.origin, Origin::Variable(_));
        let mut left: Vec<_> = self.live.values().filter(is_asked_for).collect();
        left.sort_by_key(|a| a.number);
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_find_what_they_were_meant_for() {
        let mut all = Allocations::default();
        all.add(1000, 100, Origin::Call("cuMemAlloc_v2"));
        all.add(2000, 50, Origin::Call("cuMemAllocManaged"));
        all.add(3000, 8, Origin::Call("cuMemAlloc_v2"));
        all.name(3000, "table");
        assert_eq!(all.find(1099).map(|a| a.number), Some(1));
        assert_eq!(all.find(1100), None);
        assert_eq!(all.nearest(1100).map(|a| a.number), Some(1));
        assert_eq!(all.nearest(1998).map(|a| a.number), Some(2));
        assert_eq!(all.nearest(5).map(|a| a.number), Some(1));
        assert_eq!(all.left().len(), 2);
        all.free(1000, "cuMemFree_v2");
        assert_eq!(all.find(1050), None);
        let freed = all.nearest(1050).map(ToString::to_string);
        let expected = "allocation 1 of 100 bytes by cuMemAlloc_v2, freed by cuMemFree_v2";
        assert_eq!(freed.as_deref(), Some(expected));
        // What lives there now comes first.
        all.add(1040, 20, Origin::Call("cuMemAlloc_v2"));
        assert_eq!(all.find(1050).map(|a| a.number), Some(4));
        assert_eq!(
            all.left().iter().map(|a| a.number).collect::<Vec<_>>(),
            [2, 4]
        );
    }
}
