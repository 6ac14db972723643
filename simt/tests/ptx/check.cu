// Kernels with a fault each, and the same without it, for tests/check. A line that ends in a comment
// with a name and a colon is where the fault has to be found.
// To PTX, with line numbers: see build.py.

extern "C" {

// Sum of a block by a tree, without and with the barrier between its levels.
__global__ void reduce_bad(const int* in, int* out) {
    extern __shared__ int tree[];
    const int t = threadIdx.x;
    tree[t] = in[t];
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (t < half) tree[t] += tree[t + half];  // reduce:
    }
    if (t == 0) out[0] = tree[0];
}

__global__ void reduce_good(const int* in, int* out) {
    extern __shared__ int tree[];
    const int t = threadIdx.x;
    tree[t] = in[t];
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (t < half) tree[t] += tree[t + half];
        __syncthreads();
    }
    if (t == 0) out[0] = tree[0];
}

// A loop over tiles whose second barrier is missing: the next tile overwrites one that is being read.
__global__ void tiles_bad(const int* in, int* out, int tiles) {
    extern __shared__ int tile[];
    const int t = threadIdx.x;
    int sum = 0;
    for (int i = 0; i < tiles; ++i) {
        tile[t] = in[i * blockDim.x + t];  // tiles-write:
        __syncthreads();
        sum += tile[blockDim.x - 1 - t];  // tiles-read:
    }
    out[t] = sum;
}

__global__ void tiles_good(const int* in, int* out, int tiles) {
    extern __shared__ int tile[];
    const int t = threadIdx.x;
    int sum = 0;
    for (int i = 0; i < tiles; ++i) {
        tile[t] = in[i * blockDim.x + t];
        __syncthreads();
        sum += tile[blockDim.x - 1 - t];
        __syncthreads();
    }
    out[t] = sum;
}

// One thread too many.
__global__ void past_end_bad(int* out, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i <= count) out[i] = i;  // past-end:
}

__global__ void past_end_good(int* out, int count) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = i;
}

// A word at an odd address.
__global__ void misaligned_bad(const char* in, int* out) { out[0] = *(const int*)(in + 2); }  // misaligned:
__global__ void misaligned_good(const char* in, int* out) { out[0] = *(const int*)(in + 4); }

// Behind the end of shared memory.
__global__ void shared_end_bad(int* out, int at) {
    extern __shared__ int box[];
    box[threadIdx.x + at] = threadIdx.x;  // shared-end:
    __syncthreads();
    out[threadIdx.x] = box[at];
}

// Reads a buffer; what it holds, and whether it is there, is the host's affair.
__global__ void reads(const int* in, int* out) { out[threadIdx.x] = in[threadIdx.x]; }  // reads:

// The last thread writes nothing, and all read.
__global__ void uninitialised_shared_bad(int* out) {
    extern __shared__ int box[];
    const int t = threadIdx.x;
    if (t < blockDim.x - 1) box[t] = t;
    __syncthreads();
    out[t] = box[blockDim.x - 1 - t];  // uninitialised-shared:
}

__global__ void uninitialised_shared_good(int* out) {
    extern __shared__ int box[];
    const int t = threadIdx.x;
    box[t] = t;
    __syncthreads();
    out[t] = box[blockDim.x - 1 - t];
}

// An array of which the first few elements are written.
__global__ void uninitialised_local(int* out, int count, int at) {
    int slots[16];
    for (int i = 0; i < count; ++i) slots[i] = i * threadIdx.x;
    out[threadIdx.x] = slots[at];  // uninitialised-local:
}

// The upper half of the warp is not in its own mask.
__global__ void mask_bad(int* out) {
    out[threadIdx.x] = __shfl_sync(0x0000ffffu, (int)threadIdx.x, 3);  // mask:
}

__global__ void mask_good(int* out) {
    out[threadIdx.x] = __shfl_sync(0xffffffffu, (int)threadIdx.x, 3);
}

// A mask that names threads which go another way.
__global__ void absent_bad(int* out) {
    int x = threadIdx.x;
    if (threadIdx.x < 16) x = __shfl_xor_sync(0xffffffffu, x, 1);  // absent:
    out[threadIdx.x] = x;
}

