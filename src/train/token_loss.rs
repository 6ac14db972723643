//! The losses over predicted tokens that an [`Objective`](super::objective::Objective) can carry.

use super::contrast::Contrast;
use crate::device::{Memory, Result};

/// A loss over the log-probabilities of a step's predicted tokens.
///
/// The tokens come in the order of the batch, branch by branch, in one call for each part that the
/// batch is computed in; a branch is never cut.
pub trait TokenLoss<D: Memory> {
    /// Told how the embeddings compare, before any token's loss is asked for.
    ///
    /// # Errors
    /// Where a device call fails.
    fn compared(&mut self, device: &D, contrast: &Contrast) -> Result<()>;

    /// `d loss / d nll` of the next `len` tokens, `nll` being their negative log-probabilities.
    ///
    /// # Errors
    /// Where a device call fails.
    fn coefficients(&mut self, device: &D, nll: &D::Buffer<f32>, len: usize) -> Result<Vec<f32>>;

    /// The loss over all tokens so far.
    fn value(&self) -> f64;
}

/// Next-token loss, summed over a sample's tokens and averaged over samples (eq. 4), times λ1.
pub struct NextToken {
    scale: f32,
    total: f64,
}

impl NextToken {
    /// The loss with weight `weight` over a batch of `samples`.
    pub fn new(weight: f32, samples: usize) -> NextToken {
        NextToken {
            scale: weight / samples.max(1) as f32,
            total: 0.0,
        }
    }
}

impl<D: Memory> TokenLoss<D> for NextToken {
    fn compared(&mut self, _: &D, _: &Contrast) -> Result<()> {
        Ok(())
    }

    fn coefficients(&mut self, device: &D, nll: &D::Buffer<f32>, len: usize) -> Result<Vec<f32>> {
        let nll = device.download(nll, len)?;
        let sum: f64 = nll.iter().map(|&x| f64::from(x)).sum();
        self.total += f64::from(self.scale) * sum;
        Ok(vec![self.scale; len])
    }

    fn value(&self) -> f64 {
        self.total
    }
}
