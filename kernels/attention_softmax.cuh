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

// How far a scaled score may lie above its row's base, in powers of two: exponentials are at most 2^8, and what bf16
// and f32 round is relative.
constexpr float kSlack = 8.0f;

// The softmax state of a thread's rows: M · 16 rows a warp, of which it meets 2 · M. Exponentials are relative to
// 2^base: not to the largest so far, as in FlashAttention-2, but to the largest when one last lay far above the base
// (Zadouri et al., "FlashAttention-4: Algorithm and Kernel Pipelining Co-Design for Asymmetric Hardware Scaling",
// conditional softmax rescaling), so that tiles seldom change what is there. A row's scores alone decide it.
template <int D, int M>
struct Softmax {
    float base[M][2], sum[M][2], values[M][D / 8][4];

    __device__ void clear() {
#pragma unroll
        for (int m = 0; m < M; ++m) {
#pragma unroll
            for (int half = 0; half < 2; ++half) base[m][half] = kNone, sum[m][half] = 0.0f;
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
        for (int m = 0; m < M; ++m) any |= base[m][0] != kNone || base[m][1] != kNone;
        return any;
    }

    // Turns raw scores, of which some are kNone where it `hides`, into exponentials and adds them up.
    __device__ void soften(float (&scores)[M][kKeys / 8][4], float log2_scale, bool hides) {
        float top[M][2];
        bool above = false;
#pragma unroll
        for (int m = 0; m < M; ++m)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                float largest[kKeys / 8];
#pragma unroll
                for (int n = 0; n < kKeys / 8; ++n)
                    largest[n] = fmaxf(scores[m][n][2 * half], scores[m][n][2 * half + 1]);
#pragma unroll
                for (int apart = 1; apart < kKeys / 8; apart *= 2)
#pragma unroll
                    for (int n = 0; n < kKeys / 8; n += 2 * apart) largest[n] = fmaxf(largest[n], largest[n + apart]);
                top[m][half] = largest[0];
                above |= lies_above(top[m][half], log2_scale, base[m][half]);
            }
        if (__any_sync(0xffffffffu, above)) rescale(top, log2_scale, hides);
#pragma unroll
        for (int m = 0; m < M; ++m)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const float used = used_base(m, half, hides);
#pragma unroll
                for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
                    for (int i = 2 * half; i < 2 * half + 2; ++i) {
                        scores[m][n][i] = exp2_of(__fmaf_rn(scores[m][n][i], log2_scale, -used));
                        sum[m][half] = __fadd_rn(sum[m][half], scores[m][n][i]);
                    }
            }
    }

    __device__ static bool lies_above(float score, float log2_scale, float base) {
        return __fmaf_rn(score, log2_scale, -base) > kSlack;
    }

    // What to take away: nothing from a row that has seen none of its keys, whose scores are all kNone.
    __device__ float used_base(int m, int half, bool hides) const {
        return hides && base[m][half] == kNone ? 0.0f : base[m][half];
    }

    // Makes what is there relative to the largest of a tile's scores, in rows where it lies far above the base; `top` is
    // the largest that this thread has met.
    __device__ void rescale(const float (&top)[M][2], float log2_scale, bool hides) {
#pragma unroll
        for (int m = 0; m < M; ++m)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const float largest = quad_max(top[m][half]), before = base[m][half];
                if (lies_above(largest, log2_scale, before)) base[m][half] = __fmul_rn(largest, log2_scale);
                const float factor = exp2_of(__fsub_rn(before, used_base(m, half, hides)));
                sum[m][half] = __fmul_rn(sum[m][half], factor);
#pragma unroll
                for (int n = 0; n < D / 8; ++n) {
                    values[m][n][2 * half] = __fmul_rn(values[m][n][2 * half], factor);
                    values[m][n][2 * half + 1] = __fmul_rn(values[m][n][2 * half + 1], factor);
                }
            }
    }
};

// The pieces so far of a thread's rows, folded: values, then bases, then sums of exponentials.
template <int D, int M, int THREADS, bool SHARED>
struct Folded {
    static constexpr int kBase = M * D / 2, kSum = kBase + 2 * M, kKept = kSum + 2 * M;
    Kept<kKept, THREADS, SHARED> kept;

    // Room for kKept numbers of each thread in `shared`, if that is where they are.
    __device__ Folded(float* shared) : kept(shared) {
#pragma unroll
        for (int i = 0; i < kKept; ++i) kept[i] = i < kBase || i >= kSum ? 0.0f : kNone;
    }

    __device__ float& base(int m, int half) { return kept[kBase + 2 * m + half]; }
    __device__ float& sum(int m, int half) { return kept[kSum + 2 * m + half]; }

    __device__ void add(const Softmax<D, M>& piece) {
#pragma unroll
        for (int m = 0; m < M; ++m)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const Fold fold(base(m, half), piece.base[m][half]);
                base(m, half) = fold.base;
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
