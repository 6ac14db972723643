// In-batch InfoNCE over cosines s_ij of queries and items with temperature τ:
//
//   unit_rows       rows of length 1 and the reciprocals of their lengths (0 for a zero row), of both
//   info_nce_target s_i,target by the very chain of multiply-adds that the tiles use
//   info_nce        running log-sum-exp of s_ij / τ over a slice of the items, and how many items of it
//                   score above the target
//   info_nce_finish loss_i = lse_i − s_i,target / τ, lse and rank from the slices
//   info_nce_gradient  for a strip of queries, from cosines computed again,
//                   g_ij = coefficient_i / τ · (exp(s_ij / τ − lse_i) − [j = target_i]), 0 if masked
//   through_norm    from the gradient of unit rows to that of the rows, of both
// The last kernel of each direction drops the unit rows, that of the backward g as well.
//
// The backward runs info_nce_gradient, then dq = g · d and dd += gᵀ · q (linear.cu), strip after strip.
// LREM eq. 7, 11, 12, 15; the log-sum-exp runs as in FlashAttention (arXiv 2205.14135).
//
// Shapes    unit queries q [queries, hidden], unit items d [items, hidden], f32: 1/τ multiplies the
//           error of a product, so nothing is rounded to bf16. Masks: items
//           masked[mask_offsets[i] .. mask_offsets[i + 1]], ascending; mask_offsets null: none.
//           partial [3][slices][queries], maxima, sums and ranks − 1; g [rows of a strip, items].
// Launch    info_nce: grid (ceil(queries / kM), slices); info_nce_gradient: grid ceil(rows / kM) ·
//           ceil(items / kN); info_nce_target: grid ceil(queries / kM); block P::kThreads; dynamic
//           shared memory: the stages, and 512 bytes for masks. info_nce_finish: 32 queries, block 256.
//           unit_rows, through_norm: a warp a row, block 256.
// Tiling    64 × 64 by 4 warps of 32 × 32, steps of 32, 3 stages; `few`, where those are too few to fill a
//           GPU, 8 × 8 by a warp, steps of 64, 4 stages. The pipeline runs across the tiles of a slice.
//           info_nce_target: the diagonal of an 8 × 8 tile of queries and their targets.
// Registers The sums; for each of a thread's rows maximum, sum, rank and target's score.
// Shared    Operands (tile.cuh), and a bit for each pair of a tile that is masked.
// Global    q and d about once from HBM, ceil(queries / kM) times from L2; 12 · queries · slices bytes
//           of partial results. Of queries × items there is only the strip, in L2.
// Flops     2 · queries · items · hidden, three times that backward, f32 multiply-adds.
// Order     A thread's items in rising order, then quads, warps and slices in theirs: bits repeat. Tile
//           and slices follow from queries and items alone, not from the GPU. Ranks are the same for all
//           of them: a score is one chain along the depth. A copy of the target scores what the target
//           scores, so it never outranks it.
//
// instance: unit_rows = unit_rows<float>
// instance: info_nce_target_wide = info_nce_target<Targets<Small<true>>>
// instance: info_nce_target_any = info_nce_target<Targets<Small<false>>>
// instance: info_nce_few = info_nce<Few>
// instance: info_nce_wide = info_nce<Wide>
// instance: info_nce_any = info_nce<Any>
// instance: info_nce_finish = info_nce_finish<float>
// instance: info_nce_gradient_few = info_nce_gradient<Few>
// instance: info_nce_gradient_wide = info_nce_gradient<Wide>
// instance: info_nce_gradient_any = info_nce_gradient<Any>
// instance: through_norm = through_norm<float>

#include "log_sum.cuh"
#include "output.cuh"
#include "scratch.cuh"
#include "targets.cuh"

template <bool wide>
using Cosines = Product<float, float, 64, 64, 32, 2, 2, 3, wide, Major::kDepth, Major::kDepth>;
using Wide = Cosines<true>;
using Any = Cosines<false>;
template <bool wide>
using Small = Product<float, float, 8, 8, 64, 1, 1, 4, wide, Major::kDepth, Major::kDepth>;
using Few = Small<true>;

constexpr int kFinishWarps = 8;

// A query's log-sum-exp, and the items that score above its target, so far.
struct Standing {
    LogSum scores;
    unsigned above;
};

__device__ inline Standing joined(Standing a, Standing b, float scale) {
    return {merged(a.scores, b.scores, scale), a.above + b.above};
}

// A warp's row, of the queries or, after them, of the items, and its first element.
struct WarpRow {
    bool item, there;
    size_t row, start;
};

__device__ inline WarpRow warp_row(int queries, int items, int hidden) {
    const int at = (blockIdx.x * blockDim.x + threadIdx.x) / kWarp;
    const size_t row = at < queries ? at : at - queries;
    return {at >= queries, at < queries + items, row, row * hidden};
}

