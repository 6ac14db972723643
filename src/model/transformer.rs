//! The decoder: one forward pass for training, prefill and decoding, generic over the device.

use super::activations::Activations;
use super::config::ModelConfig;
use super::kv_cache::KvCache;
use super::parameter::Parameter;
use super::parameters::{Parameters, Projection};
use crate::device::{Activation, Device, DeviceError, Result};
use crate::ops::attention::{Heads, KeysValues};
use crate::ops::forest::Forest;
use crate::ops::linear::LinearShape;
use crate::ops::pool::PoolPlan;
use crate::ops::rms_norm::NormShape;
use crate::ops::rope::RopeTable;
use std::sync::Arc;

/// A decoder language model on a device.
pub struct Model<D: Device> {
    pub device: Arc<D>,
    pub config: ModelConfig,
    pub parameters: Parameters<Parameter<D>>,
    pub(super) rope: RopeTable<D>,
}

/// A batch of new tokens: ids, the forest they form and their positions.
pub struct Batch<'a> {
    pub ids: &'a [u32],
    pub forest: &'a Forest,
    pub positions: &'a [u32],
    /// Tokens whose final hidden states are wanted, in this order; all where there is no list. What the last
    /// layer does behind its attention it does for these alone, a layer's products less for most of an
    /// embedding's tokens. Only where nothing is kept for a backward pass.
    pub wanted: Option<&'a [u32]>,
}

impl<D: Device> Model<D> {
    /// Puts a tree of parameters on the device; positions up to `context` are prepared.
    pub fn new(
        device: Arc<D>,
        config: ModelConfig,
        parameters: Parameters<Parameter<D>>,
        context: usize,
    ) -> Result<Self> {
        let (cos, sin) = config.rope_table(context);
        let rope = RopeTable {
            cos: device.upload(&cos)?,
            sin: device.upload(&sin)?,
            positions: context,
        };
        Ok(Model {
            device,
            config,
            parameters,
            rope,
        })
    }

    /// Longest sequence, in tokens.
    pub fn context(&self) -> usize {
        self.rope.positions
    }

    /// Output head: the embedding where it is tied.
    pub fn head(&self) -> &Parameter<D> {
        self.parameters
            .head
            .as_ref()
            .unwrap_or(&self.parameters.embedding)
    }

    /// Logits `[rows, vocab]` of `rows` final hidden rows.
    pub fn logits(
        &self,
        rows: usize,
        hidden: &Activation<D>,
        logits: &mut D::Buffer<f32>,
    ) -> Result<()> {
        let shape = LinearShape {
            m: rows,
            n: self.config.vocab_size,
            k: self.config.hidden_size,
        };
        let w = self.head().weight();
        self.device.logits(shape, hidden, w, logits)
    }

    /// Runs the decoder over a packed batch whose keys lie in the batch itself; `acts.hidden` holds
    /// the result, `[tokens, hidden]` or `[wanted, hidden]`.
    pub fn forward(&self, batch: &Batch<'_>, acts: &mut Activations<D>) -> Result<()> {
        self.run(batch, acts, None)
    }

    /// Runs the decoder over new tokens whose keys and values go to rows `slots[t]` of the cache;
    /// the forest's spans are rows of the cache.
    pub fn forward_cached(
        &self,
        batch: &Batch<'_>,
        slots: &[u32],
        cache: &mut KvCache<D>,
        acts: &mut Activations<D>,
    ) -> Result<()> {
        self.run(batch, acts, Some((slots, cache)))
    }

