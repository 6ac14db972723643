// Linear + cross-entropy over the vocabulary: nll[i] = lse[i] − logit[i, target[i]], and its gradient,
// with tiles of logits in registers alone.
//
//   lce_forward    running log-sum-exp of every row over a slice of the vocabulary
//   lce_finish     lse and nll from the slices
//   lce_gradient   for a strip of the vocabulary, from logits computed again,
//                  g[i, v] = coefficient[i] · (exp(logit[i, v] − lse[i]) − [v = target[i]])
//   lce_gather, lce_scatter   rows with a coefficient to the front, and their gradients back
//
// The backward runs lce_gradient, then dhidden += g · w and dw += gᵀ · hidden (linear.cu), strip after
// strip; a strip is small enough to stay in L2.
//
// Source: Wijmans et al., "Cut Your Losses in Large-Vocabulary Language Models", arXiv 2411.09009
// (forward); Liger Kernel, arXiv 2410.10989 (backward in strips).
//
// Shapes    hidden [m, k] and w [n, k] of type T (w in its rounding); target [m]; partial [slices][m];
//           target_logit, lse, nll [m]; g [m, strip] of type T. The gradient's rows are gathered ones.
// Launch    lce_forward: grid (ceil(m / kM), slices); lce_gradient: grid ceil(m / kM) · ceil(strip /
//           kN); block P::kThreads; dynamic shared memory as in linear.cu. lce_finish: 32 rows, block 256.
//           The instances named `any` take every k, the others multiples of 16 bytes.
// Tiling    bf16 128 × 128 by 4 warps, steps of 32, 4 stages; f32 64 × 64. `few`, for at most 64 rows, bf16
//           32 × 128 by 2 warps, steps of 64, 3 stages; f32 16 × 64. The pipeline runs across the tiles of
//           a slice; slices are as many as fill a GPU where rows are few.
// Registers The sums and, for each of a thread's rows, maximum, sum and target.
// Global    lce_forward: hidden once for each slice and w ceil(m / kM) times, from L2 where blocks of
//           one slice share it; 8 · m · slices written. lce_gradient: g written once.
// Flops     2 · m · n · k forward, three times that backward; m · n exponentials each.
// Order     A thread's columns in rising order, then quads, warps and slices in theirs: bits repeat.
//           Columns of a thread are the same in `few` and for many rows, and slices follow from n alone, so
//           that a row's bits depend neither on the others nor on the GPU. Rows with coefficient 0 are not
//           computed.
//
// instance: lce_forward_bf16_few = lce_forward<Bf16Few>
// instance: lce_forward_bf16_wide = lce_forward<Bf16Wide>
// instance: lce_forward_bf16_any = lce_forward<Bf16Any>
// instance: lce_forward_f32_few = lce_forward<F32Few>
// instance: lce_forward_f32_wide = lce_forward<F32Wide>
// instance: lce_forward_f32_any = lce_forward<F32Any>
// instance: lce_finish = lce_finish<float>
// instance: lce_gradient_bf16_few = lce_gradient<Bf16Few>
// instance: lce_gradient_bf16_wide = lce_gradient<Bf16Wide>
// instance: lce_gradient_bf16_any = lce_gradient<Bf16Any>
// instance: lce_gradient_f32_few = lce_gradient<F32Few>
// instance: lce_gradient_f32_wide = lce_gradient<F32Wide>
// instance: lce_gradient_f32_any = lce_gradient<F32Any>
// instance: lce_gather_bf16 = lce_gather<__nv_bfloat16>
// instance: lce_gather_f32 = lce_gather<float>
// instance: lce_scatter_bf16 = lce_scatter<__nv_bfloat16>
// instance: lce_scatter_f32 = lce_scatter<float>

#include "log_sum.cuh"
#include "output.cuh"
#include "scratch.cuh"

constexpr Major kAlongDepth = Major::kDepth;
using Bf16Wide = Product<__nv_bfloat16, __nv_bfloat16, 128, 128, 32, 2, 2, 4, true, kAlongDepth, kAlongDepth>;
using Bf16Few = Product<__nv_bfloat16, __nv_bfloat16, 32, 128, 64, 1, 2, 3, true, kAlongDepth, kAlongDepth>;
using Bf16Any = Product<__nv_bfloat16, __nv_bfloat16, 64, 64, 64, 2, 2, 3, false, kAlongDepth, kAlongDepth>;
using F32Wide = Product<float, float, 64, 64, 32, 2, 2, 3, true, kAlongDepth, kAlongDepth>;
using F32Few = Product<float, float, 16, 64, 32, 1, 2, 3, true, kAlongDepth, kAlongDepth>;
using F32Any = Product<float, float, 64, 64, 32, 2, 2, 3, false, kAlongDepth, kAlongDepth>;

constexpr int kFinishWarps = 8;

