//! Names the library and its symbols' version as NVIDIA's, `cudaMalloc@@libcudart.so.12`: the loader refuses
//! a library without the version that a program was linked against. Of the linkers only GNU's can give the
//! version without a script, of which rustc already writes one.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for argument in [
        "-fuse-ld=bfd",
        "-Wl,-soname,libcudart.so.12",
        "-Wl,--default-symver",
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
