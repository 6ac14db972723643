// Gradient of attention by its queries, on tensor cores, and what both gradients read of a row:
//
//   p = exp(q·k · scale − lse),  ds = p · (dout·v − delta),  delta = dout·out
//   dq = scale · Σ_k ds k
//
// Source: Dao, "FlashAttention-2", arXiv 2307.08691, algorithm 2; here queries and keys have a kernel
//         each, so that no sum needs atomics (attention_backward_keys.cu is the other).
//
// Shapes    qkv, dqkv: [tokens, (num_heads + 2 · num_kv_heads) · D]; out, dout: [tokens, num_heads, D];
//           lse: [tokens, num_heads]; stats[num_kv_heads, rows] = (lse · log2 e, delta), a row being a
//           token and a head of a group. Matrices are bf16 with rows at multiples of 16 bytes, sums f32.
// Launch    attention_delta: grid (rows / 4 rounded up, num_kv_heads), block 128. attention_backward:
//           grid (items, num_kv_heads), block 32 · WARPS, dynamic shared memory 512 · D bytes.
// Tiling    A block holds WARPS · 16 rows, each warp 16, and streams the tiles of 64 keys of its runs past
//           them. Tiles that all of them see have a loop of their own, without masks and ends. A warp whose
//           rows see nothing of a tile only helps to load it.
// Registers Queries and output gradients as fragments, scores and ds of a tile, the gradient.
// Shared    Two stages of a key and a value tile; queries and output gradients pass through the second
//           at the start, the gradient through the first at the end.
// Global    Queries, output gradients and their stats once, keys and values once for a block.
// Flops     6 · D · rows · keys: bound by tensor cores.
// Order     Keys in rising order: bits repeat.
//
// instance: attention_delta_f32 = attention_delta<float>
// instance: attention_delta_bf16 = attention_delta<__nv_bfloat16>
// instance: attention_backward_64 = attention_backward<64, 4>
// instance: attention_backward_80 = attention_backward<80, 4>
// instance: attention_backward_96 = attention_backward<96, 4>
// instance: attention_backward_128 = attention_backward<128, 4>

#include "attention_tile.cuh"

template <typename T>
__global__ void attention_delta(Heads h, const T* out, const T* dout, const float* lse, float2* stats, int rows) {
    const int row = (blockIdx.x * blockDim.x + threadIdx.x) / kWarp, lane = threadIdx.x % kWarp;
    const int kv_head = blockIdx.y;
    if (row >= rows) return;
    const size_t from = row_at(h, row, kv_head, h.num_heads * h.head_dim, h.head_dim);
    float delta = 0.0f;
    for (int at = lane; at < h.head_dim; at += kWarp)
        delta = fmaf(to_f32(out[from + at]), to_f32(dout[from + at]), delta);
    delta = warp_sum(delta);
    if (lane == 0) {
        const float log_sum = lse[row_at(h, row, kv_head, h.num_heads, 1)];
        stats[static_cast<size_t>(kv_head) * rows + row] = make_float2(log_sum * kLog2E, delta);
    }
}