// Squares are summed in f64, where those of the smallest f32 do not vanish.
template <typename T>
__global__ void unit_rows(const T* q, const T* d, T* unit_q, T* unit_d, T* inverse_q, T* inverse_d,
                          int queries, int items, int hidden) {
    const WarpRow at = warp_row(queries, items, hidden);
    const int lane = threadIdx.x % kWarp;
    if (!at.there) return;
    const T* x = (at.item ? d : q) + at.start;
    T* unit = (at.item ? unit_d : unit_q) + at.start;
    double squares = 0.0;
    for (int i = lane; i < hidden; i += kWarp) {
        const double value = x[i];
        squares += value * value;
    }
    squares = warp_sum(squares);
    const double factor = squares > 0.0 ? 1.0 / sqrt(squares) : 0.0;
    for (int i = lane; i < hidden; i += kWarp) unit[i] = static_cast<T>(x[i] * factor);
    if (lane == 0) (at.item ? inverse_d : inverse_q)[at.row] = static_cast<T>(factor);
}

template <class P>
__global__ void __launch_bounds__(P::kThreads)
    info_nce_target(const float* q, const float* d, const unsigned* target, float* score, int queries,
                    int items, int hidden) {
    extern __shared__ __align__(128) char shared[];
    const int first = blockIdx.x * P::kM;
    multiply_tiles<P>(shared, {q, queries, hidden}, {{d, items, hidden}, target, queries}, first, first, 1, 0,
                      ceil_div(hidden, P::kDepth), [&](const typename P::Sums& scores, int) {
#pragma unroll
                          for (int j = 0; j < P::kJ; ++j)
                              if (P::row(0) == P::column(j) && first + P::row(0) < queries)
                                  score[first + P::row(0)] = scores[0][j];
                      });
}

// Bit c of bits[r]: query row + r does not meet item column + c. Thread r finds those of its row.
template <class P>
__device__ void mark_masked(unsigned long long* bits, const int* mask_offsets, const unsigned* masked,
                            int row, int column, int queries) {
    __syncthreads();  // all have read the last tile's
    if (threadIdx.x < P::kM) {
        unsigned long long marks = 0;
        const int query = row + threadIdx.x;
        if (query < queries) {
            int low = mask_offsets[query];
            const int end = mask_offsets[query + 1];
            for (int high = end; low < high;) {
                const int middle = low + (high - low) / 2;
                if (masked[middle] < static_cast<unsigned>(column))
                    low = middle + 1;
                else
                    high = middle;
            }
            for (; low < end && masked[low] < static_cast<unsigned>(column + P::kN); ++low)
                marks |= 1ull << (masked[low] - column);
        }
        bits[threadIdx.x] = marks;
    }
    __syncthreads();
}

// `slice` items, a multiple of kN, for each blockIdx.y.
template <class P>
__global__ void __launch_bounds__(P::kThreads)
    info_nce(const float* q, const float* d, const float* target_score, const int* mask_offsets,
             const unsigned* masked, float* partial, int queries, int items, int hidden, int slice,
             float inverse_temperature) {
    extern __shared__ __align__(128) char shared[];
    auto* bits = reinterpret_cast<unsigned long long*>(shared + P::kStages * P::kStageBytes);
    const int row = blockIdx.x * P::kM, begin = blockIdx.y * slice;
    const int end = min(items, begin + slice);
    const float scale = kLog2E * inverse_temperature;

    Standing states[P::kI];
    float goals[P::kI];
#pragma unroll
    for (int i = 0; i < P::kI; ++i) {
        states[i] = {{minus_infinity(), 0.0f}, 0};
        goals[i] = row + P::row(i) < queries ? target_score[row + P::row(i)] : 0.0f;
    }
    multiply_tiles<P>(
        shared, {q, queries, hidden}, {d, items, hidden}, row, begin, ceil_div(end - begin, P::kN), 0,
        ceil_div(hidden, P::kDepth), [&](typename P::Sums& scores, int column) {
            mask_columns<P>(scores, end - column);
            if (mask_offsets) {
                mark_masked<P>(bits, mask_offsets, masked, row, column, queries);
#pragma unroll
                for (int i = 0; i < P::kI; ++i)
#pragma unroll
                    for (int j = 0; j < P::kJ; ++j)
                        if (bits[P::row(i)] >> P::column(j) & 1) scores[i][j] = minus_infinity();
            }
#pragma unroll
            for (int i = 0; i < P::kI; ++i) {
#pragma unroll
                for (int j = 0; j < P::kJ; ++j) states[i].above += scores[i][j] > goals[i];
                take_in(states[i].scores, scores[i], scale);
            }
        });
    merge_rows<P>(
        shared, states, [&](Standing a, Standing b) { return joined(a, b, scale); },
        [&](int r, Standing state) {
            if (row + r >= queries) return;
            const size_t plane = static_cast<size_t>(gridDim.y) * queries;
            float* to = partial + static_cast<size_t>(blockIdx.y) * queries + row + r;
            to[0] = state.scores.max;
            to[plane] = state.scores.sum;
            to[2 * plane] = __uint_as_float(state.above);
        });
}

