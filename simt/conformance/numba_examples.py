"""numba-cuda: kernels, device functions, shared memory, atomics, a scan, ufuncs and reductions."""

import math

import numpy
from numba import cuda, float32, int32, vectorize

rng = numpy.random.default_rng()


@cuda.jit
def axpy(a, x, y, out):
    i = cuda.grid(1)
    if i < x.size:
        out[i] = a * x[i] + y[i]


x = rng.standard_normal(10_007).astype(numpy.float32)
y = rng.standard_normal(10_007).astype(numpy.float32)
out = numpy.full_like(x, numpy.nan)
axpy[80, 128](numpy.float32(1.5), x, y, out)
assert numpy.allclose(out, numpy.float32(1.5) * x + y, rtol=1e-5, atol=1e-6)

TILE = 16


@cuda.jit
def matmul(a, b, c):
    ta = cuda.shared.array((TILE, TILE), float32)
    tb = cuda.shared.array((TILE, TILE), float32)
    row, col = cuda.grid(2)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    total = float32(0)
    for k in range((a.shape[1] + TILE - 1) // TILE):
        ta[tx, ty] = a[row, k * TILE + ty] if row < a.shape[0] and k * TILE + ty < a.shape[1] else 0
        tb[tx, ty] = b[k * TILE + tx, col] if k * TILE + tx < b.shape[0] and col < b.shape[1] else 0
        cuda.syncthreads()
        for j in range(TILE):
            total += ta[tx, j] * tb[j, ty]
        cuda.syncthreads()
    if row < c.shape[0] and col < c.shape[1]:
        c[row, col] = total


a = rng.standard_normal((45, 61)).astype(numpy.float32)
b = rng.standard_normal((61, 33)).astype(numpy.float32)
c = cuda.device_array((45, 33), numpy.float32)
matmul[(3, 3), (TILE, TILE)](cuda.to_device(a), cuda.to_device(b), c)
assert numpy.allclose(c.copy_to_host(), a @ b, rtol=1e-4, atol=1e-4)


@cuda.jit
def histogram(values, bins):
    i = cuda.grid(1)
    if i < values.size:
        cuda.atomic.add(bins, values[i], 1)


values = rng.integers(0, 17, 9_001).astype(numpy.int32)
bins = numpy.zeros(17, numpy.int32)
histogram[71, 128](values, bins)
assert numpy.array_equal(bins, numpy.bincount(values, minlength=17))


@cuda.jit
def scan(values):
    shared = cuda.shared.array(256, int32)
    t = cuda.threadIdx.x
    shared[t] = values[t]
    cuda.syncthreads()
    step = 1
    while step < 256:
        other = shared[t - step] if t >= step else 0
        cuda.syncthreads()
        shared[t] += other
        cuda.syncthreads()
        step *= 2
    values[t] = shared[t]


values = rng.integers(-9, 9, 256).astype(numpy.int32)
scanned = values.copy()
scan[1, 256](scanned)
assert numpy.array_equal(scanned, numpy.cumsum(values))


@cuda.reduce
def total(p, q):
    return p + q


numbers = rng.integers(-1000, 1000, 33_333).astype(numpy.int64)
assert total(numbers) == numbers.sum()


@vectorize(["float32(float32, float32)"], target="cuda")
def hypotenuse(p, q):
    return math.sqrt(p * p + q * q)


assert numpy.allclose(hypotenuse(x, y), numpy.hypot(x, y), rtol=1e-5)


@cuda.jit(device=True)
def collatz(n):
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


@cuda.jit
def collatz_all(out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = collatz(i + 1)


def host_collatz(n):
    steps = 0
    while n != 1:
        n, steps = (n // 2 if n % 2 == 0 else 3 * n + 1), steps + 1
    return steps


steps = numpy.zeros(500, numpy.int32)
collatz_all[4, 128](steps)
assert list(steps) == [host_collatz(n) for n in range(1, 501)]


@cuda.jit
def warp_sums(values, out):
    value = values[cuda.grid(1)]
    for offset in (16, 8, 4, 2, 1):
        value += cuda.shfl_down_sync(0xFFFFFFFF, value, offset)
    if cuda.laneid == 0:
        out[cuda.grid(1) // 32] = value


values = rng.integers(0, 100, 256).astype(numpy.int32)
sums = numpy.zeros(8, numpy.int32)
warp_sums[2, 128](values, sums)
assert numpy.array_equal(sums, values.reshape(8, 32).sum(1))

stream = cuda.stream()
with cuda.pinned(x):
    device = cuda.to_device(x, stream=stream)
    result = cuda.device_array_like(device, stream=stream)
    axpy[80, 128, stream](numpy.float32(2), device, device, result)
    back = result.copy_to_host(stream=stream)
    stream.synchronize()
assert numpy.allclose(back, 3 * x, rtol=1e-5)


@cuda.jit
def all_meet(values, out):
    grid = cuda.cg.this_grid()
    i = cuda.grid(1)
    values[i] = i
    grid.sync()
    out[i] = values[values.size - 1 - i]


values, reversed_values = numpy.zeros(256, numpy.int32), numpy.zeros(256, numpy.int32)
all_meet[4, 64](values, reversed_values)
assert numpy.array_equal(reversed_values, numpy.arange(256)[::-1])
