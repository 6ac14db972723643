//! The centre of a symmetric distribution and its exact confidence interval, by Wilcoxon's signed ranks
//! (Hollander, Wolfe & Chicken, "Nonparametric Statistical Methods", 3rd ed., sections 3.1 to 3.3).
//!
//! The estimate is Hodges and Lehmann's: the median of the means of all pairs (Walsh averages). The
//! interval between two of these averages holds the centre with a probability that needs no assumption on
//! the tails: a round that another process disturbed moves it hardly at all.

use crate::bench::median_of_sorted;

/// The centre of `values` and the ends of an interval that misses it with a probability of at most
/// `miss`; `None` where there are too few values for that (see [`fewest`]).
pub fn centre(values: &[f64], miss: f64) -> Option<[f64; 3]> {
    let from_ends = cut(values.len(), miss);
    if from_ends == 0 {
        return None;
    }
    let mut averages = Vec::with_capacity(values.len() * (values.len() + 1) / 2);
    for (i, a) in values.iter().enumerate() {
        averages.extend(values[i..].iter().map(|b| (a + b) / 2.0));
    }
    averages.sort_by(f64::total_cmp);
    let (low, high) = (from_ends - 1, averages.len() - from_ends);
    Some([averages[low], median_of_sorted(&averages), averages[high]])
}

/// The fewest values that allow an interval: all `n` are on one side of the centre with a probability of
/// `2 / 2ⁿ`.
pub fn fewest(miss: f64) -> usize {
    (1.0 - miss.log2()).ceil() as usize
}

/// How many averages from either end the interval's ends are: the largest `c` where the sum of the
/// ranks of the positive values is below `c` with a probability of at most `miss / 2`. Every rank is
/// positive or negative with a probability of a half.
fn cut(n: usize, miss: f64) -> usize {
    let ranks = n * (n + 1) / 2;
    let mut probabilities = vec![0.0; ranks + 1];
    probabilities[0] = 1.0;
    for rank in 1..=n {
        for sum in (0..=ranks).rev() {
            let with = sum.checked_sub(rank).map_or(0.0, |s| probabilities[s]);
            probabilities[sum] = (probabilities[sum] + with) / 2.0;
        }
    }
    let mut total = 0.0;
    let within = |p: &&f64| {
        total += **p;
        total <= miss / 2.0
    };
    probabilities.iter().take_while(within).count()
}

#[cfg(test)]
mod tests {
    use super::{centre, cut, fewest};
    use crate::ops::philox::PhiloxStream;

    #[test]
    fn cuts_are_those_of_the_tables() {
        // Critical values for 5 % and 1 % on both sides: the largest sum that rejects, here plus one.
        for (n, miss, critical) in [(6, 0.05, 0), (10, 0.05, 8), (20, 0.05, 52), (20, 0.01, 37)] {
            assert_eq!(cut(n, miss), critical + 1, "{n} values, {miss}");
        }
        for miss in [0.05, 0.01, 0.001] {
            let n = fewest(miss);
            assert!(cut(n, miss) == 1 && cut(n - 1, miss) == 0, "{miss}");
        }
    }

    #[test]
    fn one_wild_value_moves_little() {
        let mut values: Vec<f64> = (0..21).map(f64::from).collect();
        assert_eq!(centre(&values, 0.05).unwrap()[1], 10.0);
        values[20] = 1e9;
        let [low, middle, high] = centre(&values, 0.05).unwrap();
        assert!(low > 5.0 && (9.5..11.5).contains(&middle) && high < 16.0);
        assert_eq!(centre(&values[..5], 0.05), None);
    }

    /// Of 2000 intervals at 95 %, whatever the tails, at least 94 % hold the centre.
    #[test]
    fn intervals_hold_as_often_as_they_say() {
        let mut random = PhiloxStream::new(1, 0);
        for tails in [1.0, 3.0, 30.0] {
            let mut holds = 0;
            for _ in 0..2000 {
                let mut draw = || {
                    let scale = if random.uniform() < 0.1 { tails } else { 1.0 };
                    f64::from(random.normal()) * scale
                };
                let values: Vec<f64> = (0..12).map(|_| draw()).collect();
                let [low, _, high] = centre(&values, 0.05).unwrap();
                holds += usize::from(low <= 0.0 && high >= 0.0);
            }
            assert!(holds >= 1880, "tails {tails}: {holds} of 2000");
        }
    }
}
