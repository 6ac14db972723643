//! Whether one method is better than another, or lucky: the paired randomisation test.

use crate::ops::philox::PhiloxStream;

/// Stream of the test's random signs.
const SIGNS: u64 = 5 << 32;
/// Assignments drawn; the smallest p is one over one more.
pub const TRIALS: usize = 100_000;

/// The outcome of a test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// Mean of `a − b`.
    pub difference: f64,
    /// Probability, under the hypothesis that the methods are the same, of a mean difference at least
    /// this far from 0 on either side.
    pub p: f64,
}

/// Tests the values of two methods on the same queries, in the same order, two-sided: under the
/// hypothesis that they are the same, each query's two values could as well be swapped (Smucker, Allan,
/// Carterette, "A comparison of statistical significance tests for information retrieval evaluation",
/// CIKM 2007). `None` where there are no queries or not as many of both.
///
/// The same values give the same p: signs come from a counter-based generator.
pub fn paired_randomisation(a: &[f64], b: &[f64]) -> Option<Paired> {
    if a.is_empty() || a.len() != b.len() {
        return None;
    }
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let sum: f64 = differences.iter().sum();
    // Queries on which both are level add nothing whatever their sign.
    let moving: Vec<f64> = differences.into_iter().filter(|d| *d != 0.0).collect();
    // Sums in another order differ by roundings, which must not decide.
    let slack = 1e-12 * moving.iter().map(|d| d.abs()).sum::<f64>();
    let mut random = PhiloxStream::new(0, SIGNS);
    let mut as_far = 0;
    for _ in 0..TRIALS {
        let (mut total, mut bits) = (0.0, 0);
        for (i, d) in moving.iter().enumerate() {
            if i % 32 == 0 {
                bits = random.next_u32();
            }
            total += if bits >> (i % 32) & 1 == 0 { *d } else { -*d };
        }
        as_far += usize::from(total.abs() + slack >= sum.abs());
    }
    Some(Paired {
        difference: sum / a.len() as f64,
        p: (as_far + 1) as f64 / (TRIALS + 1) as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::paired_randomisation;

    #[test]
    fn agrees_with_the_exact_distribution() {
        // Six differences of 1: of 64 assignments two are as far out. Differences of 1, 2, 3: the sum of
        // 6 is reached by two of eight; of 3, 2, −1, whose sum is 4, by four of eight.
        let cases: [(&[f64], f64); 3] = [
            (&[1.0; 6], 2.0 / 64.0),
            (&[1.0, 2.0, 3.0], 2.0 / 8.0),
            (&[3.0, 2.0, -1.0], 4.0 / 8.0),
        ];
        for (differences, expected) in cases {
            let zeros = vec![0.0; differences.len()];
            let found = paired_randomisation(differences, &zeros).unwrap();
            assert!((found.p - expected).abs() < 5e-3, "{found:?}");
            let mirrored = paired_randomisation(&zeros, differences).unwrap();
            assert_eq!(mirrored.p, found.p);
            assert_eq!(mirrored.difference, -found.difference);
        }
    }

    #[test]
    fn level_methods_are_not_told_apart() {
        let same = [0.3, 0.7, 1.0];
        assert_eq!(paired_randomisation(&same, &same).unwrap().p, 1.0);
        assert_eq!(paired_randomisation(&[], &[]), None);
        assert_eq!(paired_randomisation(&same, &same[1..]), None);
    }
}
