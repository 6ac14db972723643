// Wrong on purpose: gives the result of the call before.
//
// instance: rms_norm_f32 = rms_norm<float>

#include "common.cuh"

__device__ float before[1 << 20];

template <typename T>
__device__ float factor(const T* x, int dim, float eps) {
    float squares = 0.0f;
    for (int i = threadIdx.x; i < dim; i += blockDim.x) squares += to_f32(x[i]) * to_f32(x[i]);
    return 1.0f / sqrtf(block_sum(squares) / dim + eps);
}

template <typename T>
__global__ void rms_norm(const T* x, const float* w, T* y, int dim, float eps) {
    const size_t row = static_cast<size_t>(blockIdx.x) * dim;
    const float r = factor(x + row, dim, eps);
    for (int i = threadIdx.x; i < dim; i += blockDim.x) {
        y[row + i] = from_f32<T>(before[row + i]);
        before[row + i] = to_f32(x[row + i]) * r * w[i];
    }
}
