// Wrong on purpose: hides infinities and NaNs.
//
// instance: rms_norm_f32 = rms_norm<float>

#include "factor.cuh"

template <typename T>
__global__ void rms_norm(const T* x, const float* w, T* y, int dim, float eps) {
    const size_t row = static_cast<size_t>(blockIdx.x) * dim;
    const float r = factor(x + row, dim, eps);
    for (int i = threadIdx.x; i < dim; i += blockDim.x) {
        const float v = to_f32(x[row + i]) * r * w[i];
        y[row + i] = from_f32<T>(isfinite(v) ? v : 0.0f);
    }
}
