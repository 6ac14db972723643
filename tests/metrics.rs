//! Retrieval metrics against trec_eval's own output, and against textbook definitions.

use lrem::data::Triplet;
use lrem::retrieve::evaluate::{compare, kinds_of};
use lrem::retrieve::metrics::{Judged, Measure};
use lrem::retrieve::trec::{
    Qrels, Run, RunEntry, qrels_of, read_qrels, read_run, write_qrels, write_run,
};
use lrem::retrieve::{Evaluation, Metric, Missing, evaluate};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The golden cases: files made by trec_eval (`tests/golden/trec/make.py`).
fn golden() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/trec");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "qrels"))
        .collect();
    cases.sort();
    cases
}

fn metric(name: &str) -> Metric {
    name.parse().unwrap()
}

fn metrics(names: &[&str]) -> Vec<Metric> {
    names.iter().map(|name| metric(name)).collect()
}

/// `(metric, query) → printed value` of trec_eval's lines.
fn printed(text: &str) -> BTreeMap<(String, String), String> {
    text.lines()
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let &[metric, query, value] = fields.as_slice() else {
                panic!("{line:?}")
            };
            ((metric.into(), query.into()), value.into())
        })
        .collect()
}

#[test]
fn prints_what_trec_eval_prints() {
    let cases = golden();
    assert!(cases.len() >= 3);
    for qrels_path in cases {
        let expected = printed(&fs::read_to_string(qrels_path.with_extension("expected")).unwrap());
        let qrels = read_qrels(&qrels_path).unwrap();
        let run = read_run(&qrels_path.with_extension("run")).unwrap();
        let mut names: Vec<String> = expected.keys().map(|(name, _)| name.clone()).collect();
        names.dedup();
        let metrics: Vec<Metric> = names.iter().map(|name| metric(name)).collect();
        let skip = evaluate(&qrels, &run, &metrics, Missing::Skip);
        let mut ours = printed(&skip.trec_text(true));
        let zero = evaluate(&qrels, &run, &metrics, Missing::Zero);
        for ((name, _), value) in printed(&zero.trec_text(false)) {
            ours.insert((name, "all-c".into()), value);
        }
        assert_eq!(ours, expected, "{}", qrels_path.display());
    }
}

/// The metrics from their textbook definitions, on a set of relevant gains and a ranked list of ids.
fn textbook(metric: Metric, judged: &BTreeMap<String, i32>, ranked: &[String]) -> f64 {
    let gain = |id: &String| judged.get(id).copied().unwrap_or(0).max(0) as f64;
    let all = judged.values().filter(|&&g| g > 0).count() as f64;
    let top: Vec<&String> = ranked
        .iter()
        .take(metric.cutoff.unwrap_or(ranked.len()))
        .collect();
    let hits = |n: usize| top[..n].iter().filter(|id| gain(id) > 0.0).count() as f64;
    let found = hits(top.len());
    let dcg = |gains: Vec<f64>| -> f64 {
        let terms = gains
            .iter()
            .zip(1..)
            .map(|(g, r)| g * 2f64.ln() / f64::ln(r as f64 + 1.0));
        terms.sum()
    };
    match metric.measure {
        Measure::HitRate => f64::from(found > 0.0),
        Measure::Precision => found / metric.cutoff.unwrap_or(top.len()).max(1) as f64,
        Measure::Recall if all == 0.0 => 0.0,
        Measure::Recall => found / all,
        Measure::ReciprocalRank => (1..=top.len())
            .find(|&n| hits(n) > 0.0)
            .map_or(0.0, |n| 1.0 / n as f64),
        Measure::AveragePrecision if all == 0.0 => 0.0,
        Measure::AveragePrecision => {
            let at = (1..=top.len()).filter(|&n| gain(top[n - 1]) > 0.0);
            at.map(|n| hits(n) / n as f64).sum::<f64>() / all
        }
        Measure::Ndcg if all == 0.0 => 0.0,
        Measure::Ndcg => {
            let mut best: Vec<f64> = judged.values().map(|&g| g.max(0) as f64).collect();
            best.sort_by(|a, b| b.total_cmp(a));
            best.truncate(metric.cutoff.unwrap_or(best.len()));
            dcg(top.iter().map(|id| gain(id)).collect()) / dcg(best)
        }
    }
}

