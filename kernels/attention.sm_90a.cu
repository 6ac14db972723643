// Attention of attention.cu with many rows, for Hopper: keys and values come by tensor maps and are multiplied by
// warpgroups.
//
//   out = Σ_j softmax_j(q·k_j · scale) v_j,  lse = ln Σ_j exp(q·k_j · scale)
//
// Source: Shah et al., "FlashAttention-3", arXiv 2407.08608, section 3.1: a warp that fetches, warpgroups that
// multiply, one of which has its softmax while another has its products.
//
// Shapes    As in attention.cu. `key_boxes` and `value_boxes` are tensor maps of the matrices that keys and values
//           lie in, with boxes of 64 rows by 64 columns.
// Launch    grid: (items, num_kv_heads), block: 128 · GROUPS + 32, dynamic shared memory: Layout::kBytes. Items of at
//           most 64 · GROUPS rows, none of them partial.
// Tiling    Each warpgroup has 64 rows (attention.cuh: tokens times heads of a group), of which a warp has 16, and
//           streams the tiles of 64 keys of its runs past them. A warpgroup whose rows see nothing of a tile lets it
//           pass.
// Warps     The last one fetches. The tile that a run ends in is not copied as boxes, which would bring in the rows
//           behind the run, but by its lanes, zeros beyond.
// Registers Scores of a tile, the output of a piece; that of the pieces so far as well where D = 64, in shared memory
//           otherwise.
// Shared    The queries, which the output takes the place of, and stages of a key and a value tile, in boxes of 64
//           columns with 128 bytes of swizzle; a pair of barriers for each stage.
// Global    As in attention.cu.
// Flops     4 · D · rows · keys on tensor cores.
// Order     That of attention.cu: tiles in rising order, along each the steps of mma, pieces folded. The same bits.
//
// instance: attention_groups_64 = attention_by_groups<64, 2>
// instance: attention_groups_128 = attention_by_groups<128, 2>

#include "attention_softmax.cuh"
#include "hopper.cuh"

// What lies where in shared memory, in bytes from its start.
template <int D, int GROUPS>
struct Layout {
    static constexpr int kBoxes = D / kBox, kRows = 64 * GROUPS, kStages = D == 64 ? 4 : 3;
    static constexpr int kBoxBytes = kKeys * kBoxRowBytes, kRowBoxBytes = kRows * kBoxRowBytes;
    static constexpr int kTileBytes = kBoxes * kBoxBytes, kStageBytes = 2 * kTileBytes;
    static constexpr int kQueryBytes = kBoxes * kRowBoxBytes;
    static constexpr int kBarriers = kQueryBytes + kStages * kStageBytes;
    // What the pieces so far have come to, of larger heads.
    static constexpr int kFolded = kBarriers + Ring<kStages>::kBytes;
    static constexpr int kBytes = kFolded + (D > 64 ? kRows * 2 * (D / 2 + 4) * 4 : 0);
};

// The tile of a matrix from row `key` on, of which `count` rows are a run's: its `boxes` boxes of 64 columns from
// `column` on. `rows` is the matrix, `map` its tensor map.
template <int BOXES>
__device__ void fetch_boxes(char* to, const TensorMap& map, const bf16* rows, int stride, int key, int column, int count,
                            unsigned barrier) {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int box = 0; box < BOXES; ++box) {
        char* tile = to + box * kKeys * kBoxRowBytes;
        if (count >= kKeys) {
            if (lane == 0) copy_box(shared_address(tile), map, column + box * kBox, key, barrier);
        } else {
            const bf16* from = rows + static_cast<size_t>(key) * stride + column + box * kBox;
            for (int at = lane; at < kKeys * 8; at += kWarp) {
                const int row = at / 8, chunk = at % 8;
                copy_async(shared_address(Tile<kBox>{reinterpret_cast<bf16*>(tile)}.chunk(row, chunk)),
                           from + static_cast<size_t>(row) * stride + chunk * 8, row < count);
            }
        }
    }
}

