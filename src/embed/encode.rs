//! One-shot encoding: batches of whole sequences below a shared trunk.

use super::Pooling;
use crate::device::{Device, DeviceError, Result};
use crate::model::{Activations, Batch, Model};
use crate::ops::forest::Forest;
use crate::text::Prompts;

/// Tokens that are best packed at a time: enough for the products, few enough that what a layer
/// hands to the next stays in the caches.
pub const BATCH_TOKENS: usize = 384;

/// Which instruction trunk a sequence hangs from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Query,
    Item,
}

/// Tokens below the trunk of a side, `<emb>` included where the pooling reads it.
#[derive(Clone, Debug)]
pub struct Sequence {
    pub side: Side,
    pub ids: Vec<u32>,
}

/// A model with the buffers to encode sequences whose tokens are all known.
pub struct Encoder<'m, D: Device> {
    model: &'m Model<D>,
    prompts: &'m Prompts,
    pooling: Pooling,
    acts: Activations<D>,
    /// Most tokens in one packed batch.
    batch_tokens: usize,
}

impl<'m, D: Device> Encoder<'m, D> {
    /// An encoder that packs about `batch_tokens` tokens at a time.
    pub fn new(
        model: &'m Model<D>,
        prompts: &'m Prompts,
        pooling: Pooling,
        batch_tokens: usize,
    ) -> Result<Self> {
        let acts = if pooling.needs_layers() {
            Activations::for_training(&*model.device, &model.config)?
        } else {
            Activations::for_inference(&*model.device, &model.config)?
        };
        Ok(Encoder {
            model,
            prompts,
            pooling,
            acts,
            batch_tokens,
        })
    }

    /// Embeds every sequence: `[sequences, hidden]`, not normalised, in their order. A batch is packed and
    /// started before the embeddings of the one before are waited for.
    ///
    /// # Errors
    /// Where a sequence is empty or longer than the context.
    pub fn encode(&mut self, sequences: &[Sequence]) -> Result<Vec<f32>> {
        let mut out = Vec::with_capacity(sequences.len() * self.model.config.hidden_size);
        let device = self.model.device.clone();
        let (mut start, mut under_way) = (0, None);
        while start < sequences.len() {
            let (mut end, mut tokens) = (start, 0);
            while end < sequences.len()
                && (end == start || tokens + sequences[end].ids.len() <= self.batch_tokens)
            {
                tokens += sequences[end].ids.len();
                end += 1;
            }
            let started = self.start_batch(&sequences[start..end])?;
            if let Some(before) = under_way.replace(started) {
                out.extend(device.finish_download(before)?);
            }
            start = end;
        }
        if let Some(last) = under_way {
            out.extend(device.finish_download(last)?);
        }
        Ok(out)
    }

    fn start_batch(&mut self, sequences: &[Sequence]) -> Result<D::Download<f32>> {
        let (d, c) = (&*self.model.device, &self.model.config);
        let mut parts: Vec<(usize, Option<usize>)> = Vec::new();
        let mut ids: Vec<u32> = Vec::new();
        let mut trunks = [None; 2];
        for s in sequences {
            let trunk = &mut trunks[s.side as usize];
            if trunk.is_none() {
                let prefix = match s.side {
                    Side::Query => &self.prompts.query_prefix,
                    Side::Item => &self.prompts.item_prefix,
                };
                *trunk = Some(parts.len());
                parts.push((prefix.len(), None));
                ids.extend(prefix);
            }
        }
        let first = parts.len();
        for s in sequences {
            if s.ids.is_empty() {
                return Err(DeviceError::Argument {
                    op: "encode",
                    message: "a sequence without tokens".into(),
                });
            }
            parts.push((s.ids.len(), trunks[s.side as usize]));
            ids.extend(&s.ids);
        }
        let forest = Forest::packed(&parts);
        let positions = forest.positions();
        let rows = forest.segments[first..].iter().map(|s| s.rows.clone());
        let (wanted, rows) = self.pooling.wanted(rows.collect());
        let batch = Batch {
            ids: &ids,
            forest: &forest,
            positions: &positions,
            wanted: wanted.as_deref(),
        };
        let mut out = d.zeros(rows.len() * c.hidden_size)?;
        let acts = &mut self.acts;
        d.recorded(|| {
            self.model.forward(&batch, acts)?;
            self.pooling.forward(self.model, &rows, acts, &mut out)
        })?;
        d.start_download(&out, rows.len() * c.hidden_size)
    }
}
