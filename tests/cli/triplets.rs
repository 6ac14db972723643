//! `lrem triplets`: against a small OpenAI-compatible server, by rules that a test can foresee, and with
//! a model of the engine's own.

use super::{Shop, failed};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What the server was asked, and how often it refused.
#[derive(Default)]
struct Log {
    keys: Vec<String>,
    refusals: usize,
    questions: HashMap<&'static str, usize>,
}

/// A teacher that thinks of "steel lamp" for every query but those with "blue", finds titles with "lamp" or
/// "steel" relevant, and says "busy" to the first two requests.
struct Server {
    url: String,
    log: Arc<Mutex<Log>>,
}

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Log::default()));
        let shared = log.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = shared.clone();
                std::thread::spawn(move || serve(stream, &log));
            }
        });
        Server { url, log }
    }
}

fn serve(stream: TcpStream, log: &Mutex<Log>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let (mut length, mut first) = (0, String::new());
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let lower = line.trim().to_lowercase();
            if let Some(value) = lower.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
            if let Some(key) = lower.strip_prefix("authorization: ") {
                log.lock().unwrap().keys.push(key.to_string());
            }
            if lower.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let (status, answer) = match first.starts_with("POST /v1/chat/completions ") {
            true => answer(&serde_json::from_slice(&body).unwrap(), log),
            false => ("404 Not Found", json!({"error": "no such thing"})),
        };
        let text = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nRetry-After: 0\r\n\r\n",
            text.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
    }
}

