//! Every mistake ends in one line that says what is wrong, and exit code 1; wrong usage in 2.

use super::{Shop, failed};
use std::fs;

#[track_caller]
fn fails(shop: &Shop, line: &str, message: &str) {
    failed(shop.command(line).output().unwrap(), 1, message);
}

fn indexed() -> Shop {
    let shop = Shop::make();
    shop.prints("index model --input catalogue.jsonl --out shop");
    shop
}

#[test]
fn of_embed() {
    let shop = Shop::make();
    let before = shop.names();
    let no_file = "No such file or directory (os error 2)";
    let line = "embed model --input absent.jsonl --out items.npy";
    fails(&shop, line, &format!("cannot open absent.jsonl: {no_file}"));
    let line = "embed absent --input catalogue.jsonl --out items.npy";
    fails(&shop, line, &format!("absent: {no_file}"));
    let line = "embed model --input catalogue.jsonl --out items";
    fails(&shop, line, "items: expected a name that ends in .npy");
    let line = "embed model --input catalogue.jsonl --out absent/items.npy";
    let output = shop.command(line).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let start = format!("lrem: cannot write absent/items.json.partial: {no_file}");
    assert!(
        error.starts_with(&start) && error.lines().count() == 1,
        "{error}"
    );
    assert_eq!(output.status.code(), Some(1));
    let line = "embed model --input - --out items.npy";
    fails(&shop, line, "<stdin>: no titles; expected one a line");
    assert_eq!(shop.names(), before, "what failed left something");

    let long = "tea ".repeat(60);
    let line = "embed model --input bad --out items.npy --batch 1";
    let good = "{\"id\": \"a\", \"title\": \"tea\"}\n\n";
    for (bad, message) in [
        (
            "{\"id\": \"b\"}".to_string(),
            "bad:3: missing field `title`; expected {\"id\": \"…\", \"title\": \"…\"}",
        ),
        (
            "{\"id\": \"b\", \"title\": \" \"}".to_string(),
            "bad:3: `title` is empty; expected some text",
        ),
        (
            format!("{{\"id\": \"b\", \"title\": \"{long}\"}}"),
            "bad:3: the title takes 64 tokens with its prompt; the context holds 64",
        ),
    ] {
        shop.write("bad", format!("{good}{bad}"));
        let _ = fs::remove_file(shop.path("items.npy.partial"));
        if message.contains("takes 64") {
            // Just fits.
            shop.prints(line);
            shop.write("bad", format!("{good}{}", bad.replace("tea ", "tea tea ")));
            let message = message.replace("takes 64", "takes 124");
            fails(&shop, line, &message);
        } else {
            fails(&shop, line, message);
        }
    }
    shop.write("bad", b"{\"id\": \"a\", \"title\": \"t\xff\"}\n");
    let _ = fs::remove_file(shop.path("items.npy.partial"));
    fails(&shop, line, "bad:1: byte 24 is not UTF-8 text");
}

#[test]
fn of_index() {
    let shop = Shop::make();
    let line = "index --embeddings items.npy --out shop";
    let no_file = "No such file or directory (os error 2)";
    fails(&shop, line, &format!("cannot open items.npy: {no_file}"));
    shop.write(
        "twice.txt",
        "{\"id\": \"a\", \"title\": \"tea\"}\n{\"id\": \"a\", \"title\": \"mug\"}\n",
    );
    shop.prints("embed model --input twice.txt --out items.npy");
    fails(
        &shop,
        line,
        "items.npy: item `a` is there twice; expected once",
    );
    shop.prints("embed model --input catalogue.jsonl --out items.npy");
    fs::create_dir(shop.path("shop")).unwrap();
    shop.write("shop/thesis.tex", "years of work");
    let message = "shop: the folder holds \"thesis.tex\"; expected a new, empty or index folder";
    fails(&shop, line, message);
    fails(
        &shop,
        "index model --input catalogue.jsonl --out shop",
        message,
    );
    assert_eq!(shop.text("shop/thesis.tex"), "years of work");
    shop.write("items.ids", "a\n");
    let message = "items.ids: 1 ids; expected 30, the rows of items.npy";
    fails(&shop, "index --embeddings items.npy --out new", message);
    shop.write("items.npy", "no matrix");
    let message = "items.npy: not a .npy file; expected it to start with \\x93NUMPY";
    fails(&shop, "index --embeddings items.npy --out new", message);
    assert!(!shop.path("new").exists());
}

