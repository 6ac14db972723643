//! The last accesses to a few bytes of memory (Flanagan and Freund, "FastTrack: Efficient and Precise
//! Dynamic Race Detection"): one write, and those reads that none of the others has happened after.

use super::clock::{Thread, Time};
use super::reads::{END, NEVER, NO_READ, Read, Reads};

/// The last write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Write {
    time: Time,
    by: Thread,
    pc: u32,
}

/// The last accesses to some bytes that are always accessed together.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    write: Write,
    read: Read,
    /// Further reads: an index in [`Reads`], or [`END`].
    more: u32,
}

impl Default for Cell {
    fn default() -> Cell {
        let write = Write {
            time: NEVER,
            by: Thread::new(0, 0),
            pc: 0,
        };
        Cell {
            write,
            read: NO_READ,
            more: END,
        }
    }
}

/// Another thread's access with which an access is not in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    pub by: Thread,
    pub pc: u32,
    pub was_write: bool,
}

/// An access that is being made.
#[derive(Debug, Clone, Copy)]
pub struct Access {
    pub by: Thread,
    pub time: Time,
    pub pc: u32,
}

/// What is known of the order of the accessing thread and others.
pub trait Knowledge {
    /// Whether all threads of the warp that is accessing know of what happened then, told quickly.
    fn is_old(&self, time: Time, grid_warp: u32) -> bool;
    /// Whether it happened before.
    fn is_before(&self, time: Time, by: Thread) -> bool;
    /// Whether two accesses may be unordered without a race: both are strong, and mean one another.
    fn is_allowed(&self, by: Thread, pc: u32) -> bool;
}

impl Cell {
    /// A read.
    #[inline(always)]
    pub fn read(
        &mut self,
        reads: &mut Reads,
        access: Access,
        knowledge: &impl Knowledge,
    ) -> Option<Conflict> {
        let write = self.write;
        let mut conflict = None;
        if !knowledge.is_old(write.time, write.by.grid_warp()) && write.by != access.by {
            conflict = self.conflict_with_write(knowledge);
        }
        let (warp, lane) = (access.by.grid_warp(), access.by.index() % 32);
        let old = self.read;
        if old.time == access.time && old.warp == warp {
            self.read.lanes |= 1 << lane;
            self.read.pc = access.pc;
            return conflict;
        }
        if !knowledge.is_old(old.time, old.warp) {
            self.keep_read(reads, knowledge);
        } else if self.more != END {
            let is_past = |read: &Read| knowledge.is_old(read.time, read.warp);
            (self.more, _) = reads.keep(self.more, &is_past);
        }
        self.read = Read {
            time: access.time,
            warp,
            lanes: 1 << lane,
            pc: access.pc,
        };
        conflict
    }

    /// A write, or a read and write in one step.
    #[inline(always)]
    pub fn write(
        &mut self,
        reads: &mut Reads,
        access: Access,
        knowledge: &impl Knowledge,
    ) -> Option<Conflict> {
        let write = self.write;
        let mut conflict = None;
        if !knowledge.is_old(write.time, write.by.grid_warp()) && write.by != access.by {
            conflict = self.conflict_with_write(knowledge);
        }
        if !knowledge.is_old(self.read.time, self.read.warp) || self.more != END {
            conflict = conflict.or(self.conflict_with_reads(reads, knowledge));
            reads.release(self.more);
            self.more = END;
        }
        self.read.time = NEVER;
        self.write = Write {
            time: access.time,
            by: access.by,
            pc: access.pc,
        };
        conflict
    }

    /// The cell of other bytes of which the same is known, but for the list of reads.
    pub fn without_list(&self) -> Cell {
        Cell { more: END, ..*self }
    }

    /// The write that an instruction announced lands now.
    pub fn land(&mut self, access: Access) {
        if self.write.by == access.by && self.write.pc == access.pc {
            self.write.time = access.time;
        }
    }

    #[cold]
    fn conflict_with_write(&self, knowledge: &impl Knowledge) -> Option<Conflict> {
        let Write { time, by, pc } = self.write;
        let fine = knowledge.is_before(time, by) || knowledge.is_allowed(by, pc);
        (!fine).then_some(Conflict {
            by,
            pc,
            was_write: true,
        })
    }

