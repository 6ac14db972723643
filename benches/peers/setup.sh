#!/bin/sh
# Installs the peers that lrem is compared with into .cache/peers (or $PEERS): torch + transformers,
# llama.cpp (built here, for this processor), and the base model as a Hugging Face folder. Versions
# are the newest at the first run; compare.py prints them. Several GB; does nothing when all is there.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
peers=${PEERS:-$root/.cache/peers}
gguf=$root/.cache/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf

"$root/scripts/setup.sh"
mkdir -p "$peers"
python=$peers/venv/bin/python
test -x "$python" || python3 -m venv "$peers/venv"
has() { "$python" -c "import importlib.util as u, sys; sys.exit(any(u.find_spec(m) is None for m in sys.argv[1:]))" "$@"; }

if ! has torch transformers gguf accelerate; then
    echo "peers: installing torch and transformers"
    "$python" -m pip install --quiet --disable-pip-version-check \
        torch transformers accelerate gguf safetensors numpy sentencepiece protobuf
fi
if ! has llama_cpp; then
    echo "peers: building llama.cpp"
    CMAKE_ARGS="-DGGML_NATIVE=ON" "$python" -m pip install --quiet --disable-pip-version-check \
        --no-binary llama-cpp-python cmake ninja llama-cpp-python
fi
if ! test -f "$peers/smollm2-hf/model.safetensors"; then
    echo "peers: converting the base model"
    "$python" "$here/convert.py" "$gguf" "$peers/smollm2-hf"
fi