const MEASURES: [Measure; 6] = [
    Measure::HitRate,
    Measure::Precision,
    Measure::Recall,
    Measure::Ndcg,
    Measure::ReciprocalRank,
    Measure::AveragePrecision,
];

proptest! {
    #[test]
    fn agrees_with_the_textbook(
        judged in prop::collection::btree_map("[a-e]{1,2}", -1i32..4, 0..20),
        found in prop::collection::btree_map("[a-e]{1,2}", -2i8..3, 0..20),
        cutoff in prop::option::of(1usize..25),
    ) {
        let entries: Vec<RunEntry> = found
            .iter()
            .map(|(id, &score)| RunEntry { id: id.clone(), score: f32::from(score) / 4.0 })
            .collect();
        let mut ranked: Vec<(i8, String)> = found.into_iter().map(|(id, s)| (s, id)).collect();
        ranked.sort();
        ranked.reverse();
        let ranked: Vec<String> = ranked.into_iter().map(|(_, id)| id).collect();
        let ours = Judged::new(&judged, &entries);
        for measure in MEASURES {
            let metric = Metric { measure, cutoff };
            let (got, want) = (ours.value(metric), textbook(metric, &judged, &ranked));
            // At most 25 terms, each rounded a few times.
            prop_assert!((got - want).abs() < 1e-13, "{metric}: {got} instead of {want}");
        }
    }
}

#[test]
fn names_are_read_in_both_styles() {
    for (name, label, trec) in [
        ("HitRate@10", "HitRate@10", "success_10"),
        ("success_5", "HitRate@5", "success_5"),
        ("precision@100", "Precision@100", "P_100"),
        ("P.7", "Precision@7", "P_7"),
        ("set_P", "Precision", "set_P"),
        ("recall_6000", "Recall@6000", "recall_6000"),
        ("recall", "Recall", "set_recall"),
        ("ndcg", "nDCG", "ndcg"),
        ("ndcg_cut_10", "nDCG@10", "ndcg_cut_10"),
        ("MRR", "MRR", "recip_rank"),
        ("mrr@10", "MRR@10", "recip_rank_cut_10"),
        ("map", "MAP", "map"),
        ("map_cut.20", "MAP@20", "map_cut_20"),
    ] {
        let read = metric(name);
        assert_eq!(
            (read.to_string().as_str(), read.trec_name().as_str()),
            (label, trec)
        );
    }
    for name in [
        "", "ndcg@0", "ndcg@", "ndcg@-1", "F1@10", "map@ten", "@10", "P",
    ] {
        let error = name.parse::<Metric>().map(|m| m.to_string());
        assert!(error.is_err(), "{name:?} is read as {error:?}");
    }
}

fn triplet(id: &str, kind: &str, items: &[&str]) -> Triplet {
    Triplet {
        id: id.into(),
        kind: kind.into(),
        query: "q".into(),
        cot: None,
        cot_long: None,
        items: items.iter().map(|item| item.to_string()).collect(),
        grades: None,
        block_in_training: None,
    }
}

fn two_kinds() -> (Vec<Triplet>, Evaluation) {
    let triplets = vec![
        triplet("1", "plain", &["a"]),
        triplet("2", "qa", &["a", "b"]),
        triplet("3", "negative", &["c"]),
        triplet("4", "qa", &["a"]),
    ];
    let entry = |id: &str, score| RunEntry {
        id: id.into(),
        score,
    };
    let run = Run::from([
        ("1".to_string(), vec![entry("a", 1.0)]),
        ("2".to_string(), vec![entry("x", 0.5), entry("b", 0.25)]),
        ("3".to_string(), vec![entry("a", 0.5)]),
    ]);
    let metrics = metrics(&["HitRate@1", "Precision@2"]);
    let evaluation = evaluate(&qrels_of(&triplets), &run, &metrics, Missing::Zero);
    (triplets, evaluation)
}

