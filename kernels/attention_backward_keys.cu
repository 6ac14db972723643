// Gradients of attention by its keys and values, on tensor cores:
//
//   p = exp(q·k · scale − lse),  ds = p · (dout·v − delta)
//   dv = Σ_q p dout,  dk = scale · Σ_q ds q
//
// over all rows that see a key: those of its own segment and of all segments below it.
//
// Source: Dao, "FlashAttention-2", arXiv 2307.08691, algorithm 2.
//
// Shapes    qkv, dqkv: [tokens, (num_heads + 2 · num_kv_heads) · D]; dout: [tokens, num_heads, D]; stats:
//           attention_backward.cu; partial: [slots, num_kv_heads, 2, 64, D], dk then dv, f32. Matrices are
//           bf16 with rows at multiples of 16 bytes, sums f32.
// Launch    grid (items, num_kv_heads), block 128, dynamic shared memory 256 · D + 8 · ROWS · (D + 2) bytes.
//           attention_backward_keys_fold: grid (folds, num_kv_heads, any), block 128.
// Tiling    A block holds 64 keys of a segment, each warp 16, and streams visits of ROWS query rows past
//           them; those that see all of the keys have a loop of their own, without masks. Products are transposed, keys by rows, so that p and ds are left factors as they are.
//           Keys that very many rows see, or many where tiles are too few for the GPU, are given to several
//           blocks, each with a share of the visits, whose sums are folded by a second kernel.
// Registers p and ds of a visit and both gradients; keys and values as fragments where D = 64.
// Shared    Keys and values; two stages of queries, output gradients and stats.
// Global    Keys, values and gradients once, the rows that see them once for a block; for each share of a
//           tile and head 512 · D bytes of partial gradients written and read, through L2 alone.
// Flops     8 · D · rows · keys: bound by tensor cores.
// Order     Visits in the order of the rows, shares of them in rising order: bits repeat.
//
// instance: attention_backward_keys_64 = attention_backward_keys<64, 64>
// instance: attention_backward_keys_80 = attention_backward_keys<80, 64>
// instance: attention_backward_keys_96 = attention_backward_keys<96, 32>
// instance: attention_backward_keys_128 = attention_backward_keys<128, 32>
// instance: attention_backward_keys_fold = attention_backward_keys_fold<__nv_bfloat16>

#include "attention_tile.cuh"
#include "scratch.cuh"

constexpr int kThreads = 128;

// A warp's 16 rows of a tile as the left factor of products with ROWS rows of others.
template <int D, int ROWS>
struct Left {
    static constexpr bool kInRegisters = D <= 64;
    Tile<D> tile;
    int first;
    unsigned held[1][kInRegisters ? D / 16 : 1][4];

    __device__ Left(Tile<D> tile, int first) : tile(tile), first(first) {
        if constexpr (kInRegisters) load_left(held[0], tile, first);
    }
    __device__ void times(float (&c)[1][ROWS / 8][4], const FlippedRows<D, Major::kDepth>& right) const {
        if constexpr (kInRegisters) {
            multiply_transposed<1, ROWS>(c, held, right);
        } else {
            unsigned a[1][D / 16][4];
            load_left(a[0], tile, first);
            multiply_transposed<1, ROWS>(c, a, right);
        }
    }
};

// Starts the copy of a row's stats to shared memory, of zeros where `there` is false.
__device__ inline void copy_stat(float2* to, const float2* from, bool there) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;\n" ::"r"(shared_address(to)), "l"(from), "r"(there ? 8 : 0));
}

template <int D, int ROWS>
__global__ void __launch_bounds__(kThreads)
attention_backward_keys(Heads h, const KeyItem* items, const Visit* visits, const bf16* qkv, const bf16* dout,
                        const float2* stats, int rows, bf16* dqkv, float* partial) {
    constexpr unsigned kTileBytes = ROWS * D * sizeof(bf16);
    extern __shared__ __align__(128) bf16 shared[];
    const Tile<D> keys{shared}, values{shared + kKeys * D};
    bf16* const stages = shared + 2 * kKeys * D;
    const auto tile = [&](int stage, int which) { return Tile<D>{stages + (2 * stage + which) * ROWS * D}; };
    float2* const stage_stats = reinterpret_cast<float2*>(stages + 4 * ROWS * D);

    const KeyItem item = items[blockIdx.x];
    const int kv_head = blockIdx.y, lane = threadIdx.x % kWarp;
    const int warp_key = threadIdx.x / kWarp * 16;
    const int stride = (h.num_heads + 2 * h.num_kv_heads) * D;
    const int key_at = (h.num_heads + kv_head) * D, value_at = key_at + h.num_kv_heads * D;
    const float log2_scale = h.scale * kLog2E;
    const auto fetch_visit = [&](int stage, const Visit& visit) {
        for_chunks<ROWS, kThreads, D>([&](int row, int c) {
            // As row_at, of both at once: rows of a token lie side by side, and between tokens something more.
            const unsigned token = token_of(h, visit.first + row);
            const unsigned at = (visit.first + row + kv_head * h.group) * D + c * 8;
            const bf16* query = qkv + (token * (stride - h.group * D) + at);
            const bf16* gradient = dout + (token * (h.num_heads - h.group) * D + at);
            copy_async(shared_address(tile(stage, 0).chunk(row, c)), query, row < visit.rows);
            copy_async(shared_address(tile(stage, 1).chunk(row, c)), gradient, row < visit.rows);
        });
        const int row = threadIdx.x;
        const float2* from = stats + static_cast<unsigned>(kv_head * rows + visit.first + row);
        if (row < ROWS) copy_stat(stage_stats + stage * ROWS + row, from, row < visit.rows);
        commit_copies();
    };

    const auto key_row = [&](int row) { return static_cast<size_t>(item.key + row) * stride; };
    fetch<kKeys, kThreads>(keys, item.keys, qkv + key_row(0) + key_at, stride);
    fetch<kKeys, kThreads>(values, item.keys, qkv + key_row(0) + value_at, stride);
    Visit visit = visits[item.visit];
    fetch_visit(0, visit);
    await_copies<0>();
    __syncthreads();
    const Left<D, ROWS> k(keys, warp_key), v(values, warp_key);

    float dk[1][D / 8][4] = {}, dv[1][D / 8][4] = {};
    // Rows past a visit's end are zeros, and so are their stats: they add nothing.
    const auto add_visit = [&](const Visit& visit, int now, bool hides) {
        float p[1][ROWS / 8][4] = {}, ds[1][ROWS / 8][4] = {};
        const FlippedRows<D, Major::kDepth> right(tile(now, 0));
        k.times(p, right);
        v.times(ds, right + kTileBytes);
        if (hides) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                // The first row whose token sees the key, counted from this thread's first.
                const int later = warp_key + 8 * half + lane / 4 + 1 - visit.seen;
                const int from = (token_of(h, visit.first) + later) * h.group - visit.first - lane % 4 * 2;
#pragma unroll
                for (int n = 0; n < ROWS / 8; ++n)
#pragma unroll
                    for (int i = 0; i < 2; ++i)
                        if (later > 0 && 8 * n + i < from) p[0][n][2 * half + i] = kNone;
            }
        }
