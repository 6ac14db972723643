//! The cells of a study: every method at each of its settings, with every seed.

use crate::cli::Error;
use lrem::recipe::{Method, Recipe, Rewriter, Study};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A cell of the grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place<'s> {
    pub method: &'s Method,
    /// Most tokens of a thought that a model thinks.
    pub budget: usize,
    /// Margin below which a query is thought about; none: every query is.
    pub gate: Option<f32>,
    pub seed: u64,
}

/// Every method at its budgets or gates, the one that its tables show first, with every seed.
///
/// # Errors
/// A method with gates at a budget of 0, which has no thoughts to spare, or with a rewriter beside a model
/// that thinks itself or one that does not think; `path` is the study's.
pub fn grid<'s>(
    path: &Path,
    study: &'s Study,
    recipes: &BTreeMap<PathBuf, Recipe>,
) -> Result<Vec<Place<'s>>, Error> {
    let mut grid = Vec::new();
    for method in &study.method {
        let own = budget(&recipes[&method.recipe]);
        let main = match &method.rewriter {
            None => method.budget.unwrap_or(own),
            Some(rewriter) => rewriting(path, method, own, rewriter, recipes)?,
        };
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

/// Most tokens of a thought of a recipe's model; 0 where it does not think.
fn budget(recipe: &Recipe) -> usize {
    match recipe.thinks() {
        true => recipe.thought.budget,
        false => 0,
    }
}

/// Most tokens of a rewriter's thought, 0 where it is given. The model that embeds thinks `own` tokens.
fn rewriting(
    path: &Path,
    method: &Method,
    own: usize,
    rewriter: &Rewriter,
    recipes: &BTreeMap<PathBuf, Recipe>,
) -> Result<usize, Error> {
    let (path, name) = (path.display(), &method.name);
    if own > 0 {
        let recipe = method.recipe.display();
        return Err(format!(
            "{path}: method.recipe: `{name}` embeds rewritten queries, but the model of {recipe} thinks \
             itself; expected one that does not"
        )
        .into());
    }
    match rewriter.model().map(|(of, _)| (of, budget(&recipes[of]))) {
        None => Ok(0),
        Some((of, 0)) => {
            let of = of.display();
            Err(format!(
                "{path}: method.rewriter.recipe: `{name}`: the model of {of} does not think; expected one \
                 that does"
            )
            .into())
        }
        Some((_, budget)) => Ok(budget),
    }
}
