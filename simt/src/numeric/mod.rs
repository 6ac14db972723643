//! Numbers as the GPU computes them.
