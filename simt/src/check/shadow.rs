//! The last accesses to memory, by address.

use super::cell::{Access, Cell, Conflict, Knowledge};
use super::paged::{PAGE, Paged};
use super::reads::Reads;

/// Bytes that a cell stands for, at most.
const WIDEST: u32 = 16;

/// Cells of a page of memory. Each stands for as many bytes as the narrowest access to the page had, so
/// that threads may write neighbouring bytes, and a page of vectors has few cells.
#[derive(Debug, Default)]
struct Cells {
    /// Bytes of a cell, as a power of two.
    shift: u32,
    cells: Vec<Cell>,
}

impl Cells {
    /// Makes cells of `bytes` or fewer.
    #[cold]
    fn refine(&mut self, bytes: u32) {
        let shift = bytes.min(WIDEST).trailing_zeros();
        if self.cells.is_empty() {
            self.shift = shift;
            self.cells = vec![Cell::default(); (PAGE >> shift) as usize];
            return;
        }
        let parts = 1 << (self.shift - shift);
        let split = |cell: &Cell| {
            let rest = cell.without_list();
            std::iter::once(*cell).chain(std::iter::repeat_n(rest, parts - 1))
        };
        self.cells = self.cells.iter().flat_map(split).collect();
        self.shift = shift;
    }

    /// The cells of an access, which does not cross the page's end.
    #[inline(always)]
    fn of(&mut self, address: u64, bytes: u32) -> &mut [Cell] {
        let granule = granule(address, bytes);
        if self.cells.is_empty() || granule < 1 << self.shift {
            self.refine(granule);
        }
        let first = (address % PAGE) as usize >> self.shift;
        let count = bytes as usize >> self.shift;
        &mut self.cells[first..first + count.max(1)]
    }
}

/// Bytes of the widest cells that an access covers as a whole.
#[inline(always)]
fn granule(address: u64, bytes: u32) -> u32 {
    let both = address as u32 | bytes | WIDEST;
    1 << both.trailing_zeros()
}

/// What one lane accesses.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub address: u64,
    pub bytes: u32,
    pub access: Access,
}

/// The last accesses to some memory.
#[derive(Debug)]
pub struct Shadow {
    pages: Paged<Cells>,
    reads: Reads,
}

impl Shadow {
    /// Nothing has been accessed. Of each cell up to `reads` more than one unordered read are kept.
    pub fn new(reads: usize) -> Shadow {
        Shadow {
            pages: Paged::default(),
            reads: Reads::new(reads),
        }
    }

    /// A lane's access; the first other access with which it is not in order.
    #[inline(always)]
    pub fn access<K: Knowledge>(
        &mut self,
        writes: bool,
        span: Span,
        knowledge: &K,
    ) -> Option<Conflict> {
        let mut first = None;
        let mut cross = |address, bytes, reads: &mut Reads, cells: &mut Cells| {
            for cell in cells.of(address, bytes) {
                let conflict = if writes {
                    cell.write(reads, span.access, knowledge)
                } else {
                    cell.read(reads, span.access, knowledge)
                };
                first = first.or(conflict);
            }
        };
        let room = (PAGE - span.address % PAGE) as u32;
        let here = span.bytes.min(room);
        cross(
            span.address,
            here,
            &mut self.reads,
            self.pages.page(span.address),
        );
        if here < span.bytes {
            let next = span.address + u64::from(here);
            cross(
                next,
                span.bytes - here,
                &mut self.reads,
                self.pages.page(next),
            );
        }
        first
    }

    /// The write that an instruction of the same thread announced lands now.
    pub fn land(&mut self, span: Span) {
        for cell in self.pages.page(span.address).of(span.address, span.bytes) {
            cell.land(span.access);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::{Thread, Time};
    use super::*;

    /// Knows only of its own accesses.
    struct Alone(Thread);

    impl Knowledge for Alone {
        fn is_old(&self, time: Time, _: u32) -> bool {
            time == 0
        }
        fn is_before(&self, _: Time, by: Thread) -> bool {
            by == self.0
        }
        fn is_allowed(&self, _: Thread, _: u32) -> bool {
            false
        }
    }

    fn access(shadow: &mut Shadow, writes: bool, index: u32, address: u64, bytes: u32) -> bool {
        let by = Thread::new(1, index);
        let access = Access { by, time: 1, pc: 0 };
        let span = Span {
            address,
            bytes,
            access,
        };
        shadow.access(writes, span, &Alone(by)).is_some()
    }

    /// Against a table of bytes: who wrote it, and whether others have read it.
    #[test]
    fn neighbours_of_any_width_do_not_meet() {
        let mut seed = 0x1234_5678_9abc_def1u64;
        let mut next = |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        for _ in 0..200 {
            let mut shadow = Shadow::new(1000);
            let mut writer = [None; 256];
            let mut readers = vec![Vec::<u32>::new(); 256];
            for _ in 0..60 {
                let bytes = 1u32 << next(6);
                let base = 3 * PAGE - 128;
                let at = next(256 / u64::from(bytes)) as usize * bytes as usize;
                let (index, writes) = (next(6) as u32, next(3) == 0);
                let range = at..at + bytes as usize;
                let expected = range.clone().any(|byte| {
                    writer[byte].is_some_and(|by| by != index)
                        || writes && readers[byte].iter().any(|by| *by != index)
                });
                for byte in range {
                    if writes {
                        writer[byte] = Some(index);
                        readers[byte].clear();
                    } else {
                        readers[byte].push(index);
                    }
                }
                let found = access(&mut shadow, writes, index, base + at as u64, bytes);
                assert_eq!(found, expected, "{bytes} bytes at {at} by {index}");
            }
        }
    }
}
