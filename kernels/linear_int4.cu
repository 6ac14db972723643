// The product with a weight in int4, for inference, and the quantisation itself:
//
//   linear_int4   y[m, n] = x[m, k] · wᵀ + bias   or  y += …,
//                 w[j, l] = scale[j, l / 32] · q[j, l] + shift[j, l / 32]
//   linear_swiglu_int4
//                 the same with gated columns (gated.cuh), n / 2 of them a multiple of 4
//   quantise_int4 q, scale and shift of an f32 matrix w[n, k]: shift = the lowest weight of the group and
//                 scale = (the highest − the lowest) / 15, both rounded to bf16; q = (w − shift) / scale to
//                 the nearest of 0 to 15. As in Q4_1 of GGML, whose weights it keeps.
//
// Shapes    x of type T, bf16 or f32; y of type O, T or f32; bias f32 [n]; q [n][ceil(k / 32)][16] u8,
//           half bytes in the order that mma wants (weight_formats.cuh); scales [ceil(k / 32)][scale_columns]
//           pairs of bf16, scale and shift, scale_columns = n rounded up to a multiple of 4; by_row as
//           quantise_int8's.
// Launch    As linear_int8's and quantise_int8's.
// Tiling    As linear_int8's.
// Registers Sums, those of one group by 16 rows and of x, and that group of the weights: half bytes become
//           bf16 (or f32) as they leave shared memory, two by one instruction of bits and one of arithmetic.
// Shared    x, q and scales of each step by cp.async, swizzled (tile.cuh).
// Global    0.625 bytes a weight, read ceil(m / kM) times, mostly from L2.
// Flops     2 · m · n · k, and m · n · k / 8 for scales and shifts. Sums of x by mma with ones: for each
//           16 · kN of a warp 16 · 8 more.
// Order     As in linear_int8.
//
// instance: linear_int4_bf16_medium = linear_quantised<Medium<Int4, __nv_bfloat16, true>, __nv_bfloat16>
// instance: linear_int4_bf16_narrow = linear_quantised<Narrow<Int4>, __nv_bfloat16>
// instance: linear_int4_bf16_skinny = linear_quantised<Skinny<Int4>, __nv_bfloat16>
// instance: linear_int4_bf16_any = linear_quantised<Medium<Int4, __nv_bfloat16, false>, __nv_bfloat16>
// instance: linear_swiglu_int4_bf16_medium = linear_quantised<GatedMedium<Int4, __nv_bfloat16, true>, __nv_bfloat16>
// instance: linear_swiglu_int4_bf16_narrow = linear_quantised<GatedNarrow<Int4>, __nv_bfloat16>
// instance: linear_swiglu_int4_bf16_skinny = linear_quantised<GatedSkinny<Int4>, __nv_bfloat16>
// instance: linear_swiglu_int4_bf16_any = linear_quantised<GatedMedium<Int4, __nv_bfloat16, false>, __nv_bfloat16>
// instance: logits_int4_bf16_medium = linear_quantised<Medium<Int4, __nv_bfloat16, true>, float>
// instance: logits_int4_bf16_narrow = linear_quantised<Narrow<Int4>, float>
// instance: logits_int4_bf16_skinny = linear_quantised<Skinny<Int4>, float>
// instance: logits_int4_bf16_any = linear_quantised<Medium<Int4, __nv_bfloat16, false>, float>
// instance: linear_int4_f32_medium = linear_quantised<Medium<Int4, float, true>, float>
// instance: linear_swiglu_int4_f32_medium = linear_quantised<GatedMedium<Int4, float, true>, float>
// instance: linear_swiglu_int4_f32_any = linear_quantised<GatedMedium<Int4, float, false>, float>
// instance: linear_int4_f32_any = linear_quantised<Medium<Int4, float, false>, float>
// instance: quantise_int4 = quantise_int4<float>

#include "linear_quantised.cuh"

// The lower, where a NaN counts as the lowest.
__device__ inline float lower(float a, float b) { return a < b || a != a ? a : b; }

template <typename T>
__global__ void quantise_int4(const T* w, unsigned char* q, __nv_bfloat162* scales, __nv_bfloat162* by_row, int n,
                              int k, int scale_columns) {
    const GroupOfRow at(w, n, k);
    if (!at.exists) return;
    const float none = __int_as_float(0x7f800000);  // infinity
    float low = at.inside ? at.weight : none, high = at.inside ? -at.weight : none;
#pragma unroll
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
        low = lower(low, __shfl_xor_sync(0xffffffffu, low, distance));
        high = lower(high, __shfl_xor_sync(0xffffffffu, high, distance));
    }
    const auto scale = from_f32<__nv_bfloat16>((-high - low) / 15.0f), shift = from_f32<__nv_bfloat16>(low);
    const float whole = rounded(at.weight - to_f32(shift), to_f32(scale), 0.0f, 15.0f);
    // The half bytes of lanes 8i + 2t and 8i + 2t + 1 make word t.
    unsigned word = static_cast<unsigned>(whole) << 4 * (at.lane / 8 + at.lane % 2 * 4);
#pragma unroll
    for (int distance : {1, 8, 16}) word |= __shfl_xor_sync(0xffffffffu, word, distance);
    const size_t group = static_cast<size_t>(at.row) * ceil_div(k, kGroup) + at.group;
    if (at.lane < 8 && at.lane % 2 == 0)
        reinterpret_cast<unsigned*>(q)[group * 4 + at.lane / 2] = word;
    if (at.lane != 0) return;
    scales[static_cast<size_t>(at.group) * scale_columns + at.row] = {scale, shift};
    if (by_row != nullptr) by_row[group] = {scale, shift};
}
