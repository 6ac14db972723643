// Wrong on purpose: gives the result of the call before.
//
// instance: rms_norm_f32 = rms_norm<float>

#include "factor.cuh"

__device__ float before[1 << 20];

template <typename T>
__global__ void rms_norm(const T* x, const float* w, T* y, int dim, float eps) {
    const size_t row = static_cast<size_t>(blockIdx.x) * dim;
    const float r = factor(x + row, dim, eps);
    for (int i = threadIdx.x; i < dim; i += blockDim.x) {
        y[row + i] = from_f32<T>(before[row + i]);
        before[row + i] = to_f32(x[row + i]) * r * w[i];
    }
}
