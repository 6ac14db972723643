//! What the calls of an op moved, all launches of a call together, beside what the op's interface forces.

use super::counts::over;
use lrem::device::cuda::kernels;
use lrem::workbench::{Inspection, Workspace};
use serde::Serialize;
use simt::count::record::{Line, RangeRecord};
use std::path::Path;

/// A call of an op and what its launches moved.
#[derive(Debug, PartialEq, Serialize)]
pub struct CountedCall {
    pub call: String,
    /// Type of the activations.
    pub activations: String,
    pub chip: String,
    /// Kernel instances in the order of their launches; a symbol where it is none of ours.
    pub launches: Vec<String>,
    /// Bytes across HBM's pins by the model of the L2 cache, which keeps what a launch leaves to the next; those
    /// touched where it has not seen all accesses.
    pub hbm_bytes: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
    /// Whether the model has seen all accesses.
    pub complete: bool,
    pub compulsory_bytes: u64,
    pub hbm_over_compulsory: f64,
}

/// The calls in the profile `path` of what `looks` ran that launch a kernel of the workspace's file.
///
/// # Errors
/// Where there are not as many ranges as calls.
pub fn calls(
    path: &Path,
    looks: &[Inspection],
    workspace: &Workspace,
) -> Result<Vec<CountedCall>, String> {
    let profile = std::fs::read_to_string(path).unwrap_or_default();
    let ranges = profile.lines().filter_map(|line| match Line::parse(line) {
        Ok(Line::Range(range)) => Some(range),
        _ => None,
    });
    let ranges: Vec<RangeRecord> = ranges.collect();
    let called = looks
        .iter()
        .flat_map(|look| look.calls.iter().map(move |call| (look, call)));
    let called: Vec<_> = called.collect();
    if called.len() != ranges.len() {
        let (calls, ranges) = (called.len(), ranges.len());
        return Err(format!("{calls} calls of the op, but {ranges} ranges"));
    }
    let own = |range: &RangeRecord| {
        let mut launches = range.launches.iter();
        launches.any(|symbol| workspace.instance(symbol).is_some())
    };
    let pairs = called.into_iter().zip(&ranges);
    let pairs = pairs.filter(|(_, range)| own(range));
    Ok(pairs
        .map(|((look, call), range)| {
            let instance = |symbol: &String| named(symbol, workspace);
            let launches = range.launches.iter().map(instance).collect();
            of(&call.name, call.bytes, &look.real, range, launches)
        })
        .collect())
}

fn of(
    call: &str,
    compulsory_bytes: u64,
    activations: &str,
    range: &RangeRecord,
    launches: Vec<String>,
) -> CountedCall {
    let (l2, unique) = (&range.l2, &range.unique);
    let (read_bytes, written_bytes) = match l2.complete {
        true => (l2.memory_read_bytes, l2.memory_written_bytes),
        false => (unique.read_bytes, unique.written_bytes),
    };
    let hbm_bytes = read_bytes + written_bytes;
    CountedCall {
        call: call.into(),
        activations: activations.into(),
        chip: range.chip.clone(),
        launches,
        hbm_bytes,
        read_bytes,
        written_bytes,
        complete: l2.complete,
        compulsory_bytes,
        hbm_over_compulsory: over(hbm_bytes, compulsory_bytes),
    }
}

/// The instance that a symbol is: of the workspace's file, or built in.
fn named(symbol: &str, workspace: &Workspace) -> String {
    let built_in = || kernels().iter().find(|k| k.entry == symbol);
    let own = workspace.instance(symbol);
    let instance = own.or_else(|| built_in().map(|kernel| kernel.instance));
    instance.unwrap_or(symbol).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use simt::count::record::{L2, Unique};

    fn range(complete: bool) -> RangeRecord {
        RangeRecord {
            range: 0,
            chip: "A".into(),
            launches: vec!["k".into()],
            unique: Unique {
                read_bytes: 100,
                written_bytes: 20,
            },
            l2: L2 {
                memory_read_bytes: 160,
                memory_written_bytes: 32,
                complete,
                ..L2::default()
            },
        }
    }

    #[test]
    fn bytes_are_the_models_where_it_has_seen_all() {
        let bytes = |complete| of("c", 96, "f32", &range(complete), Vec::new());
        let whole = bytes(true);
        assert_eq!((whole.hbm_bytes, whole.hbm_over_compulsory), (192, 2.0));
        let part = bytes(false);
        assert_eq!((part.hbm_bytes, part.hbm_over_compulsory), (120, 1.25));
    }
}
