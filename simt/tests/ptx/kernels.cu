// Small kernels whose results plain host code can tell, for tests/kernels.rs.
// To PTX: see build.py.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

extern "C" {

// A lock that the threads of one warp fight for: each adds 1, with no atomic on the counter itself.
__global__ void spin_lock(int* lock, int* counter, int rounds) {
    for (int round = 0; round < rounds; ++round) {
        while (atomicCAS(lock, 0, 1) != 0) {}
        __threadfence();
        *(volatile int*)counter = *(volatile int*)counter + 1;
        __threadfence();
        atomicExch(lock, 0);
    }
}

// Steps of the Collatz sequence of each number: every lane loops its own number of times.
__global__ void collatz(const unsigned* numbers, unsigned* steps, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    unsigned long long x = numbers[i];
    unsigned n = 0;
    while (x > 1) {
        if (x % 2 == 0) x /= 2; else x = 3 * x + 1;
        ++n;
    }
    steps[i] = n;
}

// Sum of a block's numbers by a tree in shared memory.
__global__ void block_sum(const int* in, int* out) {
    extern __shared__ int tree[];
    const int t = threadIdx.x;
    tree[t] = in[blockIdx.x * blockDim.x + t];
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (t < half) tree[t] += tree[t + half];
        __syncthreads();
    }
    if (t == 0) out[blockIdx.x] = tree[0];
}

// What each lane gets from every kind of shuffle, in segments of `width` lanes.
__global__ void shuffles(const int* in, int* out, int by, int width) {
    const int x = in[threadIdx.x];
    int* row = out + threadIdx.x * 4;
    row[0] = __shfl_sync(~0u, x, by, width);
    row[1] = __shfl_up_sync(~0u, x, by, width);
    row[2] = __shfl_down_sync(~0u, x, by, width);
    row[3] = __shfl_xor_sync(~0u, x, by, width);
}

// Votes, matches and reductions of a warp.
__global__ void votes(const unsigned* in, unsigned* out) {
    const unsigned x = in[threadIdx.x];
    unsigned* row = out + threadIdx.x * 8;
    row[0] = __ballot_sync(~0u, x & 1);
    row[1] = __all_sync(~0u, x < 1000000);
    row[2] = __any_sync(~0u, x == 7);
    row[3] = __match_any_sync(~0u, x & 3);
    row[4] = __reduce_add_sync(~0u, x);
    row[5] = __reduce_max_sync(~0u, x);
    row[6] = __activemask();
    int all = 0;
    row[7] = __match_all_sync(~0u, x >> 31, &all) + all;
}

// A histogram by atomics, and the extremes.
__global__ void histogram(const unsigned* in, int count, unsigned* bins, unsigned* least, int* most,
                          unsigned long long* sum, unsigned* ring) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        atomicAdd(&bins[in[i] % 16], 1u);
        atomicMin(least, in[i]);
        atomicMax(most, (int)in[i]);
        atomicAdd(sum, (unsigned long long)in[i]);
        atomicInc(ring, 99u);
    }
}

typedef int (*Operation)(int, int);
__device__ __noinline__ int plus(int a, int b) { return a + b; }
__device__ __noinline__ int minus(int a, int b) { return a - b; }
__device__ __noinline__ int times(int a, int b) { return a * b; }
__device__ Operation operations[3] = {plus, minus, times};

// Each lane calls a function of its own choice.
__global__ void pointers(const int* choice, const int* a, const int* b, int* out) {
    const int i = threadIdx.x;
    out[i] = operations[choice[i]](a[i], b[i]);
}

__device__ __noinline__ unsigned ackermann(unsigned m, unsigned n) {
    if (m == 0) return n + 1;
    if (n == 0) return ackermann(m - 1, 1);
    return ackermann(m - 1, ackermann(m, n - 1));
}

// Recursion, to another depth in each lane.
__global__ void recursion(unsigned* out) { out[threadIdx.x] = ackermann(threadIdx.x % 3, threadIdx.x / 3); }

// A jump table.
__global__ void choices(const int* in, int* out) {
    const int x = in[threadIdx.x];
    int y;
    switch (x) {
        case 0: y = 17; break;
        case 1: y = x * 31 + threadIdx.x; break;
        case 2: y = __popc(threadIdx.x); break;
        case 3: y = -threadIdx.x; break;
        case 4: y = threadIdx.x ^ 0x55; break;
        case 5: y = threadIdx.x << 3; break;
        case 6: y = threadIdx.x / 3; break;
        default: y = -1;
    }
    out[threadIdx.x] = y;
}

// 128-bit sums and products: carry chains.
__global__ void wide(const unsigned long long* a, const unsigned long long* b, unsigned long long* out) {
    const int i = threadIdx.x;
    const unsigned __int128 x = ((unsigned __int128)a[2 * i + 1] << 64) | a[2 * i];
    const unsigned __int128 y = ((unsigned __int128)b[2 * i + 1] << 64) | b[2 * i];
    const unsigned __int128 results[3] = {x + y, x - y, x * y};
    for (int k = 0; k < 3; ++k) {
        out[6 * i + 2 * k] = (unsigned long long)results[k];
        out[6 * i + 2 * k + 1] = (unsigned long long)(results[k] >> 64);
    }
}

