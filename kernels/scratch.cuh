// Scratch that nobody needs any more.
//
// What the kernels of a call leave for one another lies in L2 in lines that differ from memory, which would be written
// there for nobody when they leave. `discard` (PTX ISA, "Data Movement and Conversion Instructions") drops them: a
// line then holds anything, until it is written again. Only a call's own scratch may be dropped, behind everybody's
// reads of it.
#pragma once

#include "common.cuh"

constexpr int kLineBytes = 128, kLineFloats = 32;

// Drops the line that begins at `line`.
__device__ inline void discard_line(const void* line) {
    asm volatile("discard.global.L2 [%0], 128;" ::"l"(__cvta_generic_to_global(line)) : "memory");
}

// Drops the whole lines of so many bytes, of which the first begins at `first`. The threads of a grid (x alone) share
// them.
__device__ inline void discard(const void* first, size_t bytes) {
    const size_t threads = static_cast<size_t>(gridDim.x) * blockDim.x;
#pragma unroll 1
    for (size_t at = blockIdx.x * blockDim.x + threadIdx.x; at < bytes / kLineBytes; at += threads)
        discard_line(static_cast<const char*>(first) + at * kLineBytes);
}

// Drops the lines of `count` rows of 32 floats each, `stride` floats apart, that a warp has read. The first begins a
// line, and `stride` is a multiple of 32.
__device__ inline void discard_read(const float* first, int count, size_t stride) {
    __syncwarp();
#pragma unroll 1
    for (int row = threadIdx.x % kWarp; row < count; row += kWarp) discard_line(first + row * stride);
}
