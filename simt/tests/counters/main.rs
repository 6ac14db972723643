//! Counters against kernels whose counts are known by hand.
//!
//! Kernels are PTX, so that what is executed is what stands here. `machine.rs` says what surrounds their
//! bodies.

mod bulk;
mod cache;
mod chain;
mod command;
mod facts;
mod global;
mod instructions;
mod machine;
mod maps;
mod matrices;
mod products;
mod ranges;
mod shared;
mod tensors;
