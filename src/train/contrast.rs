//! InfoNCE over all embeddings of a step (eq. 7, and eq. 15 over rollouts), and the ranks it yields.

use super::batch::{Sample, TrainBatch};
use crate::device::{Device, Result};
use crate::ops::info_nce::{InfoNceBatch, InfoNceOutput};

/// How the queries of a step compare with its items.
#[derive(Clone, Debug, Default)]
pub struct Contrast {
    /// Mean loss of the queries' embeddings.
    pub info_nce: f64,
    /// Rank of every embedding's target among the items that are not masked for it, from 1 (eq. 12).
    pub ranks: Vec<u32>,
    /// Items that the ranks are among, N.
    pub items: usize,
}

impl Contrast {
    /// Share of embeddings whose target ranks first.
    pub fn accuracy(&self) -> f64 {
        let first = self.ranks.iter().filter(|&&r| r == 1).count();
        first as f64 / self.ranks.len().max(1) as f64
    }
}

/// A batch's branches compared with its items.
pub struct Comparison<D: Device> {
    pub found: Contrast,
    nce: InfoNceBatch,
    queries: D::Buffer<f32>,
    items: D::Buffer<f32>,
    output: Option<InfoNceOutput<D>>,
}

impl<D: Device> Comparison<D> {
    /// Compares the embeddings of a batch's branches, `queries[branches, width]`, with those of its
    /// items, `items[items, width]`.
    pub fn new(
        d: &D,
        batch: &TrainBatch,
        temperature: f32,
        width: usize,
        queries: &[f32],
        items: &[f32],
    ) -> Result<Self> {
        let embedded = |s: &Sample| {
            let targets: Vec<u32> = s.branches.iter().filter_map(|b| b.target).collect();
            targets
                .into_iter()
                .map(|t| (t, s.positives.clone()))
                .collect::<Vec<_>>()
        };
        let (targets, positives): (Vec<u32>, Vec<Vec<u64>>) =
            batch.samples.iter().flat_map(embedded).unzip();
        let mut nce = InfoNceBatch {
            queries: queries.len() / width,
            items: items.len() / width,
            hidden: width,
            temperature,
            targets,
            ..InfoNceBatch::default()
        };
        let keys: Vec<u64> = batch.items.iter().map(|i| i.key).collect();
        nce.mask_positives(&keys, &positives);
        let (queries, items) = (d.upload(queries)?, d.upload(items)?);
        let mut found = Contrast {
            items: nce.items,
            ..Contrast::default()
        };
        let mut output = None;
        if nce.queries > 0 && nce.items > 0 {
            let compared = d.info_nce(&nce, &queries, &items)?;
            let loss = d.download(&compared.loss, nce.queries)?;
            let sum: f64 = loss.iter().map(|&x| f64::from(x)).sum();
            found.info_nce = sum / nce.queries as f64;
            found.ranks = d.download(&compared.rank, nce.queries)?;
            output = Some(compared);
        }
        Ok(Comparison {
            found,
            nce,
            queries,
            items,
            output,
        })
    }

    /// Gradients of `weight` times the mean loss by queries and by items.
    pub fn gradients(&self, d: &D, weight: f32) -> Result<(Vec<f32>, Vec<f32>)> {
        let nce = &self.nce;
        let (queries, items) = (nce.queries * nce.hidden, nce.items * nce.hidden);
        let (mut dqueries, mut ditems) = (d.zeros(queries)?, d.zeros(items)?);
        if let Some(output) = &self.output {
            let coefficients = vec![weight / nce.queries as f32; nce.queries];
            d.info_nce_backward(
                nce,
                &self.queries,
                &self.items,
                output,
                &coefficients,
                &mut dqueries,
                &mut ditems,
            )?;
        }
        Ok((d.download(&dqueries, queries)?, d.download(&ditems, items)?))
    }
}
