#!/bin/sh
# Installs the peers that lrem's kernels are compared with into .cache/peers (or $PEERS): Triton and the packages
# whose kernels are written in it, and the sources of those in CUDA C++, which `make setup`'s NVRTC compiles. No GPU is
# needed. Several GB; does nothing when all is there.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
. "$here/../venv.sh"
mkdir -p "$peers/simt"

if ! has torch triton liger_kernel fla einops transformers; then
    echo "peers: installing torch, Triton, Liger-Kernel and flash-linear-attention"
    pip install torch triton transformers einops numpy
    pip install --no-deps liger-kernel fla-core
fi
if ! has inf_cl; then
    echo "peers: installing Inf-CL"
    pip install --no-deps inf-cl
fi

# Unpacks a package's wheel without installing it: package, name in .cache/peers, and pairs of a path in the wheel and
# one below that name.
fetch() {
    asked=$* package=$1 name=$2
    shift 2
    test "$(cat "$peers/$name/asked" 2> /dev/null)" = "$asked" && return
    echo "peers: fetching $package"
    folder=$(mktemp -d)
    pip download --no-deps --dest "$folder" "$package"
    wheel=$(echo "$folder"/*.whl)
    "$python" -m zipfile -e "$wheel" "$folder/all"
    while test $# -gt 0; do
        mkdir -p "$(dirname "$peers/$name/$2")"
        rm -rf "${peers:?}/$name/$2"
        cp -r "$folder/all/$1" "$peers/$name/$2"
        shift 2
    done
    basename "$wheel" | cut -d- -f2 > "$peers/$name/version"
    echo "$asked" > "$peers/$name/asked"
    rm -r "$folder"
}
fetch sglang sglang sglang/kernels/ops/attention sglang/kernels/ops/attention \
    sglang/kernels/jit/csrc/gemm/marlin marlin
# The headers of CUDA's standard library that CUTLASS 4.2 is made for, and those that FlashInfer brings along.
fetch nvidia-cuda-cccl-cu12==12.9.27 cccl nvidia/cuda_cccl/include include
fetch nvidia-cutlass==4.2.0.0 cutlass cutlass_library/source/include include \
    cutlass_library/source/examples/cute/tutorial/sgemm_sm80.cu sgemm_sm80.cu
fetch flashinfer-python flashinfer flashinfer/data/include/flashinfer include/flashinfer \
    flashinfer/data/cccl/libcudacxx/include cccl
library=${CARGO_TARGET_DIR:-$root/target}/release/libsimt.so
ln -sf "$library" "$peers/simt/libcuda.so"
ln -sf "$library" "$peers/simt/libcuda.so.1"
