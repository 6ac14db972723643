// Bulk copies and clusters with a fault each, and the same without it, for tests/check. A line that ends in a
// comment with a name and a colon is where the fault has to be found.
// To PTX, with line numbers: see build.py.

__device__ __forceinline__ unsigned at(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }

// An mbarrier for so many arrivals.
__device__ __forceinline__ void start(unsigned long long* bar, int count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(at(bar)), "r"(count) : "memory");
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void expect(unsigned long long* bar, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at(bar)), "r"(bytes) : "memory");
}

__device__ __forceinline__ void arrive(unsigned long long* bar) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at(bar)) : "memory");
}

__device__ __forceinline__ void wait(unsigned long long* bar, int parity) {
    asm volatile(
        "{\n.reg .pred p;\nAGAIN:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@!p bra AGAIN;\n}" ::"r"(at(bar)),
        "r"(parity)
        : "memory");
}

__device__ __forceinline__ void load(void* to, const void* from, int bytes, unsigned long long* bar) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(at(to)), "l"(from), "r"(bytes), "r"(at(bar)) : "memory");  // load:
}

__device__ __forceinline__ void store(void* to, const void* from, int bytes) {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(at(from)), "r"(bytes) : "memory");  // store:
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

__device__ __forceinline__ void add(void* to, const void* from, int bytes) {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%0], [%1], %2;" ::"l"(to), "r"(at(from)), "r"(bytes) : "memory");  // add:
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

__device__ __forceinline__ void wait_read() { asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory"); }
__device__ __forceinline__ void wait_all() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }

extern "C" {

// A block's numbers by a bulk copy. Whether they are there is the host's affair.
__global__ void bulk_reads(const int* in, int* out) {
    __shared__ alignas(16) int box[64];
    __shared__ unsigned long long bar;
    const int t = threadIdx.x;
    if (t == 0) {
        start(&bar, 1);
        expect(&bar, 256);
        load(box, in, 256, &bar);
    }
    __syncthreads();
    wait(&bar, 0);
    out[t] = box[63 - t];
}

// Numbers that a bulk copy stores; the last thread may write none.
__global__ void bulk_writes(int* out, int count) {
    __shared__ alignas(16) int box[64];
    const int t = threadIdx.x;
    if (t < count) box[t] = t;
    __syncthreads();
    if (t == 0) {
        store(out, box, 256);
        wait_all();
    }
}

// Numbers that are added to what is there.
__global__ void bulk_adds(int* out) {
    __shared__ alignas(16) int box[64];
    const int t = threadIdx.x;
    box[t] = t;
    __syncthreads();
    if (t == 0) {
        add(out, box, 256);
        wait_all();
    }
}

// A matrix in shared memory of which the last rows may not be written.
__global__ void matrix_reads(float* out, int rows) {
    __shared__ alignas(32) float tile[256];
    for (int i = threadIdx.x; i < 16 * rows; i += 32) tile[i] = i;
    __syncwarp();
    float c[8];
    asm volatile("wmma.load.c.sync.aligned.row.m16n16k16.shared.f32 {%0, %1, %2, %3, %4, %5, %6, %7}, [%8], 16;" : "=f"(c[0]), "=f"(c[1]), "=f"(c[2]), "=f"(c[3]), "=f"(c[4]), "=f"(c[5]), "=f"(c[6]), "=f"(c[7]) : "r"(at(tile)) : "memory");  // matrix-read:
    asm volatile("wmma.store.d.sync.aligned.row.m16n16k16.global.f32 [%0], {%1, %2, %3, %4, %5, %6, %7, %8}, 16;" ::"l"(out), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]), "f"(c[4]), "f"(c[5]), "f"(c[6]), "f"(c[7]) : "memory");
}

// Numbers that are read before the copy's barrier is waited for.
__global__ void early_bad(const int* in, int* out) {
    __shared__ alignas(16) int box[64];
    __shared__ unsigned long long bar;
    const int t = threadIdx.x;
    if (t == 0) {
        start(&bar, 1);
        expect(&bar, 256);
        load(box, in, 256, &bar);
    }
    __syncthreads();
    out[t] = box[63 - t];  // early:
    wait(&bar, 0);
}

// Only the first warp waits; without the barrier behind it the other one does not know.
__global__ void heard_bad(const int* in, int* out) {
    __shared__ alignas(16) int box[64];
    __shared__ unsigned long long bar;
    const int t = threadIdx.x;
    if (t == 0) {
        start(&bar, 1);
        expect(&bar, 256);
        load(box, in, 256, &bar);
    }
    __syncthreads();
    if (t < 32) wait(&bar, 0);
    out[t] = box[63 - t];  // heard:
}

