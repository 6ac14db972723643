//! A virtual NVIDIA GPU: a CUDA driver library that executes PTX on the CPU.
//!
//! [`ptx`] turns text into a decoded program, [`exec`] runs it on warps of 32 lanes over [`memory`],
//! [`numeric`] knows how the GPU computes, and [`driver`] is the C interface of `libcuda.so`. What counts
//! and checks looks on through [`watch`].

pub mod check;
pub mod count;
pub mod driver;
pub mod exec;
pub mod image;
pub mod memory;
pub mod numeric;
pub mod ptx;
pub mod watch;
