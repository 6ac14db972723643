"""Taichi's CUDA backend (LLVM's PTX): fields, reductions, atomics, a prefix sum, a fractal."""

import numpy
import taichi as ti

ti.init(arch=ti.cuda, device_memory_GB=0.25, offline_cache=False)
assert ti.lang.impl.current_cfg().arch == ti.cuda
rng = numpy.random.default_rng()
n = 5_003
x = rng.standard_normal(n).astype(numpy.float32)


@ti.kernel
def double(a: ti.types.ndarray(dtype=ti.f32, ndim=1)) -> ti.f32:
    total = 0.0
    for i in a:
        a[i] = a[i] * 2
        total += a[i]
    return total


doubled = x.copy()
total = double(doubled)
assert numpy.allclose(doubled, 2 * x)
assert abs(total - 2 * x.astype(numpy.float64).sum()) < 0.05

counts = ti.field(ti.i32, 10)


@ti.kernel
def count(a: ti.types.ndarray(dtype=ti.i32, ndim=1)):
    for i in a:
        counts[a[i] % 10] += 1


values = rng.integers(0, 1_000, n).astype(numpy.int32)
count(values)
assert numpy.array_equal(counts.to_numpy(), numpy.bincount(values % 10, minlength=10))

pixels = ti.field(ti.i32, (40, 30))


@ti.kernel
def fractal():
    for i, j in pixels:
        c = ti.Vector([i / 20 - 1.5, j / 15 - 1.0])
        z = ti.Vector([0.0, 0.0])
        steps = 0
        while z.norm_sqr() < 4 and steps < 30:
            z = ti.Vector([z[0] * z[0] - z[1] * z[1], 2 * z[0] * z[1]]) + c
            steps += 1
        pixels[i, j] = steps


fractal()
steps = numpy.zeros((40, 30), int)
for i in range(40):
    for j in range(30):
        c, z = complex(i / 20 - 1.5, j / 15 - 1.0), 0j
        while abs(z) < 2 and steps[i, j] < 30:
            z = z * z + c
            steps[i, j] += 1
# Points on the edge may differ by rounding.
assert (pixels.to_numpy() != steps).mean() < 0.01
