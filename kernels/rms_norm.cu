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
//           up to 1024 threads; the packs of a row, at most 1024, suit.
// Tiling    One block a row (backward: some rows, one after the other). A thread takes packs of 16 bytes,
//           neighbouring threads neighbouring packs; where rows do not start at multiples of 16 bytes,
//           packs are of one element. A row has a pack for each thread, or is gone over twice.
// Registers A pack of each operand, w's among them, the running sums, and of dw the sums of a pack.
// Shared    Two floats a warp; backward of rows that are gone over twice: dim floats as well.
// Global    In elements: rms_norm (2 · rows + 1) · dim, add_rms_norm (4 · rows + 1) · dim, backward
//           (4 · rows + 1) · dim and 2 · dim f32 for each block. What is gone over twice comes from L1
//           the second time.
// Flops     4 · rows · dim, add_rms_norm 5, backward 14: bound by memory.
// Order     Each thread adds its elements in rising order, then the warps', by warp_sum; dw by rows
//           within a block, then by blocks: bits repeat for one block size.
//
// instance: rms_norm_f32 = rms_norm<float>
// instance: rms_norm_bf16 = rms_norm<__nv_bfloat16>
// instance: add_rms_norm_f32 = add_rms_norm<float>
// instance: add_rms_norm_bf16 = add_rms_norm<__nv_bfloat16>
// instance: rms_norm_backward_f32 = rms_norm_backward<float>
// instance: rms_norm_backward_bf16 = rms_norm_backward<__nv_bfloat16>

#include "common.cuh"

// Of a block: without a bound the compiler may give a thread more registers than so many can have.
constexpr int kMostThreads = 1024;

// The sums of a and of b over the block, in every thread; the order is that of block_sum.
__device__ void block_sums(float& a, float& b) {
    __shared__ float2 sums[kWarp];
    a = warp_sum(a);
    b = warp_sum(b);
    __syncthreads();  // an earlier call's sums have been read
    if (threadIdx.x % kWarp == 0) sums[threadIdx.x / kWarp] = {a, b};
    __syncthreads();
    a = b = 0.0f;
    for (int warp = 0; warp < blockDim.x / kWarp; ++warp) {
        a += sums[warp].x;
        b += sums[warp].y;
    }
}

// The factor 1 / sqrt(mean square + eps) of a row from the sum of its squares.
__device__ float inverse_rms(float squares, int dim, float eps) {
    return 1.0f / sqrtf(squares / dim + eps);
}

template <int N, typename T>
__device__ float sum_of_squares(const Pack<T, N>& x) {
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < N; ++i) squares += to_f32(x.at[i]) * to_f32(x.at[i]);
    return squares;
}

template <int N, typename T>
__device__ Pack<T, N> sum_of(const Pack<T, N>& x, const Pack<T, N>& delta) {
    Pack<T, N> sum;
#pragma unroll
    for (int i = 0; i < N; ++i) sum.at[i] = from_f32<T>(to_f32(x.at[i]) + to_f32(delta.at[i]));
    return sum;
}

template <int N, typename T>
__device__ Pack<T, N> scaled(const Pack<T, N>& x, const Pack<float, N>& w, float r) {
    Pack<T, N> y;
#pragma unroll
    for (int i = 0; i < N; ++i) y.at[i] = from_f32<T>(to_f32(x.at[i]) * r * w.at[i]);
    return y;
}

// A row with a pack for each thread; delta and sum may be null.
template <int N, typename T>
__device__ void norm_packs(const T* x, const T* delta, const float* w, T* sum, T* y, int dim, float eps) {
    const int at = threadIdx.x * N;
    Pack<T, N> row = {};
    Pack<float, N> weight = {};
    if (at < dim) {
        row = load<N>(x + at);
        // Before the block waits for its sum, so that the two latencies are one.
        weight = load_f32<N>(w + at);
        if (delta != nullptr) {
            row = sum_of(row, load<N>(delta + at));
            store<N>(sum + at, row);
        }
    }
    const float r = inverse_rms(block_sum(sum_of_squares(row)), dim, eps);
    if (at < dim) store<N>(y + at, scaled(row, weight, r));
}

// A row of any length, gone over twice. A thread reads back only what it wrote itself.
template <int N, typename T>
__device__ void norm_row(const T* x, const T* delta, const float* w, T* sum, T* y, int dim, float eps) {
    float squares = 0.0f;
    for (int at = threadIdx.x * N; at < dim; at += blockDim.x * N) {
        auto row = load<N>(x + at);
        if (delta != nullptr) {
            row = sum_of(row, load<N>(delta + at));
            store<N>(sum + at, row);
        }
        squares += sum_of_squares(row);
    }
    const float r = inverse_rms(block_sum(squares), dim, eps);
    const T* row = delta == nullptr ? x : sum;
    for (int at = threadIdx.x * N; at < dim; at += blockDim.x * N)
        store<N>(y + at, scaled(load<N>(row + at), load_f32<N>(w + at), r));
}

template <int N, typename T>
__device__ float weighted_dot(const Pack<T, N>& x, const Pack<T, N>& dy, const Pack<float, N>& w) {
    float dot = 0.0f;
#pragma unroll
    for (int i = 0; i < N; ++i) dot += w.at[i] * to_f32(dy.at[i]) * to_f32(x.at[i]);
    return dot;
}

