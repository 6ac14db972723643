//! The cells of a study: every method at each of its settings, with every seed.

use crate::cli::Error;
use lrem::recipe::{Method, Recipe, Study};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A cell of the grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place<'s> {
    pub method: &'s Method,
    /// Most tokens of a thought.
    pub budget: usize,
    /// Margin below which a query is thought about; none: every query is.
    pub gate: Option<f32>,
    pub seed: u64,
}

/// Every method at its budgets or gates, the one that its tables show first, with every seed.
///
/// # Errors
/// A method with gates at a budget of 0, which has no thoughts to spare; `path` is the study's.
pub fn grid<'s>(
    path: &Path,
    study: &'s Study,
    recipes: &BTreeMap<PathBuf, Recipe>,
) -> Result<Vec<Place<'s>>, Error> {
    let mut grid = Vec::new();
    for method in &study.method {
        let recipe = &recipes[&method.recipe];
        let own = match recipe.thinks() {
            true => recipe.thought.budget,
            false => 0,
        };
        let main = method.budget.unwrap_or(own);
        if main == 0 && !method.gates.is_empty() {
            let (path, name) = (path.display(), &method.name);
            return Err(format!(
                "{path}: method.gates: `{name}` has no thoughts to be spared; expected a budget above 0"
            )
            .into());
        }
        let mut settings: Vec<(usize, Option<f32>)> = match method.gates.as_slice() {
            [] => vec![(main, None)],
            gates => gates.iter().map(|&gate| (main, Some(gate))).collect(),
        };
        if method.sweep {
            settings.extend(study.budgets.iter().map(|&budget| (budget, None)));
        }
        for (at, &(budget, gate)) in settings.iter().enumerate() {
            if !settings[..at].contains(&(budget, gate)) {
                let place = |&seed| Place {
                    method,
                    budget,
                    gate,
                    seed,
                };
                grid.extend(study.seeds.iter().map(place));
            }
        }
    }
    Ok(grid)
}
