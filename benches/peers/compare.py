#!/usr/bin/env python3
"""Runs lrem and its peers in turns on this machine and prints the ratios as a Markdown table.

usage: compare.py [--rounds N] [--only CONTENDER,...]    (after benches/peers/setup.sh)

Each round runs every contender once, so that a change of the machine's speed meets all of them; a
figure is the median of the rounds. $PEERS names the folder of the peers, .cache/peers by default.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = Path(os.environ.get("PEERS") or ROOT / ".cache/peers").resolve()
PYTHON = str(PEERS / "venv/bin/python")
BENCH = str(HERE / "bench.py")

CONTENDERS = {
    "lrem": [str(ROOT / "target/release/lrem"), "bench", "engine", "--json"],
    "torch f32": [PYTHON, BENCH, "torch-f32", str(PEERS / "smollm2-hf")],
    "torch bf16": [PYTHON, BENCH, "torch-bf16", str(PEERS / "smollm2-hf")],
    "llama.cpp Q4_1": [PYTHON, BENCH, "llama.cpp", str(ROOT / ".cache/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")],
}
TORCH, ALL, LLAMA = ["torch f32", "torch bf16"], list(CONTENDERS)[1:], ["llama.cpp Q4_1"]

# Our figure, the peers' name for that work, the peers it is held against, the ratio aimed at. Weights
# in 8 bits are held against weights in 4, and weights in 16 against 16 and 32.
ROWS = [
    ("prefill 512", "prefill 512", ALL, 1.1),
    ("embed 64x24", "embed 64x24", ALL, 1.2),
    ("decode batch 1 int8", "decode batch 1", LLAMA, 1.0),
    ("decode batch 1 bf16", "decode batch 1", TORCH, 1.6),
    ("decode batch 8 bf16", "decode batch 8", TORCH, 2.0),
    ("decode batch 64 bf16", "decode batch 64", TORCH, 2.5),
    ("cold-start step 16 pairs", "cold-start step 16 pairs", TORCH, 2.5),
    ("RL step 4 queries x 8", "RL step 4 queries x 8", TORCH, 4.0),
]

ISA = "avx2 fma avx_vnni avx512f avx512_vnni avx512_bf16 amx_bf16 amx_int8 asimddp bf16 i8mm sve".split()


def run(contender):
    """One run's figures: {name: (value, unit)}."""
    command = CONTENDERS[contender]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    except FileNotFoundError:
        sys.exit(f"compare: {command[0]} is missing; run `make peers`")
    except subprocess.CalledProcessError as error:
        sys.exit(f"compare: `{' '.join(command)}` failed with status {error.returncode}")
    figures = {}
    for line in done.stdout.splitlines():
        figure = json.loads(line)
        figures[figure["name"]] = (figure["value"], figure["unit"])
    return figures


def machine():
    """The processor's name, its vector extensions and the cores that this process may use."""
    info = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        info.setdefault(key.strip(), value.strip())
    flags = (info.get("flags") or info.get("Features") or "").split()
    name = info.get("model name") or os.uname().machine
    has = " ".join(flag for flag in ISA if flag in flags)
    return f"{name} ({has}), {len(os.sched_getaffinity(0))} cores"


def versions():
    script = (
        "from importlib.metadata import version as v;"
        "print(*(f'{p} {v(p)}' for p in ('torch', 'transformers', 'llama-cpp-python')), sep=', ')"
    )
    return subprocess.run([PYTHON, "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def cell(figure):
    return "" if figure is None else f"{figure[0]:.4g}"


def table(figures):
    """`figures[contender][name]` as lines of Markdown."""
    yield f"| | unit | {' | '.join(CONTENDERS)} | ours / best peer | aim |"
    yield "|---" * (len(CONTENDERS) + 4) + "|"
    for ours, theirs, held_against, aim in ROWS:
        own = figures["lrem"].get(ours)
        peers = {peer: figures[peer].get(theirs) for peer in ALL if peer in figures}
        best = max((peers[p][0] for p in held_against if peers.get(p)), default=None)
        ratio = f"**{own[0] / best:.2f}**" if own and best else ""
        unit = next((f[1] for f in [own, *peers.values()] if f), "")
        cells = [cell(own)] + [cell(peers.get(p)) if p in held_against else "" for p in ALL]
        yield f"| {ours} | {unit} | {' | '.join(cells)} | {ratio} | {aim} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="contenders to run, by comma; lrem is needed for ratios")
    options = parser.parse_args()
    chosen = options.only.split(",") if options.only else list(CONTENDERS)
    for contender in chosen:
        if contender not in CONTENDERS:
            parser.error(f"no contender {contender!r}; there are {', '.join(CONTENDERS)}")

    runs = {contender: [] for contender in chosen}
    for number in range(options.rounds):
        for contender in chosen:
            print(f"round {number + 1} of {options.rounds}: {contender}", file=sys.stderr)
            runs[contender].append(run(contender))
    figures = {contender: {} for contender in CONTENDERS}
    for contender, rounds in runs.items():
        for name, (_, unit) in rounds[0].items():
            figures[contender][name] = (statistics.median(r[name][0] for r in rounds), unit)

    print("\n".join(table(figures)))
    rounds = "one round" if options.rounds == 1 else f"median of {options.rounds} rounds"
    print(f"\n{datetime.date.today()}, {rounds}, {machine()}; {versions()}")


if __name__ == "__main__":
    main()
