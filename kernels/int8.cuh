// A product whose B is a weight in int8: groups of 32 along the depth with a scale each. A group's
// products are summed by themselves, the weights as whole numbers (which bf16 holds exactly), and the
// sum joins the others times its scale.
#pragma once

#include "product.cuh"

constexpr int kGroup = 32;

// A quantised matrix: rows of bytes, weight + 128, padded to whole groups, and [groups][columns of
// scales] f32, so that neighbouring rows' scales are neighbours.
struct Int8Matrix {
    Matrix<unsigned char> weights;
    Matrix<float> scales;
};

// The weight in byte `at` of `bytes`, in f32: 2²³ + byte − (2²³ + 128), exactly.
__device__ inline float int8_weight(unsigned bytes, int at) {
    return __uint_as_float(__byte_perm(bytes, 0x4b000000u, 0x7540 + at)) - 8388736.0f;
}

// Weights 0 and 1 of `bytes` as a pair of bf16: whole numbers below 128 fill only the upper half of f32.
__device__ inline unsigned int8_pair(unsigned bytes) {
    return __byte_perm(__float_as_uint(int8_weight(bytes, 0)), __float_as_uint(int8_weight(bytes, 1)),
                       0x7632);
}

template <typename TA, int kM_, int kN_, int kDepth_, int kWarpsM, int kWarpsN, int kStages_,
          bool kWideA>
struct Int8Product : Product<TA, unsigned char, kM_, kN_, kDepth_, kWarpsM, kWarpsN, kStages_, kWideA,
                             Major::kDepth, Major::kDepth> {
    using Base = Product<TA, unsigned char, kM_, kN_, kDepth_, kWarpsM, kWarpsN, kStages_, kWideA,
                         Major::kDepth, Major::kDepth>;
    using typename Base::A;
    using typename Base::B;
    using typename Base::Sums;
    using Scales = Tile<float, kN_, kDepth_ / kGroup, Major::kOuter>;
    using FromB = Int8Matrix;
    static constexpr int kScalesAt = A::kBytes + B::kBytes;
    static constexpr int kStageBytes = kScalesAt + ceil_div(Scales::kBytes, 128) * 128;

    __device__ static void fetch_b(char* stage, const Int8Matrix& b, int column, int depth) {
        fetch<B, Base::kThreads, true>(stage + A::kBytes, b.weights, column, depth);
        fetch<Scales, Base::kThreads, true>(stage + kScalesAt, b.scales, depth / kGroup, column);
    }

    __device__ static void multiply(const char* stage, Sums& sums) {
#pragma unroll
        for (int k = 0; k < kDepth_; k += kGroup) {
            Sums part;
            Base::clear(part);
            if constexpr (sizeof(TA) == 2)
                multiply_by_mma(stage, k, part);
            else
                multiply_by_fma(stage, k, part);
#pragma unroll
            for (int j = 0; j < Base::kJ; ++j) {
                const int column = Base::column(j);
                const float scale = *reinterpret_cast<const float*>(
                    stage + kScalesAt + Scales::offset(k / kGroup, column / 4) + column % 4 * 4);
#pragma unroll
                for (int i = 0; i < Base::kI; ++i)
                    sums[i][j] = fmaf(scale, part[i][j], sums[i][j]);
            }
        }
    }

    __device__ static void multiply_by_mma(const char* stage, int from, Sums& part) {
        const unsigned rows_at = shared_address(stage) + Base::first_rows();
        const int lane = threadIdx.x % kWarp;
        const int n = threadIdx.x / kWarp % kWarpsN * Base::kWarpN + lane / 4;
        const char* b = stage + A::kBytes + lane % 4 * 2;
#pragma unroll
        for (int k = from; k < from + kGroup; k += 16) {
            // b0 and b1 of mma: weights 2t and 2t + 1 of 16, and those 8 further.
            unsigned pairs[Base::kWarpN / 8][2];
#pragma unroll
            for (int j = 0; j < Base::kWarpN / 8; ++j) {
                const char* sixteen = b + B::offset(n + 8 * j, k / 16);
                pairs[j][0] = int8_pair(*reinterpret_cast<const unsigned short*>(sixteen));
                pairs[j][1] = int8_pair(*reinterpret_cast<const unsigned short*>(sixteen + 8));
            }
#pragma unroll
            for (int i = 0; i < Base::kWarpM / 16; ++i) {
                unsigned rows[4];
                load_matrices<false>(rows, A::moved(rows_at, 16 * i, k / 8));
#pragma unroll
                for (int j = 0; j < Base::kWarpN / 8; ++j)
                    mma(part[2 * i][2 * j], part[2 * i][2 * j + 1], part[2 * i + 1][2 * j],
                        part[2 * i + 1][2 * j + 1], rows, pairs[j][0], pairs[j][1]);
            }
        }
    }

    __device__ static void multiply_by_fma(const char* stage, int from, Sums& part) {
#pragma unroll 1
        for (int k = from; k < from + kGroup; k += 4) {
            float rows[Base::kI][4];
            unsigned columns[Base::kJ];
#pragma unroll
            for (int i = 0; i < Base::kI; ++i) A::read4(rows[i], stage, Base::row(i), k);
#pragma unroll
            for (int j = 0; j < Base::kJ; ++j)
                columns[j] = *reinterpret_cast<const unsigned*>(
                    stage + A::kBytes + B::offset(Base::column(j), k / 16) + k % 16);
#pragma unroll
            for (int e = 0; e < 4; ++e)
#pragma unroll
                for (int j = 0; j < Base::kJ; ++j) {
                    const float weight = int8_weight(columns[j], e);
#pragma unroll
                    for (int i = 0; i < Base::kI; ++i)
                        part[i][j] = fmaf(rows[i][e], weight, part[i][j]);
                }
        }
    }
};
