//! Which model made an embedding, so that queries are never compared with another model's items.

use super::{FolderError, ModelFolder};
use crate::data::embeddings::Origin;
use xxhash_rust::xxh3::Xxh3;

impl ModelFolder {
    /// The origin of this model's embeddings: its hidden size and a fingerprint of what decides on
    /// them: weights, configuration, rows of new tokens, tokenizer, prompts and pooling. Not the
    /// thought's budget, which differs between queries over the same items, nor the precision of
    /// inference, nor where the files lie.
    ///
    /// # Errors
    /// Where the tokenizer cannot be written as JSON.
    pub fn origin(&self) -> Result<Origin, FolderError> {
        let mut hash = Xxh3::new();
        // Lengths keep neighbouring parts apart.
        let mut add = |part: &[u8]| {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        self.source().visit_weights(&mut add);
        add(self.config.to_json("").as_bytes());
        add(format!("{:?}", self.new_rows).as_bytes());
        add(self.tokenizer.to_json()?.as_bytes());
        let (prompt, pooling) = (&self.settings.prompt, self.settings.pooling);
        add(format!("{prompt:?} {pooling:?}").as_bytes());
        let model_type = self.config.architecture.model_type();
        Ok(Origin {
            hidden: self.config.hidden_size,
            model: format!("{model_type}-{:016x}", hash.digest()),
        })
    }
}
