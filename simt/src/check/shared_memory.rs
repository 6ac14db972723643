//! What is known of the shared memory of the blocks that are at work: other blocks of the cluster reach it
//! as well.

use super::bits::Bits;
use super::engines::Engines;
use super::messages::Location;
use super::shadow::Shadow;
use crate::exec::block::Block;
use std::collections::HashMap;

/// Unordered reads of a cell of shared memory that are kept beside the first.
const SHARED_READS: usize = 31;

/// The shared memory of a block.
#[derive(Debug)]
pub struct SharedMemory {
    /// The block's number in the grid.
    pub number: u64,
    pub shadow: Shadow,
    /// Bytes that somebody has written.
    pub written: Bits,
    /// What strong writes have told, by offset.
    pub locations: HashMap<u64, Location>,
    /// What copies for the block, or completes on its mbarriers.
    pub engines: Engines,
}

impl SharedMemory {
    fn new() -> SharedMemory {
        SharedMemory {
            number: 0,
            shadow: Shadow::new(SHARED_READS),
            written: Bits::default(),
            locations: HashMap::new(),
            engines: Engines::default(),
        }
    }
}

/// Those of all blocks, each under an index.
#[derive(Debug, Default)]
pub struct Memories {
    all: Vec<SharedMemory>,
    free: Vec<usize>,
    /// By the address of the block, which stays where it is while it is at work.
    places: HashMap<usize, usize>,
}

impl Memories {
    /// Room for one block after another.
    pub fn open(&mut self) -> usize {
        match self.free.pop() {
            Some(index) => {
                self.all[index] = SharedMemory::new();
                index
            }
            None => {
                self.all.push(SharedMemory::new());
                self.all.len() - 1
            }
        }
    }

    /// A block begins, with memory that holds nothing. What blocks that are gone did there is older than
    /// anything that it can do.
    pub fn begin(&mut self, index: usize, block: &Block) {
        self.places
            .insert(std::ptr::from_ref(block) as usize, index);
        let memory = &mut self.all[index];
        memory.number = block.index;
        memory.written.reset(block.shared_bytes as usize);
        memory.locations.clear();
        memory.engines.reset();
    }

    /// There are no more blocks for an index.
    pub fn close(&mut self, index: usize) {
        self.places.retain(|_, at| *at != index);
        self.free.push(index);
    }

    /// The index of a block at work.
    pub fn find(&self, block: &Block) -> Option<usize> {
        let address = std::ptr::from_ref(block) as usize;
        self.places.get(&address).copied()
    }

    /// The memory of an index that [`Memories::open`] has given.
    #[inline(always)]
    pub fn at(&mut self, index: usize) -> &mut SharedMemory {
        &mut self.all[index]
    }
}
