"""tinygrad on its CUDA device: tensors, an MLP's forward and training steps, against numpy."""

import numpy
from tinygrad import Context, Device, Tensor, nn

assert Device.DEFAULT == "CUDA", Device.DEFAULT
rng = numpy.random.default_rng()
a = rng.standard_normal((33, 65)).astype(numpy.float32)
b = rng.standard_normal((65, 17)).astype(numpy.float32)
assert numpy.allclose((Tensor(a) @ Tensor(b)).relu().numpy(), numpy.maximum(a @ b, 0), rtol=1e-4, atol=1e-4)
assert numpy.allclose(Tensor(a).softmax(axis=1).sum(axis=0).numpy(), (numpy.exp(a) / numpy.exp(a).sum(1, keepdims=True)).sum(0), rtol=1e-4)


class Mlp:
    def __init__(self):
        self.first, self.second = nn.Linear(8, 32), nn.Linear(32, 3)

    def __call__(self, x):
        return self.second(self.first(x).tanh())


x = rng.standard_normal((64, 8)).astype(numpy.float32)
labels = (x[:, 0] > 0).astype(numpy.int32) + (x[:, 1] > 0).astype(numpy.int32)
model = Mlp()
w1, b1, w2, b2 = (t.numpy() for t in (model.first.weight, model.first.bias, model.second.weight, model.second.bias))
expected = numpy.tanh(x @ w1.T + b1) @ w2.T + b2
assert numpy.allclose(model(Tensor(x)).numpy(), expected, rtol=1e-3, atol=1e-4)

optimizer = nn.optim.Adam(nn.state.get_parameters(model), lr=0.02)
losses = []
with Context(TRAINING=1):
    for _ in range(30):
        optimizer.zero_grad()
        loss = model(Tensor(x)).sparse_categorical_crossentropy(Tensor(labels))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
assert losses[-1] < 0.5 * losses[0], losses
