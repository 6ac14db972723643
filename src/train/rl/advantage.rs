//! Advantages: a thought's reward against those of its group.

use crate::recipe::Baseline;

/// Standard deviations below this are rounding: the group's rewards are equal, and its advantages 0.
const SMALLEST: f64 = 1e-6;

/// Advantages of a group's rewards, by the baseline.
pub fn advantages(baseline: Baseline, rewards: &[f32]) -> Vec<f32> {
    let n = rewards.len() as f64;
    let mean = rewards.iter().map(|&r| f64::from(r)).sum::<f64>() / n;
    let scale = match baseline {
        Baseline::Standardised => match spread(rewards) {
            std if std < SMALLEST => 0.0,
            std => 1.0 / std,
        },
        Baseline::Mean => 1.0,
        // r − (n·mean − r)/(n − 1).
        Baseline::LeaveOneOut => n / (n - 1.0).max(1.0),
    };
    let advantage = |&r: &f32| ((f64::from(r) - mean) * scale) as f32;
    rewards.iter().map(advantage).collect()
}

/// Standard deviation of a group's rewards.
pub fn spread(rewards: &[f32]) -> f64 {
    let n = rewards.len().max(1) as f64;
    let mean = rewards.iter().map(|&r| f64::from(r)).sum::<f64>() / n;
    let squares = rewards.iter().map(|&r| (f64::from(r) - mean).powi(2));
    (squares.sum::<f64>() / n).sqrt()
}

/// Whether a group's rewards are all the same.
pub fn is_flat(rewards: &[f32]) -> bool {
    spread(rewards) < SMALLEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_baseline_by_hand() {
        let rewards = [1.0, 2.0, 3.0, 6.0];
        assert_eq!(advantages(Baseline::Mean, &rewards), [-2.0, -1.0, 0.0, 3.0]);
        let std = 3.5f32.sqrt();
        let others = [11.0 / 3.0, 10.0 / 3.0, 3.0, 2.0];
        for (baseline, want) in [
            (
                Baseline::Standardised,
                [-2.0 / std, -1.0 / std, 0.0, 3.0 / std],
            ),
            (
                Baseline::LeaveOneOut,
                std::array::from_fn(|i| rewards[i] - others[i]),
            ),
        ] {
            let got = advantages(baseline, &rewards);
            let near = got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-6);
            assert!(near, "{baseline:?}: {got:?} is not {want:?}");
        }
        assert_eq!(advantages(Baseline::Standardised, &[0.7; 8]), [0.0; 8]);
        assert!(is_flat(&[0.7; 8]) && !is_flat(&rewards));
    }
}
