// RMSNorm over the rows of x[rows, dim], plain and fused with the residual addition before it, and its
// backward:
//
//   rms_norm            y = x / sqrt(mean(x²) + eps) · w
//   add_rms_norm        sum = x + delta;  y = rms_norm(sum) · w
//   rms_norm_backward   dx += r·w·dy − x·r³·Σ(w·dy·x)/dim with r = 1 / sqrt(mean(x²) + eps), and the
//                       rows' dy·x·r summed by block; column_sums adds the blocks' sums to dw
//
// Source: Zhang & Sennrich, "Root Mean Square Layer Normalization", arXiv 1910.07467, eq. 4.
//
// Shapes    x, delta, sum, y, dy, dx: [rows, dim], row-major, of type T; w, dw: [dim], f32; partials:
//           [blocks, dim], f32. Arithmetic in f32. sum may be x. In bf16 the norm is that of sum as it
//           is stored, rounded, so that fused and unfused give the same bits.
// Launch    forward: grid rows; backward: grid ceil(rows / rows_per_block). Block: any multiple of 32
//           up to 1024 threads; the packs of a row, at most 256, suit.
// Tiling    One block a row (backward: some rows, one after the other); neighbouring threads take
//           neighbouring packs of 16 bytes. Where rows do not start at multiples of 16 bytes (dim of
//           an odd number), packs are of one element.
// Registers The running sums and one pack of each operand. A row is read twice: the second read comes
//           from L1, since a block has just read its row and rows are far smaller than L1.
// Shared    One float a warp; backward: dim floats as well (the sums of dw).
// Global    In elements: rms_norm (2 · rows + 1) · dim, add_rms_norm (4 · rows + 1) · dim, backward
//           (4 · rows + 1) · dim and 2 · dim f32 for each block.
// Flops     4 · rows · dim, add_rms_norm 5, backward 14: bound by memory.
// Order     Each thread adds its elements in rising order, then block_sum; dw by rows within a block,
//           then by blocks: bits repeat for one block size.
//
// instance: rms_norm_f32 = rms_norm<float>
// instance: rms_norm_bf16 = rms_norm<__nv_bfloat16>
// instance: add_rms_norm_f32 = add_rms_norm<float>
// instance: add_rms_norm_bf16 = add_rms_norm<__nv_bfloat16>
// instance: rms_norm_backward_f32 = rms_norm_backward<float>
// instance: rms_norm_backward_bf16 = rms_norm_backward<__nv_bfloat16>

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

template <int N, typename T>
__device__ float inverse_rms_of_row(const T* x, int dim, float eps) {
    float squares = 0.0f;
    for (int at = threadIdx.x * N; at < dim; at += blockDim.x * N)
        squares += sum_of_squares(load<N>(x + at));
    return inverse_rms(squares, dim, eps);
}

// row[i] · scale · w[i] into y, for this thread's packs.
template <int N, typename T>
__device__ void scale_row(const T* row, const float* w, T* y, int dim, float scale) {
    for (int at = threadIdx.x * N; at < dim; at += blockDim.x * N) {
        const auto x = load<N>(row + at);
        const auto weight = load_f32<N>(w + at);
        Pack<T, N> out;
#pragma unroll
        for (int i = 0; i < N; ++i) out.at[i] = from_f32<T>(to_f32(x.at[i]) * scale * weight.at[i]);
        store<N>(y + at, out);
    }
}

template <int N, typename T>
__device__ void norm_row(const T* x, const float* w, T* y, int dim, float eps) {
    scale_row<N>(x, w, y, dim, inverse_rms_of_row<N>(x, dim, eps));
}