template <int D, int GROUPS>
__global__ void __launch_bounds__(GROUPS * 128 + kWarp)
attention_by_groups(Heads h, const Item* items, const Run* runs, const bf16* queries, int q_stride, const bf16* keys,
                    const bf16* values, int kv_stride, bf16* out, float* lse,
                    const __grid_constant__ TensorMap key_boxes, const __grid_constant__ TensorMap value_boxes) {
    using L = Layout<D, GROUPS>;
    constexpr int kThreads = GROUPS * 128;  // those that multiply
    extern __shared__ __align__(1024) char shared[];
    const auto stage_at = [&](int stage) { return shared + L::kQueryBytes + stage * L::kStageBytes; };
    const Item item = items[blockIdx.x];
    const int kv_head = blockIdx.y, lane = threadIdx.x % kWarp;

    Ring<L::kStages> ring(shared_address(shared) + L::kBarriers, kThreads / kWarp);
    if (threadIdx.x >= kThreads) {
        for (int index = 0; index < item.runs; ++index) {
            const Run run = runs[item.run + index];
            for (int at = 0; at < run.keys; at += kKeys, ring.next()) {
                const int count = run.keys - at;
                char* to = stage_at(ring.stage);
                const unsigned barrier = ring.full();
                await(ring.empty(), ring.parity ^ 1);
                if (lane == 0 && count >= kKeys) arrive_expecting(barrier, L::kStageBytes);
                fetch_boxes<L::kBoxes>(to, key_boxes, keys, kv_stride, run.key + at, kv_head * D, count, barrier);
                fetch_boxes<L::kBoxes>(to + L::kTileBytes, value_boxes, values, kv_stride, run.key + at, kv_head * D,
                                       count, barrier);
                if (count < kKeys) {
                    commit_copies();
                    await_copies<0>();
                    publish_stores();
                    __syncwarp();
                    if (lane == 0) arrive(barrier);
                }
            }
        }
        return;
    }

    const auto all_that_multiply = [] { asm volatile("bar.sync 1, %0;\n" ::"n"(kThreads) : "memory"); };
    const int group_row = threadIdx.x / 128 * 64, warp_row = threadIdx.x / kWarp * 16;
#pragma unroll
    for (int box = 0; box < L::kBoxes; ++box) {
        bf16* to = reinterpret_cast<bf16*>(shared + box * L::kRowBoxBytes);
        fetch<L::kRows, kThreads>(Tile<kBox>{to}, item.rows, [&](int row) {
            return queries + row_at(h, item.first + row, kv_head, q_stride, D) + box * kBox;
        });
    }
    commit_copies();
    await_copies<0>();
    publish_stores();
    all_that_multiply();
    const unsigned own_queries = shared_address(shared) + group_row * kBoxRowBytes;

    const float log2_scale = h.scale * kLog2E;
    // Row of the batch that half of a fragment holds.
    const auto row_of = [&](int half) { return item.first + warp_row + 8 * half + lane / 4; };
    Softmax<D, 1> piece;
    piece.clear();
    Folded<D, 1, kThreads, (D > 64)> total(reinterpret_cast<float*>(shared + L::kFolded));
    int visible[1][2], least, group_most;
    for (int index = 0, at = 0, keys_of_run, last_of_piece; index < item.runs; ring.next()) {
        if (at == 0) {
            const Run run = runs[item.run + index];
            keys_of_run = run.keys, last_of_piece = run.piece - kKeys;
#pragma unroll
            for (int half = 0; half < 2; ++half) visible[0][half] = visible_to(h, run, row_of(half));
            least = min(visible[0][0], visible[0][1]);
            // Later rows see more, if anything of the run.
            const int last = min(run.last, item.first + group_row + 64) - 1;
            group_most = last >= item.first + group_row ? visible_to(h, run, last) : 0;
        }
        const int here = at;
        at += kKeys;
        const bool ends_piece = (here & last_of_piece) == last_of_piece || at >= keys_of_run;
        if (at >= keys_of_run) at = 0, ++index;

        await(ring.full(), ring.parity);
        if (group_most > here) {
            const unsigned tile = shared_address(stage_at(ring.stage));
            float scores[1][kKeys / 8][4] = {};
            begin_products();
#pragma unroll
            for (int depth = 0; depth < D; depth += 16)
                multiply_group<Major::kDepth, Major::kDepth>(
                    scores[0], operand<Major::kDepth>(own_queries + depth / kBox * L::kRowBoxBytes, depth % kBox),
                    operand<Major::kDepth>(tile + depth / kBox * L::kBoxBytes, depth % kBox));
            commit_products();
            await_products<0>();
            const bool hides = __any_sync(0xffffffffu, least < here + kKeys);
            if (hides) mask(scores, visible, here);
            piece.soften(scores, log2_scale, hides);
            unsigned left[kKeys / 16][4];
#pragma unroll
            for (int k = 0; k < kKeys / 16; ++k) round_left(left[k], scores[0], k);
            begin_products();
#pragma unroll
            for (int k = 0; k < kKeys / 16; ++k)
                multiply_group<Major::kOuter>(piece.values[0], left[k],
                                              operand<Major::kOuter>(tile + L::kTileBytes, 16 * k));
            commit_products();
            await_products<0>();
        }
        if (lane == 0) arrive(ring.empty());

        if (ends_piece && __any_sync(0xffffffffu, piece.seen())) {
            total.add(piece);
            piece.clear();
        }
    }

#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int row = row_of(half);
        const float base = total.base(0, half), sum = total.sum(0, half);
        total.scaled(piece.values, 0, half, 1.0f / sum);
        if (row < item.first + item.rows && lse != nullptr && lane % 4 == 0)
            lse[row_at(h, row, kv_head, h.num_heads, 1)] = log_sum_exp(base, sum);
    }
    all_that_multiply();  // the queries have been read
    bf16* to = reinterpret_cast<bf16*>(shared);
    store_rows<1>(piece.values, Tile<D>{to + warp_row * D}, item.rows - warp_row, [&](int row) {
        return out + row_at(h, item.first + warp_row + row, kv_head, h.num_heads * D, D);
    });
}
