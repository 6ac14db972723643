// Products with a weight w[n, k], forward and both backward:
//
//   linear_nt   y[m, n]  = x · wᵀ + bias      or  y += …
//   linear_swiglu_nt
//               y[m, n]  = silu(x · gᵀ + …) ⊙ (x · uᵀ + …), the rows of w[2n, k] being g's, then u's (gated.cuh)
//   linear_nn   dx[m, k] = dy · w             or  dx += …
//   linear_tn   dw[n, k] += dyᵀ · x           over a part of the rows; add_parts joins the parts
//   row_sums    Σ of dy over some rows, for the bias; column_sums.cu joins them
//   round_to    a master weight in the type of the activations
//
// Shapes    In the kernel's own terms: C[m, n] = A · B over a depth of k. nt: A[m, k], B[n, k]; nn:
//           A[m, k], B[k, n]; tn: A[k, m], B[k, n]. A and B are of type T, bf16 or f32; C is of type O,
//           T or f32 (logits, sums, tn); bias f32 [n]. All row-major and dense. `by` in a name: the type
//           of B, where it is not A's. Gated, the n that a launch is given is that of B and of the bias, and C
//           has half as many columns.
// Launch    grid: ceil(m / kM) · ceil(n / kN), by `parts` in y for tn; block: P::kThreads; dynamic
//           shared memory: the stages, or the f32 tile of C where that is more. The instances named
//           `any` take every row length; for the others rows of A and B start at multiples of 16 bytes.
// Tiling    large   128 × 128 by 4 warps of 64 × 64, steps of 32 along the depth, 4 stages, 64 KiB,
//                   and 68 KiB for the tile of C
//           broad   128 × 96 by 4 warps of 64 × 48, steps of 32, 4 stages, 56 KiB: nt alone, where large tiles
//                   leave many multiprocessors without one
//           tall    128 × 64 by 4 warps of 64 × 32, steps of 64, 3 stages, 72 KiB: for rows and columns that
//                   fill a GPU with none of the others
//           medium  64 × 64 by 4 warps of 32 × 32, steps of 64, 3 stages, 48 KiB
//           skinny  16 × 16 by one warp, steps of 64, 8 stages, 32 KiB: for decoding. Bound by the
//                   weights, of which all blocks together keep 28 KiB each under way.
//           Blocks run through groups of 8 tiles along m, so that a wave of them shares what it reads.
//           Gated, half the rows of a tile of B are gates and half their ups: as many blocks, of tiles of C half
//           as wide.
// Registers The sums (large 128 a thread, broad 96, tall 64, medium and skinny 32 and 8), operands of one step of mma.
//           Gated, a thread holds gates and their ups and writes their product alone.
// Shared    Operands by cp.async, 16 bytes a copy, in swizzled tiles (tile.cuh): copies and ldmatrix
//           without bank conflicts. Then the tile of C in f32, rows 8 words apart modulo 32, so that
//           rows leave in whole packs of 16 bytes.
// Global    A is read ceil(n / kN) times and B ceil(m / kM) times, from L2 where the group's share
//           fits; C written once (and read once to accumulate). Gated, m · n elements, of the 5 · m · n that
//           a product and swiglu write, read and write.
// Flops     2 · m · n · k on tensor cores (bf16) or by fused multiply-adds (f32).
// Rounding  Sums and bias in f32, rounded once to O. Gated, gates and ups are rounded so, and what they make again:
//           the bits of linear_nt and then swiglu.
// Order     One chain along k for each element, whatever the tile and whatever m is: a row of y has
//           the same bits from each instance. So k is never split among warps or blocks in nt and nn:
//           a split would have to be repeated by the large tiles, in twice the registers. Skinny tiles
//           hide latency by their deep pipeline instead; their chain of k / 16 products, some 33 cycles
//           each, is shorter than the reading of the weights from n ≈ 2000 on (H100), and about 1 µs
//           more than it for n = 576, k = 1536. A weight's gradient, where no such promise is made, is
//           split among blocks by a rule that knows the shape alone.
//
// instance: linear_nt_bf16_large = linear<LargeNt, Bf16>
// instance: linear_nt_bf16_broad = linear<BroadNt, Bf16>
// instance: linear_nt_bf16_tall = linear<TallNt, Bf16>
// instance: linear_nt_bf16_medium = linear<MediumNt, Bf16>
// instance: linear_nt_bf16_skinny = linear<SkinnyNt, Bf16>
// instance: linear_nt_bf16_any = linear<AnyNt, Bf16>
// instance: linear_swiglu_nt_bf16_large = linear<Gated<LargeNt>, Bf16>
// instance: linear_swiglu_nt_bf16_tall = linear<Gated<TallNt>, Bf16>
// instance: linear_swiglu_nt_bf16_medium = linear<Gated<MediumNt>, Bf16>
// instance: linear_swiglu_nt_bf16_skinny = linear<Gated<SkinnyNt>, Bf16>
// instance: linear_swiglu_nt_bf16_any = linear<Gated<AnyNt>, Bf16>
// instance: logits_nt_bf16_large = linear<LargeNt, float>
// instance: logits_nt_bf16_broad = linear<BroadNt, float>
// instance: logits_nt_bf16_tall = linear<TallNt, float>
// instance: logits_nt_bf16_medium = linear<MediumNt, float>
// instance: logits_nt_bf16_skinny = linear<SkinnyNt, float>
// instance: logits_nt_bf16_any = linear<AnyNt, float>
// instance: linear_nn_bf16_large = linear<LargeNn, Bf16>
// instance: linear_nn_bf16_tall = linear<TallNn, Bf16>
// instance: linear_nn_bf16_medium = linear<MediumNn, Bf16>
// instance: linear_nn_bf16_any = linear<AnyNn, Bf16>
// instance: sums_nn_bf16_large = linear<LargeNn, float>
// instance: sums_nn_bf16_any = linear<AnyNn, float>
// instance: linear_tn_bf16_large = linear<LargeTn, float>
// instance: linear_tn_bf16_any = linear<AnyTn, float>
// instance: linear_nt_f32_medium = linear<F32Nt, float>
// instance: linear_nt_f32_any = linear<F32AnyNt, float>
// instance: linear_swiglu_nt_f32_medium = linear<Gated<F32Nt>, float>
// instance: linear_swiglu_nt_f32_any = linear<Gated<F32AnyNt>, float>
// instance: linear_nn_f32_medium = linear<F32Nn, float>
// instance: linear_nn_f32_any = linear<F32AnyNn, float>
// instance: linear_tn_f32_medium = linear<F32Tn, float>
// instance: linear_tn_f32_any = linear<F32AnyTn, float>
// instance: linear_nt_bf16_by_f32_medium = linear<Mixed<Bf16, float, true>, Bf16>
// instance: linear_nt_bf16_by_f32_any = linear<Mixed<Bf16, float, false>, Bf16>
// instance: logits_nt_bf16_by_f32_medium = linear<Mixed<Bf16, float, true>, float>
// instance: logits_nt_bf16_by_f32_any = linear<Mixed<Bf16, float, false>, float>
// instance: linear_nt_f32_by_bf16_medium = linear<Mixed<float, Bf16, true>, float>
// instance: linear_nt_f32_by_bf16_any = linear<Mixed<float, Bf16, false>, float>
// instance: row_sums_bf16 = row_sums<Bf16>
// instance: row_sums_f32 = row_sums<float>
// instance: round_bf16 = round_to<Bf16>
// instance: add_parts = add_parts<float>

