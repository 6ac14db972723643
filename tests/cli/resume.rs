//! Embedding that is interrupted and goes on gives the same files as embedding at once.

use super::{ITEMS, Shop, failed, succeeded};
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FILES: [&str; 3] = ["items.npy", "items.ids", "items.json"];

/// A shop, and the bytes of `FILES` embedded at once with the same batches.
fn shop() -> (Shop, Vec<Vec<u8>>) {
    let shop = Shop::make();
    shop.prints("embed model --input catalogue.jsonl --out items.npy --batch 4");
    let whole = FILES.map(|name| shop.read(name)).to_vec();
    for name in FILES {
        std::fs::remove_file(shop.path(name)).unwrap();
    }
    (shop, whole)
}

#[track_caller]
fn resumes(shop: &Shop, whole: &[Vec<u8>]) {
    let left = "items.npy.partial: an interrupted run has left 8 rows; add --resume to go on, or \
                delete the .partial files to start anew";
    let line = "embed model --input catalogue.jsonl --out items.npy --batch 4";
    failed(shop.command(line).output().unwrap(), 1, left);
    let message = "items.npy.partial: the embeddings are not finished; embed again to resume";
    let line = "index --embeddings items.npy --out index";
    failed(shop.command(line).output().unwrap(), 1, message);
    let line = "embed model --input catalogue.jsonl --out items.npy --batch 4 --resume";
    let output = shop.command(line).output().unwrap();
    let counted = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        counted.starts_with(&format!("{} titles in ", ITEMS - 8)),
        "{counted}"
    );
    assert_eq!(
        succeeded(output),
        format!("wrote items.npy [{ITEMS}, 16]\n")
    );
    assert!(FILES.map(|name| shop.read(name)) == whole);
    assert!(!shop.names().iter().any(|name| name.ends_with(".partial")));
}

/// Starts embedding from a pipe and waits until 8 rows are safe.
fn begun(shop: &Shop) -> Child {
    let mut command = shop.command("embed model --input - --out items.npy --batch 4");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let text = shop.text("catalogue.jsonl");
    let head: Vec<&str> = text.split_inclusive('\n').take(9).collect();
    let pipe = child.stdin.as_mut().unwrap();
    pipe.write_all(head.concat().as_bytes()).unwrap();
    pipe.flush().unwrap();
    let started = Instant::now();
    let rows = || std::fs::read(shop.path("items.npy.partial")).unwrap_or_default();
    let is_there = |bytes: &[u8]| bytes.windows(8).any(|part| part == b": (8, 16");
    while !is_there(&rows()) {
        assert!(started.elapsed() < Duration::from_secs(60), "no rows came");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

#[test]
fn after_a_broken_input() {
    let (shop, whole) = shop();
    let text = shop.text("catalogue.jsonl").replace("\"i10\"", "10");
    shop.write("broken.jsonl", text);
    let line = "embed model --input broken.jsonl --out items.npy --batch 4";
    let output = shop.command(line).output().unwrap();
    let message = "broken.jsonl:11: invalid type: integer `10`, expected a string; expected {\"id\": \
                   \"…\", \"title\": \"…\"}";
    failed(output, 1, message);
    resumes(&shop, &whole);
}

#[test]
fn after_a_kill() {
    let (shop, whole) = shop();
    let mut child = begun(&shop);
    child.kill().unwrap();
    child.wait().unwrap();
    resumes(&shop, &whole);
}

#[test]
fn after_an_interrupt() {
    let (shop, whole) = shop();
    let child = begun(&shop);
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    // This closes the pipe: what wrote it was interrupted too.
    let output = child.wait_with_output().unwrap();
    failed(
        output,
        130,
        "interrupted: 8 rows are written; go on with --resume",
    );
    resumes(&shop, &whole);
}

#[test]
fn with_the_same_input_and_model_only() {
    let (shop, whole) = shop();
    let mut child = begun(&shop);
    child.kill().unwrap();
    child.wait().unwrap();
    let catalogue = shop.text("catalogue.jsonl");
    shop.write("other.jsonl", catalogue.replace("\"i5\"", "\"x5\""));
    let short: Vec<&str> = catalogue.split_inclusive('\n').take(6).collect();
    shop.write("short.jsonl", short.concat());
    let same = "--resume expects the same input";
    for (input, message) in [
        (
            "other.jsonl",
            format!("items.npy: row 6 is of `i5`, the input has `x5`; {same}"),
        ),
        (
            "short.jsonl",
            format!("items.npy: 8 rows are there, the input ends after 6; {same}"),
        ),
    ] {
        let line = format!("embed model --input {input} --out items.npy --resume");
        failed(shop.command(&line).output().unwrap(), 1, &message);
    }
    shop.model("other", "emb", "get");
    let line = "embed other --input catalogue.jsonl --out items.npy --resume";
    let output = shop.command(line).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let begun = "lrem: items.json.partial: was begun with model llama-";
    assert!(
        error.starts_with(begun) && output.status.code() == Some(1),
        "{error}"
    );
    resumes(&shop, &whole);

    // A finished set is left as it is, unless it is of something else.
    let line = "embed model --input catalogue.jsonl --out items.npy --resume";
    assert_eq!(
        shop.prints(line),
        format!("items.npy is complete: {ITEMS} rows\n")
    );
    shop.write(
        "longer.jsonl",
        format!("{catalogue}{{\"id\": \"new\", \"title\": \"tea\"}}\n"),
    );
    let line = "embed model --input longer.jsonl --out items.npy --resume";
    let message = "items.npy: complete with 30 rows, but the input goes on with `new`; embed without \
                   --resume to replace it";
    failed(shop.command(line).output().unwrap(), 1, message);
    let line = "embed other --input catalogue.jsonl --out items.npy --resume";
    let output = shop.command(line).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.starts_with("lrem: items.npy: complete, but by model llama-"),
        "{error}"
    );
    assert!(FILES.map(|name| shop.read(name)) == *whole);
}
