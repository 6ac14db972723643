// Weights in int8 and int4: groups of 32 along a row with a scale each, in int4 a shift too.
//
// A row lies in chunks of 16 bytes, each four words. Word t has weights 8i + 2t and 8i + 2t + 1 of its chunk in the
// bits from i · kBits on of its halves: so all that mma wants of lane t of a quad is one word, pair by pair.
#pragma once

#include "common.cuh"

constexpr int kGroup = 32;
constexpr unsigned kOnes = 0x3f803f80u;  // a pair of bf16

// a & b ^ c, as one instruction where the compiler makes two of two constants.
__device__ inline unsigned and_xor(unsigned a, unsigned b, unsigned c) {
    unsigned d;
    asm("lop3.b32 %0, %1, %2, %3, 0x6a;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
    return d;
}

// a + b, pairs of bf16.
__device__ inline unsigned added(unsigned a, unsigned b) {
    unsigned sum;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(kOnes), "r"(b));
    return sum;
}

// Byte `at` of a word less `zero`, in f32: 2²³ + byte − (2²³ + zero), exactly.
__device__ inline float byte_of(unsigned word, int at, float zero) {
    return __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7540 + at)) - (8388608.0f + zero);
}

// Weights of a byte each: scale · (byte − 128).
struct Int8 {
    using Scale = float;
    static constexpr bool kShifted = false;
    static constexpr int kBits = 8;

    // Weight e of pair i of a word.
    __device__ static float whole(unsigned word, int i, int e) { return byte_of(word, i + 2 * e, 128.0f); }

    // The pair at the bottom of the halves. bf16 holds seven bits behind its first: 128 + the lower seven of a byte, less
    // 128 where the eighth is set, and 256 where it is not.
    __device__ static unsigned to_bf16(unsigned two) {
        return added(and_xor(two, 0x007f007fu, 0x43004300u), and_xor(two, 0x00800080u, 0xc380c380u));
    }
};

// Weights of a half byte each: scale · half byte + shift.
struct Int4 {
    using Scale = unsigned;  // of two bf16: the scale, and above it the shift
    static constexpr bool kShifted = true;
    static constexpr int kBits = 4;
    static constexpr unsigned kMask = 0x000f000fu;

    __device__ static float whole(unsigned word, int i, int e) {
        return byte_of(word >> i * kBits & kMask, 2 * e, 0.0f);
    }

    // 128 + half byte, less 128.
    __device__ static unsigned to_bf16(unsigned two) { return added(and_xor(two, kMask, 0x43004300u), 0xc300c300u); }
};

// Weights of a chunk.
template <class Weights>
constexpr int kChunk = 128 / Weights::kBits;

// The words of the four weights from `depth` on, in their chunk, and weight e of the four as a whole number.
__device__ inline Pack<unsigned, 2> words_of(const void* chunk, int depth) {
    return load<2>(static_cast<const unsigned*>(chunk) + depth % 8 / 4 * 2);
}
template <class Weights>
__device__ float weight_of(const Pack<unsigned, 2>& words, int depth, int e) {
    return Weights::whole(words.at[e / 2], depth % kChunk<Weights> / 8, e % 2);
}

__device__ inline float scale_of(float scale) { return scale; }
__device__ inline float scale_of(unsigned scale) { return __uint_as_float(scale << 16); }
__device__ inline float shift_of(float) { return 0.0f; }
__device__ inline float shift_of(unsigned scale) { return __uint_as_float(scale & 0xffff0000u); }

template <class Weights>
constexpr int kGroupBytes = kGroup / kChunk<Weights> * 16;
