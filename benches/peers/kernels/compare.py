#!/usr/bin/env python3
"""Runs lrem's kernels and its peers' at the same shapes and prints what each does, as Markdown.

usage: compare.py [--chip A100|H100|H200|B200] [--only TEXT]    (after benches/peers/kernels/setup.sh)
       compare.py --device cuda [--only TEXT]    (an NVIDIA GPU, its profiler `ncu` on PATH)

By default nothing is timed: the virtual GPU counts, for an A100's architecture (sm_80), and `lrem kernel predict`
says what that takes. On a GPU the profiler counts and times, and cuBLAS and FlashAttention-2 are peers too. Every
result is checked: lrem's by its op's contract, the peer's against PyTorch in f64.
"""

import argparse
import dataclasses
import datetime
import functools
import json
import math
import operator
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import on_gpu as gpu

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
PEERS = Path(os.environ.get("PEERS") or ROOT / ".cache/peers").resolve()
RELEASE = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release"
LREM = str(RELEASE / "lrem")
# Where peers are not installed, the python that is there.
PYTHON = next(filter(os.path.exists, [str(PEERS / "venv/bin/python")]), sys.executable)


@dataclasses.dataclass
class Row:
    """An op's kernels and a peer's that do the same."""

    name: str
    # Of two, as `a + b`, workloads have the same name.
    ops: str
    # Our kernels by parts of their symbols; of each the first launch counts, where there is one.
    ours: list
    whose: str
    # The peer's function in peers.py and the kernels of it that count: all by default.
    peer: str
    theirs: str = ""
    # The fastest of the peer's launches counts instead of all: they are tilings of one product.
    fastest: bool = False
    # A peer whose machine code alone can be had.
    needs_gpu: bool = False
    # A peer whose blocks wait for those behind them: on the virtual GPU these run first, as turns of waiting are no work.
    from_behind: bool = False


LIGER, FLA, TRITON, CUTE, SGLANG, INF_CL = (
    "Liger-Kernel", "flash-linear-attention", "Triton's tutorial", "CuTe's tutorial", "SGLang", "Inf-CL")
CROSS_ENTROPY = ["lce_forward", "lce_finish", "lce_gather", "lce_gradient", "6linearI.*Major0ELS._1E",
                 "6linearI.*Major1ELS._1E", "add_parts", "lce_scatter"]
BACKWARD = ["15attention_delta", "18attention_backwardI", "23attention_backward_keysI", "28attention_backward_keys_fold"]
ROWS = [
    Row("RMSNorm", "rms_norm", ["8rms_normI"], LIGER, "rms_norm"),
    Row("residual + RMSNorm", "rms_norm", ["12add_rms_normI"], LIGER, "add_rms_norm"),
    Row("RMSNorm backward", "rms_norm", ["17rms_norm_backwardI"], LIGER, "rms_norm_backward"),
    Row("residual + RMSNorm backward", "rms_norm", ["17rms_norm_backwardI"], LIGER, "add_rms_norm_backward"),
    Row("SwiGLU", "swiglu", ["6swigluI"], LIGER, "swiglu"),
    Row("SwiGLU backward", "swiglu", ["15swiglu_backwardI"], LIGER, "swiglu_backward"),
    Row("RoPE", "rope", ["4ropeI"], LIGER, "rope"),
    Row("linear", "linear", ["6linearI"], TRITON, "linear", fastest=True),
    Row("linear", "linear", ["6linearI"], CUTE, "cute", fastest=True),
    Row("linear", "linear", ["6linearI"], "cuBLAS", "cublas", needs_gpu=True),
    Row("linear, int8 weights", "linear_int8", ["linear_quantised"], "Marlin", "marlin_int8", from_behind=True),
    Row("linear, int4 weights", "linear_int4", ["linear_quantised"], "Marlin", "marlin_int4", from_behind=True),
    Row("linear cross-entropy, with gradients", "linear_cross_entropy", CROSS_ENTROPY, LIGER, "linear_cross_entropy"),
    Row("policy loss, with gradients", "linear_cross_entropy + grpo", [*CROSS_ENTROPY, "4grpo"], LIGER, "policy"),
    Row("InfoNCE, with gradients", "info_nce", ["info_nce_target", "8info_nceI", "info_nce_finish", "info_nce_gradient",
        "6linearI.*Major0ELS._1E", "6linearI.*Major1ELS._1E"], INF_CL, "info_nce"),
    Row("attention", "attention", ["9attentionI"], FLA, "attention"),
    Row("attention", "attention", ["9attentionI"], "FlashAttention-2", "flash", needs_gpu=True),
    Row("attention backward", "attention", BACKWARD, FLA, "attention_backward", theirs="bwd"),
    Row("attention backward", "attention", BACKWARD, "FlashAttention-2", "flash_backward", needs_gpu=True),
    Row("attention, decoding", "attention_combine", ["9attentionI", "17attention_combineI"], SGLANG,
        "attention_combine"),
    Row("attention, decoding", "attention_combine", ["9attentionI", "17attention_combineI"], "FlashInfer",
        "flashinfer", theirs="flashinfer_"),
]
# Ops without activations in bf16.
ALWAYS_F32 = ["grpo", "info_nce"]
COUNTS = ["memory_bytes", "sectors", "wavefronts", "warp_instructions"]


