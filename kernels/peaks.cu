// What a GPU does at most: the roofs that other kernels are held against.
//
//   triad           a = b + s · c
//   products_f32    chains of fused multiply-adds, x = x · f + f
//   products_bf16   chains of tensor-core products, x[16, 8] += f[16, 16] · f[16, 8], bf16 with f32 sums
//
// Source: McCalpin, "STREAM: Sustainable Memory Bandwidth in High Performance Computers", 1995; PTX ISA,
// "mma.m16n8k16".
//
// Shapes    a, b, c: [packs, 4] floats; sums: one float a thread.
// Launch    triad: packs divided by threads, rounded up; the others: any grid, whole warps.
// Tiling    A thread has 16 bytes of each array, or kChains chains that do not wait for each other: a
//           result is back after some 4 (f32) or 33 cycles (bf16), and other warps fill what is left.
// Registers The chains: 8 floats, or 8 · 4.
// Shared    None.
// Global    triad 12 bytes an element, each once; the others 4 bytes a thread, so that the sums are used.
// Flops     products_f32: 2 · kChains · turns a thread; products_bf16: 2 · 16 · 8 · 16 · kChains · turns a
//           warp.
//
// instance: triad = triad
// instance: products_f32 = products_f32
// instance: products_bf16 = products_bf16

#include "mma.cuh"

constexpr int kChains = 8;

__global__ void triad(float* a, const float* b, const float* c, float s, int packs) {
    const int pack = blockIdx.x * blockDim.x + threadIdx.x;
    if (pack >= packs) return;
    const size_t at = static_cast<size_t>(pack) * 4;
    const auto x = load<4>(b + at), y = load<4>(c + at);
    Pack<float, 4> sum;
#pragma unroll
    for (int i = 0; i < 4; ++i) sum.at[i] = x.at[i] + s * y.at[i];
    store<4>(a + at, sum);
}

__global__ void products_f32(float* sums, float f, int turns) {
    float x[kChains] = {};
    for (int turn = 0; turn < turns; ++turn)
#pragma unroll
        for (int i = 0; i < kChains; ++i) x[i] = fmaf(x[i], f, f);
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < kChains; ++i) sum += x[i];
    sums[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

__global__ void products_bf16(float* sums, float f, int turns) {
    const __nv_bfloat162 both = __float2bfloat162_rn(f);
    const unsigned pair = *reinterpret_cast<const unsigned*>(&both);
    const unsigned a[4] = {pair, pair, pair, pair};
    float x[kChains][4] = {};
    for (int turn = 0; turn < turns; ++turn)
#pragma unroll
        for (int i = 0; i < kChains; ++i) mma(x[i][0], x[i][1], x[i][2], x[i][3], a, pair, pair);
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < kChains; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) sum += x[i][j];
    sums[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
