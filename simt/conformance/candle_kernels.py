"""candle's CUDA kernels, compiled by NVRTC, every file; maps, products of quantised matrices, reductions,
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


def compiled(path):
    return Program(path.read_text(), code_type="c++", options=options).compile("ptx")


modules = {path.stem: compiled(path) for path in sources.glob("*.cu") if path.stem != "compatibility"}


def run(file, kernel, grid, block, *arguments, shared=0):
    """Launches a kernel; arrays go to the device, and come back changed."""
    buffers = []
    for at, argument in enumerate(arguments):
        if isinstance(argument, numpy.ndarray):
            buffer = device.memory_resource.allocate(argument.nbytes, stream=stream)
            driver.cuMemcpyHtoD(int(buffer.handle), argument.ctypes.data, argument.nbytes)
            buffers.append((argument, buffer))
    places = iter(buffers)
    arguments = [next(places)[1] if isinstance(a, numpy.ndarray) else a for a in arguments]
    config = LaunchConfig(grid=grid, block=block, shmem_size=shared)
    launch(stream, config, modules[file].get_kernel(kernel), *arguments)
    stream.sync()
    for array, buffer in buffers:
        driver.cuMemcpyDtoH(array.ctypes.data, int(buffer.handle), array.nbytes)


def normal(*shape):
    return rng.standard_normal(shape).astype(numpy.float32)


def like(array, dtype=None):
    return numpy.full_like(array, 77, dtype=dtype)


def same(found, expected, tolerance=1e-5):
    numpy.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def sizes(*numbers):
    return numpy.array(numbers, dtype=numpy.uint64)


nothing, size, number = numpy.uint64(0), numpy.uint64, numpy.int32

# Maps: contiguous, and of a transposed matrix by its strides.
x, out = normal(37, 129), normal(37, 129)
run("unary", "ugelu_f32", 5, 128, size(x.size), size(2), nothing, x, out)
same(out, 0.5 * x * (1 + numpy.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))
run("unary", "usilu_f32", 5, 128, size(x.size), size(2), sizes(129, 37, 1, 129), x, out)
same(out.reshape(129, 37), (x / (1 + numpy.exp(-x))).T)
run("affine", "affine_f32", 40, 128, size(x.size), size(1), nothing, x, out, numpy.float32(3), numpy.float32(-1))
same(out, 3 * x - 1)
y = normal(129)
run("binary", "badd_f32", 9, 64, size(x.size), size(2), sizes(37, 129, 129, 1, 0, 1), x, y, out)
same(out, x + y)
halves = like(x, numpy.float16)
run("cast", "cast_f32_f16", 9, 64, size(x.size), size(1), nothing, x, halves)
same(halves, x.astype(numpy.float16), 0)
chosen = rng.integers(0, 2, x.shape).astype(numpy.uint8)
contiguous = sizes(37, 129, *[129, 1] * 3)
run("ternary", "where_u8_f32", 9, 64, size(x.size), size(2), contiguous, chosen, x, -x, out)
same(out, numpy.where(chosen, x, -x), 0)

# Rows by index, and sorted.
ids = rng.integers(0, 37, 50).astype(numpy.uint32)
rows = normal(50, 129)
run("indexing", "is_u32_f32", 9, 64, size(rows.size), size(2), sizes(37, 129, 129, 1), ids, x, rows,
    size(1), size(37), size(50), size(129))
same(rows, x[ids], 0)
order = like(x, numpy.uint32)
run("sort", "asort_asc_f32", (1, 37), 256, x, order, number(129), number(256), shared=4 * 256)
assert (numpy.take_along_axis(x, order.astype(numpy.int64), 1) == numpy.sort(x, 1)).all()

# Reductions.
run("reduce", "softmax_f32", 37, (1, 32), x, out, number(129))
expected = numpy.exp(x - x.max(1, keepdims=True))
same(out, expected / expected.sum(1, keepdims=True))
for block in (32, 1024):
    run("reduce", "rmsnorm_f32", 37, block, x, out, y, number(129), number(block), numpy.float32(1e-5))
    same(out, x / numpy.sqrt((x**2).mean(1, keepdims=True) + 1e-5) * y, 1e-4)

# A product with weights of 8 bits: the vector is quantised first, then four warps a row use dp4a.
depth, width = 512, 70
weights = numpy.zeros((width, depth // 32), dtype=[("scale", "<f2"), ("numbers", "i1", 32)])
weights["scale"] = rng.uniform(0.01, 0.1, weights.shape)
weights["numbers"] = rng.integers(-127, 128, weights["numbers"].shape)
vector = normal(depth)
blocks = numpy.zeros(depth // 32, dtype=[("scale", "<f2"), ("sum", "<f2"), ("numbers", "i1", 32)])
run("quantized", "quantize_q8_1", (2, 1), 256, vector, blocks, number(depth), number(depth))
same(blocks["numbers"] * blocks["scale"][:, None].astype(numpy.float32), vector.reshape(-1, 32), 0.03)
product = normal(width)
shape = [number(n) for n in (depth, width, depth, width)]
run("quantized", "mul_mat_vec_q8_0_q8_1_cuda1", width, (32, 4), weights, blocks, product, *shape)
plain = weights["numbers"] * weights["scale"][..., None].astype(numpy.float64)
expected = plain.reshape(width, -1) @ (blocks["numbers"] * blocks["scale"][:, None].astype(numpy.float64)).ravel()
same(product, expected, 1e-3)
numbers = normal(depth)
run("quantized", "dequantize_block_q8_0_f32", depth // 256, 32, weights[0].copy(), numbers, number(depth // 32))
same(numbers, plain[0].ravel())
