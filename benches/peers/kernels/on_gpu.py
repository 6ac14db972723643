"""Kernels' times and counts on a GPU, read by NVIDIA's profiler (`ncu`), which empties the caches before each."""

import csv
import os
import re
import shutil
import subprocess
import sys

# What compare.py calls them, the profiler's counters, and its base unit in ours.
COUNTERS = {
    "seconds": ("gpu__time_duration.sum", 1e-9),
    "memory_bytes": ("dram__bytes.sum", 1),
    "sectors": ("lts__t_sectors_srcunit_tex.sum", 1),
    "wavefronts": ("l1tex__data_pipe_lsu_wavefronts_mem_shared.sum", 1),
    "warp_instructions": ("smsp__inst_executed.sum", 1),
    "tensor_instructions": ("sm__inst_executed_pipe_tensor.sum", 1),
}


def profiled(command, environment, ranges=False, most=None):
    """Runs a command under the profiler: a list of launches of each NVTX range `peer-N`, or one of all launches,
    `most` at most."""
    if shutil.which("ncu") is None:
        sys.exit("compare: NVIDIA's profiler `ncu` (Nsight Compute) is not on PATH")
    ncu = ["ncu", "--csv", "--page", "raw", "--clock-control", "none", "--print-kernel-base", "mangled",
           "--print-units", "base", "--metrics", ",".join(name for name, _ in COUNTERS.values())]
    ncu += ["--nvtx", "--nvtx-include", "regex:peer-.*/"] if ranges else []
    ncu += ["--launch-count", str(most)] if most else []
    done = subprocess.run(ncu + command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"compare: `{' '.join(command)[:200]}` failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    lines = done.stdout.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith('"ID"')), None)
    if start is None:
        sys.exit(f"compare: the profiler saw no launch of `{' '.join(command)[:200]}`:\n{done.stdout[-2000:]}")
    said = [line for line in lines[:start] if not line.startswith("==")]
    rows = list(csv.DictReader(line for line in lines[start:] if line.startswith('"')))
    found = {}
    # The first holds units.
    for row in rows[1:]:
        within = re.search(r"peer-(\d+)", " ".join(str(cell) for cell in row.values())) if ranges else None
        found.setdefault(int(within[1]) if within else 0, []).append(launch(row))
    said += [line for line in lines[start:] if not line.startswith(('"', "=="))]
    return found, "\n".join(said)


def launch(row):
    figures = {name: unit * float(row[counter].replace(",", "") or 0) for name, (counter, unit) in COUNTERS.items()}
    return {"kernel": row["Kernel Name"], **figures}


def device():
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    return subprocess.run(query, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def environment(peers):
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(peers / "sglang"), os.environ.get("PYTHONPATH", "")])}
