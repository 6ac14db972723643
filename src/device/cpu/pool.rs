//! Pooling on the CPU.

use super::Cpu;
use super::parallel::{self, Rows};
use crate::device::{DeviceError, Result, at_least};
use crate::ops::pool::*;
use crate::per_isa;

impl Pool for Cpu {
    fn pool(
        &self,
        plan: &PoolPlan,
        hidden: usize,
        x: &Vec<f32>,
        out: &mut Vec<f32>,
        accumulate: bool,
    ) -> Result<()> {
        check("pool", plan, hidden, "x", x.len())?;
        let len = plan.len() * hidden;
        at_least("pool", "out", out.len(), len)?;
        if len == 0 {
            return Ok(());
        }
        let rows = Rows::new(&mut out[..len], hidden);
        parallel::run(rows.count(), |i| {
            let out = rows.take(i);
            if !accumulate {
                out.fill(0.0);
            }
            for j in terms(plan, i) {
                let row = &x[plan.rows[j] as usize * hidden..][..hidden];
                add_scaled(self.isa, plan.weights[j], row, out);
            }
        });
        Ok(())
    }

    fn pool_backward(
        &self,
        plan: &PoolPlan,
        hidden: usize,
        dout: &Vec<f32>,
        dx: &mut Vec<f32>,
    ) -> Result<()> {
        check("pool_backward", plan, hidden, "dx", dx.len())?;
        at_least("pool_backward", "dout", dout.len(), plan.len() * hidden)?;
        // One thread: two outputs may pool the same row.
        for i in 0..plan.len() {
            let dout = &dout[i * hidden..][..hidden];
            for j in terms(plan, i) {
                let row = &mut dx[plan.rows[j] as usize * hidden..][..hidden];
                add_scaled(self.isa, plan.weights[j], dout, row);
            }
        }
        Ok(())
    }
}

fn terms(plan: &PoolPlan, output: usize) -> std::ops::Range<usize> {
    plan.offsets[output] as usize..plan.offsets[output + 1] as usize
}

fn check(
    op: &'static str,
    plan: &PoolPlan,
    hidden: usize,
    what: &'static str,
    len: usize,
) -> Result<()> {
    let error = |message: String| Err(DeviceError::Argument { op, message });
    if plan.rows.len() != plan.weights.len() {
        let (rows, weights) = (plan.rows.len(), plan.weights.len());
        return error(format!("{rows} rows have {weights} weights"));
    }
    let end = plan.offsets.last().map_or(0, |&end| end as usize);
    if !plan.offsets.is_sorted() || end > plan.rows.len() {
        return error("the offsets do not ascend within the rows".into());
    }
    match plan.rows.iter().max() {
        Some(&row) => at_least(op, what, len, (row as usize + 1) * hidden),
        None => Ok(()),
    }
}

per_isa! {
    fn add_scaled(factor: f32, x: &[f32], out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out += factor * x;
        }
    }
}
