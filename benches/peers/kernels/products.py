"""Products: Triton's tutorial's, cuBLAS's, and CuTe's tutorial's."""

import ctypes

from common import bf16, counted, normal, same
import torch
import triton
import triton.language as tl


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


def linear(m, n, k):
    a, weight = normal(m, k), normal(n, k)
    for tiling in TILINGS:
        same("matmul", counted(lambda: matmul(a, weight.t(), tiling)), a.double() @ weight.double().t())


def cublas(m, n, k):
    a, weight = normal(m, k), normal(n, k)
    same("matmul", counted(lambda: a @ weight.t()), a.double() @ weight.double().t())


# Of CuTe's: rows, columns and depth of a tile, stages, warps down and across.
CUTE_TILES = [(128, 128, 64, 3, 2, 2), (128, 64, 64, 3, 2, 2), (64, 64, 64, 4, 2, 2), (16, 64, 64, 6, 1, 4)]


def cute(m, n, k):
    import nvrtc
    kernels = [nvrtc.Program(cute_source(tile), [nvrtc.PEERS / "cutlass/include"]) for tile in CUTE_TILES]
    a, weight = normal(m, k), normal(n, k)
    expected = a.double() @ weight.double().t()
    for tile, kernel in zip(CUTE_TILES, kernels):
        rows, columns, depth, stages, down, across = tile
        if rows > max(m, 16):
            continue
        # It knows whole tiles only; rows beyond are zeros.
        padded = torch.zeros(-(-m // rows) * rows, k, dtype=bf16)
        padded[:m] = a
        c = torch.empty(padded.shape[0], n, dtype=bf16)
        sizes = [ctypes.c_int(x) for x in (c.shape[0], n, k)]
        counted(lambda: kernel(f"product_{rows}x{columns}", (c.shape[0] // rows, n // columns, 1), (32 * down * across, 1, 1),
                               [*sizes, padded, weight, c], 2 * stages * depth * (rows + columns)))
        same("matmul", c[:m], expected)


def cute_source(tile):
    """The tutorial's kernel, for another to call, and one that calls it with a tile."""
    import nvrtc
    tutorial = (nvrtc.PEERS / "cutlass/sgemm_sm80.cu").read_text()
    kernel = tutorial[tutorial.index("template <class ElementA,") : tutorial.index("template <class Alpha, class Beta>\n")]
    bounds = "__global__ static\n__launch_bounds__(decltype(size(TiledMma{}))::value)"
    assert bounds in kernel, "the tutorial has changed"
    own = (nvrtc.HERE / "cute.cu").read_text()
    return f"#include <cute/tensor.hpp>\n{kernel.replace(bounds, '__device__ static')}{own}PRODUCT{tile}\n"
