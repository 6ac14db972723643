//! What is shown of single queries.

use lrem::data::{Catalogue, Triplet};
use lrem::report::Cell;
use lrem::retrieve::{Run, trec};
use std::collections::HashSet;

/// Titles shown for a query.
const SHOWN: usize = 5;

/// The first query of every hard kind with its thoughts and its best products, the relevant ones
/// marked.
pub fn examples(catalogue: &Catalogue, test: &[Triplet], cell: &Cell, run: &Run) -> String {
    let mut seen = HashSet::new();
    let mut lines = Vec::new();
    for triplet in test {
        if !triplet.is_hard() || !seen.insert(&triplet.kind) {
            continue;
        }
        lines.push(format!("{}: {}", triplet.kind, triplet.query));
        let thoughts = cell.queries.get(&triplet.id).map(|query| &query.thoughts);
        for thought in thoughts.into_iter().flatten() {
            lines.push(format!("  <think> {} </think>", thought.escape_debug()));
        }
        let found = run.get(&triplet.id).map_or(&[][..], Vec::as_slice);
        for (rank, entry) in trec::rank(found).into_iter().take(SHOWN).enumerate() {
            let mark = match triplet.items.contains(&entry.id) {
                true => "✓",
                false => " ",
            };
            let title = catalogue.get(&entry.id).map_or("", |item| &item.title);
            lines.push(format!("  {mark} {}. {title}", rank + 1));
        }
        lines.push(String::new());
    }
    lines.join("\n")
}
