#!/usr/bin/env python3
"""Runs lrem's kernels and its peers' on the virtual GPU at the same shapes and prints what each does, as Markdown.

usage: compare.py [--chip A100|H100|B200] [--only TEXT]    (after benches/peers/kernels/setup.sh)

Nothing is timed: the virtual GPU counts, for an A100's architecture (sm_80), and `lrem kernel predict` says what
that takes. Every result is checked: lrem's by its op's contract, the peer's against PyTorch in f64.
"""

import argparse
import dataclasses
import datetime
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
PEERS = Path(os.environ.get("PEERS") or ROOT / ".cache/peers").resolve()
RELEASE = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release"
LREM = str(RELEASE / "lrem")


@dataclasses.dataclass
class Row:
    """An op's kernels and a peer's that do the same."""

    name: str
    op: str
    # Our kernels by parts of their symbols; of each the first launch counts, where there is one.
    ours: list
    whose: str
    # The peer's function in peers.py and the kernels of it that count: all by default.
    peer: str
    theirs: str = ""
    # The fastest of the peer's launches counts instead of all: they are tilings of one product.
    fastest: bool = False


LIGER, FLA, TRITON, SGLANG = "Liger-Kernel", "flash-linear-attention", "Triton's tutorial", "SGLang"
ROWS = [
    Row("RMSNorm", "rms_norm", ["8rms_normI"], LIGER, "rms_norm"),
    Row("residual + RMSNorm", "rms_norm", ["12add_rms_normI"], LIGER, "add_rms_norm"),
    Row("RMSNorm backward", "rms_norm", ["17rms_norm_backwardI", "column_sums"], LIGER, "rms_norm_backward"),
    Row("SwiGLU", "swiglu", ["6swigluI"], LIGER, "swiglu"),
    Row("SwiGLU backward", "swiglu", ["15swiglu_backwardI"], LIGER, "swiglu_backward"),
    Row("RoPE", "rope", ["4ropeI"], LIGER, "rope"),
    Row("linear", "linear", ["6linearI"], TRITON, "linear", fastest=True),
    Row("linear cross-entropy, with gradients", "linear_cross_entropy", ["lce_forward", "lce_finish", "lce_gather",
        "lce_gradient", "6linearI.*Major0ELS._1E", "6linearI.*Major1ELS._1E", "add_parts", "lce_scatter"], LIGER,
        "linear_cross_entropy"),
    Row("attention", "attention", ["9attentionI"], FLA, "attention"),
    Row("attention backward", "attention", ["15attention_delta", "18attention_backwardI", "23attention_backward_keysI",
        "28attention_backward_keys_fold"], FLA, "attention_backward", theirs="bwd"),
    Row("attention, decoding", "attention_combine", ["9attentionI", "17attention_combineI"], SGLANG,
        "attention_combine"),
]
COUNTS = ["memory_bytes", "sectors", "wavefronts", "warp_instructions", "tensor_flops"]


def environment(profile):
    # Triton caches what it compiles; the virtual GPU writes a record a launch.
    paths = [str(PEERS / "simt"), os.environ.get("LD_LIBRARY_PATH", "")]
    return {**os.environ, "SIMT_PROFILE": str(profile), "SIMT_ARCH": "sm_80", "LD_LIBRARY_PATH": ":".join(paths),
            "PYTHONPATH": str(PEERS / "sglang"), "TRITON_CACHE_DIR": str(PEERS / "triton")}