template <int D, int WARPS>
__global__ void __launch_bounds__(WARPS * kWarp)
attention_backward(Heads h, const Item* items, const Run* runs, const bf16* qkv, const bf16* dout,
                   const float2* stats, int rows, bf16* dqkv) {
    constexpr int kThreads = WARPS * kWarp, kRows = WARPS * 16;
    static_assert(kRows <= kKeys, "queries and output gradients fit in a stage");
    extern __shared__ __align__(16) bf16 shared[];
    const auto tile = [&](int stage, int which) { return Tile<D>{shared + (2 * stage + which) * kKeys * D}; };

    const Item item = items[blockIdx.x];
    const int kv_head = blockIdx.y, lane = threadIdx.x % kWarp;
    const int warp_row = threadIdx.x / kWarp * 16;
    const int stride = (h.num_heads + 2 * h.num_kv_heads) * D;
    const bf16* keys = qkv + (h.num_heads + kv_head) * D;
    const bf16* values = keys + h.num_kv_heads * D;
    const float log2_scale = h.scale * kLog2E;
    const auto fetch_tile = [&](int stage, const Run& run, int at) {
        const size_t first = static_cast<size_t>(run.key + at) * stride;
        fetch<kKeys, kThreads>(tile(stage, 0), run.keys - at, keys + first, stride);
        fetch<kKeys, kThreads>(tile(stage, 1), run.keys - at, values + first, stride);
        commit_copies();
    };

    Run run = runs[item.run];
    fetch<kRows, kThreads>(tile(1, 0), item.rows, [&](int row) {
        return qkv + row_at(h, item.first + row, kv_head, stride, D);
    });
    fetch<kRows, kThreads>(tile(1, 1), item.rows, [&](int row) {
        return dout + row_at(h, item.first + row, kv_head, h.num_heads * D, D);
    });
    fetch_tile(0, run, 0);
    await_copies<0>();
    __syncthreads();
    unsigned q[1][D / 16][4], g[1][D / 16][4];
    load_left(q[0], tile(1, 0), warp_row);
    load_left(g[0], tile(1, 1), warp_row);

    const int row0 = item.first + warp_row + lane / 4;  // the other row of this thread is 8 further
    float2 stat[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const int row = row0 + 8 * half;
        const bool there = row < item.first + item.rows;
        stat[half] = there ? stats[static_cast<size_t>(kv_head) * rows + row] : make_float2(0.0f, 0.0f);
    }

    float dq[1][D / 8][4] = {};
    const auto add_tile = [&](int stage, int here, bool hides, const int (&visible)[1][2]) {
        float p[1][kKeys / 8][4] = {}, ds[1][kKeys / 8][4] = {};
        multiply_transposed<1, kKeys>(p, q, LaneRows<D, Major::kDepth>(tile(stage, 0)));
        multiply_transposed<1, kKeys>(ds, g, LaneRows<D, Major::kDepth>(tile(stage, 1)));
        if (hides) mask(p, visible, here);
#pragma unroll
        for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const float weight = exp2_of(fmaf(p[0][n][i], log2_scale, -stat[i / 2].x));
                ds[0][n][i] = weight * (ds[0][n][i] - stat[i / 2].y);
            }
        multiply<1, kKeys>(dq, ds, LaneRows<D, Major::kOuter>(tile(stage, 0)));
    };
    int visible[1][2], whole = 0;
    for (int index = 0, at = 0, now = 0; index < item.runs; now ^= 1) {
        if (at == 0) {
            visible[0][0] = visible_to(h, run, row0), visible[0][1] = visible_to(h, run, row0 + 8);
            // Keys that all rows of the block see, where every warp has rows.
            const bool all = run.first <= item.first && item.first + item.rows <= run.last;
            whole = all && item.rows > kRows - 16 ? visible_to(h, run, item.first) : 0;
        }

        // Tiles of them with a whole tile of the same run behind: nothing is hidden, and no end has to be looked for.
        const int plain = min(whole, run.keys - kKeys) / kKeys * kKeys;
        for (; at < plain; at += kKeys, now ^= 1) {
            await_copies<0>();
            __syncthreads();  // as below
            const bf16* next = keys + static_cast<size_t>(run.key + at + kKeys) * stride;
            fetch<kKeys, kThreads, true>(tile(now ^ 1, 0), kKeys, next, stride);
            fetch<kKeys, kThreads, true>(tile(now ^ 1, 1), kKeys, values + (next - keys), stride);
            commit_copies();
            add_tile(now, at, false, visible);
        }

        await_copies<0>();
        __syncthreads();  // the tile is there, and the other stage has been read
        const int here = at;
        at += kKeys;
        if (at >= run.keys) {
            at = 0;
            if (++index < item.runs) run = runs[item.run + index];
        }
        if (index < item.runs) fetch_tile(now ^ 1, run, at);

        if (__any_sync(0xffffffffu, max(visible[0][0], visible[0][1]) > here))
            add_tile(now, here, __any_sync(0xffffffffu, min(visible[0][0], visible[0][1]) < here + kKeys), visible);
    }

#pragma unroll
    for (int n = 0; n < D / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) dq[0][n][i] *= h.scale;
    __syncthreads();  // the last tile has been read
    store_rows<1>(dq, Tile<D>{shared + warp_row * D}, item.rows - warp_row, [&](int row) {
        return dqkv + row_at(h, item.first + warp_row + row, kv_head, stride, D);
    });
}
