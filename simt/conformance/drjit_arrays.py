"""Dr.Jit on its CUDA backend, which writes PTX itself: arithmetic, loops, gathers, scatters, gradients."""

import drjit as dr
import numpy
from drjit.cuda import Float, UInt32
from drjit.cuda.ad import Float as DiffFloat

rng = numpy.random.default_rng()
x = rng.uniform(0.1, 5, 10_007).astype(numpy.float32)
y = rng.uniform(-3, 3, 10_007).astype(numpy.float32)
dx, dy = Float(x), Float(y)
assert numpy.allclose((dr.sin(dy) * 2 + dr.sqrt(dx) / (dx + 1)).numpy(), numpy.sin(y) * 2 + numpy.sqrt(x) / (x + 1), rtol=1e-4, atol=1e-5)
assert numpy.allclose(dr.sum(dx).numpy(), x.astype(numpy.float64).sum(), rtol=1e-4)
assert numpy.allclose(dr.max(dy).numpy(), y.max())
assert numpy.array_equal(dr.cumsum(dr.arange(UInt32, 5000)).numpy(), numpy.cumsum(numpy.arange(5000)))

index = rng.integers(0, 10_007, 3_000).astype(numpy.uint32)
assert numpy.array_equal(dr.gather(Float, dx, UInt32(index)).numpy(), x[index])
bins = dr.zeros(UInt32, 16)
dr.scatter_add(bins, UInt32(1), UInt32(index & 15))
assert numpy.array_equal(bins.numpy(), numpy.bincount(index & 15, minlength=16))


@dr.syntax
def collatz(n: UInt32):
    steps = UInt32(0)
    while n != 1:
        if n % 2 == 0:
            n = n // 2
        else:
            n = 3 * n + 1
        steps += 1
    return steps


def host(n):
    steps = 0
    while n != 1:
        n, steps = (n // 2 if n % 2 == 0 else 3 * n + 1), steps + 1
    return steps


assert list(collatz(dr.arange(UInt32, 1, 300)).numpy()) == [host(n) for n in range(1, 300)]

z = DiffFloat(x)
dr.enable_grad(z)
dr.backward(dr.sum(z * z * dr.log(z)))
assert numpy.allclose(dr.grad(z).numpy(), 2 * x * numpy.log(x) + x, rtol=1e-3, atol=1e-4)
