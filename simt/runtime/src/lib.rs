//! The CUDA runtime interface (`cuda_runtime_api.h`, CUDA 12) on top of the driver interface.
//!
//! NVIDIA's own `libcudart` asks the driver for tables that are described nowhere, so a driver that is not
//! NVIDIA's cannot carry it. This library does what the CUDA documentation says of each call by means of
//! `cu…` calls alone, so that programs that link `libcudart.so.12` (CuPy up to 12, `nvcc -cudart shared`)
//! run on the virtual GPU. The driver is whatever `libcuda.so` the loader finds.
//!
//! Entry points have the names, arguments and numbers of the CUDA Runtime API documentation. Not supported,
//! with `cudaErrorNotSupported`: textures, surfaces and arrays, and what is shared between processes.

#![allow(non_snake_case)]

#[macro_use]
pub mod error;

pub mod context;
pub mod copies;
pub mod copies_3d;
pub mod device;
pub mod entry_point;
pub mod event;
pub mod function;
pub mod graph;
pub mod launch;
pub mod memory;
mod names;
pub mod pool;
pub mod properties;
pub mod registry;
pub mod stream;
pub mod symbols;
pub mod unsupported;

pub use error::{
    cudaError_t, cudaGetErrorName, cudaGetErrorString, cudaGetLastError, cudaPeekAtLastError,
};

/// The version of the interface: 12.9.
pub const VERSION: i32 = 12_090;
