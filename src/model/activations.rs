//! What a forward pass keeps: the buffers between ops, reused from batch to batch.

use super::config::ModelConfig;
use crate::device::{Buffer, Device, Result};

/// Buffers of a forward pass over at most `capacity` tokens. With a slot per layer, the backward pass
/// finds what it needs (norm outputs and SwiGLU products are recomputed there); inference uses one
/// slot for all layers.
///
/// Kept per token and layer in training: `2·hidden + qkv_dim + q_dim + num_heads + 2·intermediate`
/// floats (and `qkv_dim` more with a q/k norm).
pub struct Activations<D: Device> {
    capacity: usize,
    slots: usize,
    /// Residual stream entering the layer, `[tokens, hidden]`.
    pub(super) input: Vec<D::Buffer<f32>>,
    /// Queries, keys, values before the q/k norm (only with one).
    pub(super) raw_qkv: Vec<D::Buffer<f32>>,
    /// Queries and keys after RoPE, values: `[tokens, qkv_dim]`.
    pub(super) qkv: Vec<D::Buffer<f32>>,
    /// Attention output, `[tokens, q_dim]`.
    pub(super) attention: Vec<D::Buffer<f32>>,
    /// `[tokens, num_heads]`.
    pub(super) lse: Vec<D::Buffer<f32>>,
    /// Residual stream between attention and MLP, `[tokens, hidden]`.
    pub(super) middle: Vec<D::Buffer<f32>>,
    /// `[tokens, 2·intermediate]`.
    pub(super) gate_up: Vec<D::Buffer<f32>>,
    /// Residual stream after the last layer.
    pub(super) output: D::Buffer<f32>,
    /// After the final norm: what is embedded and what the head reads, `[tokens, hidden]`.
    pub hidden: D::Buffer<f32>,
    pub(super) normed: D::Buffer<f32>,
    pub(super) delta: D::Buffer<f32>,
    pub(super) activated: D::Buffer<f32>,
}

impl<D: Device> Activations<D> {
    /// Empty buffers for a backward pass to follow: a slot per layer.
    pub fn for_training(device: &D, config: &ModelConfig) -> Result<Self> {
        Self::empty(device, config, config.num_hidden_layers)
    }

    /// Empty buffers for inference: all layers share one slot.
    pub fn for_inference(device: &D, config: &ModelConfig) -> Result<Self> {
        Self::empty(device, config, 1)
    }

    fn empty(device: &D, config: &ModelConfig, slots: usize) -> Result<Self> {
        let none = || device.zeros::<f32>(0);
        let each = || (0..slots).map(|_| none()).collect::<Result<Vec<_>>>();
        Ok(Activations {
            capacity: 0,
            slots,
            input: each()?,
            raw_qkv: if config.qk_norm { each()? } else { Vec::new() },
            qkv: each()?,
            attention: each()?,
            lse: each()?,
            middle: each()?,
            gate_up: each()?,
            output: none()?,
            hidden: none()?,
            normed: none()?,
            delta: none()?,
            activated: none()?,
        })
    }

    /// Grows every buffer to `tokens` rows.
    pub(super) fn reserve(&mut self, device: &D, c: &ModelConfig, tokens: usize) -> Result<()> {
        if tokens <= self.capacity {
            return Ok(());
        }
        let heads = c.heads();
        let grow = |buffers: &mut [D::Buffer<f32>], width: usize| -> Result<()> {
            for b in buffers {
                *b = device.zeros(0)?;
                *b = device.zeros(tokens * width)?;
            }
            Ok(())
        };
        grow(&mut self.input, c.hidden_size)?;
        grow(&mut self.raw_qkv, heads.qkv_dim())?;
        grow(&mut self.qkv, heads.qkv_dim())?;
        grow(&mut self.attention, heads.q_dim())?;
        grow(&mut self.lse, heads.num_heads)?;
        grow(&mut self.middle, c.hidden_size)?;
        grow(&mut self.gate_up, 2 * c.intermediate_size)?;
        for b in [
            &mut self.output,
            &mut self.hidden,
            &mut self.normed,
            &mut self.delta,
        ] {
            grow(std::slice::from_mut(b), c.hidden_size)?;
        }
        grow(
            std::slice::from_mut(&mut self.activated),
            c.intermediate_size,
        )?;
        self.capacity = tokens;
        Ok(())
    }

    /// Slot of a layer.
    pub(super) fn slot(&self, layer: usize) -> usize {
        layer % self.slots
    }

    /// Residual stream entering `layer` (the output of the layer before), where every layer has its
    /// slot.
    pub fn layer_input(&self, layer: usize) -> &D::Buffer<f32> {
        &self.input[layer]
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let many = [
            &self.input,
            &self.raw_qkv,
            &self.qkv,
            &self.attention,
            &self.lse,
            &self.middle,
            &self.gate_up,
        ];
        let one = [
            &self.output,
            &self.hidden,
            &self.normed,
            &self.delta,
            &self.activated,
        ];
        let floats: usize = many.iter().flat_map(|v| v.iter()).map(|b| b.len()).sum();
        4 * (floats + one.iter().map(|b| b.len()).sum::<usize>())
    }
}
