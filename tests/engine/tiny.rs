//! A tiny random Llama with a byte-level tokenizer, as a folder on disk.

use lrem::device::cpu::{Cpu, Multiply};
use lrem::embed::{ModelFolder, NewTokens};
use lrem::model::{Model, ModelConfig};
use lrem::ops::philox::PhiloxStream;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

const CONFIG: &str = r#"{
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
  "hidden_size": 24, "intermediate_size": 20, "num_hidden_layers": 3, "num_attention_heads": 3,
  "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
  "rope_theta": 10000.0, "tie_word_embeddings": true, "vocab_size": 257, "eos_token_id": 256
}"#;

/// Writes the model, drawn from `seed`, to `folder`.
pub fn write(folder: &Path, seed: u64) {
    std::fs::write(folder.join("config.json"), CONFIG).unwrap();
    let config = ModelConfig::from_json(Path::new("config.json"), CONFIG).unwrap();
    let mut random = PhiloxStream::new(seed, 0);
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = config
        .tensor_shapes()
        .map(|(name, shape)| {
            let (len, last) = (shape.iter().product::<usize>(), shape[shape.len() - 1]);
            let mut draw = || match name.contains("norm") {
                true => 1.0 + 0.3 * random.normal(),
                false if name.contains("embed") => random.normal(),
                false => 1.2 * random.normal() / (last as f32).sqrt(),
            };
            let values: Vec<f32> = (0..len).map(|_| draw()).collect();
            (name, shape.to_vec(), bytemuck::cast_slice(&values).to_vec())
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (
            name,
            TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
        )
    });
    let path = folder.join("model.safetensors");
    safetensors::serialize_to_file(views, None, &path).unwrap();
    std::fs::write(folder.join("tokenizer.json"), tokenizer()).unwrap();
    let settings = r#"{"prompt": {"query_prefix": "Query: ", "query_suffix": " ->",
        "item_prefix": "Item: ", "item_suffix": "."}, "pooling": "emb", "budget": 5}"#;
    std::fs::write(folder.join("lrem.json"), settings).unwrap();
}

/// Byte-level BPE without merges: a token a byte, and the end-of-turn token.
fn tokenizer() -> String {
    let mut letters: Vec<char> = ByteLevel::alphabet().into_iter().collect();
    letters.sort_unstable();
    let vocabulary: Map<String, Value> = letters
        .iter()
        .zip(0..)
        .map(|(letter, id)| (letter.to_string(), Value::from(id)))
        .collect();
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false
    });
    let end = json!({
        "id": 256, "content": "<|im_end|>", "single_word": false, "lstrip": false,
        "rstrip": false, "normalized": false, "special": true
    });
    json!({
        "version": "1.0", "added_tokens": [end], "pre_tokenizer": byte_level,
        "decoder": byte_level, "model": {"type": "BPE", "vocab": vocabulary, "merges": []}
    })
    .to_string()
}

/// The model with its special tokens, in f32 products.
pub fn open(folder: &Path) -> (ModelFolder, Model<Cpu>) {
    let opened = ModelFolder::open(folder, &NewTokens::default()).unwrap();
    let device = Arc::new(Cpu::new(Multiply::F32));
    let model = opened.load(device, None, 256).unwrap();
    (opened, model)
}
