//! What the launches of a kernel were counted to do, and how long that takes on a real GPU.

use super::machine_code::{MachineCode, occupancy};
use lrem::device::cuda::sass::Sass;
use lrem::workbench::{CHIPS, Cost, Inspection, Prediction, Work, Workspace, predict};
use serde::Serialize;
use simt::count::record::Record;
use std::fmt;
use std::path::Path;

/// Source lines that are shown.
const LINES: usize = 3;

/// The counts of one kernel instance, at a model's shape.
#[derive(Serialize)]
pub struct Counted {
    pub instance: String,
    pub shape: String,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared_bytes: u32,
    /// Warps that a multiprocessor holds, of those that it could; with the machine code's registers.
    pub occupancy: Option<f64>,
    /// Bytes that cross HBM by the L2 model, and over those that the op cannot do without.
    pub memory_bytes: u64,
    pub bytes_over_compulsory: Option<f64>,
    /// What the op cannot do without.
    pub needed: Option<Cost>,
    /// Global sectors of 32 bytes and shared wavefronts, and over what the same accesses need at best.
    pub sectors: u64,
    pub wavefronts: u64,
    pub sectors_over_ideal: f64,
    pub wavefronts_over_ideal: f64,
    pub warp_instructions: u64,
    /// Whether tensor cores do its products.
    pub tensor_cores: bool,
    pub lane_activity: f64,
    pub predictions: Vec<(String, Prediction)>,
    /// Seconds on the GPU that it was timed on.
    pub measured: Option<f64>,
    /// Of the machine code; none of PTX.
    pub machine_code: Option<MachineCode>,
    /// Lines with the most warp instructions: number, text, share.
    pub lines: Vec<(u32, String, f64)>,
}

/// The counts in the profile `path`, of what `looks` ran; `text` is the kernel file's, `code` its machine code.
pub fn counted(
    path: &Path,
    looks: &[Inspection],
    text: &str,
    code: &[(String, Sass)],
    workspace: &Workspace,
) -> Vec<Counted> {
    let Ok(profile) = std::fs::read_to_string(path) else {
        return Vec::new();
    };
    let lines: Vec<&str> = text.lines().collect();
    let records = profile
        .lines()
        .filter_map(|line| serde_json::from_str::<Record>(line).ok());
    let mut counted: Vec<Counted> = Vec::new();
    for record in records {
        let Some(instance) = workspace.instance(&record.kernel) else {
            continue;
        };
        if counted.iter().any(|c| c.instance == instance) {
            continue;
        }
        // The first, as the record is of the first launch.
        let launched = |look: &&Inspection| look.launched.iter().any(|name| name == instance);
        let look = looks.iter().find(launched);
        let cost = look.and_then(|look| Cost::of(instance, &look.costs));
        let mut kernel = of(&record, instance.to_string(), look, cost, &lines, workspace);
        let code = code.iter().find(|(name, _)| name == instance);
        kernel.assembled(code.map(|(_, sass)| MachineCode::of(sass)));
        counted.push(kernel);
    }
    counted
}

