# Read by the scripts that install into the peers' virtual environment, which set $root before: $peers, its
# folder, and $python, made where it is missing.
peers=${PEERS:-$root/.cache/peers}
python=$peers/venv/bin/python
mkdir -p "$peers"
test -x "$python" || python3 -m venv "$peers/venv"

pip() { "$python" -m pip "$@" --quiet --disable-pip-version-check; }

# Whether all of these modules are there.
has() { "$python" -c "import importlib.util as u, sys; sys.exit(any(u.find_spec(m) is None for m in sys.argv[1:]))" "$@"; }

# Builds llama.cpp for this processor, its Python package with the extras $1.
llama_cpp() {
    (
        export CMAKE_ARGS="-DGGML_NATIVE=ON"
        pip install --no-binary llama-cpp-python cmake ninja "llama-cpp-python$1"
    )
}
