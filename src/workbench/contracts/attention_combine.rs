//! Attention of decoding: few tokens that see much, a trunk that they share and spans of their own, which a
//! GPU splits into pieces and combines.
//!
//! Tolerance. As of attention: pieces and their combination add a rounding each.

use super::attention_cache::{Cached, decode};
use super::{heads, limits};
use crate::device::{Device, Result};
use crate::ops::attention::Heads;
use crate::ops::philox::PhiloxStream;
use crate::workbench::{Contract, Cost, Draw, Probe};
use serde::{Deserialize, Serialize};

/// The contract of `attention_combine`.
pub struct AttentionCombineContract;

/// Keys of the trunk and of each sequence behind it, of which the last `new` are computed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DecodingShape {
    pub heads: Heads,
    pub trunk: usize,
    pub sequences: Vec<usize>,
    pub new: usize,
}

impl Contract for AttentionCombineContract {
    type Shape = DecodingShape;
    const OP: &'static str = "attention_combine";

    fn shape(draw: Draw, random: &mut PhiloxStream) -> DecodingShape {
        let (heads, trunk, sequences) = match draw {
            // Four thoughts in the heads of SmolLM2-135M.
            Draw::Counted => (heads(9, 3, 64), 320, vec![200, 230, 260, 290]),
            // A trunk of more than a piece.
            Draw::Model => (heads(3, 1, 64), 530, vec![70, 200]),
            Draw::Smallest => (heads(1, 1, 2), 1, vec![1]),
            _ => {
                let dim = [64, 80, 96, 128][random.below(4)];
                let group = 1 + random.below(4);
                let sequences = 5 + random.below(3);
                (
                    heads(group, 1, dim),
                    1 + random.below(150),
                    (0..sequences).map(|_| 70 + random.below(60)).collect(),
                )
            }
        };
        let new = match draw {
            Draw::Any => 1 + random.below(2),
            _ => 1,
        };
        DecodingShape {
            heads,
            trunk,
            sequences,
            new,
        }
    }

    fn limits(s: &DecodingShape) -> std::result::Result<(), String> {
        limits::of_heads(&s.heads)?;
        let shortest = s.sequences.iter().copied().min().unwrap_or(0);
        if s.new > shortest {
            return Err(format!(
                "new is {}, more than the {shortest} tokens of a sequence",
                s.new
            ));
        }
        let keys = s
            .sequences
            .iter()
            .fold(s.trunk, |n, &len| n.saturating_add(len));
        let axes = [
            ("trunk", s.trunk),
            ("a sequence", shortest),
            ("new", s.new),
            ("keys", keys),
        ];
        limits::sizes(&axes, &[&[keys, s.heads.kv_dim()]])
    }

    fn costs(s: &DecodingShape, _: u64, real: usize) -> Vec<Cost> {
        let (rows, d) = (
            s.sequences.len() * s.new * s.heads.num_heads,
            s.heads.head_dim,
        );
        // A result for the trunk and one for the sequence, each with its maximum and its sum.
        let parts = 2 * rows;
        let bytes = 4 * parts * (d + 2) + rows * (d * real + 4);
        vec![Cost::new(Self::OP, bytes, parts * (3 * d + 6) + rows * d)]
    }

    fn run<D: Device>(
        s: &DecodingShape,
        _: Draw,
        seed: u64,
        probe: &mut Probe<'_, D>,
    ) -> Result<()> {
        let own = s.sequences.iter().map(|&keys| (keys, Some(0)));
        let parts: Vec<_> = [(s.trunk, None)].into_iter().chain(own).collect();
        let mut new = vec![s.new; parts.len()];
        new[0] = 0;
        let cached = Cached::new(&parts, &new, seed);
        decode(&s.heads, &cached, seed, true, probe)?;
        decode(&s.heads, &cached, seed, false, probe)
    }
}
