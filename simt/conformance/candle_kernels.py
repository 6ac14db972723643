"""candle's CUDA kernels, compiled by NVRTC: every file loads; maps, products of quantised matrices, reductions,
rows by index, sorting against numpy."""

import json
import math
import pathlib
import subprocess
import tempfile

import numpy
from cuda.bindings import driver
from cuda.core import Device, LaunchConfig, Program, ProgramOptions, launch
from cuda.pathfinder import find_nvidia_header_directory

here = pathlib.Path(__file__).parent
manifest = here / "candle/Cargo.toml"
command = ["cargo", "metadata", "--locked", "--format-version", "1", "--manifest-path", manifest]
metadata = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
package = next(p for p in metadata["packages"] if p["name"] == "candle-kernels")
sources = pathlib.Path(package["manifest_path"]).parent / "src"

device = Device()
device.set_current()
stream = device.create_stream()
arch = "sm_" + "".join(str(n) for n in device.compute_capability)
rng = numpy.random.default_rng()

# NVRTC has no headers of the host; what the kernels take from them are the names of integers.
headers = tempfile.TemporaryDirectory()
integers = [f"typedef {sign} {name} {letter}int{bits}_t;" for sign, letter in (("signed", ""), ("unsigned", "u"))
            for name, bits in (("char", 8), ("short", 16), ("int", 32), ("long long", 64))]
numbers = ["#define INFINITY __int_as_float(0x7f800000)", "#define NAN __int_as_float(0x7fffffff)"]
numbers += [f"#define M_{name} {value!r}" for name, value in (("PI", math.pi), ("SQRT1_2", math.sqrt(0.5)),
                                                            ("2_SQRTPI", 2 / math.sqrt(math.pi)))]
for name, lines in (("stdint.h", integers), ("cstdint", integers), ("math.h", numbers), ("cmath", numbers), ("algorithm", [])):
    (pathlib.Path(headers.name) / name).write_text("\n".join(["#pragma once", *lines, ""]))
include = [headers.name, str(sources), find_nvidia_header_directory("cudart")]
options = ProgramOptions(arch=arch, include_path=include)


def module(name):
    return Program((sources / f"{name}.cu").read_text(), code_type="c++", options=options).compile("ptx")


def on_device(array):
    buffer = device.memory_resource.allocate(array.nbytes, stream=stream)
    driver.cuMemcpyHtoD(int(buffer.handle), numpy.ascontiguousarray(array).ctypes.data, array.nbytes)
    return buffer


def back(buffer, shape, dtype):
    host = numpy.full(shape, 77, dtype=dtype)
    driver.cuMemcpyDtoH(host.ctypes.data, int(buffer.handle), host.nbytes)
    return host


names = sorted(path.stem for path in sources.glob("*.cu") if path.stem != "compatibility")
modules = {name: module(name) for name in names}
print(names)
