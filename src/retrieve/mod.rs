//! Searching item embeddings, and measuring what was found.

pub mod approximate;
pub mod evaluate;
pub mod exact;
pub mod index;
pub mod margin;
pub mod metrics;
pub mod significance;
pub mod table;
pub mod trec;

pub use approximate::ApproximateIndex;
pub use evaluate::{Evaluation, Missing, evaluate};
pub use exact::ExactIndex;
pub use index::Index;
pub use margin::margin;
pub use metrics::Metric;
pub use table::TextTable;
pub use trec::{Qrels, Run, RunEntry};

/// One hit: the item's row in the index and its cosine with the query.
pub use crate::ops::top_k::Scored;

use crate::data::DataError;
use crate::device::DeviceError;

/// What can go wrong in search.
#[derive(Debug, thiserror::Error)]
pub enum RetrieveError {
    /// A file is wrong or cannot be written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The device cannot search.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Embeddings are not what a search needs.
    #[error("{0}")]
    Embedding(String),
    /// The approximate index's library reports an error.
    #[error("approximate index: {0}")]
    Approximate(String),
}

/// Result of searching.
pub type Result<T> = std::result::Result<T, RetrieveError>;
