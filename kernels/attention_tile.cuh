// Tiles of bf16 in shared memory and the tensor-core products of attention over them.
//
// Swizzle   A tile row is D / 8 chunks of 16 bytes. Chunk c of row r lies at c ^ s(r), with s chosen so
//           that equal chunks of 8 neighbouring rows lie in different banks: ldmatrix, cp.async and the
//           16-byte accesses below have no conflicts.
// Layouts   Fragments are those of mma.m16n8k16 and ldmatrix (PTX ISA, "Warp-level matrix
//           instructions"): lane l of an accumulator holds rows l / 4 and l / 4 + 8, columns
//           2 · (l % 4) and the next.
#pragma once

#include "attention.cuh"
#include "mma.cuh"

// The maximum over the four lanes that hold a row of an accumulator, in each of them, and the sum.
__device__ inline float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
__device__ inline float quad_sum(float x) {
    x = __fadd_rn(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return __fadd_rn(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

// Rows of D elements in shared memory, swizzled.
template <int D>
struct Tile {
    static constexpr int kChunks = D / 8;
    static constexpr int kSpread = kChunks % 8 == 0 ? 8 : kChunks % 4 == 0 ? 4 : 2;
    static_assert(D % 16 == 0, "a row is whole pairs of chunks");

    bf16* base;

    __device__ bf16* chunk(int row, int c) const {
        const int spread = row / (8 / kSpread) % kSpread;
        return base + row * D + (c / kSpread * kSpread + (c % kSpread ^ spread)) * 8;
    }
};

// A thread's chunks of a tile: `visit(row, chunk)` for each. It keeps to one column of chunks, so that its addresses
// differ by whole rows.
template <int ROWS, int THREADS, int D, typename Visit>
__device__ void for_chunks(const Visit& visit) {
    constexpr int chunks = Tile<D>::kChunks, step = THREADS / chunks;
    const int c = threadIdx.x % chunks, first = threadIdx.x / chunks;
    if (THREADS % chunks != 0 && first >= step) return;
#pragma unroll
    for (int i = 0; i < (ROWS + step - 1) / step; ++i) {
        const int row = first + i * step;
        if (ROWS % step == 0 || row < ROWS) visit(row, c);
    }
}

// Copies rows of a matrix into a tile: row r from `row_start(r)`, zeros from row `count` on, which are not
// read; none where all are there (WHOLE).
template <int ROWS, int THREADS, bool WHOLE = false, int D, typename RowStart>
__device__ void fetch(Tile<D> tile, int count, const RowStart& row_start) {
    for_chunks<ROWS, THREADS, D>([&](int row, int c) {
        copy_async(shared_address(tile.chunk(row, c)), row_start(row) + c * 8, WHOLE || row < count);
    });
}

// The same for rows that are `stride` elements apart.
template <int ROWS, int THREADS, bool WHOLE = false, int D>
__device__ void fetch(Tile<D> tile, int count, const bf16* rows, int stride) {
    constexpr int chunks = Tile<D>::kChunks, step = THREADS / chunks;
    const char* at = reinterpret_cast<const char*>(rows + static_cast<size_t>(threadIdx.x / chunks) * stride);
    const size_t bytes = static_cast<size_t>(step) * stride * sizeof(bf16);
    fetch<ROWS, THREADS, WHOLE>(tile, count, [&](int row) {
        return reinterpret_cast<const bf16*>(at + (row - static_cast<int>(threadIdx.x / chunks)) / step * bytes);
    });
}

// c[16][8] += a[16][16] · b[16][8].
__device__ inline void mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    mma(c[0], c[1], c[2], c[3], a, b0, b1);
}

// Where a lane's row for ldmatrix lies in the first 16 rows of a tile and its `pair`-th two chunks: matrices go by rows
// first (kOuter), or by chunks first (kDepth).
template <Major MAJOR, int D>
__device__ unsigned lane_address(Tile<D> tile, int pair) {
    const int lane = threadIdx.x % kWarp;
    const int row = MAJOR == Major::kOuter ? lane % 16 : lane / 16 * 8 + lane % 8;
    const int half = MAJOR == Major::kOuter ? lane / 16 : lane / 8 % 2;
    return shared_address(tile.chunk(row, 2 * pair + half));
}

// The same for every 16 rows and every two chunks. One register for each chunk pair that the swizzle moves differently;
// the rest is an offset in the instruction, which the compiler finds only where it cannot see how the addresses came
// about.
template <int D, Major MAJOR>
struct LaneRows {
    static constexpr int kPairs = Tile<D>::kSpread / 2;
    unsigned at[kPairs];

    __device__ explicit LaneRows(Tile<D> tile) {
#pragma unroll
        for (int i = 0; i < kPairs; ++i) {
            at[i] = lane_address<MAJOR>(tile, i);
            asm("" : "+r"(at[i]));
        }
    }
    // Those of a tile that many bytes further.
    __device__ LaneRows operator+(unsigned bytes) const {
        LaneRows further = *this;
#pragma unroll
        for (int i = 0; i < kPairs; ++i) further.at[i] += bytes;
        return further;
    }
    // The `rows`-th 16 rows, the `pair`-th two chunks.
    __device__ unsigned operator()(int rows, int pair) const {
        return at[pair % kPairs] + rows * 16 * D * sizeof(bf16) + pair / kPairs * kPairs * 32;
    }
};

// The same from one register: a pair of chunks that the swizzle moves differently differs from the first in bits that
// nothing else touches. An instruction more where it is used, two less where the tile's place has changed.
template <int D, Major MAJOR>
struct FlippedRows {
    static constexpr int kPairs = LaneRows<D, MAJOR>::kPairs;
    unsigned at, further = 0;

    __device__ explicit FlippedRows(Tile<D> tile) : at(lane_address<MAJOR>(tile, 0)) {
        asm volatile("" : "+r"(at));
    }
    __device__ FlippedRows operator+(unsigned bytes) const {
        FlippedRows moved = *this;
        moved.further += bytes;
        return moved;
    }
    __device__ unsigned operator()(int rows, int pair) const {
        return (at ^ pair % kPairs * 32) + (further + rows * 16 * D * sizeof(bf16) + pair / kPairs * kPairs * 32);
    }
};

// 16 rows of a tile as left factors, from row `first` on.
template <int D>
__device__ void load_left(unsigned (&a)[D / 16][4], Tile<D> tile, int first) {
    const LaneRows<D, Major::kOuter> rows({tile.base + first * D});
#pragma unroll
    for (int k = 0; k < D / 16; ++k) load_matrices<false>(a[k], rows(0, k));
}

// c[M · 16][N] += a[M · 16][D] · bᵀ, b being N rows of a tile.
template <int M, int N, template <int, Major> class Rows, int D>
__device__ void multiply_transposed(float (&c)[M][N / 8][4], const unsigned (&a)[M][D / 16][4],
                                    const Rows<D, Major::kDepth>& b) {
#pragma unroll
    for (int n = 0; n < N / 16; ++n) {
#pragma unroll
        for (int k = 0; k < D / 16; ++k) {
            unsigned f[4];
            load_matrices<false>(f, b(n, k));
#pragma unroll
            for (int m = 0; m < M; ++m) {
                mma(c[m][2 * n], a[m][k], f[0], f[1]);
                mma(c[m][2 * n + 1], a[m][k], f[2], f[3]);
            }
        }
    }
}

// The k-th 16 columns of an accumulator as a left factor, rounded.
template <int N>
__device__ void round_left(unsigned (&left)[4], const float (&a)[N][4], int k) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const float* pair = &a[2 * k + i / 2][i % 2 * 2];
        const __nv_bfloat162 rounded = __floats2bfloat162_rn(pair[0], pair[1]);
        left[i] = *reinterpret_cast<const unsigned*>(&rounded);
    }
}