__global__ void heard_good(const int* in, int* out) {
    __shared__ alignas(16) int box[64];
    __shared__ unsigned long long bar;
    const int t = threadIdx.x;
    if (t == 0) {
        start(&bar, 1);
        expect(&bar, 256);
        load(box, in, 256, &bar);
    }
    __syncthreads();
    if (t < 32) wait(&bar, 0);
    __syncthreads();
    out[t] = box[63 - t];
}

// Two copies on two barriers: the second warp waits for the wrong one, though both have come.
__global__ void other_bad(const int* in, int* out) {
    __shared__ alignas(16) int box[2][64];
    __shared__ unsigned long long bars[2];
    const int t = threadIdx.x;
    if (t == 0) {
        for (int i = 0; i < 2; ++i) {
            start(&bars[i], 1);
            expect(&bars[i], 256);
            load(box[i], in + 64 * i, 256, &bars[i]);
        }
    }
    __syncthreads();
    if (t < 32) wait(&bars[0], 0);
    wait(&bars[1], 0);
    out[t] = box[0][t];  // other:
}

// Shared memory that is overwritten while a copy may still read it.
__global__ void overwrite_bad(int* out) {
    __shared__ alignas(16) int box[64];
    const int t = threadIdx.x;
    box[t] = t;
    __syncthreads();
    if (t == 0) store(out, box, 256);
    __syncthreads();
    box[t] = 7;  // overwrite:
    if (t == 0) wait_all();
}

__global__ void overwrite_good(int* out) {
    __shared__ alignas(16) int box[64];
    const int t = threadIdx.x;
    box[t] = t;
    __syncthreads();
    if (t == 0) {
        store(out, box, 256);
        wait_read();
    }
    __syncthreads();
    box[t] = 7;
}

// One group too few is waited for.
__global__ void groups_bad(int* out) {
    __shared__ alignas(16) int box[2][64];
    const int t = threadIdx.x;
    box[0][t] = box[1][t] = t;
    __syncthreads();
    if (t == 0) {
        store(out, box[0], 256);
        store(out + 64, box[1], 256);
        asm volatile("cp.async.bulk.wait_group.read 1;" ::: "memory");
    }
    __syncthreads();
    box[0][t] = 7;
    box[1][t] = 7;  // groups:
}

// What a copy writes to global memory is read when only its reads are waited for.
__global__ void result_bad(int* out) {
    __shared__ alignas(16) int box[64];
    const int t = threadIdx.x;
    box[t] = t;
    __syncthreads();
    if (t == 0) {
        store(out, box, 256);
        wait_read();
    }
    __syncthreads();
    out[64 + t] = out[t];  // result:
}

__global__ void result_good(int* out) {
    __shared__ alignas(16) int box[64];
    const int t = threadIdx.x;
    box[t] = t;
    __syncthreads();
    if (t == 0) {
        store(out, box, 256);
        wait_all();
    }
    __syncthreads();
    out[64 + t] = out[t];
}

// Two stages, which a thread fills while all others read; without the second barrier the next copy comes
// over numbers that are being read.
__device__ __forceinline__ void stages(const int* in, int* out, int rounds, bool frees) {
    __shared__ alignas(16) int box[2][64];
    __shared__ unsigned long long full[2], empty[2];
    const int t = threadIdx.x;
    if (t == 0) {
        for (int i = 0; i < 2; ++i) {
            start(&full[i], 1);
            start(&empty[i], 64);
        }
    }
    __syncthreads();
    if (t >= 64) {
        if (t > 64) return;
        for (int i = 0; i < rounds; ++i) {
            if (frees) wait(&empty[i % 2], i / 2 % 2 ^ 1);
            expect(&full[i % 2], 256);
            load(box[i % 2], in + 64 * i, 256, &full[i % 2]);
        }
        return;
    }
    int sum = 0;
    for (int i = 0; i < rounds; ++i) {
        wait(&full[i % 2], i / 2 % 2);
        sum += box[i % 2][63 - t];  // stages:
        arrive(&empty[i % 2]);
    }
    out[t] = sum;
}

__global__ void stages_good(const int* in, int* out, int rounds) { stages(in, out, rounds, true); }

// A barrier of the block lets the thread that copies know that the others have read, or is missing.
__device__ __forceinline__ void again(const int* in, int* out, int rounds, bool frees) {
    __shared__ alignas(16) int box[64];
    __shared__ unsigned long long bars[8];
    const int t = threadIdx.x;
    if (t < rounds) start(&bars[t], 1);
    __syncthreads();
    int sum = 0;
    for (int i = 0; i < rounds; ++i) {
        if (t == 0) {
            expect(&bars[i], 256);
            load(box, in + 64 * i, 256, &bars[i]);
        }
        wait(&bars[i], 0);
        sum += box[63 - t];  // again:
        if (frees) __syncthreads();
    }
    out[t] = sum;
}

