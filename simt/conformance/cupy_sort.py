"""Sorting in CuPy: its bundled Thrust, compiled ahead of time."""

import cupy
import numpy

k = numpy.random.default_rng().integers(0, 1 << 40, 5_003)
g = cupy.asarray(k)
assert numpy.array_equal(cupy.asnumpy(cupy.sort(g)), numpy.sort(k))
assert numpy.array_equal(k[cupy.asnumpy(cupy.argsort(g))], numpy.sort(k))
