// The next token of every row of logits[rows, vocab]: greedy, or drawn at a temperature from what top-k,
// top-p and min-p keep, in this order; with its log-probabilities and the entropy.
//
// Every filter keeps a prefix of the tokens in the order best first (higher logit, then lower id), named
// by its last token. Where it ends is found by a radix select over the logits' bits, one byte a pass,
// with a histogram of counts (top-k) or of masses (top-p). Masses exp((x − max)/T) are integers, 2^40 the
// likeliest token's: sums do not depend on their order, and are off by less than 1e-7 of all.
//
// Source: the contract in src/ops/sample.rs; Philox 4x32-10, Salmon et al., SC 2011.
//
// Shapes    logits: [rows, vocab], f32; banned: a bit a token, [ceil(vocab / 32)], or null; keys: [rows].
// Launch    grid: rows; block: 1024 threads.
// Tiling    One block a row, neighbouring threads neighbouring tokens; searches in the order of ids give
//           each warp a run of tokens.
// Registers A few numbers.
// Shared    2 KB for a histogram, and what reductions need.
// Global    The row 2 times for greedy, 4 for a draw, 5 more for each of top-k and top-p: from L2.
// Flops     An exponential a token and pass, sums in f64.
// Order     Sums in f64 by thread, then block_sum; integers elsewhere: bits repeat, whatever the batch.
//
// instance: sample = sample

#include "common.cuh"

__device__ inline float infinity() { return __int_as_float(0x7f800000); }

using u64 = unsigned long long;
constexpr int kThreads = 1024, kWarps = kThreads / kWarp, kBins = 256;
constexpr float kOne = 1099511627776.0f;  // 2^40, the mass of the likeliest token
constexpr unsigned kAll = 0xffffffffu;
constexpr unsigned kStream = 0x53414d50u;  // as src/ops/sample.rs sets these draws apart

struct Options {
    u64 seed;
    double top_p;
    float temperature, min_p;
    int top_k, unused;
};

struct Key {
    u64 row;
    u64 position;
};

struct Chosen {
    int token;  // −1: a logit that is not finite, or no token left
    float log_probability, sampled_log_probability, entropy;
};

// A rank that rises from the best logit to the worst; −0 counts as 0.
__device__ unsigned rank_of(float x) {
    const unsigned bits = __float_as_uint(x + 0.0f);
    return bits >> 31 ? bits : ~bits & 0x7fffffffu;
}

// The last token that is kept.
struct Cut {
    unsigned rank;
    int id;
    __device__ bool keeps(unsigned other, int token) const {
        return other < rank || (other == rank && token <= id);
    }
};

struct Row {
    const float* logits;
    const unsigned* banned;
    int vocab;
    float max, temperature;

    __device__ float at(int id) const {
        if (banned != nullptr && banned[id / 32] >> (id % 32) & 1) return -infinity();
        return logits[id];
    }
    __device__ float weight(float x) const { return expf((x - max) / temperature); }
    __device__ u64 mass(float x) const { return __float2ull_rn(weight(x) * kOne); }
};

__device__ u64 block_max(u64 x) {
    __shared__ u64 most[kWarps];
    for (int distance = kWarp / 2; distance > 0; distance /= 2)
        x = max(x, __shfl_xor_sync(kAll, x, distance));
    __syncthreads();
    if (threadIdx.x % kWarp == 0) most[threadIdx.x / kWarp] = x;
    __syncthreads();
    for (int warp = 0; warp < kWarps; ++warp) x = max(x, most[warp]);
    return x;
}

// The sum of a lane and those below it.
__device__ u64 warp_scan(u64 x) {
    for (int distance = 1; distance < kWarp; distance *= 2) {
        const u64 below = __shfl_up_sync(kAll, x, distance);
        if (threadIdx.x % kWarp >= distance) x += below;
    }
    return x;
}

// The first id at which the sum of weights, in the order of ids, reaches target (at least 1); −1 if none.
template <typename F>
__device__ int find_in_order(int vocab, u64 target, F weight) {
    __shared__ u64 sums[kWarps];
    __shared__ int found;
    const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
    const int run = (vocab + kThreads - 1) / kThreads * kWarp;
    const int first = warp * run, end = min(first + run, vocab);
    u64 sum = 0;
    for (int id = first + lane; id < end; id += kWarp) sum += weight(id);
    sum = warp_sum(sum);
    __syncthreads();  // an earlier call's results have been read
    if (lane == 0) sums[warp] = sum;
    if (threadIdx.x == 0) found = -1;
    __syncthreads();
    u64 before = 0;
    for (int other = 0; other < warp; ++other) before += sums[other];
    if (before < target && target <= before + sum) {
        for (int start = first; start < end; start += kWarp) {
            const int id = start + lane;
            const u64 upto = warp_scan(id < end ? weight(id) : 0);
            const unsigned reached = __ballot_sync(kAll, before + upto >= target);
            if (reached != 0) {
                if (lane == 0) found = start + __ffs(reached) - 1;
                break;
            }
            before += __shfl_sync(kAll, upto, kWarp - 1);
        }
    }
    __syncthreads();
    return found;
}

