//! Axes: what they measure in, how far they reach, and where their ticks are.

/// An axis with its label.
#[derive(Clone, Debug)]
pub struct Axis {
    pub label: String,
    /// Whether equal distances are equal factors; needs values above 0.
    pub logarithmic: bool,
}

impl Axis {
    /// A linear axis.
    pub fn linear(label: &str) -> Axis {
        Axis {
            label: label.to_string(),
            logarithmic: false,
        }
    }

    fn at(&self, value: f64) -> f64 {
        match self.logarithmic {
            true => value.ln(),
            false => value,
        }
    }
}

/// The ends of an axis, as it measures them, and where its ticks are.
pub(super) struct Scale {
    low: f64,
    high: f64,
    pub(super) ticks: Vec<f64>,
}

impl Scale {
    pub(super) fn new(axis: &Axis, values: &[f64]) -> Option<Scale> {
        let shown = |v: &f64| axis.at(*v).is_finite();
        let low = values.iter().copied().filter(shown).reduce(f64::min)?;
        let high = values.iter().copied().filter(shown).reduce(f64::max)?;
        let (low_at, high_at) = (axis.at(low), axis.at(high));
        let margin = match high_at - low_at {
            0.0 => low_at.abs().max(1.0) * 0.1,
            extent => extent * 0.06,
        };
        let (from, to) = (low_at - margin, high_at + margin);
        let ticks = match axis.logarithmic {
            true => match factors(from.exp(), to.exp()) {
                few if few.len() < 3 => steps(from.exp(), to.exp()),
                ticks => ticks,
            },
            false => steps(from, to),
        };
        Some(Scale {
            low: from,
            high: to,
            ticks,
        })
    }

    pub(super) fn share(&self, axis: &Axis, value: f64) -> f64 {
        let at = (axis.at(value) - self.low) / (self.high - self.low);
        if at.is_finite() { at } else { 0.0 }
    }
}

/// Multiples of 1, 2 or 5 times a power of ten, about five of them.
fn steps(low: f64, high: f64) -> Vec<f64> {
    let raw = (high - low) / 5.0;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power);
    let step = step.into_iter().find(|s| *s >= raw).unwrap_or(power);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).map(|k| k as f64 * step).collect()
}

/// 1, 2 and 5 times powers of ten.
fn factors(low: f64, high: f64) -> Vec<f64> {
    let powers = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
    powers
        .flat_map(|p| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(p)))
        .filter(|v| (low..=high).contains(v))
        .collect()
}

/// A tick's text: as many digits as it needs.
pub(super) fn number(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    format!("{}", if rounded == 0.0 { 0.0 } else { rounded })
}

#[cfg(test)]
mod tests {
    use super::{factors, number, steps};

    #[test]
    fn ticks_are_round_numbers() {
        let text = |ticks: Vec<f64>| ticks.into_iter().map(number).collect::<Vec<_>>();
        assert_eq!(
            text(steps(0.243, 0.291)),
            ["0.25", "0.26", "0.27", "0.28", "0.29"]
        );
        assert_eq!(text(steps(-3.0, 17.0)), ["0", "5", "10", "15"]);
        assert_eq!(text(factors(8.0, 130.0)), ["10", "20", "50", "100"]);
    }
}
