// What kernels share: vector loads and reductions.
#pragma once

#include <cuda_bf16.h>

constexpr int kWarp = 32;

__host__ __device__ constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

// N consecutive elements, moved by one instruction of up to 16 bytes. The address must be aligned to
// their size together.
template <typename T, int N>
struct alignas(sizeof(T) * N) Pack {
    T at[N];
};

// Elements in 16 bytes, the widest load of a thread.
template <typename T>
constexpr int kWidest = 16 / sizeof(T);

template <int N, typename T>
__device__ Pack<T, N> load(const T* from) {
    return *reinterpret_cast<const Pack<T, N>*>(from);
}

template <int N, typename T>
__device__ void store(T* to, const Pack<T, N>& pack) {
    *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

// N consecutive floats, of which one instruction moves at most four.
template <int N>
__device__ Pack<float, N> load_f32(const float* from) {
    constexpr int kPart = N < 4 ? N : 4;
    Pack<float, N> all;
#pragma unroll
    for (int at = 0; at < N; at += kPart) {
        const auto part = load<kPart>(from + at);
#pragma unroll
        for (int i = 0; i < kPart; ++i) all.at[at + i] = part.at[i];
    }
    return all;
}

// Element types to and from f32, in which all arithmetic is done; from_f32 rounds to nearest even.
__device__ inline float to_f32(float x) { return x; }
__device__ inline float to_f32(__nv_bfloat16 x) { return __bfloat162float(x); }

template <typename T>
__device__ T from_f32(float x);
template <>
__device__ inline float from_f32<float>(float x) { return x; }
template <>
__device__ inline __nv_bfloat16 from_f32<__nv_bfloat16>(float x) { return __float2bfloat16_rn(x); }

// The sum over a warp, in every lane. A butterfly: the order of the additions is fixed, and as
// addition commutes all lanes get the same bits.
template <typename F>
__device__ F warp_sum(F x) {
#pragma unroll
    for (int distance = kWarp / 2; distance > 0; distance /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, distance);
    return x;
}

// The sum over a block of at most 1024 threads, whole warps, in every thread: each warp's sum by
// warp_sum, then those in the order of the warps. All threads must call it.
template <typename F>
__device__ F block_sum(F x) {
    __shared__ F sums[kWarp];
    const int warp = threadIdx.x / kWarp;
    x = warp_sum(x);
    __syncthreads();  // an earlier call's sums have been read
    if (threadIdx.x % kWarp == 0) sums[warp] = x;
    __syncthreads();
    x = 0;
    for (int other = 0; other < blockDim.x / kWarp; ++other) x += sums[other];
    return x;
}
