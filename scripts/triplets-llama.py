#!/usr/bin/env python3
"""Makes triplets with llama.cpp's server as the teacher, and checks what came of it.

Starts the server of llama-cpp-python with the demo's base model, asks `lrem triplets` for a few of the
bundled queries, interrupts it after the first, lets it go on, and looks at what every query has. The same
model run by lrem itself answers the same questions; how far the two teachers' texts agree is printed.

usage: triplets-llama.py LREM PYTHON GGUF FOLDER
PYTHON has llama_cpp with its server; FOLDER takes the files and is replaced.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

QUERIES = 12
ITEMS = 400
ROOT = Path(__file__).resolve().parent.parent


def main():
    lrem, python, gguf, folder = sys.argv[1:]
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    queries = head(ROOT / "data/shop/train.jsonl", QUERIES)
    (folder / "queries.jsonl").write_text("".join(
        json.dumps({"id": q["id"], "query": q["query"], "kind": q["kind"]}) + "\n" for q in queries))
    catalogue = folder / "catalogue.jsonl"
    catalogue.write_text("".join(json.dumps(i) + "\n" for i in head(ROOT / "data/shop/catalogue.jsonl", ITEMS)))
    run([lrem, "index", gguf, "--input", catalogue, "--out", folder / "index"])
    common = [lrem, "triplets", gguf, folder / "index", "--catalogue", catalogue,
              "--queries", folder / "queries.jsonl", "--top", "20", "--judged", "3", "--reasoning", "48"]

    with Server(python, gguf, folder / "server.log") as url:
        served = common + ["--teacher", url, "--parallel", "2", "--out", folder / "served"]
        journal = folder / "served/work.jsonl"
        interrupted(served, journal)
        begun = lines(journal)
        check(0 < len(begun) < QUERIES, f"{len(begun)} queries were done when it was interrupted")
        said = run(served)
        works = lines(journal)
        check(works[:len(begun)] == begun, "what was done is kept")
    check(sorted(w["id"] for w in works) == sorted(q["id"] for q in queries), "every query has its line")
    for work in works:
        prompt, answer = work["tokens"]
        check(work["reasoning"].strip() and prompt > 0 and answer > 0, f"{work['id']}: reasoned, tokens counted")
    kept = {w["id"] for w in works if w["outcome"] == "kept"}
    written = [t for name in ("train", "rl") for t in lines(folder / f"served/{name}.jsonl")]
    check({t["id"] for t in written} == kept, f"{len(kept)} kept queries are triplets")

    run(common + ["--teacher-model", gguf, "--weights", "f32", "--out", folder / "local"])
    local = {w["id"]: w for w in lines(folder / "local/work.jsonl")}
    for work in works:
        ours = local[work["id"]]["reasoning"]
        same = len(os.path.commonprefix([work["reasoning"], ours]))
        print(f"{work['id']}: {work['outcome']}, thought \"{work['cot']}\"; "
              f"{same} of {len(work['reasoning'])} characters of reasoning as lrem's own")
    print(said.strip().splitlines()[-1])


class Server:
    """llama.cpp's OpenAI-compatible server on a free port."""

    def __init__(self, python, gguf, log):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = open(log, "w")
        self.process = subprocess.Popen(
            [python, "-m", "llama_cpp.server", "--model", gguf, "--host", "127.0.0.1", "--port", str(self.port),
             "--n_ctx", "2048"], stdout=self.log, stderr=self.log)

    def __enter__(self):
        url = f"http://127.0.0.1:{self.port}/v1"
        for _ in range(300):
            check(self.process.poll() is None, f"the server runs (its log: {self.log.name})", quiet=True)
            try:
                urllib.request.urlopen(f"{url}/models", timeout=1).read()
                return url
            except OSError:
                time.sleep(0.2)
        sys.exit("the server did not answer in a minute")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def interrupted(command, journal):
    """Runs a command until its journal has a line."""
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None and not (journal.exists() and journal.stat().st_size):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate()


def run(command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[1]}: {done.stderr.strip()}")
    return done.stdout + done.stderr


def head(path, count):
    return lines(path)[:count]


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def check(fine, what, quiet=False):
    if not fine:
        sys.exit(f"not so: {what}")
    if not quiet:
        print(f"ok: {what}")


main()
