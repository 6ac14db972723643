#!/bin/sh
# Makes triplets with llama.cpp's server as the teacher, and checks them (triplets-llama.py). The server is
# built on the first run, into the folder of `make peers`, in about ten minutes of two cores.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/benches/peers/venv.sh"
if ! "$python" -c 'import llama_cpp.server.app' 2>/dev/null; then
    echo "triplets-llama: building llama.cpp's server"
    llama_cpp "[server]"
fi
exec python3 "$root/scripts/triplets-llama.py" "$root/target/release/lrem" "$python" \
    "$root/.cache/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" "$root/runs/triplets-llama"
