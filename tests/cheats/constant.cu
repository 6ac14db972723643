// Wrong on purpose: gives the same number everywhere.
//
// instance: rms_norm_f32 = rms_norm<float>

#include "common.cuh"

template <typename T>
__global__ void rms_norm(const T* x, const float* w, T* y, int dim, float eps) {
    for (int i = threadIdx.x; i < dim; i += blockDim.x)
        y[static_cast<size_t>(blockIdx.x) * dim + i] = from_f32<T>(0.25f);
}
