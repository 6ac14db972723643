// Products of which only a diagonal is wanted: each row of A with a row of B of its own.
#pragma once

#include "product.cuh"

// Unit items, of which query i meets target[i] alone.
struct TargetRows {
    Matrix<float> items;
    const unsigned* target;
    int queries;
};

// Queries by their targets: column c of the product is the target of query c.
template <class P>
struct Targets : P {
    using B = typename P::B;
    using FromB = TargetRows;

    class ReadB {
        TargetRows b;
        int query, depth;

    public:
        __device__ ReadB(const TargetRows& b, int query, int depth) : b(b), query(query), depth(depth) {}
        __device__ void cut(int) {}  // looks for itself
        template <int kAt>
        __device__ void fetch(char* stage) {
            fetch_rows(stage + kAt, b, query, depth);
            depth += P::kDepth;
        }
    };

    __device__ static void fetch_rows(char* tile, const TargetRows& b, int query, int depth) {
        const int chunk = threadIdx.x % B::kChunks, width = b.items.columns;
        const int column = depth + chunk * B::kPack;
#pragma unroll
        for (int r = threadIdx.x / B::kChunks; r < P::kN; r += P::kThreads / B::kChunks) {
            char* to = tile + B::offset(r, chunk);
            const bool there = query + r < b.queries && column < width;
            const size_t row = there ? b.target[query + r] : 0;
            const float* from = b.items.data + row * width + column;
            if constexpr (P::kWide) {
                copy_async(shared_address(to), from, there);
            } else {
                Pack<float, B::kPack> pack;
#pragma unroll
                for (int e = 0; e < B::kPack; ++e)
                    pack.at[e] = there && column + e < width ? from[e] : 0.0f;
                store<B::kPack>(reinterpret_cast<float*>(to), pack);
            }
        }
    }
};
