//! Approximate search: an HNSW graph (Malkov & Yashunin 2018) by the `usearch` library.

use super::index::unit_queries;
use super::{Result, RetrieveError, Scored};
use crate::data::{DataError, jsonl, write_atomic};
use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use usearch::{IndexOptions, MetricKind, ScalarKind};

/// How a graph is built and searched; more costs time and finds more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graph {
    /// Neighbours of a node (M).
    pub connectivity: usize,
    /// Candidates kept while adding a node (efConstruction).
    pub expansion_add: usize,
    /// Candidates kept while searching (efSearch).
    pub expansion_search: usize,
}

impl Default for Graph {
    /// usearch's own defaults.
    fn default() -> Graph {
        Graph {
            connectivity: 16,
            expansion_add: 128,
            expansion_search: 64,
        }
    }
}

/// What `approximate.json` says. The library trusts the file it loads, so the checksum is checked
/// before it sees it.
#[derive(Serialize, Deserialize)]
struct Header {
    items: usize,
    hidden: usize,
    bytes: u64,
    fnv1a: u64,
    graph: Graph,
}

const HEADER_EXAMPLE: &str = r#"{"items", "hidden", "bytes", "fnv1a", "graph"}"#;

/// A graph over unit embeddings.
pub struct ApproximateIndex {
    inner: usearch::Index,
    graph: Graph,
    items: usize,
    hidden: usize,
}

impl ApproximateIndex {
    /// Builds the graph of `rows` `[items, hidden]`, of unit length. One thread adds the items in
    /// order, so that the same rows give the same graph.
    ///
    /// # Errors
    /// [`RetrieveError`] where `rows` is not a multiple of `hidden`, or the library's own.
    pub fn build(hidden: usize, rows: &[f32], graph: &Graph) -> Result<ApproximateIndex> {
        if hidden == 0 || !rows.len().is_multiple_of(hidden) {
            return Err(RetrieveError::Embedding(format!(
                "items hold {} values; expected a multiple of {hidden}, the embedding size",
                rows.len()
            )));
        }
        let items = rows.len() / hidden;
        let inner = new_library_index(hidden, graph)?;
        inner
            .reserve_capacity_and_threads(items, 1)
            .map_err(library)?;
        for (key, row) in rows.chunks_exact(hidden).enumerate() {
            inner.add(key as u64, row).map_err(library)?;
        }
        // From here on as many threads search as the processor has.
        inner.reserve(items).map_err(library)?;
        Ok(ApproximateIndex {
            inner,
            graph: graph.clone(),
            items,
            hidden,
        })
    }

    /// Writes the graph into an index folder.
    ///
    /// # Errors
    /// [`RetrieveError`] naming the file that cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let mut bytes = vec![0; self.inner.serialized_length()];
        self.inner.save_to_buffer(&mut bytes).map_err(library)?;
        let (graph_path, header_path) = paths(folder);
        write_atomic(&graph_path, |out| out.write_all(&bytes))?;
        let header = Header {
            items: self.items,
            hidden: self.hidden,
            bytes: bytes.len() as u64,
            fnv1a: fnv1a(&bytes),
            graph: self.graph.clone(),
        };
        write_atomic(&header_path, |out| {
            serde_json::to_writer_pretty(&mut *out, &header)?;
            writeln!(out)
        })?;
        Ok(())
    }

    /// Reads the graph of an index folder of `items` embeddings of `hidden` values; `None` where it
    /// has none.
    ///
    /// # Errors
    /// [`RetrieveError`] naming the file that is wrong or damaged.
    pub fn open(folder: &Path, items: usize, hidden: usize) -> Result<Option<ApproximateIndex>> {
        let (graph_path, header_path) = paths(folder);
        if !header_path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&header_path).map_err(DataError::io("read", &header_path))?;
        let header: Header = jsonl::parse(&text, HEADER_EXAMPLE)
            .map_err(|message| DataError::file(&header_path, message))?;
        if (header.items, header.hidden) != (items, hidden) {
            let message = format!(
                "a graph of {} items of {} values; expected {items} of {hidden}",
                header.items, header.hidden
            );
            return Err(DataError::file(&header_path, message).into());
        }
        let file = File::open(&graph_path).map_err(DataError::io("open", &graph_path))?;
        // SAFETY: read-only; index folders are replaced by renaming, never changed in place.
        let bytes = unsafe { Mmap::map(&file) }.map_err(DataError::io("map", &graph_path))?;
        if bytes.len() as u64 != header.bytes || fnv1a(&bytes) != header.fnv1a {
            let message = "damaged: its checksum is not the one in approximate.json; index again";
            return Err(DataError::file(&graph_path, message).into());
        }
        let inner = new_library_index(hidden, &header.graph)?;
        inner.load_from_buffer(&bytes).map_err(library)?;
        // Loading resets what is not in the file.
        inner.change_expansion_search(header.graph.expansion_search);
        if (inner.size(), inner.dimensions()) != (items, hidden) {
            let message = "is not the graph that approximate.json describes; index again";
            return Err(DataError::file(&graph_path, message).into());
        }
        Ok(Some(ApproximateIndex {
            inner,
            graph: header.graph,
            items,
            hidden,
        }))
    }

    /// About the `k` items with the highest cosine for each row of `queries` `[queries, hidden]`,
    /// best first, equal scores in the order of their index.
    ///
    /// # Errors
    /// [`RetrieveError`] where a query is zero, not finite or of another size, or the library's own.
    pub fn search(&self, queries: &[f32], k: usize) -> Result<Vec<Vec<Scored>>> {
        let unit = unit_queries(self.hidden, queries)?;
        let k = k.min(self.items);
        unit.chunks_exact(self.hidden)
            .map(|query| {
                if k == 0 {
                    return Ok(Vec::new());
                }
                let matches = self.inner.search(query, k).map_err(library)?;
                let mut hits: Vec<Scored> = matches
                    .keys
                    .iter()
                    .zip(&matches.distances)
                    // The library's distance is 1 minus the inner product.
                    .map(|(&key, &distance)| Scored {
                        index: key as u32,
                        score: 1.0 - distance,
                    })
                    .collect();
                hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index)));
                Ok(hits)
            })
            .collect()
    }
}

fn new_library_index(hidden: usize, graph: &Graph) -> Result<usearch::Index> {
    usearch::Index::new(&IndexOptions {
        dimensions: hidden,
        metric: MetricKind::IP,
        quantization: ScalarKind::F32,
        connectivity: graph.connectivity,
        expansion_add: graph.expansion_add,
        expansion_search: graph.expansion_search,
        multi: false,
    })
    .map_err(library)
}

fn library(error: impl std::fmt::Display) -> RetrieveError {
    // One line, whatever the library says.
    let text = error.to_string();
    RetrieveError::Approximate(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn paths(folder: &Path) -> (PathBuf, PathBuf) {
    let path = |name| folder.join(name);
    (path("approximate.usearch"), path("approximate.json"))
}

/// FNV-1a, 64 bits: against damage, not against forgery.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
