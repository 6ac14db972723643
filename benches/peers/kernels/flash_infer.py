"""FlashInfer's batched decoding over pages, from its headers: its kernels and, as its host code has them, tiles, threads
and pieces. The headers' host code is cut out, as NVRTC has none."""

import ctypes
import re

import torch

import nvrtc
from common import MULTIPROCESSORS, bf16, counted

PAGE = 16
# Tokens of a piece, as its scheduler finds where a GPU has room for more blocks: 128 at least.
PIECE = 128

FUNCTION = re.compile(r"^(?:template <[^{};]*?>\s*\n)?[a-zA-Z_][\w:<>,&* \n]*?[\s&*]\w+\([^{};]*\)\s*\{", re.M)
ON_GPU = re.compile(r"__device__|__global__|^(namespace|struct|class|enum|union)")
HOSTS = re.compile(r"\bcuda[A-Z]\w+\(|cudaError_t|std::(string|vector|cout|ostringstream|atomic|pair)|GetCuda|thread_local")
HEADERS = ["cp_async", "math", "pos_enc", "utils", "vec_dtypes", "layout", "page", "fastdiv"]
HEADERS += [f"attention/{name}" for name in ("decode", "cascade", "state", "variants", "variant_helper",
                                             "default_decode_params")]
# What NVRTC lacks of the host's headers, and what the kernels need of it.
STUBS = {
    "type_traits": f"#include <cuda/std/type_traits>\n#include <cuda/std/utility>\n{nvrtc.STD}",
    "cstdint": nvrtc.integers("uint8", "uint16", "uint32", "uint64", "int8", "int32", "int64", "uintptr"),
    "tuple": f"#include <cuda/std/tuple>\n{nvrtc.STD}",
    "cmath": f"#include <cuda/std/cmath>\n{nvrtc.STD}",
    "algorithm": f"#include <cuda/std/__algorithm/max.h>\n#include <cuda/std/__algorithm/min.h>\n{nvrtc.STD}",
    "cuda.h": "#define CUDA_VERSION 12090\n",
    "flashinfer/exception.h": "#pragma once\n#define FLASHINFER_ERROR(message)\n#define FLASHINFER_CHECK(...)\n",
    **dict.fromkeys(["cuda_device_runtime_api.h", "iostream", "vector", "string", "atomic", "sstream"], ""),
}


def without_host_code(text):
    at = 0
    while found := FUNCTION.search(text, at):
        depth, end = 1, found.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        if not ON_GPU.search(found[0]) and HOSTS.search(text[found.start() : end]):
            text, at = text[: found.start()] + text[end:], found.start()
        else:
            at = found.end()
    # A kernel of ours calls it.
    text = text.replace("__global__ void PersistentVariableLengthMerge", "__device__ void PersistentVariableLengthMerge")
    return re.sub(r"__host__ (?!__device__)", "", text)


def program(group, size):
    """The kernels for so many query heads a key head, of so many elements."""
    folder = nvrtc.PEERS / "flashinfer"
    cut = {f"flashinfer/{name}.cuh": without_host_code((folder / f"include/flashinfer/{name}.cuh").read_text())
           for name in HEADERS}
    written = nvrtc.written(folder / "cut", {**STUBS, **cut})
    source = (nvrtc.HERE / "flash_infer.cu").read_text()
    source = f"#define GROUP {group}\n#define SIZE {size}\n#define PAGE {PAGE}\n{source}"
    return nvrtc.Program(source, [written, folder / "cccl"])


def decode(q, k, v, pages, lengths):
    """Rows of attention: `q` `[rows, heads, size]`, `k` and `v` `[pages, PAGE, kv_heads, size]`; each row's pages, and
    how many keys it sees."""
    (rows, heads, size), kv_heads = q.shape, k.shape[2]
    group = heads // kv_heads
    kernels = program(group, size)
    whole = lambda numbers: torch.tensor(numbers, dtype=torch.int32)  # noqa: E731
    pieces = [-(-length // PIECE) for length in lengths]
    starts = whole([0, *pieces]).cumsum(0).to(torch.int32)
    tables = [whole(sum(pages, [])), whole([0, *map(len, pages)]).cumsum(0).to(torch.int32),
              whole([(length - 1) % PAGE + 1 for length in lengths]),
              whole([row for row in range(rows) for _ in range(pieces[row])]),
              whole([i for count in pieces for i in range(count)]), starts, whole([PIECE])]
    total = sum(pieces)
    parts, sums = torch.empty(total, heads, size, dtype=bf16), torch.empty(total, heads, dtype=torch.float32)
    parameters = torch.zeros(512, dtype=torch.uint8)
    tensors = [parameters, q, k, v, parts, sums, *tables]
    kernels("make", (1, 1, 1), (1, 1, 1), [*tensors, *map(ctypes.c_int, (rows, heads, kv_heads, total))])
    by_value = (ctypes.c_char * 512).from_buffer_copy(bytes(parameters.tolist()))
    across = size // 8
    threads = max(128, across * group)
    deep = threads // (across * group)
    tile = group * deep * size
    shared = max(2 * 2 * tile * 2, tile * 4) + max(threads * 8, 2 * group * deep * 4)
    out = torch.empty_like(q)
    merging = min(2048 // 128, -(-rows * heads // MULTIPROCESSORS)) * MULTIPROCESSORS

    def run():
        kernels("flashinfer_decode", (total, kv_heads, 1), (across, group, deep), [by_value], shared, held=tensors)
        kernels("flashinfer_merge", (merging, 1, 1), (across, 128 // across, 1),
                [parts, sums, starts, out, ctypes.c_int(rows), ctypes.c_int(heads)], 4 * 128 * 16 + 128 * 4)

    counted(run)
    return out
