// Attention forward and backward without tensor cores, for f32 and for head sizes that have no instance in
// attention.cu. The formulas are those of attention.cu and attention_backward_keys.cu.
//
// Source: Dao, "FlashAttention-2", arXiv 2307.08691, algorithms 1 and 2.
//
// Shapes    As in attention.cu, attention_backward.cu and attention_backward_keys.cu, of one type T, head
//           sizes up to kLargest. In the stats of the backward pass the log-sum-exp is that of base 2.
// Launch    grid: (items, num_kv_heads), block: 128. Items have any number of rows; those of keys have no
//           partial gradients.
// Tiling    A warp a row (or a key). 32 keys (or rows) at a time: first each lane takes the products of
//           one, then each lane takes every 32nd element of the sums.
// Registers The row's sums, every 32nd element in a lane.
// Shared    None.
// Global    Every warp reads all that its row sees, through L1: for tests and odd shapes, not for speed.
// Flops     4 · head_dim · rows · keys forward, 14 · head_dim backward.
// Order     Keys in rising order with a new maximum every 32, rows in rising order: bits repeat, and a row
//           of the output depends on its query and its spans alone.
//
// instance: attention_plain_f32 = attention_plain<float>
// instance: attention_plain_bf16 = attention_plain<__nv_bfloat16>
// instance: attention_plain_backward_f32 = attention_plain_backward<float>
// instance: attention_plain_backward_bf16 = attention_plain_backward<__nv_bfloat16>
// instance: attention_plain_backward_keys_f32 = attention_plain_backward_keys<float>
// instance: attention_plain_backward_keys_bf16 = attention_plain_backward_keys<__nv_bfloat16>

#include "attention.cuh"

constexpr int kLargest = 256;

template <typename T>
__device__ float dot(const T* a, const T* b, int n) {
    float sum = 0.0f;
    for (int i = 0; i < n; ++i) sum = __fmaf_rn(to_f32(a[i]), to_f32(b[i]), sum);
    return sum;
}

// Every 32nd element of a row of sums.
struct Sums {
    float at[kLargest / kWarp];

    __device__ Sums() {
#pragma unroll
        for (float& x : at) x = 0.0f;
    }
    __device__ void scale(float factor) {
#pragma unroll
        for (float& x : at) x = __fmul_rn(x, factor);
    }
    template <typename T>
    __device__ void add(float factor, const T* row, int d) {
#pragma unroll
        for (int i = 0; i < kLargest / kWarp; ++i) {
            const int c = threadIdx.x % kWarp + i * kWarp;
            if (c < d) at[i] = __fmaf_rn(factor, to_f32(row[c]), at[i]);
        }
    }
    template <typename T>
    __device__ void write(T* row, int d, float factor) const {
#pragma unroll
        for (int i = 0; i < kLargest / kWarp; ++i) {
            const int c = threadIdx.x % kWarp + i * kWarp;
            if (c < d) row[c] = from_f32<T>(__fmul_rn(at[i], factor));
        }
    }
};

__device__ inline float warp_max(float x) {
#pragma unroll
    for (int distance = kWarp / 2; distance > 0; distance /= 2)
        x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, distance));
    return x;
}

// What lane `from` holds.
__device__ inline float of_lane(float x, int from) { return __shfl_sync(0xffffffffu, x, from); }

template <typename T>
__global__ void attention_plain(Heads h, const Item* items, const Run* runs, const T* queries, int q_stride,
                                const T* keys, const T* values, int kv_stride, T* out, float* lse) {
    const Item item = items[blockIdx.x];
    const int kv_head = blockIdx.y, lane = threadIdx.x % kWarp, d = h.head_dim;
    for (int i = threadIdx.x / kWarp; i < item.rows; i += blockDim.x / kWarp) {
        const int row = item.first + i;
        const T* q = queries + row_at(h, row, kv_head, q_stride, d);
        Sums sums;
        float maximum = kNone, total = 0.0f;
        for (int r = 0; r < item.runs; ++r) {
            const Run run = runs[item.run + r];
            const int visible = visible_to(h, run, row);
            for (int at = 0; at < visible; at += kWarp) {
                const auto key = [&](int i) { return static_cast<size_t>(run.key + at + i) * kv_stride + kv_head * d; };
                const bool there = at + lane < visible;
                const float score = there ? h.scale * dot(q, keys + key(lane), d) : kNone;
                const float top = fmaxf(maximum, warp_max(score));
                const float factor = expf(maximum - top), p = expf(score - top);
                maximum = top;
                total = __fmaf_rn(total, factor, warp_sum(p));
                sums.scale(factor);
                for (int j = 0; j < min(kWarp, visible - at); ++j) sums.add(of_lane(p, j), values + key(j), d);
            }
        }
        sums.write(out + row_at(h, row, kv_head, h.num_heads * d, d), d, 1.0f / total);
        if (lse != nullptr && lane == 0) lse[row_at(h, row, kv_head, h.num_heads, 1)] = maximum + logf(total);
    }
}

