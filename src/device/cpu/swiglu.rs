//! SwiGLU on the CPU: element by element, rows spread over the threads.

use super::math::exp;
use super::parallel::{self, Rows};
use super::{Cpu, Isa};
use crate::device::Result;
use crate::ops::swiglu::*;
use crate::per_isa;

impl SwiGlu for Cpu {
    fn swiglu(
        &self,
        rows: usize,
        intermediate: usize,
        gate_up: &Vec<f32>,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let len = rows * intermediate;
        check(len, gate_up.len(), out.len())?;
        activate(self.isa, intermediate, gate_up, &mut out[..len]);
        Ok(())
    }

    fn swiglu_backward(
        &self,
        rows: usize,
        intermediate: usize,
        gate_up: &Vec<f32>,
        dout: &Vec<f32>,
        dgate_up: &mut Vec<f32>,
    ) -> Result<()> {
        let len = rows * intermediate;
        check_backward(len, gate_up.len(), dout.len(), dgate_up.len())?;
        if len == 0 {
            return Ok(());
        }
        let per = parallel::rows_per_task(intermediate) * intermediate;
        let dgate_up = Rows::new(&mut dgate_up[..2 * len], 2 * per);
        parallel::run(dgate_up.count(), |i| {
            let dgate_up = dgate_up.take(i);
            let gate_up = &gate_up[2 * i * per..][..dgate_up.len()];
            let dout = &dout[i * per..][..dgate_up.len() / 2];
            backward(self.isa, intermediate, gate_up, dout, dgate_up);
        });
        Ok(())
    }
}

/// `out`, whole rows of `intermediate`, from the gates and ups at the start of `gate_up`, on all threads.
pub(super) fn activate(isa: Isa, intermediate: usize, gate_up: &[f32], out: &mut [f32]) {
    if out.is_empty() {
        return;
    }
    let per = parallel::rows_per_task(intermediate) * intermediate;
    let out = Rows::new(out, per);
    parallel::run(out.count(), |i| {
        let out = out.take(i);
        let gate_up = &gate_up[2 * i * per..][..2 * out.len()];
        forward(isa, intermediate, gate_up, out);
    });
}

per_isa! {
    fn forward(intermediate: usize, gate_up: &[f32], out: &mut [f32]) {
        let rows = gate_up.chunks_exact(2 * intermediate);
        for (row, out) in rows.zip(out.chunks_exact_mut(intermediate)) {
            let (gate, up) = row.split_at(intermediate);
            for ((out, &g), u) in out.iter_mut().zip(gate).zip(up) {
                *out = g / (1.0 + exp(-g)) * u;
            }
        }
    }
}

per_isa! {
    fn backward(intermediate: usize, gate_up: &[f32], dout: &[f32], dgate_up: &mut [f32]) {
        let rows = gate_up.chunks_exact(2 * intermediate);
        let rows = rows.zip(dout.chunks_exact(intermediate));
        for ((row, dout), out) in rows.zip(dgate_up.chunks_exact_mut(2 * intermediate)) {
            let (gate, up) = row.split_at(intermediate);
            let (dgate, dup) = out.split_at_mut(intermediate);
            let inputs = gate.iter().zip(up).zip(dout);
            let outputs = dgate.iter_mut().zip(dup);
            for (((&g, &u), &d), (dgate, dup)) in inputs.zip(outputs) {
                let s = 1.0 / (1.0 + exp(-g));
                *dgate = d * u * s * (1.0 + g * (1.0 - s));
                *dup = d * g * s;
            }
        }
    }
}
