// CuTe's tutorial product, cute/tutorial/sgemm_sm80.cu of CUTLASS, in bf16 with sums in f32 and rows of the output
// together: c[m, n] = a[m, k] · b[n, k]ᵀ. The tutorial has halves, a column-major output and one tile; a number of
// rows, columns and steps that is not of whole tiles is nothing it knows.
// products.py puts its gemm_device before this, and a tile behind.

// alpha and beta of an output in bf16.
struct Rounded {
    friend __device__ cute::bfloat16_t operator*(Rounded, float x) { return cute::bfloat16_t(x); }
};
struct Nothing {
    friend __device__ bool operator==(Nothing, cute::Int<0>) { return true; }
    friend __device__ cute::bfloat16_t operator*(Nothing, cute::bfloat16_t y) { return y; }
};

template <int BM, int BN, int BK, int STAGES, int WARPS_M, int WARPS_N>
__device__ void whole_tiles(int m, int n, int k, cute::bfloat16_t const* a, cute::bfloat16_t const* b,
                        cute::bfloat16_t* c) {
    using namespace cute;
    constexpr int threads = 32 * WARPS_M * WARPS_N, chunks = BK / 8;
    auto swizzled = composition(Swizzle<3, 3, 3>{},
                                Layout<Shape<_8, Shape<_8, _8>>, Stride<_8, Stride<_1, _64>>>{});
    auto a_tiles = tile_to_shape(swizzled, make_shape(Int<BM>{}, Int<BK>{}, Int<STAGES>{}));
    auto b_tiles = tile_to_shape(swizzled, make_shape(Int<BN>{}, Int<BK>{}, Int<STAGES>{}));
    // A thread copies 16 bytes, neighbours of a row.
    auto copier = make_tiled_copy(Copy_Atom<SM80_CP_ASYNC_CACHEALWAYS<uint128_t>, bfloat16_t>{},
                                  Layout<Shape<Int<threads / chunks>, Int<chunks>>, Stride<Int<chunks>, _1>>{},
                                  Layout<Shape<_1, _8>>{});
    auto mma = make_tiled_mma(SM80_16x8x16_F32BF16BF16F32_TN{}, Layout<Shape<Int<WARPS_M>, Int<WARPS_N>>>{},
                              Tile<Int<16 * WARPS_M>, Int<16 * WARPS_N>, _16>{});
    Copy_Atom<SM75_U32x4_LDSM_N, bfloat16_t> matrices;
    gemm_device(make_shape(m, n, k), make_shape(Int<BM>{}, Int<BN>{}, Int<BK>{}), a, make_stride(k, Int<1>{}),
                a_tiles, copier, matrices, b, make_stride(k, Int<1>{}), b_tiles, copier, matrices, c,
                make_stride(n, Int<1>{}), make_layout(make_shape(Int<BM>{}, Int<BN>{})), mma, Rounded{}, Nothing{});
}

#define PRODUCT(BM, BN, BK, STAGES, WARPS_M, WARPS_N)                                                                \
    extern "C" __global__ void __launch_bounds__(32 * WARPS_M * WARPS_N)                                             \
        product_##BM##x##BN(int m, int n, int k, cute::bfloat16_t const* a, cute::bfloat16_t const* b, cute::bfloat16_t* c) {    \
        whole_tiles<BM, BN, BK, STAGES, WARPS_M, WARPS_N>(m, n, k, a, b, c);                                         \
    }
