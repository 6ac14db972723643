//! A loss over tokens plus InfoNCE over embeddings (eq. 8, 16) and their gradient, in one forward and
//! one backward over the batch's forest, with the whole batch as negatives however small the parts it is
//! computed in (GradCache, arXiv 2101.06983).

use super::batch::{PackedBatch, TrainBatch};
use super::contrast::{Comparison, Contrast};
use super::token_loss::{NextToken, TokenLoss};
use crate::device::{Activation, Device, Result};
use crate::embed::Pooling;
use crate::model::{Activations, BackwardScratch, Batch, Gradients, Model};
use crate::ops::linear::LinearShape;
use crate::ops::pool::PoolPlan;
use crate::text::Prompts;

/// Weights of the cold start's objective (eq. 8).
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
#[derive(Clone, Debug, Default)]
pub struct Losses {
    /// The weighted sum.
    pub loss: f64,
    /// Negative log-probability of the predicted tokens, summed, in nats, and their number.
    pub nll: f64,
    pub predicted: usize,
    pub contrast: Contrast,
    /// Tokens computed.
    pub tokens: usize,
}

/// The buffers of training steps.
pub struct Objective<D: Device> {
    pooling: Pooling,
    acts: Activations<D>,
    scratch: BackwardScratch<D>,
    dhidden: Activation<D>,
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

    /// Adds the gradient of the cold start's objective over `batch` to `gradients`, computed in parts
    /// of `micro_batch` samples, and returns its values.
    pub fn step(
        &mut self,
        model: &Model<D>,
        prompts: &Prompts,
        batch: &TrainBatch,
        micro_batch: usize,
        weights: &Weights,
        gradients: &mut Gradients<D>,
    ) -> Result<Losses> {
        let mut sft = NextToken::new(weights.sft, batch.samples.len());
        let info_nce = (weights.info_nce, weights.temperature);
        self.step_with(
            model,
            prompts,
            batch,
            micro_batch,
            info_nce,
            &mut sft,
            gradients,
        )
    }

    /// The same with any loss over the predicted tokens; `info_nce` is weight and temperature.
    #[allow(clippy::too_many_arguments)]
    pub fn step_with(
        &mut self,
        model: &Model<D>,
        prompts: &Prompts,
        batch: &TrainBatch,
        micro_batch: usize,
        info_nce: (f32, f32),
        token_loss: &mut impl TokenLoss<D>,
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
        let (weight, temperature) = info_nce;
        let compared = Comparison::new(d, batch, temperature, width, &queries, &items)?;
        let (dqueries, ditems) = compared.gradients(d, weight)?;
        let found = compared.found;
        token_loss.compared(d, &found)?;
        let mut losses = Losses {
            contrast: found,
            ..Losses::default()
        };
        let (mut q_at, mut i_at) = (0, 0);
        for (branches, part) in &parts {
            if parts.len() > 1 {
                self.forward(model, part)?;
            }
            let tokens = part.ids.len();
            self.reserve(d, tokens * width)?;
            d.clear(&mut self.dhidden, tokens * width)?;
            losses.nll += self.predict(model, part, token_loss, gradients)?;
            losses.predicted += part.predicted.len();
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
                dinputs = self.pooling.backward(
                    model,
                    tokens,
                    &part.embedding_rows,
                    &mut self.acts,
                    &rows,
                    &mut self.dhidden,
                    gradients,
                    &mut self.scratch,
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
        losses.loss = token_loss.value() + f64::from(weight) * losses.contrast.info_nce;
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
            .forward(model, ranges, &mut self.acts, &mut out)?;
        d.download(&out, len)
    }

    /// Negative log-probability of the part's predicted tokens, summed; the token loss's gradient goes
    /// to `dhidden` and to the head.
    fn predict(
        &mut self,
        model: &Model<D>,
        part: &PackedBatch,
        token_loss: &mut impl TokenLoss<D>,
        gradients: &mut Gradients<D>,
    ) -> Result<f64> {
        if part.predicted.is_empty() {
            return Ok(0.0);
        }
        let (d, rows) = (&*model.device, part.predicted.len());
        let p = self.predictions(model, part)?;
        let coefficients = token_loss.coefficients(d, &p.nll, rows)?;
        if coefficients.iter().any(|&c| c != 0.0) {
            let width = model.config.hidden_size;
            let mut dhidden = d.zeros(rows * width)?;
            let dhead = gradients.head.as_mut().unwrap_or(&mut gradients.embedding);
            let (dhead, accumulate) = dhead.target();
            d.linear_cross_entropy_backward(
                p.shape,
                &p.hidden,
                model.head().weight(),
                &part.predicted,
                &p.lse,
                &coefficients,
                &mut dhidden,
                dhead,
                accumulate,
            )?;
            d.pool_backward(&p.plan, width, &dhidden, &mut self.dhidden)?;
        }
        let nll = d.download(&p.nll, rows)?;
        Ok(nll.iter().map(|&x| f64::from(x)).sum())
    }

    /// The part's predicting rows and their tokens' negative log-probabilities, after its forward.
    fn predictions(&self, model: &Model<D>, part: &PackedBatch) -> Result<Predictions<D>> {
        let (d, c) = (&*model.device, &model.config);
        let rows = part.predicted.len();
        let shape = LinearShape {
            m: rows,
            n: c.vocab_size,
            k: c.hidden_size,
        };
        let plan = PoolPlan::pick(&part.predicting_rows, 1.0);
        let mut hidden = d.zeros(rows * c.hidden_size)?;
        d.pool(&plan, c.hidden_size, &self.acts.hidden, &mut hidden, false)?;
        let (mut nll, mut lse) = (d.zeros(rows)?, d.zeros(rows)?);
        let (head, targets) = (model.head().weight(), &part.predicted);
        d.linear_cross_entropy(shape, &hidden, head, targets, &mut nll, &mut lse)?;
        Ok(Predictions {
            shape,
            plan,
            hidden,
            nll,
            lse,
        })
    }

    /// Log-probabilities of a batch's predicted tokens under `model`, branch by branch.
    pub fn log_probabilities(
        &mut self,
        model: &Model<D>,
        prompts: &Prompts,
        batch: &TrainBatch,
        micro_batch: usize,
    ) -> Result<Vec<f32>> {
        let samples = TrainBatch {
            samples: batch.samples.clone(),
            items: Vec::new(),
        };
        let mut found = Vec::new();
        for part in samples.split(micro_batch) {
            let part = part.pack(prompts);
            self.forward(model, &part)?;
            let nll = self.predictions(model, &part)?.nll;
            let nll = model.device.download(&nll, part.predicted.len())?;
            found.extend(nll.iter().map(|x| -x));
        }
        Ok(found)
    }

    fn reserve(&mut self, device: &D, len: usize) -> Result<()> {
        if len > self.capacity {
            self.dhidden = device.zeros(len)?;
            self.capacity = len;
        }
        Ok(())
    }
}

/// Rows that predict tokens, as `linear_cross_entropy` takes and leaves them.
struct Predictions<D: Device> {
    shape: LinearShape,
    plan: PoolPlan,
    hidden: Activation<D>,
    nll: D::Buffer<f32>,
    lse: D::Buffer<f32>,
}

fn view(part: &PackedBatch) -> Batch<'_> {
    Batch {
        ids: &part.ids,
        forest: &part.forest,
        positions: &part.positions,
        wanted: None,
    }
}
