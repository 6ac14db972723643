//! Latent-attention pooling: the tokens' final hidden states read trained vectors, and their mean is the
//! embedding.
//!
//! Source: Lee et al., "NV-Embed", arXiv 2405.17428, section 3.1.2. Theirs is cross-attention with
//! LayerNorm and a GELU MLP; here it is a layer of the model's own kind, RMSNorm and SwiGLU, without RoPE.
//! In training vectors and tokens are rows of one batch, so that one product gives queries, keys and values
//! and one backward pass their gradients; for inference the vectors' keys and values are computed once.

use super::activations::Activations;
use super::backward::BackwardScratch;
use super::config::ModelConfig;
use super::gradient::Gradients;
use super::layer::Seen;
use super::parameter::Parameter;
use super::parameters::Latent;
use super::transformer::Model;
use crate::device::{Activation, Buffer, Device, DeviceError, Result};
use crate::ops::forest::{Forest, Mask, Span};
use crate::ops::pool::PoolPlan;
use std::ops::Range;

/// What the layer's pass leaves.
pub(super) struct LatentActivations<D: Device> {
    layer: Activations<D>,
    /// Keys and values of the vectors, where the model is packed and so stays what it is.
    stored: Option<KeyValues<D>>,
}

/// Keys and values, `[latents, kv_dim]` each.
type KeyValues<D> = (Activation<D>, Activation<D>);

impl<D: Device> LatentActivations<D> {
    /// Empty buffers. `kept`: a backward pass follows.
    pub(super) fn new(device: &D, config: &ModelConfig, kept: bool) -> Result<Self> {
        Ok(LatentActivations {
            layer: Activations::empty(device, &config.latent_layer(), 1, kept)?,
            stored: None,
        })
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let stored = self.stored.as_ref().map_or(0, |(k, v)| k.len() + v.len());
        self.layer.bytes() + size_of::<D::Real>() * stored
    }
}

/// The rows that the layer computes: the vectors, where they are not stored, then the tokens of all
/// sequences.
struct Rows {
    vectors: Vec<u32>,
    /// Tokens' hidden states to the rows behind the vectors, of which it leaves the first alone.
    gather: PoolPlan,
    /// The mean of every sequence's rows.
    mean: PoolPlan,
    forest: Forest,
}

impl Rows {
    /// Rows of `vectors` and of the tokens.
    fn all(vectors: usize, sequences: &[Range<usize>]) -> Rows {
        let tokens: usize = sequences.iter().map(|s| s.len()).sum();
        let mut forest = Forest::packed(&[(vectors, None), (tokens, Some(0))]);
        forest.segments[0].mask = Mask::Full;
        forest.segments[1].mask = Mask::Ancestors;
        Rows::of(vectors, sequences, forest)
    }

    /// Rows of the tokens alone, which see `vectors` stored keys.
    fn tokens(vectors: usize, sequences: &[Range<usize>]) -> Rows {
        let tokens: usize = sequences.iter().map(|s| s.len()).sum();
        let mut forest = Forest::packed(&[(tokens, None)]).masked(Mask::Ancestors);
        forest.segments[0].ancestors.push(Span {
            start: 0,
            len: vectors,
        });
        Rows::of(0, sequences, forest)
    }

