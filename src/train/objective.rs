//! The cold start's objective `λ1·L_SFT + λ2·L_InfoNCE` (eq. 8) and its gradient, with the whole
//! batch as negatives however small the parts it is computed in (GradCache, arXiv 2101.06983).

use super::batch::{PackedBatch, TrainBatch};
use crate::device::{Device, Result};
use crate::embed::Pooling;
use crate::model::{Activations, BackwardScratch, Batch, Gradients, Model};
use crate::ops::info_nce::InfoNceBatch;
use crate::ops::linear::LinearShape;
use crate::ops::pool::PoolPlan;
use crate::text::Prompts;

/// Weights of the objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// λ1, on the next-token loss summed over a sample's tokens and averaged over samples.
    pub sft: f32,
    /// λ2.
    pub info_nce: f32,
    /// τ.
    pub temperature: f32,
}

/// Values of one step, for the log.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Losses {
    /// The weighted sum.
    pub loss: f64,
    /// Next-token loss per sample, and per token, in nats.
    pub sft: f64,
    pub sft_per_token: f64,
    pub info_nce: f64,
    /// Share of queries whose target ranks first among the batch's items.
    pub accuracy: f64,
    /// Tokens computed.
    pub tokens: usize,
}

/// The buffers of training steps.
pub struct Objective<D: Device> {
    pooling: Pooling,
    acts: Activations<D>,
    scratch: BackwardScratch<D>,
    dhidden: D::Buffer<f32>,
    capacity: usize,
}

impl<D: Device> Objective<D> {
    /// Empty buffers for a model.
    pub fn new(model: &Model<D>, pooling: Pooling) -> Result<Self> {
        let d = &*model.device;
        Ok(Objective {
            pooling,
            acts: Activations::for_training(d, &model.config)?,
            scratch: BackwardScratch::new(d)?,
            dhidden: d.zeros(0)?,
            capacity: 0,
        })
    }

    /// Adds the objective's gradient over `batch` to `gradients`, computed in parts of `micro_batch`
    /// samples, and returns its values.
    pub fn step(
        &mut self,
        model: &Model<D>,
        prompts: &Prompts,
        batch: &TrainBatch,
        micro_batch: usize,
        weights: &Weights,
        gradients: &mut Gradients<D>,
    ) -> Result<Losses> {
        let d = &*model.device;
        let width = model.config.hidden_size;
        let parts: Vec<(usize, PackedBatch)> = batch
            .split(micro_batch)
            .iter()
            .map(|p| (p.embedded_branches(), p.pack(prompts)))
            .collect();
        // With one part its activations are kept; with several they are computed again below.
        let (mut queries, mut items) = (Vec::new(), Vec::new());
        for (branches, part) in &parts {
            let rows = self.embed(model, part)?;
            let (q, i) = rows.split_at(branches * width);
            queries.extend_from_slice(q);
            items.extend_from_slice(i);
        }
        let mut losses = Losses::default();
        let (dqueries, ditems) = contrast(d, batch, weights, width, &queries, &items, &mut losses)?;
        let (mut q_at, mut i_at) = (0, 0);
        for (branches, part) in &parts {
            if parts.len() > 1 {
                self.forward(model, part)?;
            }
            let tokens = part.ids.len();
            self.reserve(d, tokens * width)?;
            d.clear(&mut self.dhidden, tokens * width)?;
            let scale = weights.sft / batch.samples.len().max(1) as f32;
            losses.sft += self.supervise(model, part, scale, gradients)?;
            let mut dinputs = Vec::new();
            if !part.embedding_rows.is_empty() {
                let (q_len, i_len) = (
                    branches * width,
                    (part.embedding_rows.len() - branches) * width,
                );
                let mut rows = dqueries[q_at..q_at + q_len].to_vec();
                rows.extend_from_slice(&ditems[i_at..i_at + i_len]);
                (q_at, i_at) = (q_at + q_len, i_at + i_len);
                let rows = d.upload(&rows)?;
                let (pooling, dhidden) = (self.pooling, &mut self.dhidden);
                let ranges = &part.embedding_rows;
                pooling.backward(
                    d,
                    &model.config,
                    tokens,
                    ranges,
                    &rows,
                    dhidden,
                    &mut dinputs,
                )?;
            }
            let (acts, scratch) = (&mut self.acts, &mut self.scratch);
            model.backward(
                &view(part),
                acts,
                &self.dhidden,
                &dinputs,
                gradients,
                scratch,
            )?;
            losses.tokens += tokens;
        }
        let supervised: usize = parts.iter().map(|p| p.1.supervised_rows.len()).sum();
        losses.sft_per_token = losses.sft / supervised.max(1) as f64;
        losses.sft /= batch.samples.len().max(1) as f64;
        losses.loss =
            f64::from(weights.sft) * losses.sft + f64::from(weights.info_nce) * losses.info_nce;
        Ok(losses)
    }

