// AdamW over all tensors of a model in one launch, and the sum of squares of all gradients:
//
//   m ← β1·m + (1−β1)·g,  v ← β2·v + (1−β2)·g²,  p ← p·decay − rate·m / (√v·root + ε)
//
// with g the gradient times its scale, and the bias corrections folded into rate = lr / (1−β1^t), root =
// 1 / √(1−β2^t) and decay = 1 − lr·wd. Of a tensor that has one, the copy in bf16 that products read gets p as well.
//
// Source: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", arXiv 1711.05101.
//
// Shapes    A table of tensors of f32, and one of chunks of kChunk elements, each within one tensor.
// Launch    grid: chunks; block: 256 threads.
// Tiling    A thread takes 16 bytes of each array; neighbouring threads neighbouring bytes. The last
//           elements of a tensor, fewer than four, go one at a time.
// Registers Four packs.
// Shared    sum_of_squares: a double a warp.
// Global    adamw reads 16 and writes 12 bytes a parameter, of a copy 2; sum_of_squares reads 4.
// Flops     14 and 2 a parameter: bound by memory.
// Order     sum_of_squares: squares are exact in f64; a thread adds its own in rising order, then
//           block_sum; the host adds the chunks' sums: bits repeat.
//
// instance: adamw = adamw
// instance: sum_of_squares = sum_of_squares

#include "common.cuh"

constexpr int kChunk = 1 << 16;

// As src/device/cuda/adamw.rs has it.
struct Tensor {
    float* parameter;
    const float* gradient;
    float* first_moment;
    float* second_moment;
    __nv_bfloat16* copy;
    long long len;
    long long decays;
};

struct Chunk {
    int tensor;
    int index;
};

struct Factors {
    float gradient, beta1, beta2, decay, rate, root, eps;
};

// The elements of a tensor from one on.
template <int N>
__device__ void update(const Factors& f, float decay, const Tensor& t, long long at) {
    auto p = load<N>(static_cast<const float*>(t.parameter + at));
    auto m = load<N>(static_cast<const float*>(t.first_moment + at));
    auto v = load<N>(static_cast<const float*>(t.second_moment + at));
    const auto gradients = load<N>(t.gradient + at);
#pragma unroll
    for (int i = 0; i < N; ++i) {
        const float g = f.gradient * gradients.at[i];
        m.at[i] = f.beta1 * m.at[i] + (1.0f - f.beta1) * g;
        v.at[i] = f.beta2 * v.at[i] + (1.0f - f.beta2) * (g * g);
        p.at[i] = p.at[i] * decay - f.rate * m.at[i] / (sqrtf(v.at[i]) * f.root + f.eps);
    }
    store<N>(t.parameter + at, p);
    store<N>(t.first_moment + at, m);
    store<N>(t.second_moment + at, v);
    if (!t.copy) return;
    Pack<__nv_bfloat16, N> copy;
#pragma unroll
    for (int i = 0; i < N; ++i) copy.at[i] = from_f32<__nv_bfloat16>(p.at[i]);
    store<N>(t.copy + at, copy);
}

__global__ void adamw(const Tensor* tensors, const Chunk* chunks, Factors f) {
    const Chunk chunk = chunks[blockIdx.x];
    const Tensor t = tensors[chunk.tensor];
    const long long first = static_cast<long long>(chunk.index) * kChunk;
    const long long end = min(first + kChunk, t.len);
    const float decay = t.decays ? f.decay : 1.0f;
    for (long long at = first + threadIdx.x * 4; at < end; at += blockDim.x * 4) {
        if (at + 4 <= end) {
            update<4>(f, decay, t, at);
        } else {
            for (long long i = at; i < end; ++i) update<1>(f, decay, t, i);
        }
    }
}

__global__ void sum_of_squares(const Tensor* tensors, const Chunk* chunks, double* sums) {
    const Chunk chunk = chunks[blockIdx.x];
    const Tensor t = tensors[chunk.tensor];
    const long long first = static_cast<long long>(chunk.index) * kChunk;
    const long long end = min(first + kChunk, t.len);
    double sum = 0.0;
    for (long long at = first + threadIdx.x * 4; at < end; at += blockDim.x * 4) {
        if (at + 4 <= end) {
            const auto x = load<4>(t.gradient + at);
#pragma unroll
            for (int i = 0; i < 4; ++i) sum += static_cast<double>(x.at[i]) * x.at[i];
        } else {
            for (long long i = at; i < end; ++i)
                sum += static_cast<double>(t.gradient[i]) * t.gradient[i];
        }
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}
