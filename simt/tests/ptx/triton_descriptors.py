"""A matrix product through tensor descriptors (TMA) to PTX by Triton 3.9, no GPU needed: writes
triton_descriptors_sm90.ptx. `descriptors` takes each tensor map as a parameter of 128 bytes, then shape and strides."""
import pathlib
import re

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


@triton.jit
def descriptors(a, b, c, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    m, n = tl.program_id(0) * BM, tl.program_id(1) * BN
    acc = tl.zeros((BM, BN), tl.float32)
    for k in range(0, K, BK):
        acc = tl.dot(a.load([m, k]), b.load([k, n]), acc)
    c.store([m, n], acc.to(tl.bfloat16))


if __name__ == "__main__":
    signature = {"a": "tensordesc<bf16[128,64]>", "b": "tensordesc<bf16[64,128]>", "c": "tensordesc<bf16[128,128]>",
                 "K": "i32", "BM": "constexpr", "BN": "constexpr", "BK": "constexpr"}
    source = ASTSource(descriptors, signature=signature, constexprs={"BM": 128, "BN": 128, "BK": 64})
    kernel = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 4, "num_stages": 3})
    here = pathlib.Path(__file__).resolve().parent
    # Without the debug sections and folders, which tell where things lie.
    ptx = re.sub(r'(\.file\s+\d+ ")[^"]*/', r'\1', kernel.asm["ptx"].split("\t.section\t.debug")[0])
    (here / "triton_descriptors_sm90.ptx").write_text(ptx)
    print(kernel.metadata)
