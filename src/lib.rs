//! `lrem`: a transformer engine and kernel workbench for Large Reasoning Embedding Models.
//!
//! One decoder language model embeds both sides of a search. For a query it first thinks a few
//! keywords (`<think> … </think>`) and then emits `<emb>`, whose last hidden state is the query
//! embedding; product titles are embedded directly (Tang et al., arXiv 2510.14321).
//!
//! Data flows downwards: `cli → recipe → train | reason | embed | retrieve → model → device → ops`.

pub mod bench;
pub mod data;
pub mod device;
pub mod embed;
pub mod model;
pub mod ops;
pub mod reason;
pub mod recipe;
pub mod report;
pub mod retrieve;
pub mod teacher;
pub mod text;
pub mod train;
pub mod workbench;
