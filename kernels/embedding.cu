// Embedding lookup: row t of out is row ids[t] of a table in f32, bf16, int8 or int4.
//
// (Its backward, dtable[ids[t]] += dout[t] in the order of t, is a pooling: pool.cu.)
//
// Shapes    table: [vocab, hidden] of type S; out: [tokens, hidden] of type T; ids: [tokens]. In int8
//           and int4: rows padded to groups of 32, as weight_formats.cuh has them, and scales, those of two groups
//           and of two rows so far apart as by_group and by_row say.
// Launch    grid: (tokens, ceil(packs / block)) with packs = hidden / N, N elements of the wider type in
//           16 bytes (int8 and int4: 4), or 1 where hidden is no multiple; block: any.
// Tiling    A thread copies one pack; neighbouring threads neighbouring packs of a row.
// Registers One pack.
// Shared    None.
// Global    Reads and writes tokens · hidden elements.
// Flops     None (int8 and int4: one an element): bound by memory.
//
// instance: embedding_f32_f32 = embedding<float, float>
// instance: embedding_f32_bf16 = embedding<float, __nv_bfloat16>
// instance: embedding_bf16_f32 = embedding<__nv_bfloat16, float>
// instance: embedding_bf16_bf16 = embedding<__nv_bfloat16, __nv_bfloat16>
// instance: embedding_int8_f32 = embedding_quantised<Int8, float>
// instance: embedding_int8_bf16 = embedding_quantised<Int8, __nv_bfloat16>
// instance: embedding_int4_f32 = embedding_quantised<Int4, float>
// instance: embedding_int4_bf16 = embedding_quantised<Int4, __nv_bfloat16>

#include "weight_formats.cuh"

template <int N, typename S, typename T>
__device__ void copy_pack(const S* from, T* to) {
    const auto row = load<N>(from);
    Pack<T, N> out;
#pragma unroll
    for (int i = 0; i < N; ++i) out.at[i] = from_f32<T>(to_f32(row.at[i]));
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

template <class Weights, typename T>
__global__ void embedding_quantised(const unsigned char* table, const typename Weights::Scale* scales,
                                    const unsigned* ids, T* out, int hidden, int by_group, int by_row) {
    const bool whole_packs = hidden % 4 == 0;
    const int pack = blockIdx.y * blockDim.x + threadIdx.x;
    const int at = whole_packs ? 4 * pack : pack;
    if (at >= hidden) return;
    const size_t id = ids[blockIdx.x];
    table += id * ceil_div(hidden, kGroup) * kGroupBytes<Weights>;
    out += static_cast<size_t>(blockIdx.x) * hidden + at;
    const auto scale = scales[static_cast<size_t>(at / kGroup) * by_group + id * by_row];
    const auto words = words_of(table + at / kChunk<Weights> * 16, at);
    const auto value = [&](int e) {
        return from_f32<T>(fmaf(weight_of<Weights>(words, at, e), scale_of(scale), shift_of(scale)));
    };
    if (whole_packs) {
        Pack<T, 4> values;
#pragma unroll
        for (int e = 0; e < 4; ++e) values.at[e] = value(e);
        store<4>(out, values);
    } else {
        *out = value(at % 4);
    }
}
