//! Broken Hugging Face folders: one line that names the file and what is wrong in it.

use std::path::{Path, PathBuf};

use lrem::model::ModelSource;
use lrem::text::Tokenizer;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::golden;

fn copy(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(golden(name)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

/// Changes one file of a copy of a golden model and returns the error of opening it.
fn error_after(name: &str, file: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let folder = copy(name);
    let path = folder.path().join(file);
    let changed = change(std::fs::read(&path).unwrap());
    std::fs::write(&path, changed).unwrap();
    let error = ModelSource::open(folder.path())
        .err()
        .expect("a broken model was opened");
    let error = error.to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

/// Replaces text, keeping the length so that the offsets around it hold.
fn replaced(bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    let from = from.as_bytes();
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .unwrap();
    [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
}

#[test]
fn configurations_that_lie() {
    let cases = [
        (
            "\"model_type\": \"llama\"",
            "\"model_type\": \"bert\"",
            "model_type: expected llama",
        ),
        (
            "\"hidden_size\": 16",
            "\"hidden_size\": \"16\"",
            "hidden_size: expected a positive integer",
        ),
        (
            "\"hidden_size\": 16",
            "\"hidden_size\": null",
            "hidden_size: expected a positive integer",
        ),
        (
            "\"hidden_size\": 16",
            "\"hidden_size\": 0",
            "hidden_size: expected 1 to",
        ),
        (
            "\"hidden_size\": 16",
            "\"hidden_size\": 24",
            "expected shape [53, 24], found [53, 16]",
        ),
        (
            "\"num_key_value_heads\": 2",
            "\"num_key_value_heads\": 3",
            "num_key_value_heads: expected a divisor",
        ),
        (
            "\"head_dim\": 4",
            "\"head_dim\": 5",
            "head_dim: expected an even number",
        ),
        (
            "\"hidden_act\": \"silu\"",
            "\"hidden_act\": \"gelu\"",
            "hidden_act: only",
        ),
        (
            "\"rope_type\": \"default\"",
            "\"rope_type\": \"magic\"",
            "rope_parameters.rope_type: expected",
        ),
        (
            "\"rope_type\": \"default\"",
            "\"rope_type\": \"linear\"",
            "rope_parameters.factor: expected a positive",
        ),
        (
            "\"num_hidden_layers\": 2",
            "\"num_hidden_layers\": 3",
            "model.layers.2.input_layernorm.weight: the tensor is absent",
        ),
        (
            "\"num_hidden_layers\": 2",
            "\"num_hidden_layers\": 200000000",
            "the tensor is absent",
        ),
        (
            "\"eos_token_id\": 2",
            "\"eos_token_id\": 99",
            "eos_token_id: ",
        ),
        (
            "\"eos_token_id\": 2",
            "\"eos_token_id\": \"</s>\"",
            "eos_token_id: expected a token id",
        ),
        ("{", "", "not JSON"),
    ];
    for (from, to, expected) in cases {
        let error = error_after("llama-tied", "config.json", |bytes| {
            replaced(bytes, from, to)
        });
        assert!(error.contains(expected), "{from} -> {to}: {error}");
    }
}

#[test]
fn weight_files_that_lie() {
    let file = "model.safetensors";
    let cut = error_after("llama-tied", file, |bytes| {
        bytes[..bytes.len() - 1].to_vec()
    });
    assert!(
        cut.contains(file) && cut.contains("not safetensors"),
        "{cut}"
    );
    let empty = error_after("llama-tied", file, |_| Vec::new());
    assert!(empty.contains(file), "{empty}");
    let long = error_after("llama-tied", file, |mut bytes| {
        bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        bytes
    });
    assert!(long.contains(file), "{long}");
    // The shape of another tensor with as many values.
    let bent = error_after("llama-tied", file, |bytes| {
        replaced(bytes, "[53,16]", "[16,53]")
    });
    let expected = "model.embed_tokens.weight: expected shape [53, 16], found [16, 53]";
    assert!(bent.contains(expected), "{bent}");
    let renamed = error_after("llama-tied", file, |bytes| {
        replaced(bytes, "embed_tokens", "embed_tokenz")
    });
    assert!(
        renamed.contains("model.embed_tokens.weight: the tensor is absent"),
        "{renamed}"
    );

    let folder = copy("llama-tied");
    std::fs::remove_file(folder.path().join(file)).unwrap();
    let absent = ModelSource::open(folder.path()).err().unwrap().to_string();
    assert!(absent.contains("expected model.safetensors"), "{absent}");
}

#[test]
fn values_of_another_type_are_named_when_read() {
    let folder = copy("llama-tied");
    let path = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, replaced(bytes, "\"F32\"", "\"I32\"")).unwrap();
    let source = ModelSource::open(folder.path()).unwrap();
    let errors: Vec<String> = source
        .config()
        .tensor_shapes()
        .filter_map(|(name, shape)| source.tensor(&name, &shape).err())
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].contains("expected F32, F16 or BF16, found I32"),
        "{errors:?}"
    );
}

#[test]
fn indices_that_lie() {
    let index = "model.safetensors.index.json";
    let (first, second) = (
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    );
    let name = "qwen2-sharded-bf16";
    let moved = error_after(name, index, |bytes| replaced(bytes, second, first));
    assert!(
        moved.contains(first) && moved.contains("does not have it"),
        "{moved}"
    );
    let gone = error_after(name, index, |bytes| {
        replaced(bytes, second, "model-00009.safetensors")
    });
    assert!(gone.contains("model-00009.safetensors"), "{gone}");
    let outside = error_after(name, index, |bytes| {
        replaced(bytes, second, "../secret.safetensors")
    });
    assert!(
        outside.contains(index) && outside.contains("beside it"),
        "{outside}"
    );
    let broken = error_after(name, index, |_| b"{}".to_vec());
    assert!(
        broken.contains(index) && broken.contains("weight_map"),
        "{broken}"
    );
}

#[test]
fn no_model_at_all() {
    let error = |path: &Path| ModelSource::open(path).err().unwrap().to_string();
    assert!(error(Path::new("/nowhere/model")).starts_with("/nowhere/model: "));
    let folder = tempfile::tempdir().unwrap();
    assert!(error(folder.path()).contains("config.json"));
    let file: PathBuf = folder.path().join("model.bin");
    std::fs::write(&file, "not a model").unwrap();
    assert!(error(&file).contains("model.bin: expected a GGUF file"));
    let tokenizer = ModelSource::open(&golden("llama-tied"))
        .unwrap()
        .tokenizer();
    assert!(
        tokenizer
            .err()
            .unwrap()
            .to_string()
            .contains("tokenizer.json")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn flipped_tokenizers_never_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let json = r#"{"version": "1.0", "added_tokens": [{"id": 3, "content": "<s>", "special": true,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}],
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\s+(?!\\S)|\\s+"},
                "behavior": "Isolated", "invert": false},
            "post_processor": {"type": "ByteLevel"}, "decoder": {"type": "ByteLevel"},
            "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}}"#;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        let mut bytes = json.as_bytes().to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        std::fs::write(&path, bytes).unwrap();
        match Tokenizer::from_file(&path) {
            Err(error) => prop_assert_eq!(error.to_string().lines().count(), 1),
            Ok(tokenizer) => {
                let ids = tokenizer.encode("ab <s> c  ").unwrap_or_default();
                let _ = tokenizer.decode(&ids);
            }
        }
    }

    #[test]
    fn flipped_headers_never_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        in_config in any::<bool>(),
    ) {
        let folder = copy("llama-tied");
        let path = folder.path().join(if in_config { "config.json" } else { "model.safetensors" });
        let mut bytes = std::fs::read(&path).unwrap();
        for (at, value) in flips {
            let at = at.index(bytes.len().min(2200));
            bytes[at] = value;
        }
        std::fs::write(&path, bytes).unwrap();
        match ModelSource::open(folder.path()) {
            Err(error) => prop_assert_eq!(error.to_string().lines().count(), 1),
            Ok(source) => {
                for (name, shape) in source.config().tensor_shapes() {
                    let _ = source.tensor(&name, &shape);
                }
            }
        }
    }
}