// Where the weights of the tokens that `cut` keeps, best first, reach target (from 1 to their sum).
template <typename F>
__device__ Cut select(const Row& row, Cut cut, u64 target, F weight) {
    __shared__ u64 bins[kBins];
    __shared__ unsigned chosen;
    __shared__ u64 left;
    const int lane = threadIdx.x % kWarp;
    unsigned prefix = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        if (threadIdx.x < kBins) bins[threadIdx.x] = 0;
        __syncthreads();
        for (int id = threadIdx.x; id < row.vocab; id += kThreads) {
            const float x = row.at(id);
            const unsigned rank = rank_of(x);
            // A shift by all 32 bits is none in C++.
            if (static_cast<u64>(rank) >> (shift + 8) != prefix || !cut.keeps(rank, id)) continue;
            const u64 w = weight(x);
            if (w != 0) atomicAdd(&bins[rank >> shift & (kBins - 1)], w);
        }
        __syncthreads();
        if (threadIdx.x < kWarp) {
            u64 own = 0;
            for (int i = 0; i < kBins / kWarp; ++i) own += bins[lane * (kBins / kWarp) + i];
            const u64 upto = warp_scan(own);
            u64 before = upto - own;
            if (before < target && target <= upto) {
                int bin = lane * (kBins / kWarp);
                while (before + bins[bin] < target) before += bins[bin++];
                chosen = bin;
                left = target - before;
            }
        }
        __syncthreads();
        prefix = prefix << 8 | chosen;
        target = left;
        __syncthreads();
    }
    // Equal logits have equal weights: the cut is at the n-th of them.
    const auto is_equal = [&](int id) -> u64 {
        const unsigned rank = rank_of(row.at(id));
        return rank == prefix && cut.keeps(rank, id);
    };
    const int one = find_in_order(row.vocab, 1, is_equal);
    const u64 each = weight(row.at(one));
    return {prefix, find_in_order(row.vocab, (target + each - 1) / each, is_equal)};
}

__device__ Cut cut_of(const Row& row, const Options& o) {
    Cut cut = {kAll, row.vocab};
    if (o.top_k > 0 && o.top_k < row.vocab)
        cut = select(row, cut, o.top_k, [](float) -> u64 { return 1; });
    if (o.top_p < 1.0) {
        u64 sum = 0;
        for (int id = threadIdx.x; id < row.vocab; id += kThreads) {
            const float x = row.at(id);
            if (cut.keeps(rank_of(x), id)) sum += row.mass(x);
        }
        sum = block_sum(sum);
        const u64 target = max(1ull, static_cast<u64>(ceil(o.top_p * static_cast<double>(sum))));
        cut = select(row, cut, min(target, sum), [&](float x) { return row.mass(x); });
    }
    if (o.min_p > 0.0f) {
        const double below = static_cast<double>(row.temperature) * log(static_cast<double>(o.min_p));
        const unsigned rank = rank_of(static_cast<float>(row.max + below));
        if (rank < cut.rank) cut = {rank, row.vocab};
    }
    return cut;
}

// 53 random bits for a row and position.
__device__ u64 random_bits(u64 seed, Key key) {
    unsigned k0 = seed, k1 = seed >> 32;
    unsigned c[4] = {static_cast<unsigned>(key.position), kStream, static_cast<unsigned>(key.row),
                     static_cast<unsigned>(key.row >> 32)};
    for (int round = 0; round < 10; ++round) {
        const u64 p0 = 0xd2511f53ull * c[0], p1 = 0xcd9e8d57ull * c[2];
        c[0] = static_cast<unsigned>(p1 >> 32) ^ c[1] ^ k0;
        c[2] = static_cast<unsigned>(p0 >> 32) ^ c[3] ^ k1;
        c[1] = static_cast<unsigned>(p1);
        c[3] = static_cast<unsigned>(p0);
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    return static_cast<u64>(c[0]) << 21 | c[1] >> 11;
}

__global__ void __launch_bounds__(kThreads)
    sample(const float* logits, const unsigned* banned, const Key* keys, Chosen* chosen, int vocab,
           Options o) {
    Row row = {logits + static_cast<size_t>(blockIdx.x) * vocab, banned, vocab, 0.0f, o.temperature};
    u64 best = 0;
    bool bad = false;
    for (int id = threadIdx.x; id < vocab; id += kThreads) {
        const float x = row.at(id);
        bad |= !(x < infinity());
        best = max(best, static_cast<u64>(~rank_of(x)) << 32 | ~static_cast<unsigned>(id));
    }
    best = block_max(best);
    int token = ~static_cast<unsigned>(best);
    bad = __syncthreads_or(bad) || vocab == 0;
    if (bad || row.at(token) == -infinity()) {
        if (threadIdx.x == 0) chosen[blockIdx.x] = {-1, 0.0f, 0.0f, 0.0f};
        return;
    }
    row.max = row.at(token);

    double sum = 0.0, weighted = 0.0;
    for (int id = threadIdx.x; id < vocab; id += kThreads) {
        // A banned token: 0 · −∞ would be NaN.
        const float apart = fmaxf(row.at(id) - row.max, -1000.0f);
        const float e = expf(apart);
        sum += e;
        weighted += e * apart;
    }
    sum = block_sum(sum);
    weighted = block_sum(weighted);

    double probability = 1.0;
    if (o.temperature > 0.0f) {
        const Cut cut = cut_of(row, o);
        const auto kept = [&](int id) -> u64 {
            const float x = row.at(id);
            return cut.keeps(rank_of(x), id) ? row.mass(x) : 0;
        };
        u64 total = 0;
        for (int id = threadIdx.x; id < vocab; id += kThreads) total += kept(id);
        total = block_sum(total);
        // The first token where the cumulative mass exceeds uniform · total.
        const u64 passed = __umul64hi(random_bits(o.seed, keys[blockIdx.x]) << 11, total);
        token = find_in_order(vocab, passed + 1, kept);
        probability = static_cast<double>(row.weight(row.at(token))) / (total / static_cast<double>(kOne));
    }
    if (threadIdx.x == 0)
        chosen[blockIdx.x] = {token,
                              static_cast<float>(static_cast<double>(row.at(token) - row.max) - log(sum)),
                              static_cast<float>(log(probability)),
                              static_cast<float>(log(sum) - weighted / sum)};
}
