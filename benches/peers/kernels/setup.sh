#!/bin/sh
# Installs the peers that lrem's kernels are compared with into .cache/peers (or $PEERS): Triton and the packages
# whose kernels are written in it. No GPU is needed. Several GB; does nothing when all is there.
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
if ! test -f "$peers/sglang/version"; then
    echo "peers: fetching SGLang's kernels"
    folder=$(mktemp -d)
    pip download --no-deps --dest "$folder" sglang
    wheel=$(echo "$folder"/sglang-*.whl)
    "$python" -m zipfile -e "$wheel" "$folder/all"
    mkdir -p "$peers/sglang/sglang/kernels/ops"
    cp -r "$folder/all/sglang/kernels/ops/attention" "$peers/sglang/sglang/kernels/ops/"
    basename "$wheel" | cut -d- -f2 > "$peers/sglang/version"
    rm -r "$folder"
fi
library=${CARGO_TARGET_DIR:-$root/target}/release/libsimt.so
ln -sf "$library" "$peers/simt/libcuda.so"
ln -sf "$library" "$peers/simt/libcuda.so.1"
