"""kernels.cu, check.cu, bulk.cu and rms_norm.cu to PTX by NVRTC; no GPU is needed.
usage: build.py NVRTC_LIBRARY CUDA_INCLUDE, both of which `make setup` puts into .cache"""
import ctypes, pathlib, re, sys

library, include = ctypes.CDLL(sys.argv[1]), sys.argv[2]
here = pathlib.Path(__file__).parent
root = here.parents[2]


def compile(source, to, names=(), more=(), arch=b"compute_80"):
    options = [b"-arch=" + arch, b"-default-device", b"-std=c++17", b"--device-int128",b"-I" + include.encode(),
               b"-I" + str(root / "kernels").encode(), *more]
    program = ctypes.c_void_p()
    library.nvrtcCreateProgram(ctypes.byref(program), source.read_bytes(), source.name.encode(), 0, None, None)
    for name in names:
        library.nvrtcAddNameExpression(program, name.encode())
    failed = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    size = ctypes.c_size_t()
    if failed:
        library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        library.nvrtcGetProgramLog(program, log)
        sys.exit(log.value.decode())
    library.nvrtcGetPTXSize(program, ctypes.byref(size))
    ptx = ctypes.create_string_buffer(size.value)
    library.nvrtcGetPTX(program, ptx)
    # A line table names the source by its path on this machine.
    (here / to).write_bytes(re.sub(rb'(\.file\s+\d+ ")[^"]*/', rb"\1", ptx.value))
    for name in names:
        lowered = ctypes.c_char_p()
        library.nvrtcGetLoweredName(program, name.encode(), ctypes.byref(lowered))
        print(name, "=", lowered.value.decode())


compile(here / "kernels.cu", "kernels.ptx")
compile(here / "check.cu", "check.ptx", more=[b"-lineinfo"])
compile(here / "bulk.cu", "bulk.ptx", more=[b"-lineinfo"], arch=b"compute_90a")
compile(root / "kernels/rms_norm.cu", "rms_norm.ptx",
        [f"{name}<{ty}>" for name in ("rms_norm", "add_rms_norm") for ty in ("float", "__nv_bfloat16")])
