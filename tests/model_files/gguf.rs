//! GGUF files: the golden models as llama.cpp's converter lays them out, and noise.

use std::path::PathBuf;

use lrem::model::{Architecture, ModelConfig, ModelSource, RopeScaling};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::gguf_writer::{GgufWriter, Value};
use crate::{GOLDEN, golden};

/// llama.cpp's name of a Hugging Face tensor.
fn gguf_name(name: &str) -> String {
    let pairs = [
        ("model.embed_tokens.", "token_embd."),
        ("model.norm.", "output_norm."),
        ("lm_head.", "output."),
        ("model.layers.", "blk."),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
    ];
    (pairs.iter()).fold(name.to_owned(), |name, (hf, gguf)| name.replace(hf, gguf))
}

/// convert_hf_to_gguf's `permute`: `[heads, 2, head_dim/2, columns]` to `[heads, head_dim/2, 2, columns]`.
fn permuted(values: &[f32], head_dim: usize, columns: usize) -> Vec<f32> {
    let rows = values.len() / columns;
    let source = |row: usize| {
        let (head, within) = (row / head_dim, row % head_dim);
        head * head_dim + within % 2 * (head_dim / 2) + within / 2
    };
    let row = |row: usize| &values[source(row) * columns..][..columns];
    (0..rows).flat_map(|r| row(r).to_vec()).collect()
}

/// How a test sets the tokenizer of a file with this many tokens.
pub type SetTokenizer<'a> = &'a dyn Fn(&mut GgufWriter, usize);

/// A byte-level vocabulary as GPT-2 spells bytes: letters, digits and space, and some merges.
pub fn byte_level(pre: &str) -> impl Fn(&mut GgufWriter, usize) {
    move |writer, size| {
        let special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
        let mut tokens: Vec<String> = special.map(str::to_owned).to_vec();
        tokens.extend(
            "abcdefghijklmnopqrstuvwxyz0123456789Ġ"
                .chars()
                .map(|c| c.to_string()),
        );
        tokens.extend(["Ġa", "ab", "Ġab", "12", "Ġ1", "ĠĠ"].map(str::to_owned));
        let mut types = vec![1; size];
        types[..3].fill(3);
        types[tokens.len()..].fill(5);
        tokens.extend((tokens.len()..size).map(|id| format!("[PAD{id}]")));
        let merges = ["a b", "Ġ ab", "Ġ a", "1 2", "Ġ 1", "Ġ Ġ"];
        writer
            .set("tokenizer.ggml.model", Value::String("gpt2"))
            .set("tokenizer.ggml.pre", Value::String(pre))
            .set("tokenizer.ggml.tokens", Value::Strings(tokens))
            .set("tokenizer.ggml.token_type", Value::I32s(types))
            .set(
                "tokenizer.ggml.merges",
                Value::Strings(merges.map(str::to_owned).to_vec()),
            )
            .set("tokenizer.ggml.add_bos_token", Value::Bool(false))
            .set("tokenizer.ggml.bos_token_id", Value::U32(1))
            .set("tokenizer.ggml.eos_token_id", Value::U32(2));
    }
}

/// A SentencePiece vocabulary in which `ab` and `bc` have these scores.
pub fn sentence_piece(ab: f32, bc: f32) -> impl Fn(&mut GgufWriter, usize) {
    move |writer, size| {
        let mut tokens = [
            "<unk>", "<s>", "</s>", "<0xC3>", "<0xA9>", "▁", "a", "b", "c", "▁a", "ab", "bc", "▁ab",
        ]
        .map(str::to_owned)
        .to_vec();
        let mut types = vec![2, 3, 3, 6, 6, 1, 1, 1, 1, 1, 1, 1, 1];
        let mut scores = vec![
            0.0, 0.0, 0.0, 0.0, 0.0, -9.0, -9.0, -9.0, -9.0, -3.0, ab, bc, -4.0,
        ];
        types.resize(size, 5);
        scores.resize(size, -10.0);
        tokens.extend((tokens.len()..size).map(|id| format!("[PAD{id}]")));
        writer
            .set("tokenizer.ggml.model", Value::String("llama"))
            .set("tokenizer.ggml.tokens", Value::Strings(tokens))
            .set("tokenizer.ggml.token_type", Value::I32s(types))
            .set("tokenizer.ggml.scores", Value::F32s(scores))
            .set("tokenizer.ggml.unknown_token_id", Value::U32(0))
            .set("tokenizer.ggml.bos_token_id", Value::U32(1))
            .set("tokenizer.ggml.eos_token_id", Value::U32(2));
    }
}

