// Rotary position embedding in place on the queries and keys of packed rows. A row of qkv is heads of
// head_dim elements, of which the first `rotated` (queries, then keys) are turned; element i of a head
// pairs with i + head_dim/2, as in Hugging Face's Llama:
//
//   (a, b) ← (a·cos − b·sin, b·cos + a·sin)
//
// The backward is the same with the sine's sign turned.
//
// Source: Su et al., "RoFormer", arXiv 2104.09864.
//
// Shapes    qkv: [tokens, width] of type T; cosines, sines: [positions, head_dim/2], f32; positions:
//           [tokens]. Arithmetic in f32.
// Launch    grid: ceil(units / block) with units = tokens · rotated · packs, packs of four of head_dim/2
//           elements, or of one where that is no whole number; block: any.
// Tiling    A thread turns one pack of a head's first half with its partner in the second: neighbouring
//           threads along a head, then along the heads.
// Registers Two packs, and their cosines and sines.
// Shared    None.
// Global    Reads and writes tokens · rotated · head_dim elements; the heads of a token find its cosines
//           and sines, head_dim floats, in L1.
// Flops     3 · tokens · rotated · head_dim: bound by memory.
//
// instance: rope_f32 = rope<float>
// instance: rope_bf16 = rope<__nv_bfloat16>

#include "common.cuh"

constexpr int kPack = 4;

template <int N, typename T>
__device__ void rotate(T* first, int half, const float* cosines, const float* sines, float sign) {
    auto a = load<N>(first), b = load<N>(first + half);
    const auto c = load_f32<N>(cosines), s = load_f32<N>(sines);
#pragma unroll
    for (int i = 0; i < N; ++i) {
        const float x = to_f32(a.at[i]), y = to_f32(b.at[i]), sine = sign * s.at[i];
        a.at[i] = from_f32<T>(x * c.at[i] - y * sine);
        b.at[i] = from_f32<T>(y * c.at[i] + x * sine);
    }
    store<N>(first, a);
    store<N>(first + half, b);
}

template <typename T>
__global__ void rope(T* qkv, const float* cosines, const float* sines, const unsigned* positions,
                     int tokens, int width, int rotated, int head_dim, float sign) {
    const int half = head_dim / 2;
    const bool wide = half % kPack == 0;
    const int packs = wide ? half / kPack : half;
    const int unit = blockIdx.x * blockDim.x + threadIdx.x;
    const int token = unit / (rotated * packs);
    if (token >= tokens) return;
    const int head = unit / packs % rotated, pack = unit % packs;
    T* first = qkv + static_cast<size_t>(token) * width + head * head_dim;
    const size_t angle = static_cast<size_t>(positions[token]) * half;
    if (wide) {
        const int at = pack * kPack;
        rotate<kPack>(first + at, half, cosines + angle + at, sines + angle + at, sign);
    } else {
        rotate<1>(first + pack, half, cosines + angle + pack, sines + angle + pack, sign);
    }
}
