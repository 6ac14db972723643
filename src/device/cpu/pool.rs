//! Pooling on the CPU.

use super::Cpu;
use super::parallel::{self, Rows};
use crate::device::{Real, Result, at_least};
use crate::ops::pool::*;
use crate::per_isa;

impl Pool for Cpu {
    fn pool<T: Real>(
        &self,
        plan: &PoolPlan,
        hidden: usize,
        x: &Vec<f32>,
        out: &mut Vec<T>,
        accumulate: bool,
    ) -> Result<()> {
        plan.check("pool", hidden, "x", x.len())?;
        let len = plan.len() * hidden;
        at_least("pool", "out", out.len(), len)?;
        if len == 0 {
            return Ok(());
        }
        let rows = Rows::new(&mut out[..len], hidden);
        parallel::run(rows.count(), |i| {
            let out = rows.take(i);
            let mut sum = vec![0.0; hidden];
            if accumulate {
                sum = widened(out);
            }
            for j in terms(plan, i) {
                let row = &x[plan.rows[j] as usize * hidden..][..hidden];
                add_scaled(self.isa, plan.weights[j], row, &mut sum);
            }
            out.iter_mut()
                .zip(sum)
                .for_each(|(o, s)| *o = T::from_f32(s));
        });
        Ok(())
    }

    fn pool_backward<T: Real>(
        &self,
        plan: &PoolPlan,
        hidden: usize,
        dout: &Vec<T>,
        dx: &mut Vec<f32>,
    ) -> Result<()> {
        plan.check("pool_backward", hidden, "dx", dx.len())?;
        at_least("pool_backward", "dout", dout.len(), plan.len() * hidden)?;
        // One thread: two outputs may pool the same row.
        for i in 0..plan.len() {
            let dout = widened(&dout[i * hidden..][..hidden]);
            for j in terms(plan, i) {
                let row = &mut dx[plan.rows[j] as usize * hidden..][..hidden];
                add_scaled(self.isa, plan.weights[j], &dout, row);
            }
        }
        Ok(())
    }
}

fn widened<T: Real>(x: &[T]) -> Vec<f32> {
    x.iter().map(|v| v.to_f32()).collect()
}

fn terms(plan: &PoolPlan, output: usize) -> std::ops::Range<usize> {
    plan.offsets[output] as usize..plan.offsets[output + 1] as usize
}

per_isa! {
    fn add_scaled(factor: f32, x: &[f32], out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out += factor * x;
        }
    }
}
