//! The part of `lrem kernel table` that is of calls.

use super::calls::CountedCall;
use lrem::report::Table;
use serde::Serialize;

/// A call of an op at a workload.
#[derive(Serialize)]
pub struct CallRow {
    pub op: &'static str,
    pub workload: String,
    #[serde(flatten)]
    pub call: CountedCall,
}

impl CallRow {
    /// Whether it is the same call on the same chip, at whatever workload.
    fn is_alike(&self, other: &CallRow) -> bool {
        let (a, b) = (&self.call, &other.call);
        self.op == other.op
            && (&a.call, &a.activations, &a.chip) == (&b.call, &b.activations, &b.chip)
    }

    /// Whether it is the same, at the same workload.
    pub fn is_same(&self, other: &CallRow) -> bool {
        self.is_alike(other) && self.workload == other.workload
    }
}

/// Each call at the workload at which it has most to move, in the order of their first runs.
pub fn largest(rows: Vec<CallRow>) -> Vec<CallRow> {
    let mut chosen: Vec<CallRow> = Vec::new();
    for row in rows {
        match chosen.iter_mut().find(|c| c.is_alike(&row)) {
            Some(c) if c.call.compulsory_bytes < row.call.compulsory_bytes => *c = row,
            Some(_) => {}
            None => chosen.push(row),
        }
    }
    chosen
}

const CALLS: &str = "Of one call of an op, all its launches together: bytes across HBM's pins where launches find in \
the L2 cache what earlier ones of the call have left there, by the same model, and over what the op's interface \
forces: inputs in once, outputs out once, in and out where they are added to. What kernels leave for one another is \
written back once, when it leaves the cache or at the end, unless the last that reads it drops it (discard.L2).";

/// The table of calls.
pub fn table(rows: &[CallRow]) -> Table {
    let header = [
        "op call",
        "activations",
        "workload",
        "chip",
        "launches",
        "HBM bytes",
        "compulsory",
        "HBM over compulsory",
    ];
    let mut table = Table::new(CALLS, &header);
    table.rows.extend(rows.iter().map(|row| {
        let call = &row.call;
        vec![
            format!("`{}`", call.call),
            call.activations.clone(),
            row.workload.clone(),
            call.chip.clone(),
            call.launches.len().to_string(),
            call.hbm_bytes.to_string(),
            call.compulsory_bytes.to_string(),
            format!("{:.3}", call.hbm_over_compulsory),
        ]
    }));
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(workload: &str, chip: &str, compulsory_bytes: u64) -> CallRow {
        CallRow {
            op: "swiglu",
            workload: workload.into(),
            call: CountedCall {
                call: "swiglu".into(),
                activations: "bf16".into(),
                chip: chip.into(),
                launches: vec!["swiglu_bf16".into(); 2],
                hbm_bytes: 3 * compulsory_bytes / 2,
                read_bytes: compulsory_bytes,
                written_bytes: compulsory_bytes / 2,
                complete: true,
                compulsory_bytes,
                hbm_over_compulsory: 1.5,
            },
        }
    }

    #[test]
    fn a_call_stands_at_its_largest_workload_once_a_chip() {
        let rows = vec![
            row("a", "A", 10),
            row("b", "A", 30),
            row("c", "A", 20),
            row("a", "B", 10),
        ];
        assert!(rows[0].is_alike(&rows[1]) && !rows[0].is_same(&rows[1]));
        let kept: Vec<_> = largest(rows)
            .into_iter()
            .map(|r| (r.workload, r.call.chip))
            .collect();
        let expected = [("b", "A"), ("a", "B")].map(|(w, c)| (w.to_string(), c.to_string()));
        assert_eq!(kept, expected);
    }

    #[test]
    fn a_row_says_how_many_launches_and_how_far_above_what_is_forced() {
        let text = table(&[row("a", "A", 20)]).markdown();
        assert!(
            text.contains("| `swiglu` | bf16 | a | A | 2 | 30 | 20 | 1.500 |"),
            "{text}"
        );
    }
}
