// Products through tensor maps, mbarriers and wgmma, as CuTe's atoms, layouts and barriers make them. A tile of
// 64 rows and 128 columns: C[64,128] = A[64,k] B[128,k]^T. The second warpgroup multiplies what a thread of the
// first one has copied; STAGES tiles of 64 along k are on their way. One PART at a time is compiled.
#include <cute/tensor.hpp>
#include <cute/arch/cluster_sm90.hpp>
#include <cute/arch/copy_sm90_tma.hpp>
#include <cutlass/arch/barrier.h>
#include <cutlass/arch/reg_reconfig.h>
using namespace cute;
using Full = cutlass::arch::ClusterTransactionBarrier;
using Empty = cutlass::arch::ClusterBarrier;

constexpr int BM = 64, BN = 128, BK = 64, STAGES = 2;

template <class Atom, bool kIsMn, int ROWS>
__device__ auto layout() {
  return tile_to_shape(Atom{}, make_shape(Int<ROWS>{}, Int<BK>{}, Int<STAGES>{}),
                       conditional_return<kIsMn>(Step<_2, _1, _3>{}, Step<_1, _2, _3>{}));
}

// One operand's tile: boxes side by side in memory, as wide as the atom's contiguous dimension.
template <class Atom, bool kIsMn, int ROWS>
__device__ void load(void const* map, uint64_t* barrier, bfloat16_t* to, int row, int k, int mask) {
  constexpr int width = kIsMn ? size<0>(Atom{}) : size<1>(Atom{});
  constexpr int boxes = (kIsMn ? ROWS : BK) / width, box = width * (kIsMn ? BK : ROWS);
  CUTE_UNROLL
  for (int i = 0; i < boxes; ++i) {
    int x = (kIsMn ? row : k) + i * width, y = kIsMn ? k : row;
    if (mask)
      SM90_TMA_LOAD_MULTICAST_2D::copy(map, barrier, mask, uint64_t(TMA::CacheHintSm90::EVICT_NORMAL), to + i * box, x, y);
    else
      SM90_TMA_LOAD_2D::copy(map, barrier, uint64_t(TMA::CacheHintSm90::EVICT_NORMAL), to + i * box, x, y);
  }
}

template <class Mma, class AtomA, bool kAMn, class AtomB, bool kBMn, bool kRegisters>
__device__ void multiply(void const* map_a, void const* map_b, float* C, int k_tiles) {
  extern __shared__ __align__(1024) char raw[];
  auto la = layout<AtomA, kAMn, BM>();
  auto lb = layout<AtomB, kBMn, BN>();
  bfloat16_t* pa = reinterpret_cast<bfloat16_t*>(raw);
  bfloat16_t* pb = pa + cosize_v<decltype(la)>;
  uint64_t* full = reinterpret_cast<uint64_t*>(pb + cosize_v<decltype(lb)>);
  uint64_t* empty = full + STAGES;
  if (threadIdx.x == 0) {
    for (int s = 0; s < STAGES; ++s) {
      Full::init(full + s, 1);
      Empty::init(empty + s, 128);
    }
    cutlass::arch::fence_barrier_init();
  }
  __syncthreads();
  if (threadIdx.x < 128) {
    cutlass::arch::warpgroup_reg_dealloc<40>();
    if (threadIdx.x / 32 == 0 && elect_one_sync()) {
      prefetch_tma_descriptor(static_cast<TmaDescriptor const*>(map_a));
      for (int t = 0; t < k_tiles; ++t) {
        int s = t % STAGES;
        Empty::wait(empty + s, (t / STAGES & 1) ^ 1);
        Full::arrive_and_expect_tx(full + s, (BM + BN) * BK * 2);
        load<AtomA, kAMn, BM>(map_a, full + s, pa + s * BM * BK, 0, t * BK, 0);
        load<AtomB, kBMn, BN>(map_b, full + s, pb + s * BN * BK, 0, t * BK, 0);
      }
    }
    return;
  }
  cutlass::arch::warpgroup_reg_alloc<232>();
  int thread = threadIdx.x - 128;
  auto sA = make_tensor(make_smem_ptr(pa), la);
  auto sB = make_tensor(make_smem_ptr(pb), lb);
  auto mma = make_tiled_mma(Mma{});
  auto thr = mma.get_slice(thread);
  auto gC = make_tensor(make_gmem_ptr(C), make_shape(Int<BM>{}, Int<BN>{}), make_stride(Int<BN>{}, _1{}));
  auto c = thr.partition_fragment_C(gC);
  clear(c);
  auto b = thr.make_fragment_B(thr.partition_B(sB));
  for (int t = 0; t < k_tiles; ++t) {
    int s = t % STAGES;
    Full::wait(full + s, t / STAGES & 1);
    if constexpr (kRegisters) {
      auto a = thr.partition_fragment_A(sA(_, _, 0));
      using Load = conditional_t<kAMn, SM75_U16x8_LDSM_T, SM75_U32x4_LDSM_N>;
      auto copier = make_tiled_copy_A(Copy_Atom<Load, bfloat16_t>{}, mma);
      auto slice = copier.get_slice(thread);
      copy(copier, slice.partition_S(sA(_, _, s)), slice.retile_D(a));
      warpgroup_fence_operand(c);
      warpgroup_arrive();
      gemm(mma, a, b(_, _, _, s), c);
    } else {
      auto a = thr.make_fragment_A(thr.partition_A(sA));
      warpgroup_fence_operand(c);
      warpgroup_arrive();
      gemm(mma, a(_, _, _, s), b(_, _, _, s), c);
    }
    warpgroup_commit_batch();
    warpgroup_wait<0>();
    warpgroup_fence_operand(c);
    Empty::arrive(empty + s);
  }
  copy(c, thr.partition_C(gC));
}

