//! Attention on the CPU.

use super::Cpu;
use crate::device::Result;
use crate::ops::attention::*;
use crate::ops::forest::{Forest, Segment};
fn visible(s: &Segment, i: usize) -> Vec<usize> {
    let mut v: Vec<usize> = s.ancestors.iter().flat_map(|a| a.range()).collect();
    let n = s.own.len - s.rows.len() + i + 1;
    v.extend(s.own.start..s.own.start + n);
    v
}
impl Attention for Cpu {
    fn attention(
        &self,
        h: &Heads,
        f: &Forest,
        qkv: &Vec<f32>,
        kv: KeysValues<'_, Self>,
        out: &mut Vec<f32>,
        mut lse: Option<&mut Vec<f32>>,
    ) -> Result<()> {
        let (w, q, kd, d) = (h.qkv_dim(), h.q_dim(), h.kv_dim(), h.head_dim);
        let g = h.num_heads / h.num_kv_heads;
        let sc = 1.0 / (d as f32).sqrt();
        for s in &f.segments {
            for i in 0..s.rows.len() {
                let t = s.rows.start + i;
                let vis = visible(s, i);
                for hd in 0..h.num_heads {
                    let qr = &qkv[t * w + hd * d..][..d];
                    let kh = hd / g;
                    let key = |j: usize| -> &[f32] {
                        match &kv {
                            KeysValues::Packed => &qkv[j * w + q + kh * d..][..d],
                            KeysValues::Cache { keys, .. } => &keys[j * kd + kh * d..][..d],
                        }
                    };
                    let val = |j: usize| -> &[f32] {
                        match &kv {
                            KeysValues::Packed => &qkv[j * w + q + kd + kh * d..][..d],
                            KeysValues::Cache { values, .. } => &values[j * kd + kh * d..][..d],
                        }
                    };
                    let sco: Vec<f32> = vis
                        .iter()
                        .map(|&j| key(j).iter().zip(qr).map(|(a, b)| a * b).sum::<f32>() * sc)
                        .collect();
                    let m = sco.iter().cloned().fold(f32::MIN, f32::max);
                    let z: f32 = sco.iter().map(|x| (x - m).exp()).sum();
                    let o = &mut out[t * q + hd * d..][..d];
                    o.fill(0.0);
                    for (n, &j) in vis.iter().enumerate() {
                        let p = (sco[n] - m).exp() / z;
                        for (a, b) in o.iter_mut().zip(val(j)) {
                            *a += p * b;
                        }
                    }
                    if let Some(l) = lse.as_deref_mut() {
                        l[t * h.num_heads + hd] = m + z.ln();
                    }
                }
            }
        }
        Ok(())
    }
    fn attention_backward(
        &self,
        h: &Heads,
        f: &Forest,
        qkv: &Vec<f32>,
        out: &Vec<f32>,
        lse: &Vec<f32>,
        dout: &Vec<f32>,
        dqkv: &mut Vec<f32>,
    ) -> Result<()> {
        let (w, q, kd, d) = (h.qkv_dim(), h.q_dim(), h.kv_dim(), h.head_dim);
        let g = h.num_heads / h.num_kv_heads;
        let sc = 1.0 / (d as f32).sqrt();
        dqkv[..f.tokens() * w].fill(0.0);
        for s in &f.segments {
            for i in 0..s.rows.len() {
                let t = s.rows.start + i;
                let vis = visible(s, i);
                for hd in 0..h.num_heads {
                    let kh = hd / g;
                    let dor = &dout[t * q + hd * d..][..d];
                    let dd: f32 = dor
                        .iter()
                        .zip(&out[t * q + hd * d..][..d])
                        .map(|(a, b)| a * b)
                        .sum();
                    for &j in &vis {
                        let (ko, vo) = (j * w + q + kh * d, j * w + q + kd + kh * d);
                        let sco: f32 = (0..d)
                            .map(|c| qkv[t * w + hd * d + c] * qkv[ko + c])
                            .sum::<f32>()
                            * sc;
                        let p = (sco - lse[t * h.num_heads + hd]).exp();
                        let dp: f32 = (0..d).map(|c| dor[c] * qkv[vo + c]).sum();
                        let ds = p * (dp - dd) * sc;
                        for c in 0..d {
                            dqkv[vo + c] += p * dor[c];
                            dqkv[t * w + hd * d + c] += ds * qkv[ko + c];
                            dqkv[ko + c] += ds * qkv[t * w + hd * d + c];
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
