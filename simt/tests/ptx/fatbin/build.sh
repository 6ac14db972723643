#!/bin/sh
# Fatbins by NVIDIA's own tools; needs nvcc and fatbinary of CUDA 12.8 or later (PyPI: nvidia-cuda-nvcc).
set -e
cd "$(dirname "$0")"
ptx=--image3=kind=ptx,sm=80,file=../kernels.ptx
fatbinary --create=kernels_lz4.fatbin --64 --compress-mode=speed $ptx
fatbinary --create=kernels_zstd.fatbin --64 --compress-mode=size $ptx
code() { echo -gencode "arch=compute_$1,code=$2"; }
nvcc -fatbin $(code 75 compute_75) $(code 80 sm_80) $(code 80 compute_80) $(code 100 compute_100) scale.cu -o mixed.fatbin
nvcc -fatbin $(code 80 sm_80) $(code 80 sm_90) scale.cu -o machine.fatbin
