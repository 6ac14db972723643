//! The decoder: one forward pass for training, prefill and decoding, generic over the device.

use super::activations::Activations;
use super::config::ModelConfig;
use super::kv_cache::KvCache;
use super::layer::Seen;
use super::parameter::Parameter;
use super::parameters::Parameters;
use crate::device::{Activation, Device, DeviceError, Result};
use crate::ops::attention::Heads;
use crate::ops::forest::{Forest, Mask};
use crate::ops::linear::LinearShape;
use crate::ops::pool::PoolPlan;
use crate::ops::rope::RopeTable;
use std::borrow::Cow;
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
    /// the forest's spans are rows of the cache. Decoding waits for launches, so they are started together.
    pub fn forward_cached(
        &self,
        batch: &Batch<'_>,
        slots: &[u32],
        cache: &mut KvCache<D>,
        acts: &mut Activations<D>,
    ) -> Result<()> {
        self.device
            .recorded(|| self.run(batch, acts, Some((slots, cache))))
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
        let p = &self.parameters;
        let (vocab, hidden, q_dim) = (c.vocab_size, c.hidden_size, c.heads().q_dim());
        let table = p.embedding.weight();
        let first = &mut acts.input[0];
        d.embedding(vocab, hidden, table, batch.ids, first)?;
        let w = p.layers.first().map_or(&p.norm, |l| &l.attention_norm);
        d.rms_norm(
            self.norm(tokens),
            &acts.input[0],
            w.master()?,
            &mut acts.normed,
        )?;
        let forest = self.forest(batch)?;
        let seen = Seen {
            forest: &forest,
            positions: Some(batch.positions),
        };
        for (l, layer) in p.layers.iter().enumerate() {
            let s = acts.slot(l);
            let cache = cache.as_mut().map(|(slots, cache)| {
                let (keys, values) = (&mut cache.keys[l], &mut cache.values[l]);
                (*slots, keys, values)
            });
            self.attend(layer, s, &seen, acts, cache)?;
            let wanted = wanted.filter(|_| l + 1 == p.layers.len());
            if let Some(rows) = wanted {
                let plan = PoolPlan::pick(rows, 1.0);
                let (input, attention) = (&mut acts.picked_input, &mut acts.picked_attention);
                d.pool(&plan, hidden, &acts.input[s], input, false)?;
                d.pool(&plan, q_dim, &acts.attention[s], attention, false)?;
            }
            let rows = wanted.map_or(tokens, <[u32]>::len);
            self.feed(layer, s, rows, wanted.is_some(), acts)?;
            let (w, sum, y) = match p.layers.get(l + 1) {
                Some(next) => {
                    let next_slot = acts.slot(l + 1);
                    let sum = &mut acts.input[next_slot];
                    (&next.attention_norm, sum, &mut acts.normed)
                }
                None => (&p.norm, &mut acts.output, &mut acts.hidden),
            };
            let (x, delta) = (&acts.middle[s], &acts.delta);
            d.add_rms_norm(self.norm(rows), x, delta, w.master()?, sum, y)?;
        }
        Ok(())
    }

    /// The batch's forest with what the model's tokens see of their own segment.
    pub(super) fn forest<'b>(&self, batch: &Batch<'b>) -> Result<Cow<'b, Forest>> {
        if !self.config.bidirectional {
            return Ok(Cow::Borrowed(batch.forest));
        }
        let forest = batch.forest.clone().masked(Mask::Full);
        if let Some(s) = forest.segments.iter().find(|s| s.own.len > s.rows.len()) {
            let (new, all) = (s.rows.len(), s.own.len);
            return Err(DeviceError::Argument {
                op: "model",
                message: format!(
                    "{new} of a sequence's {all} tokens are new; bidirectional attention needs all at once"
                ),
            });
        }
        Ok(Cow::Owned(forest))
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
