//! RoPE on the CPU.

use super::Cpu;
use crate::device::Result;
use crate::ops::attention::Heads;
use crate::ops::rope::*;
fn rot(h: &Heads, t: &RopeTable<Cpu>, pos: &[u32], x: &mut [f32], sign: f32) {
    let half = h.head_dim / 2;
    for (i, &p) in pos.iter().enumerate() {
        for hd in 0..h.num_heads + h.num_kv_heads {
            let r = &mut x[i * h.qkv_dim() + hd * h.head_dim..][..h.head_dim];
            for j in 0..half {
                let c = t.cos[p as usize * half + j];
                let s = sign * t.sin[p as usize * half + j];
                let (a, b) = (r[j], r[j + half]);
                r[j] = a * c - b * s;
                r[j + half] = b * c + a * s;
            }
        }
    }
}
impl Rope for Cpu {
    fn rope(&self, h: &Heads, t: &RopeTable<Self>, pos: &[u32], qkv: &mut Vec<f32>) -> Result<()> {
        rot(h, t, pos, qkv, 1.0);
        Ok(())
    }
    fn rope_backward(
        &self,
        h: &Heads,
        t: &RopeTable<Self>,
        pos: &[u32],
        d: &mut Vec<f32>,
    ) -> Result<()> {
        rot(h, t, pos, d, -1.0);
        Ok(())
    }
    fn qk_norm(
        &self,
        _h: &Heads,
        _eps: f32,
        _t: usize,
        _qkv: &Vec<f32>,
        _q: &Vec<f32>,
        _k: &Vec<f32>,
        _out: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
    fn qk_norm_backward(
        &self,
        _h: &Heads,
        _eps: f32,
        _t: usize,
        _qkv: &Vec<f32>,
        _q: &Vec<f32>,
        _k: &Vec<f32>,
        _d: &mut Vec<f32>,
        _dq: &mut Vec<f32>,
        _dk: &mut Vec<f32>,
    ) -> Result<()> {
        todo!()
    }
}
