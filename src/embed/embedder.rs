//! From text to unit vectors: titles directly, queries with or without a thought.

use super::encode::BATCH_TOKENS;
use super::{
    Encoder, FolderError, Gate, GateError, OwnThoughts, Pooling, Sequence, Side, Thinking,
    normalize,
};
use crate::device::{Device, DeviceError};
use crate::model::Model;
use crate::reason::{Ending, Question, Reasoner, ThinkOptions, Thought};
use crate::text::{PromptError, Prompts, Tokenizer, TokenizerError};

/// What can go wrong between a text and its embedding.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Prompt(#[from] PromptError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error("{what} {number} is empty; expected some text")]
    Empty { what: &'static str, number: usize },
    #[error("{what} {number} takes {tokens} tokens with its prompt, the context holds {context}")]
    TooLong {
        what: &'static str,
        number: usize,
        tokens: usize,
        context: usize,
    },
    #[error("{thoughts} thoughts were given for {queries} queries")]
    Thoughts { thoughts: usize, queries: usize },
    #[error("{0}")]
    Gate(GateError),
}

/// What a query was embedded with.
#[derive(Clone, Debug, PartialEq)]
pub struct ThoughtText {
    pub text: String,
    pub tokens: usize,
    /// Whether the model closed the thought itself.
    pub ending: Option<Ending>,
}

/// Embedded queries.
pub struct EmbeddedQueries {
    /// Unit vectors, `[queries, hidden]`.
    pub rows: Vec<f32>,
    /// Thoughts of every query; empty for direct embeddings, and of queries that a gate sent past them.
    pub thoughts: Vec<Vec<ThoughtText>>,
}

/// A model with its tokenizer and prompts.
pub struct Embedder<'a, D: Device> {
    pub model: &'a Model<D>,
    pub tokenizer: &'a Tokenizer,
    pub prompts: &'a Prompts,
    pub pooling: Pooling,
}

impl<D: Device> Copy for Embedder<'_, D> {}

