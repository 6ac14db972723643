//! Blocks that are resident together: clusters, and whole grids of cooperative launches (PTX ISA,
//! `barrier.cluster`, `mapa`, `getctarank`).
//!
//! The blocks of a cluster take turns on one host thread. An address in the shared memory of the block
//! of rank `r` has `r + 1` in its bits 24 to 31, and is good in every block of the cluster; 0 there
//! means the block's own.

use super::block::{Block, Resident};
use super::diverge::State;
use super::facts::Effect;
use super::fault::Report;
use super::grid::Launch;
use super::lanes::map2;
use super::program::{Exec, Step};
use super::warp::Warp;
use super::{Entry, For};
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Type::*;
use crate::watch::LaunchWatch;
use std::cell::Cell;

pub const TABLE: &[Entry] = &[
    Entry("mapa", For::All, map_address),
    Entry("getctarank", For::All, rank_of_address),
];

/// Lowest bit of the rank in an address: bits of an offset in a block's shared memory.
pub const OFFSET_BITS: u32 = 24;
/// How often those who wait for an mbarrier are let go without it before that counts as a deadlock.
const PATIENCE: u32 = 16;

/// What the blocks of a cluster share.
pub struct Cluster {
    blocks: Vec<*const Block>,
    passes: Cell<u64>,
}

impl Cluster {
    /// The block of a rank, if there is one.
    pub fn block(&self, rank: usize) -> Option<&Block> {
        let block = *self.blocks.get(rank)?;
        // SAFETY: the group keeps its blocks where they are for as long as it lives.
        Some(unsafe { &*block })
    }

    /// How often its barrier has passed.
    pub fn passes(&self) -> u64 {
        self.passes.get()
    }

    /// Lets the barrier pass if all living threads of the cluster have arrived.
    pub fn pass(&self) {
        let blocks = || (0..self.blocks.len()).filter_map(|rank| self.block(rank));
        let arrived = |block: &Block| block.arrived_in_cluster.borrow().iter().any(|l| *l != 0);
        let complete = |block: &Block| {
            let arrived = block.arrived_in_cluster.borrow();
            let living = block.living.borrow();
            let mut warps = arrived.iter().zip(living.iter());
            warps.all(|(here, all)| here & all == *all)
        };
        if !blocks().any(arrived) || !blocks().all(complete) {
            return;
        }
        self.passes.set(self.passes.get() + 1);
        for block in blocks() {
            block.arrived_in_cluster.borrow_mut().fill(0);
            block.stir();
        }
    }
}

impl Block {
    /// The cluster that the block is in; alone where the launch has none.
    #[inline(always)]
    pub fn cluster(&self) -> &Cluster {
        // SAFETY: `Group::new` sets it before anything runs, and keeps it as long as the block.
        unsafe { &*self.cluster.get() }
    }

    /// The block and the offset in its shared memory that an address in shared memory leads to.
    /// `None`: `bytes` there are nobody's, or of a block whose threads have all exited.
    pub fn shared_at(&self, address: u64, bytes: u64) -> Option<(&Block, u64)> {
        let offset = address & ((1 << OFFSET_BITS) - 1);
        let block = match address >> OFFSET_BITS {
            0 => self,
            rank @ 1..=255 => self.cluster().block(rank as usize - 1)?,
            _ => return None,
        };
        let fits = offset + bytes <= u64::from(block.shared_bytes);
        (fits && !block.is_gone.get()).then_some((block, offset))
    }
}

/// Clusters that are resident together and take turns.
pub struct Group {
    residents: Vec<Resident>,
    /// Never grows: blocks point into it.
    clusters: Vec<Cluster>,
    /// Blocks of a cluster.
    size: usize,
}

impl Group {
    /// Room for that many clusters of a launch, each block looked on at by the launch's watches.
    pub fn new(launch: &Launch, clusters: usize, watches: &[Box<dyn LaunchWatch>]) -> Group {
        let size = launch.cluster.iter().product::<u32>() as usize;
        let residents: Vec<_> = (0..clusters * size)
            .map(|_| Resident::new(launch, watches))
            .collect();
        let blocks_of = |members: &[Resident]| Cluster {
            blocks: members
                .iter()
                .map(|r| std::ptr::from_ref(r.block()))
                .collect(),
            passes: Cell::new(0),
        };
        let clusters: Vec<_> = residents.chunks(size).map(blocks_of).collect();
        for (members, cluster) in residents.chunks(size).zip(&clusters) {
            for member in members {
                member.block().cluster.set(cluster);
            }
        }
        Group {
            residents,
            clusters,
            size,
        }
    }

    /// Takes up the clusters from that index of the grid on.
    pub fn start(&mut self, first: u64) {
        for (at, resident) in self.residents.iter_mut().enumerate() {
            let cluster = first + (at / self.size) as u64;
            resident.start(cluster, (at % self.size) as u32);
        }
        for cluster in &self.clusters {
            cluster.passes.set(0);
        }
    }