    #[cold]
    fn conflict_with_reads(&self, reads: &Reads, knowledge: &impl Knowledge) -> Option<Conflict> {
        let mut at = self.more;
        let mut read = self.read;
        loop {
            if !knowledge.is_old(read.time, read.warp) {
                for lane in (0..32).filter(|lane| read.lanes >> lane & 1 != 0) {
                    let by = Thread::of_warp(read.warp, lane);
                    if !knowledge.is_before(read.time, by) && !knowledge.is_allowed(by, read.pc) {
                        return Some(Conflict {
                            by,
                            pc: read.pc,
                            was_write: false,
                        });
                    }
                }
            }
            if at == END {
                return None;
            }
            (read, at) = reads.node(at);
        }
    }

    /// Moves the last read to the list, as far as the access that is being made does not come after it.
    #[cold]
    fn keep_read(&mut self, reads: &mut Reads, knowledge: &impl Knowledge) {
        let old = self.read;
        let unknown = |read: &Read| {
            let lanes = (0..32).filter(|lane| read.lanes >> lane & 1 != 0);
            lanes
                .filter(|lane| !knowledge.is_before(read.time, Thread::of_warp(read.warp, *lane)))
                .fold(0u32, |lanes, lane| lanes | 1 << lane)
        };
        let lanes = unknown(&old);
        if lanes != 0 {
            let is_past = |read: &Read| unknown(read) == 0;
            self.more = reads.add(self.more, Read { lanes, ..old }, &is_past);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// Knows what it has been told of single threads.
    #[derive(Default)]
    struct Told {
        me: Option<Thread>,
        known: HashMap<Thread, Time>,
        strong: bool,
    }

    impl Knowledge for Told {
        fn is_old(&self, time: Time, _: u32) -> bool {
            time == NEVER
        }
        fn is_before(&self, time: Time, by: Thread) -> bool {
            Some(by) == self.me || self.known.get(&by).is_some_and(|t| time <= *t)
        }
        fn is_allowed(&self, _: Thread, _: u32) -> bool {
            self.strong
        }
    }

    fn access(by: Thread, time: Time) -> (Access, Told) {
        let access = Access { by, time, pc: time };
        let told = Told {
            me: Some(by),
            ..Told::default()
        };
        (access, told)
    }

    fn thread(index: u32) -> Thread {
        Thread::new(0, index)
    }

    #[test]
    fn a_write_finds_any_of_the_reads_that_it_does_not_know() {
        // The reader that the writer does not know is each of the four in turn.
        for unknown in [1, 33, 65, 2] {
            let (mut cell, mut reads) = (Cell::default(), Reads::new(7));
            for index in [1, 33, 65, 2] {
                let (read, told) = access(thread(index), 5);
                assert_eq!(cell.read(&mut reads, read, &told), None);
            }
            let (write, mut told) = access(thread(200), 9);
            for index in [1, 33, 65, 2].into_iter().filter(|i| *i != unknown) {
                told.known.insert(thread(index), 5);
            }
            let conflict = cell.write(&mut reads, write, &told);
            let expected = Conflict {
                by: thread(unknown),
                pc: 5,
                was_write: false,
            };
            assert_eq!(conflict, Some(expected));
            // The reads are forgotten with the write.
            let (again, told) = access(thread(200), 10);
            assert_eq!(cell.write(&mut reads, again, &told), None);
        }
    }

    #[test]
    fn a_read_that_comes_after_others_stands_for_them() {
        let (mut cell, mut reads) = (Cell::default(), Reads::new(7));
        let (first, told) = access(thread(0), 3);
        cell.read(&mut reads, first, &told);
        let (second, mut told) = access(thread(64), 4);
        told.known.insert(thread(0), 3);
        cell.read(&mut reads, second, &told);
        let (write, mut told) = access(thread(32), 5);
        told.known.insert(thread(64), 4);
        assert_eq!(cell.write(&mut reads, write, &told), None);
    }

    #[test]
    fn writes_and_reads_of_others_conflict_unless_both_are_strong() {
        let (mut cell, mut reads) = (Cell::default(), Reads::new(7));
        let (write, told) = access(thread(0), 3);
        assert_eq!(cell.write(&mut reads, write, &told), None);
        assert_eq!(cell.read(&mut reads, write, &told), None);
        let (other, mut told) = access(thread(1), 4);
        let conflict = cell.read(&mut reads, other, &told);
        assert_eq!(
            conflict.map(|c| (c.by, c.was_write)),
            Some((thread(0), true))
        );
        told.strong = true;
        assert_eq!(cell.write(&mut reads, other, &told), None);
    }
}
