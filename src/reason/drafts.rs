//! Drafts: tokens that a thought is likely to go on with.
//!
//! Decoding reads every weight for one token. A pass that feeds the next tokens too, as far as they can be
//! guessed, reads them once for all, and what is sampled behind each tells whether the guess behind it was
//! right (Leviathan et al., arXiv 2211.17192). Guesses are looked up in what was thought before (as REST's
//! are, He et al., arXiv 2311.08252): keywords come again, and so do the parts of words that they are made of.
//! Random numbers belong to positions, so a thought is the same with and without drafts.

use std::collections::HashMap;

/// Most tokens of a run that is looked up.
const ORDER: usize = 3;
/// A guess as unlikely as this, with those before it, is not worth its row in the pass.
const LEAST: f32 = 0.2;
/// Tokens that a pass may feed with drafts among them: a pass costs about what its weights do up to here.
pub const FED: usize = 8;

/// Runs that are kept, some tens of megabytes; then all are forgotten.
const MOST: usize = 1 << 18;

/// What came behind every run of up to three tokens, and how often.
#[derive(Clone, Debug, Default)]
pub struct Drafts {
    after: HashMap<[u32; ORDER], Vec<(u32, u32)>>,
}

impl Drafts {
    /// Remembers a thought, `<think>` and `</think>` with it.
    pub fn learn(&mut self, thought: &[u32]) {
        if self.after.len() > MOST {
            self.after.clear();
        }
        for (i, &token) in thought.iter().enumerate().skip(1) {
            for run in runs(&thought[..i]) {
                let counts = self.after.entry(run).or_default();
                match counts.iter_mut().find(|c| c.0 == token) {
                    Some(count) => count.1 += 1,
                    None => counts.push((token, 1)),
                }
            }
        }
    }

    /// The tokens that probably follow `thought`, at most `most`, as long as they are likely enough; `end`
    /// is the last.
    pub fn guess(&self, thought: &[u32], most: usize, end: u32) -> Vec<u32> {
        let start = thought.len().saturating_sub(ORDER);
        let mut text = thought[start..].to_vec();
        let known = text.len();
        let mut likely = 1.0;
        while text.len() - known < most && text.last() != Some(&end) {
            let Some(counts) = runs(&text).find_map(|run| self.after.get(&run)) else {
                break;
            };
            let all: u32 = counts.iter().map(|c| c.1).sum();
            let Some(&(token, count)) = counts.iter().rev().max_by_key(|c| c.1) else {
                break;
            };
            // One more for what has not come yet.
            likely *= count as f32 / (all + 1) as f32;
            if likely < LEAST {
                break;
            }
            text.push(token);
        }
        text.split_off(known)
    }
}

/// The runs that end `text`, the longest first, filled up in front.
fn runs(text: &[u32]) -> impl Iterator<Item = [u32; ORDER]> + '_ {
    (1..=ORDER.min(text.len())).rev().map(|len| {
        let mut run = [u32::MAX; ORDER];
        run[ORDER - len..].copy_from_slice(&text[text.len() - len..]);
        run
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_run_that_is_known_decides() {
        let mut drafts = Drafts::default();
        for _ in 0..9 {
            drafts.learn(&[1, 5, 6, 7, 2]);
            drafts.learn(&[1, 8, 6, 9, 2]);
        }
        assert_eq!(drafts.guess(&[1, 5, 6], 8, 2), [7, 2]);
        assert_eq!(drafts.guess(&[1, 8, 6], 8, 2), [9, 2]);
        assert_eq!(drafts.guess(&[1, 8], 2, 2), [6, 9]);
        // After 6 alone either is as likely; the first one learned is taken.
        assert_eq!(drafts.guess(&[3, 3, 6], 8, 2), [7, 2]);
        assert!(drafts.guess(&[4], 8, 2).is_empty());
        assert!(drafts.guess(&[], 8, 2).is_empty());
    }

    #[test]
    fn memory_has_an_end() {
        let mut drafts = Drafts::default();
        for token in 0..MOST as u32 {
            drafts.learn(&[token, token, token]);
            assert!(drafts.after.len() < MOST + 9);
        }
        let last = MOST as u32 - 1;
        assert_eq!(drafts.guess(&[last], 1, 0), [last]);
    }

    #[test]
    fn what_is_unlikely_is_not_guessed() {
        let mut drafts = Drafts::default();
        (0..9).for_each(|token| drafts.learn(&[1, token + 10]));
        assert!(drafts.guess(&[1], 8, 2).is_empty());
        drafts.learn(&[40, 41]);
        assert_eq!(drafts.guess(&[40], 8, 2), [41]);
    }
}
