// A product whose B is a weight in int8 or int4: groups of 32 along the depth with a scale each, in int4
// a shift too. A group's products are summed by themselves, the weights as whole numbers (which bf16 holds
// exactly), and the sum joins the others times its scale; so does the sum of A's group times the shift.
#pragma once

#include "product.cuh"

constexpr int kGroup = 32;
constexpr unsigned kOnes = 0x3f803f80u;  // a pair of bf16

// Byte `at` of `bytes` less `zero`, in f32: 2²³ + byte − (2²³ + zero), exactly.
__device__ inline float whole(unsigned bytes, int at, float zero) {
    return __uint_as_float(__byte_perm(bytes, 0x4b000000u, 0x7540 + at)) - (8388608.0f + zero);
}

// Weights in their order, a byte each: scale · (byte − 128).
struct Int8 {
    using Scale = float;
    static constexpr bool kShifted = false;
    // Weights of a chunk of 16 bytes, and what is added to each.
    static constexpr int kChunk = 16;
    static constexpr float kZero = 128.0f;

    // Of the 16 weights from `depth` on, in their chunk, those that mma's b0 and b1 of a lane hold: 2t
    // and 2t + 1, and those 8 further, t the lane's place in its quad.
    __device__ static void pairs(unsigned (&to)[2], const char* chunk, int) {
        const char* at = chunk + threadIdx.x % 4 * 2;
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            const unsigned two = *reinterpret_cast<const unsigned short*>(at + 8 * h);
            // Whole numbers below 128 fill only the upper half of f32.
            to[h] = __byte_perm(__float_as_uint(whole(two, 0, kZero)),
                                __float_as_uint(whole(two, 1, kZero)), 0x7632);
        }
    }

    // The four weights from `depth` on, in their chunk, as bytes of weight + kZero.
    __device__ static unsigned four(const char* chunk, int depth) {
        return *reinterpret_cast<const unsigned*>(chunk + depth % kChunk);
    }
};

// Weights of a half byte each: scale · half byte + shift. A group is four words: of word t the half bytes i
// and i + 4 are weights 8i + 2t and 8i + 2t + 1, so that a lane's weights of mma are one word, pair by
// pair.
struct Int4 {
    using Scale = __nv_bfloat162;  // scale and shift
    static constexpr bool kShifted = true;
    static constexpr int kChunk = 32;
    static constexpr float kZero = 0.0f;

    __device__ static void pairs(unsigned (&to)[2], const char* chunk, int depth) {
        const unsigned word = reinterpret_cast<const unsigned*>(chunk)[threadIdx.x % 4];
#pragma unroll
        for (int h = 0; h < 2; ++h) {
            // 128 + half byte in bf16, less 128.
            const unsigned two = half_bytes(word, depth % kChunk / 8 + h) | 0x43004300u;
            asm("fma.rn.bf16x2 %0, %1, %2, %3;"
                : "=r"(to[h])
                : "r"(two), "r"(kOnes), "r"(0xc300c300u));
        }
    }

    __device__ static unsigned four(const char* chunk, int depth) {
        const auto words = load<2>(reinterpret_cast<const unsigned*>(chunk + depth % 8 * 2));
        const int i = depth % kChunk / 8;
        return __byte_perm(half_bytes(words.at[0], i), half_bytes(words.at[1], i), 0x6420);
    }

    // Half bytes i and i + 4 of a word, at the bottom of its halves.
    __device__ static unsigned half_bytes(unsigned word, int i) { return word >> 4 * i & 0x000f000fu; }
};

__device__ inline float scale_of(float scale) { return scale; }
__device__ inline float scale_of(__nv_bfloat162 scale) { return to_f32(scale.x); }
__device__ inline float shift_of(float) { return 0.0f; }
__device__ inline float shift_of(__nv_bfloat162 scale) { return to_f32(scale.y); }