// dx += r·w·dy − back·x for a pack, and dy·x·r onto sums[0], sums[stride], …
template <int N, typename T>
__device__ void backward_pack(const Pack<T, N>& x, const Pack<T, N>& dy, const Pack<float, N>& w, T* dx,
                              float* sums, int stride, float r, float back) {
    auto out = load<N>(static_cast<const T*>(dx));
#pragma unroll
    for (int i = 0; i < N; ++i) {
        const float g = to_f32(dy.at[i]), v = to_f32(x.at[i]);
        out.at[i] = from_f32<T>(to_f32(out.at[i]) + (g * w.at[i] * r - back * v));
        sums[i * stride] += g * v * r;
    }
    store<N>(dx, out);
}

// Rows with a pack for each thread, which keeps its sums.
template <int N, typename T>
__device__ void backward_packs(const T* x, const float* w, const T* dy, T* dx, float* partial, int rows,
                               int dim, float eps) {
    const int at = threadIdx.x * N;
    const bool mine = at < dim;
    Pack<float, N> weight = {}, sums = {};
    if (mine) weight = load_f32<N>(w + at);
    for (int row = 0; row < rows; ++row, x += dim, dy += dim, dx += dim) {
        Pack<T, N> value = {}, gradient = {};
        if (mine) {
            value = load<N>(x + at);
            gradient = load<N>(dy + at);
        }
        float squares = sum_of_squares(value), dot = weighted_dot(value, gradient, weight);
        block_sums(squares, dot);
        const float r = inverse_rms(squares, dim, eps), back = dot * r * r * r / dim;
        if (mine) backward_pack(value, gradient, weight, dx + at, sums.at, 1, r, back);
    }
    if (!mine) return;
#pragma unroll
    for (int i = 0; i < N; ++i) partial[at + i] = sums.at[i];
}

// Rows of any length, each gone over twice. Element i of pack p has its sum at sums[i · packs + p], where
// neighbouring threads meet neighbouring banks, and a thread its own packs alone.
template <int N, typename T>
__device__ void backward_rows(const T* x, const float* w, const T* dy, T* dx, float* partial, int rows,
                              int dim, float eps) {
    extern __shared__ float sums[];
    const int packs = dim / N;
    for (int pack = threadIdx.x; pack < packs; pack += blockDim.x)
        for (int i = 0; i < N; ++i) sums[i * packs + pack] = 0.0f;
    for (int row = 0; row < rows; ++row, x += dim, dy += dim, dx += dim) {
        float squares = 0.0f, dot = 0.0f;
        for (int at = threadIdx.x * N; at < dim; at += blockDim.x * N) {
            const auto value = load<N>(x + at);
            squares += sum_of_squares(value);
            dot += weighted_dot(value, load<N>(dy + at), load_f32<N>(w + at));
        }
        block_sums(squares, dot);
        const float r = inverse_rms(squares, dim, eps), back = dot * r * r * r / dim;
        for (int pack = threadIdx.x; pack < packs; pack += blockDim.x) {
            const int at = pack * N;
            backward_pack(load<N>(x + at), load<N>(dy + at), load_f32<N>(w + at), dx + at, sums + pack,
                          packs, r, back);
        }
    }
    for (int pack = threadIdx.x; pack < packs; pack += blockDim.x)
        for (int i = 0; i < N; ++i) partial[pack * N + i] = sums[i * packs + pack];
}

template <typename T>
__device__ void norm(const T* x, const T* delta, const float* w, T* sum, T* y, int dim, float eps) {
    const size_t row = static_cast<size_t>(blockIdx.x) * dim;
    x += row;
    y += row;
    if (delta != nullptr) {
        delta += row;
        sum += row;
    }
    constexpr int kN = kWidest<T>;
    if (dim % kN != 0)
        norm_row<1>(x, delta, w, sum, y, dim, eps);
    else if (dim / kN > blockDim.x)
        norm_row<kN>(x, delta, w, sum, y, dim, eps);
    else
        norm_packs<kN>(x, delta, w, sum, y, dim, eps);
}

template <typename T>
__global__ void __launch_bounds__(kMostThreads) rms_norm(const T* x, const float* w, T* y, int dim, float eps) {
    norm<T>(x, nullptr, w, nullptr, y, dim, eps);
}

template <typename T>
__global__ void __launch_bounds__(kMostThreads)
    add_rms_norm(const T* x, const T* delta, const float* w, T* sum, T* y, int dim, float eps) {
    norm<T>(x, delta, w, sum, y, dim, eps);
}

template <typename T>
__global__ void __launch_bounds__(kMostThreads)
    rms_norm_backward(const T* x, const float* w, const T* dy, T* dx, float* partials, int rows,
                      int rows_per_block, int dim, float eps) {
    const int first = blockIdx.x * rows_per_block;
    const int count = min(rows_per_block, rows - first);
    const size_t at = static_cast<size_t>(first) * dim;
    float* partial = partials + static_cast<size_t>(blockIdx.x) * dim;
    constexpr int kN = kWidest<T>;
    if (dim % kN != 0)
        backward_rows<1>(x + at, w, dy + at, dx + at, partial, count, dim, eps);
    else if (dim / kN > blockDim.x)
        backward_rows<kN>(x + at, w, dy + at, dx + at, partial, count, dim, eps);
    else
        backward_packs<kN>(x + at, w, dy + at, dx + at, partial, count, dim, eps);
}