    fn forward(&mut self, model: &Model<D>, part: &PackedBatch) -> Result<()> {
        model.forward(&view(part), &mut self.acts)
    }

    /// Embeddings of a part: its branches, then its items.
    fn embed(&mut self, model: &Model<D>, part: &PackedBatch) -> Result<Vec<f32>> {
        self.forward(model, part)?;
        let d = &*model.device;
        let len = part.embedding_rows.len() * model.config.hidden_size;
        let mut out = d.zeros(len)?;
        let ranges = &part.embedding_rows;
        self.pooling
            .forward(d, &model.config, ranges, &self.acts, &mut out)?;
        d.download(&out, len)
    }

    /// Next-token loss over the supervised rows, summed; its gradient times `scale` goes to `dhidden`
    /// and to the head.
    fn supervise(
        &mut self,
        model: &Model<D>,
        part: &PackedBatch,
        scale: f32,
        gradients: &mut Gradients<D>,
    ) -> Result<f64> {
        let rows = part.supervised_rows.len();
        if rows == 0 {
            return Ok(0.0);
        }
        let (d, c) = (&*model.device, &model.config);
        let shape = LinearShape {
            m: rows,
            n: c.vocab_size,
            k: c.hidden_size,
        };
        let plan = PoolPlan::pick(&part.supervised_rows, 1.0);
        let mut hidden = d.zeros(rows * c.hidden_size)?;
        d.pool(&plan, c.hidden_size, &self.acts.hidden, &mut hidden, false)?;
        let (mut nll, mut lse) = (d.zeros(rows)?, d.zeros(rows)?);
        let head = model.head().master()?;
        let targets = &part.supervised_targets;
        d.linear_cross_entropy(shape, &hidden, head, targets, &mut nll, &mut lse)?;
        let total = d.download(&nll, rows)?.iter().map(|&x| f64::from(x)).sum();
        if scale != 0.0 {
            let mut dhidden = d.zeros(rows * c.hidden_size)?;
            let dhead = gradients.head.as_mut().unwrap_or(&mut gradients.embedding);
            let coefficients = vec![scale; rows];
            d.linear_cross_entropy_backward(
                shape,
                &hidden,
                head,
                targets,
                &lse,
                &coefficients,
                &mut dhidden,
                dhead,
            )?;
            d.pool_backward(&plan, c.hidden_size, &dhidden, &mut self.dhidden)?;
        }
        Ok(total)
    }

    fn reserve(&mut self, device: &D, len: usize) -> Result<()> {
        if len > self.capacity {
            self.dhidden = device.zeros(len)?;
            self.capacity = len;
        }
        Ok(())
    }
}

fn view(part: &PackedBatch) -> Batch<'_> {
    Batch {
        ids: &part.ids,
        forest: &part.forest,
        positions: &part.positions,
    }
}

/// InfoNCE over all embeddings of the step: fills `losses` and returns the weighted gradients by
/// queries and items.
fn contrast<D: Device>(
    d: &D,
    batch: &TrainBatch,
    weights: &Weights,
    width: usize,
    queries: &[f32],
    items: &[f32],
    losses: &mut Losses,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let count = queries.len() / width;
    if count == 0 || items.is_empty() {
        return Ok((vec![0.0; queries.len()], vec![0.0; items.len()]));
    }
    let embedded = |s: &super::batch::Sample| {
        let targets: Vec<u32> = s.branches.iter().filter_map(|b| b.target).collect();
        targets
            .into_iter()
            .map(|t| (t, s.positives.clone()))
            .collect::<Vec<_>>()
    };
    let (targets, positives): (Vec<u32>, Vec<Vec<u64>>) =
        batch.samples.iter().flat_map(embedded).unzip();
    let mut nce = InfoNceBatch {
        queries: count,
        items: items.len() / width,
        hidden: width,
        temperature: weights.temperature,
        targets,
        ..InfoNceBatch::default()
    };
    let keys: Vec<u64> = batch.items.iter().map(|i| i.key).collect();
    nce.mask_positives(&keys, &positives);
    let (queries, items) = (d.upload(queries)?, d.upload(items)?);
    let output = d.info_nce(&nce, &queries, &items)?;
    let loss = d.download(&output.loss, count)?;
    let rank = d.download(&output.rank, count)?;
    losses.info_nce = loss.iter().map(|&x| f64::from(x)).sum::<f64>() / count as f64;
    losses.accuracy = rank.iter().filter(|&&r| r == 1).count() as f64 / count as f64;
    let (mut dq, mut di) = (d.zeros(count * width)?, d.zeros(nce.items * width)?);
    let coefficients = vec![weights.info_nce / count as f32; count];
    d.info_nce_backward(
        &nce,
        &queries,
        &items,
        &output,
        &coefficients,
        &mut dq,
        &mut di,
    )?;
    Ok((
        d.download(&dq, count * width)?,
        d.download(&di, nce.items * width)?,
    ))
}
