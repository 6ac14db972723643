//! A study: methods, thought budgets and seeds to compare, as TOML.

use super::{RecipeError, Rewriter, at_line};
use crate::embed::OwnThoughts;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// With whose thoughts queries are embedded (Table 2 of the paper compares them).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Contents {
    /// The model's
    #[default]
    Own,
    /// `cot` of the queries' file
    Gold,
    /// `cot_long` of the queries' file
    GoldLong,
    /// The query itself
    Query,
    /// `<think></think>`
    Empty,
    /// `cot` of another query of the file
    Random,
}

/// Which of a recipe's models is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The last: of the reinforcement stage, where the recipe has one.
    #[default]
    Last,
    /// The cold start's.
    ColdStart,
}

/// One method of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// Its name in tables and plots.
    pub name: String,
    /// The recipe that trains it; methods with the same recipe share its models.
    pub recipe: PathBuf,
    #[serde(default)]
    pub stage: Stage,
    #[serde(default)]
    pub thoughts: Contents,
    /// Most tokens of a thought, in the tables; the recipe's by default. 0: no thought.
    #[serde(default)]
    pub budget: Option<usize>,
    /// Whether the study's other budgets are tried too (Figure 5).
    #[serde(default)]
    pub sweep: bool,
    /// Margins of a gate before the thought, each a point of its own; the first is in the tables. A query
    /// is thought about where, without a thought, its best item is less than this ahead of the second
    /// best. None: every query is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<f32>,
    /// How own thoughts become an embedding, in place of the recipe's table `[query]`.
    #[serde(default)]
    pub query: Option<OwnThoughts>,
    /// Whose thoughts are appended to the queries' text. The recipe's model embeds that text; it may not
    /// think itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewriter: Option<Rewriter>,
}

impl Method {
    /// The name with `-` for all but its letters and digits.
    pub fn folder_name(&self) -> String {
        let word = |c: char| if c.is_alphanumeric() { c } else { '-' };
        self.name.chars().map(word).collect()
    }

    /// The recipes of its models, and which of their models these are: the one that embeds, and the one
    /// that rewrites queries where there is one.
    pub fn models(&self) -> impl Iterator<Item = (&Path, Stage)> {
        let rewriter = self.rewriter.as_ref().and_then(Rewriter::model);
        std::iter::once((self.recipe.as_path(), self.stage)).chain(rewriter)
    }

    /// What cannot be beside a rewriter: what was expected.
    fn rewriter_problem(&self) -> Option<&'static str> {
        let plain = self.gates.is_empty()
            && !self.sweep
            && self.thoughts == Contents::Own
            && self.budget.is_none()
            && self.query.is_none();
        (self.rewriter.is_some() && !plain)
            .then_some("expected no gates, sweep, thoughts, budget or query beside it")
    }

    /// What cannot be about the gates: what was expected.
    fn gates_problem(&self) -> Option<&'static str> {
        let gates = &self.gates;
        let twice = |(at, gate): (usize, &f32)| gates[..at].contains(gate);
        if gates.iter().any(|gate| !(gate.is_finite() && *gate >= 0.0)) {
            return Some("expected numbers of at least 0");
        }
        if gates.iter().enumerate().any(twice) {
            return Some("expected each number once");
        }
        if !gates.is_empty() && (self.sweep || self.thoughts != Contents::Own) {
            return Some("expected own thoughts and no sweep beside gates");
        }
        None
    }
}

/// A grid of methods × budgets × seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    pub title: String,
    /// Queries to measure on, JSON Lines; none of them may be in a recipe's training data.
    pub queries: PathBuf,
    /// Seeds of the trainings.
    pub seeds: Vec<u64>,
    /// Budgets of the methods with `sweep`, beside their own.
    #[serde(default)]
    pub budgets: Vec<usize>,
    /// Name of the method that the others are tested against.
    pub baseline: String,
    /// Steps of every stage, where it is not 0: for trying a study out.
    #[serde(default)]
    pub steps: usize,
    pub method: Vec<Method>,
}

impl Study {
    /// Reads and checks a study. Relative paths in it are taken from the working directory.
    pub fn read(path: &Path) -> Result<Study, RecipeError> {
        let text = std::fs::read_to_string(path).map_err(|source| RecipeError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        Study::parse(path, &text)
    }

    /// Parses and checks the text of a study; `path` is named in errors.
    pub fn parse(path: &Path, text: &str) -> Result<Study, RecipeError> {
        let study: Study = toml::from_str(text).map_err(|e| RecipeError::Format {
            path: path.to_path_buf(),
            message: at_line(text, &e),
        })?;
        match study.problem() {
            None => Ok(study),
            Some((field, message)) => Err(RecipeError::Field {
                path: path.to_path_buf(),
                field,
                message,
            }),
        }
    }

    /// The recipes that its methods name, each as often as they do, with the stage that is meant.
    pub fn models(&self) -> impl Iterator<Item = (&Path, Stage)> {
        self.method.iter().flat_map(Method::models)
    }

    fn problem(&self) -> Option<(&'static str, String)> {
        if self.seeds.is_empty() {
            return Some(("seeds", "expected at least one".into()));
        }
        for (i, method) in self.method.iter().enumerate() {
            let name = &method.name;
            if name.trim().is_empty() {
                return Some(("method.name", "expected some text".into()));
            }
            let same = |other: &&Method| other.folder_name() == method.folder_name();
            if let Some(other) = self.method[..i].iter().find(same) {
                let message = format!(
                    "`{}` and `{name}`; expected names with different letters and digits",
                    other.name
                );
                return Some(("method.name", message));
            }
            if let Some((_, message)) = method.query.as_ref().and_then(OwnThoughts::problem) {
                return Some(("method.query", message.into()));
            }
            if let Some(message) = method.rewriter_problem() {
                return Some(("method.rewriter", format!("`{name}`: {message}")));
            }
            if let Some(message) = method.gates_problem() {
                return Some(("method.gates", format!("`{name}`: {message}")));
            }
        }
        if !self.method.iter().any(|m| m.name == self.baseline) {
            let message = format!(
                "`{}` is not a method; expected the name of one",
                self.baseline
            );
            return Some(("baseline", message));
        }
        None
    }
}