#include "gated.cuh"
#include "scratch.cuh"

using Bf16 = __nv_bfloat16;
constexpr Major kDepth = Major::kDepth, kOuter = Major::kOuter;

template <Major a, Major b>
using Large = Product<Bf16, Bf16, 128, 128, 32, 2, 2, 4, true, a, b>;
template <Major a, Major b>
using Tall = Product<Bf16, Bf16, 128, 64, 64, 2, 2, 3, true, a, b>;
template <bool wide, Major a, Major b>
using Medium = Product<Bf16, Bf16, 64, 64, 64, 2, 2, 3, wide, a, b>;
template <bool wide, Major a, Major b>
using F32 = Product<float, float, 64, 64, 32, 2, 2, 3, wide, a, b>;

// Weights in another format than the activations.
template <typename TA, typename TB, bool wide>
using Mixed = Product<TA, TB, 64, 64, 32, 2, 2, 3, wide, kDepth, kDepth>;

using SkinnyNt = Product<Bf16, Bf16, 16, 16, 64, 1, 1, 8, true, kDepth, kDepth>;
using LargeNt = Large<kDepth, kDepth>;
using LargeNn = Large<kDepth, kOuter>;
using LargeTn = Large<kOuter, kOuter>;
using BroadNt = Product<Bf16, Bf16, 128, 96, 32, 2, 2, 4, true, kDepth, kDepth>;
using TallNt = Tall<kDepth, kDepth>;
using TallNn = Tall<kDepth, kOuter>;
using MediumNt = Medium<true, kDepth, kDepth>;
using MediumNn = Medium<true, kDepth, kOuter>;
using AnyNt = Medium<false, kDepth, kDepth>;
using AnyNn = Medium<false, kDepth, kOuter>;
using AnyTn = Medium<false, kOuter, kOuter>;
using F32Nt = F32<true, kDepth, kDepth>;
using F32Nn = F32<true, kDepth, kOuter>;
using F32Tn = F32<true, kOuter, kOuter>;
using F32AnyNt = F32<false, kDepth, kDepth>;
using F32AnyNn = F32<false, kDepth, kOuter>;
using F32AnyTn = F32<false, kOuter, kOuter>;

