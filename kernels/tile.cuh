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

    // offset(row + rows, chunk + chunks) from `at` = offset(row, chunk), for rows that are a multiple of 8 and, modulo
    // kPeriod, have no bit in common with row, and chunks that have none in common with chunk. `at` may be an address,
    // if the tile starts at a multiple of 128 bytes.
    __device__ static unsigned moved(unsigned at, int rows, int chunks) {
        const int line = kChunks < 8 ? rows * kChunks / 8 % 8 : 0;
        return (at ^ ((chunks % 8 ^ line) * 16)) + rows * kRowBytes + chunks / 8 * 128;
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

// The same number, of which the compiler does not know how it came about: it keeps it, where it would compute it anew in
// every step.
__device__ inline int kept(int x) {
    asm("" : "+r"(x));
    return x;
}

// The same number: what is made of it is made here, and takes no registers before.
__device__ inline int anew(int x) {
    asm volatile("" : "+r"(x));
    return x;
}

// A thread's part in fetching an operand's tiles, from the one at (outer, depth) on and then step after step along the
// depth; what lies outside of the matrix is zero. With kWide, rows start at multiples of 16 bytes and the copies are
// asynchronous; else elements come one by one and are there at the next barrier.
//
// From step to step a thread keeps where its first chunks lie, one for each row of a swizzle's period that it has, and
// a bit for each of its chunks that is there, so that a step computes no bounds. Only where the depth ends, bits are
// taken away.
//
// In shared memory kRun rows of the tile lie together, and the next kRun behind as many of another.
template <class Tile, int kThreads, bool kWide, int kRun = Tile::kRows>
class Reader {
    using T = typename Tile::Element;
    static constexpr bool kDeep = Tile::kAlong == Major::kDepth;
    // Rows between two chunks of a thread, and its chunks.
    static constexpr int kStep = kThreads / Tile::kChunks, kPasses = ceil_div(Tile::kRows, kStep);
    // Passes after which the swizzle repeats, and places are those before at a distance.
    static constexpr int kSlots = kStep % Tile::kPeriod == 0 ? 1 : Tile::kPeriod / kStep;
    static_assert(kThreads % Tile::kChunks == 0 && kPasses <= 32 &&
                  (Tile::kRows % kStep == 0 || kStep % Tile::kRows == 0));
    static_assert(kRun == Tile::kRows || (kRun % kStep == 0 && kRun % Tile::kPeriod == 0));

    Matrix<T> from;
    int outer, depth;
    const T* at;
    unsigned there;
    // Of a slot's passes, less their distance from the first row: what is left is known to the compiler.
    int slots[kSlots], stride;

    __device__ static int chunk() { return threadIdx.x % Tile::kChunks; }
    __device__ static int first() { return threadIdx.x / Tile::kChunks; }
    __device__ int row() const { return (kDeep ? outer : depth) + first(); }
    __device__ int column() const { return (kDeep ? depth : outer) + chunk() * Tile::kPack; }

    // The row in shared memory of row `row` of the tile.
    __device__ static constexpr int place(int row) { return row / kRun * 2 * kRun + row % kRun; }
    // The chunks that lie within `rows` rows from this thread's first on.
    __device__ static unsigned within(int rows) {
        unsigned bits = 0;
#pragma unroll
        for (int pass = 0; pass < kPasses; ++pass) bits |= (pass * kStep < rows) << pass;
        return bits;
    }

public:
    __device__ Reader(const Matrix<T>& from, int outer, int depth) : from(from), outer(outer), depth(depth) {
        at = from.data + static_cast<size_t>(row()) * from.columns + column();
        there = kDeep ? within(from.rows - row()) : column() < from.columns ? ~0u : 0;
#pragma unroll
        for (int pass = 0; pass < kSlots; ++pass)
            slots[pass] = kept(Tile::offset(first() + pass * kStep, chunk()) - pass * kStep * Tile::kRowBytes);
        stride = kept(from.columns);
    }

    // Wanted before a tile that reaches beyond the depth's end, which starts at `depth`.
    __device__ void cut(int depth) {
        if constexpr (kDeep)
            there = depth + chunk() * Tile::kPack < from.columns ? there : 0;
        else
            there &= within(from.rows - depth - first());
    }

    // Fetches a tile to kAt bytes behind `stage`, and turns to the next.
    template <int kAt>
    __device__ void fetch(char* stage) {
        if (kStep <= Tile::kRows || first() < Tile::kRows) {
            if constexpr (kWide)
                fetch_chunks<kAt>(shared_address(stage));
            else
                fetch_elements(stage + kAt);
        }
        depth += kDeep ? Tile::kColumns : Tile::kRows;
    }

private:
    template <int kAt>
    __device__ void fetch_chunks(unsigned stage) {
        const T* row = at;
#pragma unroll
        for (int pass = 0; pass < kPasses; ++pass) {
            copy_async(stage + slots[pass % kSlots] + place(pass * kStep) * Tile::kRowBytes + kAt, row, there, pass);
            row += static_cast<long long>(kStep) * stride;
        }
        if (kDeep)
            at += Tile::kColumns;
        else if (kPasses * kStep == Tile::kRows)
            at = row;
        else
            at += static_cast<long long>(Tile::kRows) * stride;
    }

    __device__ void fetch_elements(char* tile) {
        const T* start = at;
#pragma unroll 1
        for (int r = 0; r < Tile::kRows; r += kStep) {
            Pack<T, Tile::kPack> pack;
#pragma unroll
            for (int e = 0; e < Tile::kPack; ++e)
                pack.at[e] = row() + r < from.rows && column() + e < from.columns ? start[e] : T{};
            store<Tile::kPack>(reinterpret_cast<T*>(tile + Tile::offset(first() + place(r), chunk())), pack);
            start += static_cast<size_t>(kStep) * from.columns;
        }
        at += kDeep ? Tile::kColumns : static_cast<size_t>(Tile::kRows) * from.columns;
    }
};
