// RMSNorm over the rows of x[rows, dim], plain and fused with the residual addition before it, and its
// backward:
//
//   rms_norm            y = x / sqrt(mean(x²) + eps) · w
//   add_rms_norm        sum = x + delta;  y = rms_norm(sum) · w
//   rms_norm_backward   dx += r·w·dy − x·r³·Σ(w·dy·x)/dim with r = 1 / sqrt(mean(x²) + eps),
//                       dw += Σ dy·x·r over the rows
//
// Source: Zhang & Sennrich, "Root Mean Square Layer Normalization", arXiv 1910.07467, eq. 4.
//
// Shapes    x, delta, sum, y, dy, dx: [rows, dim], row-major, of type T; w, dw: [dim], f32; partials:
//           [blocks, dim], f32. Arithmetic in f32. sum may be x. In bf16 the norm is that of sum as it
//           is stored, rounded, so that fused and unfused give the same bits.
// Launch    forward: grid rows, block: any multiple of 32 up to 1024 threads; one for each 16 bytes of a row suit.
//           Backward: grid ceil(rows / rows_per_block), block: `lanes`, a multiple of 32, for each of the
//           rows that it takes at once, up to 512; on one stream, as the blocks count who is last.
// Tiling    One block a row (backward: some rows, several at once, each a warp's where it is short, and the last
//           block to end adds the blocks' sums to dw). A thread takes packs of four
//           elements, neighbouring threads neighbouring packs, so that the weights' 16 bytes a thread lie
//           side by side as well; where rows are not whole packs, packs are of one element. A thread holds
//           up to two packs of a row, backward five (in f32 four), or the row is gone over twice.
// Registers Packs of each operand, w's among them, the running sums, and of dw the sums of the packs.
// Shared    Two floats a warp; backward: dim floats for each row at once.
// Global    In elements: rms_norm (2 · rows + 1) · dim, add_rms_norm (4 · rows + 1) · dim, backward
//           (4 · rows + 3) · dim and dim f32 for each block, where there are several, written and read
//           again from L2. What is gone over twice comes from L1 the second time.
// Flops     4 · rows · dim, add_rms_norm 5, backward 14: bound by memory.
// Order     Each thread adds its elements in rising order, then the warps', by warp_sum; dw by every
//           n-th row of a block, n being its rows at once, these n, then by blocks, whichever is last: bits
//           repeat for one block size.
//
// instance: rms_norm_f32 = rms_norm<float>
// instance: rms_norm_bf16 = rms_norm<__nv_bfloat16>
// instance: add_rms_norm_f32 = add_rms_norm<float>
// instance: add_rms_norm_bf16 = add_rms_norm<__nv_bfloat16>
// instance: rms_norm_backward_f32 = rms_norm_backward<float>
// instance: rms_norm_backward_bf16 = rms_norm_backward<__nv_bfloat16>

#include "common.cuh"
#include "last_block.cuh"
#include "rms_norm.cuh"

// Packs of a row that a thread holds at most.
constexpr int kForward = 2;
template <typename T>
constexpr int kBackward = sizeof(T) == 2 ? 5 : 4;
// Of a block: without a bound the compiler may give a thread more registers than so many can have.
constexpr int kMostThreads = 1024, kMostBackward = 512;