def perfect_products(profile):
    """Adds records of products that torch would do by cuBLAS: every byte once, all multiprocessors busy."""
    notes = Path(f"{profile}.products")
    if not notes.exists():
        return
    record = json.loads(profile.read_text().splitlines()[0])
    nothing = {name: {"requests": 0, "bytes": 0, "sectors": 0, "ideal_sectors": 0} for name in record["global"]}
    idle = {name: dict.fromkeys(was, 0) if isinstance(was, dict) else 0 for name, was in record["shared"].items()}
    with profile.open("a") as out:
        for m, n, k in (json.loads(line).values() for line in notes.read_text().splitlines()):
            read, written = 2 * k * (m + n), 2 * m * n
            loads = {**nothing["loads"], "sectors": (read + written) // 32, "ideal_sectors": (read + written) // 32}
            product = {"kernel": "a perfect product", "grid": [10**6, 1, 1], "global": {**nothing, "loads": loads},
                       "shared": idle, "unique": {"read_bytes": read, "written_bytes": written},
                       "flops": {**dict.fromkeys(record["flops"], 0), "tensor": 2 * m * n * k},
                       "instructions": {**record["instructions"], "warp": 0}}
            out.write(json.dumps({**record, **product}) + "\n")


def launches(command):
    """The launches of a command: counts and predictions, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile.jsonl"
        done = subprocess.run(command, env=environment(profile), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"compare: `{' '.join(command)}` failed:\n{done.stderr[-2000:]}")
        perfect_products(profile)
        counted = subprocess.run([LREM, "kernel", "predict", str(profile), "--json"], stdout=subprocess.PIPE, text=True,
                                 check=True)
        return [json.loads(line) for line in counted.stdout.splitlines()], done.stdout


def ours(op, workload):
    """Our launches, after the contract has found every number near enough."""
    command = [LREM, "kernel", "inspect", "--op", op, "--seed", "0", "--activations", "bf16", "--shape",
               json.dumps(workload)]
    found, said = launches(command)
    errors = json.loads(said.splitlines()[-1])["errors"]
    if not errors["of_allowed"] <= 1.0:
        sys.exit(f"compare: {op} at {workload['uuid']} is wrong: {errors}")
    return found


def first_of_each(found, patterns):
    firsts = [next((l for l in found if re.search(pattern, l["kernel"])), None) for pattern in patterns]
    return [launch for launch in firsts if launch]


def predicted(launch, chip, what):
    """Seconds of a launch: `work`, or from one launch to the next, `seconds`."""
    return dict(launch["predictions"])[chip][what]


def total(some, chip):
    if not some:
        return None
    counts = {name: sum(launch[name] for launch in some) for name in COUNTS}
    times = {what: sum(predicted(launch, chip, what) for launch in some) for what in ("work", "seconds")}
    return {**counts, **times, "launches": len(some)}


def ratio(a, b):
    return "" if not b else f"{a / b:.2f}"


def line(row, workload, us, them):
    cells = [row.name, workload["uuid"], row.whose, f"{us['launches']} / {them['launches']}"]
    cells += [ratio(us[name], them[name]) for name in COUNTS]
    for what, strong in (("work", "**"), ("seconds", "")):
        cells += [f"{1e6 * us[what]:.2f} / {1e6 * them[what]:.2f}", f"{strong}{us[what] / them[what]:.2f}{strong}"]
    return f"| {' | '.join(cells)} |"


def versions():
    script = ("from importlib.metadata import version as v;"
              "print(*(f'{p} {v(p)}' for p in ('triton', 'liger-kernel', 'fla-core')), sep=', ')")
    python = subprocess.run([str(PEERS / "venv/bin/python"), "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    return f"{python.stdout.strip()}, sglang {(PEERS / 'sglang/version').read_text().strip()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chip", default="A100", choices=["A100", "H100", "B200"])
    parser.add_argument("--only", default="", help="rows whose name contains this")
    options = parser.parse_args()
    workloads = [json.loads(text) for text in (HERE / "workloads.jsonl").read_text().splitlines()]
    print("| op | shape | peer | launches | HBM bytes | sectors | wavefronts | instructions | tensor flops | "
          f"us on {options.chip} | ours / peer | with launching | ours / peer |")
    print("|---" * 13 + "|")
    ratios = []
    for row in (row for row in ROWS if options.only in row.name):
        for workload in (w["workload"] for w in workloads if w["definition"] == row.op):
            us = total(first_of_each(ours(row.op, workload), row.ours), options.chip)
            peers = [str(PEERS / "venv/bin/python"), str(HERE / "peers.py"), row.peer, json.dumps(workload["axes"])]
            found = [launch for launch in launches(peers)[0] if row.theirs in launch["kernel"]]
            if row.fastest:
                found = [min(found, key=lambda launch: predicted(launch, options.chip, "work"))]
            them = total(found, options.chip)
            print(line(row, workload, us, them), flush=True)
            ratios.append(us["work"] / them["work"])
    mean = math.exp(sum(map(math.log, ratios)) / max(len(ratios), 1))
    print(f"\nGeometric mean of ours / peer, without launching: {mean:.2f}. Columns without two figures are ours over the peer's.")
    print(f"{datetime.date.today()}; {versions()}")


if __name__ == "__main__":
    main()
