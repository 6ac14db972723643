//! A warp: 32 threads, their registers, and the loop that executes them.

use super::asynchronous::Copies;
use super::block::Block;
use super::bulk::Stores;
use super::diverge::{Join, Split};
use super::fault::Fault;
use super::matrix_queue::Products;
use super::program::{CONSTANT, Function, Inst, Line, NONE, Place, Program, Step};
use crate::watch::Onlooker;

/// Why [`Warp::run`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All its threads have exited.
    Done,
    /// No thread can go on before another warp does something.
    Waiting,
    /// Its turn is over; it can go on.
    Yielded,
    /// `warp.fault` says what went wrong.
    Fault,
}

/// Jumps that a split may take before another one has its turn.
const SPLIT_TURN: u32 = 4096;
/// Jumps that a warp may take before another one has its turn.
const WARP_TURN: u32 = 16384;
/// What one probable look at a lock costs of a turn: spinning threads soon let others go on.
const SPIN_COST: u32 = 128;

/// 32 threads of a block. Registers are rows of 32 lanes, one row a register.
pub struct Warp {
    /// The running split's frame of registers, and the constants of the program.
    frame: *const u8,
    constants: *const u8,
    /// Lanes of the running split.
    pub active: u32,
    /// Lanes that have exited or never were.
    pub dead: u32,
    /// The next instruction; during an instruction, that instruction.
    pub pc: u32,
    lists: *const Place,
    /// Allocations that accesses hit last, by instruction: first byte and one past the last.
    pub ranges: [(u64, u64); 32],

    block: *const Block,
    registers: Vec<Line>,
    /// Bytes from the start of the registers to the running split's frame.
    pub frame_base: u32,
    /// Each lane's local memory, `local_stride` bytes a lane.
    pub local: Vec<Line>,
    pub local_stride: u32,
    /// Bytes from the start of a lane's local memory to the running split's frame.
    pub local_base: u32,
    /// Linear index of lane 0 in the block.
    pub first_thread: u32,
    pub splits: Vec<Split>,
    /// Index of the running split.
    pub current: usize,
    pub joins: Vec<Join>,
    pub free_joins: Vec<u32>,
    /// Innermost join of the running split, or [`NONE`].
    pub join: u32,
    turn: u32,
    /// `CC.CF` of each lane.
    pub carry: u32,
    pub fault: Option<Fault>,
    pub copies: Copies,
    /// Bulk copies out of shared memory.
    pub stores: Stores,
    /// Products of the warpgroup that nobody has waited for.
    pub products: Products,
    /// Where each lane's taken local memory ends: see `exec/stack.rs`.
    pub stack_top: [u32; 32],
    /// How often each lane has arrived at the cluster's barrier.
    pub cluster_arrivals: [u64; 32],
}

impl Warp {
    /// A warp without threads; [`Warp::start`] gives it some.
    pub fn new() -> Warp {
        Warp {
            frame: std::ptr::null(),
            constants: std::ptr::null(),
            active: 0,
            dead: !0,
            pc: 0,
            lists: std::ptr::null(),
            ranges: [(1, 0); 32],
            block: std::ptr::null(),
            registers: Vec::new(),
            frame_base: 0,
            local: Vec::new(),
            local_stride: 0,
            local_base: 0,
            first_thread: 0,
            splits: Vec::new(),
            current: 0,
            joins: Vec::new(),
            free_joins: Vec::new(),
            join: NONE,
            turn: 0,
            carry: 0,
            fault: None,
            copies: Copies::default(),
            stores: Stores::default(),
            products: Products::default(),
            stack_top: [0; 32],
            cluster_arrivals: [0; 32],
        }
    }

    /// Puts `threads` (1 to 32) threads of a block at the start of an entry.
    ///
    /// `block` has to outlive the warp's run and stay where it is.
    pub fn start(&mut self, block: &Block, function: &Function, first_thread: u32, threads: u32) {
        let launch = block.launch();
        let program = &launch.program;
        self.block = block;
        self.constants = program.constants.as_ptr().cast();
        self.lists = program.lists.as_ptr();
        self.ranges = [(1, 0); 32];
        self.first_thread = first_thread;
        self.active = !0 >> (32 - threads);
        self.dead = !self.active;
        self.pc = function.start;
        self.registers.clear();
        self.frame_base = 0;
        self.local_base = 0;
        self.local_stride = launch.local_bytes.next_multiple_of(16);
        self.local
            .resize(self.local_stride as usize / 2, Line([0; 64]));
        self.joins.clear();
        self.free_joins.clear();
        self.join = NONE;
        self.splits.clear();
        self.splits.push(Split::new(self.pc, self.active));
        self.current = 0;
        self.turn = 0;
        self.fault = None;
        self.copies.clear();
        self.stores.clear();
        self.products.clear();
        self.cluster_arrivals = [0; 32];
        self.stack_top = [launch.stack_bytes; 32];
        self.enter(function);
    }

