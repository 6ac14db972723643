//! The contracts, one file an op.

pub mod adamw;
pub mod attention;
pub mod attention_bounds;
pub mod embedding;
pub mod info_nce;
pub mod kv_store;
pub mod linear;
pub mod linear_cross_entropy;
mod numbers;
pub mod pool;
pub mod qk_norm;
pub mod rms_norm;
pub mod rope;
pub mod swiglu;
pub mod top_k;

pub use adamw::AdamWContract;
pub use attention::AttentionContract;
pub use embedding::EmbeddingContract;
pub use info_nce::InfoNceContract;
pub use kv_store::KvStoreContract;
pub use linear::LinearContract;
pub use linear_cross_entropy::LinearCrossEntropyContract;
pub use numbers::{heads, magnitudes, normals, onto, to_bf16, wide};
pub use pool::PoolContract;
pub use qk_norm::QkNormContract;
pub use rms_norm::RmsNormContract;
pub use rope::RopeContract;
pub use swiglu::SwiGluContract;
pub use top_k::TopKContract;

/// The ops that have a contract.
pub const OPS: [&str; 13] = [
    "adamw",
    "attention",
    "embedding",
    "info_nce",
    "kv_store",
    "linear",
    "linear_cross_entropy",
    "pool",
    "qk_norm",
    "rms_norm",
    "rope",
    "swiglu",
    "top_k",
];

/// Evaluates an expression, generic over an op's [`Contract`](crate::workbench::Contract), for the op of
/// that name; `None` where it has none.
#[macro_export]
macro_rules! with_contract {
    ($op:expr, |$contract:ident| $body:expr) => {{
        use $crate::workbench::contracts::*;
        match $op {
            "adamw" => {
                type $contract = AdamWContract;
                Some($body)
            }
            "attention" => {
                type $contract = AttentionContract;
                Some($body)
            }
            "embedding" => {
                type $contract = EmbeddingContract;
                Some($body)
            }
            "info_nce" => {
                type $contract = InfoNceContract;
                Some($body)
            }
            "kv_store" => {
                type $contract = KvStoreContract;
                Some($body)
            }
            "linear" => {
                type $contract = LinearContract;
                Some($body)
            }
            "linear_cross_entropy" => {
                type $contract = LinearCrossEntropyContract;
                Some($body)
            }
            "pool" => {
                type $contract = PoolContract;
                Some($body)
            }
            "qk_norm" => {
                type $contract = QkNormContract;
                Some($body)
            }
            "rms_norm" => {
                type $contract = RmsNormContract;
                Some($body)
            }
            "rope" => {
                type $contract = RopeContract;
                Some($body)
            }
            "swiglu" => {
                type $contract = SwiGluContract;
                Some($body)
            }
            "top_k" => {
                type $contract = TopKContract;
                Some($body)
            }
            _ => None,
        }
    }};
}
