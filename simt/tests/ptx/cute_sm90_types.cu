// One wgmma tile of each other element and accumulator type, from swizzled shared memory that plain stores filled:
// C[64,64] = A[64,k] B[64,k]^T, k being two instructions' worth.
#include <cute/tensor.hpp>
using namespace cute;

template <class Mma, class TA, class TB, class TC>
__device__ void tile(TA const* A, TB const* B, TC* C) {
  extern __shared__ __align__(1024) char raw[];
  constexpr int k = 64 / sizeof(TA);
  auto sA = make_tensor(make_smem_ptr(reinterpret_cast<TA*>(raw)),
                        tile_to_shape(GMMA::Layout_K_SW64_Atom<TA>{}, make_shape(Int<64>{}, Int<k>{})));
  auto sB = make_tensor(make_smem_ptr(reinterpret_cast<TB*>(raw + 4096)),
                        tile_to_shape(GMMA::Layout_K_SW64_Atom<TB>{}, make_shape(Int<64>{}, Int<k>{})));
  for (int i = threadIdx.x; i < 64 * k; i += 128) {
    sA(i / k, i % k) = A[i];
    sB(i / k, i % k) = B[i];
  }
  asm volatile("fence.proxy.async.shared::cta;");
  __syncthreads();
  auto mma = make_tiled_mma(Mma{});
  auto thr = mma.get_slice(threadIdx.x);
  auto a = thr.make_fragment_A(thr.partition_A(sA));
  auto b = thr.make_fragment_B(thr.partition_B(sB));
  auto gC = make_tensor(make_gmem_ptr(C), make_shape(Int<64>{}, Int<64>{}), make_stride(Int<64>{}, _1{}));
  auto c = thr.partition_fragment_C(gC);
  clear(c);
  warpgroup_arrive();
  gemm(mma, a, b, c);
  warpgroup_commit_batch();
  warpgroup_wait<0>();
  copy(c, thr.partition_C(gC));
}

#define TILE(name, Mma, TA, TB, TC) \
  extern "C" __global__ void __launch_bounds__(128) name(TA const* A, TB const* B, TC* C) { tile<Mma, TA, TB, TC>(A, B, C); }
constexpr auto K = GMMA::Major::K;
using F16 = SM90_64x64x16_F16F16F16_SS<K, K>;
using F32F16 = SM90_64x64x16_F32F16F16_SS<K, K>;
TILE(f16_f16, F16, half_t, half_t, half_t)
TILE(f32_f16, F32F16, half_t, half_t, float)
TILE(f32_tf32, SM90_64x64x8_F32TF32TF32_SS_TN<>, tfloat32_t, tfloat32_t, float)
TILE(f32_e4m3, SM90_64x64x32_F32E4M3E4M3_SS_TN<>, float_e4m3_t, float_e4m3_t, float)
TILE(f32_e5m2_e4m3, SM90_64x64x32_F32E5M2E4M3_SS_TN<>, float_e5m2_t, float_e4m3_t, float)
TILE(f16_e4m3_e5m2, SM90_64x64x32_F16E4M3E5M2_SS_TN<>, float_e4m3_t, float_e5m2_t, half_t)
TILE(s32_s8, SM90_64x64x32_S32S8S8_SS_TN, int8_t, int8_t, int32_t)
TILE(s32_u8_s8, SM90_64x64x32_S32U8S8_SS_TN, uint8_t, int8_t, int32_t)
