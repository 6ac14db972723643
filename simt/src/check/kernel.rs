//! The kernel that is being checked, as findings speak of it.

use super::finding::Site;
use crate::exec::facts::Facts;
use crate::exec::grid::Launch;
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

    /// An instruction of a thread, both by their linear numbers.
    pub fn site(&self, pc: u32, block: u64, thread: u32) -> Site {
        let (number, line) = self
            .program
            .sources
            .get(pc as usize)
            .copied()
            .unwrap_or_default();
        let file = self.program.files.iter().find(|(n, _)| *n == number);
        let coordinates = |at: u64, [x, y, _]: [u32; 3]| {
            let (x, y) = (u64::from(x), u64::from(y));
            [at % x, at / x % y, at / x / y].map(|n| n as u32)
        };
        Site {
            kernel: self.name.clone(),
            file: file.map(|(_, path)| path.clone()).unwrap_or_default(),
            line,
            ptx_line: self.program.lines.get(pc as usize).copied().unwrap_or(0),
            block: coordinates(block, self.grid),
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
    }
}

/// Whether accesses of several threads may meet without a race.
pub fn is_strong(touch: &Touch) -> bool {
    touch.order != Order::Weak
}
