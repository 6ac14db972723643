// Weighted sums of rows, by a list of terms for each output row, and the backward by a list for each
// row of x:
//
//   pool            out[i] (+)= Σ_j weights[j] · x[rows[j]], j in offsets[i] .. offsets[i+1]
//   pool_backward   dx[targets[i]] += Σ_j weights[j] · dout[rows[j]], j as above
//
// which are one kernel: row `targets[i]` of the output (i without targets) from the rows of the input.
//
// Shapes    in: rows of `hidden` elements of type I; out: of type O; offsets: [outputs + 1]; rows,
//           weights: [terms]; targets: [outputs] or null. Sums in f32.
// Launch    grid: (outputs, ceil(packs / block)) with packs = hidden / N, N elements of the wider type
//           in 16 bytes, or 1 where hidden is no multiple; block: any.
// Tiling    A thread sums one pack over the terms; neighbouring threads take neighbouring packs.
// Registers N sums.
// Shared    None.
// Global    terms + outputs rows, and one more for each output that is added to.
// Flops     2 · terms · hidden: bound by memory.
// Order     Terms rising, on top of what is there: bits repeat.
//
// instance: pool_f32_f32 = pool<float, float>
// instance: pool_bf16_f32 = pool<__nv_bfloat16, float>
// instance: pool_f32_bf16 = pool<float, __nv_bfloat16>
// instance: pool_bf16_bf16 = pool<__nv_bfloat16, __nv_bfloat16>

#include "common.cuh"

template <int N, typename I, typename O>
__device__ void sum_terms(const I* in, O* out, const unsigned* rows, const float* weights, int first,
                          int end, int hidden, int at, bool accumulate) {
    float sums[N] = {};
    if (accumulate) {
        const auto start = load<N>(static_cast<const O*>(out + at));
#pragma unroll
        for (int i = 0; i < N; ++i) sums[i] = to_f32(start.at[i]);
    }
    for (int j = first; j < end; ++j) {
        const auto row = load<N>(in + static_cast<size_t>(rows[j]) * hidden + at);
        const float weight = weights[j];
#pragma unroll
        for (int i = 0; i < N; ++i) sums[i] += weight * to_f32(row.at[i]);
    }
    Pack<O, N> total;
#pragma unroll
    for (int i = 0; i < N; ++i) total.at[i] = from_f32<O>(sums[i]);
    store<N>(out + at, total);
}

template <typename I, typename O>
__global__ void pool(const I* in, O* out, const unsigned* offsets, const unsigned* rows,
                     const float* weights, const unsigned* targets, int hidden, int accumulate) {
    constexpr int kPack = kWidest<I> < kWidest<O> ? kWidest<I> : kWidest<O>;
    const int pack = blockIdx.y * blockDim.x + threadIdx.x;
    const int first = offsets[blockIdx.x], end = offsets[blockIdx.x + 1];
    const size_t target = targets == nullptr ? blockIdx.x : targets[blockIdx.x];
    out += target * hidden;
    if (hidden % kPack == 0) {
        if (pack * kPack < hidden)
            sum_terms<kPack>(in, out, rows, weights, first, end, hidden, pack * kPack, accumulate);
    } else if (pack < hidden) {
        sum_terms<1>(in, out, rows, weights, first, end, hidden, pack, accumulate);
    }
}
