// The end of a sum over blocks within the launch that makes its parts: the last block to end adds them. Each block
// counts itself when its part is written; whichever is last, it adds all parts in their order, so that bits repeat.
// Launches that share the counter, those of a module, follow one another on one stream.
#pragma once

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

// total += Σ over the rows of partials[blocks, dim].
__device__ void add_rows(const float* partials, float* total, int blocks, int dim) {
    for (int at = threadIdx.x; at < dim; at += blockDim.x) {
        const float before = total[at];
        float sum = 0.0f;
#pragma unroll 16
        for (int block = 0; block < blocks; ++block) sum += partials[static_cast<size_t>(block) * dim + at];
        total[at] = before + sum;
    }
}
