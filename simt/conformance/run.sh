#!/bin/sh
# Runs programs that nobody here wrote on the virtual GPU; prints a line a program. Needs Python 3.10 or
# later, and the network on the first run. usage: run.sh [program ...]
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$root/.cache/conformance
mkdir -p "$work/lib"

cargo build --release -p simt --manifest-path "$root/Cargo.toml" || exit 1
library=${CARGO_TARGET_DIR:-$root/target}/release/libsimt.so
ln -sf "$library" "$work/lib/libcuda.so"
ln -sf "$library" "$work/lib/libcuda.so.1"

if ! cmp -s "$here/requirements.txt" "$work/installed.txt"; then
    python3 -m venv "$work/venv" && "$work/venv/bin/pip" install -q -r "$here/requirements.txt" || exit 1
    # With nvJitLink, NVIDIA's packages link to machine code; without it they use the driver's linker.
    "$work/venv/bin/pip" uninstall -q -y nvidia-nvjitlink-cu12
    cp "$here/requirements.txt" "$work/installed.txt"
fi

export LD_LIBRARY_PATH="$work/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" DEV=CUDA
failed=0
[ $# -gt 0 ] || set -- "$here"/*.py
for program; do
    name=$(basename "$program" .py)
    log=$work/$name.log
    start=$(date +%s)
    if timeout 900 "$work/venv/bin/python" "$here/$name.py" >"$log" 2>&1; then
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
