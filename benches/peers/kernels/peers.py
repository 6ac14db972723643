#!/usr/bin/env python3
"""Runs peers' kernels at given shapes and checks what comes out.

usage: peers.py simt|cuda [PEER AXES]...    (AXES: a workload's, as JSON)

Each peer is the project's own host code on tensors in bf16, from drawn numbers. On the virtual GPU (SIMT_PROFILE
names the file for the counts) torch's matrix products and sums over parts count as perfect ones, and what else it does
(fills, casts) is not counted, in the peer's favour. On a GPU the calls that count stand in NVTX ranges
`peer-0`, `peer-1` and so on, for a profiler.
"""

import functools
import json
import sys
import types

import common
from common import MULTIPROCESSORS, ON_GPU, bf16, counted, normal, on_cpu, same
from losses import info_nce, linear_cross_entropy, policy  # noqa: F401
from products import cublas, cute, linear  # noqa: F401
import torch


def rms(x, weight, eps):
    return x * (x.pow(2).mean(-1, keepdim=True) + eps).rsqrt() * weight


def rms_norm(rows, dim, eps):
    from liger_kernel.ops.rms_norm import rms_norm_forward
    x, weight = normal(rows, dim), normal(dim)
    y = counted(lambda: rms_norm_forward(x, weight, eps, 0.0, "llama", None))[0]
    same("rms_norm", y, rms(x.double(), weight.double(), eps))


def rms_norm_backward(rows, dim, eps):
    from liger_kernel.ops import rms_norm as liger
    x, weight, dy = normal(rows, dim), normal(dim), normal(rows, dim)
    wide = [t.double().requires_grad_() for t in (x, weight)]
    rms(*wide, eps).backward(dy.double())
    rstd = (x.float().pow(2).mean(-1) + eps).rsqrt()
    # On a tensor of the CPU it would launch one block.
    on_cpu(liger, "rms_norm_backward", "sm_count = 1\n", f"sm_count = {MULTIPROCESSORS}\n")
    block, warps = liger.calculate_settings(dim)
    dx, dw = counted(lambda: liger.rms_norm_backward(dy, x, weight, rstd, 0.0, 0, block, warps, False, None))
    same("dx", dx, wide[0].grad)
    same("dw", dw, wide[1].grad)


def add_rms_norm(rows, dim, eps):
    from liger_kernel.ops.fused_add_rms_norm import fused_add_rms_norm_forward
    x, residual, weight = normal(rows, dim), normal(rows, dim), normal(dim)
    y, s = counted(lambda: fused_add_rms_norm_forward(x, residual, weight, eps, 0.0, "llama"))[:2]
    total = (x + residual).double()
    same("sum", s, total)
    same("add_rms_norm", y, rms(total, weight.double(), eps))


def add_rms_norm_backward(rows, dim, eps):
    """To the gradient of the sum, as ours has it, is added what comes from behind it."""
    from liger_kernel.ops import fused_add_rms_norm as liger
    total, weight, dy, behind = normal(rows, dim), normal(dim), normal(rows, dim), normal(rows, dim)
    wide = [t.double().requires_grad_() for t in (total, weight)]
    rms(*wide, eps).backward(dy.double())
    rstd = (total.float().pow(2).mean(-1) + eps).rsqrt()
    on_cpu(liger, "fused_add_rms_norm_backward", "sm_count = 1\n", f"sm_count = {MULTIPROCESSORS}\n")
    block, warps = liger.calculate_settings(dim)
    dx, _, dw = counted(lambda: liger.fused_add_rms_norm_backward(dy, behind, total, weight, rstd, 0.0, 0, block, warps, 2,
                                                                  False))
    same("dx", dx, wide[0].grad + behind.double())
    same("dw", dw, wide[1].grad)


def swiglu(rows, intermediate):
    from liger_kernel.ops.swiglu import swiglu_forward
    a, b = normal(rows, intermediate), normal(rows, intermediate)
    c = counted(lambda: swiglu_forward(a, b))[-1]
    same("swiglu", c, torch.nn.functional.silu(a.double()) * b.double())


def swiglu_backward(rows, intermediate):
    from liger_kernel.ops.swiglu import swiglu_backward as backward
    a, b, dc = (normal(rows, intermediate) for _ in range(3))
    wide = [t.double().requires_grad_() for t in (a, b)]
    (torch.nn.functional.silu(wide[0]) * wide[1]).backward(dc.double())
    da, db = counted(backward, a, b, dc)
    same("da", da, wide[0].grad)
    same("db", db, wide[1].grad)


