//! Latent-attention pooling: the tokens' final hidden states read trained vectors, and their mean is the
//! embedding.
//!
//! Source: Lee et al., "NV-Embed", arXiv 2405.17428, section 3.1.2. Theirs is cross-attention with
//! LayerNorm and a GELU MLP; here it is a layer of the model's own kind, RMSNorm and SwiGLU, without RoPE.
//! Vectors and tokens are rows of one batch, so that one product gives queries, keys and values.

use super::activations::Activations;
use super::backward::{BackwardScratch, Gradients};
use super::parameter::Parameter;
use super::parameters::Latent;
use super::transformer::{Model, Seen};
use crate::device::{Activation, Device, DeviceError, Result};
use crate::ops::forest::{Forest, Mask};
use crate::ops::pool::PoolPlan;
use std::ops::Range;

/// The rows that the layer computes: the vectors, then the tokens of all sequences.
struct Rows {
    vectors: Vec<u32>,
    /// Tokens' hidden states to the rows behind the vectors, of which it leaves the first alone.
    gather: PoolPlan,
    /// The mean of every sequence's rows.
    mean: PoolPlan,
    forest: Forest,
}

impl Rows {
    fn new(vectors: usize, sequences: &[Range<usize>]) -> Rows {
        let tokens: Vec<u32> = sequences
            .iter()
            .flat_map(|s| s.clone().map(|row| row as u32))
            .collect();
        let mut gather = PoolPlan::pick(&tokens, 1.0);
        gather.offsets.splice(0..0, vec![0; vectors]);
        let mut at = vectors;
        let ranges = sequences.iter().map(|s| {
            let start = at;
            at += s.len();
            start..at
        });
        let mean = PoolPlan::mean(&ranges.collect::<Vec<_>>());
        let mut forest = Forest::packed(&[(vectors, None), (tokens.len(), Some(0))]);
        for (segment, mask) in forest
            .segments
            .iter_mut()
            .zip([Mask::Full, Mask::Ancestors])
        {
            segment.mask = mask;
        }
        Rows {
            vectors: (0..vectors as u32).collect(),
            gather,
            mean,
            forest,
        }
    }
}

impl<D: Device> Model<D> {
    /// `out[sequences.len(), hidden]`: the mean over each sequence's rows of what the layer makes of
    /// `acts.hidden`.
    ///
    /// # Errors
    /// Where the model has no latent vectors.
    pub fn latent_pool(
        &self,
        sequences: &[Range<usize>],
        acts: &mut Activations<D>,
        out: &mut D::Buffer<f32>,
    ) -> Result<()> {
        if sequences.is_empty() {
            return Ok(());
        }
        let (d, hidden) = (&*self.device, self.config.hidden_size);
        let rows = Rows::new(self.config.latents, sequences);
        self.latent_forward(&rows, acts)?;
        let (_, inner) = self.latent(acts)?;
        d.pool(&rows.mean, hidden, &inner.middle[0], out, false)?;
        d.pool(&rows.mean, hidden, &inner.delta, out, true)
    }

    /// Adds the gradient of [`Model::latent_pool`] to `dhidden[tokens, hidden]` and to `gradients`. What
    /// the layer left is computed again.
    #[allow(clippy::too_many_arguments)]
    pub fn latent_pool_backward(
        &self,
        sequences: &[Range<usize>],
        acts: &mut Activations<D>,
        dout: &D::Buffer<f32>,
        dhidden: &mut Activation<D>,
        gradients: &mut Gradients<D>,
        scratch: &mut BackwardScratch<D>,
    ) -> Result<()> {
        if sequences.is_empty() {
            return Ok(());
        }
        let (d, hidden) = (&*self.device, self.config.hidden_size);
        let rows = Rows::new(self.config.latents, sequences);
        self.latent_forward(&rows, acts)?;
        let (latent, inner) = self.latent(acts)?;
        let grad = gradients.latent.as_mut().ok_or_else(no_latents)?;
        let all = rows.forest.tokens();
        scratch.reserve(d, &self.config, all)?;
        d.clear(&mut scratch.dx, all * hidden)?;
        d.pool_backward(&rows.mean, hidden, dout, &mut scratch.dx)?;
        let seen = seen(&rows);
        self.layer_backward(&latent.layer, &mut grad.layer, 0, &seen, inner, scratch)?;
        let (dx, count) = (&scratch.dx, rows.vectors.len());
        d.embedding_backward(count, hidden, dx, &rows.vectors, &mut grad.vectors)?;
        d.pool_backward(&rows.gather, hidden, dx, dhidden)
    }

    fn latent_forward(&self, rows: &Rows, acts: &mut Activations<D>) -> Result<()> {
        let (d, hidden) = (&*self.device, self.config.hidden_size);
        let (all, count) = (rows.forest.tokens(), rows.vectors.len());
        let latent = self.parameters.latent.as_ref().ok_or_else(no_latents)?;
        let inner = acts.latent.as_mut().ok_or_else(no_latents)?;
        inner.reserve(d, &self.config.latent_layer(), all, false)?;
        let input = &mut inner.input[0];
        d.clear(input, all * hidden)?;
        d.embedding(count, hidden, latent.vectors.weight(), &rows.vectors, input)?;
        d.pool(&rows.gather, hidden, &acts.hidden, input, true)?;
        let w = latent.layer.attention_norm.master()?;
        d.rms_norm(self.norm(all), &inner.input[0], w, &mut inner.normed)?;
        self.attend(&latent.layer, 0, &seen(rows), inner, None)?;
        self.feed(&latent.layer, 0, all, false, inner)
    }

    /// The layer's tensors and what it left.
    fn latent<'a>(
        &'a self,
        acts: &'a Activations<D>,
    ) -> Result<(&'a Latent<Parameter<D>>, &'a Activations<D>)> {
        let latent = self.parameters.latent.as_ref().ok_or_else(no_latents)?;
        Ok((latent, acts.latent.as_ref().ok_or_else(no_latents)?))
    }
}

fn seen(rows: &Rows) -> Seen<'_> {
    Seen {
        forest: &rows.forest,
        positions: None,
    }
}

fn no_latents() -> DeviceError {
    DeviceError::Argument {
        op: "model",
        message: "the model has no latent vectors to pool by".into(),
    }
}