constexpr auto K = GMMA::Major::K, MN = GMMA::Major::MN;
#define PRODUCT(name, a_major, a_swizzle, b_major, b_swizzle)                                                             \
  extern "C" __global__ void __launch_bounds__(256)                                                                      \
      name(const __grid_constant__ TmaDescriptor a, const __grid_constant__ TmaDescriptor b, float* C, int k_tiles) {      \
    multiply<SM90_64x128x16_F32BF16BF16_SS<a_major, b_major>, GMMA::Layout_##a_major##_##a_swizzle##_Atom<bfloat16_t>,    \
            a_major == MN, GMMA::Layout_##b_major##_##b_swizzle##_Atom<bfloat16_t>, b_major == MN, false>(&a, &b, C,      \
                                                                                                          k_tiles);       \
  }
#if PART == 0
PRODUCT(k_sw128_k_sw128, K, SW128, K, SW128)
PRODUCT(k_sw64_k_sw32, K, SW64, K, SW32)
PRODUCT(k_inter_k_inter, K, INTER, K, INTER)
#elif PART == 1
PRODUCT(mn_sw128_mn_sw128, MN, SW128, MN, SW128)
PRODUCT(mn_sw64_mn_sw64, MN, SW64, MN, SW64)
PRODUCT(mn_sw32_mn_sw32, MN, SW32, MN, SW32)
#elif PART == 2
PRODUCT(mn_inter_mn_inter, MN, INTER, MN, INTER)
PRODUCT(k_sw32_mn_sw128, K, SW32, MN, SW128)

extern "C" __global__ void __launch_bounds__(256)
    registers_k_sw128(const __grid_constant__ TmaDescriptor a, const __grid_constant__ TmaDescriptor b, float* C, int k_tiles) {
  multiply<SM90_64x128x16_F32BF16BF16_RS<K, K>, GMMA::Layout_K_SW128_Atom<bfloat16_t>, false,
          GMMA::Layout_K_SW128_Atom<bfloat16_t>, false, true>(&a, &b, C, k_tiles);
}

#elif PART == 3
// A tile of f32 as bf16 through stmatrix into swizzled shared memory, by rows or, transposed, by columns.
template <class Atom, class Store, class Raw>
__device__ void through_stmatrix(float const* C, Raw* raw) {
  auto sD = make_tensor(make_smem_ptr(reinterpret_cast<bfloat16_t*>(raw)),
                        tile_to_shape(Atom{}, make_shape(Int<64>{}, Int<64>{})));
  auto mma = make_tiled_mma(SM90_64x64x16_F32BF16BF16_SS<K, K>{});
  auto thr = mma.get_slice(threadIdx.x);
  auto gC = make_tensor(make_gmem_ptr(C), make_shape(Int<64>{}, Int<64>{}), make_stride(Int<64>{}, _1{}));
  auto c = thr.partition_fragment_C(gC);
  copy(thr.partition_C(gC), c);
  auto d = make_tensor_like<bfloat16_t>(c);
  for (int i = 0; i < size(c); ++i) d(i) = bfloat16_t(c(i));
  auto copier = make_tiled_copy_C(Copy_Atom<Store, bfloat16_t>{}, mma);
  auto slice = copier.get_slice(threadIdx.x);
  copy(copier, slice.retile_S(d), slice.partition_D(sD));
  tma_store_fence();
  __syncthreads();
}

