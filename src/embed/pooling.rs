//! Which hidden state is the embedding.

use crate::device::{Activation, Device, Result};
use crate::model::{Activations, BackwardScratch, Gradients, Model, ModelConfig};
use crate::ops::pool::PoolPlan;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// From hidden states to one vector per sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The hidden state at `<emb>`, which is appended to the sequence (LREM, eq. 5 and 6).
    #[default]
    Emb,
    /// The hidden state of the last token of the prompt; no `<emb>`.
    Last,
    /// The mean over the sequence's own tokens (its trunk's left out); no `<emb>`.
    Mean,
    /// The mean over the last four layers at the last token; no `<emb>`.
    LastFourLayers,
    /// The mean over the sequence's own tokens of what latent attention makes of them; no `<emb>`.
    LatentAttention,
}

impl Pooling {
    /// Whether `<emb>` is appended to what is embedded.
    pub fn appends_emb(self) -> bool {
        self == Pooling::Emb
    }

    /// Whether intermediate layers are read, so that activations must keep all of them.
    pub fn needs_layers(self) -> bool {
        self == Pooling::LastFourLayers
    }

    /// The rows whose final hidden states are read, where those of a range are one alone (all are, where
    /// there is no list), and the ranges among what is read.
    pub fn wanted(self, rows: Vec<Range<usize>>) -> (Option<Vec<u32>>, Vec<Range<usize>>) {
        match self {
            Pooling::Emb | Pooling::Last => {
                let single = (0..rows.len()).map(|i| i..i + 1).collect();
                (Some(last_of(&rows)), single)
            }
            _ => (None, rows),
        }
    }

    /// Layers' inputs that count beside the final hidden state, and the weight of each.
    fn layers(self, config: &ModelConfig) -> (Range<usize>, f32) {
        let layers = config.num_hidden_layers;
        match self {
            Pooling::LastFourLayers => {
                let earlier = layers.min(4) - 1;
                (layers - earlier..layers, 1.0 / (earlier + 1) as f32)
            }
            _ => (layers..layers, 1.0),
        }
    }

    fn plan(self, rows: &[Range<usize>], weight: f32) -> PoolPlan {
        match self {
            Pooling::Mean => PoolPlan::mean(rows),
            _ => PoolPlan::pick(&last_of(rows), weight),
        }
    }

    /// `out[rows.len(), hidden]`: one embedding per range of rows (the tokens of one sequence).
    pub fn forward<D: Device>(
        self,
        model: &Model<D>,
        rows: &[Range<usize>],
        acts: &mut Activations<D>,
        out: &mut D::Buffer<f32>,
    ) -> Result<()> {
        if self == Pooling::LatentAttention {
            return model.latent_pool(rows, acts, out);
        }
        let (device, hidden) = (&*model.device, model.config.hidden_size);
        let (layers, weight) = self.layers(&model.config);
        let plan = self.plan(rows, weight);
        device.pool(&plan, hidden, &acts.hidden, out, false)?;
        for l in layers {
            device.pool(&plan, hidden, acts.layer_input(l), out, true)?;
        }
        Ok(())
    }

    /// Adds the gradient of [`Pooling::forward`] to `dhidden[tokens, hidden]` and to the pooling's own
    /// tensors; the gradient by layers' inputs, with the layers.
    #[allow(clippy::too_many_arguments)]
    pub fn backward<D: Device>(
        self,
        model: &Model<D>,
        tokens: usize,
        rows: &[Range<usize>],
        acts: &mut Activations<D>,
        dout: &D::Buffer<f32>,
        dhidden: &mut Activation<D>,
        gradients: &mut Gradients<D>,
        scratch: &mut BackwardScratch<D>,
    ) -> Result<Vec<(usize, Activation<D>)>> {
        if self == Pooling::LatentAttention {
            model.latent_pool_backward(rows, acts, dout, dhidden, gradients, scratch)?;
            return Ok(Vec::new());
        }
        let (device, hidden) = (&*model.device, model.config.hidden_size);
        let (layers, weight) = self.layers(&model.config);
        let plan = self.plan(rows, weight);
        device.pool_backward(&plan, hidden, dout, dhidden)?;
        let by_input = |l: usize| {
            let mut dinput = device.zeros(tokens * hidden)?;
            device.pool_backward(&plan, hidden, dout, &mut dinput)?;
            Ok((l, dinput))
        };
        layers.map(by_input).collect()
    }
}

/// The last row of each range.
fn last_of(rows: &[Range<usize>]) -> Vec<u32> {
    rows.iter().map(|r| r.end as u32 - 1).collect()
}
