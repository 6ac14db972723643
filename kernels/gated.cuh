// Products whose columns are gated: B is two matrices of as many rows as C has columns, gates first and then ups
// (columns of A · Bᵀ), and
//
//   C = silu(A · Gᵀ) ⊙ (A · Uᵀ)
//
// A block's tile of B is a part of the gates and the part of the ups that belongs to it, and a thread's sums are those
// of both: gates at its columns 0 .. kJ - 1, the ups that belong to them behind. So neither passes through memory.
#pragma once

#include "output.cuh"
#include "swiglu.cuh"

// A product with gated columns, of which its tile has half as many. Of each warp's columns of P the first half are
// gates, and the second their ups.
template <class P>
struct GatedColumns : P {
    static constexpr bool kGated = true;
    static constexpr int kN = P::kN / 2, kWarpN = P::kWarpN / 2, kJ = P::kJ / 2;

    __device__ static int column(int j) {
        return threadIdx.x / kWarp % (P::kN / P::kWarpN) * kWarpN + 8 * (j / 2) + 2 * (threadIdx.x % 4) + j % 2;
    }
};

// The same of a product of product.cuh, whose tile of B has them in that order.
template <class P>
struct Gated : GatedColumns<P> {
    using Element = typename P::B::Element;
    using Columns = GatedColumns<P>;
    static_assert(P::kDeepB);

    class ReadB {
        using Half = Tile<Element, Columns::kN, P::kDepth, Major::kDepth>;
        Reader<Half, P::kThreads, P::kWide, Columns::kWarpN> gates, ups;

        __device__ static Matrix<Element> half(const Matrix<Element>& b, int at) {
            const int rows = b.rows / 2;
            return {b.data + static_cast<size_t>(at) * rows * b.columns, rows, b.columns};
        }

    public:
        __device__ ReadB(const Matrix<Element>& b, int column, int depth)
            : gates(half(b, 0), column, depth), ups(half(b, 1), column, depth) {}
        __device__ void cut(int depth) {
            gates.cut(depth);
            ups.cut(depth);
        }
        template <int kAt>
        __device__ void fetch(char* stage) {
            gates.template fetch<kAt>(stage);
            ups.template fetch<kAt + Columns::kWarpN * Half::kRowBytes>(stage);
        }
    };
};

// The gated sums of all threads, whose tile starts at (row, column) of y[m, n], into y. Gates and ups are rounded to the
// type of y, with their bias[2n] where there is one, before one activates the other: as if they had been written.
template <class P, typename O>
__device__ void write_gated(char* shared, const typename P::Sums& sums, const float* bias, O* y, int row, int column,
                            int m, int n, bool accumulate) {
    const auto value = [&](int i, int j) {
        float gate = P::sum(sums, i, j), up = P::sum(sums, i, j + P::kJ);
        // From the cache for each row anew: registers decide how many blocks there are at once, and few models have one.
        if (const int at = column + P::column(j); bias && at < n) gate += bias[at], up += bias[n + at];
        return gated(to_f32(from_f32<O>(gate)), to_f32(from_f32<O>(up)));
    };
    write_values<P>(shared, value, nullptr, y, row, column, m, n, accumulate);
}

// The sums of all threads, or what they gate, into y[m, n].
template <class P, typename O>
__device__ void write_product(char* shared, const typename P::Sums& sums, const float* bias, O* y, int row, int column,
                              int m, int n, bool accumulate) {
    if constexpr (P::kGated)
        write_gated<P>(shared, sums, bias, y, row, column, m, n, accumulate);
    else
        write_sums<P>(shared, sums, bias, y, row, column, m, n, accumulate);
}