#[test]
fn of_search() {
    let shop = indexed();
    let no_file = "No such file or directory (os error 2)";
    let line = "search model absent --query tea";
    fails(
        &shop,
        line,
        &format!("cannot open absent/items.npy: {no_file}"),
    );
    let line = "search absent shop --query tea";
    fails(&shop, line, &format!("absent: {no_file}"));
    fs::create_dir(shop.path("empty")).unwrap();
    let line = "search empty shop --query tea";
    fails(&shop, line, &format!("empty/config.json: {no_file}"));
    let output = shop
        .command_of(&["search", "model", "shop", "--query", " "])
        .output();
    failed(output.unwrap(), 1, "the query is empty; expected some text");
    let long = "tea ".repeat(70);
    let output = shop
        .command_of(&["search", "model", "shop", "--query", &long])
        .output();
    let message = "the query takes 80 tokens with its prompt and thought; the context holds 64";
    failed(output.unwrap(), 1, message);
    let message = "the query takes 5077 tokens with its prompt and thought; the context holds 64";
    fails(&shop, "search model shop --query tea --think 5070", message);
    for (options, message) in [
        (
            "--rollouts 2",
            "--temperature: expected a number above 0 for several rollouts, which are all the same at 0",
        ),
        (
            "--temperature -1",
            "--temperature: expected a number of at least 0",
        ),
        ("--direct 1.5", "--direct: expected a share from 0 to 1"),
    ] {
        fails(
            &shop,
            &format!("search model shop --query tea {options}"),
            message,
        );
    }
    let message = "shop: no graph for approximate search; index again with --approximate";
    fails(
        &shop,
        "search model shop --query tea --approximate",
        message,
    );

    let line = "search model shop --queries q";
    fails(&shop, line, &format!("cannot open q: {no_file}"));
    for (text, message) in [
        ("", "q: no queries; expected one a line"),
        (
            "{\"id\": \"a\", \"query\": \"tea\"}\n{\"id\": \"a\", \"query\": \"mug\"}",
            "q:2: id `a` is already on line 1; expected each id once",
        ),
        (
            "\n{\"id\": \"a b\", \"query\": \"tea\"}",
            "q:2: `id` \"a b\" holds white space; expected a name without",
        ),
        (
            "{\"id\": \"a\"}",
            "q:1: missing field `query`; expected {\"id\": \"…\", \"query\": \"…\"}",
        ),
    ] {
        shop.write("q", text);
        fails(&shop, line, message);
    }
    shop.write("q", format!("tea\n{long}\n"));
    let message =
        "q:2: the query takes 80 tokens with its prompt and thought; the context holds 64";
    fails(&shop, line, message);
}

/// Queries are never compared with items of another model, prompt or pooling.
#[test]
fn of_pairs() {
    let shop = indexed();
    let origin = shop.text("shop/items.json");
    let made_by = origin.split('"').nth(5).unwrap();
    for (name, pooling, verb) in [("verb", "emb", "get"), ("pooling", "mean", "find")] {
        shop.model(name, pooling, verb);
        let output = shop.command(&format!("search {name} shop --query tea --think 0"));
        let output = { output }.output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        let start =
            format!("lrem: shop: made by model {made_by} (16 values a row), the queries by llama-");
        assert!(error.starts_with(&start), "{error}");
        assert!(
            error.ends_with("expected the same model: index again\n"),
            "{error}"
        );
        assert_eq!(output.status.code(), Some(1));
    }
    let message =
        "--think 4: the model's pooling is \"mean\", which reads no thought; expected --think 0";
    fails(&shop, "search pooling shop --query tea", message);
    // A copy elsewhere is the same model, and so is one with another budget.
    shop.model("copy", "emb", "find");
    let settings = shop
        .text("copy/lrem.json")
        .replace("\"budget\": 4", "\"budget\": 2");
    shop.write("copy/lrem.json", settings);
    shop.prints("search copy shop --query tea");
}

