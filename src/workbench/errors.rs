//! How far off results are.

use super::Output;
use serde::{Deserialize, Serialize};

/// The largest errors of an op's outputs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    pub max_absolute: f64,
    /// Over the magnitude of what was expected, where that is not 0.
    pub max_relative: f64,
    /// Over what the op's error analysis allows: above 1 it is wrong.
    pub of_allowed: f64,
    /// Where that is: output and element.
    pub place: String,
}

impl Errors {
    /// Of all outputs. What is not finite but should be, or not there, is off by the largest number.
    pub fn of(outputs: &[Output]) -> Errors {
        let mut errors = Errors::default();
        for output in outputs {
            for (at, &want) in output.want.iter().enumerate() {
                let (near, allowed) = (output.is_near(at), output.tolerance[at]);
                let in_range = want.abs() <= f64::from(f32::MAX);
                if near && !in_range {
                    continue;
                }
                let got = output.got.get(at).copied().map_or(f64::NAN, f64::from);
                let off = (got - want).abs();
                let off = if off.is_finite() { off } else { f64::MAX };
                errors.max_absolute = errors.max_absolute.max(off);
                if want != 0.0 {
                    let relative = (off / want.abs()).min(f64::MAX);
                    errors.max_relative = errors.max_relative.max(relative);
                }
                // No bound, as of a sum that an infinity is part of, or one that only exact numbers keep.
                let of_allowed = match near {
                    true if off == 0.0 || !allowed.is_finite() => 0.0,
                    _ => (off / allowed).min(f64::MAX),
                };
                if of_allowed > errors.of_allowed {
                    errors.of_allowed = of_allowed;
                    errors.place = format!("{}[{at}]", output.name);
                }
            }
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::Errors;
    use crate::workbench::Output;
    use crate::workbench::probe::Before;

    #[test]
    fn errors_are_measured_against_what_is_allowed() {
        let output = |got: &[f32], want: &[f64]| Output {
            name: "y".into(),
            got: got.to_vec(),
            want: want.to_vec(),
            tolerance: vec![0.5; want.len()],
            before: Before::Poison(0.0),
        };
        let near = Errors::of(&[output(&[1.0, 2.25, f32::NAN], &[1.0, 2.0, f64::NAN])]);
        assert_eq!((near.max_absolute, near.max_relative), (0.25, 0.125));
        assert_eq!((near.of_allowed, near.place.as_str()), (0.5, "y[1]"));
        let missing = Errors::of(&[output(&[1.0], &[1.0, 2.0])]);
        assert_eq!(
            (missing.of_allowed, missing.place.as_str()),
            (f64::MAX, "y[1]")
        );
        let infinite = Errors::of(&[output(&[f32::INFINITY], &[1.0])]);
        assert_eq!(infinite.of_allowed, f64::MAX);
        assert_eq!(Errors::of(&[output(&[1.0], &[1.0])]), Errors::default());
    }
}
