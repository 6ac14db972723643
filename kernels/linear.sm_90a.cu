// The products of linear.cu with many rows, for Hopper: operands come by tensor maps and are multiplied by
// warpgroups.
//
//   linear_nt   y[m, n]  = x · wᵀ + bias      or  y += …
//   linear_swiglu_nt
//               y[m, n]  = silu(x · gᵀ + …) ⊙ (x · uᵀ + …), the rows of w[2n, k] being g's, then u's (gated.cuh)
//   linear_nn   dx[m, k] = dy · w             or  dx += …
//   linear_tn   dw[n, k] += dyᵀ · x           over a part of the rows
//
// Shapes    As in linear.cu: C[m, n] = A · B over a depth of k; A and B bf16 with rows at multiples of 16 bytes, C of
//           type O. `a` and `b` are tensor maps of the whole matrices, with boxes of 64 elements along memory by a
//           tile's rows where that is the depth, by 64 steps where it is the outer index; of gates and of their ups
//           by half as many.
// Launch    grid: ceil(m / kM) · ceil(n / kN), by `parts` in y for tn; block: P::kThreads; dynamic shared memory:
//           P::kBytes.
// Tiling    warpgroups  128 × 128 by 2 warpgroups of 64 × 128, steps of 64 along the depth, 3 stages, 96 KiB: two
//                       blocks a multiprocessor, one of which multiplies while the other writes
//           warpgroup   64 × 64 by 1 warpgroup, 4 stages, 64 KiB: for fewer rows
//           Blocks run through groups of 8 tiles along m, so that a wave of them shares what it reads. Gated, they
//           write tiles half as wide.
// Warps     The last one fetches, by one thread: it waits until a stage is free and starts its copies. The others
//           wait for a stage's bytes, start four products, and free the stage before, whose products have ended. The
//           fetching warp needs few registers and is one of nine (five), so none are handed over (setmaxnreg).
// Registers The sums (64 and 32 a thread).
// Shared    Stages of operands as tensor maps swizzle them, which wgmma reads without bank conflicts, and a pair of
//           barriers for each; then the tile of C in f32 as in output.cuh.
// Global    As in linear.cu.
// Flops     2 · m · n · k on tensor cores.
// Order     One chain along the depth in steps of 16, as mma's: the bits of linear.cu.
// Source    NVIDIA, CUTLASS, "Efficient GEMM in CUDA", warp specialisation; PTX ISA, wgmma.
//
// instance: linear_nt_bf16_warpgroups = linear_by_groups<LargeNt, Bf16>
// instance: linear_nt_bf16_warpgroup = linear_by_groups<SmallNt, Bf16>
// instance: linear_swiglu_nt_bf16_warpgroups = linear_by_groups<GatedGroups<LargeNt>, Bf16>
// instance: linear_swiglu_nt_bf16_warpgroup = linear_by_groups<GatedGroups<SmallNt>, Bf16>
// instance: logits_nt_bf16_warpgroups = linear_by_groups<LargeNt, float>
// instance: logits_nt_bf16_warpgroup = linear_by_groups<SmallNt, float>
// instance: linear_nn_bf16_warpgroups = linear_by_groups<LargeNn, Bf16>
// instance: linear_nn_bf16_warpgroup = linear_by_groups<SmallNn, Bf16>
// instance: sums_nn_bf16_warpgroups = linear_by_groups<LargeNn, float>
// instance: linear_tn_bf16_warpgroups = linear_by_groups<LargeTn, float>

#include "gated.cuh"
#include "hopper.cuh"

using Bf16 = __nv_bfloat16;
constexpr Major kDepth = Major::kDepth, kOuter = Major::kOuter;

// A block's tile kM × kN of C, in steps of 64 along the depth.
template <int kM_, int kN_, int kStages_, Major kMajorA, Major kMajorB>
struct GroupProduct {
    static constexpr int kM = kM_, kN = kN_, kStep = 64, kStages = kStages_;
    static constexpr int kWarps = kM / 16, kThreads = (kWarps + 1) * kWarp;
    static constexpr int kABytes = kM * kBoxRowBytes, kStageBytes = (kM + kN) * kBoxRowBytes;
    // With the barriers behind the stages.
    static constexpr int kBytes = kStages * kStageBytes + Ring<kStages>::kBytes;
    static constexpr int kI = 2, kJ = kN / 4;
    static constexpr bool kGated = false;

    using Sums = GroupSums<kN / 8>;

    __device__ static int warp() { return threadIdx.x / kWarp; }
    __device__ static bool multiplies() { return warp() < kWarps; }
    __device__ static int row(int i) { return warp() * 16 + 8 * i + threadIdx.x % kWarp / 4; }
    __device__ static int column(int j) { return 8 * (j / 2) + 2 * (threadIdx.x % 4) + j % 2; }
    __device__ static float sum(const Sums& sums, int i, int j) { return sums[j / 2][2 * i + j % 2]; }