// `slice` columns of the vocabulary, a multiple of kN, for each blockIdx.y.
template <class P>
__global__ void __launch_bounds__(P::kThreads)
    lce_forward(const typename P::A::Element* hidden, const typename P::A::Element* w,
                const unsigned* target, float2* partial, float* target_logit, int m, int n, int k,
                int slice) {
    extern __shared__ __align__(128) char shared[];
    const int row = blockIdx.x * P::kM, begin = blockIdx.y * slice;
    const int end = min(n, begin + slice);

    LogSum states[P::kI];
    int targets[P::kI];
#pragma unroll
    for (int i = 0; i < P::kI; ++i) {
        states[i] = {minus_infinity(), 0.0f};
        targets[i] = row + P::row(i) < m ? static_cast<int>(target[row + P::row(i)]) : -1;
        if (targets[i] >= end) targets[i] = -1;  // another slice's
    }
    multiply_tiles<P>(
        shared, {hidden, m, k}, {w, n, k}, row, begin, ceil_div(end - begin, P::kN), 0,
        ceil_div(k, P::kDepth), [&](typename P::Sums& logits, int column) {
            mask_columns<P>(logits, end - column);
#pragma unroll
            for (int i = 0; i < P::kI; ++i) take_in(states[i], logits[i], kLog2E);
#pragma unroll
            for (int i = 0; i < P::kI; ++i)
                if (targets[i] >= column && targets[i] < column + P::kN) {
                    bool mine = false;
                    float logit = 0.0f;
#pragma unroll
                    for (int j = 0; j < P::kJ; ++j)
                        if (column + P::column(j) == targets[i]) mine = true, logit = logits[i][j];
                    if (mine) target_logit[row + P::row(i)] = logit;
                }
        });
    merge_rows<P>(
        shared, states, [](LogSum a, LogSum b) { return merged(a, b, kLog2E); },
        [&](int r, LogSum state) {
            if (row + r < m) partial[static_cast<size_t>(blockIdx.y) * m + row + r] = {state.max, state.sum};
        });
}

template <typename T>
__global__ void __launch_bounds__(kFinishWarps * kWarp)
    lce_finish(const float2* partial, const T* target_logit, T* nll, T* lse, int m, int slices) {
    const int row = blockIdx.x * kWarp + threadIdx.x % kWarp;
    const LogSum state = merge_slices<kFinishWarps>(
        row < m, slices, LogSum{minus_infinity(), 0.0f},
        [](LogSum a, LogSum b) { return merged(a, b, kLog2E); },
        [&](int slice) {
            const float2 of = partial[static_cast<size_t>(slice) * m + row];
            return LogSum{of.x, of.y};
        });
    if (threadIdx.x >= kWarp || row >= m) return;
    const float tail = logf(state.sum);
    lse[row] = state.max + tail;
    nll[row] = state.max - target_logit[row] + tail;
}

// The strip's columns are [first, first + strip) of the vocabulary; row r was row rows[r] of all.
template <class P>
__global__ void __launch_bounds__(P::kThreads)
    lce_gradient(const typename P::A::Element* hidden, const typename P::A::Element* w,
                 const unsigned* target, const unsigned* rows, const float* lse,
                 const float* coefficient, typename P::A::Element* g, int m, int n, int k, int first,
                 int strip) {
    extern __shared__ __align__(128) char shared[];
    int tile_m, tile_n;
    place(blockIdx.x, ceil_div(m, P::kM), ceil_div(strip, P::kN), tile_m, tile_n);
    const int row = tile_m * P::kM;
    multiply_tiles<P>(
        shared, {hidden, m, k}, {w, n, k}, row, first + tile_n * P::kN, 1, 0, ceil_div(k, P::kDepth),
        [&](typename P::Sums& sums, int column) {
#pragma unroll
            for (int i = 0; i < P::kI; ++i) {
                const int r = row + P::row(i);
                const bool there = r < m;
                const float factor = there ? coefficient[r] : 0.0f, total = there ? lse[rows[r]] : 0.0f;
                const int hit = there ? static_cast<int>(target[r]) : -1;
#pragma unroll
                for (int j = 0; j < P::kJ; ++j) {
                    const float probability = exp2_flushed(kLog2E * (sums[i][j] - total));
                    sums[i][j] =
                        factor * (column + P::column(j) == hit ? probability - 1.0f : probability);
                }
            }
            write_sums<P>(shared, sums, nullptr, g, row, column - first, m, strip, false);
        });
}

// to[a] = from[rows[a]] for rows of k elements. Grid: rows; block: any.
template <typename T>
__global__ void lce_gather(const T* from, const unsigned* rows, T* to, int k) {
    const T* row = from + static_cast<size_t>(rows[blockIdx.x]) * k;
    for (int at = threadIdx.x; at < k; at += blockDim.x)
        to[static_cast<size_t>(blockIdx.x) * k + at] = row[at];
}

// to[i] = from[slots[i]], or zero where slots[i] is −1. Grid: rows of `to`; block: any. The `strip` elements of g are
// dropped.
template <typename T>
__global__ void lce_scatter(const float* from, const int* slots, const T* g, T* to, int k, long long strip) {
    discard(g, sizeof(T) * strip);
    const int slot = slots[blockIdx.x];
    for (int at = threadIdx.x; at < k; at += blockDim.x)
        to[static_cast<size_t>(blockIdx.x) * k + at] =
            from_f32<T>(slot < 0 ? 0.0f : from[static_cast<size_t>(slot) * k + at]);
}
