// The instructions that Hopper alone has, under the products of linear.sm_90a.cu and attention.sm_90a.cu: barriers
// in shared memory that count bytes, copies of boxes by tensor maps (TMA), products of a warpgroup (wgmma).
//
// A box of 64 elements by some rows lies in shared memory as rows of 128 bytes, whose 16-byte chunks are swapped as
// tensor maps and wgmma do with 128 bytes of swizzle: chunk c of row r lies at c ^ (r mod 8). It starts at a
// multiple of 1024 bytes. Sources: PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions", "Tensors".
#pragma once

#include "mma.cuh"

// A tensor map, as the host encodes it (src/device/cuda/tensor_map.rs).
struct alignas(64) TensorMap {
    unsigned long long words[16];
};

// Elements of a box along memory, and bytes of its row.
constexpr int kBox = 64, kBoxRowBytes = 128;

// Barriers, each of 8 bytes at an address in shared memory. One thread makes them, before the block's next barrier.
__device__ inline void make_barrier(unsigned at, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(at), "r"(arrivals) : "memory");
}
// Other threads, and copies, see the barriers that this thread has made.
__device__ inline void publish_barriers() { asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory"); }
__device__ inline void arrive(unsigned at) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];\n" ::"r"(at) : "memory");
}
// Arrives, and has the phase wait for so many bytes of copies too.
__device__ inline void arrive_expecting(unsigned at, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(at), "r"(bytes) : "memory");
}
// Waits for the end of the phase of that parity; the phase before the first one has ended.
__device__ inline void await(unsigned at, int parity) {
    asm volatile(
        "{\n.reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@!done bra again;\n}\n" ::"r"(at), "r"(parity) : "memory");
}

// A ring of stages in shared memory, and where a warp is in it. Each stage has two barriers: `full`, for what is fetched
// to it, and `empty`, for the warps that have read it.
template <int STAGES>
struct Ring {
    static constexpr int kBytes = 16 * STAGES;  // of the barriers
    unsigned barriers;
    int stage = 0, parity = 0;

    // With barriers from an address on and so many warps that read. All threads of the block must make it.
    __device__ Ring(unsigned barriers, int readers) : barriers(barriers) {
        if (threadIdx.x == 0) {
            for (int stage = 0; stage < STAGES; ++stage) {
                make_barrier(barriers + 16 * stage, 1);
                make_barrier(barriers + 16 * stage + 8, readers);
            }
            publish_barriers();
        }
        __syncthreads();
    }
    __device__ unsigned full() const { return barriers + 16 * stage; }
    __device__ unsigned empty() const { return full() + 8; }
    // That of the stage before.
    __device__ unsigned empty_before() const { return barriers + 16 * (stage == 0 ? STAGES - 1 : stage - 1) + 8; }
    __device__ void next() {
        if (++stage == STAGES) stage = 0, parity ^= 1;
    }
};

// Starts the copy of a box of a matrix, from column x and row y on, whose bytes `barrier` counts. What lies outside
// of the matrix is zero.
__device__ inline void copy_box(unsigned to, const TensorMap& from, int x, int y, unsigned barrier) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];\n" ::"r"(
            to),
        "l"(&from), "r"(x), "r"(y), "r"(barrier)
        : "memory");
}

// What this thread has stored to shared memory is there for wgmma, after the next barrier.
__device__ inline void publish_stores() { asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory"); }

// Registers that products read or add to are as the program has left them.
__device__ inline void begin_products() { asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory"); }
__device__ inline void commit_products() { asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory"); }
// Waits until at most the last `kPending` groups of products are under way.
template <int kPending>
__device__ void await_products() {
    asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(kPending) : "memory");
}

// Where wgmma finds an operand of boxes, whose first one starts at `box`, for 16 steps of the depth from `depth` on.
// Along the depth, the outer index goes by rows of one box; along the outer index, every 64 of it are a box of
// 64 steps.
template <Major kMajor>
__device__ unsigned long long operand(unsigned box, int depth) {
    constexpr unsigned long long eight_rows = 8 * kBoxRowBytes, next_box = kBox * kBoxRowBytes;
    constexpr unsigned long long swizzled = 1ull << 62;
    const unsigned at = box + (kMajor == Major::kDepth ? depth * 2 : depth * kBoxRowBytes);
    return swizzled | eight_rows >> 4 << 32 | next_box >> 4 << 16 | (at & 0x3ffff) >> 4;
}

// The sums of a thread in a product of 64 rows and 8 · COUNT columns: those of mma.m16n8 for each eight columns, of
// the warp's own sixteen rows.
template <int COUNT>
using GroupSums = float[COUNT][4];

#define SUMS_1(s, i) "+f"(s[i][0]), "+f"(s[i][1]), "+f"(s[i][2]), "+f"(s[i][3])
#define SUMS_4(s, i) SUMS_1(s, i), SUMS_1(s, i + 1), SUMS_1(s, i + 2), SUMS_1(s, i + 3)
#define SUMS_8(s) SUMS_4(s, 0), SUMS_4(s, 4)
#define SUMS_16(s) SUMS_8(s), SUMS_4(s, 8), SUMS_4(s, 12)
#define NAMES_32                                                                                                  \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, " \
    "%23, %24, %25, %26, %27, %28, %29, %30, %31"
#define NAMES_64                                                                                                  \
    NAMES_32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, " \
             "%51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

// sums[64][64] += a[64][16] · b[16][64], both in shared memory.
template <Major kA, Major kB>
__device__ void multiply_group(GroupSums<8>& sums, unsigned long long a, unsigned long long b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" NAMES_32 "}, %32, %33, 1, 1, 1, %34, %35;\n"
                 : SUMS_8(sums)
                 : "l"(a), "l"(b), "n"(kA == Major::kOuter), "n"(kB == Major::kOuter));
}
// The same of 128 columns.
template <Major kA, Major kB>
__device__ void multiply_group(GroupSums<16>& sums, unsigned long long a, unsigned long long b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" NAMES_64 "}, %64, %65, 1, 1, 1, %66, %67;\n"
                 : SUMS_16(sums)
                 : "l"(a), "l"(b), "n"(kA == Major::kOuter), "n"(kB == Major::kOuter));
}
// sums[64][64] += a[64][16] · b[16][64], a in registers: those of mma's left factor for the warp's sixteen rows.
template <Major kB>
__device__ void multiply_group(GroupSums<8>& sums, const unsigned (&a)[4], unsigned long long b) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" NAMES_32 "}, {%32, %33, %34, %35}, %36, 1, 1, 1, %37;\n"
        : SUMS_8(sums)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(kB == Major::kOuter));
}
template <Major kB>
__device__ void multiply_group(GroupSums<16>& sums, const unsigned (&a)[4], unsigned long long b) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" NAMES_64 "}, {%64, %65, %66, %67}, %68, 1, 1, 1, %69;\n"
        : SUMS_16(sums)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(kB == Major::kOuter));
}
