// Sums over the rows of x[rows, columns] onto y[columns]: the last step of weight gradients whose rows
// are the partial sums of other kernels' blocks.
//
//   y[c] += Σ_r x[r, c]
//
// Shapes    x: [rows, columns], row-major; y: [columns]; all f32.
// Launch    grid: ceil(columns / 32); block: 1024 threads.
// Tiling    A block takes 32 columns, which are the lanes of its 32 warps: 128 bytes of a row at a time.
//           Warp w adds rows w, w + 32, …; then the first warp adds the warps' sums.
// Registers One sum.
// Shared    32 × 32 floats, without conflicts: lanes are neighbours.
// Global    (rows + 2) · columns floats.
// Flops     rows · columns: bound by memory.
// Order     Rows of a warp rising, then warps rising: bits repeat.
//
// instance: column_sums = column_sums

#include "common.cuh"

__global__ void column_sums(const float* x, float* y, int rows, int columns) {
    __shared__ float sums[kWarp][kWarp];
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const int column = blockIdx.x * kWarp + lane;
    float sum = 0.0f;
    if (column < columns)
        for (int row = warp; row < rows; row += kWarp)
            sum += x[static_cast<size_t>(row) * columns + column];
    sums[warp][lane] = sum;
    __syncthreads();
    if (warp == 0 && column < columns) {
        sum = 0.0f;
#pragma unroll
        for (int other = 0; other < kWarp; ++other) sum += sums[other][lane];
        y[column] += sum;
    }
}
