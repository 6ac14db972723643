//! Folders we write.

use std::borrow::Cow;
use std::path::Path;

use lrem::model::{ModelSource, NamedTensor, Precision, export, export_sharded};
use lrem::text::Tokenizer;

use crate::{GOLDEN, golden};

/// A word-level tokenizer is enough: these models have no text of their own.
fn tokenizer() -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let json = r#"{
        "version": "1.0",
        "added_tokens": [{"id": 2, "content": "<end>", "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true}],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {"one": 0, "two": 1, "<end>": 2, "?": 3}, "unk_token": "?"}
    }"#;
    std::fs::write(&path, json).unwrap();
    let settings = r#"{"eos_token": {"content": "<end>"}, "chat_template": "{{ messages }}"}"#;
    std::fs::write(folder.path().join("tokenizer_config.json"), settings).unwrap();
    Tokenizer::from_file(&path).unwrap()
}

fn tensors(source: &ModelSource) -> Vec<NamedTensor<'static>> {
    let shapes = source.config().tensor_shapes();
    let read = |(name, shape): (String, Vec<usize>)| {
        let values = source.tensor(&name, &shape).unwrap();
        (name, shape, Cow::Owned(values))
    };
    shapes.map(read).collect()
}

fn file_names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn an_exported_model_reads_back_bit_for_bit() {
    for name in GOLDEN {
        let source = ModelSource::open(&golden(name)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new").join("model");
        let mut given = tensors(&source);
        given.reverse();
        export(&out, source.config(), &tokenizer(), given, Precision::F32).unwrap();
        let read = ModelSource::open(&out).unwrap();
        assert_eq!(read.tensors(), source.tensors(), "{name}");
        for (name, shape, values) in tensors(&source) {
            assert_eq!(read.tensor(&name, &shape).unwrap(), *values, "{name}");
        }
        let mut config = read.config().clone();
        config.generation = source.config().generation.clone();
        assert_eq!(&config, source.config());
        // Nothing is left beside it.
        assert_eq!(file_names(out.parent().unwrap()), ["model"]);
    }
}

#[test]
fn bf16_shards_hold_the_rounded_model() {
    let source = ModelSource::open(&golden("qwen2-yarn")).unwrap();
    let theirs = ModelSource::open(&golden("qwen2-sharded-bf16")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    let given = tensors(&source);
    export_sharded(
        &out,
        source.config(),
        &tokenizer(),
        given,
        Precision::Bf16,
        3500,
    )
    .unwrap();
    let names = file_names(&out);
    let index = "model.safetensors.index.json".to_owned();
    let last = "model-00003-of-00003.safetensors".to_owned();
    assert!(names.contains(&index) && names.contains(&last), "{names:?}");
    let read = ModelSource::open(&out).unwrap();
    for (name, shape) in theirs.config().tensor_shapes() {
        let expected = theirs.tensor(&name, &shape).unwrap();
        assert_eq!(read.tensor(&name, &shape).unwrap(), expected, "{name}");
    }
}

#[test]
fn the_tokenizer_and_its_new_tokens_are_written() {
    let source = ModelSource::open(&golden("llama-tied")).unwrap();
    let mut tokenizer = tokenizer();
    let ids = tokenizer
        .add_special(&["<think>", "</think>", "<emb>"])
        .unwrap();
    assert_eq!(ids, [4, 5, 6]);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    export(
        &out,
        source.config(),
        &tokenizer,
        tensors(&source),
        Precision::F32,
    )
    .unwrap();
    let read = ModelSource::open(&out).unwrap().tokenizer().unwrap();
    assert_eq!(
        read.encode("one<think>two</think><emb>").unwrap(),
        [0, 4, 1, 5, 6]
    );
    assert_eq!(read.eos_token(), Some("<end>"));
    assert_eq!(read.chat_template(), Some("{{ messages }}"));
    assert_eq!(read.vocab_size(), 7);
}

#[test]
fn a_failed_export_leaves_the_old_model() {
    let old = ModelSource::open(&golden("llama-tied")).unwrap();
    let new = ModelSource::open(&golden("qwen3-linear")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    let write = |config: &ModelSource, tensors: Vec<NamedTensor<'static>>| {
        export(&out, config.config(), &tokenizer(), tensors, Precision::F32)
    };
    write(&old, tensors(&old)).unwrap();

    let mut short = tensors(&new);
    short.remove(4);
    let absent = write(&new, short).unwrap_err().to_string();
    assert!(
        absent.contains("self_attn.v_proj.weight") && absent.contains("not given"),
        "{absent}"
    );
    let mut twice = tensors(&new);
    twice.push(twice[0].clone());
    assert!(
        write(&new, twice)
            .unwrap_err()
            .to_string()
            .contains("given twice")
    );
    let mut bent = tensors(&new);
    bent[3].1.reverse();
    assert!(
        write(&new, bent)
            .unwrap_err()
            .to_string()
            .contains("expected shape")
    );
    assert!(
        write(&new, tensors(&old))
            .unwrap_err()
            .to_string()
            .contains("expected shape")
    );

    let read = ModelSource::open(&out).unwrap();
    assert_eq!(read.config().architecture, old.config().architecture);
    assert_eq!(file_names(folder.path()), ["model"]);

    write(&new, tensors(&new)).unwrap();
    let read = ModelSource::open(&out).unwrap();
    assert_eq!(read.config().architecture, new.config().architecture);
    assert_eq!(file_names(folder.path()), ["model"]);
}

#[test]
fn a_folder_with_other_files_is_refused() {
    let source = ModelSource::open(&golden("llama-tied")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("thesis.tex"), "years of work").unwrap();
    let given = tensors(&source);
    let error = export(
        folder.path(),
        source.config(),
        &tokenizer(),
        given,
        Precision::F32,
    );
    let error = error.unwrap_err().to_string();
    assert!(error.contains("thesis.tex"), "{error}");
    assert_eq!(file_names(folder.path()), ["thesis.tex"]);
}

#[test]
fn too_small_a_vocabulary_is_refused() {
    let source = ModelSource::open(&golden("llama-tied")).unwrap();
    let mut config = source.config().clone();
    config.vocab_size = 3;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    let error = export(&out, &config, &tokenizer(), Vec::new(), Precision::F32).unwrap_err();
    assert!(error.to_string().contains("vocab_size"), "{error}");
    assert!(!out.exists());
}
