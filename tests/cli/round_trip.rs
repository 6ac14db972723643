//! Embed, index, search, evaluate: each command works on what the one before has written, and what
//! they print is what the library and trec_eval say.

use super::{ITEMS, Shop, succeeded, title};
use lrem::data::{EmbeddingSet, read_queries};
use lrem::device::cpu::{Cpu, Multiply};
use lrem::embed::{Embedder, ModelFolder, NewTokens, OwnThoughts, Thinking};
use lrem::ops::linear::WeightFormat;
use lrem::retrieve::trec::{rank, read_run};
use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::Arc;

/// Unit vectors of the queries of `test.jsonl` by the library.
fn embedded(shop: &Shop, thinking: &Thinking) -> Vec<f32> {
    let folder = ModelFolder::open(&shop.path("model"), &NewTokens::default()).unwrap();
    let cpu = Arc::new(Cpu::new(Multiply::F32));
    let model = folder.load(cpu, Some(WeightFormat::F32), 64).unwrap();
    let embedder = Embedder {
        model: &model,
        tokenizer: &folder.tokenizer,
        prompts: &folder.prompts().unwrap(),
        pooling: folder.settings.pooling,
    };
    let queries = read_queries(&shop.path("test.jsonl")).unwrap();
    let texts: Vec<String> = queries.into_iter().map(|q| q.query).collect();
    embedder.queries(&texts, thinking).unwrap().rows
}

#[test]
fn a_run_holds_the_nearest_items() {
    let shop = Shop::make();
    let embed = "embed model --input catalogue.jsonl --out items.npy --weights f32";
    assert_eq!(
        shop.prints(embed),
        format!("wrote items.npy [{ITEMS}, 16]\n")
    );
    let index = "index --embeddings items.npy --out shop --approximate --connectivity 8";
    let said = format!("wrote shop: {ITEMS} items of 16 values, with a graph\n");
    assert_eq!(shop.prints(index), said);
    let set = EmbeddingSet::open(&shop.path("items.npy")).unwrap();
    let budget = 4;
    let options = OwnThoughts::default();
    let own = Thinking::Own { budget, options };
    // The settings' budget is the default.
    for (think, thinking) in [("--think 0", Thinking::Direct), ("", own)] {
        for approximate in ["", "--approximate"] {
            let search = format!(
                "search model shop --queries test.jsonl --top 5 --run run --weights f32 {think} \
                 {approximate}"
            );
            assert_eq!(shop.prints(&search), "wrote run: 10 queries\n");
            let run = read_run(&shop.path("run")).unwrap();
            let rows = embedded(&shop, &thinking);
            for (query, row) in rows.chunks(16).enumerate() {
                let score = |item: &[f32]| -> f64 {
                    let products = item.iter().zip(row);
                    products.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
                };
                let scores: Vec<f64> = set.matrix.data().chunks(16).map(score).collect();
                let mut best = scores.clone();
                best.sort_by(|a, b| b.total_cmp(a));
                let found = rank(&run[&format!("q{query}")]);
                assert_eq!(found.len(), 5);
                for (entry, best) in found.into_iter().zip(best) {
                    // Which of two near-equal items comes first, rounding decides.
                    assert!((f64::from(entry.score) - best).abs() < 1e-5);
                    let item = set.ids.iter().position(|id| *id == entry.id).unwrap();
                    assert!((scores[item] - best).abs() < 1e-5);
                }
            }
        }
    }
}

#[test]
fn a_model_indexes_a_catalogue_at_once() {
    let shop = Shop::make();
    shop.prints("embed model --input catalogue.jsonl --out items.npy");
    shop.prints("index --embeddings items.npy --out two");
    let said = format!("wrote one: {ITEMS} items of 16 values\n");
    let line = "index model --input catalogue.jsonl --out one";
    // An index that is there is replaced.
    for _ in 0..2 {
        assert_eq!(shop.prints(line), said);
    }
    for file in ["items.npy", "items.ids", "items.json"] {
        assert!(shop.read(&format!("one/{file}")) == shop.read(&format!("two/{file}")));
    }
    assert!(!shop.names().iter().any(|name| name.starts_with('.')));
    let plain: String = (0..ITEMS).map(|i| format!("{}\n", title(i))).collect();
    shop.write("plain.txt", plain);
    shop.prints("embed model --input plain.txt --out plain.npy");
    assert!(shop.read("plain.npy") == shop.read("items.npy"));
    assert!(shop.text("plain.ids").starts_with("1\n2\n3\n"));
}

