// The end of a sum over blocks within the launch that makes its parts: the last block to end adds them. Each block
// counts itself when its part is written; whichever is last, it adds all parts in their order, so that bits repeat.
// Launches that share the counter, those of a module, follow one another on one stream.
#pragma once

#include "common.cuh"

// Blocks of the running launch that have written their sums.
__device__ unsigned finished;

// Whether all other blocks have written what they had to, and this one may read it. All threads must call it.
__device__ bool is_last() {
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicAdd(&finished, 1) == gridDim.x - 1;
        if (last) finished = 0;
    }
    __syncthreads();
    __threadfence();
    return last;
}

// total += Σ over the rows of partials[blocks, dim], by packs of N elements, of which rows are whole numbers: all but
// this block have ended, and instructions are what it takes. Inlined, it would have every block prepare for it.
template <int N>
__device__ __noinline__ void add_rows(const float* partials, float* total, int blocks, int dim) {
    for (int at = threadIdx.x * N; at < dim; at += blockDim.x * N) {
        auto before = load<N>(static_cast<const float*>(total + at));
        const float* from = partials + at;
        Pack<float, N> sum = {};
#pragma unroll 8
        for (int block = 0; block < blocks; ++block, from += dim) {
            const auto part = load<N>(from);
#pragma unroll
            for (int i = 0; i < N; ++i) sum.at[i] += part.at[i];
        }
#pragma unroll
        for (int i = 0; i < N; ++i) before.at[i] += sum.at[i];
        store<N>(total + at, before);
    }
}
