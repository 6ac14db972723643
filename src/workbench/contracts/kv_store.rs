//! The cache write.
//!
//! Tolerance. Exact: a copy.

use super::{limits, normals, wide};
use crate::device::{Device, Result};
use crate::ops::attention::Heads;
use crate::ops::kv_store::reference;
use crate::ops::philox::PhiloxStream;
use crate::workbench::{Contract, Cost, Draw, Probe};
use serde::{Deserialize, Serialize};

/// The contract of `kv_store`.
pub struct KvStoreContract;

/// New tokens and the rows of the cache.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct KvStoreShape {
    pub heads: Heads,
    pub tokens: usize,
    pub capacity: usize,
}

impl Contract for KvStoreContract {
    type Shape = KvStoreShape;
    const OP: &'static str = "kv_store";

    fn shape(draw: Draw, random: &mut PhiloxStream) -> KvStoreShape {
        let (heads, tokens, room) = match draw {
            Draw::Counted => (super::heads(9, 3, 64), 256, 64),
            Draw::Model => (super::heads(9, 3, 64), 32, 8),
            Draw::Smallest => (super::heads(1, 1, 1), 1, 0),
            _ => {
                let kv_heads = 1 + random.below(3);
                let heads = super::heads(
                    (1 + random.below(3)) * kv_heads,
                    kv_heads,
                    1 + random.below(40),
                );
                (heads, 1 + random.below(30), random.below(20))
            }
        };
        KvStoreShape {
            heads,
            tokens,
            capacity: tokens + room,
        }
    }

    fn limits(s: &KvStoreShape) -> std::result::Result<(), String> {
        limits::of_heads(&s.heads)?;
        if s.capacity < s.tokens {
            return Err(format!(
                "capacity is {}, less than tokens, {}",
                s.capacity, s.tokens
            ));
        }
        limits::sizes(
            &[("tokens", s.tokens), ("capacity", s.capacity)],
            &[&[s.capacity, s.heads.qkv_dim()]],
        )
    }

    fn costs(s: &KvStoreShape, _: u64, real: usize) -> Vec<Cost> {
        let bytes = 4 * s.tokens * s.heads.kv_dim() * real + 4 * s.tokens;
        vec![Cost::new(Self::OP, bytes, 0)]
    }

    fn run<D: Device>(
        s: &KvStoreShape,
        draw: Draw,
        seed: u64,
        probe: &mut Probe<'_, D>,
    ) -> Result<()> {
        let qkv = normals(draw, seed, 0, s.tokens * s.heads.qkv_dim());
        let mut slots: Vec<u32> = (0..s.capacity as u32).collect();
        PhiloxStream::new(seed, 1).shuffle(&mut slots);
        slots.truncate(s.tokens);
        let start =
            [2, 3].map(|stream| normals(Draw::Any, seed, stream, s.capacity * s.heads.kv_dim()));
        let [mut want_keys, mut want_values] = [0, 1].map(|i| wide(&start[i]));
        reference::kv_store(
            &s.heads,
            &wide(&qkv),
            &slots,
            &mut want_keys,
            &mut want_values,
        );

        let qkv = probe.reals("qkv", &qkv)?;
        let (mut keys, mut values) = (probe.sum_reals(&start[0])?, probe.sum_reals(&start[1])?);
        let costs = Self::costs(s, seed, size_of::<D::Real>());
        probe.call(Self::OP, Cost::bytes_of(Self::OP, &costs), |device| {
            device.kv_store(&s.heads, &qkv, &slots, &mut keys, &mut values)
        })?;
        for (name, got, want) in [("keys", keys, want_keys), ("values", values, want_values)] {
            let exact = vec![0.0; want.len()];
            probe.take_reals(name, &got, want, exact)?;
            probe.summed();
        }
        Ok(())
    }
}