    // Starts the copies of one step's operands: `outer` of A from `row` on, of B from `column` on.
    template <int kRows, Major kMajor>
    __device__ static void fetch_boxes(unsigned to, const TensorMap& from, int outer, int depth, unsigned barrier) {
        if constexpr (kMajor == kDepth)
            copy_box(to, from, depth, outer, barrier);
        else
#pragma unroll
            for (int i = 0; i < kRows; i += kBox) copy_box(to + i * kBoxRowBytes, from, outer + i, depth, barrier);
    }
    __device__ static void fetch_a(unsigned to, const TensorMap& a, int row, int depth, unsigned barrier) {
        fetch_boxes<kM, kMajorA>(to, a, row, depth, barrier);
    }
    __device__ static void fetch_b(unsigned to, const TensorMap& b, int column, int, int depth, unsigned barrier) {
        fetch_boxes<kN, kMajorB>(to, b, column, depth, barrier);
    }

    // Starts the products of one step as a group. The warpgroup's 64 rows of A are 64 rows of its box, or a box of
    // their own: as many bytes.
    __device__ static void multiply(Sums& sums, unsigned stage) {
        const unsigned a = stage + warp() / 4 * 64 * kBoxRowBytes;
        begin_products();
#pragma unroll
        for (int depth = 0; depth < kStep; depth += 16)
            multiply_group<kMajorA, kMajorB>(sums, operand<kMajorA>(a, depth), operand<kMajorB>(stage + kABytes, depth));
        commit_products();
    }
};

// One with gated columns (gated.cuh): of its tile of B the first half are gates, and the second their ups.
template <class P>
struct GatedGroups : P {
    static constexpr bool kGated = true;
    static constexpr int kN = P::kN / 2, kJ = P::kJ / 2;

    // The gates from `column` of `columns` on.
    __device__ static void fetch_b(unsigned to, const TensorMap& b, int column, int columns, int depth,
                                   unsigned barrier) {
        copy_box(to, b, depth, column, barrier);
        copy_box(to + kN * kBoxRowBytes, b, depth, columns + column, barrier);
    }
};

template <Major a, Major b>
using Large = GroupProduct<128, 128, 3, a, b>;
template <Major a, Major b>
using Small = GroupProduct<64, 64, 4, a, b>;
using LargeNt = Large<kDepth, kDepth>;
using LargeNn = Large<kDepth, kOuter>;
using LargeTn = Large<kOuter, kOuter>;
using SmallNt = Small<kDepth, kDepth>;
using SmallNn = Small<kDepth, kOuter>;

// `part_steps` steps of the depth for each of gridDim.y parts, whose results lie m · n apart. n: the columns of A · B,
// of which y has half as many where they are gated.
template <class P, typename O>
__global__ void __launch_bounds__(P::kThreads)
    linear_by_groups(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, const float* bias, O* y,
                     int m, int n, int part_steps, int accumulate) {
    extern __shared__ __align__(1024) char shared[];
    const unsigned stages = shared_address(shared);
    const int columns = P::kGated ? n / 2 : n;
    int tile_m, tile_n;
    place(blockIdx.x, ceil_div(m, P::kM), ceil_div(columns, P::kN), tile_m, tile_n);
    const int row = tile_m * P::kM, column = tile_n * P::kN;
    y += static_cast<size_t>(blockIdx.y) * m * columns;

    Ring<P::kStages> ring(stages + P::kStages * P::kStageBytes, P::kWarps);
    typename P::Sums sums = {};
    const int lane = threadIdx.x % kWarp;
    if (P::multiplies()) {
        for (int step = 0; step < part_steps; ++step, ring.next()) {
            await(ring.full(), ring.parity);
            P::multiply(sums, stages + ring.stage * P::kStageBytes);
            await_products<1>();
            if (lane == 0 && step > 0) arrive(ring.empty_before());
        }
        await_products<0>();
    } else {
        if (lane == 0)
            for (int step = 0; step < part_steps; ++step, ring.next()) {
                await(ring.empty(), ring.parity ^ 1);
                const int depth = (blockIdx.y * part_steps + step) * P::kStep;
                const unsigned stage = stages + ring.stage * P::kStageBytes;
                arrive_expecting(ring.full(), P::kStageBytes);
                P::fetch_a(stage, a, row, depth, ring.full());
                P::fetch_b(stage + P::kABytes, b, column, columns, depth, ring.full());
            }
        __syncwarp();
    }
    write_product<P>(shared, sums, bias, y, row, column, m, columns, accumulate);
}
