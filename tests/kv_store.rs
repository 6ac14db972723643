//! The cache write of every device against its f64 reference.

mod common;

use common::*;
use lrem::ops::attention::Heads;
use lrem::ops::kv_store::{KvStore, reference};
use lrem::ops::philox::PhiloxStream;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn named_rows_are_written_and_no_others(
        group in 1usize..4, num_kv_heads in 1usize..4, head_dim in 1usize..40,
        tokens in 0usize..30, room in 0usize..20, seed: u64,
    ) {
        let heads = Heads { num_heads: group * num_kv_heads, num_kv_heads, head_dim };
        let qkv = normals(seed, 0, tokens * heads.qkv_dim());
        let capacity = tokens + room;
        let mut slots: Vec<u32> = (0..capacity as u32).collect();
        PhiloxStream::new(seed, 1).shuffle(&mut slots);
        slots.truncate(tokens);

        let start = [2, 3].map(|stream| normals(seed, stream, capacity * heads.kv_dim()));
        let [mut keys, mut values] = [&start[0], &start[1]].map(|x| wide(x));
        reference::kv_store(&heads, &wide(&qkv), &slots, &mut keys, &mut values);
        on_every_device!(|device| {
            let [mut got_keys, mut got_values] = start.clone().map(|x| reals(device, &x));
            let qkv = reals(device, &qkv);
            device.kv_store(&heads, &qkv, &slots, &mut got_keys, &mut got_values).unwrap();
            for (got, want) in [(&got_keys, &keys), (&got_values, &values)] {
                assert_eq!(&wide(&read_reals(device, "cache", got, want.len())), want);
            }
        });
    }
}

#[test]
fn a_row_is_queries_then_keys_then_values() {
    let heads = Heads {
        num_heads: 2,
        num_kv_heads: 1,
        head_dim: 2,
    };
    // Queries 0–3, keys 4 and 5, values 6 and 7; the second row ten more.
    let qkv: Vec<f32> = (0..8).chain(10..18).map(|i| i as f32).collect();
    on_every_device!(|device| {
        let [mut keys, mut values] = [-1.0, -2.0].map(|x| reals(device, &[x; 6]));
        let qkv = reals(device, &qkv);
        device
            .kv_store(&heads, &qkv, &[2, 0], &mut keys, &mut values)
            .unwrap();
        let [keys, values] = [keys, values].map(|x| read_reals(device, "cache", &x, 6));
        assert_eq!(keys, [14.0, 15.0, -1.0, -1.0, 4.0, 5.0]);
        assert_eq!(values, [16.0, 17.0, -2.0, -2.0, 6.0, 7.0]);
    });
}

#[test]
fn what_does_not_fit_is_an_error() {
    on_every_device!(|device| refuses(device));
}

fn refuses<D: KvStore>(device: &D) {
    let heads = Heads {
        num_heads: 2,
        num_kv_heads: 1,
        head_dim: 2,
    };
    let say = |slots: &[u32], sizes: [usize; 3]| {
        let [qkv, mut keys, mut values] = sizes.map(|len| device.zeros(len).unwrap());
        message(device.kv_store(&heads, &qkv, slots, &mut keys, &mut values))
    };
    assert_eq!(say(&[1, 2], [16, 6, 6]), "");
    assert_eq!(
        say(&[1, 2], [15, 6, 6]),
        "kv_store: qkv has 15, expected 16"
    );
    assert_eq!(say(&[1, 3], [16, 6, 8]), "kv_store: keys has 6, expected 8");
    assert_eq!(
        say(&[3, 1], [16, 8, 6]),
        "kv_store: values has 6, expected 8"
    );
}
