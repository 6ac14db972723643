//! A Llama in plain f64, one sequence at a time: the formulas, and nothing of the engine.

use lrem::device::cpu::Cpu;
use lrem::model::{Model, ModelConfig, layout};
use std::collections::BTreeMap;

/// Tensors by their Hugging Face names.
#[derive(Clone)]
pub struct PlainLlama {
    config: ModelConfig,
    pub tensors: BTreeMap<String, Vec<f64>>,
}

impl PlainLlama {
    /// The weights of a model with a tied head and plain RoPE.
    pub fn of(model: &Model<Cpu>) -> PlainLlama {
        let mut tensors = BTreeMap::new();
        for (slot, parameter) in layout(&model.config).iter().zip(model.parameters.iter()) {
            for (name, _, range) in slot.tensors() {
                let values = &parameter.master().unwrap()[range];
                let wide = values.iter().copied().map(f64::from).collect();
                tensors.insert(name.to_string(), wide);
            }
        }
        PlainLlama {
            config: model.config.clone(),
            tensors,
        }
    }

    fn tensor(&self, layer: usize, name: &str) -> &[f64] {
        &self.tensors[&format!("model.layers.{layer}.{name}.weight")]
    }

    /// Last hidden state of every token, after the final norm.
    pub fn hidden(&self, ids: &[u32]) -> Vec<Vec<f64>> {
        let c = &self.config;
        let (h, d) = (c.hidden_size, c.head_dim);
        let table = &self.tensors["model.embed_tokens.weight"];
        let row = |&id: &u32| table[id as usize * h..][..h].to_vec();
        let mut x: Vec<Vec<f64>> = ids.iter().map(row).collect();
        for layer in 0..c.num_hidden_layers {
            let norm = self.tensor(layer, "input_layernorm");
            let normed: Vec<Vec<f64>> = x.iter().map(|x| self.norm(x, norm)).collect();
            let project = |name: &str, turns: bool| -> Vec<Vec<f64>> {
                let w = self.tensor(layer, name);
                let rows = normed.iter().enumerate();
                rows.map(|(t, x)| match turns {
                    true => self.rotate(t, &times(w, x)),
                    false => times(w, x),
                })
                .collect()
            };
            let q = project("self_attn.q_proj", true);
            let k = project("self_attn.k_proj", true);
            let v = project("self_attn.v_proj", false);
            let group = c.num_attention_heads / c.num_key_value_heads;
            for t in 0..ids.len() {
                let mut mixed = Vec::new();
                for head in 0..c.num_attention_heads {
                    let (own, of) = (head * d..(head + 1) * d, head / group * d);
                    let score = |s: usize| dot(&q[t][own.clone()], &k[s][of..of + d]);
                    let scores: Vec<f64> = (0..=t).map(|s| score(s) / (d as f64).sqrt()).collect();
                    let lse = log_sum_exp(&scores);
                    let mix = |i: usize| -> f64 {
                        (0..=t)
                            .map(|s| (scores[s] - lse).exp() * v[s][of + i])
                            .sum()
                    };
                    mixed.extend((0..d).map(mix));
                }
                add(
                    &mut x[t],
                    &times(self.tensor(layer, "self_attn.o_proj"), &mixed),
                );
            }
            for x in &mut x {
                let normed = self.norm(x, self.tensor(layer, "post_attention_layernorm"));
                let gate = times(self.tensor(layer, "mlp.gate_proj"), &normed);
                let up = times(self.tensor(layer, "mlp.up_proj"), &normed);
                let inner: Vec<f64> = gate
                    .iter()
                    .zip(&up)
                    .map(|(g, u)| g / (1.0 + (-g).exp()) * u)
                    .collect();
                add(x, &times(self.tensor(layer, "mlp.down_proj"), &inner));
            }
        }
        let last = &self.tensors["model.norm.weight"];
        x.iter().map(|x| self.norm(x, last)).collect()
    }

    /// Log-probability of `token` after a token with this hidden state.
    pub fn log_probability(&self, hidden: &[f64], token: u32) -> f64 {
        let logits = times(&self.tensors["model.embed_tokens.weight"], hidden);
        logits[token as usize] - log_sum_exp(&logits)
    }

    fn norm(&self, x: &[f64], w: &[f64]) -> Vec<f64> {
        let mean = dot(x, x) / x.len() as f64;
        let scale = 1.0 / (mean + f64::from(self.config.rms_norm_eps)).sqrt();
        x.iter().zip(w).map(|(x, w)| x * scale * w).collect()
    }

    /// Turns pairs `i`, `i + d/2` of every head by `position · θ^(−2i/d)`.
    fn rotate(&self, position: usize, x: &[f64]) -> Vec<f64> {
        let d = self.config.head_dim;
        let mut out = x.to_vec();
        for head in out.chunks_mut(d) {
            for i in 0..d / 2 {
                let theta = self.config.rope_theta;
                let angle = position as f64 * theta.powf(-2.0 * i as f64 / d as f64);
                let (a, b) = (head[i], head[i + d / 2]);
                head[i] = a * angle.cos() - b * angle.sin();
                head[i + d / 2] = b * angle.cos() + a * angle.sin();
            }
        }
        out
    }
}

fn times(w: &[f64], x: &[f64]) -> Vec<f64> {
    w.chunks(x.len()).map(|row| dot(row, x)).collect()
}

fn add(x: &mut [f64], y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub fn cosine(a: &[f64], b: &[f64]) -> f64 {
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

pub fn log_sum_exp(x: &[f64]) -> f64 {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    max + x.iter().map(|x| (x - max).exp()).sum::<f64>().ln()
}