// Out by a tensor map: stored, and added.
extern "C" __global__ void __launch_bounds__(128)
    store_tile(float const* C, const __grid_constant__ TmaDescriptor to, const __grid_constant__ TmaDescriptor sum) {
  extern __shared__ __align__(1024) char raw[];
  through_stmatrix<GMMA::Layout_K_SW128_Atom<bfloat16_t>, SM90_U32x4_STSM_N>(C, raw);
  if (threadIdx.x == 0) {
    SM90_TMA_STORE_2D::copy(&to, raw, 0, 0);
    SM90_TMA_REDUCE_ADD_2D::copy(&sum, raw, 0, 0);
    tma_store_arrive();
    tma_store_wait<0>();
  }
}

extern "C" __global__ void __launch_bounds__(128) store_columns(float const* C, const __grid_constant__ TmaDescriptor to) {
  extern __shared__ __align__(1024) char raw[];
  through_stmatrix<GMMA::Layout_MN_SW128_Atom<bfloat16_t>, SM90_U16x8_STSM_T>(C, raw);
  if (threadIdx.x == 0) {
    SM90_TMA_STORE_2D::copy(&to, raw, 0, 0);
    tma_store_arrive();
    tma_store_wait<0>();
  }
}

// A from registers, loaded by columns.
extern "C" __global__ void __launch_bounds__(256)
    registers_mn_sw128(const __grid_constant__ TmaDescriptor a, const __grid_constant__ TmaDescriptor b, float* C, int k_tiles) {
  multiply<SM90_64x128x16_F32BF16BF16_RS<K, MN>, GMMA::Layout_MN_SW128_Atom<bfloat16_t>, true,
           GMMA::Layout_MN_SW128_Atom<bfloat16_t>, true, true>(&a, &b, C, k_tiles);
}

// Two blocks of a cluster multiply the same A by their halves of B: each loads half of A for both.
extern "C" __global__ void __launch_bounds__(128) __cluster_dims__(2, 1, 1)
    shared_a(const __grid_constant__ TmaDescriptor a, const __grid_constant__ TmaDescriptor b, float* C, int k_tiles) {
  extern __shared__ __align__(1024) char raw[];
  using Atom = GMMA::Layout_K_SW128_Atom<bfloat16_t>;
  auto la = layout<Atom, false, BM>();
  auto lb = layout<Atom, false, BN>();
  bfloat16_t* pa = reinterpret_cast<bfloat16_t*>(raw);
  bfloat16_t* pb = pa + cosize_v<decltype(la)>;
  uint64_t* full = reinterpret_cast<uint64_t*>(pb + cosize_v<decltype(lb)>);
  uint64_t* empty = full + STAGES;
  int rank = block_rank_in_cluster();
  if (threadIdx.x == 0) {
    for (int s = 0; s < STAGES; ++s) {
      Full::init(full + s, 1);
      Empty::init(empty + s, 2);
    }
    cutlass::arch::fence_barrier_init();
  }
  cluster_arrive_relaxed();
  cluster_wait();
  auto sA = make_tensor(make_smem_ptr(pa), la);
  auto sB = make_tensor(make_smem_ptr(pb), lb);
  auto mma = make_tiled_mma(SM90_64x128x16_F32BF16BF16_SS<K, K>{});
  auto thr = mma.get_slice(threadIdx.x);
  auto gC = make_tensor(make_gmem_ptr(C + rank * BN), make_shape(Int<BM>{}, Int<BN>{}), make_stride(Int<2 * BN>{}, _1{}));
  auto c = thr.partition_fragment_C(gC);
  clear(c);
  auto fa = thr.make_fragment_A(thr.partition_A(sA));
  auto fb = thr.make_fragment_B(thr.partition_B(sB));
  auto begin = [&](int t) {
    int s = t % STAGES;
    Empty::wait(empty + s, (t / STAGES & 1) ^ 1);
    Full::arrive_and_expect_tx(full + s, (BM + BN) * BK * 2);
    load<Atom, false, BM / 2>(&a, full + s, pa + s * BM * BK + rank * BM / 2 * BK, rank * BM / 2, t * BK, 3);
    load<Atom, false, BN>(&b, full + s, pb + s * BN * BK, rank * BN, t * BK, 0);
  };
  if (threadIdx.x == 0)
    for (int t = 0; t < STAGES && t < k_tiles; ++t) begin(t);
  for (int t = 0; t < k_tiles; ++t) {
    int s = t % STAGES;
    Full::wait(full + s, t / STAGES & 1);
    warpgroup_arrive();
    gemm(mma, fa(_, _, _, s), fb(_, _, _, s), c);
    warpgroup_commit_batch();
    warpgroup_wait<0>();
    warpgroup_fence_operand(c);
    __syncthreads();
    if (threadIdx.x < 2) Empty::arrive(empty + s, threadIdx.x, true);
    if (threadIdx.x == 0 && t + STAGES < k_tiles) begin(t + STAGES);
  }
  copy(c, thr.partition_C(gC));
  cluster_arrive();
  cluster_wait();
}
#endif