/// Converting over a converted model, settings and all, is no accident; it embeds as before.
#[test]
fn a_converted_model_embeds_the_same() {
    let shop = Shop::make();
    for _ in 0..2 {
        assert_eq!(shop.prints("model convert model out"), "wrote out\n");
    }
    shop.prints("embed model --input catalogue.jsonl --out a.npy");
    shop.prints("embed out --input catalogue.jsonl --out b.npy");
    assert!(shop.read("a.npy") == shop.read("b.npy"));
}

/// Ranks, scores, ids and titles of printed hits.
fn hits(printed: &str) -> Vec<(usize, f64, String, String)> {
    let lines = printed.lines().filter(|line| line.starts_with("   "));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [rank, score, id] = fields[..3] else {
                panic!("{line:?}")
            };
            let (rank, score) = (rank.parse().unwrap(), score.parse().unwrap());
            (rank, score, id.to_string(), fields[3..].join(" "))
        })
        .collect()
}

#[test]
fn one_query_a_file_and_the_prompt_find_the_same() {
    let shop = Shop::make();
    shop.prints("index model --input catalogue.jsonl --out shop");
    let queries = ["red kettle", "green mug glass"];
    shop.write("q.txt", queries.join("\n"));
    for think in ["0", "4", "4 --rollouts 3 --temperature 1 --direct 0.5"] {
        let (thinks, drawn) = (think != "0", think.contains("--rollouts"));
        let rest = format!("--think {think} --top 3 --titles catalogue.jsonl");
        let common: Vec<&str> = "search model shop"
            .split(' ')
            .chain(rest.split(' '))
            .collect();
        let single = queries.map(|query| {
            let command = [common.as_slice(), &["--query", query]].concat();
            succeeded(shop.command_of(&command).output().unwrap())
        });
        let file = shop.prints(&format!("search model shop --queries q.txt {rest}"));
        let said = format!(
            "1: red kettle\n{}\n2: green mug glass\n{}\n",
            single[0], single[1]
        );
        assert_eq!(file, said);
        assert_eq!(
            single[0].matches("thought: ").count(),
            usize::from(thinks) * if drawn { 3 } else { 1 },
            "{}",
            single[0]
        );
        for printed in &single {
            let hits = hits(printed);
            assert_eq!(hits.iter().map(|hit| hit.0).collect::<Vec<_>>(), [1, 2, 3]);
            for (_, _, id, name) in hits {
                assert_eq!(name, title(id[1..].parse().unwrap()));
            }
        }

        // The prompt outlives a query that cannot be embedded.
        let mut command = shop.command_of(&common);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let long = "tea ".repeat(90);
        let text = format!("{}\n\n{long}\n", queries[0]);
        pipe.write_all(text.as_bytes()).unwrap();
        pipe.write_all(b"\xff\n").unwrap();
        pipe.write_all(queries[1].as_bytes()).unwrap();
        drop(pipe);
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let tokens = 90 + 3 + [1, 7][usize::from(thinks)];
        let expected = format!(
            "lrem: the query takes {tokens} tokens with its prompt and thought; the context holds 64\n\
             lrem: the query is not UTF-8 text\n"
        );
        assert_eq!(error, expected);
        let prompted = hits(&succeeded(output));
        let asked = hits(&single.concat());
        assert_eq!(prompted.len(), asked.len());
        for (ours, theirs) in prompted.iter().zip(&asked) {
            // Another batch may round the last printed digit differently.
            assert!((ours.1 - theirs.1).abs() < 2e-4, "{ours:?} {theirs:?}");
            assert_eq!((&ours.2, &ours.3), (&theirs.2, &theirs.3));
        }
    }
}