__global__ void absent_good(int* out) {
    int x = threadIdx.x;
    if (threadIdx.x < 16) x = __shfl_xor_sync(0x0000ffffu, x, 1);
    out[threadIdx.x] = x;
}

// A barrier for a part of the block.
__global__ void divergent_bad(int* out) {
    extern __shared__ int box[];
    box[threadIdx.x] = threadIdx.x;
    if (threadIdx.x < 16) {
        __syncthreads();  // divergent:
        out[threadIdx.x] = box[threadIdx.x];
    }
}

__global__ void divergent_good(int* out) {
    extern __shared__ int box[];
    box[threadIdx.x] = threadIdx.x;
    __syncthreads();
    if (threadIdx.x < 16) out[threadIdx.x] = box[threadIdx.x];
}

// A whole warp leaves before the barrier.
__global__ void exited_bad(int* out) {
    if (threadIdx.x >= 32) return;
    __syncthreads();  // exited:
    out[threadIdx.x] = 1;
}

__device__ __forceinline__ void copy16(void* to, const void* from) {
    const unsigned shared = (unsigned)__cvta_generic_to_shared(to);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared), "l"(from) : "memory");  // copy:
}

// An asynchronous copy that nobody waits for.
__global__ void copy_bad(const int4* in, int* out) {
    extern __shared__ int4 stage[];
    const int t = threadIdx.x;
    copy16(&stage[t], &in[t]);
    asm volatile("cp.async.commit_group;" ::: "memory");
    __syncthreads();
    out[t] = stage[t].x;  // copy-read:
}

// One that its thread waits for, while others read it without a barrier.
__global__ void copy_unseen(const int4* in, int* out) {
    extern __shared__ int4 stage[];
    const int t = threadIdx.x;
    copy16(&stage[t], &in[t]);
    asm volatile("cp.async.commit_group;\n\tcp.async.wait_group 0;" ::: "memory");
    out[t] = stage[blockDim.x - 1 - t].x;  // copy-unseen:
}

__global__ void copy_good(const int4* in, int* out) {
    extern __shared__ int4 stage[];
    const int t = threadIdx.x;
    copy16(&stage[t], &in[t]);
    asm volatile("cp.async.commit_group;" ::: "memory");
    copy16(&stage[blockDim.x + t], &in[blockDim.x + t]);
    asm volatile("cp.async.commit_group;\n\tcp.async.wait_group 1;" ::: "memory");
    __syncthreads();
    out[t] = stage[blockDim.x - 1 - t].x;
    asm volatile("cp.async.wait_all;" ::: "memory");
    __syncthreads();
    out[t] += stage[2 * blockDim.x - 1 - t].x;
}

// Blocks that add to a number in global memory.
__global__ void sum_bad(float* sum) {
    if (threadIdx.x == 0) *sum += 1.0f;  // sum:
}

__global__ void sum_good(float* sum) {
    if (threadIdx.x == 0) atomicAdd(sum, 1.0f);
}

// Atomic for the block only.
__global__ void sum_narrow(int* sum) {
    if (threadIdx.x == 0) atomicAdd_block(sum, 1);  // sum-narrow:
}

// The block that is last adds what the others have left (CUDA C++ Programming Guide, "Memory Fence
// Functions").
__device__ unsigned tickets_bad, tickets_good;