// A row with up to K packs for each thread; delta and sum may be null.
template <int K, typename T>
__device__ void norm_packs(const T* x, const T* delta, const float* w, T* sum, T* y, int dim, float eps) {
    const float inverse_dim = 1.0f / dim;
    Pack<T, kPack> row[K] = {};
    Pack<float, kPack> weight[K] = {};
    float squares = 0.0f;
#pragma unroll
    for (int k = 0; k < K; ++k) {
        const int at = (threadIdx.x + k * blockDim.x) * kPack;
        if (at < dim) {
            row[k] = load<kPack>(x + at);
            // Before the block waits for its sum, so that the two latencies are one.
            weight[k] = load<kPack>(w + at);
            if (delta != nullptr) row[k] = sum_of(row[k], load<kPack>(delta + at));
        }
    }
#pragma unroll
    for (int k = 0; k < K; ++k) {
        const int at = (threadIdx.x + k * blockDim.x) * kPack;
        if (delta != nullptr && at < dim) store<kPack>(sum + at, row[k]);
        squares += sum_of_squares(row[k]);
    }
    const float r = inverse_rms(block_sum(squares), inverse_dim, eps);
#pragma unroll
    for (int k = 0; k < K; ++k) {
        const int at = (threadIdx.x + k * blockDim.x) * kPack;
        if (at < dim) store<kPack>(y + at, scaled(row[k], weight[k], r));
    }
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
    const float r = inverse_rms(block_sum(squares), 1.0f / dim, eps);
    const T* row = delta == nullptr ? x : sum;
    for (int at = threadIdx.x * N; at < dim; at += blockDim.x * N)
        store<N>(y + at, scaled(load<N>(row + at), load_f32<N>(w + at), r));
}

// dx += r · (w·dy − back·x) for a pack, with back = r²·Σ(w·dy·x)/dim, and dy·x·r onto sums[0], sums[stride], …
template <int N, typename T>
__device__ void backward_pack(const Pack<T, N>& x, const Pack<T, N>& dy, const Pack<float, N>& w, T* dx,
                              float* sums, int stride, float r, float back) {
    auto out = load<N>(static_cast<const T*>(dx));
#pragma unroll
    for (int i = 0; i < N; ++i) {
        const float g = to_f32(dy.at[i]), v = to_f32(x.at[i]);
        out.at[i] = from_f32<T>(fmaf(r, fmaf(-back, v, g * w.at[i]), to_f32(out.at[i])));
        sums[i * stride] = fmaf(g, v * r, sums[i * stride]);
    }
    store<N>(dx, out);
}

// Rows with up to K packs for each thread, which keeps its sums; those of the block go to `total`, or are added
// to it.
template <int K, typename T>
__device__ void backward_packs(const T* x, const float* w, const T* dy, T* dx, float* total, bool add, int rows,
                               int lanes, int dim, float eps) {
    extern __shared__ float shared[];
    const float inverse_dim = 1.0f / dim;
    const int lane = threadIdx.x % lanes, first = threadIdx.x / lanes, at_once = blockDim.x / lanes;
    const auto place = [&](int k) { return (lane + k * lanes) * kPack; };
    Pack<float, kPack> weight[K], sums[K] = {};
#pragma unroll
    for (int k = 0; k < K; ++k)
        if (place(k) < dim) weight[k] = load<kPack>(w + place(k));
    for (int begin = 0; begin < rows; begin += at_once) {
        const size_t from = static_cast<size_t>(begin + first) * dim;
        const int here = begin + first < rows ? dim : 0;
        Pack<float, kPack> value[K], gradient[K];
        // Loaded before the block waits for the sums of the row.
        Pack<T, kPack> out[K];
        float squares = 0.0f, dot = 0.0f;
#pragma unroll
        for (int k = 0; k < K; ++k)
            if (place(k) < here) {
                const auto v = load<kPack>(x + from + place(k)), g = load<kPack>(dy + from + place(k));
                out[k] = load<kPack>(static_cast<const T*>(dx) + from + place(k));
#pragma unroll
                for (int i = 0; i < kPack; ++i) {
                    value[k].at[i] = to_f32(v.at[i]);
                    gradient[k].at[i] = to_f32(g.at[i]);
                }
            }
#pragma unroll
        for (int k = 0; k < K; ++k)
            if (place(k) < here)
#pragma unroll
                for (int i = 0; i < kPack; ++i) {
                    squares = fmaf(value[k].at[i], value[k].at[i], squares);
                    dot = fmaf(weight[k].at[i] * gradient[k].at[i], value[k].at[i], dot);
                }
        row_sums(squares, dot, lanes);
        const float r = inverse_rms(squares, inverse_dim, eps), back = dot * r * r * r * inverse_dim;
#pragma unroll
        for (int k = 0; k < K; ++k)
            if (place(k) < here) {
#pragma unroll
                for (int i = 0; i < kPack; ++i) {
                    const float g = gradient[k].at[i] * r, before = to_f32(out[k].at[i]);
                    out[k].at[i] = from_f32<T>(fmaf(-back, value[k].at[i], fmaf(g, weight[k].at[i], before)));
                    sums[k].at[i] = fmaf(g, value[k].at[i], sums[k].at[i]);
                }
                store<kPack>(dx + from + place(k), out[k]);
            }
    }
#pragma unroll
    for (int k = 0; k < K; ++k)
        if (place(k) < dim) store<kPack>(shared + first * dim + place(k), sums[k]);
    __syncthreads();
    for (int at = threadIdx.x * kPack; at < dim; at += blockDim.x * kPack) {
        Pack<float, kPack> sum = {};
        if (add) sum = load<kPack>(static_cast<const float*>(total + at));
#pragma unroll 4
        for (int row = 0; row < at_once; ++row)
            add_pack(sum, load<kPack>(static_cast<const float*>(shared + row * dim + at)));
        store<kPack>(total + at, sum);
    }
}

