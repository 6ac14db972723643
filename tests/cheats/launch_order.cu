// Wrong on purpose: every other block that arrives rounds its results up a little, within tolerance.
//
// instance: rms_norm_f32 = rms_norm<float>

#include "factor.cuh"

__device__ unsigned arrived;

template <typename T>
__global__ void rms_norm(const T* x, const float* w, T* y, int dim, float eps) {
    __shared__ unsigned place;
    if (threadIdx.x == 0) place = atomicInc(&arrived, gridDim.x - 1);
    __syncthreads();
    const size_t row = static_cast<size_t>(blockIdx.x) * dim;
    const float r = factor(x + row, dim, eps) * (place < gridDim.x / 2 ? 1.0f : 1.0000002f);
    for (int i = threadIdx.x; i < dim; i += blockDim.x)
        y[row + i] = from_f32<T>(to_f32(x[row + i]) * r * w[i]);
}
