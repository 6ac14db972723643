//! Embedding of every device against its f64 reference.

mod common;

use common::*;
use lrem::device::Real;
use lrem::ops::embedding::{Embedding, reference};
use lrem::ops::linear::{Linear, LinearShape, Weight, WeightFormat};
use lrem::ops::philox::PhiloxStream;
use proptest::prelude::*;

const ULP: f64 = f32::EPSILON as f64;

/// Ids in any order, most of them several times where there are few.
fn ids(tokens: usize, vocab: usize, seed: u64) -> Vec<u32> {
    let mut random = PhiloxStream::new(seed, 9);
    (0..tokens).map(|_| random.below(vocab) as u32).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn rows_are_copies(
        tokens in 0usize..30, vocab in 1usize..70, hidden in 1usize..70, seed: u64,
    ) {
        let (table, ids) = (normals(seed, 0, vocab * hidden), ids(tokens, vocab, seed));
        let len = tokens * hidden;
        let want = reference::embedding(hidden, &wide(&table), &ids);
        // The largest of a group of 32.
        let largest = |i: usize| {
            let row = i / hidden * hidden;
            let start = row + (i - row) / 32 * 32;
            let group = &want[start..(start + 32).min(row + hidden)];
            group.iter().fold(0.0f64, |a, v| a.max(v.abs()))
        };
        on_every_device!(|device| {
            let packed = WeightFormat::ALL.map(|format| device.pack(&table, vocab, hidden, format).unwrap());
            let look_up = |table: Weight<'_, _>| {
                let mut out = poisoned_reals(device, len);
                device.embedding(vocab, hidden, table, &ids, &mut out).unwrap();
                read_reals(device, "out", &out, len)
            };
            // The table's numbers are those of bf16.
            let master = floats(device, &table);
            for exact in [Weight::Master(&master), Weight::Packed(&packed[0]), Weight::Packed(&packed[1])] {
                assert_close("out", &look_up(exact), &want, |_| 0.0);
            }
            // Off by half a step, in int4 by the roundings of step and shift too.
            let int8 = look_up(Weight::Packed(&packed[2]));
            assert_close_reals(device, "out", &int8, &want, |i| 0.501 / 127.0 * largest(i));
            let int4 = look_up(Weight::Packed(&packed[3]));
            assert_close_reals(device, "out", &int4, &want, |i| (1.0 / 15.0 + 3.0 / 256.0) * largest(i));
            (bits(&int8), bits(&int4))
        });
    }

    /// What is laid out for lookups is the same weight, to lookups and to products, and remains so.
    #[test]
    fn a_table_is_any_weight(
        tokens in 0usize..30, vocab in 1usize..70, hidden in 1usize..200, format in 0usize..4, seed: u64,
    ) {
        let format = WeightFormat::ALL[format];
        let [w, other] = [0, 1].map(|i| normals(seed, i, vocab * hidden));
        let (ids, x) = (ids(tokens, vocab, seed), normals(seed, 2, tokens * hidden));
        on_each_device!(|device| {
            let weight = device.pack(&w, vocab, hidden, format).unwrap();
            let table = device.pack_table(&w, vocab, hidden, format).unwrap();
            let mut again = device.pack_table(&other, vocab, hidden, format).unwrap();
            device.repack(&floats(device, &w), &mut again).unwrap();
            let [want, table, again] = [&weight, &table, &again].map(|w| {
                let w = Weight::Packed(w);
                let mut rows = poisoned_reals(device, tokens * hidden);
                device.embedding(vocab, hidden, w, &ids, &mut rows).unwrap();
                let (shape, x) = (LinearShape { m: tokens, n: vocab, k: hidden }, reals(device, &x));
                let mut products = poisoned_reals(device, tokens * vocab);
                device.linear(shape, &x, w, None, &mut products, false).unwrap();
                let rows = read_reals(device, "rows", &rows, tokens * hidden);
                let products = read_reals(device, "products", &products, tokens * vocab);
                (bits(&rows), bits(&products))
            });
            assert_eq!(table, want);
            assert_eq!(again, want);
        });
    }

    #[test]
    fn gradients_of_the_same_id_add_up(
        tokens in 0usize..60, vocab in 1usize..40, hidden in 1usize..40, seed: u64,
    ) {
        let (dout, ids) = (normals(seed, 0, tokens * hidden), ids(tokens, vocab, seed));
        let want = reference::embedding_backward(vocab, hidden, &wide(&dout), &ids);
        let sizes = reference::embedding_backward(vocab, hidden, &magnitudes(&dout), &ids);
        let start = normals(seed, 1, vocab * hidden);
        let want: Vec<f64> = want.iter().zip(&start).map(|(a, &b)| a + f64::from(b)).collect();
        let mut in_order = start.clone();
        for (dout, &id) in dout.chunks_exact(hidden).zip(&ids) {
            let row = &mut in_order[id as usize * hidden..][..hidden];
            row.iter_mut().zip(dout).for_each(|(t, d)| *t += d);
        }
        on_every_device!(|device| {
            let (dout, mut dtable) = (reals(device, &dout), floats(device, &start));
            device.embedding_backward(vocab, hidden, &dout, &ids, &mut dtable).unwrap();
            let dtable = read_floats(device, "dtable", &dtable, start.len());
            assert_close("dtable", &dtable, &want, |i| {
                tokens as f64 * ULP * (sizes[i] + f64::from(start[i].abs()))
            });
            // The order of the additions is part of the contract.
            assert_eq!(bits(&dtable), bits(&in_order));
        });
    }

    #[test]
    fn reference_gradients_are_those_of_the_rows(
        tokens in 1usize..5, vocab in 1usize..4, hidden in 1usize..4, seed: u64,
    ) {
        let (table, dout) = (normals(seed, 0, vocab * hidden), normals(seed, 1, tokens * hidden));
        let (table, dout, ids) = (wide(&table), wide(&dout), ids(tokens, vocab, seed));
        let gradient = reference::embedding_backward(vocab, hidden, &dout, &ids);
        assert_gradient("dtable", &table, &gradient, |table| {
            let out = reference::embedding(hidden, table, &ids);
            out.iter().zip(&dout).map(|(a, b)| a * b).sum()
        });
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    on_every_device!(|device| refuses(device));
}

