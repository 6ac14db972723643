// A product whose B is a weight in int8 or int4: groups of 32 along the depth with a scale each, in int4
// a shift too. A group's products are summed by themselves, the weights as whole numbers (which bf16 holds
// exactly), and the sum joins the others times its scale; so does the sum of A's group times the shift.
#pragma once

#include "product.cuh"
#include "weight_formats.cuh"

// A quantised matrix: rows of whole groups' bytes, and [groups][columns of scales], so that neighbouring
// rows' scales are neighbours.
template <class Weights>
struct QuantisedMatrix {
    Matrix<unsigned char> weights;
    Matrix<typename Weights::Scale> scales;

    __device__ QuantisedMatrix(const unsigned char* q, const typename Weights::Scale* scales, int rows,
                               int k, int scale_columns)
        : weights{q, rows, ceil_div(k, kGroup) * kGroupBytes<Weights>},
          scales{scales, ceil_div(k, kGroup), scale_columns} {}
};

// kHalves: of each warp's columns the first half come from the first half of B's rows and the second from the second
// (gated.cuh), and lie in a tile of their own.
template <class Weights_, typename TA, int kM_, int kN_, int kDepth_, int kWarpsM, int kWarpsN,
          int kStages_, bool kWideA, bool kHalves = false>
struct QuantisedProduct : Product<TA, unsigned char, kM_, kN_, kDepth_, kWarpsM, kWarpsN, kStages_,
                                  kWideA, Major::kDepth, Major::kDepth> {
    using Base = Product<TA, unsigned char, kM_, kN_, kDepth_, kWarpsM, kWarpsN, kStages_, kWideA,
                         Major::kDepth, Major::kDepth>;
    using Weights = Weights_;
    using Scale = typename Weights::Scale;
    using typename Base::A;
    using typename Base::Sums;
    static constexpr int kTiles = kHalves ? 2 : 1;
    using B = Tile<unsigned char, kN_ / kTiles, kDepth_ / kGroup * kGroupBytes<Weights>, Major::kDepth>;
    using Scales = Tile<Scale, kN_ / kTiles, kDepth_ / kGroup, Major::kOuter>;
    using FromB = QuantisedMatrix<Weights>;
    static constexpr int kScalesAt = A::kBytes + kTiles * B::kBytes;
    static constexpr int kStageBytes = kScalesAt + ceil_div(kTiles * Scales::kBytes, 128) * 128;

    class ReadTile {
        Reader<B, Base::kThreads, true> weights;
        Reader<Scales, Base::kThreads, true> scales;

    public:
        __device__ ReadTile(const FromB& b, int column, int depth)
            : weights(b.weights, column, depth / kGroup * kGroupBytes<Weights>),
              scales(b.scales, column, depth / kGroup) {}
        __device__ void cut(int depth) {
            weights.cut(depth / kGroup * kGroupBytes<Weights>);
            scales.cut(depth / kGroup);
        }
        template <int kTile>
        __device__ void fetch(char* stage) {
            weights.template fetch<A::kBytes + kTile * B::kBytes>(stage);
            scales.template fetch<kScalesAt + kTile * Scales::kBytes>(stage);
        }
    };
    class ReadB {
        // The second where there are halves.
        ReadTile first, second;

    public:
        __device__ ReadB(const FromB& b, int column, int depth)
            : first(b, column, depth), second(b, b.weights.rows / 2 + column, depth) {}
        __device__ void cut(int depth) {
            first.cut(depth);
            second.cut(depth);
        }
        template <int>
        __device__ void fetch(char* stage) {
            first.template fetch<0>(stage);
            if constexpr (kHalves) second.template fetch<1>(stage);
        }
    };

    // Of a column of C, of all tiles: its tile, and where it is there.
    struct Place {
        int tile, column;
        __device__ explicit Place(int of) : tile(0), column(of) {
            if constexpr (kHalves) {
                constexpr int kHalf = Base::kWarpN / 2;
                tile = of % Base::kWarpN / kHalf;
                column = of / Base::kWarpN * kHalf + of % kHalf;
            }
        }
    };

    // The chunk of a column's weight at `depth`.
    __device__ static const char* chunk(const char* stage, int column, int depth) {
        const Place at(column);
        return stage + A::kBytes + at.tile * B::kBytes + B::offset(at.column, depth / kChunk<Weights>);
    }

    // The scales of N columns from `column` on, which lie in one chunk.
    template <int N>
    __device__ static Pack<Scale, N> scales(const char* stage, int group, int column) {
        constexpr int kPack = Scales::kPack;
        const Place at(column);
        const char* chunk = stage + kScalesAt + at.tile * Scales::kBytes + Scales::offset(group, at.column / kPack);
        return load<N>(reinterpret_cast<const Scale*>(chunk) + at.column % kPack);
    }

    __device__ static void multiply(const char* stage, Sums& sums) {
#pragma unroll
        for (int k = 0; k < kDepth_; k += kGroup)
            if constexpr (sizeof(TA) == 2)
                multiply_by_mma(stage, k, sums);
            else
                multiply_by_fma(stage, k, sums);
    }

    // Adds a group's sum, of its products and of its row of A, to that of the groups before it.
    __device__ static void add(float& sum, float products, float row, Scale factor) {
        sum = fmaf(scale_of(factor), products, sum);
        if constexpr (Weights::kShifted) sum = fmaf(shift_of(factor), row, sum);
    }

    // The group of B at `k` by 16 rows of A after the other.
    __device__ static void multiply_by_mma(const char* stage, int k, Sums& sums) {
        constexpr int kSteps = kGroup / 16, kColumns = Base::kWarpN / 8;
        const int lane = threadIdx.x % kWarp;
        // The first of this lane's words.
        const Place first(threadIdx.x / kWarp % kWarpsN * Base::kWarpN + lane / 4);
        const unsigned words_at = shared_address(stage) + A::kBytes + B::offset(first.column, 0) + lane % 4 * 4;
        unsigned pairs[kSteps][kColumns][2];
        Pack<Scale, 2> factors[kColumns];
#pragma unroll
        for (int j = 0; j < kColumns; ++j) {
            factors[j] = scales<2>(stage, k / kGroup, Base::column(2 * j));
            const Place at(8 * j);
#pragma unroll
            for (int part = 0; part < kGroup; part += kChunk<Weights>) {
                const unsigned word =
                    load_shared(at.tile * B::kBytes + B::moved(words_at, at.column, (k + part) / kChunk<Weights>));
#pragma unroll
                for (int i = 0; i < kChunk<Weights> / 8; ++i)
                    pairs[part / 16 + i / 2][j][i % 2] = Weights::to_bf16(word >> i * Weights::kBits);
            }
        }
        // Of eight rows, mma takes each twice.
        constexpr bool kEight = Base::kI == 1;
        const unsigned rows_at = shared_address(stage) + (kEight ? A::offset(lane % 8, lane / 16) : Base::first_rows());
#pragma unroll
        for (int i = 0; i < Base::kI; i += 2) {
            float part[2][Base::kJ], row_sums[4];
#pragma unroll
            for (int step = 0; step < kSteps; ++step) {
                unsigned rows[4];
                load_matrices<false>(rows, A::moved(rows_at, 8 * i, (k + 16 * step) / 8));
                // By columns of ones, of which a lane gets two alike.
                if constexpr (Weights::kShifted)
                    mma(step == 0, row_sums[0], row_sums[1], row_sums[2], row_sums[3], rows, kOnes, kOnes);
#pragma unroll
                for (int j = 0; j < kColumns; ++j)
                    mma(step == 0, part[0][2 * j], part[0][2 * j + 1], part[1][2 * j], part[1][2 * j + 1], rows,
                        pairs[step][j][0], pairs[step][j][1]);
            }
#pragma unroll
            for (int r = 0; r < (kEight ? 1 : 2); ++r)
#pragma unroll
                for (int j = 0; j < Base::kJ; ++j)
                    add(sums[i + r][j], part[r][j], Weights::kShifted ? row_sums[2 * r] : 0.0f, factors[j / 2].at[j % 2]);
        }
    }

    __device__ static void multiply_by_fma(const char* stage, int from, Sums& sums) {
        Sums part;
        float row_sums[Base::kI] = {};
        Base::clear(part);
#pragma unroll 1
        for (int k = from; k < from + kGroup; k += 4) {
            float rows[Base::kI][4];
            Pack<unsigned, 2> words[Base::kJ];
#pragma unroll
            for (int i = 0; i < Base::kI; ++i) {
                A::read4(rows[i], stage, Base::row(i), k);
#pragma unroll
                for (int e = 0; e < 4; ++e) row_sums[i] += rows[i][e];
            }
#pragma unroll
            for (int j = 0; j < Base::kJ; ++j) words[j] = words_of(chunk(stage, Base::column(j), k), k);
#pragma unroll
            for (int e = 0; e < 4; ++e)
#pragma unroll
                for (int j = 0; j < Base::kJ; ++j) {
                    const float weight = weight_of<Weights>(words[j], k, e);
#pragma unroll
                    for (int i = 0; i < Base::kI; ++i) part[i][j] = fmaf(rows[i][e], weight, part[i][j]);
                }
        }
#pragma unroll
        for (int j = 0; j < Base::kJ; ++j) {
            const auto factor = scales<1>(stage, from / kGroup, Base::column(j)).at[0];
#pragma unroll
            for (int i = 0; i < Base::kI; ++i) add(sums[i][j], part[i][j], row_sums[i], factor);
        }
    }
};
