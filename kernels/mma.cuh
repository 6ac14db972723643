// The instructions under the tensor-core products: asynchronous copies to shared memory, ldmatrix,
// mma. Layouts are those of the PTX ISA, "Matrix fragments for mma.m16n8k16" and "ldmatrix"; in a
// warp, lane = 4 · group + t, group 0..7, t 0..3.
#pragma once

#include "common.cuh"

// Which index of a product's operand lies along memory: its outer one (rows of C for A, columns for B), or the depth,
// which is summed over.
enum class Major {
    kDepth,  // [outer][depth]
    kOuter,  // [depth][outer]
};

__device__ inline unsigned shared_address(const void* at) {
    return static_cast<unsigned>(__cvta_generic_to_shared(at));
}

// Starts the copy of 16 bytes to shared memory, past L1; of zeros where `there` is false, and then
// nothing is read.
__device__ inline void copy_async(unsigned to, const void* from, bool there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(to), "l"(from),
                 "r"(there ? 16 : 0));
}

// The same, where `there` has bit `bit`: as a test for each, of which ptxas makes one instruction for all bits of a word
// (R2P). Of a size that is shifted from a word it makes three.
__device__ inline void copy_async(unsigned to, const void* from, unsigned there, int bit) {
    asm volatile(
        "{\n"
        ".reg .pred absent;\n"
        ".reg .b32 one;\n"
        "and.b32 one, %2, %3;\n"
        "setp.eq.b32 absent, one, 0;\n"
        "cp.async.cg.shared.global [%0], [%1], 16, absent;\n"
        "}\n" ::"r"(to), "l"(from), "r"(there), "r"(1 << bit));
}

// Closes a group of copies.
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;\n"); }

// Waits until at most the last `kPending` groups of this thread are under way.
template <int kPending>
__device__ void await_copies() {
    asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
}

__device__ inline unsigned load_shared(unsigned at) {
    unsigned word;
    asm volatile("ld.shared.b32 %0, [%1];\n" : "=r"(word) : "r"(at));
    return word;
}

// Four 8 × 8 matrices of 16-bit elements. Lane 8 · i + r gives the address of row r of matrix i, and
// register i receives elements [group][2t, 2t + 1] of matrix i; with kTransposed, elements
// [2t, 2t + 1][group].
template <bool kTransposed>
__device__ void load_matrices(unsigned (&to)[4], unsigned row) {
    if constexpr (kTransposed)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                     : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                     : "r"(row));
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                     : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                     : "r"(row));
}

// c[16, 8] += a[16, 16] · b[16, 8], bf16 with f32 sums. A lane holds of c the rows group (c0, c1) and
// group + 8 (c2, c3), columns 2t and 2t + 1; of a the same rows (a0, a1), then 8 further along k (a2,
// a3), at k = 2t and 2t + 1; of b column group at those k.
__device__ inline void mma(float& c0, float& c1, float& c2, float& c3, const unsigned (&a)[4],
                           unsigned b0, unsigned b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};\n"
        : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// The same where sums have begun; where they begin, c = a · b.
__device__ inline void mma(bool begin, float& c0, float& c1, float& c2, float& c3, const unsigned (&a)[4], unsigned b0,
                           unsigned b1) {
    if (!begin) return mma(c0, c1, c2, c3, a, b0, b1);
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%10, %10, %10, %10};\n"
        : "=f"(c0), "=f"(c1), "=f"(c2), "=f"(c3)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(0.0f));
}
