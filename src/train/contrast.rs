//! InfoNCE over all embeddings of a step (eq. 7, and eq. 15 over rollouts), and the ranks it yields.

use super::batch::{Sample, TrainBatch};
use crate::device::{Device, Result};
use crate::ops::info_nce::InfoNceBatch;

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

/// Loss and ranks of a batch's branches, `queries[branches, width]`, against its items,
/// `items[items, width]`, and the gradients by both of `weight` times the mean loss.
pub fn contrast<D: Device>(
    d: &D,
    batch: &TrainBatch,
    (weight, temperature): (f32, f32),
    width: usize,
    queries: &[f32],
    items: &[f32],
) -> Result<(Contrast, Vec<f32>, Vec<f32>)> {
    let count = queries.len() / width;
    let nothing = Contrast {
        items: items.len() / width,
        ..Contrast::default()
    };
    if count == 0 || items.is_empty() {
        return Ok((nothing, vec![0.0; queries.len()], vec![0.0; items.len()]));
    }
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
        queries: count,
        items: items.len() / width,
        hidden: width,
        temperature,
        targets,
        ..InfoNceBatch::default()
    };
    let keys: Vec<u64> = batch.items.iter().map(|i| i.key).collect();
    nce.mask_positives(&keys, &positives);
    let (queries, items) = (d.upload(queries)?, d.upload(items)?);
    let output = d.info_nce(&nce, &queries, &items)?;
    let loss = d.download(&output.loss, count)?;
    let found = Contrast {
        info_nce: loss.iter().map(|&x| f64::from(x)).sum::<f64>() / count as f64,
        ranks: d.download(&output.rank, count)?,
        items: nce.items,
    };
    let (mut dq, mut di) = (d.zeros(count * width)?, d.zeros(nce.items * width)?);
    let coefficients = vec![weight / count as f32; count];
    d.info_nce_backward(
        &nce,
        &queries,
        &items,
        &output,
        &coefficients,
        &mut dq,
        &mut di,
    )?;
    let dqueries = d.download(&dq, count * width)?;
    Ok((found, dqueries, d.download(&di, nce.items * width)?))
}
