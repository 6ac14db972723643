// SwiGLU and its backward. A row of gate_up is `intermediate` gates g, then as many ups u:
//
//   swiglu            out = silu(g) · u,  silu(g) = g · s,  s = 1 / (1 + e^-g)
//   swiglu_backward   dg = dout · u · s · (1 + g · (1 − s)),  du = dout · g · s
//
// Source: Shazeer, "GLU Variants Improve Transformer", arXiv 2002.05202.
//
// Shapes    gate_up, dgate_up: [rows, 2 · intermediate]; out, dout: [rows, intermediate]; all of type
//           T, row-major, arithmetic in f32.
// Launch    grid: (rows, ceil(packs / block)) with packs = intermediate · sizeof(T) / 16, or
//           intermediate where that is no whole number; block: any number of threads.
// Tiling    A thread takes 16 bytes of gates and the 16 bytes of ups that belong to them; neighbouring
//           threads neighbouring bytes. Where halves of rows do not start at multiples of 16 bytes, one
//           element.
// Registers Two or three packs.
// Shared    None.
// Global    swiglu 3 · rows · intermediate elements, backward 5: each once.
// Flops     About 5 and 10 an element, and an exponential: bound by memory.
//
// instance: swiglu_f32 = swiglu<float>
// instance: swiglu_bf16 = swiglu<__nv_bfloat16>
// instance: swiglu_backward_f32 = swiglu_backward<float>
// instance: swiglu_backward_bf16 = swiglu_backward<__nv_bfloat16>

#include "common.cuh"
#include "swiglu.cuh"

template <int N, typename T>
__device__ void forward(const T* gate, const T* up, T* out) {
    const auto g = load<N>(gate), u = load<N>(up);
    Pack<T, N> y;
#pragma unroll
    for (int i = 0; i < N; ++i) y.at[i] = from_f32<T>(gated(to_f32(g.at[i]), to_f32(u.at[i])));
    store<N>(out, y);
}

template <int N, typename T>
__device__ void backward(const T* gate, const T* up, const T* dout, T* dgate, T* dup) {
    const auto g = load<N>(gate), u = load<N>(up), d = load<N>(dout);
    Pack<T, N> dg, du;
#pragma unroll
    for (int i = 0; i < N; ++i) {
        const float x = to_f32(g.at[i]), dy = to_f32(d.at[i]);
        const float s = 1.0f / (1.0f + expf(-x));
        dg.at[i] = from_f32<T>(dy * to_f32(u.at[i]) * s * (1.0f + x * (1.0f - s)));
        du.at[i] = from_f32<T>(dy * x * s);
    }
    store<N>(dgate, dg);
    store<N>(dup, du);
}

template <typename T>
__global__ void swiglu(const T* gate_up, T* out, int intermediate) {
    const int pack = blockIdx.y * blockDim.x + threadIdx.x;
    const size_t row = blockIdx.x;
    const T* gates = gate_up + row * 2 * intermediate;
    out += row * intermediate;
    if (intermediate % kWidest<T> == 0) {
        const int at = pack * kWidest<T>;
        if (at < intermediate) forward<kWidest<T>>(gates + at, gates + intermediate + at, out + at);
    } else if (pack < intermediate) {
        forward<1>(gates + pack, gates + intermediate + pack, out + pack);
    }
}

template <typename T>
__global__ void swiglu_backward(const T* gate_up, const T* dout, T* dgate_up, int intermediate) {
    const int pack = blockIdx.y * blockDim.x + threadIdx.x;
    const size_t row = blockIdx.x;
    const T* gates = gate_up + row * 2 * intermediate;
    const T* ups = gates + intermediate;
    T* dgates = dgate_up + row * 2 * intermediate;
    T* dups = dgates + intermediate;
    dout += row * intermediate;
    if (intermediate % kWidest<T> == 0) {
        const int at = pack * kWidest<T>;
        if (at < intermediate)
            backward<kWidest<T>>(gates + at, ups + at, dout + at, dgates + at, dups + at);
    } else if (pack < intermediate) {
        backward<1>(gates + pack, ups + pack, dout + pack, dgates + pack, dups + pack);
    }
}