/// A golden model as a GGUF file.
pub fn convert(name: &str, set_tokenizer: SetTokenizer) -> (Vec<u8>, ModelSource) {
    let source = ModelSource::open(&golden(name)).unwrap();
    let config = source.config();
    let mut writer = GgufWriter::default();
    let architecture = config.architecture.model_type();
    writer.set("general.architecture", Value::String(architecture));
    let sizes = [
        ("context_length", config.max_position_embeddings),
        ("embedding_length", config.hidden_size),
        ("block_count", config.num_hidden_layers),
        ("feed_forward_length", config.intermediate_size),
        ("attention.head_count", config.num_attention_heads),
        ("attention.head_count_kv", config.num_key_value_heads),
        ("attention.key_length", config.head_dim),
    ];
    for (key, size) in sizes {
        writer.set(&format!("{architecture}.{key}"), Value::U32(size as u32));
    }
    let key = |key: &str| format!("{architecture}.{key}");
    writer
        .set(
            &key("attention.layer_norm_rms_epsilon"),
            Value::F32(config.rms_norm_eps),
        )
        .set(&key("rope.freq_base"), Value::F32(config.rope_theta as f32));
    match config.rope_scaling {
        RopeScaling::None => {}
        RopeScaling::Linear { factor } => {
            writer
                .set(&key("rope.scaling.type"), Value::String("linear"))
                .set(&key("rope.scaling.factor"), Value::F32(factor as f32));
        }
        RopeScaling::Yarn {
            factor,
            original_max_position_embeddings,
            ..
        } => {
            writer
                .set(&key("rope.scaling.type"), Value::String("yarn"))
                .set(&key("rope.scaling.factor"), Value::F32(factor as f32))
                .set(&key("rope.scaling.yarn_beta_fast"), Value::F32(8.0))
                .set(
                    &key("rope.scaling.original_context_length"),
                    Value::U32(original_max_position_embeddings as u32),
                );
        }
        RopeScaling::Llama3 { .. } => {
            let plain = RopeScaling::None.frequencies(config.head_dim, config.rope_theta);
            let scaled = config
                .rope_scaling
                .frequencies(config.head_dim, config.rope_theta);
            let divisors: Vec<f32> = plain
                .iter()
                .zip(scaled)
                .map(|(plain, scaled)| (plain / scaled) as f32)
                .collect();
            writer.tensor("rope_freqs.weight", &[divisors.len()], &divisors);
        }
    }
    set_tokenizer(&mut writer, config.vocab_size);
    for (name, shape) in config.tensor_shapes() {
        let mut values = source.tensor(&name, &shape).unwrap();
        let rotated = name.contains("q_proj") || name.contains("k_proj");
        if config.architecture == Architecture::Llama && rotated {
            values = permuted(&values, config.head_dim, shape.get(1).copied().unwrap_or(1));
        }
        writer.tensor(&gguf_name(&name), &shape, &values);
    }
    (writer.finish(), source)
}

pub fn write(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[test]
fn a_converted_model_reads_as_the_original() {
    for name in GOLDEN {
        let (bytes, original) = convert(name, &byte_level("smollm"));
        let (_folder, path) = write(&bytes);
        let gguf = ModelSource::open(&path).unwrap();
        let expected = ModelConfig {
            generation: gguf.config().generation.clone(),
            ..original.config().clone()
        };
        assert_eq!(gguf.config(), &expected, "{name}");
        for (tensor, shape) in original.config().tensor_shapes() {
            let expected = original.tensor(&tensor, &shape).unwrap();
            assert_eq!(
                gguf.tensor(&tensor, &shape).unwrap(),
                expected,
                "{name} {tensor}"
            );
        }
        assert!(
            gguf.tensors()
                .iter()
                .any(|t| t.name == "model.layers.0.mlp.up_proj.weight")
        );
    }
}

/// Reads everything that a file offers; errors are fine, panics and absurd allocations are not.
fn read_all(bytes: &[u8]) {
    let (_folder, path) = write(bytes);
    match ModelSource::open(&path) {
        Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error}"),
        Ok(source) => {
            for (name, shape) in source.config().tensor_shapes() {
                source.tensor(&name, &shape).unwrap();
            }
            match source.tokenizer() {
                Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error}"),
                Ok(tokenizer) => {
                    let _ = tokenizer.encode("ab 12 <|im_end|> é");
                }
            }
        }
    }
}

fn valid_files() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec![
        convert("llama3-untied", &byte_level("qwen2")).0,
        convert("qwen2-yarn", &sentence_piece(-1.0, -2.0)).0,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn truncated_files_are_errors(file in valid_files(), cut in any::<prop::sample::Index>()) {
        let file = &file[..cut.index(file.len())];
        let (_folder, path) = write(file);
        let error = ModelSource::open(&path).err().expect("a truncated file was opened");
        prop_assert_eq!(error.to_string().lines().count(), 1);
        prop_assert!(error.to_string().contains("model.gguf"));
    }

    /// Most of a file is tensor data, where flips do no harm: three of four fall on the header.
    #[test]
    fn flipped_bytes_never_panic(
        mut file in valid_files(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..4, any::<u8>()), 1..4),
    ) {
        for (at, anywhere, value) in flips {
            let end = if anywhere == 0 { file.len() } else { 3000.min(file.len()) };
            let at = at.index(end);
            file[at] = value;
        }
        read_all(&file);
    }
}
