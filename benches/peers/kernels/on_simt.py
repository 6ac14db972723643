"""Triton's kernels on the virtual GPU, as their own host code launches them; import this before torch.

Triton finds the virtual GPU as libcuda.so.1 on LD_LIBRARY_PATH. It executes PTX, so the step from PTX to machine
code is left out. torch has no part in it: tensors are the CPU's, whose memory is registered with the driver
around every launch (`cuMemHostRegister`), which gives kernels its very addresses.
"""

import ctypes

from triton.backends.nvidia.compiler import CUDABackend
from triton.backends.nvidia.driver import CudaDriver, CudaLauncher
from triton.runtime import driver

cuda = ctypes.CDLL("libcuda.so.1")


def check(status, what):
    if status != 0:
        text = ctypes.c_char_p()
        cuda.cuGetErrorName(status, ctypes.byref(text))
        raise RuntimeError(f"{what}: {(text.value or b'unknown error').decode()}")


def make_ptx_the_binary():
    to_stages = CUDABackend.add_stages
    init = CUDABackend.__init__

    def add_stages(self, stages, options, language):
        to_stages(self, stages, options, language)
        del stages["cubin"]

    def with_ptx(self, target):
        init(self, target)
        self.binary_ext = "ptx"

    CUDABackend.add_stages, CUDABackend.__init__ = add_stages, with_ptx


class Launcher(CudaLauncher):
    """Registers the memory of a launch's tensors, waits for the kernel, and takes the memory back."""

    def __call__(self, *args):
        storages = {}
        for arg in args:
            if hasattr(arg, "untyped_storage"):
                storage = arg.untyped_storage()
                storages[storage.data_ptr()] = storage.nbytes()
        registered = [at for at, size in storages.items() if size]
        for at in registered:
            check(cuda.cuMemHostRegister_v2(ctypes.c_void_p(at), ctypes.c_size_t(storages[at]), 0), "cuMemHostRegister")
        try:
            super().__call__(*args)
            check(cuda.cuCtxSynchronize(), "kernel")
        finally:
            for at in registered:
                check(cuda.cuMemHostUnregister(ctypes.c_void_p(at)), "cuMemHostUnregister")


make_ptx_the_binary()
check(cuda.cuInit(0), "cuInit")
simt = CudaDriver()
simt.set_current_device(0)
simt.launcher_cls = Launcher
driver.set_active(simt)
