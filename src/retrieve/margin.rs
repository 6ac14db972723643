//! How sure a search is of its best item.

use super::Scored;

/// Cosine of the best hit less that of the second best; `hits` best first. Infinite where there are not
/// two, as nothing can come out differently then.
///
/// A model that is sure of what a query asks for puts one item well ahead. It costs nothing but the search
/// that is made anyway, and compares two cosines of the same query, so that how near queries lie to all
/// items does not matter, as it does to the best cosine alone.
pub fn margin(hits: &[Scored]) -> f32 {
    match hits {
        [best, second, ..] => best.score - second.score,
        _ => f32::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::{Scored, margin};

    #[test]
    fn the_lead_of_the_best_hit() {
        let hits = [0.75f32, 0.5, 0.125].map(|score| Scored { index: 0, score });
        assert_eq!(margin(&hits), 0.25);
        assert_eq!(margin(&hits[1..]), 0.375);
        assert_eq!(margin(&hits[..1]), f32::INFINITY);
    }
}