fn of(
    record: &Record,
    instance: String,
    look: Option<&Inspection>,
    cost: Option<&Cost>,
    lines: &[&str],
    workspace: &Workspace,
) -> Counted {
    let blocks: u64 = record.grid.iter().map(|&n| u64::from(n)).product();
    let global = [
        &record.global.loads,
        &record.global.stores,
        &record.global.atomics,
    ];
    let shared = [
        &record.shared.loads,
        &record.shared.stores,
        &record.shared.atomics,
    ];
    let over = |is: u64, ideal: u64| {
        if ideal == 0 {
            1.0
        } else {
            is as f64 / ideal as f64
        }
    };
    let sectors: u64 = global.iter().map(|g| g.sectors).sum();
    let wavefronts: u64 = shared.iter().map(|s| s.wavefronts).sum();
    // What is read more than once comes from L2 where it fits; what is touched crosses the pins once.
    let memory_bytes = record.unique.read_bytes + record.unique.written_bytes;
    let work = Work {
        bytes: memory_bytes as f64,
        tensor_flops: record.flops.tensor as f64,
        single_flops: record.flops.f32 as f64,
        instructions: record.instructions.warp as f64,
        wavefronts: wavefronts as f64,
        blocks: blocks as f64,
    };
    let predictions = CHIPS
        .iter()
        .map(|chip| (chip.name.to_string(), predict(chip, &work)));
    let mut costly: Vec<_> = record.source_lines.iter().collect();
    costly.sort_by_key(|line| std::cmp::Reverse(line.counts.instructions));
    let own = |file: &str| workspace.is_file(file);
    let share = |n: u64| n as f64 / record.instructions.warp.max(1) as f64;
    let shown = costly
        .iter()
        .filter(|line| own(&line.file))
        .take(LINES)
        .map(|line| {
            let text = lines
                .get(line.line.saturating_sub(1) as usize)
                .unwrap_or(&"")
                .trim();
            (line.line, text.to_string(), share(line.counts.instructions))
        });
    Counted {
        instance,
        shape: look
            .and_then(|l| l.shapes.first().cloned())
            .unwrap_or_default(),
        grid: record.grid,
        block: record.block,
        shared_bytes: record.static_shared + record.dynamic_shared,
        occupancy: None,
        memory_bytes,
        bytes_over_compulsory: cost.map(|c| over(memory_bytes, c.bytes)),
        needed: cost.cloned(),
        sectors,
        wavefronts,
        sectors_over_ideal: over(sectors, global.iter().map(|g| g.ideal_sectors).sum()),
        wavefronts_over_ideal: over(wavefronts, shared.iter().map(|s| s.ideal_wavefronts).sum()),
        warp_instructions: record.instructions.warp,
        tensor_cores: record.flops.tensor > 0,
        lane_activity: record.instructions.lane_activity,
        predictions: predictions.collect(),
        measured: None,
        machine_code: None,
        lines: shown.collect(),
    }
}

impl Counted {
    /// Takes what stands in the machine code.
    fn assembled(&mut self, code: Option<MachineCode>) {
        let threads = self.block.iter().product();
        let occupied = |c: &MachineCode| occupancy(c.registers, threads, self.shared_bytes);
        self.occupancy = code.as_ref().map(occupied);
        self.machine_code = code;
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y, z] = self.grid;
        let threads: u32 = self.block.iter().product();
        writeln!(f, "{} at {}", self.instance, self.shape)?;
        writeln!(
            f,
            "  launch        {x} x {y} x {z} blocks of {threads} threads, {} bytes of shared memory{}",
            self.shared_bytes,
            self.occupancy
                .map_or(String::new(), |o| format!(", occupancy {:.0} %", 100.0 * o))
        )?;
        let compulsory = self
            .bytes_over_compulsory
            .map_or(String::new(), |r| format!(", {r:.3} x compulsory"));
        writeln!(f, "  HBM           {} bytes{compulsory}", self.memory_bytes)?;
        writeln!(
            f,
            "  over ideal    global sectors {:.3} x, shared wavefronts {:.3} x",
            self.sectors_over_ideal, self.wavefronts_over_ideal
        )?;
        writeln!(
            f,
            "  instructions  {} of warps, {:.0} % of lanes active",
            self.warp_instructions,
            100.0 * self.lane_activity
        )?;
        if let Some(code) = &self.machine_code {
            writeln!(f, "  {:<12}  {code}", code.arch)?;
        }
        for (chip, p) in &self.predictions {
            writeln!(
                f,
                "  {chip:<12}  {:.2} us by {}, {:.2} us with launching",
                1e6 * p.work,
                p.limit.name(),
                1e6 * p.seconds
            )?;
        }
        for (line, text, share) in &self.lines {
            writeln!(
                f,
                "  line {line:<7}  {:.0} % of instructions: {text}",
                100.0 * share
            )?;
        }
        Ok(())
    }
}
