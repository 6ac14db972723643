"""NVIDIA's cuda.core: NVRTC to PTX, kernels, streams, events, buffers, the linker."""

import numpy
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
    host = device.memory_resource.allocate(array.nbytes, stream=stream)
    pinned = numpy.ascontiguousarray(array)
    from cuda.bindings import driver

    driver.cuMemcpyHtoD(int(host.handle), pinned.ctypes.data, array.nbytes)
    return host


dx, dy = on_device(x), on_device(y)
out = device.memory_resource.allocate(x.nbytes, stream=stream)
start = device.create_event(options={"enable_timing": True})
start = stream.record(options={"enable_timing": True})
launch(stream, LaunchConfig(grid=16, block=128), saxpy, numpy.float32(2.5), dx, dy, out, numpy.uint64(x.size))
end = stream.record(options={"enable_timing": True})
end.sync()
assert end - start >= 0


def back(buffer, like):
    from cuda.bindings import driver

    host = numpy.full_like(like, numpy.nan)
    driver.cuMemcpyDtoH(host.ctypes.data, int(buffer.handle), host.nbytes)
    return host


assert numpy.allclose(back(out, x), numpy.float32(2.5) * x + y, rtol=1e-5, atol=1e-6)
