//! `--gate`: every query's results are those without a thought or those with one, and a file, the prompt
//! and an evaluation agree on which.

use super::{Shop, failed, succeeded};
use std::collections::BTreeMap;

/// Lines of a TREC run by query.
fn by_query(run: &str) -> BTreeMap<String, Vec<String>> {
    let mut queries: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in run.lines() {
        let query = line.split(' ').next().unwrap().to_string();
        queries.entry(query).or_default().push(line.to_string());
    }
    queries
}

/// How far the first hit of a query is ahead of the second.
fn margin(lines: &[String]) -> f32 {
    let score = |line: &String| line.split(' ').nth(4).unwrap().parse::<f32>().unwrap();
    score(&lines[0]) - score(&lines[1])
}

/// An indexed shop, with what `search` and `evaluate` answer to the test queries.
struct Answered {
    shop: Shop,
    options: &'static str,
}

impl Answered {
    fn new(options: &'static str) -> Answered {
        let shop = Shop::make();
        shop.prints("index model --input catalogue.jsonl --out shop --approximate");
        Answered { shop, options }
    }

    /// The run that `lrem search` writes.
    fn run(&self, more: &str) -> BTreeMap<String, Vec<String>> {
        let options = self.options;
        self.shop.prints(&format!(
            "search model shop --queries test.jsonl --top 5 --run run {options} {more}"
        ));
        by_query(&self.shop.text("run"))
    }
}

#[test]
fn results_are_those_without_a_thought_or_with_one() {
    for options in [
        "",
        "--direct 0.5",
        "--rollouts 3 --temperature 1 --direct 0.25 --weights f32",
        "--approximate",
    ] {
        let answered = Answered::new(options);
        let (direct, thought) = (answered.run("--think 0"), answered.run(""));
        assert!(direct != thought, "{options}: thoughts change nothing");
        assert_eq!(answered.run("--gate 0"), direct, "{options}");
        assert_eq!(answered.run("--gate 3"), thought, "{options}");

        // Half of the queries have this margin, or a larger one.
        let mut margins: Vec<f32> = direct.values().map(|lines| margin(lines)).collect();
        margins.sort_by(f32::total_cmp);
        let middle = margins[margins.len() / 2];
        let gated = answered.run(&format!("--gate {middle}"));
        for (query, lines) in &gated {
            let expected = match margin(&direct[query]) < middle {
                true => &thought[query],
                false => &direct[query],
            };
            assert_eq!(lines, expected, "{options}: {query}");
        }
        assert!(gated != direct && gated != thought, "{options}");

        // The evaluation finds the same items and says how many queries were thought about.
        let output = answered
            .shop
            .command(&format!(
                "evaluate model shop --queries test.jsonl --measures hit@5 --run evaluated {options} \
                 --gate {middle}"
            ))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let share = format!("; 50 % thought about, their margin below {middle}; thoughts of ");
        assert!(said.contains(&share), "{options}: {said}");
        succeeded(output);
        assert_eq!(
            by_query(&answered.shop.text("evaluated")),
            gated,
            "{options}"
        );
    }
}

#[test]
fn one_query_and_the_prompt_say_what_the_file_says() {
    let shop = Answered::new("").shop;
    let queries = ["red tea", "blue kettle", "tea kettle steel", "mug oak"];
    shop.write("q.txt", queries.join("\n"));
    // A top of 1 has a margin too: the second item is looked at, not shown.
    for top in ["1", "3"] {
        shop.prints("search model shop --queries q.txt --top 2 --run run --think 0");
        let direct = by_query(&shop.text("run"));
        let mut margins: Vec<f32> = direct.values().map(|lines| margin(lines)).collect();
        margins.sort_by(f32::total_cmp);
        let gate = margins[2].to_string();
        let common = ["search", "model", "shop", "--top", top, "--gate", &gate];
        let singles = shop.searched(&common, queries);
        let thought_about = singles.iter().filter(|s| s.starts_with("thought: "));
        assert_eq!(thought_about.count(), 2, "{singles:?}");
    }
}

#[test]
fn gates_that_cannot_be() {
    let shop = Answered::new("").shop;
    let evaluate = "evaluate model shop --queries test.jsonl";
    for (line, message) in [
        (
            "search model shop --query tea --gate -0.1",
            "--gate: expected a number of at least 0",
        ),
        (
            "search model shop --query tea --gate nan",
            "--gate: expected a number of at least 0",
        ),
        (
            "search model shop --query tea --gate 0.1 --think 0",
            "--gate: there is no thought to be spared; expected --think of at least 1",
        ),
        (
            "search model shop --query tea --settled 1.5",
            "--settled: expected a cosine from -1 to 1",
        ),
        (
            &format!("{evaluate} --gate 0.1 --thoughts gold"),
            "--gate: given thoughts cost nothing to be spared; expected --thoughts own",
        ),
    ] {
        failed(shop.command(line).output().unwrap(), 1, message);
    }
}