// c[M · 16][D] += a[M · 16][N] · b, b being N rows of a tile; a is an accumulator, rounded.
template <int M, int N, template <int, Major> class Rows, int D>
__device__ void multiply(float (&c)[M][D / 8][4], const float (&a)[M][N / 8][4], const Rows<D, Major::kOuter>& b) {
#pragma unroll
    for (int k = 0; k < N / 16; ++k) {
        unsigned left[M][4];
#pragma unroll
        for (int m = 0; m < M; ++m) round_left(left[m], a[m], k);
#pragma unroll
        for (int n = 0; n < D / 16; ++n) {
            unsigned f[4];
            load_matrices<true>(f, b(k, n));
#pragma unroll
            for (int m = 0; m < M; ++m) {
                mma(c[m][2 * n], left[m], f[0], f[1]);
                mma(c[m][2 * n + 1], left[m], f[2], f[3]);
            }
        }
    }
}

// Hides the keys of the tile from `at` on that rows do not see.
template <int M>
__device__ void mask(float (&scores)[M][kKeys / 8][4], const int (&visible)[M][2], int at) {
    const int column = threadIdx.x % 4 * 2;
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int seen = visible[m][half] - at - column;
#pragma unroll
            for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
                for (int i = 0; i < 2; ++i)
                    if (8 * n + i >= seen) scores[m][n][2 * half + i] = kNone;
        }
}

// Writes M · 16 rows of an accumulator to rows of a matrix, rounded: row r of the first `count` to
// `row_start(r)`. They pass through rows of a tile that only this warp uses, so that every store is of
// whole chunks.
template <int M, int D, typename RowStart>
__device__ void store_rows(const float (&c)[M][D / 8][4], Tile<D> tile, int count, const RowStart& row_start) {
    constexpr int chunks = Tile<D>::kChunks;
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int m = 0; m < M; ++m)
#pragma unroll
        for (int n = 0; n < D / 8; ++n)
#pragma unroll
            for (int half = 0; half < 2; ++half)
                *reinterpret_cast<__nv_bfloat162*>(tile.chunk(16 * m + 8 * half + lane / 4, n) + lane % 4 * 2) =
                    __floats2bfloat162_rn(c[m][n][2 * half], c[m][n][2 * half + 1]);
    __syncwarp();
#pragma unroll
    for (int i = lane; i < 16 * M * chunks; i += kWarp) {
        const int row = i / chunks, c16 = i % chunks;
        if (row < count)
            *reinterpret_cast<uint4*>(row_start(row) + c16 * 8) =
                *reinterpret_cast<const uint4*>(tile.chunk(row, c16));
    }
}