__global__ void again_bad(const int* in, int* out, int rounds) { again(in, out, rounds, false); }
__global__ void again_good(const int* in, int* out, int rounds) { again(in, out, rounds, true); }

// Blocks that store to one place, and blocks that add to it.
__global__ void blocks_bad(int* out) {
    __shared__ alignas(16) int box[64];
    const int t = threadIdx.x;
    box[t] = blockIdx.x;
    __syncthreads();
    if (t == 0) {
        store(out, box, 256);
        wait_all();
    }
}

// A box of a tensor, read before and after the barrier is waited for.
struct alignas(64) Map {
    char bytes[128];
};

__device__ __forceinline__ void load_box(void* to, const Map* map, int x, int y, unsigned long long* bar) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(at(to)), "l"(map), "r"(x), "r"(y), "r"(at(bar)) : "memory");  // load-box:
}

__device__ __forceinline__ void store_box(const Map* map, int x, int y, const void* from) {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%1, %2}], [%3];" ::"l"(map), "r"(x), "r"(y), "r"(at(from)) : "memory");  // store-box:
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

__device__ __forceinline__ void boxes(const Map* from, const Map* to, int* out, bool waits, bool frees) {
    __shared__ alignas(128) int box[256];
    __shared__ unsigned long long bar;
    const int t = threadIdx.x;
    if (t == 0) {
        start(&bar, 1);
        expect(&bar, 1024);
        load_box(box, from, 80, 45, &bar);
    }
    __syncthreads();
    if (waits) wait(&bar, 0);
    out[t] = box[t];  // box-early:
    if (!waits) wait(&bar, 0);
    __syncthreads();
    if (t == 0) {
        store_box(to, 80, 45, box);
        if (frees) wait_read();
    }
    __syncthreads();
    box[t] = 7;  // box-overwrite:
    if (t == 0) wait_all();
}

__global__ void boxes_bad(const __grid_constant__ Map from, const __grid_constant__ Map to, int* out) {
    boxes(&from, &to, out, false, false);
}
__global__ void boxes_good(const __grid_constant__ Map from, const __grid_constant__ Map to, int* out) {
    boxes(&from, &to, out, true, true);
}

// A product of a warpgroup, whose tiles are overwritten before it is over, and after. Of the tiles, 64 by 16
// and 8 by 16 halves, every 16 bytes lie by themselves.
struct Tiles {
    alignas(128) unsigned words[576];
};