// Integer division and remainder of both signs and widths.
__global__ void quotients(const long long* a, const long long* b, long long* out) {
    const int i = threadIdx.x;
    out[4 * i] = a[i] / b[i];
    out[4 * i + 1] = a[i] % b[i];
    out[4 * i + 2] = (int)a[i] / ((int)b[i] | 1);
    out[4 * i + 3] = (unsigned)a[i] % ((unsigned)b[i] | 1);
}

// Halves, pairs of halves and conversions.
__global__ void halves(const float* in, float* out) {
    const int i = threadIdx.x;
    const float x = in[i];
    const __half h = __float2half(x);
    const __nv_bfloat16 b = __float2bfloat16(x);
    const __half2 pair = __hfma2(__floats2half2_rn(x, -x), __float2half2_rn(2.0f), __float2half2_rn(1.0f));
    out[6 * i] = __half2float(h);
    out[6 * i + 1] = __bfloat162float(b);
    out[6 * i + 2] = __low2float(pair);
    out[6 * i + 3] = __high2float(pair);
    out[6 * i + 4] = __half2float(__hadd(h, __float2half(0.5f)));
    out[6 * i + 5] = __bfloat162float(__hmul(b, __float2bfloat16(3.0f)));
}

// Printed by the first two threads of each block.
__global__ void greet(float x) {
    if (threadIdx.x < 2) printf("block %d thread %u x %.2f %s|%5d|%-5d|%05x\n", blockIdx.x, threadIdx.x, x, "ok", 42, 42, 255);
}

// Local memory: an array whose index the compiler cannot know.
__global__ void local_array(const int* order, int* out) {
    int slots[32];
    for (int i = 0; i < 32; ++i) slots[i] = i * i + threadIdx.x;
    int sum = 0;
    for (int i = 0; i < 32; ++i) {
        slots[order[i] & 31] += i;
        sum = sum * 3 + slots[(order[i] + threadIdx.x) & 31];
    }
    out[threadIdx.x] = sum;
}

// Reads past its allocation.
__global__ void wild(int* p, long long offset) { p[0] = p[offset]; }

// Never ends.
__global__ void endless(volatile int* stop) { while (*stop == 0) {} }

// Functions of mathematics as the compiler spells them.
__global__ void functions(const float* in, float* out) {
    const int i = threadIdx.x;
    const float x = in[i];
    out[8 * i] = expf(x);
    out[8 * i + 1] = logf(fabsf(x) + 0.1f);
    out[8 * i + 2] = sinf(x);
    out[8 * i + 3] = sqrtf(fabsf(x));
    out[8 * i + 4] = tanhf(x);
    out[8 * i + 5] = 1.0f / (x + 3.0f);
    out[8 * i + 6] = powf(fabsf(x) + 0.5f, 1.7f);
    out[8 * i + 7] = (float)erf((double)x);
}

// A barrier for half of the block only, and one that counts.
__global__ void barriers(int* out) {
    __shared__ int box[128];
    const int t = threadIdx.x;
    if (t < 64) {
        box[t] = t * 3;
        asm volatile("barrier.sync 1, 64;" ::: "memory");
        out[t] = box[63 - t];
    }
    out[128 + t] = __syncthreads_count(t % 3 == 0);
    out[256 + t] = __syncthreads_and(t < 127) * 2 + __syncthreads_or(t == 5);
}

// Blocks that wait for one another, which only a cooperative launch lets them: each adds its number to
// what the one before it left.
__global__ void relay(unsigned* turn, unsigned* sums) {
    if (threadIdx.x == 0) {
        while (atomicAdd(turn, 0u) != gridDim.x - 1 - blockIdx.x) {}
        sums[blockIdx.x] = blockIdx.x + (blockIdx.x + 1 < gridDim.x ? sums[blockIdx.x + 1] : 0);
        __threadfence();
        atomicAdd(turn, 1u);
    }
}

// Long arithmetic loops, for the bench.
__global__ void fma_loop(float* out, int rounds, float a, float b) {
    float x0 = threadIdx.x, x1 = x0 + 1, x2 = x0 + 2, x3 = x0 + 3;
    for (int i = 0; i < rounds; ++i) {
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            x0 = x0 * a + b;
            x1 = x1 * a + b;
            x2 = x2 * a + b;
            x3 = x3 * a + b;
        }
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = x0 + x1 + x2 + x3;
}

__global__ void int_loop(unsigned* out, int rounds) {
    unsigned x = threadIdx.x, y = 12345;
    for (int i = 0; i < rounds; ++i) {
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            x = (x ^ (y >> 3)) + 0x9e3779b9u;
            y = y * 1664525u + x;
        }
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = x ^ y;
}

}