template <typename T>
__global__ void __launch_bounds__(kFinishWarps * kWarp)
    info_nce_finish(const float* partial, const T* target_score, const T* unit_q, const T* unit_d, T* loss, T* lse,
                    unsigned* rank, int queries, int items, int hidden, int slices, float inverse_temperature) {
    discard(unit_q, sizeof(T) * queries * hidden);
    discard(unit_d, sizeof(T) * items * hidden);
    const int query = blockIdx.x * kWarp + threadIdx.x % kWarp;
    const float scale = kLog2E * inverse_temperature;
    const Standing state = merge_slices<kFinishWarps>(
        query < queries, slices, Standing{{minus_infinity(), 0.0f}, 0},
        [&](Standing a, Standing b) { return joined(a, b, scale); },
        [&](int slice) {
            const size_t plane = static_cast<size_t>(slices) * queries;
            const float* from = partial + static_cast<size_t>(slice) * queries + query;
            return Standing{{from[0], from[plane]}, __float_as_uint(from[2 * plane])};
        });
    if (threadIdx.x >= kWarp || query >= queries) return;
    const float tail = logf(state.scores.sum);
    lse[query] = state.scores.max * inverse_temperature + tail;
    loss[query] = (state.scores.max - target_score[query]) * inverse_temperature + tail;
    rank[query] = state.above + 1;
}

// The strip's rows are the queries [first, first + rows).
template <class P>
__global__ void __launch_bounds__(P::kThreads, 1)
    info_nce_gradient(const float* q, const float* d, const unsigned* target, const int* mask_offsets,
                      const unsigned* masked, const float* lse, const float* coefficient, float* g,
                      int first, int rows, int items, int hidden, float inverse_temperature) {
    extern __shared__ __align__(128) char shared[];
    auto* bits = reinterpret_cast<unsigned long long*>(shared + P::kStages * P::kStageBytes);
    int tile_m, tile_n;
    place(blockIdx.x, ceil_div(rows, P::kM), ceil_div(items, P::kN), tile_m, tile_n);
    const int end = first + rows, row = first + tile_m * P::kM;
    multiply_tiles<P>(
        shared, {q, end, hidden}, {d, items, hidden}, row, tile_n * P::kN, 1, 0,
        ceil_div(hidden, P::kDepth), [&](typename P::Sums& sums, int column) {
            if (mask_offsets) mark_masked<P>(bits, mask_offsets, masked, row, column, end);
#pragma unroll
            for (int i = 0; i < P::kI; ++i) {
                const int query = row + P::row(i);
                const bool there = query < end;
                const float factor = there ? coefficient[query] * inverse_temperature : 0.0f;
                const float total = there ? lse[query] : 0.0f;
                const int hit = there ? static_cast<int>(target[query]) : -1;
                const unsigned long long marks = mask_offsets ? bits[P::row(i)] : 0;
#pragma unroll
                for (int j = 0; j < P::kJ; ++j) {
                    const float p = exp2_flushed(kLog2E * fmaf(sums[i][j], inverse_temperature, -total));
                    const float g_ij = factor * (column + P::column(j) == hit ? p - 1.0f : p);
                    sums[i][j] = marks >> P::column(j) & 1 ? 0.0f : g_ij;
                }
            }
            write_sums<P>(shared, sums, nullptr, g, row - first, column, rows, items, false);
        });
}

// dx ← (dx − unit · (unit · dx)) · inverse, row by row.
template <typename T>
__global__ void through_norm(const T* unit_q, const T* unit_d, const T* inverse_q, const T* inverse_d,
                             const float* g, T* dq, T* dd, int queries, int items, int hidden, int strip) {
    discard(g, sizeof(float) * strip * items);
    const WarpRow at = warp_row(queries, items, hidden);
    const int lane = threadIdx.x % kWarp;
    if (!at.there) return;
    const T* unit = (at.item ? unit_d : unit_q) + at.start;
    T* dx = (at.item ? dd : dq) + at.start;
    const T inverse = (at.item ? inverse_d : inverse_q)[at.row];
    double along = 0.0;
    for (int i = lane; i < hidden; i += kWarp) along += static_cast<double>(unit[i]) * dx[i];
    const float dot = static_cast<float>(warp_sum(along));
    for (int i = lane; i < hidden; i += kWarp) dx[i] = (dx[i] - unit[i] * dot) * inverse;
    if (hidden % kLineFloats == 0) discard_read(unit, hidden / kLineFloats, kLineFloats);
}
