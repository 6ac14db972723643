// Exact top-k search: the k items of the highest inner product with each query, without a matrix of
// scores.
//
//   top_k         a block's queries against a slice of the items: the k best of each, best first
//   top_k_merge   the k best of all slices
//
// Shapes    queries [queries, hidden] f32; items [items, hidden] f32, bf16, or int8 or int4 with
//           scales (quantised.cuh). A hit is a key: the score's bits, made to order as whole numbers do, above the
//           complement of the index. So the highest key is the best score, of equals the lowest index;
//           0 is no hit. kept [queries][slices][capacity], parts [queries][slices][k], hits
//           [queries][most], below [queries], all keys.
// Launch    top_k: grid (ceil(queries / kM), slices), block P::kThreads, dynamic shared memory: the
//           stages, capacity keys, kM thresholds and counts. top_k_merge: grid queries, block 128,
//           capacity keys. capacity: a power of two, at least k + kN and 2 · k. For more hits than a
//           block sorts, another round takes only keys below the last one.
// Tiling    many 64 × 64 by 4 warps of 32 × 32 (int8 and int4: 64 × 16, to widen a weight once); few 8 × 128
//           by 4 warps of 8 × 32; steps of 32 (int8 and int4: 64), 3 stages; `any`: many, for rows that do
//           not start at multiples of 16 bytes.
// Registers The sums.
// Shared    Operands (tile.cuh); one query's keys while they are sorted (bitonic).
// Global    Items ceil(queries / kM) times, the first time from HBM; queries once for each slice. A
//           score that beats the k-th best so far becomes a key in `kept`; when that is full, it is
//           sorted and cut to k: about k · ln(slice / k) keys for each query and slice.
// Flops     2 · queries · items · hidden, f32 multiply-adds.
// Order     Keys are placed by an atomic count, in any order, and then sorted: all differ, so hits have
//           the same bits for every launch.
//
// instance: top_k_f32_many = top_k<Many<float, true>>
// instance: top_k_f32_few = top_k<Few<float>>
// instance: top_k_f32_any = top_k<Many<float, false>>
// instance: top_k_bf16_many = top_k<Many<__nv_bfloat16, true>>
// instance: top_k_bf16_few = top_k<Few<__nv_bfloat16>>
// instance: top_k_bf16_any = top_k<Many<__nv_bfloat16, false>>
// instance: top_k_int8_many = top_k<QuantisedMany<Int8, true>>
// instance: top_k_int8_few = top_k<QuantisedFew<Int8>>
// instance: top_k_int8_any = top_k<QuantisedMany<Int8, false>>
// instance: top_k_int4_many = top_k<QuantisedMany<Int4, true>>
// instance: top_k_int4_few = top_k<QuantisedFew<Int4>>
// instance: top_k_int4_any = top_k<QuantisedMany<Int4, false>>
// instance: top_k_merge = top_k_merge<unsigned long long>

#include "quantised.cuh"

using Key = unsigned long long;

template <typename T, bool wide>
using Many = Product<float, T, 64, 64, 32, 2, 2, 3, wide, Major::kDepth, Major::kDepth>;
template <typename T>
using Few = Product<float, T, 8, 128, 32, 1, 4, 3, true, Major::kDepth, Major::kDepth>;
template <class Weights, bool wide>
using QuantisedMany = QuantisedProduct<Weights, float, 64, 64, 64, 1, 4, 3, wide>;
template <class Weights>
using QuantisedFew = QuantisedProduct<Weights, float, 8, 128, 64, 1, 4, 3, true>;

__device__ inline Key key_of(float score, int index) {
    const unsigned bits = __float_as_uint(score + 0.0f);  // −0 counts as 0
    const unsigned ordered = bits ^ (static_cast<int>(bits) < 0 ? 0xffffffffu : 0x80000000u);
    return static_cast<Key>(ordered) << 32 | ~static_cast<unsigned>(index);
}

__device__ inline float score_of(Key key) {
    const unsigned ordered = static_cast<unsigned>(key >> 32);
    return __uint_as_float(ordered ^ (static_cast<int>(ordered) < 0 ? 0x80000000u : 0xffffffffu));
}

// Sorts `count` keys, a power of two and at least 32, by all threads of the block, highest first: a
// bitonic network. Exchanges over less than a warp go by shuffles, the others through shared memory,
// where neighbouring threads take neighbouring keys: no bank conflicts.
__device__ inline void sort_keys(Key* keys, int count) {
    for (int run = 2; run <= count; run *= 2) {
        for (int distance = run / 2; distance >= kWarp; distance /= 2) {
            __syncthreads();
            for (int pair = threadIdx.x; pair < count / 2; pair += blockDim.x) {
                const int low = pair / distance * distance * 2 + pair % distance;
                const Key a = keys[low], b = keys[low + distance];
                const bool falling = (low & run) == 0;
                if ((a < b) == falling) {
                    keys[low] = b;
                    keys[low + distance] = a;
                }
            }
        }
        __syncthreads();
        for (int at = threadIdx.x; at < count; at += blockDim.x) {
            Key key = keys[at];
            const bool falling = (at & run) == 0;
            for (int distance = min(run, kWarp) / 2; distance > 0; distance /= 2) {
                const Key other = __shfl_xor_sync(0xffffffffu, key, distance);
                const bool first = (at & distance) == 0;
                key = (first == falling) == (key > other) ? key : other;
            }
            keys[at] = key;
        }
    }
    __syncthreads();
}