template <int N, typename T>
__device__ void add_norm_row(const T* x, const T* delta, const float* w, T* sum, T* y, int dim,
                             float eps) {
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

// One row of the backward: dx += r·w·dy − x·r³·Σ(w·dy·x)/dim, and dy·x·r onto the sums of this block,
// element i of pack p at sums[i · packs + p], where neighbouring threads meet neighbouring banks.
template <int N, typename T>
__device__ void backward_row(const T* x, const float* w, const T* dy, T* dx, float* sums, int dim,
                             float eps) {
    const float r = inverse_rms_of_row<N>(x, dim, eps);
    float dot = 0.0f;
    for (int at = threadIdx.x * N; at < dim; at += blockDim.x * N) {
        const auto row = load<N>(x + at);
        const auto weight = load_f32<N>(w + at);
        const auto gradient = load<N>(dy + at);
#pragma unroll
        for (int i = 0; i < N; ++i)
            dot += weight.at[i] * to_f32(gradient.at[i]) * to_f32(row.at[i]);
    }
    const float back = block_sum(dot) * r * r * r / dim;
    const int packs = dim / N;
    for (int pack = threadIdx.x; pack < packs; pack += blockDim.x) {
        const auto row = load<N>(x + pack * N);
        const auto weight = load_f32<N>(w + pack * N);
        const auto gradient = load<N>(dy + pack * N);
        auto out = load<N>(dx + pack * N);
#pragma unroll
        for (int i = 0; i < N; ++i) {
            const float g = to_f32(gradient.at[i]), v = to_f32(row.at[i]);
            out.at[i] = from_f32<T>(to_f32(out.at[i]) + (g * weight.at[i] * r - back * v));
            sums[i * packs + pack] += g * v * r;
        }
        store<N>(dx + pack * N, out);
    }
}

template <int N, typename T>
__device__ void backward_rows(const T* x, const float* w, const T* dy, T* dx, float* partial,
                              int rows, int dim, float eps) {
    extern __shared__ float sums[];
    // A thread adds to, and reads, the sums of its own packs alone.
    const int packs = dim / N;
    for (int pack = threadIdx.x; pack < packs; pack += blockDim.x)
#pragma unroll
        for (int i = 0; i < N; ++i) sums[i * packs + pack] = 0.0f;
    for (int row = 0; row < rows; ++row) {
        const size_t at = static_cast<size_t>(row) * dim;
        backward_row<N>(x + at, w, dy + at, dx + at, sums, dim, eps);
    }
    for (int pack = threadIdx.x; pack < packs; pack += blockDim.x)
#pragma unroll
        for (int i = 0; i < N; ++i) partial[pack * N + i] = sums[i * packs + pack];
}

template <typename T>
__global__ void rms_norm(const T* x, const float* w, T* y, int dim, float eps) {
    const size_t row = static_cast<size_t>(blockIdx.x) * dim;
    if (dim % kWidest<T> == 0)
        norm_row<kWidest<T>>(x + row, w, y + row, dim, eps);
    else
        norm_row<1>(x + row, w, y + row, dim, eps);
}

template <typename T>
__global__ void add_rms_norm(const T* x, const T* delta, const float* w, T* sum, T* y, int dim,
                             float eps) {
    const size_t row = static_cast<size_t>(blockIdx.x) * dim;
    if (dim % kWidest<T> == 0)
        add_norm_row<kWidest<T>>(x + row, delta + row, w, sum + row, y + row, dim, eps);
    else
        add_norm_row<1>(x + row, delta + row, w, sum + row, y + row, dim, eps);
}

template <typename T>
__global__ void rms_norm_backward(const T* x, const float* w, const T* dy, T* dx, float* partials,
                                  int rows, int rows_per_block, int dim, float eps) {
    const int first = blockIdx.x * rows_per_block;
    const int count = min(rows_per_block, rows - first);
    const size_t at = static_cast<size_t>(first) * dim;
    float* partial = partials + static_cast<size_t>(blockIdx.x) * dim;
    if (dim % kWidest<T> == 0)
        backward_rows<kWidest<T>>(x + at, w, dy + at, dx + at, partial, count, dim, eps);
    else
        backward_rows<1>(x + at, w, dy + at, dx + at, partial, count, dim, eps);
}
