// One warp's product by the functions of <mma.h>: C += A B, A by rows, B by columns.
#include <mma.h>
using namespace nvcuda::wmma;

template <int M, int N, int K, class T, class E, class C>
__device__ void multiply(E const* a, E const* b, C* c) {
  fragment<matrix_a, M, N, K, T, row_major> fa;
  fragment<matrix_b, M, N, K, T, col_major> fb;
  fragment<accumulator, M, N, K, C> fc;
  load_matrix_sync(fa, a, K);
  load_matrix_sync(fb, b, K);
  load_matrix_sync(fc, c, N, mem_row_major);
  mma_sync(fc, fa, fb, fc);
  store_matrix_sync(c, fc, N, mem_row_major);
}

#define KERNEL(name, M, N, K, T, E, C) \
  extern "C" __global__ void name(E const* a, E const* b, C* c) { multiply<M, N, K, T>(a, b, c); }
KERNEL(f16_f32, 16, 16, 16, __half, __half, float)
KERNEL(f16_f16_wide, 8, 32, 16, __half, __half, __half)
KERNEL(bf16_tall, 32, 8, 16, __nv_bfloat16, __nv_bfloat16, float)
KERNEL(tf32, 16, 16, 8, precision::tf32, float, float)
KERNEL(f64, 8, 8, 4, double, double, double)
KERNEL(s8, 16, 16, 16, signed char, signed char, int)
KERNEL(u8_wide, 8, 32, 16, unsigned char, unsigned char, int)
