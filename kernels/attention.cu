// Causal attention over packed sequences with shared trunks, forward, on tensor cores:
//
//   out = Σ_j softmax_j(q·k_j · scale) v_j,  lse = ln Σ_j exp(q·k_j · scale)
//
// Source: Dao, "FlashAttention-2", arXiv 2307.08691, algorithm 1, with the rescaling of FlashAttention-4
// (attention_softmax.cuh); spans that many rows share are read once for all of them as in Juravsky et al.,
// "Hydragen", arXiv 2402.05099, section 3.
//
// Shapes    queries: rows of q_stride elements a token, [num_heads, D] of them used; keys, values: rows
//           of kv_stride, [num_kv_heads, D] used; out: [tokens, num_heads, D]; lse: [tokens, num_heads],
//           may be null. Matrices are bf16 with rows at multiples of 16 bytes, all sums f32.
// Launch    grid: (items, num_kv_heads), block: 32 · WARPS, dynamic shared memory: 512 · D bytes, and
//           64 · WARPS · M · (D + 8) more where M > 1.
// Tiling    A block holds WARPS · M · 16 rows (attention.cuh: tokens times heads of a group), each warp
//           M · 16, and streams the tiles of 64 keys of its runs past them. Tiles that all of them see
//           have a loop of their own, without masks and ends. A warp whose rows see nothing of a tile
//           only helps to load it.
// Registers Queries as fragments, scores of a tile, the output of a piece, which a tile rescales only if a row has a
//           score far above those before; folded pieces as well where M = 1, in shared memory otherwise.
// Shared    Two stages of a key and a value tile: while one is multiplied, the next is on its way. The
//           queries pass through the second stage at the start, the output through both at the end.
// Global    Queries and output once; keys and values once for a block, so about once from HBM: the
//           blocks of a sequence run together and find them in L2.
// Flops     4 · D · rows · keys, bound by tensor cores (prefill) or by memory (decoding).
// Order     Keys in rising order within a piece of a span (attention.cuh), pieces in rising order; what a row does
//           not see changes nothing of it. Its bits depend on its query and its spans alone, be the
//           pieces folded here or by attention_combine, with any WARPS and M.
//
// instance: attention_64 = attention<64, 4, 2>
// instance: attention_few_64 = attention<64, 4, 1>
// instance: attention_few_80 = attention<80, 4, 1>
// instance: attention_few_96 = attention<96, 4, 1>
// instance: attention_few_128 = attention<128, 4, 1>

#include "attention_softmax.cuh"

