// The product with a weight in int4, for inference, and the quantisation itself:
//
//   linear_int4   y[m, n] = x[m, k] · wᵀ + bias   or  y += …,   w[j, l] = scale[j, l / 32] · q[j, l]
//   quantise_int4 q and scale of an f32 matrix w[n, k]: scale = the weight of largest magnitude of the
//                 group / −8 (of two the positive one), rounded to bf16; q = w / scale to the nearest of
//                 −8 to 7. So the largest is kept, and what lies opposite may lose up to a step: as in
//                 Q4_0 of GGML.
//
// Shapes    x of type T, bf16 or f32; y of type O, T or f32; bias f32 [n]; q [n][ceil(k / 32)][16] u8,
//           half bytes of weight + 8 in the order that mma wants (quantised.cuh); scale
//           [ceil(k / 32)][scale_columns] bf16, scale_columns = n rounded up to a multiple of 8.
// Launch    As linear_int8's and quantise_int8's.
// Tiling    As linear_int8's.
// Registers Sums and one group's sums; half bytes become bf16 (or f32) as they leave shared memory, two
//           by one instruction of bits and one of arithmetic.
// Shared    x, q and scales of each step by cp.async, swizzled (tile.cuh).
// Global    0.5625 bytes a weight, read ceil(m / kM) times, mostly from L2.
// Flops     2 · m · n · k, and m · n · k / 16 for the scales.
// Order     As in linear_int8.
//
// instance: linear_int4_bf16_medium = linear_quantised<Medium<Int4, __nv_bfloat16, true>, __nv_bfloat16>
// instance: linear_int4_bf16_skinny = linear_quantised<Skinny<Int4>, __nv_bfloat16>
// instance: linear_int4_bf16_any = linear_quantised<Medium<Int4, __nv_bfloat16, false>, __nv_bfloat16>
// instance: logits_int4_bf16_medium = linear_quantised<Medium<Int4, __nv_bfloat16, true>, float>
// instance: logits_int4_bf16_skinny = linear_quantised<Skinny<Int4>, float>
// instance: logits_int4_bf16_any = linear_quantised<Medium<Int4, __nv_bfloat16, false>, float>
// instance: linear_int4_f32_medium = linear_quantised<Medium<Int4, float, true>, float>
// instance: linear_int4_f32_any = linear_quantised<Medium<Int4, float, false>, float>
// instance: quantise_int4 = quantise_int4<float>

#include "linear_quantised.cuh"

// The one of larger magnitude, of equal ones the positive, where a NaN counts as the largest.
__device__ inline float larger(float a, float b) {
    return fabsf(a) > fabsf(b) || (fabsf(a) == fabsf(b) && a > b) || a != a ? a : b;
}

template <typename T>
__global__ void quantise_int4(const T* w, unsigned char* q, __nv_bfloat16* scales, int n, int k,
                              int scale_columns) {
    const GroupOfRow at(w, n, k);
    if (!at.exists) return;
    float most = at.weight;
#pragma unroll
    for (int distance = kWarp / 2; distance > 0; distance /= 2)
        most = larger(most, __shfl_xor_sync(0xffffffffu, most, distance));
    const auto scale = from_f32<__nv_bfloat16>(most / -8.0f);
    const float whole = rounded(at.weight, to_f32(scale), -8.0f, 7.0f);
    // The half bytes of lanes 8i + 2t and 8i + 2t + 1 make word t.
    unsigned word = static_cast<unsigned>(whole + 8.0f) << 4 * (at.lane / 8 + at.lane % 2 * 4);
#pragma unroll
    for (int distance : {1, 8, 16}) word |= __shfl_xor_sync(0xffffffffu, word, distance);
    const size_t group = static_cast<size_t>(at.row) * ceil_div(k, kGroup) + at.group;
    if (at.lane < 8 && at.lane % 2 == 0)
        reinterpret_cast<unsigned*>(q)[group * 4 + at.lane / 2] = word;
    if (at.lane == 0) scales[static_cast<size_t>(at.group) * scale_columns + at.row] = scale;
}
