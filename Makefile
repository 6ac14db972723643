# The commands of the project; `make` lists them. Each does all of its own set-up.

DEVICE ?=
CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help setup build demo test conformance triplets-llama bench bench-compare-proof peers peers-cuda

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 28
	@echo "DEVICE=cpu|cuda|simt chooses the device of the demo; by default the CPU."

setup: ## fetch NVRTC, CUDA's headers and the demo's base model into .cache/
	@scripts/setup.sh

build: ## build target/release/lrem; without `make setup` it has no CUDA kernels
	$(CARGO) build --release

demo: setup build ## train on the bundled shop and search it, about 15 minutes on 2 cores
	target/release/lrem demo $(if $(DEVICE),--device $(DEVICE))

# rustfmt and clippy are components that a toolchain may lack.
test: setup ## check format, lints and documentation, then run every test
	@if $(CARGO) fmt --version >/dev/null 2>&1; then set -x; $(CARGO) fmt --all --check; \
	else echo "make test: rustfmt is not installed, the format is not checked"; fi
	@if $(CARGO) clippy --version >/dev/null 2>&1; then set -x; $(CARGO) clippy --release --workspace --all-targets -- -D warnings; \
	else echo "make test: clippy is not installed, lints are not checked"; fi
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps
	$(CARGO) test --release --workspace
	simt/conformance/run.sh

conformance: setup ## run programs nobody here wrote on the virtual GPU, as `make test` does at its end
	simt/conformance/run.sh

triplets-llama: setup build ## make triplets with llama.cpp's server as the teacher, and check them
	@scripts/triplets-llama.sh

bench: setup ## run the benchmarks of every op and of the engine
	$(CARGO) bench --workspace

bench-compare-proof: build ## compare a build with itself and with one slowed by 5 %, 20 times each
	@scripts/bench-compare-proof.sh

peers: setup build ## compare with torch and llama.cpp on this machine; prints a table
	@benches/peers/setup.sh
	@benches/peers/compare.py

peers-cuda: setup build ## compare kernels with Liger's, Triton's, SGLang's, FlashInfer's in counts, on the virtual GPU
	@benches/peers/kernels/setup.sh
	@benches/peers/kernels/compare.py
