// Qwen3's norm of every query and key head of packed rows, and its backward. A row of qkv is `queries`
// query heads, `keys` key heads and `keys` value heads of head_dim elements:
//
//   qk_norm            out = x / sqrt(mean(x²) + eps) · w for query heads (w = q_weight) and key heads
//                      (k_weight); values are copied
//   qk_norm_backward   at x: dx = r·w·dy − x·r³·Σ(w·dy·x)/head_dim, in the place of dy; the tokens'
//                      dy·x·r summed by block for both weights; column_sums adds the blocks' sums
//
// Source: Qwen3 technical report, arXiv 2505.09388; RMSNorm as in rms_norm.cu.
//
// Shapes    qkv, out, dqkv: [tokens, (queries + 2 · keys) · head_dim] of type T; weights: [head_dim],
//           f32; q_partials, k_partials: [blocks, head_dim], f32. Arithmetic in f32.
// Launch    forward: grid tokens; backward: grid ceil(tokens / tokens_per_block). Block: 128 threads;
//           backward with 8 · head_dim floats of dynamic shared memory.
// Tiling    A warp takes a head; the heads of a token go round the four warps of its block. A lane takes
//           packs of up to 8 bytes, lanes neighbouring packs: one pack each at a head_dim of 128.
// Registers A pack of each operand and the running sums. A head is read twice, the second time from L1.
// Shared    backward: a warp's sums for both weights, four warps.
// Global    forward 2, backward 3 elements for each of the heads', and 4 · head_dim floats for each block.
// Flops     4 and 14 an element: bound by memory.
// Order     Lanes add their elements in rising order, then warp_sum; weights by tokens and heads within a
//           warp, then by warps, then by blocks: bits repeat.
//
// instance: qk_norm_f32 = qk_norm<float>
// instance: qk_norm_bf16 = qk_norm<__nv_bfloat16>
// instance: qk_norm_backward_f32 = qk_norm_backward<float>
// instance: qk_norm_backward_bf16 = qk_norm_backward<__nv_bfloat16>

#include "common.cuh"

constexpr int kWarps = 4;
// Elements of a lane's pack: a warp then covers a head of 128.
constexpr int kPack = 4;

template <int N, typename T>
__device__ float inverse_rms(const T* x, int dim, float eps) {
    float squares = 0.0f;
    for (int at = threadIdx.x % kWarp * N; at < dim; at += kWarp * N) {
        const auto pack = load<N>(x + at);
#pragma unroll
        for (int i = 0; i < N; ++i) squares += to_f32(pack.at[i]) * to_f32(pack.at[i]);
    }
    return 1.0f / sqrtf(warp_sum(squares) / dim + eps);
}

template <int N, typename T>
__device__ void norm_head(const T* x, const float* w, T* out, int dim, float eps) {
    const float r = inverse_rms<N>(x, dim, eps);
    for (int at = threadIdx.x % kWarp * N; at < dim; at += kWarp * N) {
        auto pack = load<N>(x + at);
        const auto weight = load<N>(w + at);
#pragma unroll
        for (int i = 0; i < N; ++i)
            pack.at[i] = from_f32<T>(to_f32(pack.at[i]) * r * weight.at[i]);
        store<N>(out + at, pack);
    }
}

template <int N, typename T>
__device__ void copy_head(const T* x, T* out, int dim) {
    for (int at = threadIdx.x % kWarp * N; at < dim; at += kWarp * N) store<N>(out + at, load<N>(x + at));
}

// dy becomes dx; dy·x·r goes onto the sums of this warp.
template <int N, typename T>
__device__ void backward_head(const T* x, const float* w, T* dy, float* sums, int dim, float eps) {
    const float r = inverse_rms<N>(x, dim, eps);
    float dot = 0.0f;
    for (int at = threadIdx.x % kWarp * N; at < dim; at += kWarp * N) {
        const auto row = load<N>(x + at), gradient = load<N>(static_cast<const T*>(dy + at));
        const auto weight = load<N>(w + at);
#pragma unroll
        for (int i = 0; i < N; ++i)
            dot += weight.at[i] * to_f32(gradient.at[i]) * to_f32(row.at[i]);
    }
    const float back = warp_sum(dot) * r * r * r / dim;
    for (int at = threadIdx.x % kWarp * N; at < dim; at += kWarp * N) {
        const auto row = load<N>(x + at);
        const auto weight = load<N>(w + at);
        auto gradient = load<N>(static_cast<const T*>(dy + at));
        auto sum = load<N>(static_cast<const float*>(sums + at));
#pragma unroll
        for (int i = 0; i < N; ++i) {
            const float g = to_f32(gradient.at[i]), v = to_f32(row.at[i]);
            sum.at[i] += g * v * r;
            gradient.at[i] = from_f32<T>(g * weight.at[i] * r - back * v);
        }
        store<N>(sums + at, sum);
        store<N>(dy + at, gradient);
    }
}

template <typename T>
__global__ void qk_norm(const T* qkv, const float* q_weight, const float* k_weight, T* out,
                        int queries, int keys, int dim, float eps) {
    const int heads = queries + 2 * keys;
    for (int head = threadIdx.x / kWarp; head < heads; head += kWarps) {
        const size_t at = (static_cast<size_t>(blockIdx.x) * heads + head) * dim;
        const float* w = head < queries ? q_weight : k_weight;
        if (head >= queries + keys) {
            if (dim % kPack == 0)
                copy_head<kPack>(qkv + at, out + at, dim);
            else
                copy_head<1>(qkv + at, out + at, dim);
        } else if (dim % kPack == 0) {
            norm_head<kPack>(qkv + at, w, out + at, dim, eps);
        } else {
            norm_head<1>(qkv + at, w, out + at, dim, eps);
        }
    }
}

template <typename T>
__global__ void qk_norm_backward(const T* qkv, const float* q_weight, const float* k_weight, T* dqkv,
                                 float* q_partials, float* k_partials, int tokens,
                                 int tokens_per_block, int queries, int keys, int dim, float eps) {
    // [warp][query or key][dim]; until the end a lane meets its own elements alone.
    extern __shared__ float sums[];
    for (int at = threadIdx.x; at < 2 * kWarps * dim; at += blockDim.x) sums[at] = 0.0f;
    __syncthreads();
    const int warp = threadIdx.x / kWarp, heads = queries + 2 * keys;
    const int first = blockIdx.x * tokens_per_block;
    const int end = min(first + tokens_per_block, tokens);
    for (int token = first; token < end; ++token) {
        for (int head = warp; head < queries + keys; head += kWarps) {
            const bool query = head < queries;
            const size_t at = (static_cast<size_t>(token) * heads + head) * dim;
            const float* w = query ? q_weight : k_weight;
            float* own = sums + (2 * warp + !query) * dim;
            if (dim % kPack == 0)
                backward_head<kPack>(qkv + at, w, dqkv + at, own, dim, eps);
            else
                backward_head<1>(qkv + at, w, dqkv + at, own, dim, eps);
        }
    }
    __syncthreads();
    for (int at = threadIdx.x; at < 2 * dim; at += blockDim.x) {
        float sum = 0.0f;
        for (int other = 0; other < kWarps; ++other) sum += sums[2 * other * dim + at];
        float* partials = at < dim ? q_partials : k_partials;
        partials[static_cast<size_t>(blockIdx.x) * dim + at % dim] = sum;
    }
}
