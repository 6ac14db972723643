// Products of matrices by blocks: C = A · B over tiles in shared memory, A and B each along its depth
// or along its outer index in memory, sums in f32.
//
// bf16 · bf16 multiplies on tensor cores (mma m16n8k16); all else multiplies and adds in f32, one
// fused multiply-add for each element of the depth. Either way an element of C is one chain along the
// depth, in its order, whatever the tile: every shape of block gives the same bits.
//
// A thread holds of its warp's part of C the rows 8i + lane / 4 and the columns 8(j / 2) +
// 2(lane mod 4) + j mod 2: the four lanes of a quad hold the same rows. That is the layout of mma's
// sums, and in f32 it reads a tile without bank conflicts.
#pragma once

#include "tile.cuh"

// A block's tile kM × kN of C, by kWarpsM × kWarpsN warps, in steps of kDepth along the depth, with
// kStages steps of operands in shared memory.
template <typename TA, typename TB, int kM_, int kN_, int kDepth_, int kWarpsM, int kWarpsN,
          int kStages_, bool kWide_, Major kMajorA, Major kMajorB>
struct Product {
    using A = Tile<TA, kM_, kDepth_, kMajorA>;
    using B = Tile<TB, kN_, kDepth_, kMajorB>;
    static constexpr int kM = kM_, kN = kN_, kDepth = kDepth_, kStages = kStages_;
    static constexpr bool kWide = kWide_, kGated = false;
    static constexpr int kThreads = kWarpsM * kWarpsN * kWarp;
    static constexpr int kWarpM = kM / kWarpsM, kWarpN = kN / kWarpsN;
    static constexpr int kI = kWarpM / 8, kJ = kWarpN / 4;
    static constexpr int kStageBytes = A::kBytes + B::kBytes;

    static constexpr bool kDeepA = kMajorA == Major::kDepth, kDeepB = kMajorB == Major::kDepth;

    using FromA = Matrix<TA>;
    using FromB = Matrix<TB>;
    using Sums = float[kI][kJ];

    __device__ static int row(int i) {
        return threadIdx.x / kWarp / kWarpsN * kWarpM + 8 * i + threadIdx.x % kWarp / 4;
    }
    __device__ static int column(int j) {
        return threadIdx.x / kWarp % kWarpsN * kWarpN + 8 * (j / 2) + 2 * (threadIdx.x % 4) + j % 2;
    }

    // Whether a thread holds sums, and one of them.
    __device__ static bool multiplies() { return true; }
    __device__ static float sum(const Sums& sums, int i, int j) { return sums[i][j]; }

    // Fetch the operands, step after step: of A from (row, depth) on, of B from (column, depth) on.
    using ReadA = Reader<A, kThreads, kWide>;
    using ReadB = Reader<B, kThreads, kWide>;

    // Steps from `start` on that do not reach beyond the depth's end.
    __device__ static int whole_steps(const FromA& a, int start) {
        return max(0, (kDeepA ? a.columns : a.rows) - start) / kDepth;
    }

    __device__ static void clear(Sums& sums) {
#pragma unroll
        for (int i = 0; i < kI; ++i)
#pragma unroll
            for (int j = 0; j < kJ; ++j) sums[i][j] = 0.0f;
    }

    // sums += A · B of one step.
    __device__ static void multiply(const char* stage, Sums& sums) {
        if constexpr (sizeof(TA) == 2 && sizeof(TB) == 2)
            multiply_by_mma(stage, stage + A::kBytes, sums);
        else
            multiply_by_fma(stage, stage + A::kBytes, sums);
    }

    __device__ static void multiply_by_mma(const char* a, const char* b, Sums& sums) {
        const unsigned rows_at = shared_address(a) + first_rows();
        const unsigned columns_at = shared_address(b) + first_columns();
#pragma unroll
        for (int k = 0; k < kDepth; k += 16) {
            unsigned columns[kWarpN / 16][4];
#pragma unroll
            for (int j = 0; j < kWarpN / 16; ++j)
                load_matrices<!kDeepB>(columns[j], kDeepB ? B::moved(columns_at, 16 * j, k / 8)
                                                          : B::moved(columns_at, k, 2 * j));
#pragma unroll
            for (int i = 0; i < kWarpM / 16; ++i) {
                unsigned rows[4];
                load_matrices<!kDeepA>(rows, kDeepA ? A::moved(rows_at, 16 * i, k / 8)
                                                    : A::moved(rows_at, k, 2 * i));
#pragma unroll
                for (int j = 0; j < kWarpN / 8; ++j)
                    mma(sums[2 * i][2 * j], sums[2 * i][2 * j + 1], sums[2 * i + 1][2 * j],
                        sums[2 * i + 1][2 * j + 1], rows, columns[j / 2][j % 2 * 2],
                        columns[j / 2][j % 2 * 2 + 1]);
            }
        }
    }

