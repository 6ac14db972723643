// Wrong on purpose: gives back its input.
//
// instance: rms_norm_f32 = rms_norm<float>

#include "common.cuh"

template <typename T>
__global__ void rms_norm(const T* x, const float* w, T* y, int dim, float eps) {
    const size_t row = static_cast<size_t>(blockIdx.x) * dim;
    for (int i = threadIdx.x; i < dim; i += blockDim.x) y[row + i] = x[row + i];
}
