//! A model's configuration and vocabulary out of GGUF metadata.

use super::config::{Architecture, ModelConfig};
use super::error::ModelError;
use super::gguf::Gguf;
use super::rope_scaling::RopeScaling;
use crate::text::GgufVocabulary;

impl ModelConfig {
    /// Reads the `<architecture>.*` keys; what they leave open (biases, a tied head) is told by which
    /// tensors are there.
    pub(crate) fn from_gguf(gguf: &Gguf) -> Result<Self, ModelError> {
        let name = gguf.string("general.architecture")?.unwrap_or_default();
        let architecture = Architecture::from_model_type(&name).ok_or_else(|| {
            gguf.error(
                "general.architecture",
                format!("expected llama, qwen2 or qwen3, found {name:?}"),
            )
        })?;
        let key = |key: &str| format!("{name}.{key}");
        let optional = |field: &str| -> Result<Option<usize>, ModelError> {
            let Some(value) = gguf.integer(&key(field))? else {
                return Ok(None);
            };
            let size = usize::try_from(value).map_err(|_| {
                gguf.error(
                    &key(field),
                    format!("expected a positive integer, found {value}"),
                )
            })?;
            Ok(Some(size))
        };
        let size = |field: &str| {
            optional(field)?.ok_or_else(|| gguf.error(&key(field), "the key is absent"))
        };
        if optional("expert_count")?.unwrap_or(0) > 0 {
            return Err(gguf.error(
                &key("expert_count"),
                "mixtures of experts are not implemented",
            ));
        }
        let hidden_size = size("embedding_length")?;
        let num_attention_heads = size("attention.head_count")?;
        let rotated = optional("rope.dimension_count")?;
        let head_dim = match optional("attention.key_length")?.or(rotated) {
            Some(head_dim) => head_dim,
            None => hidden_size / num_attention_heads.max(1),
        };
        for field in ["rope.dimension_count", "attention.value_length"] {
            if optional(field)?.is_some_and(|found| found != head_dim) {
                return Err(gguf.error(&key(field), format!("expected the head size, {head_dim}")));
            }
        }
        let embedding = gguf.tensor("token_embd.weight").ok_or_else(|| {
            ModelError::tensor(&gguf.path, "token_embd.weight", "the tensor is absent")
        })?;
        let has = |tensor: &str| gguf.tensor(tensor).is_some();
        let context = size("context_length")?;
        let rope_theta = gguf.number(&key("rope.freq_base"))?.unwrap_or(10_000.0);
        let mut config = Self {
            architecture,
            vocab_size: embedding.shape[0],
            hidden_size,
            intermediate_size: size("feed_forward_length")?,
            num_hidden_layers: size("block_count")?,
            num_attention_heads,
            num_key_value_heads: optional("attention.head_count_kv")?
                .unwrap_or(num_attention_heads),
            head_dim,
            rms_norm_eps: gguf
                .number(&key("attention.layer_norm_rms_epsilon"))?
                .unwrap_or(1e-6) as f32,
            rope_theta,
            rope_scaling: RopeScaling::None,
            max_position_embeddings: context,
            tie_word_embeddings: !has("output.weight"),
            attention_bias: has("blk.0.attn_q.bias"),
            attention_output_bias: has("blk.0.attn_output.bias"),
            mlp_bias: has("blk.0.ffn_gate.bias"),
            qk_norm: architecture == Architecture::Qwen3,
            bidirectional: false,
            latents: 0,
            bos_token_id: token_id(gguf, "bos_token_id")?,
            eos_token_ids: Vec::new(),
            pad_token_id: token_id(gguf, "padding_token_id")?,
            generation: serde_json::Map::new(),
        };
        for field in ["eos_token_id", "eot_token_id"] {
            if let Some(id) = token_id(gguf, field)?
                && !config.eos_token_ids.contains(&id)
            {
                config.eos_token_ids.push(id);
            }
        }
        config.check(&gguf.path)?;
        config.rope_scaling = match gguf.tensor("rope_freqs.weight") {
            Some(_) => llama3(gguf, &config)?,
            None => rope_scaling(gguf, &name, context)?,
        };
        Ok(config)
    }
}

fn token_id(gguf: &Gguf, field: &str) -> Result<Option<u32>, ModelError> {
    let id = gguf.integer(&format!("tokenizer.ggml.{field}"))?;
    // Some converters write the 32-bit -1 for "none".
    Ok(id
        .and_then(|id| u32::try_from(id).ok())
        .filter(|id| *id != u32::MAX))
}

