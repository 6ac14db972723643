// SwiGLU of one gate and the up that belongs to it. Whoever calls it gives the same bits for the same numbers.
// Source: Shazeer, "GLU Variants Improve Transformer", arXiv 2002.05202.
#pragma once

// silu(gate) · up,  silu(g) = g / (1 + e^-g)
__device__ inline float gated(float gate, float up) { return gate / (1.0f + expf(-gate)) * up; }