def rope(heads, tokens, positions):
    from liger_kernel.ops.rope import rope_forward
    del positions
    size = heads["head_dim"]
    q, k = (normal(1, heads[name], tokens, size) for name in ("num_heads", "num_kv_heads"))
    angles = torch.outer(torch.arange(tokens).float(), 1e4 ** (-torch.arange(0, size, 2) / size))
    cos, sin = (torch.cat([f(angles)] * 2, -1)[None].to(bf16) for f in (torch.cos, torch.sin))
    turned = torch.cat([-q[..., size // 2:], q[..., : size // 2]], -1)
    expected = q.double() * cos[:, None].double() + turned.double() * sin[:, None].double()
    # Models project to [tokens, heads, size] and turn the axes.
    q, k = (t.transpose(1, 2).contiguous().transpose(1, 2) for t in (q, k))
    same("rope", counted(rope_forward, q, k, cos, sin)[0], expected)


def attended(q, k, v, mask):
    """Attention in f64: q, k, v `[tokens, heads, size]`, true where `mask` `[queries, keys]` lets look."""
    group = q.shape[1] // k.shape[1]
    k, v = (t.repeat_interleave(group, 1) for t in (k, v))
    scores = torch.einsum("qhd,khd->hqk", q, k) * q.shape[-1] ** -0.5
    return torch.einsum("hqk,khd->qhd", scores.masked_fill(~mask, -torch.inf).softmax(-1), v)


def sequences(parts):
    """A tree of parts as whole sequences, every leaf with all that is above it: what has no trunks must read."""
    parents = {parent for _, parent in parts if parent is not None}
    lengths = []
    for leaf in (i for i in range(len(parts)) if i not in parents):
        length, at = 0, leaf
        while at is not None:
            length, at = length + parts[at][0], parts[at][1]
        lengths.append(length)
    return lengths


def drawn_attention(heads, parts):
    lengths = sequences(parts)
    size = heads["head_dim"]
    total = sum(lengths)
    q, k, v, do = (normal(1, total, heads[n], size) for n in ("num_heads", "num_kv_heads", "num_kv_heads", "num_heads"))
    bounds = torch.tensor([0, *lengths]).cumsum(0)
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    at = torch.arange(total)
    mask = (owner[:, None] == owner) & (at[:, None] >= at)
    wide = [t[0].double().requires_grad_() for t in (q, k, v)]
    expected = attended(*wide, mask)
    expected.backward(do[0].double())
    return q, k, v, do, bounds, expected, [w.grad for w in wide]


def flash(heads, parts):
    """FlashAttention-2 by torch, of one sequence or of many of one length."""
    lengths = sequences(parts)
    q, k, v, *_, expected, _ = drawn_attention(heads, parts)
    rows = [t[0].unflatten(0, (len(lengths), lengths[0])).transpose(1, 2).contiguous() for t in (q, k, v)]
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.FLASH_ATTENTION):
        o = counted(lambda: torch.nn.functional.scaled_dot_product_attention(*rows, is_causal=True, enable_gqa=True))
    same("attention", o.transpose(1, 2).flatten(0, 1), expected)


def flash_backward(heads, parts):
    lengths = sequences(parts)
    q, k, v, do, *_, gradients = drawn_attention(heads, parts)
    rows = [t[0].unflatten(0, (len(lengths), lengths[0])).transpose(1, 2).contiguous() for t in (q, k, v, do)]
    for row in rows[:3]:
        row.requires_grad_()
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.FLASH_ATTENTION):
        o = torch.nn.functional.scaled_dot_product_attention(*rows[:3], is_causal=True, enable_gqa=True)
    found = counted(lambda: torch.autograd.grad(o, rows[:3], rows[3], retain_graph=True))
    for name, got, want in zip(("dq", "dk", "dv"), found, gradients):
        same(name, got.transpose(1, 2).flatten(0, 1), want)


def fla():
    """flash-linear-attention asks torch about the GPU; the virtual one is an A100."""
    if not ON_GPU:
        torch.cuda.get_device_name = lambda *_: "NVIDIA A100-SXM4-80GB"
        torch.cuda.get_device_capability = lambda *_: (8, 0)
    import fla.ops.attn.parallel as parallel
    if not ON_GPU:
        parallel.check_shared_mem = lambda arch="none", *_: arch == "ampere"
    return parallel


def attention(heads, parts):
    q, k, v, _, bounds, expected, _ = drawn_attention(heads, parts)
    scale = heads["head_dim"] ** -0.5
    o, _ = counted(lambda: fla().parallel_attn_fwd(q, k, v, None, None, scale, None, bounds))
    same("attention", o[0], expected)


def attention_backward(heads, parts):
    parallel = fla()
    q, k, v, do, bounds, expected, gradients = drawn_attention(heads, parts)
    scale = heads["head_dim"] ** -0.5
    # The forward's launches are told from the backward's by name.
    o, lse = parallel.parallel_attn_fwd(q, k, v, None, None, scale, None, bounds)
    found = counted(lambda: parallel.parallel_attn_bwd(q, k, v, o, None, lse, do, None, scale, None, 128, bounds))
    for name, got, want in zip(("dq", "dk", "dv"), found, gradients):
        same(name, got[0], want)


def sglang():
    """SGLang's decoding attention without the rest of SGLang, which needs a GPU to be imported."""
    utils = types.ModuleType("sglang.srt.utils")
    utils.get_device_core_count = lambda *_: MULTIPROCESSORS
    for name in ("is_gfx95_supported", "is_gfx1250_supported", "is_hip", "is_cuda"):
        setattr(utils, name, lambda name=name: name == "is_cuda")
    environ = types.ModuleType("sglang.srt.environ")
    environ.envs = types.SimpleNamespace()
    for name in ("sglang", "sglang.srt", "sglang.kernels", "sglang.kernels.ops", "sglang.kernels.ops.attention"):
        module = types.ModuleType(name)
        module.__path__ = [f"{root}/{name.replace('.', '/')}" for root in sys.path]
        sys.modules[name] = module
    sys.modules.update({"sglang.srt.utils": utils, "sglang.srt.environ": environ})
    from sglang.kernels.ops.attention import decode_attention
    return decode_attention


def marlin(bits, **sizes):
    import marlin
    marlin.product(bits, **sizes)


marlin_int4, marlin_int8 = (functools.partial(marlin, bits) for bits in (4, 8))


def flashinfer(heads, trunk, sequences, new):
    import flash_infer
    assert new == 1 and trunk % flash_infer.PAGE == 0
    size, groups = heads["head_dim"], heads["num_kv_heads"]
    q = normal(len(sequences), heads["num_heads"], size)
    # Pages of the trunk, which all rows have, and then those of each row.
    shared = list(range(trunk // flash_infer.PAGE))
    pages, count = [], len(shared)
    for length in sequences:
        own = -(-length // flash_infer.PAGE)
        pages.append([*shared, *range(count, count + own)])
        count += own
    k, v = (normal(count, flash_infer.PAGE, groups, size) for _ in range(2))
    lengths = [trunk + length for length in sequences]
    o = flash_infer.decode(q, k, v, pages, lengths)
    for row, length in enumerate(lengths):
        look = torch.ones(1, length, dtype=torch.bool)
        keys, values = (t[pages[row]].flatten(0, 1)[:length].double() for t in (k, v))
        same("decode", o[row : row + 1], attended(q[row : row + 1].double(), keys, values, look))


def attention_combine(heads, trunk, sequences, new):
    assert new == 1
    size, groups = heads["head_dim"], heads["num_kv_heads"]
    rows, lengths = len(sequences), [trunk + length for length in sequences]
    q = normal(rows, heads["num_heads"], size)
    # A page a token, as SGLang's kernel has it; the trunk's are shared.
    own = [torch.arange(length) for length in sequences]
    starts = [trunk + sum(sequences[:i]) for i in range(rows)]
    pages = [torch.cat([torch.arange(trunk), start + tokens]) for start, tokens in zip(starts, own)]
    k, v = (normal(trunk + sum(sequences), groups, size) for _ in range(2))
    bounds = torch.tensor([0, *lengths]).cumsum(0).to(torch.int32)
    splits = 8
    o = torch.empty_like(q)
    logits = torch.empty(rows, heads["num_heads"], splits, size, dtype=torch.float32)
    lse = torch.empty(rows, heads["num_heads"], splits, dtype=torch.float32)
    counts = torch.full((rows,), splits, dtype=torch.int32)
    pages_of_all = torch.cat(pages).to(torch.int64)
    counted(lambda: sglang().decode_attention_fwd(q, k, v, o, bounds, pages_of_all, logits, lse, counts, splits,
                                                  size**-0.5, 1.0, 1.0))
    for row in range(rows):
        look = torch.ones(1, lengths[row], dtype=torch.bool)
        expected = attended(q[row : row + 1].double(), k[pages[row]].double(), v[pages[row]].double(), look)
        same("decode", o[row : row + 1], expected)


if __name__ == "__main__":
    if ON_GPU:
        torch.set_default_device("cuda")
    for name, axes in zip(sys.argv[2::2], sys.argv[3::2]):
        torch.manual_seed(0)
        try:
            globals()[name](**json.loads(axes))
        except (Exception, SystemExit) as error:
            # Others run in the same process.
            if not ON_GPU:
                raise
            print(f"peers: {name} at {axes}: {error}", file=sys.stderr)
        common.place += 1
