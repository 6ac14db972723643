//! The ratio of two medians and its confidence interval, by the bootstrap.

use super::Ratio;
use crate::bench::{median, median_of_sorted};
use crate::ops::philox::PhiloxStream;

/// Stream of the resampling.
const RESAMPLES: u64 = 9 << 32;
/// Resamples of both sides. Of 40 lines' intervals, each end has two resamples or three beyond it.
const TRIALS: usize = 20_000;

/// The ratio of the median of `new` to that of `base`, with the percentile interval of Efron (Efron &
/// Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13) that misses with a probability of
/// about `miss`: with ten samples a side it is somewhat too short. Both must be above 0 and not empty.
///
/// The same samples give the same interval: the resampling comes from a counter-based generator.
pub fn ratio_of_medians(base: &[f64], new: &[f64], miss: f64) -> Ratio {
    let mut random = PhiloxStream::new(0, RESAMPLES);
    let mut resampled = |values: &[f64]| {
        let mut drawn: Vec<f64> = values
            .iter()
            .map(|_| values[random.below(values.len())])
            .collect();
        drawn.sort_by(f64::total_cmp);
        median_of_sorted(&drawn)
    };
    let mut ratios: Vec<f64> = (0..TRIALS)
        .map(|_| resampled(new) / resampled(base))
        .collect();
    ratios.sort_by(f64::total_cmp);
    let beyond = (miss / 2.0 * TRIALS as f64) as usize;
    let beyond = beyond.min((TRIALS - 1) / 2);
    Ratio {
        estimate: median(new) / median(base),
        low: ratios[beyond],
        high: ratios[TRIALS - 1 - beyond],
    }
}

#[cfg(test)]
mod tests {
    use super::ratio_of_medians;
    use crate::bench::compare::Verdict;
    use crate::ops::philox::PhiloxStream;

    /// Times around `centre` with a spread of 2 %.
    fn times(random: &mut PhiloxStream, centre: f64) -> Vec<f64> {
        (0..50)
            .map(|_| centre * (1.0 + 0.02 * f64::from(random.normal())))
            .collect()
    }

    #[test]
    fn a_machine_that_does_not_drift_needs_no_turns() {
        let mut random = PhiloxStream::new(2, 0);
        let (mut equal, mut slower, mut holds) = (0, 0, 0);
        for _ in 0..30 {
            let base = times(&mut random, 1000.0);
            let (same, slowed) = (times(&mut random, 1000.0), times(&mut random, 1050.0));
            let ratio = ratio_of_medians(&base, &same, 0.05);
            holds += usize::from(ratio.low <= 1.0 && ratio.high >= 1.0);
            equal += usize::from(Verdict::of(&ratio, 0.02) == Verdict::Equal);
            let ratio = ratio_of_medians(&base, &slowed, 0.01);
            slower += usize::from(Verdict::of(&ratio, 0.02) == Verdict::Slower);
        }
        assert!(holds >= 26, "{holds} of 30 intervals hold");
        assert_eq!((equal, slower), (30, 30));
    }

    #[test]
    fn the_same_samples_give_the_same_interval() {
        let (base, new) = ([10.0, 11.0, 12.0], [20.0, 22.0, 24.0]);
        let ratio = ratio_of_medians(&base, &new, 0.05);
        assert_eq!(ratio, ratio_of_medians(&base, &new, 0.05));
        assert_eq!(ratio.estimate, 2.0);
        assert!(ratio.low >= 20.0 / 12.0 && ratio.high <= 2.4);
        let one = ratio_of_medians(&[10.0], &[10.0], 0.05);
        assert_eq!((one.low, one.high), (1.0, 1.0));
    }
}
