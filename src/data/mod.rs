//! Files: triplets and catalogues in JSON Lines, titles as a stream, `.npy` matrices, and writing that
//! never leaves a half-written file behind.

pub mod atomic;
pub mod catalogue;
pub mod embeddings;
pub mod error;
pub mod jsonl;
pub mod keywords;
pub mod lesson;
pub mod npy;
pub mod overlap;
pub mod queries;
pub mod titles;
pub mod triplet;

pub use atomic::{replace_folder, write_atomic};
pub use catalogue::{Catalogue, Item, read_catalogue};
pub use embeddings::{EmbeddingSet, EmbeddingWriter};
pub use error::DataError;
pub use keywords::KeywordRules;
pub use lesson::{Lesson, lessons};
pub use npy::Matrix;
pub use overlap::{Overlap, overlaps};
pub use queries::{Query, read_queries};
pub use titles::{TitleFormat, Titles};
pub use triplet::{Triplet, read_triplets};

/// Result of reading and writing files.
pub type Result<T> = std::result::Result<T, DataError>;
