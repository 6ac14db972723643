//! Stretching RoPE's frequencies beyond the trained context, by the formulas of Hugging Face's
//! `modeling_rope_utils`, in f64.

use std::f64::consts::PI;

use serde_json::{Map, Value, json};

use super::error::ModelError;
use super::json_fields::Fields;

/// How the frequencies `theta^(-2i/head_dim)` are changed.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// As trained.
    None,
    /// Every frequency divided by `factor` (position interpolation, Chen et al., arXiv 2306.15595).
    Linear { factor: f64 },
    /// Llama 3.1: low frequencies divided by `factor`, high ones kept, a linear blend between.
    Llama3 {
        factor: f64,
        low_freq_factor: f64,
        high_freq_factor: f64,
        original_max_position_embeddings: usize,
    },
    /// YaRN (Peng et al., arXiv 2309.00071).
    Yarn {
        factor: f64,
        original_max_position_embeddings: usize,
        beta_fast: f64,
        beta_slow: f64,
        /// Multiplies cosines and sines; [`RopeScaling::default_attention_factor`] where unstated.
        attention_factor: f64,
        /// Round the blend's range to whole dimensions.
        truncate: bool,
    },
}

impl RopeScaling {
    /// YaRN's `0.1 · mscale · ln(factor) + 1`.
    pub fn default_attention_factor(factor: f64, mscale: f64) -> f64 {
        if factor <= 1.0 {
            1.0
        } else {
            0.1 * mscale * factor.ln() + 1.0
        }
    }

    pub(crate) fn from_json(
        rope: &Fields,
        max_position_embeddings: usize,
    ) -> Result<Self, ModelError> {
        if rope.number("partial_rotary_factor")?.unwrap_or(1.0) != 1.0 {
            return Err(rope.error("partial_rotary_factor", "only 1 is implemented"));
        }
        let kind = match rope.string("rope_type")? {
            Some(kind) => kind,
            None => rope.string("type")?.unwrap_or("default"),
        };
        let positive = |field: &str, default: Option<f64>| {
            let value = rope.number(field)?.or(default);
            value
                .filter(|value| *value > 0.0 && value.is_finite())
                .ok_or_else(|| {
                    rope.error(
                        field,
                        format!("expected a positive number, found {value:?}"),
                    )
                })
        };
        let original_max_position_embeddings = rope
            .optional_size("original_max_position_embeddings")?
            .unwrap_or(max_position_embeddings)
            .max(1);
        match kind {
            "default" => Ok(Self::None),
            "linear" => Ok(Self::Linear {
                factor: positive("factor", None)?,
            }),
            "llama3" => {
                let low_freq_factor = positive("low_freq_factor", Some(1.0))?;
                let high_freq_factor = positive("high_freq_factor", Some(4.0))?;
                if high_freq_factor <= low_freq_factor {
                    return Err(rope.error(
                        "high_freq_factor",
                        format!("expected more than low_freq_factor ({low_freq_factor}), found {high_freq_factor}"),
                    ));
                }
                Ok(Self::Llama3 {
                    factor: positive("factor", None)?,
                    low_freq_factor,
                    high_freq_factor,
                    original_max_position_embeddings,
                })
            }
            "yarn" => {
                let ratio =
                    max_position_embeddings as f64 / original_max_position_embeddings as f64;
                let factor = positive("factor", Some(ratio))?;
                let default = match (rope.number("mscale")?, rope.number("mscale_all_dim")?) {
                    (Some(mscale), Some(all)) if mscale != 0.0 && all != 0.0 => {
                        Self::default_attention_factor(factor, mscale)
                            / Self::default_attention_factor(factor, all)
                    }
                    _ => Self::default_attention_factor(factor, 1.0),
                };
                Ok(Self::Yarn {
                    factor,
                    original_max_position_embeddings,
                    beta_fast: positive("beta_fast", Some(32.0))?,
                    beta_slow: positive("beta_slow", Some(1.0))?,
                    attention_factor: positive("attention_factor", Some(default))?,
                    truncate: rope.bool("truncate")?.unwrap_or(true),
                })
            }
            other => Err(rope.error(
                "rope_type",
                format!("expected default, linear, llama3 or yarn, found {other:?}"),
            )),
        }
    }

    /// The entries of `rope_scaling` (without `rope_theta`).
    pub(crate) fn to_json(&self) -> Map<String, Value> {
        let value = match self {
            Self::None => json!({ "rope_type": "default" }),
            Self::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
            Self::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_max_position_embeddings,
            }),
            Self::Yarn {
                factor,
                original_max_position_embeddings,
                beta_fast,
                beta_slow,
                attention_factor,
                truncate,
            } => json!({
                "rope_type": "yarn",
                "factor": factor,
                "original_max_position_embeddings": original_max_position_embeddings,
                "beta_fast": beta_fast,
                "beta_slow": beta_slow,
                "attention_factor": attention_factor,
                "truncate": truncate,
            }),
        };
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// Radians per position, `[head_dim/2]`.
    pub fn frequencies(&self, head_dim: usize, rope_theta: f64) -> Vec<f64> {
        let half = head_dim / 2;
        let plain = (0..half).map(|i| rope_theta.powf(-2.0 * i as f64 / head_dim as f64));
        match *self {
            Self::None => plain.collect(),
            Self::Linear { factor } => plain.map(|f| f / factor).collect(),
            Self::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => plain
                .map(|f| {
                    // Turns made inside the original context, blended between the two bounds.
                    let turns = original_max_position_embeddings as f64 * f / (2.0 * PI);
                    let keep = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    let keep = keep.clamp(0.0, 1.0);
                    (1.0 - keep) * f / factor + keep * f
                })
                .collect(),
            Self::Yarn {
                factor,
                original_max_position_embeddings,
                beta_fast,
                beta_slow,
                truncate,
                ..
            } => {
                let context = original_max_position_embeddings as f64;
                let dimension = |turns: f64| {
                    head_dim as f64 * (context / (turns * 2.0 * PI)).ln() / (2.0 * rope_theta.ln())
                };
                let (mut low, mut high) = (dimension(beta_fast), dimension(beta_slow));
                if truncate {
                    (low, high) = (low.floor(), high.ceil());
                }
                let low = low.max(0.0);
                let mut high = high.min(head_dim as f64 - 1.0);
                if low == high {
                    high += 0.001;
                }
                plain
                    .enumerate()
                    .map(|(i, f)| {
                        let interpolate = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
                        interpolate * f / factor + (1.0 - interpolate) * f
                    })
                    .collect()
            }
        }
    }

    /// What cosines and sines are multiplied by: 1 except for YaRN.
    pub fn attention_factor(&self) -> f64 {
        match *self {
            Self::Yarn {
                attention_factor, ..
            } => attention_factor,
            _ => 1.0,
        }
    }
}