template <int D, int WARPS, int M>
__global__ void __launch_bounds__(WARPS * kWarp)
attention(Heads h, const Item* items, const Run* runs, const bf16* queries, int q_stride, const bf16* keys,
          const bf16* values, int kv_stride, bf16* out, float* lse, Partial partial) {
    constexpr int kThreads = WARPS * kWarp, kRows = WARPS * M * 16, kStageBytes = 2 * kKeys * D * sizeof(bf16);
    static_assert(kRows <= 2 * kKeys, "the queries fit in a stage");
    extern __shared__ __align__(16) bf16 shared[];
    const auto stage = [&](int which) { return shared + which * 2 * kKeys * D; };

    const Item item = items[blockIdx.x];
    const int kv_head = blockIdx.y, lane = threadIdx.x % kWarp;
    const int warp_row = threadIdx.x / kWarp * M * 16;  // first row of this warp within the item
    const float log2_scale = h.scale * kLog2E;
    const auto fetch_tile = [&](int to, int key, int count) {
        const size_t first = static_cast<size_t>(key) * kv_stride + kv_head * D;
        fetch<kKeys, kThreads>(Tile<D>{stage(to)}, count, keys + first, kv_stride);
        fetch<kKeys, kThreads>(Tile<D>{stage(to) + kKeys * D}, count, values + first, kv_stride);
        commit_copies();
    };

    int key = runs[item.run].key, count = runs[item.run].keys, last_of_piece = 0;  // of the run
    fetch<kRows, kThreads>(Tile<D>{stage(1)}, item.rows, [&](int row) {
        return queries + row_at(h, item.first + row, kv_head, q_stride, D);
    });
    fetch_tile(0, key, count);
    await_copies<0>();
    __syncthreads();
    unsigned q[M][D / 16][4];
#pragma unroll
    for (int m = 0; m < M; ++m) load_left(q[m], Tile<D>{stage(1)}, warp_row + 16 * m);

    // Row of the batch that half of a fragment holds.
    const auto row_of = [&](int m, int half) { return item.first + warp_row + 16 * m + 8 * half + lane / 4; };
    Softmax<D, M> piece;
    piece.clear();
    Folded<D, M, kThreads, (M > 1)> total(reinterpret_cast<float*>(stage(2)));

    // Where this lane reads the keys of a stage: from where it does in the first, if there are registers to keep it.
    const LaneRows<D, Major::kDepth> first_keys(Tile<D>{stage(0)});
    const auto key_rows = [&](int of) {
        if constexpr (D < 128)
            return first_keys + of * kStageBytes;
        else
            return LaneRows<D, Major::kDepth>(Tile<D>{stage(of)});
    };
    const auto attend = [&](int stage_of, int here, bool hides, const int (&visible)[M][2]) {
        float scores[M][kKeys / 8][4] = {};
        multiply_transposed<M, kKeys>(scores, q, key_rows(stage_of));
        if (hides) mask(scores, visible, here);
        piece.soften(scores, log2_scale, hides);
        multiply<M, kKeys>(piece.values, scores, LaneRows<D, Major::kOuter>(Tile<D>{stage(stage_of) + kKeys * D}));
    };
    int visible[M][2], whole = 0;
    for (int index = 0, at = 0, now = 0; index < item.runs; now ^= 1) {
        if (at == 0) {
            const Run run = runs[item.run + index];
            last_of_piece = run.piece - kKeys;
#pragma unroll
            for (int m = 0; m < M; ++m)
#pragma unroll
                for (int half = 0; half < 2; ++half) visible[m][half] = visible_to(h, run, row_of(m, half));
            // Keys that all rows of the block see, where every warp has rows.
            const bool all = run.first <= item.first && item.first + item.rows <= run.last;
            whole = all && item.rows > kRows - 16 * M ? visible_to(h, run, item.first) : 0;
        }

        // Tiles of them with a whole tile of the same run behind, up to the last of a piece: nothing is hidden, and
        // no end has to be looked for.
        const int plain = min(min(whole, count - kKeys) / kKeys * kKeys, at | last_of_piece);
        for (; at < plain; at += kKeys, now ^= 1) {
            await_copies<0>();
            __syncthreads();  // as below
            const bf16* next = keys + static_cast<size_t>(key + at + kKeys) * kv_stride + kv_head * D;
            fetch<kKeys, kThreads, true>(Tile<D>{stage(now ^ 1)}, kKeys, next, kv_stride);
            fetch<kKeys, kThreads, true>(Tile<D>{stage(now ^ 1) + kKeys * D}, kKeys, values + (next - keys), kv_stride);
            commit_copies();
            attend(now, at, false, visible);
        }

        await_copies<0>();
        __syncthreads();  // the tile is there, and the other stage has been read
        const int here = at;
        at += kKeys;
        const bool ends_piece = (here & last_of_piece) == last_of_piece || at >= count;
        if (at >= count) {
            at = 0;
            if (++index < item.runs) key = runs[item.run + index].key, count = runs[item.run + index].keys;
        }
        if (index < item.runs) fetch_tile(now ^ 1, key + at, count - at);

        int least = visible[0][0], most = visible[0][0];
#pragma unroll
        for (int m = 0; m < M; ++m)
#pragma unroll
            for (int half = 0; half < 2; ++half)
                least = min(least, visible[m][half]), most = max(most, visible[m][half]);
        if (__any_sync(0xffffffffu, most > here))
            attend(now, here, __any_sync(0xffffffffu, least < here + kKeys), visible);

        if (ends_piece && __any_sync(0xffffffffu, piece.seen())) {
            total.add(piece);
            piece.clear();
        }
    }

#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int row = row_of(m, half);
            if (row >= item.first + item.rows) continue;
            const float base = total.base(m, half), sum = total.sum(m, half);
            total.scaled(piece.values, m, half, item.partial < 0 ? 1.0f / sum : 1.0f);
            if (item.partial >= 0) {
                const size_t to = static_cast<size_t>(kv_head) * partial.rows + item.partial + row - item.first;
                if (lane % 4 == 0) partial.sums[to] = make_float2(base, sum);
#pragma unroll
                for (int n = 0; n < D / 8; ++n)
                    *reinterpret_cast<float2*>(partial.values + to * D + 8 * n + lane % 4 * 2) =
                        make_float2(piece.values[m][n][2 * half], piece.values[m][n][2 * half + 1]);
            } else if (lse != nullptr && lane % 4 == 0) {
                lse[row_at(h, row, kv_head, h.num_heads, 1)] = log_sum_exp(base, sum);
            }
        }
    if (item.partial >= 0) return;
    __syncthreads();  // the last tile has been read
    store_rows<M>(piece.values, Tile<D>{shared + warp_row * D}, item.rows - warp_row, [&](int row) {
        return out + row_at(h, item.first + warp_row + row, kv_head, h.num_heads * D, D);
    });
}
