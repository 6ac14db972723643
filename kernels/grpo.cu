// The policy loss over sampled thoughts, fused with its gradient. Thought r has advantage A, weight w a
// token, and the tokens t of offsets[r] .. offsets[r+1]; with δ_t = −nll_t − old_t the ratio ρ is
// exp(Σδ), exp(mean δ) or, a token, exp(δ_t):
//
//   loss = −Σ_t w · min(ρ·A, clip(ρ, 1−low, 1+high)·A),  kl = Σ_t w · (e^d − d − 1), d = ref_t + nll_t
//   coefficients_t = d(loss + beta·kl) / d nll_t
//
// Source: LREM, arXiv 2510.14321, eq. 14; its variants as in src/ops/grpo.rs.
//
// Shapes    nll, old, coefficients: [tokens], f32; reference: [tokens] or null; offsets: [thoughts + 1];
//           advantages, weights: [thoughts]; terms: [thoughts]. Arithmetic in f64.
// Launch    grid: ceil(thoughts / 16); block: 512 threads.
// Tiling    A block has 16 thoughts, one a warp; neighbouring lanes take neighbouring tokens.
// Registers A few numbers.
// Shared    Of up to 2048 tokens nll, where the coefficients take its place, old and reference: thoughts begin
//           at any token, and one by one would read a part of their neighbours' sectors. Where a block has
//           more tokens its thoughts are long, and they read for themselves.
// Global    12 to 16 bytes a token; nothing is bound by it but the launch.
// Flops     A few a token, and up to two exponentials in f64.
// Order     A lane adds its tokens in rising order, then warp_sum: bits repeat, and are a thought's own.
//
// instance: grpo = grpo

#include "common.cuh"

enum Ratio { kThought, kMean, kToken };

struct Options {
    double low, high, beta;
    long long ratio;
};

// What a thought adds to the loss and its measures.
struct Terms {
    double loss, kl;
    long long clipped;
};

struct Surrogate {
    double loss, pull;
    int clipped;
};

// The clipped term of a ratio that stands for a weight, and its derivative by −ln ρ.
__device__ Surrogate surrogate(const Options& o, double ratio, double advantage, double weight) {
    const double kept = fmin(fmax(ratio, 1.0 - o.low), 1.0 + o.high);
    const bool clips = advantage >= 0.0 ? ratio > kept : ratio < kept;
    return {-weight * (clips ? kept : ratio) * advantage, clips ? 0.0 : weight * ratio * advantage,
            clips};
}

constexpr int kThoughts = 16, kTokens = 2048;

// Log-probabilities from token `base` on; coefficients may take nll's place.
struct Tokens {
    const float *nll, *old, *reference;
    float* coefficients;
    int base;

    __device__ double delta(int t) const { return -static_cast<double>(nll[t - base]) - old[t - base]; }
};

// The terms of a thought of the tokens first .. end, and their coefficients, by a warp.
__device__ Terms thought(const Options& o, const Tokens& tokens, int first, int end, double advantage, double weight) {
    const int lane = threadIdx.x % kWarp;
    Surrogate whole = {0.0, 0.0, 0};
    if (o.ratio != kToken) {
        double sum = 0.0;
        for (int t = first + lane; t < end; t += kWarp) sum += tokens.delta(t);
        sum = warp_sum(sum);
        const double count = end - first;
        whole = surrogate(o, exp(o.ratio == kMean ? sum / count : sum), advantage, weight * count);
        if (o.ratio == kMean) whole.pull /= count;
    }
    double loss = 0.0, kl = 0.0;
    int clipped = 0;
    for (int t = first + lane; t < end; t += kWarp) {
        double pull = whole.pull;
        if (o.ratio == kToken) {
            const Surrogate own = surrogate(o, exp(tokens.delta(t)), advantage, weight);
            pull = own.pull;
            loss += own.loss;
            clipped += own.clipped;
        }
        if (tokens.reference != nullptr) {
            const double apart = static_cast<double>(tokens.reference[t - tokens.base]) + tokens.nll[t - tokens.base];
            kl += weight * (exp(apart) - apart - 1.0);
            pull += o.beta * weight * (exp(apart) - 1.0);
        }
        tokens.coefficients[t - tokens.base] = static_cast<float>(pull);
    }
    return {warp_sum(loss) + whole.loss, warp_sum(kl), warp_sum(clipped) + whole.clipped};
}

__global__ void __launch_bounds__(kThoughts * kWarp)
    grpo(const float* nll, const float* old, const float* reference, const unsigned* offsets,
         const float* advantages, const double* weights, float* coefficients, Terms* terms, int thoughts, Options o) {
    __shared__ float staged[3][kTokens];
    const int block = blockIdx.x * kThoughts;
    const int first = offsets[block], end = offsets[min(block + kThoughts, thoughts)];
    const bool stages = end - first <= kTokens;
    // From the start of a line of 128 bytes on.
    const int at = first / kWarp * kWarp + static_cast<int>(threadIdx.x);
    if (stages) {
        for (int t = at; t < end; t += blockDim.x) {
            if (t < first) continue;
            staged[0][t - first] = nll[t];
            staged[1][t - first] = old[t];
            if (reference != nullptr) staged[2][t - first] = reference[t];
        }
        __syncthreads();
    }
    if (const int own = block + threadIdx.x / kWarp; own < thoughts) {
        const Tokens tokens = {stages ? staged[0] : nll, stages ? staged[1] : old,
                               stages && reference != nullptr ? staged[2] : reference,
                               stages ? staged[0] : coefficients, stages ? first : 0};
        const Terms sums = thought(o, tokens, offsets[own], offsets[own + 1], advantages[own], weights[own]);
        if (threadIdx.x % kWarp == 0) terms[own] = sums;
    }
    if (stages) {
        __syncthreads();
        for (int t = at; t < end; t += blockDim.x)
            if (t >= first) coefficients[t] = staged[0][t - first];
    }
}