impl<D: Device> Clone for Embedder<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D: Device> Embedder<'_, D> {
    /// Unit vectors of titles, `[titles, hidden]`.
    pub fn items<S: AsRef<str>>(&self, titles: &[S]) -> Result<Vec<f32>, EmbedError> {
        let mut sequences = Vec::with_capacity(titles.len());
        for (i, title) in titles.iter().enumerate() {
            let title = title.as_ref();
            let mut ids = self.prompts.item(self.tokenizer, title)?;
            ids.extend(self.pooling.appends_emb().then_some(self.prompts.emb));
            let trunk = self.prompts.item_prefix.len();
            self.check("title", i, title, ids.len() + trunk)?;
            let side = Side::Item;
            sequences.push(Sequence { side, ids });
        }
        self.encode(&sequences)
    }

    /// Unit vectors of queries, and the thoughts that led to them.
    pub fn queries<S: AsRef<str>>(
        &self,
        queries: &[S],
        thinking: &Thinking,
    ) -> Result<EmbeddedQueries, EmbedError> {
        self.gated_queries(queries, thinking, None)
    }

    /// The same, where `gate` says about which queries the model thinks its own thoughts; the others'
    /// vectors are those of [`Thinking::Direct`].
    pub fn gated_queries<S: AsRef<str>>(
        &self,
        queries: &[S],
        thinking: &Thinking,
        gate: Option<&mut dyn Gate>,
    ) -> Result<EmbeddedQueries, EmbedError> {
        let ids = self.query_ids(queries, thinking)?;
        match thinking {
            Thinking::Direct => {
                let emb = self.pooling.appends_emb().then_some(self.prompts.emb);
                let with_emb = |mut ids: Vec<u32>| {
                    ids.extend(emb);
                    ids
                };
                let rows = self.encode_queries(ids.into_iter().map(with_emb).collect())?;
                let thoughts = Vec::new();
                Ok(EmbeddedQueries { rows, thoughts })
            }
            Thinking::Given { texts, budget } => self.with_given(ids, texts, *budget),
            Thinking::Own { budget, options } => self.with_own(ids, *budget, options, gate),
        }
    }

    /// Tokens of queries below the query trunk, checked against the context.
    pub(super) fn query_ids<S: AsRef<str>>(
        &self,
        queries: &[S],
        thinking: &Thinking,
    ) -> Result<Vec<Vec<u32>>, EmbedError> {
        let mut ids = Vec::with_capacity(queries.len());
        let extra = match thinking {
            Thinking::Direct => 1,
            Thinking::Own { budget, .. } | Thinking::Given { budget, .. } => budget + 3,
        };
        for (i, query) in queries.iter().enumerate() {
            let query = query.as_ref();
            let tokens = self.prompts.query(self.tokenizer, query)?;
            let trunk = self.prompts.query_prefix.len();
            self.check("query", i, query, tokens.len() + trunk + extra)?;
            ids.push(tokens);
        }
        Ok(ids)
    }

    fn with_given(
        &self,
        ids: Vec<Vec<u32>>,
        texts: &[String],
        budget: usize,
    ) -> Result<EmbeddedQueries, EmbedError> {
        if texts.len() != ids.len() {
            let (thoughts, queries) = (texts.len(), ids.len());
            return Err(EmbedError::Thoughts { thoughts, queries });
        }
        let (mut sequences, mut thoughts) = (Vec::new(), Vec::new());
        for (mut ids, text) in ids.into_iter().zip(texts) {
            let tokens = match text.trim() {
                "" => Vec::new(),
                text => self.prompts.thought(self.tokenizer, text, budget)?,
            };
            ids.extend(self.prompts.branch(&tokens));
            sequences.push(ids);
            thoughts.push(vec![ThoughtText {
                text: text.clone(),
                tokens: tokens.len(),
                ending: None,
            }]);
        }
        let rows = self.encode_queries(sequences)?;
        Ok(EmbeddedQueries { rows, thoughts })
    }

    fn with_own(
        &self,
        ids: Vec<Vec<u32>>,
        budget: usize,
        own: &OwnThoughts,
        gate: Option<&mut dyn Gate>,
    ) -> Result<EmbeddedQueries, EmbedError> {
        let (questions, options) = own.questions(ids, budget, gate.is_some());
        let (model, prompts) = (self.model, self.prompts);
        let mut reasoner = Reasoner::for_questions(model, prompts, &questions, &options)?;
        self.think(&mut reasoner, own, &questions, &options, gate)
    }

    /// Lets `reasoner` think about every query, or about those that `gate` does not send past it.
    pub(super) fn think(
        &self,
        reasoner: &mut Reasoner<'_, D>,
        own: &OwnThoughts,
        questions: &[Question],
        options: &ThinkOptions,
        gate: Option<&mut dyn Gate>,
    ) -> Result<EmbeddedQueries, EmbedError> {
        let hidden = self.model.config.hidden_size;
        let answers = match gate {
            None => reasoner.think(questions, options)?,
            Some(gate) => reasoner.think_where(questions, options, |asked, rows| {
                let mut unit = rows.to_vec();
                normalize(&mut unit, hidden);
                gate.thinks(asked, &unit).map_err(EmbedError::Gate)
            })?,
        };
        let (mut rows, mut thoughts) = (Vec::new(), Vec::new());
        for answer in answers {
            let text = |thought: &Thought| {
                Ok(ThoughtText {
                    text: self.tokenizer.decode(&thought.tokens)?.trim().to_string(),
                    tokens: thought.tokens.len(),
                    ending: Some(thought.ending),
                })
            };
            let drawn = match answer.as_slice() {
                [direct] if direct.ending == Ending::Direct => {
                    rows.extend(&direct.embedding);
                    &[]
                }
                answer => {
                    // The gate's direct thought may not be part of the blend.
                    let blended = options.rollouts + usize::from(own.direct > 0.0);
                    rows.extend(own.blend(&answer[..blended]));
                    &answer[..options.rollouts]
                }
            };
            thoughts.push(drawn.iter().map(text).collect::<Result<_, EmbedError>>()?);
        }
        normalize(&mut rows, hidden);
        Ok(EmbeddedQueries { rows, thoughts })
    }

    fn encode_queries(&self, ids: Vec<Vec<u32>>) -> Result<Vec<f32>, EmbedError> {
        let side = Side::Query;
        let sequences: Vec<Sequence> = ids.into_iter().map(|ids| Sequence { side, ids }).collect();
        self.encode(&sequences)
    }

    fn encode(&self, sequences: &[Sequence]) -> Result<Vec<f32>, EmbedError> {
        let mut encoder = Encoder::new(self.model, self.prompts, self.pooling, BATCH_TOKENS)?;
        let mut rows = encoder.encode(sequences)?;
        normalize(&mut rows, self.model.config.hidden_size);
        Ok(rows)
    }

    fn check(
        &self,
        what: &'static str,
        index: usize,
        text: &str,
        tokens: usize,
    ) -> Result<(), EmbedError> {
        let (number, context) = (index + 1, self.model.context());
        if text.trim().is_empty() {
            return Err(EmbedError::Empty { what, number });
        }
        if tokens > context {
            return Err(EmbedError::TooLong {
                what,
                number,
                tokens,
                context,
            });
        }
        Ok(())
    }
}
