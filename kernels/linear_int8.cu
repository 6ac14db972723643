// The product with a weight in int8, for inference, and the quantisation itself:
//
//   linear_int8   y[m, n] = x[m, k] · wᵀ + bias   or  y += …,   w[j, l] = scale[j, l / 32] · q[j, l]
//   linear_swiglu_int8
//                 the same with gated columns (gated.cuh), n / 2 of them a multiple of 4
//   quantise_int8 q and scale of an f32 matrix w[n, k]: scale = max |w| / 127 over the group,
//                 q = w / scale to the nearest
//
// Shapes    x of type T, bf16 or f32; y of type O, T or f32; bias f32 [n]; q [n][ceil(k / 32) · 32] u8
//           of weight + 128, in the order that mma wants (weight_formats.cuh); scale [ceil(k / 32)][scale_columns]
//           f32, scale_columns = n rounded up to a multiple of 4; by_row: null, or the same scales
//           [n][ceil(k / 32)], for lookups (embedding.cu).
// Launch    linear_int8: grid ceil(m / kM) · ceil(n / kN), block P::kThreads, dynamic shared memory of
//           the stages or of the f32 tile of y. The instances named `any` take x of every row length;
//           the others want its rows at multiples of 16 bytes. quantise_int8: a warp for each group of
//           a row, grid ceil(n · groups / 8), block 256.
// Tiling    narrow 8 × 8 (gated 8 × 16) and skinny 16 × 16 by one warp, steps of 64 along k, 8 stages: for
//           decoding of few rows, where what a warp does for its columns takes longest, and of up to 64,
//           bound by the weights. medium 64 × 64 by 4 warps of 64 × 16, so that each weight is widened
//           once, steps of 64, 3 stages.
// Registers Sums, those of one group by 16 rows, and that group of the weights: they become bf16 (or f32)
//           as they leave shared memory, two by two instructions of bits and one of arithmetic.
// Shared    x, q and scales of each step by cp.async, swizzled (tile.cuh).
// Global    1.125 bytes a weight, read ceil(m / kM) times, mostly from L2.
// Flops     2 · m · n · k, and m · n · k / 16 for the scales.
// Order     Groups in the order of k, within a group as mma sums (or one by one in f32): a row of y has
//           the same bits whatever m is and from each instance.
//
// instance: linear_int8_bf16_medium = linear_quantised<Medium<Int8, __nv_bfloat16, true>, __nv_bfloat16>
// instance: linear_int8_bf16_narrow = linear_quantised<Narrow<Int8>, __nv_bfloat16>
// instance: linear_int8_bf16_skinny = linear_quantised<Skinny<Int8>, __nv_bfloat16>
// instance: linear_int8_bf16_any = linear_quantised<Medium<Int8, __nv_bfloat16, false>, __nv_bfloat16>
// instance: linear_swiglu_int8_bf16_medium = linear_quantised<GatedMedium<Int8, __nv_bfloat16, true>, __nv_bfloat16>
// instance: linear_swiglu_int8_bf16_narrow = linear_quantised<GatedNarrow<Int8>, __nv_bfloat16>
// instance: linear_swiglu_int8_bf16_skinny = linear_quantised<GatedSkinny<Int8>, __nv_bfloat16>
// instance: linear_swiglu_int8_bf16_any = linear_quantised<GatedMedium<Int8, __nv_bfloat16, false>, __nv_bfloat16>
// instance: logits_int8_bf16_medium = linear_quantised<Medium<Int8, __nv_bfloat16, true>, float>
// instance: logits_int8_bf16_narrow = linear_quantised<Narrow<Int8>, float>
// instance: logits_int8_bf16_skinny = linear_quantised<Skinny<Int8>, float>
// instance: logits_int8_bf16_any = linear_quantised<Medium<Int8, __nv_bfloat16, false>, float>
// instance: linear_int8_f32_medium = linear_quantised<Medium<Int8, float, true>, float>
// instance: linear_swiglu_int8_f32_medium = linear_quantised<GatedMedium<Int8, float, true>, float>
// instance: linear_swiglu_int8_f32_any = linear_quantised<GatedMedium<Int8, float, false>, float>
// instance: linear_int8_f32_any = linear_quantised<Medium<Int8, float, false>, float>
// instance: quantise_int8 = quantise_int8<float>

#include "linear_quantised.cuh"

// The largest magnitude, where a NaN counts as the largest.
__device__ inline float larger(float a, float b) { return a > b || a != a ? a : b; }

template <typename T>
__global__ void quantise_int8(const T* w, unsigned char* q, float* scales, float* by_row, int n, int k,
                              int scale_columns) {
    const GroupOfRow at(w, n, k);
    if (!at.exists) return;
    float most = fabsf(at.weight);
#pragma unroll
    for (int distance = kWarp / 2; distance > 0; distance /= 2)
        most = larger(most, __shfl_xor_sync(0xffffffffu, most, distance));
    const float scale = most / 127.0f;
    const float whole = rounded(at.weight, scale, -127.0f, 127.0f);
    const size_t group = static_cast<size_t>(at.row) * ceil_div(k, kGroup) + at.group;
    // Lane 16c + 8i + 2t + e has byte i of half e of word t of chunk c.
    const int to = at.lane / 16 * 16 + at.lane % 8 / 2 * 4 + at.lane % 2 * 2 + at.lane / 8 % 2;
    q[group * kGroup + to] = static_cast<unsigned char>(whole + 128.0f);
    if (at.lane != 0) return;
    scales[static_cast<size_t>(at.group) * scale_columns + at.row] = scale;
    if (by_row != nullptr) by_row[group] = scale;
}
