//! The ops: one file each, named as the op.
//!
//! An op's file is its contract: shapes, formula, tolerance, flops and bytes; the trait that devices
//! implement; and `reference`, a plain f64 implementation (forward and backward) that every device is
//! tested against. Matrices are row-major; `[rows, columns]` gives their shape. Index data (token
//! ids, targets, spans) is small and is passed as host slices.

pub mod adamw;
pub mod attention;
pub mod embedding;
pub mod forest;
pub mod grpo;
pub mod info_nce;
pub mod kv_store;
pub mod linear;
pub mod linear_cross_entropy;
pub mod philox;
pub mod pool;
pub mod rms_norm;
pub mod rope;
pub mod sample;
pub mod swiglu;
pub mod top_k;
