#!/usr/bin/env python3
"""Runs peers' kernels at given shapes and checks what comes out.

usage: peers.py simt|cuda [PEER AXES]...    (AXES: a workload's, as JSON)

Each peer is the project's own host code on tensors in bf16, from drawn numbers. On the virtual GPU (SIMT_PROFILE
names the file for the counts) what torch does beside the kernels (sums over parts, fills) is not counted, in the
peer's favour, and its matrix products count as perfect ones. On a GPU the calls that count stand in NVTX ranges
`peer-0`, `peer-1` and so on, for a profiler.
"""

import inspect
import json
import os
import sys
import types
from contextlib import nullcontext

ON_GPU = sys.argv[1] == "cuda"
if not ON_GPU:
    import on_simt  # noqa: F401  (before torch)
import torch
import triton
import triton.language as tl

MULTIPROCESSORS = torch.cuda.get_device_properties(0).multi_processor_count if ON_GPU else 108
bf16 = torch.bfloat16
place = 0


def counted(run, *tensors):
    """Runs what counts on tensors that it may write to."""
    if not ON_GPU:
        return run(*tensors)
    copies = [t.clone() for t in tensors]
    run(*(t.clone() for t in tensors))  # Compiles.
    torch.cuda.synchronize()
    torch.cuda.nvtx.range_push(f"peer-{place}")
    found = run(*copies)
    torch.cuda.synchronize()
    torch.cuda.nvtx.range_pop()
    return found


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float32).to(bf16)


def same(what, got, expected, tolerance=2e-2):
    got, expected = got.double(), expected.double()
    off = (got - expected).abs().max().item() / max(expected.abs().max().item(), 1e-30)
    if not off < tolerance:
        sys.exit(f"{what}: off by {off:.2e} of the largest number")


@triton.jit
def matmul_kernel(a, b, c, M, N, K, sam, sak, sbk, sbn, scm, scn, BM: tl.constexpr, BN: tl.constexpr,
                  BK: tl.constexpr, GROUP: tl.constexpr):
    """Triton's tutorial product: blocks in groups of rows, so that L2 holds what they share."""
    pid = tl.program_id(0)
    rows, columns = tl.cdiv(M, BM), tl.cdiv(N, BN)
    in_group = GROUP * columns
    first = (pid // in_group) * GROUP
    size = min(rows - first, GROUP)
    m = first + (pid % in_group) % size
    n = (pid % in_group) // size
    at_m = (m * BM + tl.arange(0, BM)) % M
    at_n = (n * BN + tl.arange(0, BN)) % N
    at_k = tl.arange(0, BK)
    a += at_m[:, None] * sam + at_k[None, :] * sak
    b += at_k[:, None] * sbk + at_n[None, :] * sbn
    sums = tl.zeros((BM, BN), dtype=tl.float32)
    for k in range(0, tl.cdiv(K, BK)):
        x = tl.load(a, mask=at_k[None, :] < K - k * BK, other=0.0)
        y = tl.load(b, mask=at_k[:, None] < K - k * BK, other=0.0)
        sums = tl.dot(x, y, sums)
        a += BK * sak
        b += BK * sbk
    at_m = m * BM + tl.arange(0, BM)
    at_n = n * BN + tl.arange(0, BN)
    inside = (at_m[:, None] < M) & (at_n[None, :] < N)
    tl.store(c + at_m[:, None] * scm + at_n[None, :] * scn, sums.to(c.dtype.element_ty), mask=inside)


# Rows and columns of a tile, depth, warps, stages.
TILINGS = [(128, 128, 32, 4, 4), (128, 64, 32, 4, 4), (64, 128, 32, 4, 4), (64, 64, 64, 4, 4), (64, 32, 64, 2, 5),
           (32, 64, 64, 2, 5), (32, 32, 64, 2, 5), (16, 64, 128, 2, 4), (16, 32, 128, 2, 4)]


def matmul(a, b, tiling):
    (m, k), n = a.shape, b.shape[1]
    c = torch.empty(m, n, dtype=bf16)
    bm, bn, bk, warps, stages = tiling
    grid = (triton.cdiv(m, bm) * triton.cdiv(n, bn),)
    matmul_kernel[grid](a, b, c, m, n, k, *a.stride(), *b.stride(), *c.stride(), BM=bm, BN=bn, BK=bk, GROUP=8,
                        num_warps=warps, num_stages=stages)
    return c


class Products(torch.utils._python_dispatch.TorchDispatchMode):
    """Notes the sizes of torch's matrix products beside the profile: they are cuBLAS's, whose kernels cannot run
    here, and count as perfect ones."""

    def __torch_dispatch__(self, function, kinds, args=(), kwargs=None):
        if function.overloadpacket is torch.ops.aten.mm:
            (m, k), n = args[0].shape, args[1].shape[1]
            with open(os.environ["SIMT_PROFILE"] + ".products", "a") as file:
                file.write(json.dumps({"m": m, "n": n, "k": k}) + "\n")
        return function(*args, **(kwargs or {}))


def linear(m, n, k):
    a, weight = normal(m, k), normal(n, k)
    for tiling in TILINGS:
        same("matmul", counted(lambda: matmul(a, weight.t(), tiling)), a.double() @ weight.double().t())


def cublas(m, n, k):
    a, weight = normal(m, k), normal(n, k)
    same("matmul", counted(lambda: a @ weight.t()), a.double() @ weight.double().t())


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
    if not ON_GPU:
        # On a tensor of the CPU it would launch one block.
        source = inspect.getsource(liger.rms_norm_backward)
        exec(source.replace("sm_count = 1\n", f"sm_count = {MULTIPROCESSORS}\n", 1), liger.__dict__)
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


def linear_cross_entropy(m, n, k):
    from liger_kernel.ops.fused_linear_cross_entropy import fused_linear_cross_entropy_forward as fused
    x, weight = normal(m, k), (normal(n, k).float() * k**-0.5).to(bf16)
    target = torch.randint(n, (m,))
    wide = [t.double().requires_grad_() for t in (x, weight)]
    expected = torch.nn.functional.cross_entropy(wide[0] @ wide[1].t(), target)
    expected.backward()
    x.requires_grad_()
    weight.requires_grad_()
    with torch.no_grad(), nullcontext() if ON_GPU else Products():
        found = counted(fused, x, weight, target)
    same("loss", found[0], expected)
    gradients = [g for g in found[1:] if isinstance(g, torch.Tensor) and g.dim() == 2]
    for gradient, of in zip(gradients, wide, strict=True):
        same("gradient", gradient, of.grad)


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
        place += 1
