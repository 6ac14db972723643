"""Makes the golden files of this folder; see README.md. Needs torch, transformers, safetensors, gguf.

    python3 tests/golden/make.py

Everything is drawn from fixed seeds; the files were made with the versions that README.md names.
"""

import shutil
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

HERE = Path(__file__).parent
TOKENS = 20
SIZES = dict(
    vocab_size=53,
    hidden_size=16,
    intermediate_size=14,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    rms_norm_eps=1e-5,
    rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    tie_word_embeddings=True,
    bos_token_id=1,
    eos_token_id=2,
)

# Frequency scalings have their parameters chosen so that the few frequencies fall in every band.
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 100.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 100.0,
    "factor": 4.0,
    "beta_fast": 8.0,
    "beta_slow": 1.0,
    "original_max_position_embeddings": 64,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5}

MODELS = {
    "llama-tied": (LlamaConfig, LlamaForCausalLM, {}),
    "llama3-untied": (
        LlamaConfig,
        LlamaForCausalLM,
        dict(
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            max_position_embeddings=512,
            tie_word_embeddings=False,
            rope_parameters=LLAMA3,
        ),
    ),
    "llama-biases": (
        LlamaConfig,
        LlamaForCausalLM,
        dict(
            num_hidden_layers=1,
            attention_bias=True,
            mlp_bias=True,
        ),
    ),
    "qwen2-yarn": (
        Qwen2Config,
        Qwen2ForCausalLM,
        dict(
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=256,
            rope_parameters=YARN,
        ),
    ),
    "qwen3-linear": (
        Qwen3Config,
        Qwen3ForCausalLM,
        dict(
            hidden_size=12,
            head_dim=8,
            tie_word_embeddings=False,
            rope_parameters=LINEAR,
        ),
    ),
}


def randomise(model, generator):
    """Weights large enough that every part matters to the logits; norms around 1."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name:
                parameter.copy_(1 + 0.3 * noise)
            elif name.endswith("bias"):
                parameter.copy_(0.3 * noise)
            elif "embed_tokens" in name:
                parameter.copy_(noise)
            else:
                parameter.copy_(noise * 1.2 / parameter.shape[1] ** 0.5)


def make_model(name, seed):
    config_class, model_class, changes = MODELS[name]
    config = config_class(**{**SIZES, **changes})
    config._attn_implementation = "eager"
    model = model_class(config).float().eval()
    generator = torch.Generator().manual_seed(seed)
    randomise(model, generator)
    ids = torch.randint(config.vocab_size, (TOKENS,), generator=generator)
    targets = torch.randint(config.vocab_size, (TOKENS,), generator=generator)
    output = model(ids[None], output_hidden_states=True)
    logits = output.logits[0]
    loss = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
    loss.backward()
    expected = {
        "input_ids": ids.int(),
        "targets": targets.int(),
        "hidden": output.hidden_states[-1][0].detach(),
        "logits": logits.detach(),
        "loss": loss.detach()[None],
    }
    cos, sin = model.model.rotary_emb(logits, torch.arange(TOKENS)[None])
    half = cos.shape[-1] // 2
    expected["cos"], expected["sin"] = cos[0, :, :half], sin[0, :, :half]
    for parameter, value in model.named_parameters():
        expected[f"grad.{parameter}"] = value.grad
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    save_file({k: v.contiguous() for k, v in expected.items()}, folder / "expected.safetensors")
    return model


def make_sharded(model):
    folder = HERE / "qwen2-sharded-bf16"
    shutil.rmtree(folder, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="4KB")


def make_quantised():
    """Blocks of every quantised type and what the gguf package makes of them."""
    random = np.random.default_rng(7)
    blocks = {}
    for name in ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]:
        values = random.standard_normal((3, 32), dtype=np.float32)
        blocks[name] = gguf.quantize(values, gguf.GGMLQuantizationType[name])
    # The package cannot quantise to these: random bytes under sane f16 scales, at their byte offsets.
    for name, scales in [("Q4_K", [0, 2]), ("Q5_K", [0, 2]), ("Q6_K", [208])]:
        _, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
        data = random.integers(0, 256, (2, size), dtype=np.uint8)
        for at in scales:
            scale = random.standard_normal((2, 1)).astype(np.float16)
            data[:, at : at + 2] = scale.view(np.uint8)
        blocks[name] = data
    golden = {}
    for name, data in blocks.items():
        kind = gguf.GGMLQuantizationType[name]
        golden[f"{name}.bytes"] = np.ascontiguousarray(data).reshape(-1)
        golden[f"{name}.values"] = gguf.dequantize(data, kind).astype(np.float32).reshape(-1)
    save_numpy(golden, HERE / "quantised.safetensors")


if __name__ == "__main__":
    for seed, name in enumerate(MODELS):
        model = make_model(name, seed)
        if name == "qwen2-yarn":
            make_sharded(model)
    make_quantised()
