//! The index on disk, exact search against a plain scan, approximate search against exact search.

use lrem::data::embeddings::{EmbeddingSet, EmbeddingWriter, Origin};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::ops::linear::WeightFormat;
use lrem::ops::philox::PhiloxStream;
use lrem::retrieve::approximate::{ApproximateIndex, Graph};
use lrem::retrieve::{ExactIndex, Index, Scored};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

/// A value in -1..1.
fn uniform(random: &mut PhiloxStream) -> f32 {
    random.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0
}

/// `count` rows of length 1 near one of `clusters` centres that `seed` gives.
fn clustered(seed: u64, stream: u64, clusters: usize, count: usize, hidden: usize) -> Vec<f32> {
    let mut random = PhiloxStream::new(seed, 0);
    let centres: Vec<f32> = (0..clusters * hidden)
        .map(|_| uniform(&mut random))
        .collect();
    let mut random = PhiloxStream::new(seed, stream);
    let mut rows = Vec::with_capacity(count * hidden);
    for _ in 0..count {
        let centre = &centres[random.below(clusters) * hidden..][..hidden];
        let row: Vec<f32> = centre
            .iter()
            .map(|c| c + 0.5 * uniform(&mut random))
            .collect();
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        rows.extend(row.iter().map(|x| x / norm));
    }
    rows
}

fn set(folder: &Path, hidden: usize, rows: &[f32]) -> EmbeddingSet {
    let model = "tiny".to_string();
    let npy = folder.join("embeddings.npy");
    let mut writer = EmbeddingWriter::create_or_resume(&npy, Origin { hidden, model }).unwrap();
    let ids: Vec<String> = (0..rows.len() / hidden).map(|i| format!("i{i}")).collect();
    writer.append(&ids, rows).unwrap();
    writer.finish().unwrap()
}

fn cpu() -> Cpu {
    Cpu::new(Multiply::F32)
}

/// Cosines in f64 of every item with one query, best first.
fn scan(hidden: usize, items: &[f32], query: &[f32]) -> Vec<(usize, f64)> {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(&a, &b)| f64::from(a) * f64::from(b))
            .sum()
    };
    let cosine = |item: &[f32]| dot(item, query) / (dot(item, item) * dot(query, query)).sqrt();
    let mut scored: Vec<(usize, f64)> = items.chunks(hidden).map(cosine).enumerate().collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    scored
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn exact_search_is_a_scan(
        hidden in 1usize..40, count in 1usize..80, queries in 0usize..5, k in 0usize..90, seed: u64,
        scale in 1e-3f32..1e3,
    ) {
        let items = clustered(seed, 1, 5, count, hidden);
        let queries: Vec<f32> =
            clustered(seed, 2, 5, queries, hidden).iter().map(|x| x * scale).collect();
        let device = cpu();
        let index = ExactIndex::new(&device, hidden, &items, WeightFormat::F32).unwrap();
        let found = index.search(&device, &queries, k).unwrap();
        prop_assert_eq!(found.len(), queries.len() / hidden);
        // Unit vectors, sums of at most 40 products, each rounded a few times.
        let tolerance = 64.0 * f64::from(f32::EPSILON);
        for (hits, query) in found.iter().zip(queries.chunks(hidden)) {
            let want = scan(hidden, &items, query);
            prop_assert_eq!(hits.len(), k.min(count));
            for (hit, &(_, score)) in hits.iter().zip(&want) {
                prop_assert!((f64::from(hit.score) - score).abs() < tolerance);
                // Which of two near-equal items comes first, rounding decides.
                let own = want.iter().find(|(index, _)| *index == hit.index as usize).unwrap().1;
                prop_assert!((own - score).abs() < tolerance);
            }
        }
    }
}

fn recall(found: &[Vec<Scored>], truth: &[Vec<Scored>]) -> f64 {
    let both: usize = found
        .iter()
        .zip(truth)
        .map(|(found, truth)| {
            found
                .iter()
                .filter(|a| truth.iter().any(|b| a.index == b.index))
                .count()
        })
        .sum();
    both as f64 / truth.iter().map(Vec::len).sum::<usize>() as f64
}

