//! Embeddings of queries and items: which tokens, and which hidden state.

mod embedder;
pub mod encode;
mod fingerprint;
mod folder;
mod gate;
mod pooling;
mod session;
mod thinking;

pub use embedder::{EmbedError, EmbeddedQueries, Embedder, ThoughtText};
pub use encode::{Encoder, Sequence, Side};
pub use folder::{FolderError, ModelFolder, NewTokens, SETTINGS_FILE, Settings, save_folder};
pub use gate::{Gate, GateError};
pub use pooling::Pooling;
pub use session::Session;
pub use thinking::{OwnThoughts, Thinking};

/// Scales every row of `[rows, width]` to length 1; zero rows stay.
pub fn normalize(rows: &mut [f32], width: usize) {
    for row in rows.chunks_exact_mut(width) {
        let norm = row
            .iter()
            .map(|&x| f64::from(x) * f64::from(x))
            .sum::<f64>()
            .sqrt();
        if norm > 0.0 {
            row.iter_mut()
                .for_each(|x| *x = (f64::from(*x) / norm) as f32);
        }
    }
}
