//! The contracts, one file an op, and which kernel file is held to which.

pub mod adamw;
pub mod attention;
pub mod attention_bounds;
pub mod attention_cache;
pub mod attention_combine;
mod attention_costs;
pub mod embedding;
pub mod grpo;
pub mod info_nce;
pub mod kv_store;
mod limits;
pub mod linear;
pub mod linear_cross_entropy;
pub mod linear_int4;
pub mod linear_int8;
pub mod linear_many;
pub mod linear_quantised;
pub mod linear_swiglu;
mod numbers;
pub mod pool;
pub mod qk_norm;
pub mod rms_norm;
pub mod rope;
pub mod sample;
pub mod sample_bounds;
pub mod swiglu;
pub mod top_k;
mod trained;

pub use adamw::AdamWContract;
pub use attention::AttentionContract;
pub use attention_combine::AttentionCombineContract;
pub use embedding::EmbeddingContract;
pub use grpo::GrpoContract;
pub use info_nce::InfoNceContract;
pub use kv_store::KvStoreContract;
pub use linear::LinearContract;
pub use linear_cross_entropy::LinearCrossEntropyContract;
pub use linear_int4::LinearInt4Contract;
pub use linear_int8::LinearInt8Contract;
pub use numbers::{distinct, heads, magnitudes, normals, onto, to_bf16, wide};
pub use pool::PoolContract;
pub use qk_norm::QkNormContract;
pub use rms_norm::RmsNormContract;
pub use rope::RopeContract;
pub use sample::SampleContract;
pub use swiglu::SwiGluContract;
pub use top_k::TopKContract;

/// `$op` is an op's name and that of its file in `kernels/`, `$file` that of another file with kernels of it.
macro_rules! contracts {
    ($d:tt $($contract:ident: $op:literal $(and $($file:literal),+)?;)*) => {
        /// The ops that have a contract, each with the names of its kernel files.
        pub const OPS: &[(&str, &[&str])] = &[$(($op, &[$op $(, $($file),+)?])),*];

        /// Evaluates an expression, generic over an op's [`Contract`](crate::workbench::Contract), for
        /// the op of that name; `None` where it has none.
        #[macro_export]
        macro_rules! with_contract {
            ($d op:expr, |$d contract:ident| $d body:expr) => {{
                use $d crate::workbench::contracts::*;
                match $d op {
                    $($op => {
                        type $d contract = $contract;
                        Some($d body)
                    })*
                    _ => None,
                }
            }};
        }
    };
}

// A dollar for the macro that this one writes.
contracts! { $
    AdamWContract: "adamw";
    AttentionContract: "attention" and
        "attention.sm_90a", "attention_backward", "attention_backward_keys", "attention_plain";
    AttentionCombineContract: "attention_combine";
    EmbeddingContract: "embedding";
    GrpoContract: "grpo";
    InfoNceContract: "info_nce";
    KvStoreContract: "kv_store";
    LinearContract: "linear" and "linear.sm_90a", "column_sums";
    LinearCrossEntropyContract: "linear_cross_entropy";
    LinearInt4Contract: "linear_int4";
    LinearInt8Contract: "linear_int8";
    PoolContract: "pool";
    QkNormContract: "qk_norm";
    RmsNormContract: "rms_norm";
    RopeContract: "rope";
    SampleContract: "sample";
    SwiGluContract: "swiglu";
    TopKContract: "top_k";
}

/// The op with a contract that the kernel file of that name, without its ending, belongs to.
pub fn op_of(file: &str) -> Option<&'static str> {
    let found = OPS.iter().find(|(_, files)| files.contains(&file));
    found.map(|(op, _)| *op)
}
