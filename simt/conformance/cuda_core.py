"""NVIDIA's cuda.core: NVRTC to PTX, kernels, streams, events, buffers, the linker."""

import numpy
from cuda.bindings import driver
from cuda.core import Device, LaunchConfig, Linker, LinkerOptions, Program, ProgramOptions, launch

device = Device()
device.set_current()
stream = device.create_stream()
arch = "sm_" + "".join(str(n) for n in device.compute_capability)

source = """
extern "C" __global__ void saxpy(float a, const float* x, const float* y, float* out, size_t n) {
    for (size_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) out[i] = a * x[i] + y[i];
}
"""
ptx = Program(source, code_type="c++", options=ProgramOptions(arch=arch)).compile("ptx")
saxpy = ptx.get_kernel("saxpy")

rng = numpy.random.default_rng()
x, y = (rng.standard_normal(5_003).astype(numpy.float32) for _ in range(2))


def on_device(array):
    buffer = device.memory_resource.allocate(array.nbytes, stream=stream)
    driver.cuMemcpyHtoD(int(buffer.handle), array.ctypes.data, array.nbytes)
    return buffer


def back(buffer, like):
    host = numpy.full_like(like, numpy.nan)
    driver.cuMemcpyDtoH(host.ctypes.data, int(buffer.handle), host.nbytes)
    return host


dx, dy = on_device(x), on_device(y)
out = device.memory_resource.allocate(x.nbytes, stream=stream)
launch(stream, LaunchConfig(grid=16, block=128), saxpy, numpy.float32(2.5), dx, dy, out, numpy.uint64(x.size))
stream.sync()
assert numpy.allclose(back(out, x), numpy.float32(2.5) * x + y, rtol=1e-5, atol=1e-6)

# Two programs, one of which calls the other, by the driver's linker.
options = ProgramOptions(arch=arch, relocatable_device_code=True)
caller = """
extern __device__ float shift(float);
extern "C" __global__ void work(float* x, int n) { int i = blockIdx.x * blockDim.x + threadIdx.x; if (i < n) x[i] = shift(x[i]); }
"""
callee = "__device__ float offset = 3; __device__ float shift(float x) { return x * 2 + offset; }"
parts = [Program(text, code_type="c++", options=options).compile("ptx") for text in (caller, callee)]
work = Linker(*parts, options=LinkerOptions(arch=arch)).link("cubin").get_kernel("work")
launch(stream, LaunchConfig(grid=40, block=128), work, dx, numpy.int32(x.size))
stream.sync()
assert numpy.allclose(back(dx, x), x * 2 + 3, rtol=1e-6)

# A graph that is captured.
builder = device.create_graph_builder()
builder.begin_building()
launch(builder, LaunchConfig(grid=40, block=128), work, dx, numpy.int32(x.size))
launch(builder, LaunchConfig(grid=40, block=128), work, dx, numpy.int32(x.size))
graph = builder.end_building().complete()
graph.launch(stream)
stream.sync()
expected = x * 2 + 3
for _ in range(2):
    expected = expected * 2 + 3
assert numpy.allclose(back(dx, x), expected, rtol=1e-5)