#[test]
fn of_evaluate() {
    let shop = indexed();
    for (qrels, run, message) in [
        (
            "",
            "q 0 a 1 1 x",
            "qrels: no judgements; expected some lines",
        ),
        (
            "q 0 a",
            "q 0 a 1 1 x",
            "qrels:1: 3 fields; expected 4: query 0 document relevance",
        ),
        (
            "q 0 a yes",
            "q 0 a 1 1 x",
            "qrels:1: relevance \"yes\" is no integer",
        ),
        (
            "q 0 a 1",
            "q 0 a 1 nan x",
            "run:1: score \"nan\" is no number",
        ),
        (
            "q 0 a 1",
            "q 0 a 1 1 x\nq 0 a 2 1 x",
            "run:2: document `a` is there twice for query `q`; expected once",
        ),
        (
            "q 0 a 1",
            "p 0 a 1 1 x",
            "run: none of its queries is judged in qrels",
        ),
    ] {
        shop.write("qrels", qrels);
        shop.write("run", run);
        fails(&shop, "evaluate --qrels qrels --run run", message);
    }
    let line = "evaluate model shop --queries q";
    shop.write(
        "q",
        "{\"id\": \"a\", \"query\": \"tea\", \"items\": [\"i1\", \"i99\"]}",
    );
    let message = "q: query `a`: item `i99` is not in the index shop";
    fails(&shop, line, message);
    shop.write(
        "q",
        "{\"id\": \"a\", \"query\": \"tea\", \"items\": [\"i1\"]}",
    );
    fails(
        &shop,
        &format!("{line} --thoughts gold"),
        "q: query `a` has no `cot`",
    );
    let message =
        "--thoughts: without a budget they are cut to nothing; expected --think of at least 1";
    fails(&shop, &format!("{line} --thoughts gold --think 0"), message);
    let long = "tea ".repeat(70);
    shop.write(
        "q",
        format!("{{\"id\": \"a\", \"query\": \"{long}\", \"items\": [\"i1\"]}}"),
    );
    let message = "q: query `a` takes 80 tokens with its prompt and thought; the context holds 64";
    fails(&shop, line, message);
}

#[test]
fn of_usage() {
    let shop = Shop::make();
    for line in [
        "",
        "search model",
        "search model shop --query tea --queries q",
        "search model shop --query tea --top 0",
        "search model shop --query tea --run out",
        "search model shop --query tea --think -1",
        "search model shop --query tea --rollouts 0",
        "search model shop --query tea --rewriter model --rollouts 2",
        "search model shop --query tea --rewriter model --temperature 1",
        "search model shop --query tea --rewriter model --direct 0.5",
        "search model shop --query tea --rewriter model --settled 0.9",
        "search model shop --query tea --rewriter model --gate 0.1",
        "embed model --input i --out o.npy --batch 0",
        "index --out shop",
        "index model --out shop",
        "index model --input i --embeddings o.npy --out shop",
        "index --embeddings o.npy --out shop --connectivity 8",
        "evaluate",
        "evaluate model shop",
        "evaluate model shop --queries q --rewriter model --thoughts gold",
        "evaluate --qrels q",
        "evaluate --qrels q --run r --measures speed@10",
        "evaluate model shop --queries q --qrels r --run s",
    ] {
        let output = shop.command(line).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "lrem {line}: {error}");
        assert!(
            error.contains("Usage: lrem") || error.starts_with("error: "),
            "lrem {line}: {error}"
        );
    }
}
