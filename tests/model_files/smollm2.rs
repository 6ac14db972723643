//! The real model: what we read out of its GGUF file against what transformers reads.

use std::borrow::Cow;
use std::path::PathBuf;
use std::process::Command;

use lrem::model::{ModelSource, Precision, export};

fn path(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable);
    PathBuf::from(path.unwrap_or_else(|| panic!("set {variable} to run this test")))
}

/// `SMOLLM2_GGUF` is the file, `SMOLLM2_HF` the folder that transformers made of it.
#[test]
#[ignore = "needs SMOLLM2_GGUF and SMOLLM2_HF"]
fn every_tensor_equals_that_of_transformers() {
    let ours = ModelSource::open(&path("SMOLLM2_GGUF")).unwrap();
    let theirs = ModelSource::open(&path("SMOLLM2_HF")).unwrap();
    let mut config = ours.config().clone();
    config.generation = theirs.config().generation.clone();
    assert_eq!(&config, theirs.config());
    let (mut tensors, mut largest) = (0, 0.0f32);
    for (name, shape) in theirs.config().tensor_shapes() {
        let a = ours.tensor(&name, &shape).unwrap();
        let b = theirs.tensor(&name, &shape).unwrap();
        for (a, b) in a.iter().zip(&b) {
            let difference = (a - b).abs();
            assert!(difference <= f32::EPSILON * b.abs(), "{name}: {a} {b}");
            largest = largest.max(difference);
        }
        tensors += 1;
    }
    println!("{tensors} tensors, largest difference {largest:e}");
}

/// Texts of the shop's data, and what breaks tokenizers.
fn texts() -> Vec<String> {
    let mut texts = Vec::new();
    for file in ["catalogue", "train", "test"] {
        let path = format!("{}/data/shop/{file}.jsonl", env!("CARGO_MANIFEST_DIR"));
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let fields = ["title", "query", "cot"].map(|field| line[field].as_str());
            texts.extend(fields.into_iter().flatten().map(str::to_owned));
        }
    }
    let ugly = [
        "",
        " ",
        "   ",
        "\n",
        "\r\n\r\n",
        "\t tab\tand  two   three    spaces ",
        "trailing   ",
        "a  1  b 22  333",
        "1234567890 12.5% €9,99 ½ ² Ⅷ ٣ 五",
        "don't I'll WE'VE it's 'S",
        "naïve café Ärger Straße İstanbul",
        "e\u{301}clair",
        "日本語のテキスト 한국어 русский العربية हिन्दी ไทย",
        "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
        "zero\u{200b}width\u{a0}nbsp\u{2003}em\u{3000}ideographic",
        "\u{0}\u{1}\u{7f}\u{fffd}\u{10ffff}",
        "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n",
        "<|im_start|><|im_end|><|endoftext|> <|im_end |> <|im_end|>x",
        "fn main() { println!(\"{:?}\", 0x1F); } // comment",
        "https://example.com/a?b=c&d=%20#e",
    ];
    texts.extend(ugly.map(str::to_owned));
    texts
}

/// Exports the model with three added tokens, and lets transformers and llama.cpp judge folder and
/// tokenizer. `SMOLLM2_PYTHON` is a Python with transformers, torch and llama-cpp-python.
#[test]
#[ignore = "needs SMOLLM2_GGUF, SMOLLM2_HF and SMOLLM2_PYTHON"]
fn transformers_loads_the_export() {
    let source = ModelSource::open(&path("SMOLLM2_GGUF")).unwrap();
    let mut tokenizer = source.tokenizer().unwrap();
    let folder = tempfile::tempdir().unwrap();

    let encoded = folder.path().join("encoded.jsonl");
    let lines = texts().into_iter().map(|text| {
        let ids = tokenizer.encode(&text).unwrap();
        format!("{}\n", serde_json::json!({ "text": text, "ids": ids }))
    });
    std::fs::write(&encoded, lines.collect::<String>()).unwrap();

    let ids = tokenizer
        .add_special(&["<think>", "</think>", "<emb>"])
        .unwrap();
    let mut config = source.config().clone();
    let hidden = config.hidden_size;
    assert_eq!(ids, [49152, 49153, 49154]);
    config.vocab_size = tokenizer.vocab_size();
    let shapes: Vec<_> = source.config().tensor_shapes().collect();
    let tensors = shapes.into_iter().map(|(name, mut shape)| {
        let mut values = source.tensor(&name, &shape).unwrap();
        if name == "model.embed_tokens.weight" {
            shape[0] = config.vocab_size;
            values.resize(config.vocab_size * hidden, 0.01);
        }
        (name, shape, Cow::Owned(values))
    });
    let out = folder.path().join("model");
    export(&out, &config, &tokenizer, tensors, Precision::F32).unwrap();

    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/model_files/compare_transformers.py"
    );
    let status = Command::new(path("SMOLLM2_PYTHON"))
        .arg(script)
        .args([out, path("SMOLLM2_HF"), path("SMOLLM2_GGUF"), encoded])
        .status()
        .unwrap();
    assert!(status.success());
}
