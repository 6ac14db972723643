// RMSNorm over the rows of x[rows, dim], plain and fused with the residual addition before it:
//
//   rms_norm       y = x / sqrt(mean(x²) + eps) · w
//   add_rms_norm   sum = x + delta;  y = rms_norm(sum) · w
//
// Source: Zhang & Sennrich, "Root Mean Square Layer Normalization", arXiv 1910.07467, eq. 4.
//
// Shapes    x, delta, sum, y: [rows, dim], row-major; w: [dim]. All of one type T, arithmetic in f32.
//           sum may be x. In bf16 the norm is that of sum as it is stored, rounded, so that fused and
//           unfused give the same bits.
// Launch    grid: rows; block: any multiple of 32 up to 1024 threads (128 suits dim 576 to 4096).
// Tiling    One block a row; neighbouring threads take neighbouring packs of 16 bytes. Where rows do
//           not start at multiples of 16 bytes (dim of an odd number), packs are of one element.
// Registers The running sum of squares and one pack. The row is read twice: the second read comes
//           from L1, since a block has just read its row and rows are far smaller than L1.
// Shared    One float a warp.
// Global    rms_norm reads x and w and writes y: (2 · rows + 1) · dim elements. add_rms_norm reads
//           delta and writes sum as well: (4 · rows + 1) · dim.
// Flops     4 · rows · dim, add_rms_norm 5 · rows · dim: bound by memory.
// Order     Each thread adds its elements in rising order, then block_sum: bits repeat for one block
//           size.
//
// instance: rms_norm_f32 = rms_norm<float>
// instance: rms_norm_bf16 = rms_norm<__nv_bfloat16>
// instance: add_rms_norm_f32 = add_rms_norm<float>
// instance: add_rms_norm_bf16 = add_rms_norm<__nv_bfloat16>

#include "common.cuh"

// The factor 1 / sqrt(mean square + eps) of a row whose squares in this thread add up to `squares`.
__device__ float inverse_rms(float squares, int dim, float eps) {
    return 1.0f / sqrtf(block_sum(squares) / dim + eps);
}

template <int N, typename T>
__device__ float sum_of_squares(const Pack<T, N>& pack) {
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < N; ++i) squares += to_f32(pack.at[i]) * to_f32(pack.at[i]);
    return squares;
}

// row[i] · scale · w[i] into y, for this thread's packs.
template <int N, typename T>
__device__ void scale_row(const T* row, const T* w, T* y, int dim, float scale) {
    for (int at = threadIdx.x * N; at < dim; at += blockDim.x * N) {
        const auto x = load<N>(row + at);
        const auto weight = load<N>(w + at);
        Pack<T, N> out;
#pragma unroll
        for (int i = 0; i < N; ++i)
            out.at[i] = from_f32<T>(to_f32(x.at[i]) * scale * to_f32(weight.at[i]));
        store<N>(y + at, out);
    }
}

template <int N, typename T>
__device__ void norm_row(const T* x, const T* w, T* y, int dim, float eps) {
    float squares = 0.0f;
    for (int at = threadIdx.x * N; at < dim; at += blockDim.x * N)
        squares += sum_of_squares(load<N>(x + at));
    scale_row<N>(x, w, y, dim, inverse_rms(squares, dim, eps));
}

template <int N, typename T>
__device__ void add_norm_row(const T* x, const T* delta, const T* w, T* sum, T* y, int dim, float eps) {
    float squares = 0.0f;
    for (int at = threadIdx.x * N; at < dim; at += blockDim.x * N) {
        auto total = load<N>(x + at);
        const auto addend = load<N>(delta + at);
#pragma unroll
        for (int i = 0; i < N; ++i)
            total.at[i] = from_f32<T>(to_f32(total.at[i]) + to_f32(addend.at[i]));
        store<N>(sum + at, total);
        squares += sum_of_squares(total);
    }
    // A thread reads back only what it wrote itself.
    scale_row<N>(sum, w, y, dim, inverse_rms(squares, dim, eps));
}

template <typename T>
__global__ void rms_norm(const T* x, const T* w, T* y, int dim, float eps) {
    const size_t row = static_cast<size_t>(blockIdx.x) * dim;
    if (dim % kWidest<T> == 0)
        norm_row<kWidest<T>>(x + row, w, y + row, dim, eps);
    else
        norm_row<1>(x + row, w, y + row, dim, eps);
}

template <typename T>
__global__ void add_rms_norm(const T* x, const T* delta, const T* w, T* sum, T* y, int dim, float eps) {
    const size_t row = static_cast<size_t>(blockIdx.x) * dim;
    if (dim % kWidest<T> == 0)
        add_norm_row<kWidest<T>>(x + row, delta + row, w, sum + row, y + row, dim, eps);
    else
        add_norm_row<1>(x + row, delta + row, w, sum + row, y + row, dim, eps);
}