#[test]
fn a_model_is_evaluated_as_its_run_is() {
    let shop = Shop::make();
    shop.prints("index model --input catalogue.jsonl --out shop");
    let line = "evaluate model shop --queries test.jsonl --run run --qrels-out qrels";
    let table = shop.prints(line);
    let header = "kind   queries  HitRate@10  Precision@10  Recall@10  nDCG@10  MRR@10  MAP@100\n";
    assert!(table.starts_with(header), "{table}");
    let kinds: Vec<&str> = table.lines().skip(2).map(|line| &line[..5]).collect();
    assert_eq!(kinds, ["qa   ", "plain", "hard ", "all  "]);
    let files = "evaluate --qrels qrels --run run";
    assert_eq!(shop.prints(&format!("{files} --kinds test.jsonl")), table);
    let all = table.lines().last().unwrap();
    let without = shop.prints(files);
    let words = |line: &str| {
        line.split_whitespace()
            .map(String::from)
            .collect::<Vec<_>>()
    };
    assert_eq!(words(without.lines().last().unwrap()), words(all));

    let json = shop.prints(&format!("{files} --format json --per-query --measures map"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["metrics"], serde_json::json!(["MAP"]));
    let values: Vec<f64> = json["per_query"]
        .as_object()
        .unwrap()
        .values()
        .map(|values| values[0].as_f64().unwrap())
        .collect();
    let mean = values.iter().sum::<f64>() / 10.0;
    assert!((json["groups"][0]["values"][0].as_f64().unwrap() - mean).abs() < 1e-12);
    let rows = shop.prints(&format!("{files} --per-query --kinds test.jsonl"));
    assert!(
        rows.contains("\nq1     qa  ") && rows.ends_with(&table),
        "{rows}"
    );

    // Search writes the same run, where it goes as deep.
    shop.prints("search model shop --queries test.jsonl --top 100 --run searched");
    assert_eq!(shop.text("searched"), shop.text("run"));
    // Another thought, another embedding.
    let others = [
        "gold",
        "query",
        "empty",
        "own --think 0",
        "own --direct 0.5",
    ];
    for thoughts in others {
        let line =
            format!("evaluate model shop --queries test.jsonl --run other --thoughts {thoughts}");
        shop.prints(&line);
        assert_ne!(shop.text("other"), shop.text("run"), "{thoughts}");
    }
}

#[test]
fn trec_eval_prints_the_same() {
    let shop = Shop::make();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/trec/ties");
    let expected = std::fs::read_to_string(format!("{golden}.expected")).unwrap();
    let fields = |line: &str| {
        line.split_whitespace()
            .map(String::from)
            .collect::<Vec<_>>()
    };
    let mut expected: Vec<Vec<String>> = expected.lines().map(fields).collect();
    let mut measures: Vec<String> = expected.iter().map(|line| line[0].clone()).collect();
    measures.sort();
    measures.dedup();
    let line = format!(
        "evaluate --qrels {golden}.qrels --run {golden}.run --format trec --measures {}",
        measures.join(",")
    );
    let mut printed: Vec<Vec<String>> = shop
        .prints(&format!("{line} --per-query"))
        .lines()
        .map(fields)
        .collect();
    for mut line in shop
        .prints(&format!("{line} --complete"))
        .lines()
        .map(fields)
    {
        // The golden file's name for the means of `trec_eval -c`.
        line[1] = "all-c".into();
        printed.push(line);
    }
    printed.sort();
    expected.sort();
    assert_eq!(printed, expected);
    let output = shop.command(&line).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    let said = "2 of 14 judged queries are not in the run: left out; --complete counts them as 0\n";
    assert_eq!(error, said);
}

/// `lrem search … | head -1` is no error.
#[test]
fn output_that_nobody_reads_ends_quietly() {
    let shop = Shop::make();
    shop.prints("index model --input catalogue.jsonl --out shop");
    shop.write("q.txt", "tea\n".repeat(2000));
    let mut command = shop.command("search model shop --queries q.txt --think 0");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = [0; 7];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"1: tea\n");
    assert_eq!(succeeded(child.wait_with_output().unwrap()), "");
}
