//! A row of the decode loop.

use super::thought::{Ending, Thought};
use crate::ops::forest::Span;
use crate::ops::sample::Sampled;
use crate::text::Prompts;

/// The cosine of two vectors that are not 0.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y));
        products.sum()
    };
    (dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()) as f32
}

/// A row being decoded.
pub struct Row {
    pub question: usize,
    pub rollout: usize,
    pub key: u64,
    pub span: Span,
    /// Tokens of `span` that are in the cache and stay.
    pub cached: usize,
    /// The token to feed next; none where the thought is over and its end goes in.
    pub last: Option<u32>,
    pub thought: Thought,
    pub entropy: f32,
    /// The embedding that the thought would have without its last token, where somebody looks.
    pub before: Vec<f32>,
}

/// What a row feeds in a pass.
pub struct Feed {
    pub ids: Vec<u32>,
    /// Of these, from the first on, those whose successors are sampled.
    pub read: usize,
}

impl Feed {
    /// Whether `</think><emb>` are the last of it.
    pub fn closes(&self) -> bool {
        self.ids.len() > self.read
    }
}

/// What ends a thought.
pub struct Rules<'a> {
    /// Most tokens.
    pub budget: usize,
    pub prompts: &'a Prompts,
    /// Tokens that break it off.
    pub control: &'a [u32],
}

impl Row {
    /// `<think>` and the tokens of the thought so far.
    pub fn text(&self, p: &Prompts) -> Vec<u32> {
        let mut text = vec![p.think];
        text.extend(&self.thought.tokens);
        text
    }

    /// The next token, and drafts of those behind it; the end of the thought rides along where it is drafted,
    /// the budget is spent or the embedding is `watched`.
    pub fn feed(&self, drafts: &[u32], budget: usize, watched: bool, p: &Prompts) -> Feed {
        let end = [p.end_think, p.emb];
        let mut ids: Vec<u32> = self.last.into_iter().collect();
        if ids.is_empty() {
            ids.extend(end);
            return Feed { ids, read: 0 };
        }
        let drafted = drafts.iter().take_while(|&&token| token != end[0]);
        ids.extend(drafted);
        let read = ids.len();
        let spent = self.thought.tokens.len() + read - 1 == budget;
        if spent || watched || drafts.last() == Some(&end[0]) {
            ids.extend(end);
        }
        Feed { ids, read }
    }

    /// Takes what was sampled behind each token of `feed`, as far as the drafts were right. True where the
    /// thought is over and its end was fed in its place.
    pub fn read(&mut self, feed: &Feed, sampled: &[Sampled], rules: &Rules<'_>) -> bool {
        for (i, s) in sampled.iter().enumerate() {
            let fed = feed.ids.get(i + 1);
            self.cached += 1;
            if self.take(*s, rules) {
                self.last = None;
                return fed == Some(&rules.prompts.end_think);
            }
            self.last = Some(s.token);
            if fed != Some(&s.token) {
                return false;
            }
        }
        // Nothing was sampled: this was the end.
        self.last.is_none()
    }

    /// Looks at the embedding that the thought would have if it ended with what is in the cache after this
    /// pass. True where it is that of the pass before, by a cosine of at least `settled`: then it is over.
    pub fn settles(&mut self, embedding: &[f32], settled: f32) -> bool {
        let over = !self.before.is_empty() && cosine(&self.before, embedding) >= settled;
        if over {
            self.thought.ending = Ending::Settled;
        }
        self.before = embedding.to_vec();
        over
    }

    /// Takes a sampled token: one more of the thought, or the end of it, and then true.
    fn take(&mut self, s: Sampled, rules: &Rules<'_>) -> bool {
        let thought = &mut self.thought;
        let closes = s.token == rules.prompts.end_think;
        if thought.tokens.len() == rules.budget && !closes {
            thought.ending = Ending::Budget;
            return true;
        }
        self.entropy += s.entropy;
        thought.drawn.push(s.token);
        thought.log_probabilities.push(s.log_probability);
        if closes {
            thought.ending = Ending::Closed;
        } else if rules.control.contains(&s.token) {
            thought.ending = Ending::Broken;
        } else {
            thought.tokens.push(s.token);
            return false;
        }
        true
    }
}
