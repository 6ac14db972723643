//! Heads, forests and buffers that do not fit together.

use crate::cases::Case;
use crate::common::devices;
use lrem::ops::attention::{Attention, Heads, KeysValues};
use lrem::ops::forest::{Forest, Span};

const HEADS: Heads = Heads {
    num_heads: 4,
    num_kv_heads: 2,
    head_dim: 3,
};

fn forest() -> Forest {
    Forest::packed(&[(2, None), (3, Some(0)), (1, Some(1))])
}

/// What both passes say over buffers that fit [`HEADS`] and [`forest`], which is nothing where they
/// are given.
fn messages(heads: &Heads, forest: &Forest) -> [String; 2] {
    let case = Case::new(HEADS, self::forest(), 1.0, 0);
    let (qkv, mut out, mut lse) = (case.qkv(), case.dout.clone(), vec![0.0; 24]);
    let device = &devices()[0];
    let forward = device.attention(
        heads,
        forest,
        &qkv,
        KeysValues::Packed,
        &mut out,
        Some(&mut lse),
    );
    let mut dqkv = qkv.clone();
    let backward = device.attention_backward(heads, forest, &qkv, &out, &lse, &out, &mut dqkv);
    [forward, backward].map(|r| r.err().map(|e| e.to_string()).unwrap_or_default())
}

#[test]
fn wrong_heads_are_errors() {
    assert_eq!(messages(&HEADS, &forest()), ["", ""]);
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
        let [forward, backward] = messages(&heads, &forest());
        assert_eq!(forward, format!("attention: {want}"));
        assert_eq!(backward, format!("attention_backward: {want}"));
    }
}

#[test]
fn wrong_forests_are_errors() {
    type Change = fn(&mut Forest);
    let cases: [(Change, &str); 5] = [
        (
            |f| f.segments[1].own.start = 4,
            "keys of segment 1 lie outside the 6 that there are",
        ),
        (
            |f| f.segments[2].ancestors[0] = Span { start: 0, len: 7 },
            "keys of segment 2 lie outside the 6 that there are",
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
        let [forward, backward] = messages(&HEADS, &forest);
        assert_eq!(forward, format!("attention: {want}"));
        assert_eq!(backward, format!("attention_backward: {want}"));
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
        let [forward, backward] = messages(&HEADS, &forest);
        assert_eq!(forward, "");
        let want = format!(
            "attention_backward: keys of segment {segment} are not its rows and its ancestors'"
        );
        assert_eq!(backward, want);
    }
}

#[test]
fn short_buffers_are_errors() {
    let case = Case::new(HEADS, forest(), 1.0, 0);
    let device = &devices()[0];
    let say = |qkv: usize, out: usize, lse: usize| {
        let mut buffers = (vec![0.0; qkv], vec![0.0; out], vec![0.0; lse]);
        let (out, lse) = (&mut buffers.1, Some(&mut buffers.2));
        let result = device.attention(
            &HEADS,
            &case.forest,
            &buffers.0,
            KeysValues::Packed,
            out,
            lse,
        );
        result.err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert_eq!(say(144, 72, 24), "");
    assert_eq!(say(143, 72, 24), "attention: qkv has 143, expected 144");
    assert_eq!(say(144, 71, 24), "attention: out has 71, expected 72");
    assert_eq!(say(144, 72, 23), "attention: lse has 23, expected 24");

    let back = |sizes: [usize; 5]| {
        let [qkv, out, lse, dout, mut dqkv] = sizes.map(|len| vec![0.0; len]);
        let result =
            device.attention_backward(&HEADS, &case.forest, &qkv, &out, &lse, &dout, &mut dqkv);
        result.err().map(|e| e.to_string()).unwrap_or_default()
    };
    let good = [144, 72, 24, 72, 144];
    assert_eq!(back(good), "");
    for (i, what) in ["qkv", "out", "lse", "dout", "dqkv"]
        .into_iter()
        .enumerate()
    {
        let mut sizes = good;
        sizes[i] -= 1;
        let (got, expected) = (sizes[i], good[i]);
        assert_eq!(
            back(sizes),
            format!("attention_backward: {what} has {got}, expected {expected}")
        );
    }
}

#[test]
fn a_span_beyond_the_cache_is_an_error() {
    let case = Case::new(HEADS, forest(), 1.0, 0);
    let (qkv, mut out) = (case.qkv(), case.dout.clone());
    let (keys, mut values) = (case.keys.clone(), case.values.clone());
    values.pop();
    let kv = KeysValues::Cache {
        keys: &keys,
        values: &values,
    };
    let result = devices()[0].attention(&HEADS, &case.forest, &qkv, kv, &mut out, None);
    assert_eq!(
        result.unwrap_err().to_string(),
        "attention: keys of segment 2 lie outside the 5 that there are"
    );
}