fn refuses<D: Embedding>(device: &D) {
    let forward = |ids: &[u32], table: usize, out: usize| {
        let table = device.upload(&vec![1.0; table]).unwrap();
        let sevens = vec![D::Real::from_f32(7.0); out];
        let mut out = device.upload(&sevens).unwrap();
        let result = device.embedding(3, 2, Weight::Master(&table), ids, &mut out);
        let kept = || device.download(&out, sevens.len()).unwrap() == sevens;
        assert!(result.is_ok() || kept());
        message(result)
    };
    assert_eq!(forward(&[2, 0], 6, 4), "");
    assert_eq!(
        forward(&[2, 3], 6, 4),
        "embedding: id 3 is outside the vocabulary of 3"
    );
    assert_eq!(
        forward(&[2, 0], 5, 4),
        "embedding: weight has 5, expected 6"
    );
    assert_eq!(forward(&[2, 0], 6, 3), "embedding: out has 3, expected 4");
    let packed = device.pack(&[1.0; 6], 2, 3, WeightFormat::F32).unwrap();
    let mut out = device.zeros(2).unwrap();
    let result = device.embedding(3, 2, Weight::Packed(&packed), &[0], &mut out);
    assert_eq!(
        message(result),
        "embedding: a weight of 2 × 3, expected 3 × 2"
    );

    let backward = |ids: &[u32], dout: usize, dtable: usize| {
        let (dout, sevens) = (device.zeros(dout).unwrap(), vec![7.0f32; dtable]);
        let mut dtable = device.upload(&sevens).unwrap();
        let result = device.embedding_backward(3, 2, &dout, ids, &mut dtable);
        let kept = || device.download(&dtable, sevens.len()).unwrap() == sevens;
        assert!(result.is_ok() || kept());
        message(result)
    };
    assert_eq!(backward(&[2, 0], 4, 6), "");
    let outside = "embedding_backward: id 4294967295 is outside the vocabulary of 3";
    assert_eq!(backward(&[u32::MAX, 0], 4, 6), outside);
    assert_eq!(
        backward(&[2, 0], 3, 6),
        "embedding_backward: dout has 3, expected 4"
    );
    assert_eq!(
        backward(&[2, 0], 4, 5),
        "embedding_backward: dtable has 5, expected 6"
    );
}
