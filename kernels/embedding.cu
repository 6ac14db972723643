// Embedding lookup: row t of out is row ids[t] of a table in f32, bf16 or int8.
//
// (Its backward, dtable[ids[t]] += dout[t] in the order of t, is a pooling: pool.cu.)
//
// Shapes    table: [vocab, hidden] of type S; out: [tokens, hidden] of type T; ids: [tokens]. In int8: rows
//           of bytes, weight + 128, padded to groups of 32, and scales [groups, scale_columns], f32, one
//           for each row and group.
// Launch    grid: (tokens, ceil(packs / block)) with packs = hidden / N, N elements of the wider type in
//           16 bytes (int8: 4), or 1 where hidden is no multiple; block: any.
// Tiling    A thread copies one pack; neighbouring threads neighbouring packs of a row.
// Registers One pack.
// Shared    None.
// Global    Reads and writes tokens · hidden elements.
// Flops     None (int8: one an element): bound by memory.
//
// instance: embedding_f32_f32 = embedding<float, float>
// instance: embedding_f32_bf16 = embedding<float, __nv_bfloat16>
// instance: embedding_bf16_f32 = embedding<__nv_bfloat16, float>
// instance: embedding_bf16_bf16 = embedding<__nv_bfloat16, __nv_bfloat16>
// instance: embedding_int8_f32 = embedding_int8<float>
// instance: embedding_int8_bf16 = embedding_int8<__nv_bfloat16>

#include "common.cuh"

constexpr int kGroup = 32;

template <int N, typename S, typename T>
__device__ void copy_pack(const S* from, T* to) {
    const auto row = load<N>(from);
    Pack<T, N> out;
#pragma unroll
    for (int i = 0; i < N; ++i) out.at[i] = from_f32<T>(to_f32(row.at[i]));
    store<N>(to, out);
}

template <int N, typename T>
__device__ void scale_pack(const unsigned char* from, float scale, T* to) {
    const auto row = load<N>(from);
    Pack<T, N> out;
#pragma unroll
    for (int i = 0; i < N; ++i)
        out.at[i] = from_f32<T>(static_cast<float>(row.at[i] - 128) * scale);
    store<N>(to, out);
}

template <typename S, typename T>
__global__ void embedding(const S* table, const unsigned* ids, T* out, int hidden) {
    constexpr int kPack = kWidest<S> < kWidest<T> ? kWidest<S> : kWidest<T>;
    const int pack = blockIdx.y * blockDim.x + threadIdx.x;
    table += static_cast<size_t>(ids[blockIdx.x]) * hidden;
    out += static_cast<size_t>(blockIdx.x) * hidden;
    if (hidden % kPack == 0) {
        if (pack * kPack < hidden) copy_pack<kPack>(table + pack * kPack, out + pack * kPack);
    } else if (pack < hidden) {
        copy_pack<1>(table + pack, out + pack);
    }
}

template <typename T>
__global__ void embedding_int8(const unsigned char* table, const float* scales, const unsigned* ids,
                               T* out, int hidden, int scale_columns) {
    constexpr int kPack = 4;
    const int pack = blockIdx.y * blockDim.x + threadIdx.x;
    const size_t id = ids[blockIdx.x];
    const int groups = (hidden + kGroup - 1) / kGroup;
    table += id * groups * kGroup;
    scales += id;
    out += static_cast<size_t>(blockIdx.x) * hidden;
    const auto scale = [&](int at) { return scales[static_cast<size_t>(at / kGroup) * scale_columns]; };
    if (hidden % kPack == 0) {
        const int at = pack * kPack;
        if (at < hidden) scale_pack<kPack>(table + at, scale(at), out + at);
    } else if (pack < hidden) {
        scale_pack<1>(table + pack, scale(pack), out + pack);
    }
}
