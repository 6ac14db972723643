// Tiles of a product's operands in shared memory.
//
// An operand has an outer index (rows of C for A, columns of C for B) and a depth, the index that is
// summed over. Either may be the one along which memory is contiguous; the tile keeps that order.
//
// A tile is made of 16-byte chunks. Chunk c of row r lies where c ^ (r mod 8) says (rows of 128 bytes
// or more; shorter rows share a line of 128 bytes, and the line's number takes the place of r). So
// the eight rows of a chunk column, which ldmatrix reads at once, lie in eight different groups of
// four banks, and so do the eight chunks of a line, which a copy writes at once.
#pragma once

#include "mma.cuh"

// A row-major matrix in global memory.
template <typename T>
struct Matrix {
    const T* data;
    int rows, columns;
};

__host__ __device__ constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

template <typename T, int kOuter, int kDepth, Major kMajor>
struct Tile {
    using Element = T;
    static constexpr Major kAlong = kMajor;
    static constexpr int kRows = kMajor == Major::kDepth ? kOuter : kDepth;
    static constexpr int kColumns = kMajor == Major::kDepth ? kDepth : kOuter;
    static constexpr int kPack = 16 / static_cast<int>(sizeof(T));
    static constexpr int kChunks = kColumns / kPack;
    static constexpr int kBytes = kRows * kColumns * static_cast<int>(sizeof(T));

    static constexpr int kRowBytes = kBytes / kRows;
    // After so many rows the swizzle repeats.
    static constexpr int kPeriod = kChunks >= 8 ? 8 : 64 / kChunks;

    // Where a chunk lies, in bytes from the tile's start.
    __device__ static int offset(int row, int chunk) {
        if constexpr (kChunks >= 8) {
            return (row * kChunks + (chunk ^ (row % 8))) * 16;
        } else {
            const int at = row * kChunks + chunk;
            return (at ^ (at / 8 % 8)) * 16;
        }
    }

    // offset(row + rows, chunk + chunks) from `at` = offset(row, chunk), for rows that are a multiple
    // of kPeriod and chunks that have no bit in common with chunk. `at` may be an address, if the tile
    // starts at a multiple of 128 bytes.
    __device__ static unsigned moved(unsigned at, int rows, int chunks) {
        return (at ^ (chunks % 8 * 16)) + rows * kRowBytes + chunks / 8 * 128;
    }

    // Four elements of one outer index, from a multiple of 4 along the depth.
    __device__ static void read4(float (&to)[4], const char* tile, int outer, int depth) {
        if constexpr (kMajor == Major::kDepth) {
            const auto four =
                load<4>(reinterpret_cast<const T*>(tile + offset(outer, depth / kPack)) + depth % kPack);
#pragma unroll
            for (int e = 0; e < 4; ++e) to[e] = to_f32(four.at[e]);
        } else {
#pragma unroll
            for (int e = 0; e < 4; ++e)
                to[e] = to_f32(reinterpret_cast<const T*>(
                    tile + offset(depth + e, outer / kPack))[outer % kPack]);
        }
    }
};

// Fetches the tile of `from` that starts at (row, column); what lies outside is zero. With kWide,
// rows start at multiples of 16 bytes and the copies are asynchronous; else elements come one by one
// and are there at the next barrier.
template <class Tile, int kThreads, bool kWide, typename T>
__device__ void fetch(char* tile, const Matrix<T>& from, int row, int column) {
    constexpr int kStep = kThreads / Tile::kChunks;
    static_assert(kThreads % Tile::kChunks == 0 &&
                  (Tile::kRows % kStep == 0 || kStep % Tile::kRows == 0));
    const int chunk = threadIdx.x % Tile::kChunks;
    const int first = threadIdx.x / Tile::kChunks;
    if (kStep > Tile::kRows && first >= Tile::kRows) return;
    row += first;
    column += chunk * Tile::kPack;
    const T* at = from.data + static_cast<size_t>(row) * from.columns + column;
    const size_t stride = static_cast<size_t>(kStep) * from.columns;
    if constexpr (kWide) {
        const unsigned to = shared_address(tile) + Tile::offset(first, chunk);
        const int rows = column < from.columns ? from.rows - row : 0;
#pragma unroll
        for (int pass = 0; pass < ceil_div(Tile::kRows, kStep); ++pass) {
            const int r = pass * kStep;
            if constexpr (kStep % Tile::kPeriod == 0)
                copy_async(Tile::moved(to, r, 0), at, r < rows);
            else
                copy_async(shared_address(tile + Tile::offset(first + r, chunk)), at, r < rows);
            at += stride;
        }
    } else {
#pragma unroll 1
        for (int r = 0; r < Tile::kRows; r += kStep) {
            Pack<T, Tile::kPack> pack;
#pragma unroll
            for (int e = 0; e < Tile::kPack; ++e)
                pack.at[e] = row + r < from.rows && column + e < from.columns ? at[e] : T{};
            store<Tile::kPack>(reinterpret_cast<T*>(tile + Tile::offset(first + r, chunk)), pack);
            at += stride;
        }
    }
}
