#!/bin/sh
# Installs the peers that lrem is compared with into .cache/peers (or $PEERS): torch + transformers,
# llama.cpp (built here, for this processor), and the base model as a Hugging Face folder. Versions
# are the newest at the first run; compare.py prints them. Several GB; does nothing when all is there.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
gguf=$root/.cache/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf

"$root/scripts/setup.sh"
. "$here/venv.sh"

if ! has torch transformers gguf accelerate; then
    echo "peers: installing torch and transformers"
    pip install torch transformers accelerate gguf safetensors numpy sentencepiece protobuf
fi
if ! has llama_cpp; then
    echo "peers: building llama.cpp"
    llama_cpp ""
fi
if ! test -f "$peers/smollm2-hf/model.safetensors"; then
    echo "peers: converting the base model"
    "$python" "$here/convert.py" "$gguf" "$peers/smollm2-hf"
fi
