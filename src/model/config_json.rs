//! A model's configuration as Hugging Face's `config.json` and `generation_config.json`, in and out.

use super::config::{Architecture, ModelConfig};
use super::error::ModelError;
use super::json_fields::Fields;
use super::rope_scaling::RopeScaling;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The field that some of Hugging Face's models have for it.
const BIDIRECTIONAL: &str = "use_bidirectional_attention";
/// Of this project.
const LATENTS: &str = "latents";

impl ModelConfig {
    /// Reads the text of a `config.json`; `path` is only named in errors. Both spellings are read:
    /// `rope_theta` with `rope_scaling`, and the newer `rope_parameters`.
    pub fn from_json(path: &Path, text: &str) -> Result<Self, ModelError> {
        let json: Value = serde_json::from_str(text)
            .map_err(|error| ModelError::format(path, format!("not JSON: {error}")))?;
        let fields = Fields::new(path, "", &json)?;
        let model_type = fields.string("model_type")?;
        let architecture = model_type
            .and_then(Architecture::from_model_type)
            .ok_or_else(|| {
                fields.error(
                    "model_type",
                    format!("expected llama, qwen2 or qwen3, found {model_type:?}"),
                )
            })?;
        for (field, unsupported) in [
            ("use_sliding_window", fields.bool("use_sliding_window")?),
            (
                "hidden_act",
                Some(fields.string("hidden_act")?.unwrap_or("silu") != "silu"),
            ),
        ] {
            if unsupported == Some(true) {
                return Err(fields.error(field, "only full attention and `silu` are implemented"));
            }
        }
        let hidden_size = fields.size("hidden_size")?;
        let num_attention_heads = fields.size("num_attention_heads")?;
        let max_position_embeddings = fields.size("max_position_embeddings")?;
        let default_head_dim = match architecture {
            Architecture::Qwen3 => 128,
            _ => hidden_size / num_attention_heads.max(1),
        };
        let rope = match fields.object("rope_parameters")? {
            Some(rope) => Some(rope),
            None => fields.object("rope_scaling")?,
        };
        let rope_theta = match &rope {
            Some(rope) => rope.number("rope_theta")?,
            None => None,
        };
        let rope_theta = rope_theta
            .or(fields.number("rope_theta")?)
            .unwrap_or(10_000.0);
        let rope_scaling = match &rope {
            Some(rope) => RopeScaling::from_json(rope, max_position_embeddings)?,
            None => RopeScaling::None,
        };
        let attention_bias = fields.bool("attention_bias")?.unwrap_or(false);
        let config = Self {
            architecture,
            vocab_size: fields.size("vocab_size")?,
            hidden_size,
            intermediate_size: fields.size("intermediate_size")?,
            num_hidden_layers: fields.size("num_hidden_layers")?,
            num_attention_heads,
            num_key_value_heads: fields
                .optional_size("num_key_value_heads")?
                .unwrap_or(num_attention_heads),
            head_dim: fields
                .optional_size("head_dim")?
                .unwrap_or(default_head_dim),
            rms_norm_eps: fields.number("rms_norm_eps")?.unwrap_or(1e-6) as f32,
            rope_theta,
            rope_scaling,
            max_position_embeddings,
            tie_word_embeddings: fields.bool("tie_word_embeddings")?.unwrap_or(false),
            attention_bias: attention_bias || architecture == Architecture::Qwen2,
            attention_output_bias: attention_bias && architecture != Architecture::Qwen2,
            mlp_bias: architecture == Architecture::Llama
                && fields.bool("mlp_bias")?.unwrap_or(false),
            qk_norm: architecture == Architecture::Qwen3,
            bidirectional: fields.bool(BIDIRECTIONAL)?.unwrap_or(false),
            latents: fields.optional_size(LATENTS)?.unwrap_or(0),
            bos_token_id: fields.token_ids("bos_token_id")?.first().copied(),
            eos_token_ids: fields.token_ids("eos_token_id")?,
            pad_token_id: fields.token_ids("pad_token_id")?.first().copied(),
            generation: Map::new(),
        };
        config.check(path)?;
        Ok(config)
    }

    /// Adds the text of a `generation_config.json`: its end-of-sequence tokens join
    /// [`ModelConfig::eos_token_ids`], the rest is kept for export.
    pub fn with_generation(mut self, path: &Path, text: &str) -> Result<Self, ModelError> {
        let json: Value = serde_json::from_str(text)
            .map_err(|error| ModelError::format(path, format!("not JSON: {error}")))?;
        let fields = Fields::new(path, "", &json)?;
        for id in fields.token_ids("eos_token_id")? {
            if !self.eos_token_ids.contains(&id) {
                self.eos_token_ids.push(id);
            }
        }
        if let Some(id) = fields.token_ids("bos_token_id")?.first() {
            self.bos_token_id.get_or_insert(*id);
        }
        self.generation = fields.map().clone();
        Ok(self)
    }

    /// The text of a `config.json` that Hugging Face `transformers` loads, old and new versions:
    /// RoPE is written in both spellings. `torch_dtype` is `float32` or `bfloat16`.
    pub fn to_json(&self, torch_dtype: &str) -> String {
        let mut rope_parameters = self.rope_scaling.to_json();
        let rope_scaling = match self.rope_scaling {
            RopeScaling::None => Value::Null,
            _ => Value::Object(rope_parameters.clone()),
        };
        rope_parameters.insert("rope_theta".into(), json!(self.rope_theta));
        let eos = match self.eos_token_ids.as_slice() {
            [] => Value::Null,
            [id] => json!(id),
            ids => json!(ids),
        };
        let mut config = json!({
            "architectures": [self.architecture.class_name()],
            "model_type": self.architecture.model_type(),
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "rms_norm_eps": shortest_decimal(self.rms_norm_eps),
            "rope_theta": self.rope_theta,
            "rope_scaling": rope_scaling,
            "rope_parameters": rope_parameters,
            "max_position_embeddings": self.max_position_embeddings,
            "tie_word_embeddings": self.tie_word_embeddings,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": eos,
            "pad_token_id": self.pad_token_id,
            "torch_dtype": torch_dtype,
            "use_cache": true,
        });
        if self.bidirectional {
            config[BIDIRECTIONAL] = json!(true);
        }
        if self.latents > 0 {
            config[LATENTS] = json!(self.latents);
        }
        if self.architecture != Architecture::Qwen2 {
            config["attention_bias"] = json!(self.attention_bias);
        }
        if self.architecture == Architecture::Llama {
            config["mlp_bias"] = json!(self.mlp_bias);
        }
        format!("{config:#}\n")
    }
}

/// `1e-5_f32` as `1e-5`, not as the f64 nearest to the f32.
fn shortest_decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}