#[test]
fn means_per_kind_and_table() {
    let (triplets, evaluation) = two_kinds();
    let summary = evaluation.summary(&kinds_of(&triplets));
    let expected = "\
kind      queries  HitRate@1  Precision@2
────────  ───────  ─────────  ───────────
negative        1     0.0000       0.0000
qa              2     0.0000       0.2500
plain           1     1.0000       0.5000
hard            3     0.0000       0.1667
all             4     0.2500       0.2500
";
    assert_eq!(summary.table().to_string(), expected);
    assert_eq!(summary.value("all", metric("P_2")), Some(0.25));
    assert_eq!(summary.value("all", metric("P_3")), None);
    let side_by_side = compare(&[("one", &summary), ("two", &summary)]).to_string();
    let row = "all             4  HitRate@1    0.2500  0.2500";
    assert_eq!(side_by_side.lines().nth(10), Some(row), "{side_by_side}");
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["metrics"][1], "Precision@2");
    assert_eq!(json["groups"][4]["kind"], "all");
    assert_eq!(json["groups"][4]["values"][0], 0.25);
}

#[test]
fn without_plain_queries_there_is_no_hard_row() {
    let (mut triplets, evaluation) = two_kinds();
    triplets.retain(|triplet| triplet.kind != "plain");
    let summary = evaluation.summary(&kinds_of(&triplets));
    let kinds: Vec<&str> = summary.groups.iter().map(|g| g.kind.as_str()).collect();
    assert_eq!(kinds, ["negative", "qa", "all"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn files_are_read_back(
        qrels in prop::collection::btree_map(
            "[!-~]{1,4}é?".prop_filter("a comment", |id| !id.starts_with('#')),
            prop::collection::btree_map("[!-~]{1,4}", any::<i32>(), 1..4),
            1..5,
        ),
        scores in prop::collection::vec(-1e30f32..1e30, 5),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (qrels_path, run_path) = (folder.path().join("qrels"), folder.path().join("run"));
        write_qrels(&qrels_path, &qrels).unwrap();
        prop_assert_eq!(&read_qrels(&qrels_path).unwrap(), &qrels);
        let run: Run = qrels
            .iter()
            .map(|(query, judged)| {
                let ids = judged.keys().zip(&scores);
                let mut entries: Vec<RunEntry> =
                    ids.map(|(id, &score)| RunEntry { id: id.clone(), score }).collect();
                // The order in which they are written.
                entries.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.id.cmp(&a.id)));
                (query.clone(), entries)
            })
            .collect();
        write_run(&run_path, &run, "test").unwrap();
        prop_assert_eq!(read_run(&run_path).unwrap(), run);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, bytes).unwrap();
        for error in [read_qrels(&path).err(), read_run(&path).err()].into_iter().flatten() {
            prop_assert_eq!(error.to_string().lines().count(), 1);
        }
    }
}

#[test]
fn wrong_lines_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let shown = path.display();
    let check = |text: &str, run: bool, message: &str| {
        fs::write(&path, text).unwrap();
        let error = if run {
            read_run(&path).unwrap_err()
        } else {
            read_qrels(&path).map(|q: Qrels| q.len()).unwrap_err()
        };
        assert_eq!(error.to_string(), format!("{shown}{message}"));
    };
    let fields = ":2: 3 fields; expected 4: query 0 document relevance";
    check("q 0 d 1\nq 0 d\n", false, fields);
    check("q 0 d one\n", false, ":1: relevance \"one\" is no integer");
    let twice = ":4: document `d` is judged twice for query `q`; expected once";
    check("# head\nq 0 d 1\n\nq 0 d 0\n", false, twice);
    check("", false, ": no judgements; expected some lines");
    let fields = ":1: 5 fields; expected 6: query Q0 document rank score tag";
    check("q Q0 d 1 0.5\n", true, fields);
    check("q Q0 d 1 nan t\n", true, ":1: score \"nan\" is no number");
    let twice = ":2: document `d` is there twice for query `q`; expected once";
    check("q Q0 d 1 1 t\nq Q0 d 2 0.5 t\n", true, twice);
}
