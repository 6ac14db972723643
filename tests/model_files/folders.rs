//! Hugging Face folders as transformers writes them.

use std::path::Path;

use lrem::model::{Architecture, ModelConfig, ModelSource, RopeScaling};

use crate::{GOLDEN, golden, raw_tensors};

#[test]
fn every_tensor_reads_as_it_was_written() {
    for name in GOLDEN {
        let source = ModelSource::open(&golden(name)).unwrap();
        let raw = raw_tensors(&golden(name).join("model.safetensors"));
        assert_eq!(source.config().tensor_shapes().count(), raw.len(), "{name}");
        assert_eq!(source.tensors().len(), raw.len(), "{name}");
        for (tensor, shape, values) in raw {
            assert!(source.has(&tensor));
            assert_eq!(
                source.tensor(&tensor, &shape).unwrap(),
                values,
                "{name} {tensor}"
            );
        }
    }
}

#[test]
fn shards_in_bf16_are_the_rounded_model() {
    let whole = ModelSource::open(&golden("qwen2-yarn")).unwrap();
    let shards = ModelSource::open(&golden("qwen2-sharded-bf16")).unwrap();
    assert_eq!(whole.config(), shards.config());
    for (name, shape) in whole.config().tensor_shapes() {
        let expected: Vec<f32> = whole.tensor(&name, &shape).unwrap();
        let expected: Vec<f32> = expected
            .iter()
            .map(|value| half::bf16::from_f32(*value).to_f32())
            .collect();
        assert_eq!(shards.tensor(&name, &shape).unwrap(), expected, "{name}");
    }
    assert!(shards.tensors().iter().all(|tensor| tensor.dtype == "BF16"));
}

#[test]
fn rope_tables_are_those_of_transformers() {
    for name in GOLDEN {
        let source = ModelSource::open(&golden(name)).unwrap();
        let half = source.config().head_dim / 2;
        let raw = raw_tensors(&golden(name).join("expected.safetensors"));
        let (_, shape, _) = raw.iter().find(|(tensor, ..)| tensor == "cos").unwrap();
        assert_eq!(shape[1], half);
        let (cos, sin) = source.config().rope_table(shape[0]);
        for (table, ours) in [("cos", cos), ("sin", sin)] {
            let (_, _, theirs) = raw.iter().find(|(tensor, ..)| tensor == table).unwrap();
            assert_eq!(ours.len(), theirs.len());
            for (ours, theirs) in ours.iter().zip(theirs) {
                // transformers rounds frequency and angle (below 20 radians) to f32 on the way.
                assert!(
                    (ours - theirs).abs() < 4e-6,
                    "{name} {table}: {ours} {theirs}"
                );
            }
        }
    }
}

#[test]
fn configurations_survive_writing_and_reading() {
    for name in GOLDEN {
        let source = ModelSource::open(&golden(name)).unwrap();
        let text = source.config().to_json("float32");
        let mut read = ModelConfig::from_json(Path::new("config.json"), &text).unwrap();
        read.generation = source.config().generation.clone();
        assert_eq!(&read, source.config(), "{name}");
    }
}

#[test]
fn what_the_configurations_say_is_understood() {
    let config = |name: &str| ModelSource::open(&golden(name)).unwrap().config().clone();
    let llama = config("llama-tied");
    assert_eq!(llama.architecture, Architecture::Llama);
    assert_eq!(
        (llama.num_attention_heads, llama.num_key_value_heads),
        (4, 2)
    );
    assert_eq!((llama.rms_norm_eps, llama.rope_theta), (1e-5, 10_000.0));
    assert_eq!(
        (llama.bos_token_id, llama.eos_token_ids),
        (Some(1), vec![2])
    );
    assert!(llama.tie_word_embeddings && !llama.attention_bias && !llama.qk_norm);
    let biases = config("llama-biases");
    assert!(biases.attention_bias && biases.attention_output_bias && biases.mlp_bias);
    let qwen2 = config("qwen2-yarn");
    assert!(qwen2.attention_bias && !qwen2.attention_output_bias && !qwen2.mlp_bias);
    let qwen3 = config("qwen3-linear");
    assert!(qwen3.qk_norm && !qwen3.attention_bias && qwen3.head_dim == 8);
    assert_eq!(qwen3.rope_scaling, RopeScaling::Linear { factor: 2.5 });
}

/// The spelling of transformers before version 5, and the shortcuts published files take.
#[test]
fn older_spellings_are_read() {
    let text = r#"{
        "model_type": "llama", "vocab_size": 128, "hidden_size": 32, "intermediate_size": 64,
        "num_hidden_layers": 1, "num_attention_heads": 4, "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "torch_dtype": "bfloat16",
        "eos_token_id": [100, 101, 102], "pad_token_id": null,
        "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192, "rope_type": "llama3"}
    }"#;
    let config = ModelConfig::from_json(Path::new("config.json"), text).unwrap();
    assert_eq!((config.num_key_value_heads, config.head_dim), (4, 8));
    assert_eq!(config.rope_theta, 500_000.0);
    assert_eq!(config.eos_token_ids, [100, 101, 102]);
    let scaling = RopeScaling::Llama3 {
        factor: 32.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 8192,
    };
    assert_eq!(config.rope_scaling, scaling);

    let yarn = text
        .replace("\"llama3\"", "\"yarn\"")
        .replace("rope_type", "type");
    let config = ModelConfig::from_json(Path::new("config.json"), &yarn).unwrap();
    assert!((config.rope_scaling.attention_factor() - (0.1 * 32f64.ln() + 1.0)).abs() < 1e-12);

    let stops = r#"{"eos_token_id": [102, 103], "temperature": 0.6}"#;
    let config = config
        .with_generation(Path::new("generation_config.json"), stops)
        .unwrap();
    assert_eq!(config.eos_token_ids, [100, 101, 102, 103]);
    assert_eq!(config.generation["temperature"], 0.6);
}
