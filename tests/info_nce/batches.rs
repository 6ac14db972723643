//! Batches that do not fit together, and masks from keys.

use crate::common::*;
use lrem::ops::info_nce::{InfoNce, InfoNceBatch};

#[test]
fn wrong_batches_are_errors() {
    on_every_device!(|device| refuses(device));
}

fn refuses<D: InfoNce>(device: &D) {
    type Change = fn(&mut InfoNceBatch);
    let good = InfoNceBatch {
        queries: 2,
        items: 3,
        hidden: 1,
        temperature: 0.1,
        targets: vec![0, 2],
        mask_offsets: vec![0, 1, 2],
        masked: vec![1, 0],
    };
    let says = |batch: &InfoNceBatch| {
        let [queries, items] = [2, 3].map(|len| device.upload(&vec![1.0f32; len]).unwrap());
        message(device.info_nce(batch, &queries, &items))
    };
    assert_eq!(says(&good), "");
    let changed = |change: Change| {
        let mut batch = good.clone();
        change(&mut batch);
        says(&batch)
    };
    let cases: [(Change, &str); 6] = [
        (|b| b.temperature = 0.0, "temperature 0 is not positive"),
        (|b| b.targets[1] = 3, "target 3 is outside the 3 items"),
        (|b| b.masked[0] = 0, "query 0 masks item 0"),
        (|b| b.masked[1] = 9, "query 1 masks item 9"),
        (|b| b.mask_offsets = vec![2, 1, 2], "do not ascend"),
        (|b| b.queries = 3, "queries has 2, expected 3"),
    ];
    for (change, part) in cases {
        let message = changed(change);
        assert!(message.contains(part), "{message:?} should say {part:?}");
    }
}

#[test]
fn keys_become_masks() {
    let mut batch = InfoNceBatch {
        queries: 2,
        items: 4,
        targets: vec![0, 3],
        ..InfoNceBatch::default()
    };
    batch.mask_positives(&[7, 8, 7, 9], &[vec![7], vec![8, 9]]);
    assert_eq!(
        (batch.mask_offsets, batch.masked),
        (vec![0, 1, 2], vec![2, 1])
    );
}
