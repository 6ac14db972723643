"""CuPy's stream capture, memory pools, events, pinned memory."""

import cupy
import numpy

rng = numpy.random.default_rng()
x = rng.standard_normal(5_000).astype(numpy.float32)
stream = cupy.cuda.Stream(non_blocking=True)
with stream:
    a = cupy.asarray(x)
    b = cupy.empty_like(a)
    cupy.multiply(a, 2, out=b)
    stream.synchronize()
    stream.begin_capture()
    cupy.multiply(a, 3, out=b)
    cupy.add(b, a, out=b)
    graph = stream.end_capture()
    assert numpy.allclose(cupy.asnumpy(b, stream=stream), x * 2)
    a[:] = cupy.asarray(x + 1)
    graph.launch(stream)
    stream.synchronize()
    assert numpy.allclose(cupy.asnumpy(b, stream=stream), (x + 1) * 4, rtol=1e-6)

cupy.cuda.set_allocator(cupy.cuda.MemoryAsyncPool().malloc)
c = cupy.arange(10_000, dtype=numpy.int32)
assert int((c * 2).sum()) == 10_000 * 9_999
start, end = cupy.cuda.Event(), cupy.cuda.Event()
start.record()
c += 1
end.record()
end.synchronize()
assert cupy.cuda.get_elapsed_time(start, end) >= 0
pinned = cupy.cuda.alloc_pinned_memory(40_000)
host = numpy.frombuffer(pinned, numpy.int32, 10_000)
c.get(out=host)
assert (host == numpy.arange(1, 10_001)).all()