    /// Makes room for a function's frame at `frame_base` and fills its special registers for the
    /// active lanes.
    pub fn enter(&mut self, function: &Function) {
        let lines = (self.frame_base + function.frame) as usize / 64;
        if self.registers.len() < lines {
            self.registers.resize(lines, Line([0; 64]));
        }
        self.place_frame();
        for &(special, place, bits) in &function.specials {
            let active = self.active;
            // SAFETY: the decoder made the places for rows of these widths.
            unsafe {
                let values: [u64; 32] = std::array::from_fn(|l| special.value(self, l as u32));
                match bits {
                    1 => {
                        let lanes = super::lanes::lanes_where(|l| values[l] != 0);
                        self.put_predicate(place, active, lanes);
                    }
                    16 => self.put(place, active, &values.map(|v| v as u16)),
                    32 => self.put(place, active, &values.map(|v| v as u32)),
                    _ => self.put(place, active, &values),
                }
            }
        }
    }

    fn place_frame(&mut self) {
        // SAFETY: frame bases lie within the registers: `enter` has made room for each.
        self.frame = unsafe {
            self.registers
                .as_ptr()
                .cast::<u8>()
                .add(self.frame_base as usize)
        };
    }

    /// Does something with the registers of another frame of this warp, which has been entered.
    pub fn in_frame<T>(&mut self, frame_base: u32, f: impl FnOnce(&mut Warp) -> T) -> T {
        let own = std::mem::replace(&mut self.frame_base, frame_base);
        self.place_frame();
        let result = f(self);
        self.frame_base = own;
        self.place_frame();
        result
    }

    /// The block that the warp belongs to.
    #[inline(always)]
    pub fn block(&self) -> &Block {
        // SAFETY: `start` was given a block that outlives the run.
        unsafe { &*self.block }
    }

    /// The program that the warp executes.
    #[inline(always)]
    pub fn program(&self) -> &Program {
        &self.block().launch().program
    }

    /// Where a place lies in memory.
    ///
    /// # Safety
    /// The place is one that the decoder gave out.
    #[inline(always)]
    pub unsafe fn at(&self, place: Place) -> *const u8 {
        let base = if place & CONSTANT == 0 {
            self.frame
        } else {
            self.constants
        };
        // SAFETY: the decoder's places lie within the frame or the constants.
        unsafe { base.add((place & !CONSTANT) as usize) }
    }

    /// The places of an instruction that has a list, `count` of them.
    ///
    /// # Safety
    /// The decoder gave the instruction a list that long.
    #[inline(always)]
    pub unsafe fn list<'a>(&self, i: &Inst, count: usize) -> &'a [Place] {
        // SAFETY: the caller's promise; lists live as long as the program, which outlives the run.
        unsafe { std::slice::from_raw_parts(self.lists.add(i.list as usize), count) }
    }

    /// Stops the warp with a fault.
    #[cold]
    pub fn fail(&mut self, fault: Fault) -> Step {
        self.fault = Some(fault);
        Step::Fault
    }

    /// Says that the running threads have probably looked at a lock that another thread holds.
    #[inline(always)]
    pub fn spin(&mut self) {
        self.turn = self.turn.saturating_add(SPIN_COST);
    }

    /// The running split, brought up to date.
    pub fn save(&mut self) {
        let split = &mut self.splits[self.current];
        split.pc = self.pc;
        split.lanes = self.active;
        split.join = self.join;
        split.frame_base = self.frame_base;
        split.local_base = self.local_base;
    }

    /// Makes `splits[current]` the running one.
    pub fn load(&mut self) {
        let split = self.splits[self.current];
        self.pc = split.pc;
        self.active = split.lanes;
        self.join = split.join;
        self.frame_base = split.frame_base;
        self.local_base = split.local_base;
        self.place_frame();
    }

    /// Executes until all threads have exited or wait, or the warp's turn is over, under the eyes of
    /// somebody or of [`Nobody`](crate::watch::Nobody).
    pub fn run<W: Onlooker>(&mut self, onlooker: &mut W) -> Outcome {
        if !self.choose() {
            return if self.splits.is_empty() {
                Outcome::Done
            } else {
                Outcome::Waiting
            };
        }
        let code = self.program().code.as_ptr();
        let mut spent = 0;
        let mut pc = self.pc;
        loop {
            // SAFETY: the decoder ends every function with an instruction that does not fall through,
            // and checked all jump targets and places.
            let step = unsafe {
                let inst = &*code.add(pc as usize);
                let mut mask = self.active;
                if inst.guard != NONE {
                    mask &= self.predicate(inst.guard) ^ inst.flip;
                    if mask == 0 {
                        onlooker.pass(self, pc);
                        pc += 1;
                        continue;
                    }
                }
                self.pc = pc;
                onlooker.see(self, pc, mask);
                (inst.exec)(self, inst, mask)
            };
            match step {
                Step::Next => pc += 1,
                Step::Jump => {
                    pc = self.pc;
                    self.turn += 1;
                    if self.turn >= SPLIT_TURN {
                        spent += self.turn.min(SPLIT_TURN);
                        self.turn = 0;
                        self.save();
                        self.let_others_go();
                        if spent >= WARP_TURN {
                            return Outcome::Yielded;
                        }
                        self.choose();
                        pc = self.pc;
                    }
                }
                Step::Switch => {
                    if !self.choose() {
                        return if self.splits.is_empty() {
                            Outcome::Done
                        } else {
                            Outcome::Waiting
                        };
                    }
                    pc = self.pc;
                }
                Step::Fault => return Outcome::Fault,
            }
        }
    }
}

impl Default for Warp {
    fn default() -> Warp {
        Warp::new()
    }
}

// SAFETY: the pointers are to the warp's own registers and to a block and program that outlive the
// run; a warp is only ever used by one thread at a time.
unsafe impl Send for Warp {}