#[test]
fn approximate_search_finds_what_exact_search_finds() {
    let folder = tempfile::tempdir().unwrap();
    let (hidden, device) = (48, cpu());
    let rows = clustered(7, 1, 60, 4000, hidden);
    let queries = clustered(7, 2, 60, 100, hidden);
    let embeddings = set(folder.path(), hidden, &rows);
    let path = folder.path().join("index");
    let index = Index::create(&path, &embeddings, Some(&Graph::default())).unwrap();
    let exact = ExactIndex::new(&device, hidden, index.rows(), WeightFormat::F32).unwrap();
    let truth = exact.search(&device, &queries, 10).unwrap();

    let built = ApproximateIndex::build(hidden, index.rows(), &Graph::default()).unwrap();
    let loaded = index.approximate().unwrap().unwrap();
    let found = loaded.search(&queries, 10).unwrap();
    assert_eq!(built.search(&queries, 10).unwrap(), found);
    let recall = recall(&found, &truth);
    assert!(recall >= 0.95, "recall@10 is {recall}");
    for (hits, truth) in found.iter().zip(&truth) {
        assert_eq!(hits.len(), 10);
        assert!(hits.is_sorted_by(|a, b| a.score >= b.score));
        for hit in hits {
            // The same cosine, in another order of summation.
            let same = truth.iter().find(|other| other.index == hit.index);
            assert!(same.is_none_or(|other| (other.score - hit.score).abs() < 1e-5));
        }
    }
    // Several threads may search at once.
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| loaded.search(&queries, 10).unwrap()))
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), found);
        }
    });
    // The same rows give the same graph.
    let read = || fs::read(path.join("approximate.usearch")).unwrap();
    let first = read();
    Index::create(&path, &embeddings, Some(&Graph::default())).unwrap();
    assert!(read() == first);
    let entries = index.run_entries(&truth[0]);
    assert_eq!(entries[0].id, format!("i{}", truth[0][0].index));
}

#[test]
fn k_beyond_the_items_gives_all() {
    let rows = clustered(1, 1, 2, 6, 3);
    let graph = ApproximateIndex::build(3, &rows, &Graph::default()).unwrap();
    let hits = graph.search(&rows[..6], 10).unwrap();
    assert_eq!(hits.iter().map(Vec::len).collect::<Vec<_>>(), [6, 6]);
    assert_eq!(hits[1][0].index, 1);
    assert_eq!(graph.search(&[], 10).unwrap().len(), 0);
    let empty = ApproximateIndex::build(3, &[], &Graph::default()).unwrap();
    assert_eq!(empty.search(&rows[..3], 10).unwrap(), [vec![]]);
}

#[test]
fn the_index_holds_unit_rows_of_the_same_direction() {
    let folder = tempfile::tempdir().unwrap();
    let embeddings = set(folder.path(), 2, &[3.0, 4.0, 0.0, -1e-20, 1e30, 1e30]);
    let path = folder.path().join("index");
    let index = Index::create(&path, &embeddings, None).unwrap();
    let half = 0.5f32.sqrt();
    assert_eq!(index.rows(), [0.6, 0.8, 0.0, -1.0, half, half]);
    assert_eq!(index.ids(), ["i0", "i1", "i2"]);
    assert!(index.approximate().unwrap().is_none());
    assert!(index.check_origin(&embeddings.origin).is_ok());
    let other = Origin {
        hidden: 2,
        model: "other".into(),
    };
    let error = index.check_origin(&other).unwrap_err().to_string();
    let expected =
        "made by model tiny (2 values a row), the queries by other (2); expected the same";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn embeddings_without_direction_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let embeddings = set(folder.path(), 2, &[1.0, 0.0, 0.0, 0.0]);
    let path = folder.path().join("index");
    let error = Index::create(&path, &embeddings, None)
        .unwrap_err()
        .to_string();
    let expected = "the embedding of `i1` is zero or not finite; expected a direction";
    assert!(error.ends_with(expected), "{error}");
    assert!(!path.exists());

    let device = cpu();
    let index = ExactIndex::new(&device, 2, &[1.0, 0.0], WeightFormat::F32).unwrap();
    let error = index
        .search(&device, &[1.0, 1.0, f32::NAN, 1.0], 1)
        .unwrap_err()
        .to_string();
    let expected = "the embedding of query 2 is zero or not finite; expected a direction";
    assert_eq!(error, expected);
    let error = index.search(&device, &[1.0; 3], 1).unwrap_err().to_string();
    assert!(
        error.starts_with("queries hold 3 values; expected a multiple of 2"),
        "{error}"
    );
}

#[test]
fn a_damaged_graph_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let rows = clustered(3, 1, 4, 50, 8);
    let path = folder.path().join("index");
    let embeddings = set(folder.path(), 8, &rows);
    let index = Index::create(&path, &embeddings, Some(&Graph::default())).unwrap();
    let graph = path.join("approximate.usearch");
    let good = fs::read(&graph).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    for bytes in [&bad[..], &good[..100], b""] {
        fs::write(&graph, bytes).unwrap();
        let error = index.approximate().err().unwrap().to_string();
        let expected = format!("{}: damaged: its checksum is not the one", graph.display());
        assert!(error.starts_with(&expected), "{error}");
    }
    fs::write(&graph, &good).unwrap();
    assert!(index.approximate().unwrap().is_some());
    fs::write(path.join("approximate.json"), "{}").unwrap();
    let error = index.approximate().err().unwrap().to_string();
    assert!(
        error.contains("approximate.json: missing field `items`"),
        "{error}"
    );
    // A new index without a graph leaves none of the old.
    let index = Index::create(&path, &embeddings, None).unwrap();
    assert!(index.approximate().unwrap().is_none());
}
