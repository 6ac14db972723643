//! Names the library as NVIDIA's, so that a program that asks the loader for `libcuda.so` gets it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcuda.so");
}