    /// Runs all blocks to their ends.
    ///
    /// # Errors
    /// The first fault of one of their threads.
    pub fn finish(&mut self) -> std::result::Result<(), Report> {
        let (mut patience, mut seen) = (PATIENCE, 0);
        loop {
            let (mut progress, mut left) = (false, None);
            for at in 0..self.residents.len() {
                if !self.residents[at].is_done() {
                    progress |= self.residents[at].turn()?;
                    left = left.or((!self.residents[at].is_done()).then_some(at));
                }
            }
            let Some(stuck) = left else {
                return Ok(());
            };
            if progress || self.land_all() {
                continue;
            }
            let blocks = self.residents.iter().map(Resident::block);
            let events = blocks.map(|block| block.events.get()).sum();
            if events != seen {
                (patience, seen) = (PATIENCE, events);
            }
            let waits = self
                .residents
                .iter_mut()
                .fold(false, |any, resident| any | resident.give_up_waiting());
            if !waits || patience == 0 {
                return Err(self.residents[stuck].stuck());
            }
            patience -= 1;
        }
    }

    /// There are no more clusters.
    pub fn retire(self) {
        self.residents.into_iter().for_each(Resident::retire);
    }

    /// Has all asynchronous operations done; `false`: there are none.
    fn land_all(&self) -> bool {
        let blocks = self.residents.iter().map(Resident::block);
        blocks.fold(false, |any, block| any | block.land_if(|_| true))
    }
}

/// `mapa{.shared::cluster}.type d, a, rank`: the address in the block of that rank that has the place of
/// `a` in its own.
fn map_address(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.flag("shared::cluster");
    let ty = i.ty()?;
    i.unary(ty)?;
    i.src(U32)?;
    // Ranks that no cluster has lead nowhere.
    const fn rank_bits(rank: u32) -> u32 {
        (if rank < 255 { rank + 1 } else { 255 }) << OFFSET_BITS
    }
    Ok(match ty {
        U32 => map2(|a: u32, rank: u32| a & 0xff_ffff | rank_bits(rank)),
        U64 => map2(|a: u64, rank: u32| a & !0xff00_0000 | u64::from(rank_bits(rank))),
        _ => return i.refuse(),
    })
}

/// `getctarank{.shared::cluster}.type d, a`: the rank of the block that an address belongs to.
fn rank_of_address(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.flag("shared::cluster");
    let ty = i.ty()?;
    if !matches!(ty, U32 | U64) {
        return i.refuse();
    }
    i.dst(U32)?;
    i.src(ty)?;
    i.aux = ty.bits();
    Ok(|w, i, mask| {
        // SAFETY: the decoder took rows of these widths.
        unsafe {
            let addresses: [u32; 32] = match i.aux {
                32 => *w.row::<u32>(i.places[1]),
                _ => w.row::<u64>(i.places[1]).map(|a| a as u32),
            };
            let own = w.block().rank;
            let ranks = addresses.map(|a| match a >> OFFSET_BITS {
                0 => own,
                rank => rank - 1,
            });
            w.put(i.places[0], mask, &ranks);
        }
        Step::Next
    })
}

/// `barrier.cluster.arrive{.release,.relaxed}{.aligned}`, `barrier.cluster.wait{.acquire}{.aligned}`
pub fn barrier(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    i.flag("cluster");
    i.flag("aligned");
    let releases = i.one_of(&["release", "relaxed", "acquire"]) != Some(1);
    let operation = i.one_of(&["arrive", "wait"]);
    i.facts.effect = match operation {
        Some(0) => Effect::ClusterArrive { releases },
        _ => Effect::ClusterWait,
    };
    match operation {
        Some(0) => Ok(|w, _, mask| {
            let block = w.block();
            let warp = w.first_thread as usize / 32;
            block.arrived_in_cluster.borrow_mut()[warp] |= mask;
            for lane in (0..32).filter(|lane| mask >> lane & 1 != 0) {
                w.cluster_arrivals[lane] += 1;
            }
            w.block().cluster().pass();
            Step::Next
        }),
        Some(_) => Ok(wait),
        None => i.refuse(),
    }
}

impl Warp {
    /// How often the cluster's barrier has to have passed for some lanes to go on behind it.
    pub fn cluster_goal(&self, lanes: u32) -> u64 {
        let arrivals = (0..32).filter(|lane| lanes >> lane & 1 != 0);
        let arrivals = arrivals.map(|lane| self.cluster_arrivals[lane]);
        arrivals.max().unwrap_or(0)
    }
}

fn wait(w: &mut Warp, _: &super::program::Inst, mask: u32) -> Step {
    if w.has_passed() {
        return Step::Next;
    }
    let goal = w.cluster_goal(mask);
    if w.block().cluster().passes() >= goal {
        return Step::Next;
    }
    w.wait_in(State::Cluster(goal), mask)
}