__device__ __forceinline__ void begin_product(Tiles* tiles, float* d) {
    const unsigned long long a = at(tiles) >> 4 | 64ull << 16 | 8ull << 32;
    const unsigned long long b = (at(tiles) + 2048) >> 4 | 8ull << 16 | 8ull << 32;
    asm volatile("fence.proxy.async.shared::cta;\n\twgmma.fence.sync.aligned;" ::: "memory");
    asm volatile("wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0, %1, %2, %3}, %4, %5, 0, 1, 1, 0, 0;" : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "l"(a), "l"(b) : "memory");  // product:
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void end_product() { asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory"); }

__device__ __forceinline__ void products(float* out, bool waits) {
    __shared__ Tiles tiles;
    const int t = threadIdx.x;
    float d[4] = {};
    for (int i = t; i < 576; i += 128) tiles.words[i] = 0x3f803f80;
    __syncthreads();
    begin_product(&tiles, d);
    if (waits) end_product();
    __syncthreads();
    tiles.words[t] = 0;  // product-overwrite:
    if (!waits) end_product();
    out[t] = d[0];
}

__global__ void product_bad(float* out) { products(out, false); }
__global__ void product_good(float* out) { products(out, true); }

// One thread says for its warpgroup that the product is over.
__global__ void arrival_good(float* out) {
    __shared__ Tiles tiles;
    __shared__ unsigned long long bar;
    const int t = threadIdx.x;
    float d[4] = {};
    for (int i = t; i < 576; i += 160) tiles.words[i] = 0x3f803f80;
    if (t == 0) start(&bar, 1);
    __syncthreads();
    if (t >= 128) {
        wait(&bar, 0);
        tiles.words[t - 128] = 0;
        return;
    }
    begin_product(&tiles, d);
    end_product();
    if (t == 37) arrive(&bar);
    out[t] = d[0];
}

// The cluster's barrier.
__device__ __forceinline__ void meet() {
    asm volatile("barrier.cluster.arrive.release;\n\tbarrier.cluster.wait.acquire;" ::: "memory");
}

__device__ __forceinline__ unsigned other_rank() {
    unsigned rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank ^ 1;
}

// The place of an address in the other block of a pair.
__device__ __forceinline__ unsigned in_other(const void* p) {
    unsigned there;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(at(p)), "r"(other_rank()));
    return there;
}

__device__ __forceinline__ int read_other(const int* p) {
    int x;
    asm volatile("ld.shared::cluster.u32 %0, [%1];" : "=r"(x) : "r"(in_other(p)) : "memory");  // read-other:
    return x;
}

__device__ __forceinline__ void write_other(int* p, int x) {
    asm volatile("st.shared::cluster.u32 [%0], %1;" ::"r"(in_other(p)), "r"(x) : "memory");  // write-other:
}

// Blocks of a pair write numbers that the other one reads; a barrier of the block is not enough.
__global__ void __cluster_dims__(2, 1, 1) pair_bad(int* out) {
    __shared__ int box[32];
    const int t = threadIdx.x;
    box[t] = 1;
    meet();
    write_other(&box[31 - t], t);
    __syncthreads();
    out[blockIdx.x * 32 + t] = box[t];  // pair:
    meet();
}

__global__ void __cluster_dims__(2, 1, 1) pair_good(int* out) {
    __shared__ int box[32];
    const int t = threadIdx.x;
    box[t] = 1;
    meet();
    write_other(&box[31 - t], t);
    meet();
    out[blockIdx.x * 32 + t] = box[t];
}

// An arrival that releases nothing lets nobody know of the write.
__global__ void __cluster_dims__(2, 1, 1) relaxed_bad(int* out) {
    __shared__ int box[32];
    const int t = threadIdx.x;
    box[t] = t;  // relaxed-write:
    asm volatile("barrier.cluster.arrive.relaxed;\n\tbarrier.cluster.wait;" ::: "memory");
    out[blockIdx.x * 32 + t] = read_other(&box[t]);
    meet();
}

// What the other block has not written.
__global__ void __cluster_dims__(2, 1, 1) unwritten(int* out, int count) {
    __shared__ int box[32];
    const int t = threadIdx.x;
    if (t < count) box[t] = t;
    meet();
    out[blockIdx.x * 32 + t] = read_other(&box[t]);
    meet();
}

// Each block's numbers to the other one by a bulk copy, which the other one's barrier counts.
__device__ __forceinline__ void sends(int* out, bool waits) {
    __shared__ alignas(16) int from[32], to[32];
    __shared__ unsigned long long bar;
    const int t = threadIdx.x;
    from[t] = t;
    if (t == 0) {
        start(&bar, 1);
        expect(&bar, 128);
    }
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    meet();
    if (t == 0)
        asm volatile("cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%0], [%1], 128, [%2];" ::"r"(in_other(to)), "r"(at(from)), "r"(in_other(&bar)) : "memory");  // send:
    if (waits) {
        wait(&bar, 0);
    } else {
        meet();
    }
    out[blockIdx.x * 32 + t] = to[31 - t];  // sent:
    if (!waits) wait(&bar, 0);
    meet();
}

__global__ void __cluster_dims__(2, 1, 1) sends_bad(int* out) { sends(out, false); }
__global__ void __cluster_dims__(2, 1, 1) sends_good(int* out) { sends(out, true); }

// A number for the other block by st.async, and one added by red.async.
__global__ void __cluster_dims__(2, 1, 1) values_good(int* out) {
    __shared__ alignas(8) int box[2];
    __shared__ unsigned long long bar;
    const int t = threadIdx.x;
    if (t == 0) {
        box[1] = 5;
        start(&bar, 1);
        expect(&bar, 8);
    }
    meet();
    if (t == 0) {
        asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.u32 [%0], %1, [%2];" ::"r"(in_other(&box[0])), "r"(7), "r"(in_other(&bar)) : "memory");
        asm volatile("red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u32 [%0], %1, [%2];" ::"r"(in_other(&box[1])), "r"(7), "r"(in_other(&bar)) : "memory");
    }
    wait(&bar, 0);
    if (t == 0) out[blockIdx.x] = box[0] + box[1];
    meet();
}

// A message to the other block by an arrival at its mbarrier.
__device__ __forceinline__ void tells(int* out, bool releases) {
    __shared__ int box[32];
    __shared__ unsigned long long bar;
    const int t = threadIdx.x;
    if (t == 0) start(&bar, 32);
    meet();
    write_other(&box[31 - t], t);
    if (releases)
        asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" ::"r"(in_other(&bar)) : "memory");
    else
        asm volatile("mbarrier.arrive.relaxed.cluster.shared::cluster.b64 _, [%0];" ::"r"(in_other(&bar)) : "memory");
    asm volatile(
        "{\n.reg .pred p;\nAGAIN:\nmbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%0], 0;\n@!p bra AGAIN;\n}" ::"r"(at(&bar))
        : "memory");
    out[blockIdx.x * 32 + t] = box[t];  // told:
    meet();
}

__global__ void __cluster_dims__(2, 1, 1) tells_bad(int* out) { tells(out, false); }
__global__ void __cluster_dims__(2, 1, 1) tells_good(int* out) { tells(out, true); }
}
