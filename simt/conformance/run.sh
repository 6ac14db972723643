#!/bin/sh
# Runs programs that nobody here wrote on the virtual GPU; prints a line a program. Needs Python 3.10 or
# later, 4 GB below .cache/, and the network on the first run; a program whose packages cannot be had is not
# run, which is said and is no failure. usage: run.sh [program ...]
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/.cache/conformance
mkdir -p "$work/lib"

# All libraries of the workspace, as `cargo test --workspace` has made them: two alone have other features.
cargo build --release --workspace --lib --manifest-path "$root/Cargo.toml" || exit 1
libraries=${CARGO_TARGET_DIR:-$root/target}/release
ln -sf "$libraries/libsimt.so" "$work/lib/libcuda.so"
ln -sf "$libraries/libsimt.so" "$work/lib/libcuda.so.1"
ln -sf "$libraries/libsimt_runtime.so" "$work/lib/libcudart.so.12"

# A virtual environment in folder $1 with the packages of list $2.
environment() {
    cmp -s "$2" "$1/installed.txt" && return
    python3 -m venv "$1" && "$1/bin/pip" install -q --no-cache-dir --disable-pip-version-check -r "$2" || return 1
    # With nvJitLink, NVIDIA's packages link to machine code; without it they use the driver's linker.
    grep -q nvjitlink "$2" || "$1/bin/pip" uninstall -q -y nvidia-nvjitlink-cu12
    cp "$2" "$1/installed.txt"
}

# tinygrad takes the device from DEV; CuPy asks NVRTC for machine code unless it is told otherwise.
export DEV=CUDA CUPY_COMPILE_WITH_PTX=1
others=${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
failed=0
[ $# -gt 0 ] || set -- "$here"/*.py
for program; do
    name=$(basename "$program" .py)
    log=$work/$name.log
    # A program with a list of its own needs other versions than the rest.
    venv=$work/venv
    packages=$here/requirements.txt
    [ ! -f "$here/$name.txt" ] || { venv=$work/$name packages=$here/$name.txt; }
    if ! environment "$venv" "$packages" >"$log" 2>&1; then
        printf '%-16s not run: no packages, %s\n' "$name" "$(tail -n 1 "$log" | cut -c 1-160)"
        continue
    fi
    nvidia=$(find "$venv"/lib/python*/site-packages/nvidia -maxdepth 2 -name lib -printf ':%p')
    start=$(date +%s)
    if LD_LIBRARY_PATH=$work/lib$nvidia$others timeout 900 "$venv/bin/python" "$here/$name.py" >"$log" 2>&1; then
        result=pass
        why=
    else
        result=FAIL
        why=$(tail -n 1 "$log" | cut -c 1-160)
        failed=1
    fi
    printf '%-16s %s %4d s  %s\n' "$name" $result $(($(date +%s) - start)) "$why"
done
exit $failed
