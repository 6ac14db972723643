//! Whose thoughts a study's method appends to its queries.

use super::{Contents, Stage};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Query rewriting, a baseline of the paper's Table 1: thoughts are appended to the queries' text, which a
/// model that does not think embeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub enum Rewriter {
    /// What the model of another recipe thinks, in at most the recipe's budget of tokens.
    Model { recipe: PathBuf, stage: Stage },
    /// What the queries' file has, whole; not [`Contents::Own`].
    Given(Contents),
}

impl Rewriter {
    /// The recipe of the model that writes, and which of its models that is.
    pub fn model(&self) -> Option<(&Path, Stage)> {
        match self {
            Rewriter::Model { recipe, stage } => Some((recipe, *stage)),
            Rewriter::Given(_) => None,
        }
    }

    /// What the queries' file is to have.
    pub fn given(&self) -> Option<Contents> {
        match self {
            Rewriter::Model { .. } => None,
            Rewriter::Given(contents) => Some(*contents),
        }
    }
}

/// How a rewriter is written in a study.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(skip_serializing_if = "Option::is_none")]
    recipe: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<Stage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thoughts: Option<Contents>,
}

impl TryFrom<Table> for Rewriter {
    type Error = &'static str;

    fn try_from(table: Table) -> Result<Rewriter, &'static str> {
        match (table.recipe, table.stage, table.thoughts) {
            (Some(recipe), stage, None) => Ok(Rewriter::Model {
                recipe,
                stage: stage.unwrap_or_default(),
            }),
            (None, None, Some(Contents::Own)) => {
                Err("rewriter.thoughts: own thoughts are a model's; expected `recipe`")
            }
            (None, None, Some(contents)) => Ok(Rewriter::Given(contents)),
            (None, Some(_), _) => Err("rewriter.stage: expected `recipe` beside it"),
            (Some(_), _, Some(_)) => Err("rewriter: expected `recipe` or `thoughts`, not both"),
            (None, None, None) => Err("rewriter: expected `recipe` or `thoughts`"),
        }
    }
}

impl From<Rewriter> for Table {
    fn from(rewriter: Rewriter) -> Table {
        let (recipe, stage, thoughts) = match rewriter {
            Rewriter::Model { recipe, stage } => (Some(recipe), Some(stage), None),
            Rewriter::Given(contents) => (None, None, Some(contents)),
        };
        Table {
            recipe,
            stage,
            thoughts,
        }
    }
}
