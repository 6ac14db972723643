// Wrong on purpose: reads the warps' sums before all of them are there.
//
// instance: rms_norm_f32 = rms_norm<float>

#include "common.cuh"

template <typename T>
__global__ void rms_norm(const T* x, const float* w, T* y, int dim, float eps) {
    __shared__ float sums[32];
    const size_t row = static_cast<size_t>(blockIdx.x) * dim;
    float squares = 0.0f;
    for (int i = threadIdx.x; i < dim; i += blockDim.x)
        squares += to_f32(x[row + i]) * to_f32(x[row + i]);
    squares = warp_sum(squares);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = squares;
    float total = 0.0f;
    for (int warp = 0; warp < blockDim.x / 32; ++warp) total += sums[warp];
    const float r = 1.0f / sqrtf(total / dim + eps);
    for (int i = threadIdx.x; i < dim; i += blockDim.x)
        y[row + i] = from_f32<T>(to_f32(x[row + i]) * r * w[i]);
}