// What a row and a key have to do with each other in the backward pass.
struct Pair {
    float p, ds;
    template <typename T>
    __device__ Pair(const Heads& h, bool seen, const T* q, const T* g, const T* k, const T* v, float2 stat) {
        const float score = h.scale * dot(q, k, h.head_dim);
        p = seen ? expf(score - stat.x * kLn2) : 0.0f;
        ds = p * (dot(g, v, h.head_dim) - stat.y) * h.scale;
    }
};

template <typename T>
__global__ void attention_plain_backward(Heads h, const Item* items, const Run* runs, const T* qkv, const T* dout,
                                         const float2* stats, int rows, T* dqkv) {
    const Item item = items[blockIdx.x];
    const int kv_head = blockIdx.y, lane = threadIdx.x % kWarp, d = h.head_dim;
    const int stride = (h.num_heads + 2 * h.num_kv_heads) * d;
    const T* keys = qkv + (h.num_heads + kv_head) * d;
    const T* values = keys + h.num_kv_heads * d;
    for (int i = threadIdx.x / kWarp; i < item.rows; i += blockDim.x / kWarp) {
        const int row = item.first + i;
        const T* q = qkv + row_at(h, row, kv_head, stride, d);
        const T* g = dout + row_at(h, row, kv_head, h.num_heads * d, d);
        const float2 stat = stats[static_cast<size_t>(kv_head) * rows + row];
        Sums dq;
        for (int r = 0; r < item.runs; ++r) {
            const Run run = runs[item.run + r];
            const int visible = visible_to(h, run, row);
            for (int at = 0; at < visible; at += kWarp) {
                const int count = min(kWarp, visible - at);
                const size_t first = static_cast<size_t>(run.key + at) * stride;
                const size_t mine = first + static_cast<size_t>(min(lane, count - 1)) * stride;
                const Pair pair(h, lane < count, q, g, keys + mine, values + mine, stat);
                for (int j = 0; j < count; ++j)
                    dq.add(of_lane(pair.ds, j), keys + first + static_cast<size_t>(j) * stride, d);
            }
        }
        dq.write(dqkv + row_at(h, row, kv_head, stride, d), d, 1.0f);
    }
}

template <typename T>
__global__ void attention_plain_backward_keys(Heads h, const KeyItem* items, const Visit* visits, const T* qkv,
                                              const T* dout, const float2* stats, int rows, T* dqkv) {
    const KeyItem item = items[blockIdx.x];
    const int kv_head = blockIdx.y, lane = threadIdx.x % kWarp, d = h.head_dim;
    const int stride = (h.num_heads + 2 * h.num_kv_heads) * d;
    for (int key = threadIdx.x / kWarp; key < item.keys; key += blockDim.x / kWarp) {
        const size_t at = static_cast<size_t>(item.key + key) * stride + (h.num_heads + kv_head) * d;
        const T *k = qkv + at, *v = k + h.num_kv_heads * d;
        Sums dk, dv;
        for (int i = 0; i < item.visits; ++i) {
            const Visit visit = visits[item.visit + i];
            for (int first = 0; first < visit.rows; first += kWarp) {
                const int count = min(kWarp, visit.rows - first);
                const auto q = [&](int i) { return qkv + row_at(h, visit.first + first + i, kv_head, stride, d); };
                const auto g = [&](int i) { return dout + row_at(h, visit.first + first + i, kv_head, h.num_heads * d, d); };
                const int mine = min(lane, count - 1), row = visit.first + first + mine;
                const int later = token_of(h, row) - token_of(h, visit.first);
                const bool seen = lane < count && key < visit.seen + (visit.causal ? later : 0);
                const float2 stat = stats[static_cast<size_t>(kv_head) * rows + row];
                const Pair pair(h, seen, q(mine), g(mine), k, v, stat);
                for (int j = 0; j < count; ++j) {
                    dk.add(of_lane(pair.ds, j), q(j), d);
                    dv.add(of_lane(pair.p, j), g(j), d);
                }
            }
        }
        dk.write(dqkv + at, d, 1.0f);
        dv.write(dqkv + at + h.num_kv_heads * d, d, 1.0f);
    }
}
