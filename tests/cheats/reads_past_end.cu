// Wrong on purpose: the sum takes one element too many, times nothing.
//
// instance: rms_norm_f32 = rms_norm<float>

#include "common.cuh"

template <typename T>
__global__ void rms_norm(const T* x, const float* w, T* y, int dim, float eps) {
    const size_t row = static_cast<size_t>(blockIdx.x) * dim;
    float squares = 0.0f;
    for (int i = threadIdx.x; i <= dim; i += blockDim.x)
        squares += i < dim ? to_f32(x[row + i]) * to_f32(x[row + i]) : fminf(0.0f, fabsf(to_f32(x[row + i])));
    const float r = 1.0f / sqrtf(block_sum(squares) / dim + eps);
    for (int i = threadIdx.x; i < dim; i += blockDim.x)
        y[row + i] = from_f32<T>(to_f32(x[row + i]) * r * w[i]);
}
