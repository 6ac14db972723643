//! The learning curves that a report shows of a training.

use lrem::report::{Curve, read_curves};
use lrem::train::RL;
use std::path::Path;

/// Fields of the records.
const FIELDS: [&str; 12] = [
    "info_nce",
    "accuracy",
    "sft_per_token",
    "reward",
    "rewards.format",
    "rewards.length",
    "rewards.rank",
    "rewards.catalogue_rank",
    "thought_length",
    "format_rate",
    "entropy",
    "clip_fraction",
];

/// What the training `name` has left in `folder` so far, of both stages; a stage without records has no
/// curves.
pub fn learning_curves(folder: &Path, name: &str) -> Vec<Curve> {
    let stages = [
        (folder.to_path_buf(), name.to_string()),
        (folder.join(RL), format!("{name}, RL")),
    ];
    let curves = stages.map(|(folder, name)| {
        read_curves(&folder.join("metrics.jsonl"), &name, &FIELDS).unwrap_or_default()
    });
    curves.into_iter().flatten().collect()
}
