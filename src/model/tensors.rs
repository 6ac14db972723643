//! What the tensors of a model are in its files: their names and shapes, as Hugging Face's state dict has
//! them.

use super::config::ModelConfig;
use super::parameters::{Latent, Layer, Parameters, Projection};
use crate::ops::linear::WeightFormat;

/// What the names of latent attention's tensors begin with.
pub(super) const LATENT: &str = "latent_attention";

/// The tensors with a row for every token.
pub(super) const BY_TOKEN: [&str; 2] = ["model.embed_tokens.weight", "lm_head.weight"];

/// What a tensor of [`Parameters`] is in a model's files: a stack of named tensors.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Hugging Face names and their rows, stacked from the top.
    pub parts: Vec<(String, usize)>,
    /// Columns; 0 for a vector, whose length is its rows.
    pub columns: usize,
    /// Whether the tensor is a factor of a product (and may be packed for inference).
    pub matrix: bool,
}

impl Slot {
    fn vector(name: String, len: usize) -> Slot {
        Slot {
            parts: vec![(name, len)],
            columns: 0,
            matrix: false,
        }
    }

    /// Number of rows over all parts.
    pub fn rows(&self) -> usize {
        self.parts.iter().map(|p| p.1).sum()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.rows() * self.columns.max(1)
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the tensor is of latent attention.
    pub fn is_latent(&self) -> bool {
        self.parts.iter().all(|(name, _)| name.starts_with(LATENT))
    }

    /// Whether rows of the tensor are looked up.
    pub fn is_table(&self) -> bool {
        self.parts.iter().all(|(name, _)| name == BY_TOKEN[0])
    }

    /// What the tensor is kept in where the others of a model are packed in `format`. Rows of tokens lose too much
    /// in int4: one by one they are a model's input, and its output.
    pub fn packed_in(&self, format: WeightFormat) -> WeightFormat {
        let by_token = |(name, _): &(String, usize)| BY_TOKEN.contains(&name.as_str());
        match format {
            WeightFormat::Int4 if self.parts.iter().all(by_token) => WeightFormat::Int8,
            format => format,
        }
    }

    /// Name and shape of every part.
    fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let named = |(name, shape, _): (&str, Vec<usize>, _)| (name.to_owned(), shape);
        self.tensors().into_iter().map(named).collect()
    }

    /// Name, shape and range of elements of every part.
    pub fn tensors(&self) -> Vec<(&str, Vec<usize>, std::ops::Range<usize>)> {
        let mut at = 0;
        let mut tensors = Vec::with_capacity(self.parts.len());
        for (name, rows) in &self.parts {
            let len = rows * self.columns.max(1);
            let shape = if self.columns == 0 {
                vec![*rows]
            } else {
                vec![*rows, self.columns]
            };
            tensors.push((name.as_str(), shape, at..at + len));
            at += len;
        }
        tensors
    }
}

/// The tensors that a model of this configuration has, with their names and shapes.
pub fn layout(config: &ModelConfig) -> Parameters<Slot> {
    let table = |name: &str, rows: usize| Slot {
        parts: vec![(name.to_string(), rows)],
        columns: config.hidden_size,
        matrix: true,
    };
    let layers = (0..config.num_hidden_layers).map(|l| layer(config, &format!("model.layers.{l}")));
    Parameters {
        embedding: table(BY_TOKEN[0], config.vocab_size),
        layers: layers.collect(),
        latent: (config.latents > 0).then(|| Latent {
            vectors: table(&format!("{LATENT}.vectors"), config.latents),
            layer: layer(&config.latent_layer(), LATENT),
        }),
        norm: Slot::vector("model.norm.weight".into(), config.hidden_size),
        head: (!config.tie_word_embeddings).then(|| table(BY_TOKEN[1], config.vocab_size)),
    }
}

/// The tensors of a layer, whose names begin with `prefix`.
fn layer(c: &ModelConfig, prefix: &str) -> Layer<Slot> {
    let projection = |names: &[(&str, usize)], columns: usize, bias: bool| {
        let parts = |suffix: &str| -> Vec<(String, usize)> {
            let full = |name: &str| format!("{prefix}.{name}.{suffix}");
            names.iter().map(|&(n, rows)| (full(n), rows)).collect()
        };
        Projection {
            weight: Slot {
                parts: parts("weight"),
                columns,
                matrix: true,
            },
            bias: bias.then(|| Slot {
                parts: parts("bias"),
                columns: 0,
                matrix: false,
            }),
        }
    };
    let norm = |n: &str, len| Slot::vector(format!("{prefix}.{n}.weight"), len);
    let (h, i) = (c.hidden_size, c.intermediate_size);
    let (q, kv) = (c.heads().q_dim(), c.heads().kv_dim());
    let qkv = [
        ("self_attn.q_proj", q),
        ("self_attn.k_proj", kv),
        ("self_attn.v_proj", kv),
    ];
    let gate_up = [("mlp.gate_proj", i), ("mlp.up_proj", i)];
    Layer {
        attention_norm: norm("input_layernorm", h),
        qkv: projection(&qkv, h, c.attention_bias),
        qk_norm: c.qk_norm.then(|| {
            (
                norm("self_attn.q_norm", c.head_dim),
                norm("self_attn.k_norm", c.head_dim),
            )
        }),
        output: projection(&[("self_attn.o_proj", h)], q, c.attention_output_bias),
        mlp_norm: norm("post_attention_layernorm", h),
        gate_up: projection(&gate_up, h, c.mlp_bias),
        down: projection(&[("mlp.down_proj", h)], i, c.mlp_bias),
    }
}

impl ModelConfig {
    /// Every tensor of the model's files, name and shape, in the order of [`Parameters::iter`]. A
    /// projection's weight is `[out_features, in_features]`. Layer by layer, as a file may claim any number of
    /// them.
    pub fn tensor_shapes(&self) -> impl Iterator<Item = (String, Vec<usize>)> {
        let rest = layout(&ModelConfig {
            num_hidden_layers: 0,
            ..self.clone()
        });
        let layers = (0..self.num_hidden_layers)
            .flat_map(|l| of_layer(layer(self, &format!("model.layers.{l}"))));
        let latent = rest.latent.into_iter().flat_map(|latent| {
            let vectors = latent.vectors.shapes();
            vectors.into_iter().chain(of_layer(latent.layer))
        });
        let head = rest.head.into_iter().flat_map(|head| head.shapes());
        let first = rest.embedding.shapes().into_iter().chain(layers);
        first.chain(latent).chain(rest.norm.shapes()).chain(head)
    }
}

/// Names and shapes of a layer's tensors.
fn of_layer(mut layer: Layer<Slot>) -> Vec<(String, Vec<usize>)> {
    let mut slots = Vec::new();
    layer.each_mut(&mut slots);
    slots.iter().flat_map(|slot| slot.shapes()).collect()
}
