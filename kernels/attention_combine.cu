// Folds the partial results of attention's items into rows of the output:
//
//   out = Σ_p values_p · 2^(b_p − b) / Σ_p sums_p · 2^(b_p − b),  b = max_p b_p
//
// with p the pieces of a row's spans, whose bits are those of attention folding them itself.
//
// Source: Juravsky et al., "Hydragen", arXiv 2402.05099, section 3.1; pieces of one span as in Dao et
//         al., "Flash-Decoding".
//
// Shapes    partial: attention.cuh; firsts: [rows + 1]; pieces: the partial rows of row r stand at
//           firsts[r] .. firsts[r + 1], in the order of its spans; out, lse: as in attention.cu.
// Launch    grid: (rows, num_kv_heads), a row being a token and a head of a group; block: 32.
// Tiling    A warp a row, neighbouring lanes neighbouring pairs of elements.
// Registers The running pair, base and sum.
// Global    Partial results once, 4 · (head_dim + 2) bytes a piece, mostly from L2, and the output once.
// Flops     3 · head_dim a piece: bound by memory.
//
// instance: attention_combine = attention_combine<__nv_bfloat16>

#include "attention.cuh"

template <typename T>
__global__ void __launch_bounds__(kWarp)
attention_combine(Heads h, const int* firsts, const int* pieces, Partial partial, T* out, float* lse) {
    const int row = blockIdx.x, kv_head = blockIdx.y;
    const int first = firsts[row], last = firsts[row + 1];
    for (int at = 2 * threadIdx.x; at < h.head_dim; at += 2 * kWarp) {
        float base = kNone, sum = 0.0f;
        float2 value = make_float2(0.0f, 0.0f);
        for (int i = first; i < last; ++i) {
            const size_t from = static_cast<size_t>(kv_head) * partial.rows + pieces[i];
            const float2 sums = partial.sums[from];
            const float2 piece = *reinterpret_cast<const float2*>(partial.values + from * h.head_dim + at);
            const Fold fold(base, sums.x);
            base = fold.base;
            sum = fold(sum, sums.y);
            value.x = fold(value.x, piece.x);
            value.y = fold(value.y, piece.y);
        }
        const float scale = 1.0f / sum;
        Pack<T, 2> rounded{{from_f32<T>(__fmul_rn(value.x, scale)), from_f32<T>(__fmul_rn(value.y, scale))}};
        store<2>(out + row_at(h, row, kv_head, h.num_heads * h.head_dim, h.head_dim) + at, rounded);
        if (lse != nullptr && at == 0)
            lse[row_at(h, row, kv_head, h.num_heads, 1)] = log_sum_exp(base, sum);
    }
}
