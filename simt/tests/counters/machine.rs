//! A virtual GPU below the driver interface, with somebody who keeps the records of launches and of ranges.

use simt::count::record::{RangeRecord, Record};
use simt::count::{Model, Output, Profile};
use simt::driver::Chip;
use simt::exec::grid::{ChipLimits, Launch, Shape};
use simt::memory::Arena;
use simt::ptx::{decode::decode, parser::parse};
use std::sync::{Arc, Mutex};

/// A launch of one kernel, and what it is run with.
pub struct Machine {
    arena: Arena,
    pub l2: u64,
    pub threads: usize,
    pub cooperative: bool,
    pub cluster: Option<[u32; 3]>,
}

/// What was recorded.
#[derive(Default)]
pub struct Kept {
    pub launches: Mutex<Vec<Record>>,
    pub ranges: Mutex<Vec<RangeRecord>>,
}

impl Output for Kept {
    fn write(&self, record: &Record) {
        self.launches.lock().unwrap().push(record.clone());
    }

    fn write_range(&self, record: &RangeRecord) {
        self.ranges.lock().unwrap().push(record.clone());
    }
}

/// Shape and arguments of a launch.
pub struct Setup<'a> {
    pub grid: [u32; 3],
    pub block: u32,
    pub shared: u32,
    pub params: &'a [u8],
}

impl Machine {
    pub fn new() -> Machine {
        Machine {
            arena: Arena::new(1 << 26).unwrap(),
            l2: Model::of(Chip::of(0)).l2,
            threads: 1,
            cooperative: false,
            cluster: None,
        }
    }

    /// Device memory, poisoned.
    pub fn allocate(&mut self, bytes: u64) -> u64 {
        let at = self.arena.allocate(bytes).unwrap();
        // SAFETY: the arena has just given these bytes.
        unsafe { (at as *mut u8).write_bytes(0xa5, bytes as usize) };
        at
    }

    /// Counters, and what they write to.
    pub fn counters(&self) -> (Arc<Profile>, Arc<Kept>) {
        let kept = Arc::new(Kept::default());
        let mut model = Model::of(Chip::of(0));
        model.l2 = self.l2;
        let output: Arc<dyn Output> = Arc::<Kept>::clone(&kept);
        (Arc::new(Profile::new(model, output)), kept)
    }

    /// The record of a launch of the entry `k` of a text.
    pub fn launch(&mut self, ptx: &str, entry: &str, setup: &Setup<'_>) -> Record {
        let (profile, kept) = self.counters();
        self.watched(ptx, entry, setup, &profile);
        let records = kept.launches.lock().unwrap();
        assert_eq!(records.len(), 1);
        records[0].clone()
    }

    /// The same launch, counted by counters that may have counted others.
    pub fn watched(&mut self, ptx: &str, entry: &str, setup: &Setup<'_>, profile: &Arc<Profile>) {
        let module = parse(ptx).unwrap();
        let (program, _) =
            decode(&module, &mut |bytes, _| self.arena.allocate(bytes).ok()).unwrap();
        let function = program.functions.iter().position(|f| f.name == entry);
        let shape = Shape {
            grid: setup.grid,
            block: [setup.block, 1, 1],
            cluster: self.cluster,
            cooperative: self.cooperative,
            dynamic_shared: setup.shared,
        };
        let limits = ChipLimits {
            multiprocessors: Chip::of(0).multiprocessors,
            warps_per_sm: 64,
        };
        let mut launch = Launch::new(
            Arc::new(program),
            function.unwrap(),
            &shape,
            setup.params.to_vec(),
            self.arena.allocations(),
            limits,
        );
        launch.watches.push(Arc::<Profile>::clone(profile));
        launch.run(self.threads).unwrap();
    }

    /// The record of a kernel with that body on `blocks` blocks of `threads` threads.
    ///
    /// `%tid` holds the thread's index in the block, `%id` that in the grid, both of 32 bits; `%a` and
    /// `%b` are addresses of `bytes` of device memory each, and `tile` is shared memory.
    pub fn run(&mut self, body: &str, blocks: u32, threads: u32, bytes: u64) -> Record {
        let (a, b) = (self.allocate(bytes), self.allocate(bytes));
        let params = [a.to_le_bytes(), b.to_le_bytes()].concat();
        let setup = Setup {
            grid: [blocks, 1, 1],
            block: threads,
            shared: 0,
            params: &params,
        };
        self.launch(&kernel(body), "k", &setup)
    }
}

/// Instructions that every kernel of [`kernel`] begins and ends with.
pub const AROUND: u64 = 6;

/// A kernel with a body.
pub fn kernel(body: &str) -> String {
    format!(
        ".version 8.5\n.target sm_80\n.address_size 64\n\
         .visible .entry k(.param .u64 p_a, .param .u64 p_b) {{\n\
         .reg .pred %p<8>;\n.reg .b16 %h<8>;\n.reg .b32 %r<32>;\n.reg .b64 %d<32>;\n.reg .f32 %f<16>;\n\
         .reg .f64 %e<8>;\n.reg .b64 %a, %b;\n.reg .b32 %tid, %id, %ntid;\n\
         .shared .align 1024 .b8 tile[16384];\n\
         ld.param.u64 %a, [p_a];\n\
         ld.param.u64 %b, [p_b];\n\
         mov.u32 %tid, %tid.x;\n\
         mov.u32 %ntid, %ntid.x;\n\
         mad.lo.u32 %id, %ctaid.x, %ntid, %tid;\n\
         {body}\n\
         ret;\n}}\n"
    )
}
