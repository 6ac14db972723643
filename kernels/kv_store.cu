// Writes new keys and values into a cache: those of row t of qkv become row slots[t] of keys and values.
//
// Shapes    qkv: [tokens, q_width + 2 · width]; keys, values: [capacity, width]; all of type T; slots:
//           [tokens]. A row of qkv is queries, then keys, then values.
// Launch    grid: ceil(tokens · packs / block) with packs = 2 · width elements in 16 bytes each, or
//           2 · width where rows do not start at multiples of 16 bytes; block: any.
// Tiling    A thread copies one pack; neighbouring threads neighbouring packs of a row.
// Registers One pack.
// Shared    None.
// Global    Reads and writes 2 · tokens · width elements.
// Flops     None: bound by memory.
//
// instance: kv_store_f32 = kv_store<float>
// instance: kv_store_bf16 = kv_store<__nv_bfloat16>

#include "common.cuh"

template <int N, typename T>
__device__ void copy_pack(const T* qkv, const unsigned* slots, T* keys, T* values, int tokens,
                          int q_width, int width) {
    const int packs = width / N, unit = blockIdx.x * blockDim.x + threadIdx.x;
    const int token = unit / (2 * packs), pack = unit % (2 * packs);
    if (token >= tokens) return;
    const size_t row = static_cast<size_t>(token) * (q_width + 2 * width);
    T* to = pack < packs ? keys : values;
    store<N>(to + static_cast<size_t>(slots[token]) * width + pack % packs * N,
             load<N>(qkv + row + q_width + pack * N));
}

template <typename T>
__global__ void kv_store(const T* qkv, const unsigned* slots, T* keys, T* values, int tokens,
                         int q_width, int width) {
    if (q_width % kWidest<T> == 0 && width % kWidest<T> == 0)
        copy_pack<kWidest<T>>(qkv, slots, keys, values, tokens, q_width, width);
    else
        copy_pack<1>(qkv, slots, keys, values, tokens, q_width, width);
}
