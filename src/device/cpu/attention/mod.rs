//! Attention on the CPU.
//!
//! A task is a block of query rows and one key/value head; all query heads of the group are rows of the
//! same small products, and so are the segments below a common trunk. Keys stream in tiles of 64, counted from the start of
//! each span, with a running maximum and sum (FlashAttention-2), so a row's bits depend on its own
//! keys alone. The backward pass runs over query blocks for `dq`, then over key tiles for `dk` and
//! `dv`, summing over everything below a trunk in the order of the rows.

mod backward;
mod blocks;
mod forward;
mod product;
mod tiles;

use super::Cpu;
use super::parallel::{self, Rows};
use crate::device::Result;
use crate::ops::attention::*;
use crate::ops::forest::Forest;
use backward::{KeyTask, Saved};
use blocks::query_blocks;
use forward::{QueryTask, scale_to};
use tiles::{KEYS, Lines};

impl Attention for Cpu {
    fn attention(
        &self,
        heads: &Heads,
        forest: &Forest,
        qkv: &Vec<f32>,
        kv: KeysValues<'_, Self>,
        out: &mut Vec<f32>,
        mut lse: Option<&mut Vec<f32>>,
    ) -> Result<()> {
        let (q_dim, kv_dim, d) = (heads.q_dim(), heads.kv_dim(), heads.head_dim);
        let tokens = forest.tokens();
        let cache = match &kv {
            KeysValues::Packed => None,
            KeysValues::Cache { keys, values } => Some(keys.len().min(values.len())),
        };
        let lse_len = lse.as_ref().map(|lse| lse.len());
        heads.check_forward(forest, qkv.len(), cache, out.len(), lse_len)?;
        let (keys, values) = match kv {
            KeysValues::Packed => {
                let stride = heads.qkv_dim();
                let from = |at: usize| Lines {
                    data: &qkv[at.min(qkv.len())..],
                    stride,
                };
                (from(q_dim), from(q_dim + kv_dim))
            }
            KeysValues::Cache { keys, values } => {
                let lines = |data| Lines {
                    data,
                    stride: kv_dim,
                };
                (lines(keys.as_slice()), lines(values.as_slice()))
            }
        };
        let group = heads.num_heads / heads.num_kv_heads;
        let blocks = query_blocks(forest, group, heads.num_kv_heads);
        let out_rows = Rows::new(&mut out[..tokens * q_dim], d);
        let lse_rows = lse
            .as_mut()
            .map(|l| Rows::new(&mut l[..tokens * heads.num_heads], 1));
        let kv_heads = heads.num_kv_heads;
        parallel::run(blocks.len() * kv_heads, |task| {
            let (block, head) = (&blocks[task / kv_heads], task % kv_heads);
            let task = QueryTask {
                isa: self.isa,
                heads,
                block,
                queries: Lines {
                    data: &qkv[head * group * d..],
                    stride: heads.qkv_dim(),
                },
                keys: Lines {
                    data: &keys.data[head * d..],
                    ..keys
                },
                values: Lines {
                    data: &values.data[head * d..],
                    ..values
                },
            };
            task.run(|row, h, values, maximum, sum| {
                let index = row * heads.num_heads + head * group + h;
                scale_to(self.isa, values, 1.0 / sum, out_rows.take(index));
                if let Some(lse) = &lse_rows {
                    lse.take(index)[0] = maximum + sum.ln();
                }
            });
        });
        Ok(())
    }

    fn attention_backward(
        &self,
        heads: &Heads,
        forest: &Forest,
        qkv: &Vec<f32>,
        out: &Vec<f32>,
        lse: &Vec<f32>,
        dout: &Vec<f32>,
        dqkv: &mut Vec<f32>,
    ) -> Result<()> {
        let tokens = forest.tokens();
        let d = heads.head_dim;
        let lens = [qkv.len(), out.len(), lse.len(), dout.len(), dqkv.len()];
        heads.check_backward(forest, lens)?;
        // Σ dout·out of every row and head.
        let pairs = dout
            .chunks_exact(d)
            .zip(out.chunks_exact(d))
            .take(tokens * heads.num_heads);
        let dot = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(x, y)| x * y).sum();
        let delta: Vec<f32> = pairs.map(dot).collect();
        let saved = Saved {
            isa: self.isa,
            heads,
            qkv,
            dout,
            lse,
            delta: &delta,
        };
        let group = heads.num_heads / heads.num_kv_heads;
        let kv_heads = heads.num_kv_heads;
        let rows = Rows::new(&mut dqkv[..tokens * heads.qkv_dim()], d);
        let row_heads = heads.num_heads + 2 * kv_heads;
        let blocks = query_blocks(forest, group, kv_heads);
        let below = descendants(forest);
        let mut tiles = Vec::new();
        for (segment, s) in forest.segments.iter().enumerate() {
            let starts = (0..s.own.len).step_by(KEYS);
            tiles.extend(starts.map(|start| (segment, start, KEYS.min(s.own.len - start))));
        }
        let query_tasks = blocks.len() * kv_heads;
        // Key tiles first: a trunk's tile is the longest task.
        parallel::run(tiles.len() * kv_heads + query_tasks, |task| {
            let head = task % kv_heads;
            if task < tiles.len() * kv_heads {
                let (segment, start, count) = tiles[task / kv_heads];
                let task = KeyTask {
                    saved: &saved,
                    forest,
                    head,
                    segment,
                    start,
                    count,
                    below: &below[segment],
                };
                task.run(|row, dk, dv| {
                    let at = row * row_heads + heads.num_heads + head;
                    rows.take(at).copy_from_slice(dk);
                    rows.take(at + kv_heads).copy_from_slice(dv);
                });
            } else {
                let block = &blocks[task / kv_heads - tiles.len()];
                saved.queries(head, block, |row, h, dq| {
                    rows.take(row * row_heads + head * group + h)
                        .copy_from_slice(dq);
                });
            }
        });
        Ok(())
    }
}

/// For every segment the segments that have it among their ancestors, in order.
fn descendants(forest: &Forest) -> Vec<Vec<usize>> {
    let mut below = vec![Vec::new(); forest.segments.len()];
    for (i, s) in forest.segments.iter().enumerate() {
        let mut up = s.parent;
        while let Some(p) = up {
            below[p].push(i);
            up = forest.segments[p].parent;
        }
    }
    below
}
