//! From a teacher's list of keywords to a thought: the paper's rules (lrem, Data 2; Tables 4 and 5).

use std::collections::HashSet;

/// Longest keyword, in words: a longer one is a sentence.
const WORDS: usize = 6;

/// What a thought must not hold.
#[derive(Clone, Debug, Default)]
pub struct KeywordRules {
    /// Words, in lower case: a keyword with one of them is dropped.
    pub banned: HashSet<String>,
    /// Most keywords of a thought; 0: any number.
    pub most: usize,
}

impl KeywordRules {
    /// The keywords in `text`, joined by commas; empty where none is left.
    ///
    /// `text` separates them by commas, semicolons or line ends; numbering, bullets and quotes around
    /// them go. A keyword is dropped where it came before, where all its words are the query's, where a
    /// word is banned, and where it is longer than six words. Words compare in lower case.
    pub fn thought(&self, query: &str, text: &str) -> String {
        let query: HashSet<String> = words(query).collect();
        let mut seen = HashSet::new();
        let mut kept: Vec<String> = Vec::new();
        for part in text.split([',', ';', '\n']) {
            let keyword = bare(part);
            let words: Vec<String> = words(&keyword).collect();
            let adds = words.iter().any(|word| !query.contains(word));
            let banned = words.iter().any(|word| self.banned.contains(word));
            if adds && !banned && words.len() <= WORDS && seen.insert(words) {
                kept.push(keyword);
            }
        }
        if self.most > 0 {
            kept.truncate(self.most);
        }
        kept.join(", ")
    }
}

/// A keyword in lower case without what lists put around it: `2. "Oat Milk".` is `oat milk`.
fn bare(part: &str) -> String {
    let part = part.trim();
    let number = part.trim_start_matches(|c: char| c.is_ascii_digit());
    let part = match number.strip_prefix(['.', ')']) {
        Some(rest) if number.len() < part.len() && rest.starts_with(' ') => rest,
        _ => part,
    };
    let around = |c: char| c.is_whitespace() || "-*•\"'`.:!?()[]<>".contains(c);
    let spaced: Vec<&str> = part.trim_matches(around).split_whitespace().collect();
    spaced.join(" ").to_lowercase()
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::KeywordRules;

    #[test]
    fn rules_leave_a_clean_list() {
        let rules = KeywordRules {
            banned: ["cheap".to_string()].into(),
            most: 4,
        };
        for (text, thought) in [
            ("Oat Milk, oat milk, OAT  milk", "oat milk"),
            (
                "1. \"Oat drink\"\n2) almond milk.\n- soya",
                "oat drink, almond milk, soya",
            ),
            ("milk, without cows, vegan milk", "vegan milk"),
            ("cheap oat milk; rice milk", "rice milk"),
            ("a, b, c, d, e", "a, b, c, d"),
            ("what you are looking for is a plant drink", ""),
            ("3.5 % fat milk", "3.5 % fat milk"),
            (" , ;\n", ""),
        ] {
            assert_eq!(
                rules.thought("milk without cows", text),
                thought,
                "{text:?}"
            );
        }
    }
}
