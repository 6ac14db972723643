// From a block's sums to a matrix in global memory.
#pragma once

#include "product.cuh"

// The block's tile of C, [tiles_m, tiles_n] in groups of 8 rows of tiles.
__device__ inline void place(int block, int tiles_m, int tiles_n, int& tile_m, int& tile_n) {
    constexpr int kGroup = 8;
    const int first = block / (kGroup * tiles_n) * kGroup;
    const int rows = min(kGroup, tiles_m - first);
    const int within = block % (kGroup * tiles_n);
    tile_m = first + within % rows;
    tile_n = within / rows;
}

// kPack sums of the tile in shared memory. Neighbouring threads read neighbouring packs; of eight sums,
// every other four threads take the second half first, so that eight threads at a time meet all banks
// once.
template <int kPack>
__device__ Pack<float, kPack> read_sums(const float* sums) {
    if constexpr (kPack == 8) {
        const bool second = threadIdx.x / 4 % 2;
        const auto a = load<4>(sums + (second ? 4 : 0)), b = load<4>(sums + (second ? 0 : 4));
        Pack<float, kPack> out;
#pragma unroll
        for (int e = 0; e < 4; ++e) {
            out.at[e] = second ? b.at[e] : a.at[e];
            out.at[e + 4] = second ? a.at[e] : b.at[e];
        }
        return out;
    } else {
        return load<kPack>(sums);
    }
}

// Adds bias, if there is one, and what is there to kPack sums and writes them.
template <int kPack, typename O>
__device__ void write_pack(const float* sums, const Pack<float, kPack>& bias, bool has_bias, O* y,
                           bool accumulate) {
    auto value = read_sums<kPack>(sums);
    if (has_bias)
#pragma unroll
        for (int e = 0; e < kPack; ++e) value.at[e] += bias.at[e];
    Pack<O, kPack> out;
    if (accumulate) out = load<kPack>(y);
#pragma unroll
    for (int e = 0; e < kPack; ++e)
        out.at[e] = from_f32<O>(accumulate ? value.at[e] + to_f32(out.at[e]) : value.at[e]);
    if constexpr (sizeof(out) == sizeof(uint4)) {
        // Of elements that it sees through, the compiler makes several stores.
        const uint4 bits = *reinterpret_cast<const uint4*>(&out);
        asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};\n" ::"l"(__cvta_generic_to_global(y)), "r"(bits.x),
                     "r"(bits.y), "r"(bits.z), "r"(bits.w)
                     : "memory");
    } else {
        store<kPack>(y, out);
    }
}

// Whether a thread finds its places in the result only when it is there. A third of the registers are free during the
// product then, which is another block's on a multiprocessor. Large tiles leave no room for one, and blocks of a warp
// have enough of them: there ptxas would make what the product wants anew instead.
template <class P>
constexpr bool kPlacesAnew = P::kThreads > kWarp && sizeof(typename P::Sums) <= 96 * sizeof(float);

// The tile in shared memory, rows kStride floats apart, into C.
template <class P, int kPack, int kStride, typename O>
__device__ void write_tile(const float* tile, const float* bias, O* y, int row, int column, int m,
                           int n, bool accumulate) {
    constexpr int kPacks = P::kN / kPack;
    // Whether a thread meets the same columns in every row, and so their bias once.
    constexpr bool kSame = P::kThreads % kPacks == 0;
    const int thread = kPlacesAnew<P> ? anew(threadIdx.x) : threadIdx.x;
    Pack<float, kPack> more = {};
    const int own = column + thread % kPacks * kPack;
    if (kSame && bias && own < n) more = load_f32<kPack>(bias + own);
#pragma unroll 4
    for (int at = thread; at < P::kM * kPacks; at += P::kThreads) {
        const int r = at / kPacks, c = at % kPacks * kPack;
        if (row + r >= m || column + c >= n) continue;
        if (!kSame && bias) more = load_f32<kPack>(bias + column + c);
        write_pack<kPack>(tile + r * kStride + c, more, bias != nullptr,
                          y + static_cast<size_t>(row + r) * n + column + c, accumulate);
    }
}

// Values of all threads, whose tile starts at (row, column) of y[m, n], into y: value(i, j) is that at a thread's
// row i and column j. They pass through shared memory, as f32 in rows 8 or 24 words apart modulo 32, which threads
// write without bank conflicts and read as whole packs of 16 bytes.
template <class P, typename O, class Value>
__device__ void write_values(char* shared, Value value, const float* bias, O* y, int row, int column, int m, int n,
                             bool accumulate) {
    constexpr int kStride = P::kN % 16 == 0 ? P::kN + 8 : P::kN + 16;
    float* tile = reinterpret_cast<float*>(shared);
    await_copies<0>();
    __syncthreads();  // all have multiplied
    if (P::multiplies())
#pragma unroll
        for (int i = 0; i < P::kI; ++i)
#pragma unroll
            for (int j = 0; j < P::kJ; j += 2)
                store<2>(tile + P::row(i) * kStride + P::column(j), Pack<float, 2>{value(i, j), value(i, j + 1)});
    __syncthreads();
    if (n % kWidest<O> == 0)
        write_tile<P, kWidest<O>, kStride>(tile, bias, y, row, column, m, n, accumulate);
    else
        write_tile<P, 1, kStride>(tile, bias, y, row, column, m, n, accumulate);
}

// The sums of all threads, and bias where there is one, into y.
template <class P, typename O>
__device__ void write_sums(char* shared, const typename P::Sums& sums, const float* bias, O* y, int row, int column,
                           int m, int n, bool accumulate) {
    const auto sum = [&](int i, int j) { return P::sum(sums, i, j); };
    write_values<P>(shared, sum, bias, y, row, column, m, n, accumulate);
}
