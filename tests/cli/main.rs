//! The built command, from outside: what it prints, what it writes, how it ends.

mod ablate;
mod bench;
mod browser;
mod demo;
mod errors;
mod gate;
mod gpu;
mod jobs;
mod kernel;
mod kernel_table;
mod latency;
mod predict;
mod resume;
mod rewriting;
mod round_trip;
mod train;
mod trainable;
mod triplets;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const WORDS: [&str; 20] = [
    "red", "blue", "green", "tea", "kettle", "steel", "cotton", "towel", "flour", "rice", "lamp",
    "desk", "chair", "oak", "wool", "sock", "mug", "glass", "soap", "brush",
];

/// The items of the small catalogue: every title is two words, no two alike.
pub const ITEMS: usize = 30;

pub fn title(item: usize) -> String {
    let (first, second) = (item % WORDS.len(), (item * 7 + 3 + item / 20) % WORDS.len());
    format!("{} {}", WORDS[first], WORDS[second])
}

/// A temporary folder with `model`, `catalogue.jsonl` and `test.jsonl`.
pub struct Shop {
    folder: tempfile::TempDir,
}

impl Shop {
    pub fn make() -> Shop {
        let shop = Shop {
            folder: tempfile::tempdir().unwrap(),
        };
        shop.model("model", "emb", "find");
        let item = |i| format!("{{\"id\": \"i{i}\", \"title\": \"{}\"}}\n", title(i));
        shop.write("catalogue.jsonl", (0..ITEMS).map(item).collect::<String>());
        let query = |i: usize| {
            let kind = if i.is_multiple_of(3) { "plain" } else { "qa" };
            let query = format!("{} {}", WORDS[i], WORDS[i + 5]);
            format!(
                "{{\"id\": \"q{i}\", \"kind\": \"{kind}\", \"query\": \"{query}\", \"cot\": \"{}\", \
                 \"items\": [\"i{i}\", \"i{}\"]}}\n",
                title(i),
                i + 11
            )
        };
        shop.write("test.jsonl", (0..10).map(query).collect::<String>());
        shop
    }

    /// A golden model with a tokenizer of a few words; two differ by `verb` in their prompts.
    pub fn model(&self, name: &str, pooling: &str, verb: &str) {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/llama-tied");
        let folder = self.path(name);
        fs::create_dir(&folder).unwrap();
        for file in ["config.json", "generation_config.json", "model.safetensors"] {
            fs::copy(golden.join(file), folder.join(file)).unwrap();
        }
        let mut vocabulary =
            String::from("\"?\": 0, \"<s>\": 1, \"</s>\": 2, \"find\": 3, \"get\": 4");
        for (i, word) in WORDS.iter().enumerate() {
            vocabulary += &format!(", \"{word}\": {}", i + 5);
        }
        let tokenizer = format!(
            "{{\"version\": \"1.0\", \"added_tokens\": [], \"pre_tokenizer\": {{\"type\": \
             \"Whitespace\"}}, \"model\": {{\"type\": \"WordLevel\", \"vocab\": {{{vocabulary}}}, \
             \"unk_token\": \"?\"}}}}"
        );
        fs::write(folder.join("tokenizer.json"), tokenizer).unwrap();
        let settings = format!(
            "{{\"prompt\": {{\"query_prefix\": \"{verb} query\", \"query_suffix\": \"?\", \
             \"item_prefix\": \"{verb} item\", \"item_suffix\": \"!\"}}, \"pooling\": \
             \"{pooling}\", \"budget\": 4}}"
        );
        fs::write(folder.join("lrem.json"), settings).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// Names in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// `lrem` with the words of `line` as arguments, to be run in the folder.
    pub fn command(&self, line: &str) -> Command {
        self.command_of(&line.split_whitespace().collect::<Vec<_>>())
    }

    pub fn command_of(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lrem"));
        command.args(arguments).current_dir(self.folder.path());
        command.stdin(Stdio::null());
        command
    }

    /// What `lrem` prints, after asserting that it succeeds.
    #[track_caller]
    pub fn prints(&self, line: &str) -> String {
        succeeded(self.command(line).output().unwrap())
    }

    /// What a search says of each query, one by one, which their file `q.txt` and the prompt say too; `common` has
    /// everything but the queries.
    #[track_caller]
    pub fn searched<const N: usize>(&self, common: &[&str], queries: [&str; N]) -> [String; N] {
        let singles = queries.map(|query| {
            let command = [common, &["--query", query]].concat();
            succeeded(self.command_of(&command).output().unwrap())
        });
        let file = [common, &["--queries", "q.txt"]].concat();
        let file = succeeded(self.command_of(&file).output().unwrap());
        let blocks = queries.iter().zip(&singles).enumerate();
        let expected: String = blocks
            .map(|(n, (query, single))| format!("{}: {query}\n{single}\n", n + 1))
            .collect();
        assert_eq!(file, expected);

        let mut prompt = self.command_of(common);
        prompt.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = prompt.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(queries.join("\n").as_bytes()).unwrap();
        drop(pipe);
        let said = succeeded(child.wait_with_output().unwrap());
        assert_eq!(said, singles.concat());
        singles
    }
}

#[track_caller]
pub fn succeeded(output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Asserts that the command ended with `code`, one line on stderr and nothing on stdout.
#[track_caller]
pub fn failed(output: Output, code: i32, message: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(error, format!("lrem: {message}\n"));
    assert_eq!(output.status.code(), Some(code));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}