    // Where this lane finds its row for ldmatrix: of a0..a3 of mma, for the warp's first 16 rows,
    static __device__ int first_rows() {
        const int lane = threadIdx.x % kWarp, m = threadIdx.x / kWarp / kWarpsN * kWarpM;
        if constexpr (kDeepA)
            return A::offset(m + lane % 16, lane / 16);
        else
            return A::offset(lane % 8 + lane / 16 * 8, m / 8 + lane / 8 % 2);
    }

    // and of b0, b1 for the warp's first 8 columns, then for the 8 after them.
    static __device__ int first_columns() {
        const int lane = threadIdx.x % kWarp, n = threadIdx.x / kWarp % kWarpsN * kWarpN;
        if constexpr (kDeepB)
            return B::offset(n + lane % 8 + lane / 16 * 8, lane / 8 % 2);
        else
            return B::offset(lane % 16, n / 8 + lane / 16);
    }

    __device__ static void multiply_by_fma(const char* a, const char* b, Sums& sums) {
#pragma unroll 2
        for (int k = 0; k < kDepth; k += 4) {
            float rows[kI][4], columns[kJ][4];
#pragma unroll
            for (int i = 0; i < kI; ++i) A::read4(rows[i], a, row(i), k);
#pragma unroll
            for (int j = 0; j < kJ; ++j) B::read4(columns[j], b, column(j), k);
#pragma unroll
            for (int e = 0; e < 4; ++e)
#pragma unroll
                for (int i = 0; i < kI; ++i)
#pragma unroll
                    for (int j = 0; j < kJ; ++j)
                        sums[i][j] = fmaf(rows[i][e], columns[j][e], sums[i][j]);
        }
    }
};

// The products of the kM rows of A from `row` with the tiles of kN columns of B from `column` on, one
// after the other: hands each one's sums and its first column to `take`. The depth runs over `steps`
// steps from `start`. Operands are fetched kStages − 1 steps ahead, across the ends of tiles. `shared`
// has kStages · kStageBytes bytes; `take` may not write there unless it is the last.
template <class P, class Take>
__device__ void multiply_tiles(char* shared, const typename P::FromA& a, const typename P::FromB& b,
                               int row, int column, int tiles, int start, int steps, Take take) {
    const int whole = min(P::whole_steps(a, start), steps);
    typename P::ReadA read_a(a, row, start);
    typename P::ReadB read_b(b, column, start);
    // Tiles that are fetched, steps of the next one, and the steps from there on that are fetched alike: up to the next
    // tile's start, or to where the depth ends. So the innermost loop need not look.
    int fetched = 0, fetched_step = 0, alike = whole;
    auto turn = [&] {
        if (fetched_step == steps) {
            fetched_step = 0;
            if (++fetched == tiles) {
                alike = tiles * steps;  // nothing is fetched any more
                return;
            }
            read_a = typename P::ReadA(a, anew(row), start);
            read_b = typename P::ReadB(b, anew(column) + fetched * P::kN, start);
        }
        alike = whole - fetched_step;
        if (alike <= 0) {
            alike = 1;
            read_a.cut(start + fetched_step * P::kDepth);
            read_b.cut(start + fetched_step * P::kDepth);
        }
    };
    auto fetch_next = [&](char* stage) {
        if (fetched < tiles) {
            read_a.template fetch<0>(stage);
            read_b.template fetch<P::A::kBytes>(stage);
        }
        commit_copies();
    };
    if (alike == 0) turn();

    constexpr unsigned kEnd = P::kStages * P::kStageBytes;
    unsigned stage = 0, free = kEnd - P::kStageBytes;
#pragma unroll 1
    for (unsigned ahead = 0; ahead < free; ahead += P::kStageBytes) {
        fetch_next(shared + ahead);
        ++fetched_step;
        if (--alike == 0) turn();
    }
    int left = steps;
    typename P::Sums sums;
    P::clear(sums);
    for (int tile = 0; tile < tiles;) {
        const int run = min(left, alike);
        for (int i = 0; i < run; ++i) {
            await_copies<P::kStages - 2>();
            // This step is there for all, and all have left the stage before it.
            if constexpr (P::kThreads == kWarp)
                __syncwarp();
            else
                __syncthreads();
            fetch_next(shared + free);
            P::multiply(shared + stage, sums);
            free = stage;
            stage += P::kStageBytes;
            if (stage == kEnd) stage = 0;
        }
        fetched_step += run;
        alike -= run;
        left -= run;
        if (alike == 0) turn();
        if (left == 0) {
            take(sums, column + tile * P::kN);
            P::clear(sums);
            left = steps;
            ++tile;
        }
    }
}
