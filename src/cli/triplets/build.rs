//! From a query to its thought and items.

use super::work::{Outcome, Work};
use crate::cli::Error;
use crate::cli::searcher::Searcher;
use lrem::data::{Catalogue, KeywordRules, Query};
use lrem::device::Device;
use lrem::embed::Thinking;
use lrem::teacher::{Completion, Message, Teacher, TeacherError, prompts};

/// Items looked at to tell whether direct search serves a query.
const FIRST: usize = 10;
/// Most tokens of keywords, and of a judgement.
const KEYWORDS: usize = 64;
const JUDGEMENT: usize = 8;

/// What makes triplets.
pub struct Builder<'a, D: Device> {
    /// The direct retriever.
    pub searcher: &'a Searcher<D>,
    pub catalogue: &'a Catalogue,
    pub teacher: &'a dyn Teacher,
    /// What judges relevance.
    pub judge: &'a dyn Teacher,
    pub rules: &'a KeywordRules,
    /// Items that a search finds.
    pub top: usize,
    /// Most items of a difference that are judged.
    pub judged: usize,
    /// Share of relevant first items from which direct search serves a query.
    pub served: Option<f32>,
    /// Most tokens of the free reasoning.
    pub reasoning: usize,
}

impl<D: Device> Builder<'_, D> {
    /// Works of queries, in their order; the teacher is asked about all of them at once.
    pub fn build(&self, queries: &[&Query]) -> Result<Vec<Work>, Error> {
        let texts: Vec<String> = queries.iter().map(|q| q.query.clone()).collect();
        let found = self.search(&texts)?;
        let at: Vec<usize> = (0..queries.len()).collect();
        let thoughts = at_once(&at, |&i| self.think(&queries[i].query, &found[i]));
        let mut works = Vec::with_capacity(queries.len());
        for (query, thought) in queries.iter().zip(thoughts) {
            works.push(Work {
                id: query.id.clone(),
                query: query.query.clone(),
                items: Vec::new(),
                ..thought?
            });
        }
        let thinking: Vec<usize> = at
            .into_iter()
            .filter(|&i| works[i].outcome == Outcome::Kept)
            .collect();
        let with_thought = |&i: &usize| format!("{} ({})", works[i].query, works[i].cot);
        let texts: Vec<String> = thinking.iter().map(with_thought).collect();
        let new: Vec<Vec<String>> = self
            .search(&texts)?
            .into_iter()
            .zip(&thinking)
            .map(|(ids, &i)| {
                let new = ids.into_iter().filter(|id| !found[i].contains(id));
                new.take(self.judged).collect()
            })
            .collect();
        let pairs: Vec<(usize, &Vec<String>)> = thinking.iter().copied().zip(&new).collect();
        let judged = at_once(&pairs, |(i, new)| self.relevant(&queries[*i].query, new));
        for ((i, new), judged) in pairs.iter().zip(judged) {
            let (items, tokens) = judged?;
            let work = &mut works[*i];
            work.tokens = (work.tokens.0 + tokens.0, work.tokens.1 + tokens.1);
            work.outcome = match (new.is_empty(), items.is_empty()) {
                (true, _) => Outcome::NoDifference,
                (false, true) => Outcome::NoneRelevant,
                (false, false) => Outcome::Kept,
            };
            work.items = items;
        }
        Ok(works)
    }

    /// Ids of what direct search finds.
    fn search(&self, texts: &[String]) -> Result<Vec<Vec<String>>, Error> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let embedder = self.searcher.loaded.embedder();
        let rows = embedder.queries(texts, &Thinking::Direct)?.rows;
        let ids = self.searcher.index.ids();
        let hits = self.searcher.search(&rows, self.top)?;
        let names = hits
            .iter()
            .map(|hits| hits.iter().map(|h| ids[h.index as usize].clone()).collect());
        Ok(names.collect())
    }

    /// The query's thought; outcome `Kept` where there is one.
    fn think(&self, query: &str, found: &[String]) -> Result<Work, TeacherError> {
        let mut asked = Asked::default();
        let mut work = Work {
            id: String::new(),
            query: String::new(),
            outcome: Outcome::Kept,
            reasoning: String::new(),
            cot: String::new(),
            items: Vec::new(),
            tokens: (0, 0),
        };
        if let Some(served) = self.served {
            let first = &found[..FIRST.min(found.len())];
            let (relevant, tokens) = self.relevant(query, first)?;
            asked.tokens = tokens;
            if relevant.len() as f32 >= served * first.len() as f32 {
                work.outcome = Outcome::Served;
                work.tokens = asked.tokens;
                return Ok(work);
            }
        }
        let reasoning = asked.ask(self.teacher, &prompts::reason(query), self.reasoning)?;
        let extract = prompts::extract(query, &reasoning);
        let keywords = asked.ask(self.teacher, &extract, KEYWORDS)?;
        work.cot = self.rules.thought(query, &keywords);
        work.reasoning = reasoning;
        work.tokens = asked.tokens;
        if work.cot.is_empty() {
            work.outcome = Outcome::NoKeywords;
        }
        Ok(work)
    }

    /// The items that the judge finds relevant, and the tokens it took. An answer that is neither yes nor
    /// no is a no.
    fn relevant(
        &self,
        query: &str,
        items: &[String],
    ) -> Result<(Vec<String>, (u64, u64)), TeacherError> {
        let (mut asked, mut relevant) = (Asked::default(), Vec::new());
        for id in items {
            let title = self.catalogue.get(id).map_or("", |item| &item.title);
            let question = prompts::relevance(query, title);
            let answer = asked.ask(self.judge, &question, JUDGEMENT)?;
            if prompts::is_yes(&answer) == Some(true) {
                relevant.push(id.clone());
            }
        }
        Ok((relevant, asked.tokens))
    }
}

/// Counts tokens over several questions.
#[derive(Default)]
struct Asked {
    tokens: (u64, u64),
}

impl Asked {
    fn ask(
        &mut self,
        teacher: &dyn Teacher,
        messages: &[Message],
        most: usize,
    ) -> Result<String, TeacherError> {
        let Completion {
            text,
            prompt_tokens,
            completion_tokens,
        } = teacher.answer(messages, most)?;
        self.tokens.0 += prompt_tokens;
        self.tokens.1 += completion_tokens;
        Ok(text)
    }
}

/// `f` of every item, on a thread each.
fn at_once<T: Sync, R: Send>(items: &[T], f: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if let [item] = items {
        return vec![f(item)];
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = items.iter().map(|item| scope.spawn(|| f(item))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, R>| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        threads.into_iter().map(join).collect()
    })
}
