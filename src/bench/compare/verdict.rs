//! What an interval says about a change.

use super::Ratio;

/// Thresholds, as factors, that may not hide in the interval of a benchmark called equal.
const HIDING: f64 = 2.5;

/// The verdict on one benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The whole interval is above 1, and the estimate above the threshold.
    Slower,
    /// The same below 1.
    Faster,
    /// Neither, but the interval is so wide that a change of two and a half thresholds could hide in it:
    /// 5 % at the default of 2 %.
    Unclear,
    /// No change, or one below the threshold; a larger one is ruled out.
    Equal,
    OnlyBase,
    OnlyNew,
}

impl Verdict {
    /// All of them, worst first.
    pub const ALL: [Verdict; 6] = [
        Verdict::Slower,
        Verdict::Faster,
        Verdict::Unclear,
        Verdict::Equal,
        Verdict::OnlyBase,
        Verdict::OnlyNew,
    ];

    /// Judges a ratio; `threshold` is the smallest change that counts, 0.02 for 2 %.
    pub fn of(ratio: &Ratio, threshold: f64) -> Verdict {
        let counts = 1.0 + threshold;
        if ratio.low > 1.0 && ratio.estimate >= counts {
            Verdict::Slower
        } else if ratio.high < 1.0 && ratio.estimate <= 1.0 / counts {
            Verdict::Faster
        } else if ratio.high.ln().max(-ratio.low.ln()) > HIDING * counts.ln() {
            Verdict::Unclear
        } else {
            Verdict::Equal
        }
    }

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Slower => "slower",
            Verdict::Faster => "faster",
            Verdict::Unclear => "unclear",
            Verdict::Equal => "equal",
            Verdict::OnlyBase => "only in BASE",
            Verdict::OnlyNew => "only in NEW",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Ratio, Verdict};

    #[test]
    fn an_interval_and_a_threshold_decide() {
        let judged = |low, estimate, high| {
            let ratio = Ratio {
                estimate,
                low,
                high,
            };
            Verdict::of(&ratio, 0.02)
        };
        assert_eq!(judged(1.03, 1.05, 1.07), Verdict::Slower);
        assert_eq!(judged(0.93, 0.95, 0.97), Verdict::Faster);
        assert_eq!(judged(0.99, 1.01, 1.02), Verdict::Equal);
        // Real, but too small to count.
        assert_eq!(judged(1.005, 1.01, 1.015), Verdict::Equal);
        assert_eq!(judged(0.99, 1.02, 1.06), Verdict::Unclear);
        assert_eq!(judged(0.9, 1.0, 1.01), Verdict::Unclear);
    }
}