fn rope_scaling(gguf: &Gguf, name: &str, context: usize) -> Result<RopeScaling, ModelError> {
    let key = |field: &str| format!("{name}.rope.{field}");
    let positive = |field: &str| -> Result<Option<f64>, ModelError> {
        match gguf.number(&key(field))? {
            Some(value) if !(value > 0.0 && value.is_finite()) => Err(gguf.error(
                &key(field),
                format!("expected a positive number, found {value}"),
            )),
            value => Ok(value),
        }
    };
    let kind = gguf.string(&key("scaling.type"))?;
    let factor = match positive("scaling.factor")? {
        Some(factor) => Some(factor),
        // The key of before 2023-10, always linear.
        None => positive("scale_linear")?,
    };
    match (kind.as_deref(), factor) {
        (None, None) | (Some("none"), _) => Ok(RopeScaling::None),
        (None | Some("linear"), Some(factor)) => Ok(RopeScaling::Linear { factor }),
        (Some("yarn"), Some(factor)) => {
            let original = gguf.integer(&key("scaling.original_context_length"))?;
            let original = original.and_then(|value| usize::try_from(value).ok());
            let ramp = RopeScaling::default_attention_factor(factor, 1.0);
            Ok(RopeScaling::Yarn {
                factor,
                original_max_position_embeddings: original.unwrap_or(context).max(1),
                beta_fast: positive("scaling.yarn_beta_fast")?.unwrap_or(32.0),
                beta_slow: positive("scaling.yarn_beta_slow")?.unwrap_or(1.0),
                attention_factor: ramp * positive("scaling.attn_factor")?.unwrap_or(1.0),
                truncate: true,
            })
        }
        (kind, factor) => Err(gguf.error(
            &key("scaling.type"),
            format!("expected none, linear or yarn with a factor, found {kind:?} with {factor:?}"),
        )),
    }
}

/// llama.cpp stores llama3 scaling as the tensor of what every frequency is divided by. The published
/// models share two of the formula's parameters, the others are found from the values.
fn llama3(gguf: &Gguf, config: &ModelConfig) -> Result<RopeScaling, ModelError> {
    let name = "rope_freqs.weight";
    let error = |message: String| Err(ModelError::tensor(&gguf.path, name, message));
    let half = config.head_dim / 2;
    let tensor = gguf.tensor(name).filter(|tensor| tensor.shape == [half]);
    let Some(tensor) = tensor else {
        return error(format!("expected shape [{half}]"));
    };
    let mut divisors = vec![0.0f32; half];
    gguf.decode(tensor, &mut divisors);
    let factor = divisors.iter().copied().fold(0.0f32, f32::max);
    if !(factor >= 1.0 && factor.is_finite()) {
        return error("expected divisors of at least 1".to_owned());
    }
    let plain = RopeScaling::None.frequencies(config.head_dim, config.rope_theta);
    for original in (4..=24).map(|power| 1usize << power) {
        let scaling = RopeScaling::Llama3 {
            factor: f64::from(factor),
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: original,
        };
        let scaled = scaling.frequencies(config.head_dim, config.rope_theta);
        let agrees =
            (plain.iter().zip(&scaled).zip(&divisors)).all(|((plain, scaled), divisor)| {
                (plain / scaled / f64::from(*divisor) - 1.0).abs() < 1e-4
            });
        if agrees {
            return Ok(scaling);
        }
    }
    error(
        "expected the divisors of llama3 scaling (low_freq_factor 1, high_freq_factor 4)"
            .to_owned(),
    )
}

/// The tokenizer's keys.
pub(crate) fn vocabulary(gguf: &Gguf) -> Result<GgufVocabulary, ModelError> {
    let key = |field: &str| format!("tokenizer.ggml.{field}");
    let flag = |field: &str| -> Result<Option<bool>, ModelError> {
        Ok(gguf.integer(&key(field))?.map(|value| value != 0))
    };
    let required = |field: &str| gguf.error(&key(field), "the key is absent");
    Ok(GgufVocabulary {
        model: gguf
            .string(&key("model"))?
            .ok_or_else(|| required("model"))?,
        pre: gguf.string(&key("pre"))?,
        tokens: gguf
            .strings(&key("tokens"))?
            .ok_or_else(|| required("tokens"))?,
        token_types: gguf.integers(&key("token_type"))?.unwrap_or_default(),
        scores: gguf.numbers(&key("scores"))?.unwrap_or_default(),
        merges: gguf.strings(&key("merges"))?.unwrap_or_default(),
        bos: token_id(gguf, "bos_token_id")?,
        eos: token_id(gguf, "eos_token_id")?,
        unknown: token_id(gguf, "unknown_token_id")?,
        padding: token_id(gguf, "padding_token_id")?,
        add_bos: flag("add_bos_token")?,
        add_space_prefix: flag("add_space_prefix")?,
        chat_template: gguf.string("tokenizer.chat_template")?,
    })
}
