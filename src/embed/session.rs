//! Queries that come one by one, each of which should cost its own tokens only.

use super::{EmbedError, EmbeddedQueries, Embedder, Gate, Thinking, normalize};
use crate::device::Device;
use crate::reason::{Drafts, Reasoner};

/// An embedder for one query at a time. The instructions are computed once, when it starts; the thoughts
/// about earlier queries are drafts for later ones.
pub struct Session<'e, D: Device> {
    embedder: Embedder<'e, D>,
    reasoner: Reasoner<'e, D>,
}

impl<'e, D: Device> Session<'e, D> {
    /// Computes the instruction trunk into a cache as long as the model's context.
    ///
    /// # Errors
    /// Where the instructions do not fit in the context, or a device call fails.
    pub fn new(embedder: &Embedder<'e, D>) -> Result<Self, EmbedError> {
        let (model, prompts) = (embedder.model, embedder.prompts);
        let reasoner = Reasoner::new(model, prompts, model.context())?;
        let reasoner = reasoner.with_drafts(Some(Drafts::default()));
        let embedder = *embedder;
        Ok(Session { embedder, reasoner })
    }

    /// The same, thinking a token at a time: the same thoughts, later.
    pub fn without_drafts(self) -> Self {
        let reasoner = self.reasoner.with_drafts(None);
        Session { reasoner, ..self }
    }

    /// Passes of the model so far.
    pub fn passes(&self) -> usize {
        self.reasoner.passes()
    }

    /// Unit vector of a query, and the thought that led to it, as [`Embedder::gated_queries`] gives
    /// them.
    ///
    /// # Errors
    /// Where the query is empty or longer than the context, or the gate or a device call fails.
    pub fn query(
        &mut self,
        query: &str,
        thinking: &Thinking,
        gate: Option<&mut dyn Gate>,
    ) -> Result<EmbeddedQueries, EmbedError> {
        let embedder = self.embedder;
        match *thinking {
            Thinking::Own {
                budget,
                options: own,
            } => {
                let ids = embedder.query_ids(&[query], thinking)?;
                let (questions, options) = own.questions(ids, budget, gate.is_some());
                embedder.think(&mut self.reasoner, &own, &questions, &options, gate)
            }
            // The cache has no layers' outputs.
            Thinking::Direct if !embedder.pooling.needs_layers() => {
                let ids = embedder.query_ids(&[query], thinking)?.concat();
                let mut rows = self.direct(ids)?;
                normalize(&mut rows, embedder.model.config.hidden_size);
                let thoughts = Vec::new();
                Ok(EmbeddedQueries { rows, thoughts })
            }
            _ => embedder.queries(&[query], thinking),
        }
    }

    /// The pooled hidden states of a query's tokens, `[hidden]`, not normalised.
    fn direct(&mut self, mut ids: Vec<u32>) -> Result<Vec<f32>, EmbedError> {
        let Embedder {
            pooling, prompts, ..
        } = self.embedder;
        ids.extend(pooling.appends_emb().then_some(prompts.emb));
        let (wanted, rows) = pooling.wanted(std::iter::once(0..ids.len()).collect());
        let pooled = self
            .reasoner
            .direct(&ids, wanted.as_deref(), |model, acts| {
                let (device, hidden) = (&*model.device, model.config.hidden_size);
                let mut out = device.zeros(hidden)?;
                pooling.forward(model, &rows, acts, &mut out)?;
                device.download(&out, hidden)
            });
        Ok(pooled?)
    }
}
