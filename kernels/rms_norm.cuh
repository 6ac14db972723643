// Sums over a row for rms_norm.cu, and its arithmetic on packs of elements.
#pragma once

#include "common.cuh"

// Elements of a pack: 16 bytes of w, and as many or half as many of a row.
constexpr int kPack = 4;

// The sums of a and of b over the `lanes` threads of a row, in each of them; the order is that of
// block_sum. All threads of the block must call it.
__device__ inline void row_sums(float& a, float& b, int lanes) {
    __shared__ float2 sums[kWarp];
    a = warp_sum(a);
    b = warp_sum(b);
    if (lanes == kWarp) return;
    __syncthreads();  // an earlier call's sums have been read
    if (threadIdx.x % kWarp == 0) sums[threadIdx.x / kWarp] = {a, b};
    __syncthreads();
    a = b = 0.0f;
    const float2* of_row = sums + threadIdx.x / lanes * (lanes / kWarp);
    for (int warp = 0; warp < lanes / kWarp; ++warp) {
        a += of_row[warp].x;
        b += of_row[warp].y;
    }
}

// The factor 1 / sqrt(mean square + eps) of a row from the sum of its squares, to within 4 ulp.
__device__ inline float inverse_rms(float squares, float inverse_dim, float eps) {
    return rsqrtf(fmaf(squares, inverse_dim, eps));
}

template <int N, typename T>
__device__ float sum_of_squares(const Pack<T, N>& x) {
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < N; ++i) squares += to_f32(x.at[i]) * to_f32(x.at[i]);
    return squares;
}

template <int N, typename T>
__device__ Pack<T, N> sum_of(const Pack<T, N>& x, const Pack<T, N>& delta) {
    Pack<T, N> sum;
#pragma unroll
    for (int i = 0; i < N; ++i) sum.at[i] = from_f32<T>(to_f32(x.at[i]) + to_f32(delta.at[i]));
    return sum;
}

template <int N, typename T>
__device__ Pack<T, N> scaled(const Pack<T, N>& x, const Pack<float, N>& w, float r) {
    Pack<T, N> y;
#pragma unroll
    for (int i = 0; i < N; ++i) y.at[i] = from_f32<T>(to_f32(x.at[i]) * r * w.at[i]);
    return y;
}

template <int N, typename T>
__device__ float weighted_dot(const Pack<T, N>& x, const Pack<T, N>& dy, const Pack<float, N>& w) {
    float dot = 0.0f;
#pragma unroll
    for (int i = 0; i < N; ++i) dot += w.at[i] * to_f32(dy.at[i]) * to_f32(x.at[i]);
    return dot;
}

__device__ inline void add_pack(Pack<float, kPack>& to, const Pack<float, kPack>& more) {
#pragma unroll
    for (int i = 0; i < kPack; ++i) to.at[i] += more.at[i];
}
