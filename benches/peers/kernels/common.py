"""What the peers' runs share: drawn tensors, the part that counts, and the check against f64."""

import inspect
import json
import os
import sys

ON_GPU = sys.argv[1] == "cuda"
if not ON_GPU:
    import on_simt  # noqa: F401  (before torch)
import torch

MULTIPROCESSORS = torch.cuda.get_device_properties(0).multi_processor_count if ON_GPU else 108
bf16 = torch.bfloat16
# Number of the run, of those of a process on a GPU.
place = 0


def on_cpu(module, function, old, new):
    """Defines a peer's function again with what it asks a GPU's tensors replaced, where tensors are the CPU's."""
    if not ON_GPU:
        source = inspect.getsource(getattr(module, function))
        assert old in source, f"{function} has changed"
        exec(source.replace(old, new), module.__dict__)


def counted(run, *tensors):
    """Runs what counts on tensors that it may write to."""
    if not ON_GPU:
        with Torch():
            return run(*tensors)
    copies = [t.clone() for t in tensors]
    run(*(t.clone() for t in tensors))  # Compiles.
    torch.cuda.synchronize()
    torch.cuda.nvtx.range_push(f"peer-{place}")
    found = run(*copies)
    torch.cuda.synchronize()
    torch.cuda.nvtx.range_pop()
    return found


class Torch(torch.utils._python_dispatch.TorchDispatchMode):
    """Notes torch's matrix products, and its sums over parts, beside the profile: their kernels cannot run here, and
    count as perfect ones."""

    def __torch_dispatch__(self, function, kinds, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        if function.overloadpacket is torch.ops.aten.mm:
            (m, k), n = args[0].shape, args[1].shape[1]
            note("a perfect product", args[:2], found, 2 * m * n * k)
        elif function.overloadpacket is torch.ops.aten.sum and args[0].dim() == 2:
            note("a perfect sum", args[:1], found, 0)
        return found


def note(kernel, read, written, flops):
    sizes = {"read": sum(bytes_of(t) for t in read), "written": bytes_of(written)}
    with open(os.environ["SIMT_PROFILE"] + ".torch", "a") as file:
        file.write(json.dumps({"kernel": kernel, **sizes, "tensor": flops}) + "\n")


def bytes_of(tensor):
    return tensor.numel() * tensor.element_size()


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float32).to(bf16)


def same(what, got, expected, tolerance=2e-2):
    got, expected = got.double(), expected.double()
    off = (got - expected).abs().max().item() / max(expected.abs().max().item(), 1e-30)
    if not off < tolerance:
        sys.exit(f"{what}: off by {off:.2e} of the largest number")
