"""Attention through tensor descriptors, and a product of f8, to PTX for sm_90a by Triton 3.9, no GPU needed: writes
triton_attention_sm90.ptx and triton_f8_sm90.ptx. Each tensor map is a parameter of 128 bytes, then shape and strides."""
import pathlib
import re

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


@triton.jit
def attention(q, k, v, o, scale, N, BM: tl.constexpr, BN: tl.constexpr, D: tl.constexpr):
    row = tl.program_id(0) * BM
    query = q.load([row, 0])
    most = tl.full((BM,), float("-inf"), tl.float32)
    sum = tl.zeros((BM,), tl.float32)
    acc = tl.zeros((BM, D), tl.float32)
    for n in range(0, N, BN):
        scores = tl.dot(query, k.load([n, 0]).T) * scale
        new = tl.maximum(most, tl.max(scores, 1))
        p = tl.exp2(scores - new[:, None])
        old = tl.exp2(most - new)
        sum = sum * old + tl.sum(p, 1)
        acc = tl.dot(p.to(tl.bfloat16), v.load([n, 0]), acc * old[:, None])
        most = new
    o.store([row, 0], (acc / sum[:, None]).to(tl.bfloat16))


@triton.jit
def f8(a, b, c, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    m, n = tl.program_id(0) * BM, tl.program_id(1) * BN
    acc = tl.zeros((BM, BN), tl.float32)
    for k in range(0, K, BK):
        acc = tl.dot(a.load([m, k]), b.load([n, k]).T, acc, max_num_imprecise_acc=0)
    c.store([m, n], acc)


def build(kernel, to, signature, constants):
    source = ASTSource(kernel, signature=signature | dict.fromkeys(constants, "constexpr"), constexprs=constants)
    built = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 4, "num_stages": 2})
    here = pathlib.Path(__file__).resolve().parent
    # Without the debug sections and folders, which tell where things lie.
    ptx = re.sub(r'(\.file\s+\d+ ")[^"]*/', r'\1', built.asm["ptx"].split("\t.section\t.debug")[0])
    (here / to).write_text(ptx)
    print(to, built.metadata.shared, built.metadata.tensordesc_meta)


if __name__ == "__main__":
    tensor = {name: "tensordesc<bf16[64,64]>" for name in "qkvo"}
    build(attention, "triton_attention_sm90.ptx", tensor | {"scale": "fp32", "N": "i32"}, {"BM": 64, "BN": 64, "D": 64})
    tensor = {"a": "tensordesc<fp8e4nv[128,128]>", "b": "tensordesc<fp8e4nv[128,128]>", "c": "tensordesc<fp32[128,128]>"}
    build(f8, "triton_f8_sm90.ptx", tensor | {"K": "i32"}, {"BM": 128, "BN": 128, "BK": 128})