// `part_steps` steps of the depth for each of gridDim.y parts, whose results lie m · n apart. n: the columns of A · B,
// of which y has half as many where they are gated.
//
// Shared memory decides how many blocks there are at once, so the compiler may take all registers.
template <class P, typename O>
__global__ void __launch_bounds__(P::kThreads, 1)
    linear(const typename P::A::Element* a, const typename P::B::Element* b, const float* bias, O* y,
           int m, int n, int k, int part_steps, int accumulate) {
    extern __shared__ __align__(128) char shared[];
    using TA = typename P::A::Element;
    using TB = typename P::B::Element;
    const Matrix<TA> from_a = P::A::kAlong == kDepth ? Matrix<TA>{a, m, k} : Matrix<TA>{a, k, m};
    const Matrix<TB> from_b = P::B::kAlong == kDepth ? Matrix<TB>{b, n, k} : Matrix<TB>{b, k, n};
    const int columns = P::kGated ? n / 2 : n;
    int tile_m, tile_n;
    place(blockIdx.x, ceil_div(m, P::kM), ceil_div(columns, P::kN), tile_m, tile_n);
    const int row = tile_m * P::kM, start = blockIdx.y * part_steps * P::kDepth;
    y += static_cast<size_t>(blockIdx.y) * m * columns;

    multiply_tiles<P>(shared, from_a, from_b, row, tile_n * P::kN, 1, start, part_steps,
                      [&](const typename P::Sums& sums, int column) {
                          write_product<P>(shared, sums, bias, y, row, column, m, columns, accumulate);
                      });
}

// partial[b][c] = Σ x[r, c] over block b's `rows` rows of x[m, n]. Grid: (ceil(n / 32), ceil(m / rows));
// block: 256. Warp w adds rows w, w + 8, …, then the warps' sums are added in their order.
template <typename T>
__global__ void row_sums(const T* x, float* partial, int m, int n, int rows) {
    constexpr int kWarps = 8;
    __shared__ float sums[kWarps][kWarp];
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const int column = blockIdx.x * kWarp + lane, first = blockIdx.y * rows;
    float sum = 0.0f;
    if (column < n)
        for (int row = first + warp; row < min(m, first + rows); row += kWarps)
            sum += to_f32(x[static_cast<size_t>(row) * n + column]);
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && column < n) {
        for (int other = 1; other < kWarps; ++other) sum += sums[other][lane];
        partial[static_cast<size_t>(blockIdx.y) * n + column] = sum;
    }
}

// to[i] = from[i], rounded. Grid: ceil(count / 1024); block: 256 threads of 4 elements.
template <typename T>
__global__ void round_to(const float* from, T* to, size_t count) {
    const size_t at = (static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x) * 4;
    if (at + 4 <= count) {
        const auto four = load<4>(from + at);
        Pack<T, 4> out;
#pragma unroll
        for (int i = 0; i < 4; ++i) out.at[i] = from_f32<T>(four.at[i]);
        store<4>(to + at, out);
    } else {
        for (size_t i = at; i < count; ++i) to[i] = from_f32<T>(from[i]);
    }
}

// to[i] = Σ parts[p][i], in the order of p, on top of what was there where `accumulate` is 1. Grid and block:
// any, one thread an element. The parts are dropped.
template <typename T>
__global__ void add_parts(const float* parts, T* to, int count, int part_count, int accumulate) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float sum = accumulate ? to_f32(to[i]) : 0.0f;
    for (int p = 0; p < part_count; ++p) sum += parts[static_cast<size_t>(p) * count + i];
    to[i] = from_f32<T>(sum);
    if (count % kLineFloats == 0) discard_read(parts + i - threadIdx.x % kWarp, part_count, count);
}
