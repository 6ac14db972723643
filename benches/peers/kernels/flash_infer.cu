// FlashInfer's kernels for heads of SIZE elements, GROUP of them a key head, over pages of PAGE tokens, with names of
// their own; `make` makes the parameters that its host code would.

typedef unsigned short ushort;

#include <cstdint>
#include <type_traits>
#include <algorithm>
#include <tuple>

#include <cuda_fp8.h>
#include <flashinfer/attention/decode.cuh>
#include <flashinfer/attention/default_decode_params.cuh>
#include <flashinfer/attention/variants.cuh>

using namespace flashinfer;
using bf16 = __nv_bfloat16;
using Parameters = BatchDecodeParams<bf16, bf16, bf16, int32_t>;
using Plain = DefaultAttention<false, false, false, false>;

constexpr uint32_t kVector = 8, kAcross = SIZE / kVector;
constexpr uint32_t kThreads = 128 > kAcross * GROUP ? 128 : kAcross * GROUP, kDeep = kThreads / (kAcross * GROUP);

extern "C" __global__ void make(Parameters* to, bf16* q, bf16* k, bf16* v, bf16* parts, float* sums, int32_t* pages,
                                int32_t* page_starts, int32_t* last_pages, int32_t* rows_of_pieces, int32_t* pieces,
                                int32_t* starts, int32_t* piece, int rows, int heads, int kv_heads, int total) {
    const paged_kv_t<bf16, int32_t> cache(kv_heads, PAGE, SIZE, rows, QKVLayout::kNHD, k, v, pages, page_starts,
                                          last_pages);
    Parameters p(q, nullptr, cache, parts, sums, nullptr, heads, heads * SIZE, SIZE, -1, 0.0f, rsqrtf(SIZE), 1.0f, 1e4f);
    p.padded_batch_size = total;
    p.request_indices = rows_of_pieces;
    p.kv_tile_indices = pieces;
    p.o_indptr = starts;
    p.kv_chunk_size_ptr = piece;
    p.partition_kv = true;
    *to = p;
}

extern "C" __global__ void flashinfer_decode(const __grid_constant__ Parameters p) {
    extern __shared__ uint8_t shared[];
    BatchDecodeWithPagedKVCacheDevice<PosEncodingMode::kNone, 2, GROUP == 1 ? 4 : 1, kVector, kAcross, GROUP, kDeep, Plain>(
        p, shared);
}

extern "C" __global__ void flashinfer_merge(bf16* parts, float* sums, int32_t* starts, bf16* out, int rows, int heads) {
    PersistentVariableLengthMergeStatesKernel<kVector, kAcross, 128 / kAcross, 4, bf16, bf16, int32_t>(
        parts, sums, starts, out, nullptr, rows, nullptr, heads);
}