fn answer(body: &Value, log: &Mutex<Log>) -> (&'static str, Value) {
    let mut log = log.lock().unwrap();
    if log.refusals < 2 {
        log.refusals += 1;
        return ("429 Too Many Requests", json!({"error": "busy"}));
    }
    let messages = body["messages"].as_array().unwrap();
    let first = messages[0]["content"].as_str().unwrap();
    let (kind, text) = if messages.len() == 3 {
        let keywords = match first.contains("Query: blue") {
            true => "Blue, BLUE!",
            false => "1. Steel lamp\n2. steel  LAMP\n3. cheap lamp\n4. tea kettle",
        };
        ("extract", keywords)
    } else if let Some((_, title)) = first.split_once("Product: ") {
        let relevant = title.contains("lamp") || title.contains("steel");
        ("judge", if relevant { "Yes, they would." } else { "no" })
    } else {
        ("reason", "They may want light.")
    };
    *log.questions.entry(kind).or_default() += 1;
    let answer = json!({
        "choices": [{"message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 3},
    });
    ("200 OK", answer)
}

fn shop() -> Shop {
    let shop = Shop::make();
    shop.prints("index model --input catalogue.jsonl --out shop");
    shop.write(
        "log.jsonl",
        "{\"id\": \"a\", \"query\": \"red mug\", \"kind\": \"qa\"}\n{\"id\": \"b\", \"query\": \"blue\"}\n\
         {\"id\": \"c\", \"query\": \"oak chair\"}\n{\"id\": \"d\", \"query\": \"wool sock\"}\n",
    );
    shop.write("banned.txt", "cheap\n");
    shop
}

fn lines(shop: &Shop, name: &str) -> Vec<Value> {
    let text = shop.text(name);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_teacher_behind_an_endpoint() {
    let (shop, server) = (shop(), Server::start());
    let line = format!(
        "triplets model shop --catalogue catalogue.jsonl --queries log.jsonl --out made --teacher {} \
         --top 10 --banned banned.txt --rl-share 0.34 --price-in 1000 --price-out 10000 --key-env TEST_KEY",
        server.url
    );
    let mut command = shop.command(&line);
    let printed = super::succeeded(command.env("TEST_KEY", "sesame").output().unwrap());
    let works = lines(&shop, "made/work.jsonl");
    let works: HashMap<&str, &Value> = works
        .iter()
        .map(|w| (w["id"].as_str().unwrap(), w))
        .collect();
    assert_eq!(works.len(), 4);
    assert_eq!(works["b"]["outcome"], "no_keywords");
    assert!(
        printed.contains("dropped 1: no keyword was left\n"),
        "{printed}"
    );
    for id in ["a", "c", "d"] {
        assert_eq!(works[id]["cot"], "steel lamp, tea kettle", "{id}");
        assert_eq!(works[id]["reasoning"], "They may want light.");
    }

    // What only the thought finds and the judge likes, from searches of our own.
    let mut kept = 0;
    for (id, query) in [("a", "red mug"), ("c", "oak chair"), ("d", "wool sock")] {
        let found = |text: &str| -> Vec<String> {
            let arguments = [
                "search", "model", "shop", "--top", "10", "--think", "0", "--query", text,
            ];
            let printed = super::succeeded(shop.command_of(&arguments).output().unwrap());
            let ids = printed
                .lines()
                .map(|l| l.split_whitespace().nth(2).unwrap().to_string());
            ids.collect()
        };
        let before = found(query);
        let new = found(&format!("{query} (steel lamp, tea kettle)"));
        let new: Vec<String> = new.into_iter().filter(|id| !before.contains(id)).collect();
        let relevant = |id: &&String| {
            let title = super::title(id[1..].parse().unwrap());
            title.contains("lamp") || title.contains("steel")
        };
        let items: Vec<&String> = new.iter().filter(relevant).collect();
        let outcome = match (new.is_empty(), items.is_empty()) {
            (true, _) => "no_difference",
            (false, true) => "none_relevant",
            (false, false) => "kept",
        };
        kept += usize::from(outcome == "kept");
        assert_eq!(works[id]["outcome"], outcome, "{id}");
        assert_eq!(works[id]["items"], json!(items), "{id}");
    }
    let (train, rl) = (
        lines(&shop, "made/train.jsonl"),
        lines(&shop, "made/rl.jsonl"),
    );
    let pairs = (kept as f64 * 0.34).round() as usize;
    assert_eq!((train.len(), rl.len()), (kept - pairs, pairs));
    assert!(train.iter().all(|t| t["cot"].is_string()) && rl.iter().all(|t| t["cot"].is_null()));
    assert!(
        train
            .iter()
            .chain(&rl)
            .all(|t| (t["id"] == "a") == (t["kind"] == "qa"))
    );

    // Every answer took ten tokens of a prompt and three of its own; the key went along.
    {
        let log = server.log.lock().unwrap();
        assert_eq!((log.questions["reason"], log.questions["extract"]), (4, 4));
        let answers: usize = log.questions.values().sum();
        let cost = answers as f64 * (10.0 * 1000.0 + 3.0 * 10_000.0) / 1e6;
        let last = format!(
            "{} prompt tokens, {} answer tokens, cost {cost:.4}\n",
            10 * answers,
            3 * answers
        );
        assert!(printed.ends_with(&last), "{printed}");
        assert!(log.keys.iter().all(|key| key == "bearer sesame"));
        assert_eq!(log.keys.len(), answers + 2);
    }

    // A run whose last line was cut off goes on with that query, and asks nothing else again.
    let whole = shop.text("made/work.jsonl");
    shop.write("made/work.jsonl", &whole[..whole.len() - 9]);
    let mut command = shop.command(&line);
    super::succeeded(command.env("TEST_KEY", "sesame").output().unwrap());
    assert_eq!(shop.text("made/work.jsonl"), whole);
    assert_eq!(server.log.lock().unwrap().questions["reason"], 5);
}

#[test]
fn a_model_of_the_engine_teaches() {
    let shop = shop();
    let line = "triplets model shop --catalogue catalogue.jsonl --queries log.jsonl --out made \
                --teacher-model model --reasoning 5 --served 0.5 --weights f32";
    // Its chats do not fit in a context of 64 tokens, and the error says so.
    let output = shop.command(line).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.starts_with("lrem: generate: the prompt and its answer take "),
        "{error}"
    );
}

#[test]
fn what_cannot_be_asked() {
    let (shop, server) = (shop(), Server::start());
    let line =
        "triplets model shop --catalogue catalogue.jsonl --queries log.jsonl --out made --teacher";
    let fails = |rest: &str, message: &str| {
        failed(
            shop.command(&format!("{line} {rest}")).output().unwrap(),
            1,
            message,
        );
    };
    let url = &server.url;
    fails(
        &format!("{url} --rl-share 2"),
        "--rl-share: expected a share from 0 to 1",
    );
    fails(
        &format!("{url} --key-env NO_SUCH_KEY"),
        "--key-env: the environment has no NO_SUCH_KEY",
    );
    let lost = url.replace("/v1", "/v2");
    fails(
        &format!("{lost} --parallel 1"),
        &format!("{lost}: status 404: {{\"error\":\"no such thing\"}}"),
    );
    shop.write("other.jsonl", "{\"id\": \"x\", \"title\": \"tea\"}\n");
    let line = "triplets model shop --catalogue other.jsonl --queries log.jsonl --out made --teacher http://127.0.0.1:9/v1";
    failed(
        shop.command(line).output().unwrap(),
        1,
        "shop: item `i0` is not in other.jsonl; expected its index",
    );
}
