//! TREC's files: judgements (`qid 0 docid relevance`) and runs (`qid Q0 docid rank score tag`).

use crate::data::jsonl::Lines;
use crate::data::{DataError, Result, Triplet, write_atomic};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// Judgements: query id → document id → relevance. 0 or less is not relevant; a document that is
/// absent was not judged, which counts as not relevant.
pub type Qrels = BTreeMap<String, BTreeMap<String, i32>>;

/// Results: query id → what was found, in any order.
pub type Run = BTreeMap<String, Vec<RunEntry>>;

/// A found document.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEntry {
    /// Its id.
    pub id: String,
    /// Higher is better. trec_eval keeps scores in f32 too, so that the same scores tie.
    pub score: f32,
}

/// Judgements of triplets: every item is relevant with 1.
pub fn qrels_of(triplets: &[Triplet]) -> Qrels {
    let judged = |triplet: &Triplet| triplet.items.iter().map(|item| (item.clone(), 1)).collect();
    triplets.iter().map(|t| (t.id.clone(), judged(t))).collect()
}

/// Reads judgements. Blank lines and lines that start with `#` are skipped.
///
/// # Errors
/// [`DataError`] naming file and line: another number of fields, a relevance that is no integer, a
/// document judged twice for a query; or a file without judgements.
pub fn read_qrels(path: &Path) -> Result<Qrels> {
    let mut qrels = Qrels::new();
    read_fields(path, |fields| {
        let &[query, _, document, relevance] = fields else {
            return Err(format!(
                "{} fields; expected 4: query 0 document relevance",
                fields.len()
            ));
        };
        let relevance = relevance
            .parse()
            .map_err(|_| format!("relevance {relevance:?} is no integer"))?;
        let judged = qrels.entry(query.to_string()).or_default();
        match judged.insert(document.to_string(), relevance) {
            None => Ok(()),
            Some(_) => Err(format!(
                "document `{document}` is judged twice for query `{query}`; expected once"
            )),
        }
    })?;
    if qrels.is_empty() {
        return Err(DataError::file(path, "no judgements; expected some lines"));
    }
    Ok(qrels)
}

/// Reads a run. The rank column is ignored, as trec_eval does; fields after the tag too.
///
/// # Errors
/// [`DataError`] naming file and line: too few fields, a score that is no number, a document twice
/// for a query.
pub fn read_run(path: &Path) -> Result<Run> {
    let mut run = Run::new();
    let mut seen: BTreeMap<String, HashSet<String>> = BTreeMap::new();
    read_fields(path, |fields| {
        let &[query, _, document, _, score, _, ..] = fields else {
            return Err(format!(
                "{} fields; expected 6: query Q0 document rank score tag",
                fields.len()
            ));
        };
        // As trec_eval: read in f64, kept in f32.
        let score = match score.parse::<f64>() {
            Ok(score) if !score.is_nan() => score as f32,
            _ => return Err(format!("score {score:?} is no number")),
        };
        let documents = seen.entry(query.to_string()).or_default();
        if !documents.insert(document.to_string()) {
            return Err(format!(
                "document `{document}` is there twice for query `{query}`; expected once"
            ));
        }
        run.entry(query.to_string()).or_default().push(RunEntry {
            id: document.to_string(),
            score,
        });
        Ok(())
    })?;
    Ok(run)
}

/// Writes judgements, atomically.
///
/// # Errors
/// [`DataError`] where the file cannot be written.
pub fn write_qrels(path: &Path, qrels: &Qrels) -> Result<()> {
    write_atomic(path, |out| {
        for (query, judged) in qrels {
            for (document, relevance) in judged {
                writeln!(out, "{query} 0 {document} {relevance}")?;
            }
        }
        Ok(())
    })
}

/// Writes a run in trec_eval's order ([`rank`]), atomically. Scores are written with as many digits
/// as bring back the same f32.
///
/// # Errors
/// [`DataError`] where the file cannot be written.
pub fn write_run(path: &Path, run: &Run, tag: &str) -> Result<()> {
    write_atomic(path, |out| {
        for (query, entries) in run {
            for (at, entry) in rank(entries).into_iter().enumerate() {
                let RunEntry { id, score } = entry;
                writeln!(out, "{query} Q0 {id} {} {score} {tag}", at + 1)?;
            }
        }
        Ok(())
    })
}

/// The entries in trec_eval's order: highest score first, equal scores by id, the last in byte order
/// first.
pub fn rank(entries: &[RunEntry]) -> Vec<&RunEntry> {
    let mut ranked: Vec<&RunEntry> = entries.iter().collect();
    ranked.sort_by(|a, b| {
        // Not `total_cmp`: to trec_eval, 0 and -0 tie.
        let by_score = b.score.partial_cmp(&a.score);
        by_score
            .unwrap_or_else(|| b.score.total_cmp(&a.score))
            .then_with(|| b.id.cmp(&a.id))
    });
    ranked
}

fn read_fields(
    path: &Path,
    mut each: impl FnMut(&[&str]) -> std::result::Result<(), String>,
) -> Result<()> {
    let mut lines = Lines::open(path)?;
    while let Some((line, text)) = lines.next_line()? {
        if text.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        each(&fields).map_err(|message| DataError::line(path, line, message))?;
    }
    Ok(())
}
