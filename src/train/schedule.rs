//! Learning-rate schedule: linear warm-up, then cosine.

/// Warm-up over a share of the steps, then a cosine from the peak to `floor · peak`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    pub peak: f32,
    /// Share of all steps that warm up.
    pub warmup: f32,
    /// Rate at the end, as a share of the peak.
    pub floor: f32,
    /// Number of steps.
    pub steps: usize,
}

impl Schedule {
    /// Rate of step `step`, counted from 0.
    pub fn rate(&self, step: usize) -> f32 {
        let (step, steps) = (step as f64, self.steps.max(1) as f64);
        // In f32, where a tenth of 100 steps is 10 and not a little more.
        let warmup = f64::from((steps as f32 * self.warmup).ceil());
        if step < warmup {
            return (f64::from(self.peak) * (step + 1.0) / warmup) as f32;
        }
        let done = ((step - warmup) / (steps - warmup).max(1.0)).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
        let floor = f64::from(self.floor);
        (f64::from(self.peak) * (floor + (1.0 - floor) * cosine)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warms_up_and_comes_down() {
        let s = Schedule {
            peak: 1.0,
            warmup: 0.1,
            floor: 0.1,
            steps: 100,
        };
        assert!((s.rate(0) - 0.1).abs() < 1e-6);
        assert!((s.rate(9) - 1.0).abs() < 1e-6);
        assert!((s.rate(10) - 1.0).abs() < 1e-6);
        assert!((s.rate(55) - 0.55).abs() < 1e-6);
        assert!(s.rate(99) < 0.11 && s.rate(99) >= 0.1);
        let one = Schedule { steps: 1, ..s };
        assert_eq!(one.rate(0), 1.0);
    }
}