    fn run(
        &self,
        batch: &Batch<'_>,
        acts: &mut Activations<D>,
        mut cache: Option<(&[u32], &mut KvCache<D>)>,
    ) -> Result<()> {
        let (d, c) = (&*self.device, &self.config);
        let tokens = batch.ids.len();
        self.check(batch)?;
        let some = |wanted: &&[u32]| !wanted.iter().copied().eq(0..tokens as u32);
        let wanted = batch.wanted.filter(some);
        acts.reserve(d, c, tokens, wanted.is_some())?;
        let heads = c.heads();
        let p = &self.parameters;
        let (vocab, hidden) = (c.vocab_size, c.hidden_size);
        let table = p.embedding.weight();
        let first = &mut acts.input[0];
        d.embedding(vocab, hidden, table, batch.ids, first)?;
        let norm = self.norm(tokens);
        let qkv_shape = (tokens, heads.qkv_dim(), hidden);
        let w = p.layers.first().map_or(&p.norm, |l| &l.attention_norm);
        d.rms_norm(norm, &acts.input[0], w.master()?, &mut acts.normed)?;
        for (l, layer) in p.layers.iter().enumerate() {
            let s = acts.slot(l);
            if let Some((q_weight, k_weight)) = &layer.qk_norm {
                let raw = &mut acts.raw_qkv[s];
                self.project(qkv_shape, &layer.qkv, &acts.normed, raw)?;
                let (q, k) = (q_weight.master()?, k_weight.master()?);
                d.qk_norm(&heads, c.rms_norm_eps, tokens, raw, q, k, &mut acts.qkv[s])?;
            } else {
                let qkv = &mut acts.qkv[s];
                self.project(qkv_shape, &layer.qkv, &acts.normed, qkv)?;
            }
            d.rope(&heads, &self.rope, batch.positions, &mut acts.qkv[s])?;
            let (qkv, out) = (&acts.qkv[s], &mut acts.attention[s]);
            match &mut cache {
                None => {
                    let lse = Some(&mut acts.lse[s]);
                    d.attention(&heads, batch.forest, qkv, KeysValues::Packed, out, lse)?;
                }
                Some((slots, cache)) => {
                    let (keys, values) = (&mut cache.keys[l], &mut cache.values[l]);
                    d.kv_store(&heads, qkv, slots, keys, values)?;
                    let kv = KeysValues::Cache { keys, values };
                    d.attention(&heads, batch.forest, qkv, kv, out, None)?;
                }
            }
            let wanted = wanted.filter(|_| l + 1 == p.layers.len());
            let (rows, input, attention) = match wanted {
                None => (tokens, &acts.input[s], &acts.attention[s]),
                Some(rows) => {
                    let plan = PoolPlan::pick(rows, 1.0);
                    let (input, attention) = (&mut acts.picked_input, &mut acts.picked_attention);
                    d.pool(&plan, hidden, &acts.input[s], input, false)?;
                    d.pool(&plan, heads.q_dim(), &acts.attention[s], attention, false)?;
                    (rows.len(), &*input, &*attention)
                }
            };
            let norm = self.norm(rows);
            let output_shape = (rows, hidden, heads.q_dim());
            self.project(output_shape, &layer.output, attention, &mut acts.delta)?;
            d.add_rms_norm(
                norm,
                input,
                &acts.delta,
                layer.mlp_norm.master()?,
                &mut acts.middle[s],
                &mut acts.normed,
            )?;
            let gate_up = &mut acts.gate_up[s];
            let gate_up_shape = (rows, 2 * c.intermediate_size, hidden);
            self.project(gate_up_shape, &layer.gate_up, &acts.normed, gate_up)?;
            d.swiglu(rows, c.intermediate_size, gate_up, &mut acts.activated)?;
            let (x, delta) = (&acts.activated, &mut acts.delta);
            let down_shape = (rows, hidden, c.intermediate_size);
            self.project(down_shape, &layer.down, x, delta)?;
            let (w, sum, y) = match p.layers.get(l + 1) {
                Some(next) => {
                    let next_slot = acts.slot(l + 1);
                    let sum = &mut acts.input[next_slot];
                    (&next.attention_norm, sum, &mut acts.normed)
                }
                None => (&p.norm, &mut acts.output, &mut acts.hidden),
            };
            d.add_rms_norm(norm, &acts.middle[s], &acts.delta, w.master()?, sum, y)?;
        }
        Ok(())
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
        let bias = p.bias.as_ref().map(Parameter::master).transpose()?;
        self.device
            .linear(shape, x, p.weight.weight(), bias, y, false)
    }

    fn check(&self, batch: &Batch<'_>) -> Result<()> {
        let error = |message: String| {
            Err(DeviceError::Argument {
                op: "model",
                message,
            })
        };
        let tokens = batch.ids.len();
        if batch.forest.tokens() != tokens || batch.positions.len() != tokens {
            return error(format!(
                "{tokens} ids, {} rows in the forest and {} positions; they must be the same",
                batch.forest.tokens(),
                batch.positions.len()
            ));
        }
        if let Some(&id) = batch
            .ids
            .iter()
            .find(|&&i| i as usize >= self.config.vocab_size)
        {
            let vocab = self.config.vocab_size;
            return error(format!(
                "token id {id} is outside the vocabulary of {vocab}"
            ));
        }
        let astray = |w: &[u32]| w.len() > tokens || w.iter().any(|&row| row as usize >= tokens);
        if batch.wanted.is_some_and(astray) {
            return error(format!(
                "the wanted rows are not at most {tokens} of {tokens} tokens"
            ));
        }
        let context = self.context();
        match batch.positions.iter().max() {
            Some(&p) if p as usize >= context => error(format!(
                "a sequence of {} tokens is longer than the context of {context}",
                p + 1
            )),
            _ => Ok(()),
        }
    }
}

impl ModelConfig {
    /// Head layout of the packed `qkv` rows.
    pub fn heads(&self) -> Heads {
        Heads {
            num_heads: self.num_attention_heads,
            num_kv_heads: self.num_key_value_heads,
            head_dim: self.head_dim,
        }
    }
}