template <class Weights>
constexpr int kGroupBytes = kGroup / Weights::kChunk * 16;

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
        return stage + A::kBytes + at.tile * B::kBytes + B::offset(at.column, depth / Weights::kChunk);
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
        for (int k = 0; k < kDepth_; k += kGroup) {
            Sums part;
            float rows[Base::kI] = {};  // sums of A's group
            Base::clear(part);
            if constexpr (sizeof(TA) == 2)
                multiply_by_mma(stage, k, part, rows);
            else
                multiply_by_fma(stage, k, part, rows);
            // Columns of an accumulator of mma are neighbours by twos.
            constexpr int kSide = sizeof(TA) == 2 ? 2 : 1;
#pragma unroll
            for (int j = 0; j < Base::kJ; j += kSide) {
                const auto factors = scales<kSide>(stage, k / kGroup, Base::column(j));
#pragma unroll
                for (int e = 0; e < kSide; ++e)
#pragma unroll
                    for (int i = 0; i < Base::kI; ++i) {
                        float& sum = sums[i][j + e];
                        sum = fmaf(scale_of(factors.at[e]), part[i][j + e], sum);
                        if constexpr (Weights::kShifted) sum = fmaf(shift_of(factors.at[e]), rows[i], sum);
                    }
            }
        }
    }

    __device__ static void multiply_by_mma(const char* stage, int from, Sums& part,
                                           float (&row_sums)[Base::kI]) {
        const unsigned rows_at = shared_address(stage) + Base::first_rows();
        const int lane = threadIdx.x % kWarp;
        const int n = threadIdx.x / kWarp % kWarpsN * Base::kWarpN + lane / 4;
#pragma unroll
        for (int k = from; k < from + kGroup; k += 16) {
            unsigned pairs[Base::kWarpN / 8][2];
#pragma unroll
            for (int j = 0; j < Base::kWarpN / 8; ++j)
                Weights::pairs(pairs[j], chunk(stage, n + 8 * j, k), k);
#pragma unroll
            for (int i = 0; i < Base::kWarpM / 16; ++i) {
                unsigned rows[4];
                load_matrices<false>(rows, A::moved(rows_at, 16 * i, k / 8));
                if constexpr (Weights::kShifted) {
                    // By a column of ones, of which a lane gets two alike.
                    float first = row_sums[2 * i], second = row_sums[2 * i + 1];
                    mma(row_sums[2 * i], first, row_sums[2 * i + 1], second, rows, kOnes, kOnes);
                }
#pragma unroll
                for (int j = 0; j < Base::kWarpN / 8; ++j)
                    mma(part[2 * i][2 * j], part[2 * i][2 * j + 1], part[2 * i + 1][2 * j],
                        part[2 * i + 1][2 * j + 1], rows, pairs[j][0], pairs[j][1]);
            }
        }
    }

    __device__ static void multiply_by_fma(const char* stage, int from, Sums& part,
                                           float (&row_sums)[Base::kI]) {
#pragma unroll 1
        for (int k = from; k < from + kGroup; k += 4) {
            float rows[Base::kI][4];
            unsigned columns[Base::kJ];
#pragma unroll
            for (int i = 0; i < Base::kI; ++i) {
                A::read4(rows[i], stage, Base::row(i), k);
#pragma unroll
                for (int e = 0; e < 4; ++e) row_sums[i] += rows[i][e];
            }
#pragma unroll
            for (int j = 0; j < Base::kJ; ++j)
                columns[j] = Weights::four(chunk(stage, Base::column(j), k), k);
#pragma unroll
            for (int e = 0; e < 4; ++e)
#pragma unroll
                for (int j = 0; j < Base::kJ; ++j) {
                    const float weight = whole(columns[j], e, Weights::kZero);
#pragma unroll
                    for (int i = 0; i < Base::kI; ++i)
                        part[i][j] = fmaf(rows[i][e], weight, part[i][j]);
                }
        }
    }
};
