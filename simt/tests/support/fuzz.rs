//! How long tests with damaged input go on.

/// Inputs of a test: as many as `SIMT_FUZZ` says, or `usual`.
pub fn cases(usual: u32) -> u32 {
    let asked = std::env::var("SIMT_FUZZ").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(usual)
}
