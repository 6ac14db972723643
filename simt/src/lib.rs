//! A virtual NVIDIA GPU: a CUDA driver library that executes PTX on the CPU.

pub mod numeric;