#pragma unroll
        for (int n = 0; n < ROWS / 8; ++n) {
            const float4 stat = *reinterpret_cast<const float4*>(stage_stats + now * ROWS + 8 * n + lane % 4 * 2);
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const float log_sum = i % 2 ? stat.z : stat.x, delta = i % 2 ? stat.w : stat.y;
                p[0][n][i] = exp2_of(fmaf(p[0][n][i], log2_scale, -log_sum));
                ds[0][n][i] = p[0][n][i] * (ds[0][n][i] - delta);
            }
        }
        const FlippedRows<D, Major::kOuter> outer(tile(now, 0));
        multiply<1, ROWS>(dv, p, outer + kTileBytes);
        multiply<1, ROWS>(dk, ds, outer);
    };
    for (int index = 0, now = 0; index < item.visits; ++index, now ^= 1) {
        // Visits whose rows see all of the keys, with another behind: nothing is hidden.
        for (; index + 1 < item.visits && !(visit.causal && visit.seen < item.keys); ++index, now ^= 1) {
            await_copies<0>();
            __syncthreads();  // as below
            const Visit next = visits[item.visit + index + 1];
            fetch_visit(now ^ 1, next);
            add_visit(visit, now, false);
            visit = next;
        }
        await_copies<0>();
        __syncthreads();  // the visit is there, and the other stage has been read
        Visit next = visit;
        if (index + 1 < item.visits) {
            next = visits[item.visit + index + 1];
            fetch_visit(now ^ 1, next);
        }
        add_visit(visit, now, visit.causal);
        visit = next;
    }

#pragma unroll
    for (int n = 0; n < D / 8; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) dk[0][n][i] *= h.scale;
    if (item.partial >= 0) {
        float* to = partial + (static_cast<size_t>(item.partial) * h.num_kv_heads + kv_head) * 2 * kKeys * D;
#pragma unroll
        for (int n = 0; n < D / 8; ++n)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const int key = warp_key + 8 * half + lane / 4;
                if (key >= item.keys) continue;
                const int at = key * D + 8 * n + lane % 4 * 2;
                *reinterpret_cast<float2*>(to + at) = make_float2(dk[0][n][2 * half], dk[0][n][2 * half + 1]);
                *reinterpret_cast<float2*>(to + kKeys * D + at) = make_float2(dv[0][n][2 * half], dv[0][n][2 * half + 1]);
            }
        return;
    }
    __syncthreads();  // keys and values have been read
    const int count = item.keys - warp_key;
    store_rows<1>(dk, Tile<D>{keys.base + warp_key * D}, count, [&](int row) { return dqkv + key_row(warp_key + row) + key_at; });
    store_rows<1>(dv, Tile<D>{values.base + warp_key * D}, count, [&](int row) { return dqkv + key_row(warp_key + row) + value_at; });
}

// The sum of a tile's partial gradients: of item.visits slots from item.partial on. The blocks along z
// share the elements.
template <typename T>
__global__ void attention_backward_keys_fold(Heads h, const KeyItem* items, const float* partial, T* dqkv) {
    const KeyItem item = items[blockIdx.x];
    const int kv_head = blockIdx.y, d = h.head_dim;
    const int step = gridDim.z * blockDim.x;
    for (int i = blockIdx.z * blockDim.x + threadIdx.x; i < 2 * item.keys * d; i += step) {
        const int which = i / (item.keys * d), at = i % (item.keys * d);  // at: key and element
        const size_t stride = static_cast<size_t>(h.num_kv_heads) * 2 * kKeys * d;
        const float* from = partial + item.partial * stride + (kv_head * 2 + which) * kKeys * d + at;
        float sum = 0.0f;
        for (int visit = 0; visit < item.visits; ++visit) sum += from[visit * stride];
        if (item.keys * d % kLineFloats == 0) discard_read(from - threadIdx.x % kWarp, item.visits, stride);
        const int column = h.num_heads + which * h.num_kv_heads + kv_head;
        const size_t row = static_cast<size_t>(item.key + at / d) * (h.num_heads + 2 * h.num_kv_heads);
        dqkv[(row + column) * d + at % d] = from_f32<T>(sum);
    }
}
