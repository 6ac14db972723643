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
// Launch    grid: thoughts; block: 128 threads.
// Tiling    One block a thought; neighbouring threads take neighbouring tokens.
// Registers A few numbers.
// Shared    A double a warp.
// Global    12 to 16 bytes a token; nothing is bound by it but the launch.
// Flops     A few a token, and up to two exponentials in f64.
// Order     A thread adds its tokens in rising order, then block_sum: bits repeat.
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

__global__ void grpo(const float* nll, const float* old, const float* reference,
                     const unsigned* offsets, const float* advantages, const double* weights,
                     float* coefficients, Terms* terms, Options o) {
    const int first = offsets[blockIdx.x], end = offsets[blockIdx.x + 1];
    const double advantage = advantages[blockIdx.x], weight = weights[blockIdx.x];
    const auto delta = [&](int t) { return -static_cast<double>(nll[t]) - old[t]; };

    Surrogate whole = {0.0, 0.0, 0};
    if (o.ratio != kToken) {
        double sum = 0.0;
        for (int t = first + threadIdx.x; t < end; t += blockDim.x) sum += delta(t);
        sum = block_sum(sum);
        const double tokens = end - first;
        whole = surrogate(o, exp(o.ratio == kMean ? sum / tokens : sum), advantage, weight * tokens);
        if (o.ratio == kMean) whole.pull /= tokens;
    }
    double loss = 0.0, kl = 0.0, clipped = 0.0;
    for (int t = first + threadIdx.x; t < end; t += blockDim.x) {
        double pull = whole.pull;
        if (o.ratio == kToken) {
            const Surrogate own = surrogate(o, exp(delta(t)), advantage, weight);
            pull = own.pull;
            loss += own.loss;
            clipped += own.clipped;
        }
        if (reference != nullptr) {
            const double apart = static_cast<double>(reference[t]) + nll[t];
            kl += weight * (exp(apart) - apart - 1.0);
            pull += o.beta * weight * (exp(apart) - 1.0);
        }
        coefficients[t] = static_cast<float>(pull);
    }
    loss = block_sum(loss);
    kl = block_sum(kl);
    clipped = block_sum(clipped);
    if (threadIdx.x == 0)
        terms[blockIdx.x] = {loss + whole.loss, kl, static_cast<long long>(clipped) + whole.clipped};
}
