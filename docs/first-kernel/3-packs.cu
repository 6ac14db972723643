// RMSNorm, third try: 16 bytes at a time, kept in registers between the sum and the product.
//
// instance: rms_norm_f32 = rms_norm<float>

#include "common.cuh"

// A row with a pack of N for each thread.
template <int N, typename T>
__device__ void in_registers(const T* x, const float* w, T* y, int dim, float eps) {
    const int at = threadIdx.x * N;
    Pack<T, N> row = {};
    if (at < dim) row = load<N>(x + at);
    float squares = 0.0f;
    for (int i = 0; i < N; ++i) squares += row.at[i] * row.at[i];
    const float r = 1.0f / sqrtf(block_sum(squares) / dim + eps);
    if (at >= dim) return;
    const auto weight = load<N>(w + at);
    for (int i = 0; i < N; ++i) row.at[i] *= r * weight.at[i];
    store<N>(y + at, row);
}

// Any other row.
template <typename T>
__device__ void in_turns(const T* x, const float* w, T* y, int dim, float eps) {
    float squares = 0.0f;
    for (int i = threadIdx.x; i < dim; i += blockDim.x) squares += x[i] * x[i];
    const float r = 1.0f / sqrtf(block_sum(squares) / dim + eps);
    for (int i = threadIdx.x; i < dim; i += blockDim.x) y[i] = x[i] * r * w[i];
}

template <typename T>
__global__ void rms_norm(const T* x, const float* w, T* y, int dim, float eps) {
    const size_t row = static_cast<size_t>(blockIdx.x) * dim;
    if (dim % 4 == 0 && dim / 4 <= blockDim.x)
        in_registers<4>(x + row, w, y + row, dim, eps);
    else
        in_turns(x + row, w, y + row, dim, eps);
}
