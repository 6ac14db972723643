//! The compiler's options that all kernels have in common.

use std::path::Path;

/// `headers` is the folder of the `.cuh` files that kernels include, `cuda` that of CUDA's own.
pub fn of(headers: &Path, cuda: &Path) -> Vec<String> {
    vec![
        "--std=c++17".to_owned(),
        format!("--include-path={}", headers.display()),
        format!("--include-path={}", cuda.display()),
        "--generate-line-info".to_owned(),
        "--ptxas-options=--warn-on-spills".to_owned(),
    ]
}
