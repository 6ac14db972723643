//! The decoder's backward pass, written by hand beside its forward.

use super::activations::Activations;
use super::config::ModelConfig;
use super::gradient::{Gradient, Gradients};
use super::layer::Seen;
use super::parameter::Parameter;
use super::parameters::{Layer, Projection};
use super::transformer::{Batch, Model};
use crate::device::{Activation, Device, DeviceError, Result};
use crate::ops::linear::LinearShape;

/// Buffers of a backward pass, reused from batch to batch.
pub struct BackwardScratch<D: Device> {
    capacity: usize,
    /// Gradient of the residual stream, `[tokens, hidden]`.
    pub(super) dx: Activation<D>,
    normed: Activation<D>,
    dnormed: Activation<D>,
    activated: Activation<D>,
    dactivated: Activation<D>,
    dgate_up: Activation<D>,
    dattention: Activation<D>,
    dqkv: Activation<D>,
}

impl<D: Device> BackwardScratch<D> {
    /// Empty buffers.
    pub fn new(device: &D) -> Result<Self> {
        let none = || device.zeros(0);
        Ok(BackwardScratch {
            capacity: 0,
            dx: none()?,
            normed: none()?,
            dnormed: none()?,
            activated: none()?,
            dactivated: none()?,
            dgate_up: none()?,
            dattention: none()?,
            dqkv: none()?,
        })
    }

    pub(super) fn reserve(&mut self, device: &D, c: &ModelConfig, tokens: usize) -> Result<()> {
        if tokens <= self.capacity {
            return Ok(());
        }
        let heads = c.heads();
        for (buffer, width) in [
            (&mut self.dx, c.hidden_size),
            (&mut self.normed, c.hidden_size),
            (&mut self.dnormed, c.hidden_size),
            (&mut self.activated, c.intermediate_size),
            (&mut self.dactivated, c.intermediate_size),
            (&mut self.dgate_up, 2 * c.intermediate_size),
            (&mut self.dattention, heads.q_dim()),
            (&mut self.dqkv, heads.qkv_dim()),
        ] {
            *buffer = device.zeros(tokens * width)?;
        }
        self.capacity = tokens;
        Ok(())
    }
}

impl<D: Device> Model<D> {
    /// Adds to `gradients` the gradient of a loss whose derivative by `acts.hidden` is `dhidden`
    /// `[tokens, hidden]` and by the residual stream entering layer `l` is `dinputs[l]` (for poolings
    /// over several layers; may be empty). `acts` are those of [`Model::forward`] over `batch`.
    pub fn backward(
        &self,
        batch: &Batch<'_>,
        acts: &mut Activations<D>,
        dhidden: &Activation<D>,
        dinputs: &[(usize, Activation<D>)],
        gradients: &mut Gradients<D>,
        scratch: &mut BackwardScratch<D>,
    ) -> Result<()> {
        let (d, c) = (&*self.device, &self.config);
        let tokens = batch.ids.len();
        let (hidden, norm) = (c.hidden_size, self.norm(tokens));
        scratch.reserve(d, c, tokens)?;
        let x = scratch;
        let p = &self.parameters;
        d.clear(&mut x.dx, tokens * hidden)?;
        let (w, dw) = (p.norm.master()?, gradients.norm.sum(d)?);
        d.rms_norm_backward(norm, &acts.output, w, dhidden, &mut x.dx, dw)?;
        let forest = self.forest(batch)?;
        let seen = Seen {
            forest: &forest,
            positions: Some(batch.positions),
        };
        for l in (0..p.layers.len()).rev() {
            let (layer, grad) = (&p.layers[l], &mut gradients.layers[l]);
            self.layer_backward(layer, grad, l, &seen, acts, x)?;
            for (_, extra) in dinputs.iter().filter(|e| e.0 == l) {
                let all: Vec<u32> = (0..tokens as u32).collect();
                let plan = crate::ops::pool::PoolPlan::pick(&all, 1.0);
                d.pool(&plan, hidden, extra, &mut x.dx, true)?;
            }
        }
        let table = gradients.embedding.sum(d)?;
        d.embedding_backward(c.vocab_size, hidden, &x.dx, batch.ids, table)
    }