// Rows of any length, each gone over twice. Element i of pack p has its sum at sums[i · packs + p], where
// neighbouring threads meet neighbouring banks, and a thread its own packs alone.
template <int N, typename T>
__device__ void backward_rows(const T* x, const float* w, const T* dy, T* dx, float* total, bool add, int rows,
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
        row_sums(squares, dot, blockDim.x);
        const float r = inverse_rms(squares, 1.0f / dim, eps), back = dot * r * r / dim;
        for (int pack = threadIdx.x; pack < packs; pack += blockDim.x) {
            const int at = pack * N;
            backward_pack(load<N>(x + at), load<N>(dy + at), load_f32<N>(w + at), dx + at, sums + pack,
                          packs, r, back);
        }
    }
    for (int pack = threadIdx.x; pack < packs; pack += blockDim.x)
        for (int i = 0; i < N; ++i) {
            const float before = add ? total[pack * N + i] : 0.0f;
            total[pack * N + i] = before + sums[i * packs + pack];
        }
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
    if (dim % kPack != 0)
        norm_row<1>(x, delta, w, sum, y, dim, eps);
    else if (dim > kForward * kPack * blockDim.x)
        norm_row<kPack>(x, delta, w, sum, y, dim, eps);
    else
        norm_packs<kForward>(x, delta, w, sum, y, dim, eps);
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
__global__ void __launch_bounds__(kMostBackward)
    rms_norm_backward(const T* x, const float* w, const T* dy, T* dx, float* dw, float* partials, int rows,
                      int rows_per_block, int lanes, int dim, float eps) {
    const int first = blockIdx.x * rows_per_block;
    const int count = min(rows_per_block, rows - first);
    const size_t at = static_cast<size_t>(first) * dim;
    const bool alone = gridDim.x == 1;
    float* total = alone ? dw : partials + static_cast<size_t>(blockIdx.x) * dim;
    if (dim % kPack != 0)
        backward_rows<1>(x + at, w, dy + at, dx + at, total, alone, count, dim, eps);
    else if (dim > kBackward<T> * kPack * lanes)
        backward_rows<kPack>(x + at, w, dy + at, dx + at, total, alone, count, dim, eps);
    else
        backward_packs<kBackward<T>>(x + at, w, dy + at, dx + at, total, alone, count, lanes, dim, eps);
    if (alone || !is_last()) return;
    if (dim % kPack == 0)
        add_rows<kPack>(partials, dw, gridDim.x, dim);
    else
        add_rows<1>(partials, dw, gridDim.x, dim);
}
