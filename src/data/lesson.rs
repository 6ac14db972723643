//! Lessons in a catalogue's words, from its titles alone.
//!
//! A thought names products in the words of their titles, and most of those stand in no training query's
//! thought. A lesson asks for a product by one part of its title and answers with the rest, in the form
//! of a query and its thought.

use std::collections::HashMap;

/// Titles that a word opens before it counts as a brand.
const BRAND: usize = 4;

/// A part of a title, and the rest of it as a thought; both in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesson {
    pub query: String,
    pub thought: String,
}

/// Every lesson of every title, in their order: one for each part between commas of a title that has
/// several. Brands go first: a word, or two that always stand together, that opens four titles or more.
pub fn lessons(titles: &[&str]) -> Vec<Lesson> {
    let mut first: HashMap<&str, usize> = HashMap::new();
    let mut pairs: HashMap<(&str, &str), usize> = HashMap::new();
    for title in titles {
        let mut words = title.split_whitespace();
        if let Some(word) = words.next() {
            *first.entry(word).or_default() += 1;
            if let Some(second) = words.next() {
                *pairs.entry((word, second)).or_default() += 1;
            }
        }
    }
    let brand_words = |words: &[&str]| match words {
        [word, second, _, ..] if pairs[&(*word, *second)] >= BRAND.max(first[word]) => 2,
        [word, _, ..] if first[word] >= BRAND => 1,
        _ => 0,
    };
    let mut lessons = Vec::new();
    for title in titles {
        let words: Vec<&str> = title.split_whitespace().collect();
        let named = words[brand_words(&words)..].join(" ").to_lowercase();
        let parts: Vec<&str> = named
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect();
        if parts.len() < 2 {
            continue;
        }
        for (asked, part) in parts.iter().enumerate() {
            let others = parts.iter().enumerate().filter(|(at, _)| *at != asked);
            let others: Vec<&str> = others.map(|(_, part)| *part).collect();
            lessons.push(Lesson {
                query: part.to_string(),
                thought: others.join(", "),
            });
        }
    }
    lessons
}

#[cfg(test)]
mod tests {
    use super::{Lesson, lessons};

    #[test]
    fn one_part_asks_and_the_others_answer() {
        let titles = [
            "Oatwell Pearl Barley, 500 g",
            "Oatwell Oats",
            "Oatwell Rye, Fine",
            "Oatwell Spelt",
            "Jade Lantern Soy Sauce, Dark, 500 ml",
            "Jade Lantern Noodles",
            "Jade Lantern Rice",
            "Jade Lantern Vinegar",
            "Plain Lamp, , Red",
        ];
        let lesson = |query: &str, thought: &str| Lesson {
            query: query.into(),
            thought: thought.into(),
        };
        assert_eq!(
            lessons(&titles),
            [
                lesson("pearl barley", "500 g"),
                lesson("500 g", "pearl barley"),
                lesson("rye", "fine"),
                lesson("fine", "rye"),
                lesson("soy sauce", "dark, 500 ml"),
                lesson("dark", "soy sauce, 500 ml"),
                lesson("500 ml", "soy sauce, dark"),
                lesson("plain lamp", "red"),
                lesson("red", "plain lamp"),
            ]
        );
        assert_eq!(lessons(&["", ",", "Tea"]), []);
    }
}
