//! AdamW on the CPU: one pass over parameter, gradient and moments, bound by memory.

use super::{Cpu, parallel, reduce};
use crate::device::{Result, at_least};
use crate::ops::adamw::*;
use crate::per_isa;

/// Elements of a task, and of a partial sum: fixed, so that results do not depend on the threads.
const CHUNK: usize = 1 << 16;

impl AdamW for Cpu {
    fn adamw(
        &self,
        step: &AdamWStep,
        len: usize,
        parameter: &mut Vec<f32>,
        gradient: &Vec<f32>,
        first_moment: &mut Vec<f32>,
        second_moment: &mut Vec<f32>,
    ) -> Result<()> {
        at_least("adamw", "parameter", parameter.len(), len)?;
        at_least("adamw", "gradient", gradient.len(), len)?;
        at_least("adamw", "first moment", first_moment.len(), len)?;
        at_least("adamw", "second moment", second_moment.len(), len)?;
        let correction = |beta: f32| 1.0 - f64::from(beta).powf(f64::from(step.step));
        // p ← p·(1 − lr·wd) − rate · m / (√v · root + ε): the bias corrections folded in.
        let factors = Factors {
            gradient: step.gradient_scale,
            beta1: step.beta1,
            beta2: step.beta2,
            decay: (1.0 - f64::from(step.learning_rate) * f64::from(step.weight_decay)) as f32,
            rate: (f64::from(step.learning_rate) / correction(step.beta1)) as f32,
            root: correction(step.beta2).sqrt().recip() as f32,
            eps: step.eps,
        };
        let p = parallel::Rows::new(&mut parameter[..len], CHUNK);
        let m = parallel::Rows::new(&mut first_moment[..len], CHUNK);
        let v = parallel::Rows::new(&mut second_moment[..len], CHUNK);
        parallel::run(p.count(), |i| {
            let g = &gradient[i * CHUNK..len.min((i + 1) * CHUNK)];
            update(self.isa, factors, p.take(i), g, m.take(i), v.take(i));
        });
        Ok(())
    }

    fn sum_of_squares(&self, len: usize, x: &Vec<f32>) -> Result<f64> {
        at_least("sum_of_squares", "x", x.len(), len)?;
        let mut sums = vec![0.0; len.div_ceil(CHUNK)];
        let parts = parallel::Rows::new(&mut sums, 1);
        parallel::run(parts.count(), |i| {
            let chunk = &x[i * CHUNK..len.min((i + 1) * CHUNK)];
            parts.take(i)[0] = reduce::sum_of_squares(self.isa, chunk);
        });
        Ok(sums.iter().sum())
    }
}

#[derive(Clone, Copy)]
struct Factors {
    gradient: f32,
    beta1: f32,
    beta2: f32,
    decay: f32,
    rate: f32,
    root: f32,
    eps: f32,
}

per_isa! {
    fn update(f: Factors, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
        let (n1, n2) = (1.0 - f.beta1, 1.0 - f.beta2);
        let moments = m.iter_mut().zip(v.iter_mut());
        for ((p, &g), (m, v)) in p.iter_mut().zip(g).zip(moments) {
            let g = f.gradient * g;
            *m = f.beta1 * *m + n1 * g;
            *v = f.beta2 * *v + n2 * (g * g);
            *p = *p * f.decay - f.rate * *m / (v.sqrt() * f.root + f.eps);
        }
    }
}
