//! Heads, forests and buffers that do not fit together.

use crate::cases::Case;
use crate::common::*;
use lrem::device::Memory;
use lrem::ops::attention::{Attention, Heads, KeysValues};
use lrem::ops::forest::{Forest, Mask, Span};

const HEADS: Heads = Heads {
    num_heads: 4,
    num_kv_heads: 2,
    head_dim: 3,
};

fn forest() -> Forest {
    Forest::packed(&[(2, None), (3, Some(0)), (1, Some(1))])
}

/// What both passes say over buffers of `[qkv, out, lse, dout, dqkv]` elements.
fn messages_of<D: Attention>(
    device: &D,
    heads: &Heads,
    forest: &Forest,
    sizes: [usize; 5],
) -> [String; 2] {
    let zeros = |len| device.zeros::<D::Real>(len).unwrap();
    let [qkv, mut out, dout, mut dqkv] = [0, 1, 3, 4].map(|i| zeros(sizes[i]));
    let mut lse = device.zeros::<f32>(sizes[2]).unwrap();
    let kv = KeysValues::Packed;
    let forward = device.attention(heads, forest, &qkv, kv, &mut out, Some(&mut lse));
    let backward = device.attention_backward(heads, forest, &qkv, &out, &lse, &dout, &mut dqkv);
    [message(forward), message(backward)]
}

/// The same over buffers that fit [`HEADS`] and [`forest`]: nothing where they are given.
fn messages<D: Attention>(device: &D, heads: &Heads, forest: &Forest) -> [String; 2] {
    messages_of(device, heads, forest, [144, 72, 24, 72, 144])
}

#[test]
fn wrong_heads_are_errors() {
    on_every_device!(|device| {
        let said = messages(device, &HEADS, &forest());
        assert_eq!(said, ["", ""]);
        said
    });
    let cases = [
        ((4, 3, 3), "4 heads cannot share 3 key heads"),
        ((4, 0, 3), "4 heads cannot share 0 key heads"),
        ((0, 2, 3), "0 heads cannot share 2 key heads"),
        ((4, 2, 0), "a head has no elements"),
    ];
    for ((num_heads, num_kv_heads, head_dim), want) in cases {
        let heads = Heads {
            num_heads,
            num_kv_heads,
            head_dim,
        };
        on_every_device!(|device| {
            let [forward, backward] = messages(device, &heads, &forest());
            assert_eq!(forward, format!("attention: {want}"));
            assert_eq!(backward, format!("attention_backward: {want}"));
            [forward, backward]
        });
    }
}

#[test]
fn wrong_forests_are_errors() {
    type Change = fn(&mut Forest);
    let cases: [(Change, &str); 6] = [
        (
            |f| f.segments[1].own.start = 4,
            "keys of segment 1 lie outside the 6 that there are",
        ),
        (
            |f| f.segments[2].ancestors[0] = Span { start: 0, len: 7 },
            "keys of segment 2 lie outside the 6 that there are",
        ),
        (
            |f| f.segments[0].mask = Mask::Ancestors,
            "the rows of segment 0 see no key",
        ),
        (
            |f| f.segments[1].own.len = 2,
            "keys of segment 1 lie outside the 6 that there are",
        ),
        (
            |f| f.segments[1].rows = 1..4,
            "segment 1 has the rows 1..4, expected rows from 2 on",
        ),
        (
            |f| f.segments[2].rows = 4..6,
            "segment 2 has the rows 4..6, expected rows from 5 on",
        ),
    ];
    for (change, want) in cases {
        let mut forest = forest();
        change(&mut forest);
        on_every_device!(|device| {
            let [forward, backward] = messages(device, &HEADS, &forest);
            assert_eq!(forward, format!("attention: {want}"));
            assert_eq!(backward, format!("attention_backward: {want}"));
            [forward, backward]
        });
    }
}

/// Forward may read keys of any rows; a gradient arrives only where the forest says whose they are.
#[test]
fn a_gradient_that_would_be_lost_is_an_error() {
    type Change = fn(&mut Forest);
    let cases: [(Change, usize); 4] = [
        (|f| f.segments[1].parent = None, 1),
        (|f| f.segments[2].parent = Some(0), 2),
        (|f| f.segments[1].parent = Some(1), 1),
        (|f| f.segments[1].own = Span { start: 1, len: 4 }, 1),
    ];
    for (change, segment) in cases {
        let mut forest = forest();
        change(&mut forest);
        on_every_device!(|device| {
            let [forward, backward] = messages(device, &HEADS, &forest);
            assert_eq!(forward, "");
            let want = format!(
                "attention_backward: keys of segment {segment} are not its rows and its ancestors'"
            );
            assert_eq!(backward, want);
            [forward, backward]
        });
    }
}

#[test]
fn short_buffers_are_errors() {
    let good = [144, 72, 24, 72, 144];
    let names = ["qkv", "out", "lse", "dout", "dqkv"];
    for (i, what) in names.into_iter().enumerate() {
        let mut sizes = good;
        sizes[i] -= 1;
        let want = format!("{what} has {}, expected {}", sizes[i], good[i]);
        on_every_device!(|device| {
            let [forward, backward] = messages_of(device, &HEADS, &forest(), sizes);
            assert_eq!(backward, format!("attention_backward: {want}"));
            // Forward has neither gradient.
            let want = if i < 3 {
                format!("attention: {want}")
            } else {
                String::new()
            };
            assert_eq!(forward, want);
            [forward, backward]
        });
    }
}

#[test]
fn a_span_beyond_the_cache_is_an_error() {
    let case = Case::new(HEADS, forest(), 1.0, 0);
    let short = &case.values[..case.values.len() - 1];
    on_every_device!(|device| {
        let (qkv, mut out) = (reals(device, &case.qkv()), reals(device, &case.dout));
        let keys = reals(device, &case.keys);
        let short: Vec<_> = device.download(&reals(device, short), short.len()).unwrap();
        let values = device.upload(&short).unwrap();
        let kv = KeysValues::Cache {
            keys: &keys,
            values: &values,
        };
        let result = message(device.attention(&HEADS, &case.forest, &qkv, kv, &mut out, None));
        let want = "attention: keys of segment 2 lie outside the 5 that there are";
        assert_eq!(result, want);
        result
    });
}

/// What the kernels of the GPU cannot hold.
#[test]
fn a_head_of_more_elements_than_a_kernel_holds_is_an_error() {
    let heads = Heads {
        num_heads: 1,
        num_kv_heads: 1,
        head_dim: 257,
    };
    let (forest, sizes) = (Forest::packed(&[(1, None)]), [771, 257, 1, 257, 771]);
    let want = "heads of 257 elements, at most 256 are supported";
    on_gpus!(|device| {
        let [forward, backward] = messages_of(device, &heads, &forest, sizes);
        assert_eq!(forward, format!("attention: {want}"));
        assert_eq!(backward, format!("attention_backward: {want}"));
        [forward, backward]
    });
}
