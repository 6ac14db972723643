//! The tensors of a decoder, as one tree that values, gradients and moments share.

use super::config::ModelConfig;

/// A linear layer's tensors.
#[derive(Clone, Debug)]
pub struct Projection<T> {
    /// `[outputs, inputs]`.
    pub weight: T,
    /// `[outputs]`.
    pub bias: Option<T>,
}

/// The tensors of one decoder layer.
#[derive(Clone, Debug)]
pub struct Layer<T> {
    /// `[hidden]`.
    pub attention_norm: T,
    /// Queries, keys and values stacked: `[q_dim + 2·kv_dim, hidden]`.
    pub qkv: Projection<T>,
    /// `[head_dim]` each (Qwen3).
    pub qk_norm: Option<(T, T)>,
    /// `[hidden, q_dim]`.
    pub output: Projection<T>,
    /// `[hidden]`.
    pub mlp_norm: T,
    /// Gate and up stacked: `[2·intermediate, hidden]`.
    pub gate_up: Projection<T>,
    /// `[hidden, intermediate]`.
    pub down: Projection<T>,
}

/// The tensors of a decoder.
#[derive(Clone, Debug)]
pub struct Parameters<T> {
    /// `[vocab, hidden]`; also the output head where the head is tied.
    pub embedding: T,
    /// The layers, first to last.
    pub layers: Vec<Layer<T>>,
    /// Final norm, `[hidden]`.
    pub norm: T,
    /// Untied output head, `[vocab, hidden]`.
    pub head: Option<T>,
}

impl<T> Projection<T> {
    fn try_map<'a, U, E>(
        &'a self,
        f: &mut impl FnMut(&'a T) -> Result<U, E>,
    ) -> Result<Projection<U>, E> {
        Ok(Projection {
            weight: f(&self.weight)?,
            bias: self.bias.as_ref().map(f).transpose()?,
        })
    }

    fn each_mut<'a>(&'a mut self, all: &mut Vec<&'a mut T>) {
        all.push(&mut self.weight);
        all.extend(self.bias.as_mut());
    }
}

impl<T> Parameters<T> {
    /// The same tree with `f` of every tensor, in the order of [`Parameters::iter`].
    pub fn try_map<'a, U, E>(
        &'a self,
        mut f: impl FnMut(&'a T) -> Result<U, E>,
    ) -> Result<Parameters<U>, E> {
        let f = &mut f;
        let embedding = f(&self.embedding)?;
        let mut layers = Vec::with_capacity(self.layers.len());
        for l in &self.layers {
            layers.push(Layer {
                attention_norm: f(&l.attention_norm)?,
                qkv: l.qkv.try_map(f)?,
                qk_norm: match &l.qk_norm {
                    None => None,
                    Some((q, k)) => Some((f(q)?, f(k)?)),
                },
                output: l.output.try_map(f)?,
                mlp_norm: f(&l.mlp_norm)?,
                gate_up: l.gate_up.try_map(f)?,
                down: l.down.try_map(f)?,
            });
        }
        Ok(Parameters {
            embedding,
            layers,
            norm: f(&self.norm)?,
            head: self.head.as_ref().map(f).transpose()?,
        })
    }

    /// The same tree with `f` of every tensor.
    pub fn map<'a, U>(&'a self, mut f: impl FnMut(&'a T) -> U) -> Parameters<U> {
        let mapped = self.try_map(|t| Ok::<U, std::convert::Infallible>(f(t)));
        match mapped {
            Ok(tree) => tree,
            Err(never) => match never {},
        }
    }

    /// Every tensor in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let mut all = Vec::new();
        self.map(|t| all.push(t));
        all.into_iter()
    }

    /// Every tensor in the order of [`Parameters::iter`].
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let mut all = vec![&mut self.embedding];
        for l in &mut self.layers {
            all.push(&mut l.attention_norm);
            l.qkv.each_mut(&mut all);
            if let Some((q, k)) = &mut l.qk_norm {
                all.extend([q, k]);
            }
            l.output.each_mut(&mut all);
            all.push(&mut l.mlp_norm);
            l.gate_up.each_mut(&mut all);
            l.down.each_mut(&mut all);
        }
        all.push(&mut self.norm);
        all.extend(self.head.as_mut());
        all.into_iter()
    }
}

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
    let c = config;
    let (q, kv) = (
        c.num_attention_heads * c.head_dim,
        c.num_key_value_heads * c.head_dim,
    );
    let projection = |layer: usize, names: &[(&str, usize)], columns: usize, bias: bool| {
        let parts = |suffix: &str| -> Vec<(String, usize)> {
            let full = |name: &str| format!("model.layers.{layer}.{name}.{suffix}");
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
    let table = |name: &str| Slot {
        parts: vec![(name.to_string(), c.vocab_size)],
        columns: c.hidden_size,
        matrix: true,
    };
    let layers = (0..c.num_hidden_layers)
        .map(|l| {
            let norm = |n: &str, len| Slot::vector(format!("model.layers.{l}.{n}.weight"), len);
            let (h, i) = (c.hidden_size, c.intermediate_size);
            Layer {
                attention_norm: norm("input_layernorm", h),
                qkv: projection(
                    l,
                    &[
                        ("self_attn.q_proj", q),
                        ("self_attn.k_proj", kv),
                        ("self_attn.v_proj", kv),
                    ],
                    h,
                    c.attention_bias,
                ),
                qk_norm: c.qk_norm.then(|| {
                    (
                        norm("self_attn.q_norm", c.head_dim),
                        norm("self_attn.k_norm", c.head_dim),
                    )
                }),
                output: projection(l, &[("self_attn.o_proj", h)], q, c.attention_output_bias),
                mlp_norm: norm("post_attention_layernorm", h),
                gate_up: projection(
                    l,
                    &[("mlp.gate_proj", i), ("mlp.up_proj", i)],
                    h,
                    c.mlp_bias,
                ),
                down: projection(l, &[("mlp.down_proj", h)], i, c.mlp_bias),
            }
        })
        .collect();
    Parameters {
        embedding: table("model.embed_tokens.weight"),
        layers,
        norm: Slot::vector("model.norm.weight".into(), c.hidden_size),
        head: (!c.tie_word_embeddings).then(|| table("lm_head.weight")),
    }
}
