"""CuPy's own ways of writing kernels, against numpy."""

import cupy
import numpy

rng = numpy.random.default_rng()
x = rng.standard_normal(100_003).astype(numpy.float32)
y = rng.standard_normal(100_003).astype(numpy.float32)
gx, gy = cupy.asarray(x), cupy.asarray(y)

assert numpy.allclose(cupy.asnumpy(gx * 2 + cupy.sqrt(abs(gy))), x * 2 + numpy.sqrt(abs(y)), rtol=1e-6)
assert numpy.allclose(float(gx.sum()), x.astype(numpy.float64).sum(), atol=0.05)
assert float(gx.max()) == x.max() and int(gx.argmin()) == x.argmin()

squared = cupy.ElementwiseKernel("float32 a, float32 b", "float32 c", "c = (a - b) * (a - b)", "squared")
assert numpy.allclose(cupy.asnumpy(squared(gx, gy)), (x - y) ** 2, rtol=1e-6)

norm = cupy.ReductionKernel("T a", "T b", "a * a", "a + b", "b = sqrt(a)", "0", "norm")
m = rng.standard_normal((37, 129)).astype(numpy.float32)
assert numpy.allclose(cupy.asnumpy(norm(cupy.asarray(m), axis=1)), numpy.linalg.norm(m, axis=1), rtol=1e-5)

saxpy = cupy.RawKernel(
    r"""extern "C" __global__ void saxpy(int n, float a, const float* x, float* y) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = a * x[i] + y[i];
    }""",
    "saxpy",
)
out = gy.copy()
saxpy((x.size // 128 + 1,), (128,), (numpy.int32(x.size), numpy.float32(3), gx, out))
assert numpy.allclose(cupy.asnumpy(out), 3 * x + y, rtol=1e-5, atol=1e-6)

fused = cupy.fuse()(lambda a, b: cupy.exp(a) * b + 1)
assert numpy.allclose(cupy.asnumpy(fused(gx, gy)), numpy.exp(x) * y + 1, rtol=1e-5, atol=1e-5)

module = cupy.RawModule(
    code=r"""
    template <typename T> __global__ void fill(T* out, T value, int n) {
        for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) out[i] = value;
    }
    __constant__ float table[4];
    extern "C" __global__ void look(const int* at, float* out, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) out[i] = table[at[i] & 3];
    }""",
    options=("-std=c++17",),
    name_expressions=["fill<double>"],
)
doubles = cupy.zeros(1000, dtype=numpy.float64)
module.get_function("fill<double>")((3,), (64,), (doubles, numpy.float64(2.5), numpy.int32(1000)))
assert (cupy.asnumpy(doubles) == 2.5).all()
table = cupy.ndarray(4, numpy.float32, module.get_global("table"))
table[:] = cupy.asarray([1, 2, 4, 8], dtype=numpy.float32)
at = rng.integers(0, 1000, 333).astype(numpy.int32)
looked = cupy.zeros(333, dtype=numpy.float32)
module.get_function("look")((6,), (64,), (cupy.asarray(at), looked, numpy.int32(333)))
assert (cupy.asnumpy(looked) == numpy.array([1, 2, 4, 8], numpy.float32)[at & 3]).all()

t = cupy.asarray(m).T
assert numpy.array_equal(cupy.asnumpy(t[3:100:7, ::-1]), m.T[3:100:7, ::-1])
assert numpy.allclose(cupy.asnumpy(cupy.where(t > 0, t, 0).mean(axis=0)), numpy.where(m.T > 0, m.T, 0).mean(axis=0), rtol=1e-4)
