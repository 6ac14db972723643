//! The passes of one layer, which the decoder and latent attention share.

use super::activations::Activations;
use super::parameter::Parameter;
use super::parameters::{Layer, Projection};
use super::transformer::Model;
use crate::device::{Activation, Device, Result};
use crate::ops::attention::KeysValues;
use crate::ops::forest::Forest;
use crate::ops::linear::LinearShape;
use crate::ops::rms_norm::NormShape;

/// What the rows of a layer see.
pub(super) struct Seen<'a> {
    pub forest: &'a Forest,
    /// Positions of queries and keys; none: they are not rotated.
    pub positions: Option<&'a [u32]>,
}

/// Rows of a cache that take new keys and values, and the keys and values of a layer.
pub(super) type Stored<'a, D> = (&'a [u32], &'a mut Activation<D>, &'a mut Activation<D>);

impl<D: Device> Model<D> {
    /// A layer's attention, from the normed rows `acts.normed` to `acts.attention[slot]`, over the rows
    /// themselves or over keys and values that are stored first, at rows of a cache.
    pub(super) fn attend(
        &self,
        layer: &Layer<Parameter<D>>,
        slot: usize,
        seen: &Seen<'_>,
        acts: &mut Activations<D>,
        cache: Option<Stored<'_, D>>,
    ) -> Result<()> {
        let (d, c, heads) = (&*self.device, &self.config, self.config.heads());
        let tokens = seen.forest.tokens();
        let shape = (tokens, heads.qkv_dim(), c.hidden_size);
        if let Some((q_weight, k_weight)) = &layer.qk_norm {
            let raw = &mut acts.raw_qkv[slot];
            self.project(shape, &layer.qkv, &acts.normed, raw)?;
            let (q, k) = (q_weight.master()?, k_weight.master()?);
            let qkv = &mut acts.qkv[slot];
            d.qk_norm(&heads, c.rms_norm_eps, tokens, raw, q, k, qkv)?;
        } else {
            self.project(shape, &layer.qkv, &acts.normed, &mut acts.qkv[slot])?;
        }
        if let Some(positions) = seen.positions {
            d.rope(&heads, &self.rope, positions, &mut acts.qkv[slot])?;
        }
        let (qkv, out) = (&acts.qkv[slot], &mut acts.attention[slot]);
        match cache {
            None => {
                let lse = Some(&mut acts.lse[slot]);
                d.attention(&heads, seen.forest, qkv, KeysValues::Packed, out, lse)
            }
            Some((slots, keys, values)) => {
                d.kv_store(&heads, qkv, slots, keys, values)?;
                let kv = KeysValues::Cache { keys, values };
                d.attention(&heads, seen.forest, qkv, kv, out, None)
            }
        }
    }

    /// The rest of a layer, of the first `rows` rows or of those that were picked: `acts.middle[slot]`, and
    /// in `acts.delta` what is to be added to it.
    pub(super) fn feed(
        &self,
        layer: &Layer<Parameter<D>>,
        slot: usize,
        rows: usize,
        picked: bool,
        acts: &mut Activations<D>,
    ) -> Result<()> {
        let (d, c) = (&*self.device, &self.config);
        let (hidden, intermediate) = (c.hidden_size, c.intermediate_size);
        let (input, attention) = match picked {
            false => (&acts.input[slot], &acts.attention[slot]),
            true => (&acts.picked_input, &acts.picked_attention),
        };
        let output_shape = (rows, hidden, c.heads().q_dim());
        self.project(output_shape, &layer.output, attention, &mut acts.delta)?;
        d.add_rms_norm(
            self.norm(rows),
            input,
            &acts.delta,
            layer.mlp_norm.master()?,
            &mut acts.middle[slot],
            &mut acts.normed,
        )?;
        let (normed, activated) = (&acts.normed, &mut acts.activated);
        if let Some(gate_up) = acts.gate_up.get_mut(slot) {
            let shape = (rows, 2 * intermediate, hidden);
            self.project(shape, &layer.gate_up, normed, gate_up)?;
            d.swiglu(rows, intermediate, gate_up, activated)?;
        } else {
            let shape = LinearShape {
                m: rows,
                n: intermediate,
                k: hidden,
            };
            let w = layer.gate_up.weight.weight();
            d.linear_swiglu(shape, normed, w, layer.gate_up.bias()?, activated)?;
        }
        let (x, delta) = (&acts.activated, &mut acts.delta);
        self.project((rows, hidden, intermediate), &layer.down, x, delta)
    }

    pub(super) fn norm(&self, rows: usize) -> NormShape {
        NormShape {
            rows,
            dim: self.config.hidden_size,
            eps: self.config.rms_norm_eps,
        }
    }

    fn project(
        &self,
        (m, n, k): (usize, usize, usize),
        p: &Projection<Parameter<D>>,
        x: &Activation<D>,
        y: &mut Activation<D>,
    ) -> Result<()> {
        let shape = LinearShape { m, n, k };
        let w = p.weight.weight();
        self.device.linear(shape, x, w, p.bias()?, y, false)
    }
}

impl<D: Device> Projection<Parameter<D>> {
    /// The bias, where there is one.
    fn bias(&self) -> Result<Option<&D::Buffer<f32>>> {
        self.bias.as_ref().map(Parameter::master).transpose()
    }
}
