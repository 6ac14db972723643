"""CuPy: kernels element by element, reductions, scans, sorting, raw kernels, streams, a captured graph.

CuPy writes CUDA C++ that NVRTC compiles, and brings CUB and Thrust as PTX that nvcc made.
"""

import cupy
import numpy

rng = numpy.random.default_rng()
x = rng.standard_normal((37, 129)).astype(numpy.float32)
y = rng.standard_normal((37, 129)).astype(numpy.float32)
a, b = cupy.asarray(x), cupy.asarray(y)


def same(found, expected, rtol=1e-5, atol=1e-5):
    numpy.testing.assert_allclose(cupy.asnumpy(found), expected, rtol=rtol, atol=atol)


# Element by element, with broadcasting, other types, and indices.
same(a * 2 + b, x * 2 + y)
same(cupy.exp(-(a**2)) / (1 + cupy.abs(b)), numpy.exp(-(x**2)) / (1 + numpy.abs(y)))
same(cupy.where(a > b, a, b), numpy.maximum(x, y))
same(a[:, ::-3].T + b[0, 0], x[:, ::-3].T + y[0, 0])
same(cupy.arange(1000, dtype=numpy.int64) % 7, numpy.arange(1000) % 7)
same((a.astype(numpy.float16) * 2).astype(numpy.float32), x.astype(numpy.float16) * 2, 1e-3, 1e-3)
same(a[[3, 1, 36]], x[[3, 1, 36]])
same(a[a > 1], x[x > 1])
squared = cupy.ElementwiseKernel("T x, T y", "T z", "z = (x - y) * (x - y)", "squared_difference")
same(squared(a, b), (x - y) ** 2)


@cupy.fuse()
def fused(p, q):
    return cupy.sqrt(cupy.abs(p)) + q * q


same(fused(a, b), numpy.sqrt(numpy.abs(x)) + y * y)

# Reductions, by CUB where it has them and by kernels of CuPy's own.
for axis in (None, 0, 1):
    same(a.sum(axis=axis), x.sum(axis=axis), 1e-4, 1e-4)
    same(a.max(axis=axis), x.max(axis=axis))
    same(a.argmin(axis=axis), x.argmin(axis=axis))
same(a.mean(), x.mean(), 1e-4)
same(a.std(axis=1), x.std(axis=1), 1e-4)
norm = cupy.ReductionKernel("T x", "T y", "x * x", "a + b", "y = sqrt(a)", "0", "euclidean")
same(norm(a), numpy.linalg.norm(x), 1e-4)
same(cupy.bincount(cupy.asarray([1, 2, 2, 5])), [0, 1, 2, 0, 0, 1])

# Scans and sorting, by CUB and Thrust.
flat = x.ravel()
same(cupy.cumsum(a.ravel()), numpy.cumsum(flat), 1e-3, 1e-3)
same(cupy.cumsum(a, axis=1), numpy.cumsum(x, axis=1), 1e-3, 1e-3)
same(cupy.cumprod(cupy.full(9, 2.0)), 2.0 ** numpy.arange(1, 10))
same(cupy.sort(a.ravel()), numpy.sort(flat))
same(cupy.argsort(a, axis=1), numpy.argsort(x, axis=1))
same(cupy.unique(cupy.asarray([3, 1, 3, 2])), [1, 2, 3])

# Kernels of the program's own, with a variable of the module, on two streams.
module = cupy.RawModule(
    code=r"""
extern "C" {
__constant__ float factor;
__global__ void scale(const float* in, float* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = factor * in[i];
}
}"""
)
factor = cupy.ndarray((1,), numpy.float32, module.get_global("factor"))
factor.fill(3)
out = cupy.empty(flat.size, dtype=numpy.float32)
with cupy.cuda.Stream(non_blocking=True) as stream:
    arguments = (a.ravel(), out, numpy.int32(flat.size))
    module.get_function("scale")((flat.size // 128 + 1,), (128,), arguments)
    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    start.record()
    out += 1
    end.record()
stream.synchronize()
same(out, 3 * flat + 1)
assert cupy.cuda.get_elapsed_time(start, end) >= 0

stream = cupy.cuda.Stream(non_blocking=True)
with stream:
    total = cupy.zeros(5)
    stream.begin_capture()
    total += 1
    total *= 2
    graph = stream.end_capture()
    for _ in range(3):
        graph.launch(stream)
stream.synchronize()
same(total, [14.0] * 5)

# Device, pinned memory, pools, errors.
device = cupy.cuda.Device()
assert cupy.cuda.runtime.getDeviceProperties(0)["multiProcessorCount"] > 0
assert device.compute_capability == cupy.cuda.Device(0).compute_capability
free, all_bytes = device.mem_info
assert 0 < free <= all_bytes
pinned = cupy.cuda.alloc_pinned_memory(4 * flat.size)
host = numpy.frombuffer(pinned, numpy.float32, flat.size)
a.ravel().get(out=host)
same(host, flat)
cupy.cuda.set_allocator(cupy.cuda.MemoryAsyncPool().malloc)
same(cupy.ones((3, 4)).sum(), 12)
try:
    cupy.cuda.runtime.memcpy(0, 0, 4, 77)
except cupy.cuda.runtime.CUDARuntimeError as error:
    assert "cudaErrorInvalidMemcpyDirection" in str(error), error
else:
    raise AssertionError("a copy in no direction")
