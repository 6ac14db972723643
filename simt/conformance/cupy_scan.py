"""Prefix sums, histograms and selections of CuPy, which it compiles at run time."""

import cupy
import numpy

rng = numpy.random.default_rng()
k = rng.integers(-50, 50, 20_011)
g = cupy.asarray(k)
assert numpy.array_equal(cupy.asnumpy(cupy.cumsum(g)), numpy.cumsum(k))
assert numpy.array_equal(cupy.asnumpy(g[g > 10]), k[k > 10])
assert numpy.array_equal(cupy.asnumpy(cupy.nonzero(g)[0]), numpy.nonzero(k)[0])
assert numpy.array_equal(cupy.asnumpy(cupy.bincount(g + 50)), numpy.bincount(k + 50))
assert numpy.array_equal(cupy.asnumpy(cupy.take(g, g + 50)), numpy.take(k, k + 50))
added = cupy.zeros(101, dtype=numpy.int64)
cupy.add.at(added, g + 50, 1)
assert numpy.array_equal(cupy.asnumpy(added), numpy.bincount(k + 50, minlength=101))
