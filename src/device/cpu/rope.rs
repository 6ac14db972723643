//! RoPE and the q/k norm on the CPU: head by head, rows spread over the threads.

use super::Cpu;
use super::parallel::{self, Rows};
use super::rms_norm::{backward_row, inverse_rms};
use crate::device::{Result, at_least};
use crate::ops::attention::Heads;
use crate::ops::rope::*;
use crate::per_isa;

/// Rows whose weight gradients are summed before they join the others: fixed, so that results do not
/// depend on the threads.
const ROWS: usize = 32;

impl Rope for Cpu {
    fn rope(
        &self,
        heads: &Heads,
        table: &RopeTable<Self>,
        positions: &[u32],
        qkv: &mut Vec<f32>,
    ) -> Result<()> {
        self.rotate_rows("rope", heads, table, positions, 1.0, qkv)
    }

    fn rope_backward(
        &self,
        heads: &Heads,
        table: &RopeTable<Self>,
        positions: &[u32],
        dqkv: &mut Vec<f32>,
    ) -> Result<()> {
        self.rotate_rows("rope_backward", heads, table, positions, -1.0, dqkv)
    }

    fn qk_norm(
        &self,
        heads: &Heads,
        eps: f32,
        tokens: usize,
        qkv: &Vec<f32>,
        q_weight: &Vec<f32>,
        k_weight: &Vec<f32>,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let len = check_qk_norm(
            "qk_norm",
            heads,
            tokens,
            qkv.len(),
            [q_weight.len(), k_weight.len()],
        )?;
        at_least("qk_norm", "out", out.len(), len)?;
        let per = parallel::rows_per_task(heads.qkv_dim()) * heads.qkv_dim();
        let out = Rows::new(&mut out[..len], per);
        parallel::run(out.count(), |i| {
            let out = out.take(i);
            let qkv = &qkv[i * per..][..out.len()];
            norm(self.isa, heads, eps, qkv, q_weight, k_weight, out);
        });
        Ok(())
    }

    fn qk_norm_backward(
        &self,
        heads: &Heads,
        eps: f32,
        tokens: usize,
        qkv: &Vec<f32>,
        q_weight: &Vec<f32>,
        k_weight: &Vec<f32>,
        dqkv: &mut Vec<f32>,
        dq_weight: &mut Vec<f32>,
        dk_weight: &mut Vec<f32>,
    ) -> Result<()> {
        let op = "qk_norm_backward";
        let weights = [q_weight.len(), k_weight.len()];
        let (len, d) = (
            check_qk_norm(op, heads, tokens, qkv.len(), weights)?,
            heads.head_dim,
        );
        at_least(op, "dqkv", dqkv.len(), len)?;
        at_least(op, "dq_weight", dq_weight.len(), d)?;
        at_least(op, "dk_weight", dk_weight.len(), d)?;
        let per = ROWS * heads.qkv_dim();
        let dqkv = Rows::new(&mut dqkv[..len], per);
        let mut sums = vec![0.0; dqkv.count() * 2 * d];
        let parts = Rows::new(&mut sums, 2 * d);
        parallel::run(parts.count(), |i| {
            let dqkv = dqkv.take(i);
            let qkv = &qkv[i * per..][..dqkv.len()];
            let (dq, dk) = parts.take(i).split_at_mut(d);
            norm_backward(self.isa, heads, eps, qkv, q_weight, k_weight, dqkv, dq, dk);
        });
        for part in sums.chunks_exact(2 * d) {
            let (dq, dk) = part.split_at(d);
            dq_weight.iter_mut().zip(dq).for_each(|(t, p)| *t += p);
            dk_weight.iter_mut().zip(dk).for_each(|(t, p)| *t += p);
        }
        Ok(())
    }
}

impl Cpu {
    fn rotate_rows(
        &self,
        op: &'static str,
        heads: &Heads,
        table: &RopeTable<Cpu>,
        positions: &[u32],
        sign: f32,
        qkv: &mut [f32],
    ) -> Result<()> {
        let len = table.check(op, heads, positions, qkv.len())?;
        if len == 0 {
            return Ok(());
        }
        let per = parallel::rows_per_task(heads.qkv_dim());
        let rows = Rows::new(&mut qkv[..len], per * heads.qkv_dim());
        parallel::run(rows.count(), |i| {
            let positions = &positions[i * per..];
            rotate(
                self.isa,
                heads,
                &table.cos,
                &table.sin,
                positions,
                sign,
                rows.take(i),
            );
        });
        Ok(())
    }
}

per_isa! {
    fn rotate(
        heads: &Heads,
        cos: &[f32],
        sin: &[f32],
        positions: &[u32],
        sign: f32,
        rows: &mut [f32],
    ) {
        let half = heads.head_dim / 2;
        let rotated = heads.q_dim() + heads.kv_dim();
        for (row, &p) in rows.chunks_exact_mut(heads.qkv_dim()).zip(positions) {
            let cos = &cos[p as usize * half..][..half];
            let sin = &sin[p as usize * half..][..half];
            for head in row[..rotated].chunks_exact_mut(heads.head_dim) {
                let (first, second) = head.split_at_mut(half);
                let angles = cos.iter().zip(sin);
                for ((a, b), (c, s)) in first.iter_mut().zip(second).zip(angles) {
                    let s = sign * s;
                    (*a, *b) = (*a * c - *b * s, *b * c + *a * s);
                }
            }
        }
    }
}

per_isa! {
    fn norm(heads: &Heads, eps: f32, qkv: &[f32], q: &[f32], k: &[f32], out: &mut [f32]) {
        let (d, width) = (heads.head_dim, heads.qkv_dim());
        let normed = heads.q_dim() + heads.kv_dim();
        for (row, out) in qkv.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let both = row[..normed].chunks_exact(d).zip(out.chunks_exact_mut(d));
            for (head, (x, out)) in both.enumerate() {
                let w = if head < heads.num_heads { q } else { k };
                let inverse = inverse_rms(x, eps);
                for ((out, x), w) in out.iter_mut().zip(x).zip(w) {
                    *out = x * inverse * w;
                }
            }
            out[normed..].copy_from_slice(&row[normed..]);
        }
    }
}

per_isa! {
    fn norm_backward(
        heads: &Heads,
        eps: f32,
        qkv: &[f32],
        q: &[f32],
        k: &[f32],
        dqkv: &mut [f32],
        dq: &mut [f32],
        dk: &mut [f32],
    ) {
        let (d, width) = (heads.head_dim, heads.qkv_dim());
        let normed = heads.q_dim() + heads.kv_dim();
        let mut dy = vec![0.0; d];
        for (row, drow) in qkv.chunks_exact(width).zip(dqkv.chunks_exact_mut(width)) {
            let both = row[..normed].chunks_exact(d).zip(drow.chunks_exact_mut(d));
            for (head, (x, dx)) in both.enumerate() {
                let query = head < heads.num_heads;
                let (w, dw) = if query { (q, &mut *dq) } else { (k, &mut *dk) };
                dy.copy_from_slice(dx);
                backward_row(eps, x, w, &dy, dw, |j, value| dx[j] = value);
            }
        }
    }
}
