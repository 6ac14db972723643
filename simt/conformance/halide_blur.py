"""Halide's GPU schedules, compiled by its own PTX back end."""

import halide as hl
import numpy

rng = numpy.random.default_rng()
image = rng.random((64, 48)).astype(numpy.float32)
x, y, xi, yi = (hl.Var(name) for name in ("x", "y", "xi", "yi"))
target = hl.get_host_target().with_feature(hl.TargetFeature.CUDA)

source = hl.Buffer(image)
clamped = hl.BoundaryConditions.repeat_edge(source)
rows, blur = hl.Func("rows"), hl.Func("blur")
rows[x, y] = (clamped[x - 1, y] + clamped[x, y] + clamped[x + 1, y]) / 3
blur[x, y] = (rows[x, y - 1] + rows[x, y] + rows[x, y + 1]) / 3
blur.gpu_tile(x, y, xi, yi, 16, 8)
# The rows of a tile are kept in shared memory.
rows.compute_at(blur, x).gpu_threads(x, y)
out = blur.realize([48, 64], target)
out.copy_to_host()


def mean(a, axis):
    pad = [(1, 1) if at == axis else (0, 0) for at in range(2)]
    p = numpy.pad(a, pad, mode="edge")
    return sum(numpy.take(p, range(k, k + a.shape[axis]), axis) for k in range(3)) / 3


# The clamped image is averaged, and so are rows beyond its edge, which repeat.
assert numpy.allclose(numpy.array(out), mean(mean(image, 1), 0), rtol=1e-5)

k = hl.RDom([(0, 48)])
total = hl.Func("total")
total[y] = 0.0
total[y] += source[k.x, y] * source[k.x, y]
total.gpu_tile(y, yi, 16)
total.update().gpu_tile(y, yi, 16)
sums = total.realize([64], target)
sums.copy_to_host()
assert numpy.allclose(numpy.array(sums), (image * image).sum(1), rtol=1e-5)
