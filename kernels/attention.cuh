// What the attention kernels share: how query rows are numbered, and the lists that the host prepares.
//
// Rows      The query heads of a group read the same keys, so row r of a key/value head is token
//           r / group with head r % group of that group: a block of rows is a block of one matrix.
// Spans     A run is a range of rows that sees one span of keys (src/ops/forest.rs). Keys stream in
//           tiles of kKeys, counted from the start of the span.
#pragma once

#include "common.cuh"

using bf16 = __nv_bfloat16;

// Keys of a tile.
constexpr int kKeys = 64;
// The score of a key that is not seen.
constexpr float kNone = __builtin_bit_cast(float, 0xff800000u);
constexpr float kLog2E = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;

struct Heads {
    int num_heads, num_kv_heads, head_dim;
    int group;               // num_heads / num_kv_heads
    unsigned group_inverse;  // 2^31 / group, rounded up
    float scale;             // 1 / sqrt(head_dim)
};

// Rows [first, last) that see the keys of the store from row `key` on: `seen` of them the first row's
// token, and where `causal` every later token one more; `keys` of them the last row's. Every `piece` keys, a
// power of two of at least kKeys, the running maximum and sum start anew: pieces are folded together in rising
// order, whether one block computes them all or each is a block's, so that both give the same bits.
struct Run {
    int first, last;
    int key, keys;
    int seen, causal;
    int piece;
};

// Rows of a block and its runs. With `partial` ≥ 0 their results are partial, and stored from that row
// on.
struct Item {
    int first, rows;
    int run, runs;
    int partial;
};

// Keys of a segment, as many as a tile holds, and visits to them. With `partial` ≥ 0 the gradients are
// partial, and stored in that slot.
struct KeyItem {
    int key, keys;
    int visit, visits;
    int partial;
};

// Rows that see a tile's keys: the first row's token `seen` of them, and where `causal` every later token
// one more.
struct Visit {
    int first, rows;
    int seen, causal;
};

// row / group, exactly.
__device__ inline int token_of(const Heads& h, int row) {
    return __umulhi(2u * row, h.group_inverse);
}

// Query head of a row.
__device__ inline int head_of(const Heads& h, int row, int token, int kv_head) {
    return kv_head * h.group + row - token * h.group;
}

// Where a row starts in a matrix of `stride` elements a token and `width` a head. The host sees to it that
// the batch has fewer than 2^32 elements.
__device__ inline unsigned row_at(const Heads& h, int row, int kv_head, int stride, int width) {
    const int token = token_of(h, row);
    return static_cast<unsigned>(token) * stride + head_of(h, row, token, kv_head) * width;
}

// Keys of the run that a row sees.
__device__ inline int visible_to(const Heads& h, const Run& run, int row) {
    if (row < run.first || row >= run.last) return 0;
    return run.causal ? max(0, run.seen + token_of(h, row) - token_of(h, run.first)) : run.seen;
}

// 2^x to within 2 ulp; 2^-inf is 0 and 2^0 is 1.
__device__ inline float exp2_of(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// Results of items for attention_combine: values[num_kv_heads, rows, D], and for each row the base and the sum of the
// exponentials relative to it.
struct Partial {
    float* values;
    float2* sums;
    int rows;
};

// What two pieces relative to 2^a and 2^b weigh in their sum, and its base. Nothing was seen where a base is kNone; such
// a piece is all zeros and changes nothing.
struct Fold {
    float base, before, after;

    __device__ Fold(float a, float b) {
        base = fmaxf(a, b);
        before = a == kNone ? 0.0f : exp2_of(__fsub_rn(a, base));
        after = b == kNone ? 0.0f : exp2_of(__fsub_rn(b, base));
    }
    __device__ float operator()(float a, float b) const { return __fmaf_rn(b, after, __fmul_rn(a, before)); }
};

// Natural log-sum-exp from the sum of the exponentials relative to 2^base.
__device__ float log_sum_exp(float base, float sum) { return __fmul_rn(kLn2, __fadd_rn(base, __log2f(sum))); }
