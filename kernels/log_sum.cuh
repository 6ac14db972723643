// Running log-sum-exp of scores that stream by in tiles of a product.
#pragma once

#include "product.cuh"

__device__ inline float minus_infinity() { return __int_as_float(0xff800000); }

constexpr float kLog2E = 1.44269504f;

// 2^x by one instruction; what is below the smallest normal f32 is 0.
__device__ inline float exp2_flushed(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// Σ 2^(scale · (score − max)) of the scores so far, and their maximum; −∞ and 0 before the first.
struct LogSum {
    float max, sum;
};

// What exponents are taken relative to: a number even before the first score.
__device__ inline float base_of(float max) { return max == minus_infinity() ? 0.0f : max; }

__device__ inline LogSum merged(LogSum a, LogSum b, float scale) {
    const float max = fmaxf(a.max, b.max), base = base_of(max);
    return {max, a.sum * exp2_flushed(scale * (a.max - base)) +
                     b.sum * exp2_flushed(scale * (b.max - base))};
}

// Takes in a thread's scores of one row; −∞ adds nothing.
template <int kCount>
__device__ void take_in(LogSum& so_far, const float (&scores)[kCount], float scale) {
    float max = so_far.max;
#pragma unroll
    for (int j = 0; j < kCount; ++j) max = fmaxf(max, scores[j]);
    const float base = scale * base_of(max);
    float sum = so_far.sum * exp2_flushed(fmaf(scale, so_far.max, -base));
#pragma unroll
    for (int j = 0; j < kCount; ++j) sum += exp2_flushed(fmaf(scale, scores[j], -base));
    so_far = {max, sum};
}

// Sets a tile's scores from column `count` on to −∞.
template <class P>
__device__ void mask_columns(typename P::Sums& scores, int count) {
    if (count >= P::kN) return;
#pragma unroll
    for (int j = 0; j < P::kJ; ++j)
        if (P::column(j) >= count)
#pragma unroll
            for (int i = 0; i < P::kI; ++i) scores[i][j] = minus_infinity();
}

// From every thread's state of its rows to one for each row of the block, which `write` gets with the
// row's number: first over the quad, then over the warps side by side, in their order. State is any
// struct of 4-byte members; `merge` joins two. All threads must call it; uses `shared`.
template <class P, class State, class Merge, class Write>
__device__ void merge_rows(char* shared, State (&states)[P::kI], Merge merge, Write write) {
    constexpr int kWords = sizeof(State) / 4, kWarpsN = P::kN / P::kWarpN;
    State* all = reinterpret_cast<State*>(shared);
    await_copies<0>();
    __syncthreads();  // all have multiplied
#pragma unroll
    for (int i = 0; i < P::kI; ++i) {
#pragma unroll
        for (int distance = 1; distance < 4; distance *= 2) {
            State other;
            const float* from = reinterpret_cast<const float*>(&states[i]);
            float* to = reinterpret_cast<float*>(&other);
#pragma unroll
            for (int word = 0; word < kWords; ++word)
                to[word] = __shfl_xor_sync(0xffffffffu, from[word], distance);
            states[i] = merge(states[i], other);
        }
        const int warp_n = threadIdx.x / kWarp % kWarpsN;
        if (threadIdx.x % 4 == 0) all[warp_n * P::kM + P::row(i)] = states[i];
    }
    __syncthreads();
    for (int row = threadIdx.x; row < P::kM; row += P::kThreads) {
        State state = all[row];
#pragma unroll
        for (int warp_n = 1; warp_n < kWarpsN; ++warp_n)
            state = merge(state, all[warp_n * P::kM + row]);
        write(row, state);
    }
}

// A row's state from those of its slices, which `of_slice` gives, by a block whose lanes are rows and whose
// warps take every kWarps-th slice: the slices of a warp in rising order, then the warps. The first warp
// gets it. State is any struct of 4-byte members; `none` is the state of no score, and of a lane that is not `there`. All threads must call it.
template <int kWarps, class State, class Merge, class OfSlice>
__device__ State merge_slices(bool there, int slices, State none, Merge merge, OfSlice of_slice) {
    constexpr int kWords = sizeof(State) / 4;
    __shared__ unsigned words[kWarps][kWords][kWarp];
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    State state = none;
    if (there)
        for (int slice = warp; slice < slices; slice += kWarps) state = merge(state, of_slice(slice));
#pragma unroll
    for (int word = 0; word < kWords; ++word)
        words[warp][word][lane] = reinterpret_cast<const unsigned*>(&state)[word];
    __syncthreads();
    if (warp > 0) return state;
#pragma unroll
    for (int other = 1; other < kWarps; ++other) {
        State more;
#pragma unroll
        for (int word = 0; word < kWords; ++word)
            reinterpret_cast<unsigned*>(&more)[word] = words[other][word][lane];
        state = merge(state, more);
    }
    return state;
}
