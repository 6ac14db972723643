//! The kernel that is being checked, as findings speak of it.

use super::finding::Site;
use crate::exec::facts::Facts;
use crate::exec::grid::Launch;
use crate::exec::pieces::Mover;
use crate::exec::program::Program;
use crate::exec::touch::{Kind, Order, Touch};
use std::sync::Arc;

/// A launch's kernel.
#[derive(Debug)]
pub struct Kernel {
    /// The same for all launches of the entry.
    pub id: u32,
    pub program: Arc<Program>,
    pub name: String,
    grid: [u32; 3],
    /// Blocks of a cluster, which have numbers one after another.
    cluster: [u32; 3],
    block: [u32; 3],
}

impl Kernel {
    /// The kernel of a launch, under the number that the caller has for it.
    pub fn new(launch: &Launch, id: u32) -> Kernel {
        Kernel {
            id,
            name: launch.program.functions[launch.function].name.clone(),
            program: Arc::clone(&launch.program),
            grid: launch.grid,
            cluster: launch.cluster,
            block: launch.block,
        }
    }

    /// Threads of a block.
    pub fn threads(&self) -> u32 {
        self.block.iter().product()
    }

    /// What is known of an instruction.
    pub fn facts(&self, pc: u32) -> &Facts {
        &self.program.facts[pc as usize]
    }

    /// The coordinates of a block, by its number.
    pub fn block(&self, number: u64) -> [u32; 3] {
        block_at(number, self.grid, self.cluster)
    }

    /// An instruction of a thread, both by their linear numbers.
    pub fn site(&self, pc: u32, block: u64, thread: u32) -> Site {
        let (number, line) = self
            .program
            .sources
            .get(pc as usize)
            .copied()
            .unwrap_or_default();
        let file = self.program.files.iter().find(|(n, _)| *n == number);
        Site {
            kernel: self.name.clone(),
            file: file.map(|(_, path)| path.clone()).unwrap_or_default(),
            line,
            ptx_line: self.program.lines.get(pc as usize).copied().unwrap_or(0),
            block: self.block(block),
            thread: coordinates(thread.into(), self.block),
        }
    }

    /// The first instruction at a line of the PTX text.
    pub fn at_ptx_line(&self, line: u32) -> u32 {
        let at = self.program.lines.iter().position(|l| *l == line);
        at.map_or(0, |at| at as u32)
    }

    /// An earlier access in words: the one of that instruction that wrote, or that read.
    pub fn action(&self, pc: u32, was_write: bool) -> String {
        match self.facts(pc).mover {
            Some(Mover::Fragment { stores: true }) => return "store of a matrix".to_owned(),
            Some(Mover::Fragment { stores: false }) => return "load of a matrix".to_owned(),
            Some(Mover::Value { .. }) => return "asynchronous store to these bytes".to_owned(),
            Some(Mover::Bulk { .. }) if was_write => return "bulk copy to these bytes".to_owned(),
            Some(Mover::Bulk { .. }) => return "bulk copy from these bytes".to_owned(),
            None => {}
        }
        let touches = self.facts(pc).touches.iter().flatten();
        let mut fitting = touches.filter(|touch| {
            if was_write {
                touch.kind.writes()
            } else {
                touch.kind.reads()
            }
        });
        fitting.next().map_or_else(|| "access".to_owned(), action)
    }
}

/// The coordinates of a block by its number, in a grid of clusters.
fn block_at(number: u64, grid: [u32; 3], cluster: [u32; 3]) -> [u32; 3] {
    let size = cluster.iter().map(|n| u64::from(*n)).product::<u64>();
    let clusters = [0, 1, 2].map(|axis| grid[axis] / cluster[axis]);
    let (first, inside) = (
        coordinates(number / size, clusters),
        coordinates(number % size, cluster),
    );
    [0, 1, 2].map(|axis| first[axis] * cluster[axis] + inside[axis])
}

fn coordinates(at: u64, [x, y, _]: [u32; 3]) -> [u32; 3] {
    let (x, y) = (u64::from(x), u64::from(y));
    [at % x, at / x % y, at / x / y].map(|n| n as u32)
}

/// What a bulk copy or a matrix does to bytes, in words.
pub fn movement(mover: Mover, kind: Kind, bytes: u64) -> String {
    match (mover, kind) {
        (Mover::Fragment { .. }, Kind::Read) => format!("load of {bytes} bytes of a matrix"),
        (Mover::Fragment { .. }, _) => format!("store of {bytes} bytes of a matrix"),
        (Mover::Value { .. }, _) => format!("asynchronous store of {bytes} bytes"),
        (_, Kind::CopyFrom) => format!("bulk copy from {bytes} bytes"),
        (_, Kind::Reduce) => format!("bulk reduction of {bytes} bytes"),
        _ => format!("bulk copy to {bytes} bytes"),
    }
}

/// An access in words.
pub fn action(touch: &Touch) -> String {
    let bytes = touch.bytes * touch.count;
    match touch.kind {
        Kind::Read => format!("read of {bytes} bytes"),
        Kind::Write => format!("write of {bytes} bytes"),
        Kind::Atomic => format!("atomic operation on {bytes} bytes"),
        Kind::CopyFrom => format!("asynchronous copy from {bytes} bytes"),
        Kind::CopyTo => format!("asynchronous copy to {bytes} bytes"),
        Kind::Reduce => format!("asynchronous reduction of {bytes} bytes"),
        Kind::Prefetch => format!("prefetch of {bytes} bytes"),
        Kind::Discard => format!("discard of {bytes} bytes"),
    }
}

/// Whether accesses of several threads may meet without a race.
pub fn is_strong(touch: &Touch) -> bool {
    touch.order != Order::Weak
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_a_cluster_have_neighbouring_numbers() {
        let at = |number| block_at(number, [4, 6, 2], [2, 3, 1]);
        let first = [
            [0, 0, 0],
            [1, 0, 0],
            [0, 1, 0],
            [1, 1, 0],
            [0, 2, 0],
            [1, 2, 0],
        ];
        assert_eq!([0, 1, 2, 3, 4, 5].map(at), first);
        assert_eq!(
            [6, 11, 12, 24].map(at),
            [[2, 0, 0], [3, 2, 0], [0, 3, 0], [0, 0, 1]]
        );
        // Without clusters they are the grid's, x first.
        let plain = |number| block_at(number, [4, 6, 2], [1; 3]);
        assert_eq!([5, 24, 47].map(plain), [[1, 1, 0], [0, 0, 1], [3, 5, 1]]);
    }
}
