#!/usr/bin/env python3
"""Compares our logits on the base model with those of transformers in f32, and ours with those of
transformers on the folder that `lrem model convert` writes.

usage: logits.py    (after `make build` and benches/peers/setup.sh; run by the Python in $PEERS/venv)

Ten texts, from two tokens to some hundred; prints the largest difference of each and exits 1 where one
is beyond 1e-3.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = Path(os.environ.get("PEERS") or ROOT / ".cache/peers")
GGUF = ROOT / ".cache/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LREM = ROOT / "target/release/lrem"
LIMIT = 1e-3


def lines(name):
    return [json.loads(line) for line in (ROOT / "data/shop" / name).read_text().splitlines()]


def texts():
    queries, items = lines("test.jsonl"), lines("catalogue.jsonl")
    yield "tea"
    yield from (queries[i]["query"] for i in (0, 90, 180, 270))
    yield from (items[i]["title"] for i in (0, 800))
    yield "Crème brûlée, 你好, naïve — 3½ × “½”"
    yield "<|im_start|>user\n" + queries[10]["query"] + "<|im_end|>\n<|im_start|>assistant\n"
    yield "; ".join(item["title"] for item in items[:24])


def ours(model, text, folder):
    out = Path(folder) / "logits.npy"
    subprocess.run([LREM, "model", "logits", model, "--text", text, "--npy", out], check=True, stdout=subprocess.DEVNULL)
    return numpy.load(out)


def main():
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        exported = str(Path(folder) / "exported")
        subprocess.run([LREM, "model", "convert", GGUF, exported], check=True, stdout=subprocess.DEVNULL)
        tokenizer = AutoTokenizer.from_pretrained(exported)
        base = AutoModelForCausalLM.from_pretrained(PEERS / "smollm2-hf", dtype=torch.float32).eval()
        export = AutoModelForCausalLM.from_pretrained(exported, dtype=torch.float32).eval()
        for text in texts():
            ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
            with torch.inference_mode():
                theirs = [model(ids).logits[0].numpy() for model in (base, export)]
            mine = ours(GGUF, text, folder), ours(exported, text, folder)
            vocab = theirs[0].shape[1]
            off = numpy.abs(mine[0][:, :vocab] - theirs[0]).max(), numpy.abs(mine[1] - theirs[1]).max()
            worst = max(worst, *off)
            print(f"{ids.shape[1]:4} tokens: base {off[0]:.1e}, exported {off[1]:.1e}  {text[:40]!r}")
    print(f"largest difference {worst:.1e}, at most {LIMIT:.0e} is asked")
    sys.exit(1 if worst > LIMIT else 0)


if __name__ == "__main__":
    main()