    /// Backward of a layer: `x.dx` `[tokens, hidden]` is the gradient by what leaves it, and then by what
    /// enters it. What the layer left is in `acts` at `slot`.
    pub(super) fn layer_backward(
        &self,
        layer: &Layer<Parameter<D>>,
        grad: &mut Layer<Gradient<D>>,
        slot: usize,
        seen: &Seen<'_>,
        acts: &Activations<D>,
        x: &mut BackwardScratch<D>,
    ) -> Result<()> {
        let (d, c) = (&*self.device, &self.config);
        let tokens = seen.forest.tokens();
        let (hidden, intermediate) = (c.hidden_size, c.intermediate_size);
        let (heads, norm) = (c.heads(), self.norm(tokens));
        let gate_up = acts.gate_up.get(slot).ok_or_else(not_kept)?;
        d.swiglu(tokens, intermediate, gate_up, &mut x.activated)?;
        let shape = (tokens, hidden, intermediate);
        self.project_backward(
            shape,
            &layer.down,
            &mut grad.down,
            &x.dx,
            &x.activated,
            &mut x.dactivated,
        )?;
        d.swiglu_backward(
            tokens,
            intermediate,
            gate_up,
            &x.dactivated,
            &mut x.dgate_up,
        )?;
        let w = layer.mlp_norm.master()?;
        d.rms_norm(norm, &acts.middle[slot], w, &mut x.normed)?;
        let shape = (tokens, 2 * intermediate, hidden);
        self.project_backward(
            shape,
            &layer.gate_up,
            &mut grad.gate_up,
            &x.dgate_up,
            &x.normed,
            &mut x.dnormed,
        )?;
        d.rms_norm_backward(
            norm,
            &acts.middle[slot],
            w,
            &x.dnormed,
            &mut x.dx,
            grad.mlp_norm.sum(d)?,
        )?;

        let shape = (tokens, hidden, heads.q_dim());
        self.project_backward(
            shape,
            &layer.output,
            &mut grad.output,
            &x.dx,
            &acts.attention[slot],
            &mut x.dattention,
        )?;
        let (qkv, out, lse) = (&acts.qkv[slot], &acts.attention[slot], &acts.lse[slot]);
        d.attention_backward(
            &heads,
            seen.forest,
            qkv,
            out,
            lse,
            &x.dattention,
            &mut x.dqkv,
        )?;
        if let Some(positions) = seen.positions {
            d.rope_backward(&heads, &self.rope, positions, &mut x.dqkv)?;
        }
        if let (Some((qw, kw)), Some((dqw, dkw))) = (&layer.qk_norm, &mut grad.qk_norm) {
            let (qw, kw, raw) = (qw.master()?, kw.master()?, &acts.raw_qkv[slot]);
            d.qk_norm_backward(
                &heads,
                c.rms_norm_eps,
                tokens,
                raw,
                qw,
                kw,
                &mut x.dqkv,
                dqw.sum(d)?,
                dkw.sum(d)?,
            )?;
        }
        let w = layer.attention_norm.master()?;
        d.rms_norm(norm, &acts.input[slot], w, &mut x.normed)?;
        let shape = (tokens, heads.qkv_dim(), hidden);
        self.project_backward(
            shape,
            &layer.qkv,
            &mut grad.qkv,
            &x.dqkv,
            &x.normed,
            &mut x.dnormed,
        )?;
        d.rms_norm_backward(
            norm,
            &acts.input[slot],
            w,
            &x.dnormed,
            &mut x.dx,
            grad.attention_norm.sum(d)?,
        )?;
        Ok(())
    }

    /// Backward of a projection `y = x·wᵀ + b`: adds to its gradients and writes `dx`.
    fn project_backward(
        &self,
        (m, n, k): (usize, usize, usize),
        p: &Projection<Parameter<D>>,
        grad: &mut Projection<Gradient<D>>,
        dy: &Activation<D>,
        x: &Activation<D>,
        dx: &mut Activation<D>,
    ) -> Result<()> {
        let shape = LinearShape { m, n, k };
        let d = &*self.device;
        let (dw, accumulate) = grad.weight.target();
        // Both are of as many passes.
        let db = grad.bias.as_mut().map(|db| db.target().0);
        d.linear_backward_weight(shape, dy, x, dw, db, accumulate)?;
        let w = p.weight.weight();
        d.linear_backward_input(shape, dy, w, dx, false)
    }
}

fn not_kept() -> DeviceError {
    DeviceError::Argument {
        op: "model",
        message: "a backward pass needs the activations of a forward pass for training".into(),
    }
}