__global__ void last_bad(int* parts, int* out) {
    __shared__ bool is_last;
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = blockIdx.x;  // last-write:
        is_last = atomicInc(&tickets_bad, gridDim.x - 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (is_last && threadIdx.x == 0) {
        int sum = 0;
        for (int i = 0; i < gridDim.x; ++i) sum += parts[i];  // last-read:
        *out = sum;
    }
}

__global__ void last_good(int* parts, int* out) {
    __shared__ bool is_last;
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = blockIdx.x;
        __threadfence();
        is_last = atomicInc(&tickets_good, gridDim.x - 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (is_last) {
        int sum = 0;
        for (int i = 0; i < gridDim.x; ++i) sum += parts[i];
        if (threadIdx.x == 0) *out = sum;
    }
}

// Lanes of a warp that exchange numbers through shared memory.
__global__ void lanes_bad(int* out) {
    extern __shared__ int box[];
    box[threadIdx.x] = threadIdx.x;  // lanes-write:
    out[threadIdx.x] = box[threadIdx.x ^ 1];  // lanes:
}

__global__ void lanes_good(int* out) {
    extern __shared__ int box[];
    box[threadIdx.x] = threadIdx.x;
    __syncwarp();
    out[threadIdx.x] = box[threadIdx.x ^ 1];
}

// A message from one block to the other, which waits for its flag.
__device__ __forceinline__ void send(int* data, int* flag, bool fences) {
    data[threadIdx.x] = threadIdx.x * 3;  // message-write:
    __syncthreads();
    if (threadIdx.x == 0) {
        if (fences) __threadfence();
        *(volatile int*)flag = 1;
    }
}

__global__ void message_bad(int* data, int* flag, int* out) {
    if (blockIdx.x == 0) {
        send(data, flag, false);
        return;
    }
    if (threadIdx.x == 0) {
        while (*(volatile int*)flag == 0) {}
        __threadfence();
    }
    __syncthreads();
    out[threadIdx.x] = data[threadIdx.x];  // message:
}

__global__ void message_good(int* data, int* flag, int* out) {
    if (blockIdx.x == 0) {
        send(data, flag, true);
        return;
    }
    if (threadIdx.x == 0) {
        while (*(volatile int*)flag == 0) {}
        __threadfence();
    }
    __syncthreads();
    out[threadIdx.x] = data[threadIdx.x];
}

// The same with one side's fence in the store and the other's in the load.
__global__ void message_ordered(int* data, int* flag, int* out) {
    if (blockIdx.x == 0) {
        data[threadIdx.x] = threadIdx.x * 3;
        __syncthreads();
        if (threadIdx.x == 0) asm volatile("st.release.gpu.global.u32 [%0], 1;" ::"l"(flag) : "memory");
        return;
    }
    if (threadIdx.x == 0) {
        int seen;
        do asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(flag) : "memory");
        while (seen == 0);
    }
    __syncthreads();
    out[threadIdx.x] = data[threadIdx.x];
}

// A barrier of the grid as cooperative groups make it, between rounds in which every block reads what
// the next one has written.
__device__ __forceinline__ void grid_barrier(unsigned* arrived) {
    __syncthreads();
    if (threadIdx.x == 0) {
        const unsigned mine = blockIdx.x == 0 ? 0x80000000u - (gridDim.x - 1) : 1;
        __threadfence();
        const unsigned old = atomicAdd(arrived, mine);
        while (((old ^ *(volatile unsigned*)arrived) & 0x80000000u) == 0) {}
        __threadfence();
    }
    __syncthreads();
}

__global__ void grid_good(unsigned* arrived, int* ring, int rounds) {
    const int next = (blockIdx.x + 1) % gridDim.x * blockDim.x + threadIdx.x;
    for (int round = 0; round < rounds; ++round) {
        const int x = ring[next];
        grid_barrier(arrived);
        ring[blockIdx.x * blockDim.x + threadIdx.x] = x + 1;
        grid_barrier(arrived);
    }
}

__global__ void grid_bad(unsigned* arrived, int* ring, int rounds) {
    const int next = (blockIdx.x + 1) % gridDim.x * blockDim.x + threadIdx.x;
    for (int round = 0; round < rounds; ++round) {
        const int x = ring[next];  // grid-read:
        ring[blockIdx.x * blockDim.x + threadIdx.x] = x + 1;  // grid-write:
        grid_barrier(arrived);
    }
}

// A lock around a counter that is nothing special.
__global__ void lock_bad(int* lock, int* counter) {
    if (threadIdx.x == 0) {
        while (atomicCAS(lock, 0, 1) != 0) {}
        *counter += 1;  // lock:
        atomicExch(lock, 0);
    }
}

__global__ void lock_good(int* lock, int* counter) {
    if (threadIdx.x == 0) {
        while (atomicCAS(lock, 0, 1) != 0) {}
        __threadfence();
        *counter += 1;
        __threadfence();
        atomicExch(lock, 0);
    }
}

// Neighbouring bytes and halves of different threads, and words read over them by all.
__global__ void narrow_good(unsigned char* bytes, unsigned short* halves, unsigned* out) {
    extern __shared__ unsigned char small[];
    const int t = threadIdx.x;
    bytes[t] = t;
    halves[t] = t;
    small[t] = t;
    __syncthreads();
    unsigned sum = 0;
    for (int i = 0; i < blockDim.x / 4; ++i) sum += ((unsigned*)small)[i] + ((unsigned*)bytes)[i] + ((unsigned*)halves)[i];
    out[t] = sum;
}

// A histogram in shared memory, read behind a barrier.
__global__ void histogram_good(const unsigned* in, unsigned* out) {
    __shared__ unsigned bins[16];
    if (threadIdx.x < 16) bins[threadIdx.x] = 0;
    __syncthreads();
    atomicAdd(&bins[in[threadIdx.x] % 16], 1u);
    __syncthreads();
    if (threadIdx.x < 16) atomicAdd(&out[threadIdx.x], bins[threadIdx.x]);
}

__global__ void histogram_bad(const unsigned* in, unsigned* out) {
    __shared__ unsigned bins[16];
    if (threadIdx.x < 16) bins[threadIdx.x] = 0;  // histogram-write:
    atomicAdd(&bins[in[threadIdx.x] % 16], 1u);  // histogram:
    __syncthreads();
    if (threadIdx.x < 16) atomicAdd(&out[threadIdx.x], bins[threadIdx.x]);
}

// Threads that all set one flag, and threads that do not agree.
__global__ void writes_good(int* flag) {
    extern __shared__ int box[];
    box[0] = 7;
    if (threadIdx.x % 3 == 0) *flag = 1;
    __syncthreads();
    if (box[0] != 7) *flag = 2;
}

__global__ void writes_bad(int* flag) { *flag = threadIdx.x; }  // writes:

// A warp that produces and one that consumes, with named barriers for full and empty.
__device__ __forceinline__ void consume(int* box, int* out, int rounds) {
    int sum = 0;
    for (int i = 0; i < rounds; ++i) {
        asm volatile("bar.sync 1, 64;" ::: "memory");
        sum += box[95 - threadIdx.x];  // queue-read:
        asm volatile("bar.arrive 2, 64;" ::: "memory");
    }
    out[threadIdx.x - 32] = sum;
}

__global__ void queue_good(int* out, int rounds) {
    extern __shared__ int box[];
    if (threadIdx.x >= 32) return consume(box, out, rounds);
    for (int i = 0; i < rounds; ++i) {
        box[threadIdx.x + 32] = i * threadIdx.x;
        asm volatile("bar.arrive 1, 64;" ::: "memory");
        asm volatile("bar.sync 2, 64;" ::: "memory");
    }
}

__global__ void queue_bad(int* out, int rounds) {
    extern __shared__ int box[];
    if (threadIdx.x >= 32) return consume(box, out, rounds);
    box[threadIdx.x + 32] = 0;
    for (int i = 1; i <= rounds; ++i) {
        asm volatile("bar.arrive 1, 64;" ::: "memory");
        box[threadIdx.x + 32] = i * threadIdx.x;  // queue-write:
        asm volatile("bar.sync 2, 64;" ::: "memory");
    }
}

// A warp reads a line and gives it up, without and with a barrier between the two.
__device__ inline void discard(const void* line) {
    asm volatile("discard.global.L2 [%0], 128;" ::"l"(__cvta_generic_to_global(line)) : "memory");  // discard:
}

__global__ void discard_bad(const int* in, int* out, int at) {
    out[threadIdx.x] = in[at + threadIdx.x];  // discard-read:
    if (threadIdx.x == 0) discard(in + at);
}

__global__ void discard_good(const int* in, int* out, int at) {
    out[threadIdx.x] = in[at + threadIdx.x];
    __syncwarp();
    if (threadIdx.x == 0) discard(in + at);
}
}
