"""Marlin's products with weights of 4 and of 8 bits, a scale for every 32 of a column (Frantar et al., arXiv 2408.11743),
from SGLang's sources; tiles, threads and blocks as its host code chooses them."""

import ctypes

import nvrtc
import torch
from common import MULTIPROCESSORS, bf16, counted, normal, same

GROUP = 32
STAGES = 4
# What an A100 lends a block: the host code asks for all of it.
SHARED = 163 * 1024
# Depth and columns of a tile and threads, the first that fits, for up to 16 rows and for more.
FEW = [(128, 128, 256), (64, 128, 128), (128, 64, 128)]
MANY = [(64, 256, 256), (64, 128, 128), (128, 64, 128)]
INTEGERS = nvrtc.integers("uint8", "uint16", "uint32", "uint64", "int32", "int64")
# What the kernel needs of its host's headers.
STUBS = {
    "sgl_kernel/utils.cuh": f"""#pragma once
        {INTEGERS}
        #include <cuda/std/type_traits>
        {nvrtc.STD}
        #include <cuda_bf16.h>
        #include <cuda_fp16.h>
        #include <cuda_fp8.h>
        using fp16_t = __half;
        using fp16x2_t = __half2;
        using bf16_t = __nv_bfloat16;
        using bf16x2_t = __nv_bfloat162;
        namespace sglang {{
        template <typename A, typename B>
        constexpr __host__ __device__ A div_ceil(A a, B b) {{ return (a + b - 1) / b; }}
        }}
        """,
    "sgl_kernel/scalar_type.hpp": """#pragma once
        #include "utils.cuh"
        namespace sglang::host {
        using ScalarTypeId = int;
        struct ScalarType {
            int of;  // its bits, and which of as many
            static constexpr ScalarType from_id(ScalarTypeId of) { return {of}; }
            constexpr ScalarTypeId id() const { return of; }
            constexpr int size_bits() const { return of % 16; }
            constexpr bool operator==(const ScalarType& other) const { return of == other.of; }
            constexpr bool operator!=(const ScalarType& other) const { return of != other.of; }
        };
        constexpr ScalarType kU4{4}, kU4B8{16 + 4}, kFE2M1f{32 + 4}, kU8{8}, kU8B128{16 + 8}, kFE4M3fn{32 + 8}, kFE8M0fnu{48 + 8};
        }
        """,
    "iostream": "",
}


def tile_of(m, n, k):
    tiles = MANY if m > 16 else FEW
    return next(tile for tile in tiles if k % tile[0] == 0 and n % tile[1] == 0)


def program(bits, m, depth, columns, threads):
    folder = nvrtc.PEERS / "sglang/marlin"
    kernel = (folder / "marlin_template.h").read_text()
    # A kernel of ours with a name calls it.
    declared = "__global__ void Marlin(\n    const int4* __restrict__ A,               // fp16"
    assert declared in kernel, "Marlin has changed"
    kernel = kernel.replace(declared, declared.replace("__global__", "__device__"))
    kind, rows = {4: "kU4B8", 8: "kU8B128"}[bits], min(-(-m // 16), 4)
    instance = (f"bf16_t, host::{kind}.id(), {threads}, {rows}, {columns // 16}, {depth // 16}, {str(m <= 8).lower()}, "
                f"{STAGES}, {GROUP // 16}, false")
    source = f"""{kernel}
        using namespace sglang;
        extern "C" __global__ void __launch_bounds__({threads})
        marlin(const int4* a, const int4* b, int4* c, int4* c_tmp, const int4* scales, int groups, int m, int n, int k,
               int* locks) {{
            device::marlin::Marlin<{instance}>(a, b, c, c_tmp, scales, nullptr, nullptr, nullptr, groups, m, n, k, k,
                                               locks, false, true, {SHARED});
        }}
        """
    return nvrtc.Program(source, [nvrtc.written(folder / "cut", STUBS), folder])


def packed(q, bits):
    """Whole numbers `[k, n]` as a lane of Marlin's reads them: tiles of 16 by 64, of which a thread has the fragments of
    four products in a row, whole numbers in the order in which they are taken out of a word."""
    k, n = q.shape
    lane = torch.arange(32)
    row, column = lane % 4 * 2, lane // 4
    # Rows of a fragment of 16 by 8, then the two of them.
    rows = torch.stack([row, row + 1, row + 8, row + 9] * 2, 1)
    columns = torch.stack([column + 8 * (i // 4) for i in range(8)], 1)
    order = torch.tensor([0, 2, 4, 6, 1, 3, 5, 7] if bits == 4 else [0, 2, 1, 3, 4, 6, 5, 7])
    tiles = q.reshape(k // 16, 16, n // 16, 16).permute(0, 2, 1, 3)  # [k / 16, n / 16, 16, 16]
    mine = tiles[:, :, rows, columns][..., order]  # [k / 16, n / 16, 32, 8]
    # A thread's four tiles of 64 columns lie together.
    mine = mine.reshape(k // 16, n // 64, 4, 32, 8).permute(0, 1, 3, 2, 4).reshape(k // 16, -1)
    words = mine.reshape(k // 16, -1, 32 // bits).to(torch.int64)
    shifts = bits * torch.arange(32 // bits)
    words = (words << shifts).sum(-1)
    return torch.where(words >= 2**31, words - 2**32, words).to(torch.int32).contiguous()


def product(bits, m, n, k):
    depth, columns, threads = tile_of(m, n, k)
    kernel = program(bits, m, depth, columns, threads)
    a, zero = normal(m, k), 2 ** (bits - 1)
    q = torch.randint(0, 2 * zero, (k, n))
    scales = (0.5 + torch.rand(k // GROUP, n)).to(bf16) / 64
    # Columns of a product's fragments side by side.
    order = torch.tensor([i + 8 * j for i in range(8) for j in range(8)])
    b, s = packed(q, bits), scales.reshape(-1, 64)[:, order].reshape(scales.shape).contiguous()
    c = torch.empty(m, n, dtype=bf16)
    most = min(-(-m // 16) * 16, 64)
    parts = torch.empty(MULTIPROCESSORS * most * 256, dtype=torch.float32)
    locks = torch.zeros(MULTIPROCESSORS * 16, dtype=torch.int32)
    sizes = [ctypes.c_int(x) for x in (k // GROUP, m, n, k)]
    counted(lambda: kernel("marlin", (MULTIPROCESSORS, 1, 1), (threads, 1, 1), [a, b, c, parts, s, *sizes, locks],
                           SHARED))
    weight = (q - zero).double() * scales.double().repeat_interleave(GROUP, 0)
    same("marlin", c, a.double() @ weight)

