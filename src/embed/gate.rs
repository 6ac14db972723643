//! Which queries are worth a thought.

/// Why a gate cannot decide.
pub type GateError = Box<dyn std::error::Error + Send + Sync>;

/// Sends queries past the thought whose embedding without one will do.
///
/// That embedding comes out of the pass that the query goes in by, beside `<think>`: a query that is sent
/// past the thought costs this one pass, another one nothing more than without a gate.
pub trait Gate {
    /// Whether to think about each of `asked`, numbers of queries whose unit vectors without a thought are
    /// `rows` `[asked, hidden]`. Every query is asked about once.
    ///
    /// # Errors
    /// What keeps it from deciding; nothing is embedded then.
    fn thinks(&mut self, asked: &[usize], rows: &[f32]) -> Result<Vec<bool>, GateError>;
}
