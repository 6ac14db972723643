//! What the launches of an op's kernels were counted to do, beside what the op needs and what stands in their
//! machine code.

use super::counts::{Counts, over};
use super::machine_code::{MachineCode, occupancy};
use lrem::device::cuda::sass::Sass;
use lrem::workbench::{Chip, Cost, Inspection, Workspace};
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
    #[serde(flatten)]
    pub counts: Counts,
    /// Warps that a multiprocessor holds, of those that it could; with the machine code's registers.
    pub occupancy: Option<f64>,
    /// Bytes that cross HBM over those that the op cannot do without.
    pub bytes_over_compulsory: Option<f64>,
    /// The same by the model of the L2 cache.
    pub hbm_over_compulsory: Option<f64>,
    /// What the op cannot do without.
    pub needed: Option<Cost>,
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
        kernel.assembled(code.map(|(_, sass)| MachineCode::of(sass, workspace.arch())));
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
    let mut counts = Counts::of(record);
    let runs = |name: &str| Chip::named(name).is_some_and(|chip| chip.runs(workspace.arch()));
    counts.predictions.retain(|(chip, _)| runs(chip));
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
        occupancy: None,
        bytes_over_compulsory: cost.map(|c| over(counts.memory_bytes, c.bytes)),
        hbm_over_compulsory: cost.map(|c| over(counts.hbm_bytes, c.bytes)),
        needed: cost.cloned(),
        counts,
        measured: None,
        machine_code: None,
        lines: shown.collect(),
    }
}

impl Counted {
    /// Takes what stands in the machine code.
    fn assembled(&mut self, code: Option<MachineCode>) {
        let threads = self.counts.block.iter().product();
        let occupied =
            |c: &MachineCode| occupancy(&c.arch, c.registers, threads, self.counts.shared_bytes);
        self.occupancy = code.as_ref().map(occupied);
        self.machine_code = code;
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y, z] = self.counts.grid;
        let threads: u32 = self.counts.block.iter().product();
        writeln!(f, "{} at {}", self.instance, self.shape)?;
        writeln!(
            f,
            "  launch        {x} x {y} x {z} blocks of {threads} threads, {} bytes of shared memory{}",
            self.counts.shared_bytes,
            self.occupancy
                .map_or(String::new(), |o| format!(", occupancy {:.0} %", 100.0 * o))
        )?;
        let compulsory = self
            .bytes_over_compulsory
            .map_or(String::new(), |r| format!(", {r:.3} x compulsory"));
        writeln!(
            f,
            "  HBM           {} bytes{compulsory}",
            self.counts.memory_bytes
        )?;
        writeln!(
            f,
            "  over ideal    global sectors {:.3} x, shared wavefronts {:.3} x",
            self.counts.sectors_over_ideal, self.counts.wavefronts_over_ideal
        )?;
        writeln!(
            f,
            "  instructions  {} of warps, {:.0} % of lanes active",
            self.counts.warp_instructions,
            100.0 * self.counts.lane_activity
        )?;
        if let Some(code) = &self.machine_code {
            writeln!(f, "  {:<12}  {code}", code.arch)?;
        }
        for (chip, p) in &self.counts.predictions {
            writeln!(
                f,
                "  {chip:<12}  {:.2} us by {}, {:.2} us of it work, {:.2} us with launching",
                1e6 * p.running(),
                p.limit.name(),
                1e6 * p.work,
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
