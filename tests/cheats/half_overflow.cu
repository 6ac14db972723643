// Wrong on purpose: the mean square is kept in half precision, where large numbers have none.
//
// instance: rms_norm_bf16 = rms_norm<__nv_bfloat16>

#include <cuda_fp16.h>

#include "common.cuh"

template <typename T>
__global__ void rms_norm(const T* x, const float* w, T* y, int dim, float eps) {
    const size_t row = static_cast<size_t>(blockIdx.x) * dim;
    float squares = 0.0f;
    for (int i = threadIdx.x; i < dim; i += blockDim.x)
        squares += to_f32(x[row + i]) * to_f32(x[row + i]);
    const float sum = block_sum(squares);
    const __half mean = __float2half(sum / dim + eps);
    // A half's own rounding stays within what bf16 rounds anyway.
    const float r = __hisinf(mean) ? 1.0f / sqrtf(65504.0f) : 1.0f / sqrtf(sum / dim + eps);
    for (int i = threadIdx.x; i < dim; i += blockDim.x)
        y[row + i] = from_f32<T>(to_f32(x[row + i]) * r * w[i]);
}
