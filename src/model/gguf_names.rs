//! GGUF's tensor names against Hugging Face's.

/// Names of the whole model: GGUF, Hugging Face.
const MODEL: [(&str, &str); 3] = [
    ("token_embd", "model.embed_tokens"),
    ("output_norm", "model.norm"),
    ("output", "lm_head"),
];

/// Names within layer `n`: after `blk.n.` and after `model.layers.n.`.
const LAYER: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// The GGUF name of a Hugging Face tensor.
pub(crate) fn to_gguf(name: &str) -> Option<String> {
    let (stem, kind) = name.rsplit_once('.')?;
    if let Some((gguf, _)) = MODEL.iter().find(|(_, hf)| *hf == stem) {
        return Some(format!("{gguf}.{kind}"));
    }
    let (layer, inner) = stem.strip_prefix("model.layers.")?.split_once('.')?;
    let (gguf, _) = LAYER.iter().find(|(_, hf)| *hf == inner)?;
    Some(format!("blk.{layer}.{gguf}.{kind}"))
}

/// The Hugging Face name of a GGUF tensor.
pub(crate) fn from_gguf(name: &str) -> Option<String> {
    let (stem, kind) = name.rsplit_once('.')?;
    if let Some((_, hf)) = MODEL.iter().find(|(gguf, _)| *gguf == stem) {
        return Some(format!("{hf}.{kind}"));
    }
    let (layer, inner) = stem.strip_prefix("blk.")?.split_once('.')?;
    let (_, hf) = LAYER.iter().find(|(gguf, _)| *gguf == inner)?;
    Some(format!("model.layers.{layer}.{hf}.{kind}"))
}