def environment(profile, from_behind):
    # Triton caches what it compiles; the virtual GPU writes a record a launch.
    paths = [str(PEERS / "simt"), os.environ.get("LD_LIBRARY_PATH", "")]
    order = {"SIMT_ORDER": "falling", "SIMT_THREADS": "1"} if from_behind else {}
    return {**os.environ, **order, "SIMT_PROFILE": str(profile), "SIMT_ARCH": "sm_80", "LD_LIBRARY_PATH": ":".join(paths),
            "PYTHONPATH": str(PEERS / "sglang"), "TRITON_CACHE_DIR": str(PEERS / "triton")}


def perfect(profile):
    """Adds records of what torch would do by kernels that cannot run here: every byte once, all multiprocessors busy."""
    notes = Path(f"{profile}.torch")
    if not notes.exists():
        return
    lines = map(json.loads, profile.read_text().splitlines())
    record = next(line for line in lines if "launch" in line)  # Not a range of launches.
    nothing = {name: {"requests": 0, "bytes": 0, "sectors": 0, "ideal_sectors": 0} for name in record["global"]}
    idle = {name: dict.fromkeys(was, 0) if isinstance(was, dict) else 0 for name, was in record["shared"].items()}
    with profile.open("a") as out:
        for kernel, read, written, flops in (json.loads(line).values() for line in notes.read_text().splitlines()):
            loads = {**nothing["loads"], "sectors": (read + written) // 32, "ideal_sectors": (read + written) // 32}
            done = {"kernel": kernel, "grid": [10**6, 1, 1], "global": {**nothing, "loads": loads}, "shared": idle,
                    "chain": dict.fromkeys(record["chain"], 0), "blocks": [],
                    "unique": {"read_bytes": read, "written_bytes": written},
                    "flops": {**dict.fromkeys(record["flops"], 0), "tensor": flops},
                    "instructions": {**record["instructions"], "warp": 0}}
            out.write(json.dumps({**record, **done}) + "\n")


def on_simt(command, from_behind=False):
    """The launches of a command: counts and predictions, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile.jsonl"
        done = subprocess.run(command, env=environment(profile, from_behind), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"compare: `{' '.join(command)}` failed:\n{done.stderr[-2000:]}")
        perfect(profile)
        counted = subprocess.run([LREM, "kernel", "predict", str(profile), "--json"], stdout=subprocess.PIPE, text=True,
                                 check=True)
        return [json.loads(line) for line in counted.stdout.splitlines()], done.stdout


def ours(op, workload, run):
    """Our launches of an op, after the contract has found every number near enough."""
    real = "f32" if op in ALWAYS_F32 else "bf16"
    command = [LREM, "kernel", "inspect", "--op", op, "--seed", "0", "--activations", real, "--shape",
               json.dumps(workload)]
    found, said = run(command)
    errors = json.loads(said.splitlines()[-1])["errors"]
    if not errors["of_allowed"] <= 1.0:
        sys.exit(f"compare: {op} at {workload['uuid']} is wrong: {errors}")
    return found


def ours_of_all(row, workloads, run):
    return [launch for op, workload in zip(row.ops.split(" + "), workloads) for launch in ours(op, workload, run)]


def first_of_each(found, patterns):
    firsts = [next((l for l in found if re.search(pattern, l["kernel"])), None) for pattern in patterns]
    return [launch for launch in firsts if launch]


def predicted(launch, chip, what):
    """Seconds of a launch: `work`, or from one launch to the next, `seconds`."""
    return dict(launch["predictions"])[chip][what]


def total(some, columns):
    """Sums of columns, each a name and how a launch's figure is had."""
    return {**{name: sum(of(launch) for launch in some) for name, of in columns}, "launches": len(some)}


def ratio(a, b):
    return "" if not b else f"{a / b:.2f}"


def line(row, workload, us, them, counts, times):
    cells = [row.name, workload["uuid"], row.whose, f"{us['launches']} / {them['launches']}"]
    cells += [ratio(us[name], them[name]) for name in counts]
    for what, strong in zip(times, ("**", "")):
        cells += [f"{1e6 * us[what]:.2f} / {1e6 * them[what]:.2f}", f"{strong}{us[what] / them[what]:.2f}{strong}"]
    return f"| {' | '.join(cells)} |"


def versions():
    script = ("from importlib.metadata import version as v;"
              "print(*(f'{p} {v(p)}' for p in ('torch', 'triton', 'liger-kernel', 'fla-core', 'inf-cl')), sep=', ')")
    python = subprocess.run([PYTHON, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    return f"{python.stdout.strip()}, " + ", ".join(
        f"{name} {(PEERS / name / 'version').read_text().strip()}" for name in ("sglang", "cutlass", "flashinfer"))


def table(pairs, run, peers_of, counts, times, said):
    """Prints a row a pair of a row and its ops' workloads; `times` are columns of seconds, the first without what
    lies between launches."""
    columns = [*counts, *times]
    head = ["op", "shape", "peer", "launches", *(name for name, _ in counts)]
    print(f"| {' | '.join(head)} | {' | '.join(f'{name} | ours / peer' for name, _ in times)} |")
    print("|---" * (len(head) + 2 * len(times)) + "|")
    ratios = []
    for place, (row, workloads) in enumerate(pairs):
        found = peers_of(place, row, workloads[0])
        if not found:
            continue
        us = total(first_of_each(ours_of_all(row, workloads, run), row.ours), columns)
        if row.fastest:
            found = [min(found, key=times[0][1])]
        them = total(found, columns)
        print(line(row, workloads[0], us, them, [name for name, _ in counts], [name for name, _ in times]), flush=True)
        ratios.append(us[times[0][0]] / them[times[0][0]])
    mean = math.exp(sum(map(math.log, ratios)) / max(len(ratios), 1))
    print(f"\nGeometric mean of ours / peer, {times[0][0]}: {mean:.2f}. Columns without two figures are ours over the peer's.")
    print(f"{datetime.date.today()}; {said}{versions()}")


def fields(*names):
    """Columns of what launches have under these names."""
    titles = {"memory_bytes": "HBM bytes", "seconds": "us"}
    return [(titles.get(name, name.replace("_", " ")), operator.itemgetter(name)) for name in names]


def counted(pairs, chip):
    """On the virtual GPU."""
    def of_peer(_, row, workload):
        command = [PYTHON, str(HERE / "peers.py"), "simt", row.peer, json.dumps(workload["axes"])]
        return [launch for launch in on_simt(command, row.from_behind)[0] if row.theirs in launch["kernel"]]

    times = [(f"{name} on {chip}", lambda launch, what=what: predicted(launch, chip, what))
             for name, what in (("us", "work"), ("us with launching", "seconds"))]
    table(pairs, on_simt, of_peer, fields(*COUNTS, "tensor_flops"), times, "")


def measured(pairs):
    """On a GPU; all peers in one process, whose start and compiler take longer than the kernels."""
    surroundings = gpu.environment(PEERS)

    @functools.cache
    def on_gpu(*command):
        found, said = gpu.profiled([*command, "--gpu", "cuda", "--once"], surroundings, most=64)
        return found[0], said

    arguments = [text for row, workloads in pairs for text in (row.peer, json.dumps(workloads[0]["axes"]))]
    theirs, _ = gpu.profiled([PYTHON, str(HERE / "peers.py"), "cuda", *arguments], surroundings, ranges=True)
    table(pairs, lambda command: on_gpu(*command), lambda place, *_: theirs.get(place),
          fields(*COUNTS, "tensor_instructions"), fields("seconds"), f"{gpu.device()}; ")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chip", default="A100", choices=["A100", "H100", "H200", "B200"])
    parser.add_argument("--device", default="simt", choices=["simt", "cuda"])
    parser.add_argument("--only", default="", help="rows whose name contains this")
    options = parser.parse_args()
    workloads = [json.loads(text) for text in (HERE / "workloads.jsonl").read_text().splitlines()]
    rows = [row for row in ROWS if options.only in row.name and (options.device == "cuda" or not row.needs_gpu)]
    named = {(w["definition"], w["workload"]["uuid"]): w["workload"] for w in workloads}
    pairs = []
    for row in rows:
        ops = row.ops.split(" + ")
        names = [name for definition, name in named if definition == ops[0] and (ops[-1], name) in named]
        pairs += [(row, [named[op, name] for op in ops]) for name in names]
    if options.device == "cuda":
        measured(pairs)
    else:
        counted(pairs, options.chip)


if __name__ == "__main__":
    main()
