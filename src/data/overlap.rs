//! Whether test queries leaked into training.

use super::Triplet;
use std::collections::HashMap;
use std::fmt;

/// What two triplets share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// The id.
    Id,
    /// The query, but for case, punctuation and spacing.
    Query,
}

/// A test query that is in training too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Id of the test query.
    pub test: String,
    /// Id of the training query.
    pub train: String,
    /// What they share.
    pub shared: Shared,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Overlap { test, train, .. } = self;
        match self.shared {
            Shared::Id => write!(f, "test query `{test}` has the id of a training query"),
            Shared::Query => write!(f, "test query `{test}` is training query `{train}`"),
        }
    }
}

/// Test queries that share their id or their text with a training query, in test order; at most one
/// entry for a test query.
pub fn overlaps(train: &[Triplet], test: &[Triplet]) -> Vec<Overlap> {
    let by_query: HashMap<String, &str> = train
        .iter()
        .map(|triplet| (normalise(&triplet.query), triplet.id.as_str()))
        .collect();
    let ids: std::collections::HashSet<&str> = train.iter().map(|t| t.id.as_str()).collect();
    test.iter()
        .filter_map(|triplet| {
            let (train, shared) = match by_query.get(&normalise(&triplet.query)) {
                Some(train) => (train.to_string(), Shared::Query),
                None if ids.contains(triplet.id.as_str()) => (triplet.id.clone(), Shared::Id),
                None => return None,
            };
            Some(Overlap {
                test: triplet.id.clone(),
                train,
                shared,
            })
        })
        .collect()
}

/// The words of `text` in lower case, one space between them.
fn normalise(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}