// What a block keeps of its queries' hits.
struct Kept {
    Key* sorted;       // [capacity], shared
    float* threshold;  // [kM], shared: the score to beat; NaN, which everything beats, before k are known
    int* count;        // [kM], shared
    Key* keys;         // [rows][slices · capacity], from the block's slice on
    size_t stride;
    int k, capacity;
};

// Sorts one row's keys, in `sorted`, and cuts them to k.
__device__ inline void shrink(const Kept& kept, int row) {
    const int count = kept.count[row];
    Key* keys = kept.keys + row * kept.stride;
    for (int i = threadIdx.x; i < kept.capacity; i += blockDim.x)
        kept.sorted[i] = i < count ? keys[i] : 0;
    sort_keys(kept.sorted, kept.capacity);
    for (int i = threadIdx.x; i < min(kept.k, count); i += blockDim.x) keys[i] = kept.sorted[i];
    if (threadIdx.x == 0 && count >= kept.k) {
        kept.count[row] = kept.k;
        kept.threshold[row] = score_of(kept.sorted[kept.k - 1]);
    }
    __syncthreads();
}

template <class P>
__device__ typename P::FromB items_of(const void* rows, const void* scales, int items, int hidden,
                                      int scale_columns) {
    const auto at = static_cast<const typename P::B::Element*>(rows);
    if constexpr (sizeof(*at) == 1)
        return {at, static_cast<const typename P::Scale*>(scales), items, hidden, scale_columns};
    else
        return {at, items, hidden};
}

// `slice` items, a multiple of kN, for each blockIdx.y.
template <class P>
__global__ void __launch_bounds__(P::kThreads, 3)
    top_k(const float* queries, const void* item_rows, const void* scales, const Key* below,
          Key* kept_keys, Key* parts, int query_count, int items, int hidden, int scale_columns,
          int slice, int k, int capacity) {
    extern __shared__ __align__(128) char shared[];
    const int row = blockIdx.x * P::kM, begin = blockIdx.y * slice, end = min(items, begin + slice);
    const size_t slices = gridDim.y, first = row * slices + blockIdx.y;
    Kept kept;
    kept.sorted = reinterpret_cast<Key*>(shared + P::kStages * P::kStageBytes);
    kept.threshold = reinterpret_cast<float*>(kept.sorted + capacity);
    kept.count = reinterpret_cast<int*>(kept.threshold + P::kM);
    kept.keys = kept_keys + first * capacity;
    kept.stride = slices * capacity;
    kept.k = k;
    kept.capacity = capacity;
    if (threadIdx.x < P::kM) {
        kept.threshold[threadIdx.x] = __int_as_float(0x7fffffff);
        kept.count[threadIdx.x] = 0;
    }

    multiply_tiles<P>(
        shared, {queries, query_count, hidden},
        items_of<P>(item_rows, scales, items, hidden, scale_columns), row, begin,
        ceil_div(end - begin, P::kN), 0, ceil_div(hidden, P::kDepth),
        [&](const typename P::Sums& scores, int column) {
            __syncthreads();  // thresholds and counts are set, also where there was no step
#pragma unroll
            for (int i = 0; i < P::kI; ++i) {
                const int r = P::row(i);
                if (row + r >= query_count) continue;
                // Of equal scores the lower index wins, and these have higher ones than those kept.
                const float threshold = kept.threshold[r];
#pragma unroll
                for (int j = 0; j < P::kJ; ++j) {
                    const int index = column + P::column(j);
                    if (scores[i][j] <= threshold || index >= end) continue;
                    const Key key = key_of(scores[i][j], index);
                    if (key < below[row + r])
                        kept.keys[r * kept.stride + atomicAdd(&kept.count[r], 1)] = key;
                }
            }
            __syncthreads();
            const bool full = threadIdx.x < P::kM && kept.count[threadIdx.x] > capacity - P::kN;
            if (__syncthreads_or(full))
                for (int r = 0; r < P::kM; ++r)
                    if (kept.count[r] > capacity - P::kN) shrink(kept, r);
        });
    for (int r = 0; r < min(P::kM, query_count - row); ++r) {
        shrink(kept, r);
        for (int i = threadIdx.x; i < k; i += P::kThreads)
            parts[(first + r * slices) * k + i] = kept.sorted[i];
        __syncthreads();
    }
}

// The k best of the slices' parts: hits `at`, at + 1, … of `most`, and the last one in `below`.
template <typename K>
__global__ void top_k_merge(const K* parts, K* hits, K* below, int slices, int k, int capacity, int at,
                            int most) {
    extern __shared__ __align__(128) char shared[];
    K* sorted = reinterpret_cast<K*>(shared);
    const int total = slices * k;
    parts += static_cast<size_t>(blockIdx.x) * total;
    for (int i = threadIdx.x; i < k; i += blockDim.x) sorted[i] = 0;
    for (int taken = 0; taken < total; taken += capacity - k) {
        for (int i = k + threadIdx.x; i < capacity; i += blockDim.x)
            sorted[i] = taken + i - k < total ? parts[taken + i - k] : 0;
        sort_keys(sorted, capacity);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < min(k, most - at); i += blockDim.x)
        hits[static_cast<size_t>(blockIdx.x) * most + at + i] = sorted[i];
    if (threadIdx.x == 0) below[blockIdx.x] = sorted[k - 1];
}
