// The running softmax of attention over tiles of scores.
#pragma once

#include "attention_tile.cuh"

// N numbers of each of a block's threads, in registers or in shared memory as [N][THREADS].
template <int N, int THREADS, bool SHARED>
struct Kept {
    float at[N];
    __device__ Kept(float*) {}
    __device__ float& operator[](int i) { return at[i]; }
};
template <int N, int THREADS>
struct Kept<N, THREADS, true> {
    float* base;
    __device__ Kept(float* shared) : base(shared + threadIdx.x) {}
    __device__ float& operator[](int i) { return base[i * THREADS]; }
};

// The softmax state of a thread's rows: M · 16 rows a warp, of which it meets 2 · M.
template <int D, int M>
struct Softmax {
    float maximum[M][2], sum[M][2], values[M][D / 8][4];

    __device__ void clear() {
#pragma unroll
        for (int m = 0; m < M; ++m) {
#pragma unroll
            for (int half = 0; half < 2; ++half) maximum[m][half] = kNone, sum[m][half] = 0.0f;
#pragma unroll
            for (int n = 0; n < D / 8; ++n)
#pragma unroll
                for (int i = 0; i < 4; ++i) values[m][n][i] = 0.0f;
        }
    }

    // Whether this thread's rows have seen a key.
    __device__ bool seen() const {
        bool any = false;
#pragma unroll
        for (int m = 0; m < M; ++m) any |= maximum[m][0] != kNone || maximum[m][1] != kNone;
        return any;
    }

    // Turns raw scores into exponentials relative to the new maximum, and rescales what is there.
    __device__ void soften(float (&scores)[M][kKeys / 8][4], float log2_scale) {
#pragma unroll
        for (int m = 0; m < M; ++m) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                float top = kNone;
#pragma unroll
                for (int n = 0; n < kKeys / 8; ++n)
                    top = fmaxf(top, fmaxf(scores[m][n][2 * half], scores[m][n][2 * half + 1]));
                top = fmaxf(maximum[m][half], quad_max(top));
                const float used = top == kNone ? 0.0f : top;
                const float factor = exp2_of(__fmul_rn(__fsub_rn(maximum[m][half], used), log2_scale));
                const float base = __fmul_rn(used, log2_scale);
                float total = __fmul_rn(sum[m][half], factor);
#pragma unroll
                for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
                    for (int i = 2 * half; i < 2 * half + 2; ++i) {
                        scores[m][n][i] = exp2_of(__fmaf_rn(scores[m][n][i], log2_scale, -base));
                        total = __fadd_rn(total, scores[m][n][i]);
                    }
                }
                maximum[m][half] = top;
                sum[m][half] = total;
#pragma unroll
                for (int n = 0; n < D / 8; ++n) {
                    values[m][n][2 * half] = __fmul_rn(values[m][n][2 * half], factor);
                    values[m][n][2 * half + 1] = __fmul_rn(values[m][n][2 * half + 1], factor);
                }
            }
        }
    }
};

// The pieces so far of a thread's rows, folded: values, then largest scores, then sums of exponentials.
template <int D, int M, int THREADS, bool SHARED>
struct Folded {
    static constexpr int kMaximum = M * D / 2, kSum = kMaximum + 2 * M, kKept = kSum + 2 * M;
    Kept<kKept, THREADS, SHARED> kept;

    // Room for kKept numbers of each thread in `shared`, if that is where they are.
    __device__ Folded(float* shared) : kept(shared) {
#pragma unroll
        for (int i = 0; i < kKept; ++i) kept[i] = i < kMaximum || i >= kSum ? 0.0f : kNone;
    }

    __device__ float& maximum(int m, int half) { return kept[kMaximum + 2 * m + half]; }
    __device__ float& sum(int m, int half) { return kept[kSum + 2 * m + half]; }

    __device__ void add(const Softmax<D, M>& piece, float log2_scale) {
#pragma unroll
        for (int m = 0; m < M; ++m)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const Fold fold(maximum(m, half), piece.maximum[m][half], log2_scale);
                maximum(m, half) = fold.maximum;
                sum(m, half) = fold(sum(m, half), quad_sum(piece.sum[m][half]));
#pragma unroll
                for (int n = 0; n < D / 8; ++n)
#pragma unroll
                    for (int i = 2 * half; i < 2 * half + 2; ++i) {
                        float& value = kept[(m * D / 8 + n) * 4 + i];
                        value = fold(value, piece.values[m][n][i]);
                    }
            }
    }

    // The values of half of a fragment's rows, times `scale`.
    __device__ void scaled(float (&values)[M][D / 8][4], int m, int half, float scale) {
#pragma unroll
        for (int n = 0; n < D / 8; ++n)
#pragma unroll
            for (int i = 2 * half; i < 2 * half + 2; ++i)
                values[m][n][i] = __fmul_rn(kept[(m * D / 8 + n) * 4 + i], scale);
    }
};