    fn of(vectors: usize, sequences: &[Range<usize>], forest: Forest) -> Rows {
        let tokens = sequences.iter().flat_map(|s| s.clone());
        let tokens: Vec<u32> = tokens.map(|row| row as u32).collect();
        let mut gather = PoolPlan::pick(&tokens, 1.0);
        gather.offsets.splice(0..0, vec![0; vectors]);
        let mut at = vectors;
        let ranges = sequences.iter().map(|s| {
            let start = at;
            at += s.len();
            start..at
        });
        Rows {
            vectors: (0..vectors as u32).collect(),
            gather,
            mean: PoolPlan::mean(&ranges.collect::<Vec<_>>()),
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
        let (d, hidden, latents) = (&*self.device, self.config.hidden_size, self.config.latents);
        let (latent, inner) = self.latent(&mut acts.latent)?;
        let packed = matches!(latent.vectors, Parameter::Packed(_));
        let rows = match packed {
            true => Rows::tokens(latents, sequences),
            false => Rows::all(latents, sequences),
        };
        if packed && inner.stored.is_none() {
            inner.stored = Some(self.latent_keys(latent, &mut inner.layer)?);
        }
        let stored = inner.stored.as_mut().filter(|_| packed);
        let layer = &mut inner.layer;
        self.latent_forward(latent, &rows, &acts.hidden, layer, stored)?;
        d.pool(&rows.mean, hidden, &layer.middle[0], out, false)?;
        d.pool(&rows.mean, hidden, &layer.delta, out, true)
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
        let rows = Rows::all(self.config.latents, sequences);
        let (latent, inner) = self.latent(&mut acts.latent)?;
        let layer = &mut inner.layer;
        self.latent_forward(latent, &rows, &acts.hidden, layer, None)?;
        let grad = gradients.latent.as_mut().ok_or_else(no_latents)?;
        let all = rows.forest.tokens();
        scratch.reserve(d, &self.config, all)?;
        d.clear(&mut scratch.dx, all * hidden)?;
        d.pool_backward(&rows.mean, hidden, dout, &mut scratch.dx)?;
        let seen = seen(&rows.forest);
        self.layer_backward(&latent.layer, &mut grad.layer, 0, &seen, layer, scratch)?;
        let (dx, count) = (&scratch.dx, rows.vectors.len());
        let vectors = grad.vectors.sum(d)?;
        d.embedding_backward(count, hidden, dx, &rows.vectors, vectors)?;
        d.pool_backward(&rows.gather, hidden, dx, dhidden)
    }

    /// The layer over `rows`, with the vectors' keys among them or stored.
    fn latent_forward(
        &self,
        latent: &Latent<Parameter<D>>,
        rows: &Rows,
        hidden: &Activation<D>,
        layer: &mut Activations<D>,
        stored: Option<&mut KeyValues<D>>,
    ) -> Result<()> {
        let (d, width) = (&*self.device, self.config.hidden_size);
        let all = rows.forest.tokens();
        layer.reserve(d, &self.config, all, false)?;
        let input = &mut layer.input[0];
        d.clear(input, all * width)?;
        self.latent_vectors(latent, &rows.vectors, input)?;
        d.pool(&rows.gather, width, hidden, input, true)?;
        let w = latent.layer.attention_norm.master()?;
        d.rms_norm(self.norm(all), &layer.input[0], w, &mut layer.normed)?;
        let cache = stored.map(|(keys, values)| (&[][..], keys, values));
        self.attend(&latent.layer, 0, &seen(&rows.forest), layer, cache)?;
        self.feed(&latent.layer, 0, all, false, layer)
    }

    /// Keys and values of the vectors.
    fn latent_keys(
        &self,
        latent: &Latent<Parameter<D>>,
        layer: &mut Activations<D>,
    ) -> Result<KeyValues<D>> {
        let (d, count, heads) = (&*self.device, self.config.latents, self.config.heads());
        let slots: Vec<u32> = (0..count as u32).collect();
        layer.reserve(d, &self.config, count, false)?;
        self.latent_vectors(latent, &slots, &mut layer.input[0])?;
        let w = latent.layer.attention_norm.master()?;
        d.rms_norm(self.norm(count), &layer.input[0], w, &mut layer.normed)?;
        let mut keys = d.zeros(count * heads.kv_dim())?;
        let mut values = d.zeros(count * heads.kv_dim())?;
        let forest = Forest::packed(&[(count, None)]);
        let cache = Some((&slots[..], &mut keys, &mut values));
        self.attend(&latent.layer, 0, &seen(&forest), layer, cache)?;
        Ok((keys, values))
    }

    /// The first rows of `out`: the vectors of these numbers.
    fn latent_vectors(
        &self,
        latent: &Latent<Parameter<D>>,
        numbers: &[u32],
        out: &mut Activation<D>,
    ) -> Result<()> {
        let (count, width) = (self.config.latents, self.config.hidden_size);
        let table = latent.vectors.weight();
        self.device.embedding(count, width, table, numbers, out)
    }

    /// The layer's tensors and what its pass leaves.
    fn latent<'a>(
        &'a self,
        acts: &'a mut Option<Box<LatentActivations<D>>>,
    ) -> Result<(&'a Latent<Parameter<D>>, &'a mut LatentActivations<D>)> {
        let latent = self.parameters.latent.as_ref().ok_or_else(no_latents)?;
        Ok((latent, acts.as_deref_mut().ok_or_else(no_latents)?))
    }
}

fn seen(forest: &Forest) -> Seen<'_> {
    Seen {
        forest,
        positions: None,
    }
}

fn no_latents() -> DeviceError {
    DeviceError::Argument {
        op: "model",
        message: "the model has no latent vectors to pool by".into(),
    }
}
