//! The names and shapes of a model's tensors, as Hugging Face's state dict has them.

use super::config::ModelConfig;

impl ModelConfig {
    /// Every tensor of the model in the order of computation: embedding, layers, final norm, and the
    /// head unless it is tied. A projection's weight is `[out_features, in_features]`.
    pub fn tensor_shapes(&self) -> impl Iterator<Item = (String, Vec<usize>)> + '_ {
        let table = vec![self.vocab_size, self.hidden_size];
        let first = ("model.embed_tokens.weight".to_owned(), table.clone());
        let norm = ("model.norm.weight".to_owned(), vec![self.hidden_size]);
        let head = (!self.tie_word_embeddings).then(|| ("lm_head.weight".to_owned(), table));
        std::iter::once(first)
            .chain((0..self.num_hidden_layers).flat_map(|layer| self.layer_shapes(layer)))
            .chain(std::iter::once(norm))
            .chain(head)
    }

    fn layer_shapes(&self, layer: usize) -> Vec<(String, Vec<usize>)> {
        let hidden = self.hidden_size;
        let queries = self.num_attention_heads * self.head_dim;
        let keys = self.num_key_value_heads * self.head_dim;
        let inner = self.intermediate_size;
        let mut shapes = Vec::new();
        let mut add = |name: &str, shape: Vec<usize>| {
            shapes.push((format!("model.layers.{layer}.{name}"), shape));
        };
        let mut projection = |name: &str, out: usize, input: usize, bias: bool| {
            add(&format!("{name}.weight"), vec![out, input]);
            if bias {
                add(&format!("{name}.bias"), vec![out]);
            }
        };
        projection("self_attn.q_proj", queries, hidden, self.attention_bias);
        projection("self_attn.k_proj", keys, hidden, self.attention_bias);
        projection("self_attn.v_proj", keys, hidden, self.attention_bias);
        projection(
            "self_attn.o_proj",
            hidden,
            queries,
            self.attention_output_bias,
        );
        projection("mlp.gate_proj", inner, hidden, self.mlp_bias);
        projection("mlp.up_proj", inner, hidden, self.mlp_bias);
        projection("mlp.down_proj", hidden, inner, self.mlp_bias);
        if self.qk_norm {
            add("self_attn.q_norm.weight", vec![self.head_dim]);
            add("self_attn.k_norm.weight", vec![self.head_dim]);
        }
        add("input_layernorm.weight", vec![hidden]);
        add("post_attention_layernorm.weight", vec![hidden]);
        shapes
    }
}
