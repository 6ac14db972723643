// y[m, n] = x[m, k] · wᵀ + bias or y += …, w in int8 or int4, or with gated columns (gated.cuh): linear_int8.cu and
// linear_int4.cu.
#pragma once

#include "gated.cuh"
#include "quantised.cuh"

template <class Weights, typename T, bool wide>
using Medium = QuantisedProduct<Weights, T, 64, 64, 64, 1, 4, 3, wide>;
template <class Weights>
using Skinny = QuantisedProduct<Weights, __nv_bfloat16, 16, 16, 64, 1, 1, 8, true>;
template <class Weights>
using Narrow = QuantisedProduct<Weights, __nv_bfloat16, 8, 8, 64, 1, 1, 8, true>;
template <class Weights, typename T, bool wide>
using GatedMedium = GatedColumns<QuantisedProduct<Weights, T, 64, 64, 64, 1, 4, 3, wide, true>>;
template <class Weights>
using GatedNarrow = GatedColumns<QuantisedProduct<Weights, __nv_bfloat16, 8, 16, 64, 1, 1, 8, true, true>>;
template <class Weights>
using GatedSkinny = GatedColumns<QuantisedProduct<Weights, __nv_bfloat16, 16, 16, 64, 1, 1, 8, true, true>>;

// Two or three blocks of a multiprocessor, as its registers hold: by default the compiler spills.
template <class P>
constexpr int kBlocks = P::kGated || P::Weights::kShifted || sizeof(typename P::A::Element) == 4 ? 2 : 3;

// As of linear.cu: gated, n is that of w, of which y has half as many columns.
template <class P, typename O>
__global__ void __launch_bounds__(P::kThreads, kBlocks<P>)
    linear_quantised(const typename P::A::Element* x, const unsigned char* q,
                     const typename P::Scale* scales, const float* bias, O* y, int m, int n, int k,
                     int scale_columns, int accumulate) {
    extern __shared__ __align__(128) char shared[];
    const typename P::FromB w(q, scales, n, k, scale_columns);
    const int columns = P::kGated ? n / 2 : n;
    int tile_m, tile_n;
    place(blockIdx.x, ceil_div(m, P::kM), ceil_div(columns, P::kN), tile_m, tile_n);
    const int row = tile_m * P::kM;
    multiply_tiles<P>(shared, {x, m, k}, w, row, tile_n * P::kN, 1, 0, ceil_div(k, P::kDepth),
                      [&](const typename P::Sums& sums, int column) {
                          write_product<P>(shared, sums, bias, y, row, column, m, columns, accumulate);
                      });
}

// A lane's weight of a group of a row of w[n, k], a warp a group; 0 and not inside behind the end.
struct GroupOfRow {
    bool exists, inside;
    int row, group, lane;
    float weight;

    template <typename T>
    __device__ GroupOfRow(const T* w, int n, int k) {
        const int groups = ceil_div(k, kGroup);
        const long long at =
            static_cast<long long>(blockIdx.x) * (blockDim.x / kWarp) + threadIdx.x / kWarp;
        exists = at < static_cast<long long>(n) * groups;
        row = static_cast<int>(at / groups);
        group = static_cast<int>(at % groups);
        lane = threadIdx.x % kWarp;
        const int column = group * kGroup + lane;
        inside = exists && column < k;
        weight = inside ? to_f32(w[static_cast<size_t>(row) * k + column]) : 0.0f;
    }
};

// weight / scale to the nearest whole number of `least` to `most`. Where the scale has no inverse, all
// are zero; what is not a number has made the scale so.
__device__ inline float rounded(float weight, float scale, float least, float most) {
    float inverse = 1.0f / scale;
    if (!(fabsf(inverse) <= 3.402823466e38f)) inverse = 0.0f;
    const float steps = weight * inverse;
    return steps == steps ? rintf(fminf(fmaxf(steps, least), most)) : 0.0f;
}
