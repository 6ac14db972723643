"""CUDA C++ of others, compiled by the project's NVRTC and launched on torch's tensors; import this after on_simt,
where that is the GPU."""

import ctypes
import hashlib
import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent.parent.parent / ".cache"
PEERS = Path(os.environ.get("PEERS") or CACHE / "peers")
nvrtc = ctypes.CDLL(str(CACHE / "nvrtc/libnvrtc.so.12"))
cuda = ctypes.CDLL("libcuda.so.1")
MOST_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES


# The standard library's names where NVRTC has CUDA's alone.
STD = "namespace std { using namespace cuda::std; }\n"


def integers(*kinds):
    """The header of whole numbers, with these outside of any namespace."""
    return "#include <cuda/std/cstdint>\n" + "".join(f"using cuda::std::{kind}_t;\n" for kind in kinds)


def written(folder, files):
    """The folder, with these files below it: name and text."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def text_of(program, size_of, read):
    size = ctypes.c_size_t()
    size_of(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    read(program, text)
    return text.value


def ptx_of(source, includes, arch="compute_80"):
    """PTX of a program in CUDA C++, kept: templates take minutes."""
    kept = PEERS / f"nvrtc/{hashlib.sha256(f'{source}{arch}'.encode()).hexdigest()[:16]}.ptx"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(compiled(source, includes, arch))
    return kept.read_bytes()


def compiled(source, includes, arch):
    folders = [*includes, PEERS / "cccl/include", CACHE / "cuda-include"]
    options = [f"-I{folder}".encode() for folder in folders]
    options += [b"-default-device", b"--std=c++17", f"-arch={arch}".encode()]
    program = ctypes.c_void_p()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"peer.cu", 0, None, None)
    if nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options)) != 0:
        log = text_of(program, nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog)
        raise RuntimeError(f"NVRTC: {log.decode()[:2000]}")
    return text_of(program, nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX)


def check(status, what):
    if status != 0:
        name = ctypes.c_char_p()
        cuda.cuGetErrorName(status, ctypes.byref(name))
        raise RuntimeError(f"{what}: {(name.value or b'unknown error').decode()}")


class Program:
    """Kernels of a program, launched as `program(name, grid, threads, arguments, shared)`: tensors, and ctypes'
    numbers; tensors that these point to are `held`."""

    def __init__(self, source, includes=()):
        device, context = ctypes.c_int(), ctypes.c_void_p()
        check(cuda.cuInit(0), "cuInit")
        check(cuda.cuDeviceGet(ctypes.byref(device), 0), "cuDeviceGet")
        check(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device), "cuDevicePrimaryCtxRetain")
        check(cuda.cuCtxSetCurrent(context), "cuCtxSetCurrent")
        self.module = ctypes.c_void_p()
        check(cuda.cuModuleLoadData(ctypes.byref(self.module), ptx_of(source, includes)), "cuModuleLoadData")

    def __call__(self, name, grid, threads, arguments, shared=0, held=()):
        function = ctypes.c_void_p()
        check(cuda.cuModuleGetFunction(ctypes.byref(function), self.module, name.encode()), name)
        check(cuda.cuFuncSetAttribute(function, MOST_SHARED, shared), name)
        tensors = [a for a in (*arguments, *held) if hasattr(a, "data_ptr")]
        held = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors if not t.is_cuda}
        for at, size in held.items():
            check(cuda.cuMemHostRegister_v2(ctypes.c_void_p(at), ctypes.c_size_t(size), 0), "cuMemHostRegister")
        values = [ctypes.c_void_p(a.data_ptr()) if hasattr(a, "data_ptr") else a for a in arguments]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(v) for v in values))
        try:
            check(cuda.cuLaunchKernel(function, *grid, *threads, shared, None, pointers, None), name)
            check(cuda.cuCtxSynchronize(), name)
        finally:
            for at in held:
                check(cuda.cuMemHostUnregister(ctypes.c_void_p(at)), "cuMemHostUnregister")
