//! The kernel table that `build.rs` generates, and the reader of instance lines it generates it from.

use lrem::device::cuda;
use lrem::workbench::Workspace;
use std::path::Path;

#[path = "../build/instances.rs"]
mod instances;

fn sources() -> Vec<instances::Source> {
    instances::read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels")).unwrap()
}

#[test]
fn table_holds_every_instance_of_the_sources_or_nothing() {
    let table: Vec<_> = cuda::kernels()
        .iter()
        .map(|kernel| (kernel.op.to_owned(), kernel.instance.to_owned()))
        .collect();
    if cuda::compiler().is_none() {
        assert_eq!(table, [], "a build without NVRTC has no kernels");
        return;
    }
    let mut wanted = Vec::new();
    for source in sources() {
        let named = [Some(source.op.as_str()), source.arch.as_deref()];
        let named: Vec<&str> = named.into_iter().flatten().collect();
        assert_eq!(source.path.file_stem().unwrap(), named.join(".").as_str());
        assert!(source.text.contains("__global__"), "{}", source.op);
        for instance in &source.instances {
            wanted.push((source.op.clone(), instance.name.clone()));
        }
    }
    assert_eq!(table, wanted);
    assert!(cuda::kernel("rms_norm_f32").is_some());
    assert!(cuda::kernel("rms_norm_f64").is_none());
}

#[test]
fn ptx_is_for_every_gpu_or_for_one_architecture_and_has_the_entries() {
    for kernel in cuda::kernels() {
        let name = kernel.instance;
        let target = kernel.ptx.lines().find(|line| line.starts_with(".target"));
        let wanted = format!(".target {}", kernel.arch.unwrap_or("sm_80"));
        assert_eq!(target, Some(wanted.as_str()), "{name}");
        let entry = format!(".entry {}(", kernel.entry);
        assert_eq!(kernel.ptx.matches(&entry).count(), 1, "{name}: {entry}");
        assert!(!kernel.ptx.contains('\0'), "{name}");
    }
}

/// Floating-point atomics add in any order, so results would differ from run to run.
#[test]
fn no_kernel_adds_floats_atomically() {
    for kernel in cuda::kernels() {
        for line in kernel.ptx.lines().map(str::trim_start) {
            let atomic = line.starts_with("atom.") || line.starts_with("red.");
            let float = [".f16", ".bf16", ".f32", ".f64"]
                .iter()
                .any(|float| line.contains(float));
            assert!(!(atomic && float), "{}: {line}", kernel.instance);
        }
    }
}

#[test]
fn cubins_are_cuda_elf_files_with_the_entries() {
    for kernel in cuda::kernels() {
        for cubin in kernel.cubins {
            let name = format!("{} {}", kernel.instance, cubin.arch);
            assert!(cubin.arch.starts_with("sm_"), "{name}");
            assert_eq!(cubin.image[..4], *b"\x7fELF", "{name}");
            // e_machine of CUDA (EM_CUDA = 190), at byte 18 of a 64-bit little-endian header.
            assert_eq!(cubin.image[18..20], 190u16.to_le_bytes(), "{name}");
            let symbol = [b"\0", kernel.entry.as_bytes(), b"\0"].concat();
            let found = cubin.image.windows(symbol.len()).any(|at| at == symbol);
            assert!(found, "{name}: no symbol {}", kernel.entry);
        }
    }
}

/// Threads of the largest block that a kernel says it can have, or that any can.
fn largest_block(kernel: &cuda::Kernel) -> u32 {
    let entry = format!(".entry {}(", kernel.entry);
    let from = &kernel.ptx[kernel.ptx.find(&entry).expect("an entry")..];
    let header = &from[..from.find('{').expect("a body")];
    let bound = header.split(".maxntid ").nth(1);
    bound.map_or(1024, |text| {
        let digits = text.split(|c: char| !c.is_ascii_digit()).next();
        digits.unwrap_or_default().parse().expect("a number")
    })
}

/// A launch fails where a block's threads need more registers than a multiprocessor has. The virtual GPU, which
/// executes PTX, cannot tell, and the compiler sees to it only where a kernel has launch bounds.
#[test]
fn the_largest_block_of_every_kernel_has_enough_registers() {
    if cuda::compiler().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in cuda::sources() {
        if !name.ends_with(".cu") {
            continue;
        }
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let (op, _) = instances::named(&path);
        let mut workspace = Workspace::new(&op, &path).unwrap();
        for (instance, code) in workspace.machine_code().unwrap() {
            let threads = largest_block(cuda::kernel(&instance).unwrap());
            // A warp's are given out by 256.
            let of_warp = (32 * code.registers).next_multiple_of(256);
            let needed = threads.div_ceil(32) * of_warp;
            let registers = code.registers;
            assert!(registers > 0, "{instance}");
            assert!(
                needed <= 65_536,
                "{instance}: {threads} threads of {registers} registers"
            );
        }
    }
}

#[test]
fn availability_is_one_clear_line() {
    if let Err(error) = cuda::available() {
        let line = error.to_string();
        assert!(line.starts_with("no CUDA device: "), "{line}");
        assert!(!line.contains('\n'), "{line}");
    } else {
        assert!(!cuda::kernels().is_empty());
    }
}

#[test]
fn instance_lines_are_read_in_order() {
    let text =
        "// instance: a_f32 = a<float>\n  // instance:b=b<1, 2>\nint x; // instance: not = this\n";
    let read = instances::parse(Path::new("k.cu"), text).unwrap();
    let read: Vec<_> = read
        .iter()
        .map(|instance| (instance.name.as_str(), instance.expression.as_str()))
        .collect();
    assert_eq!(read, [("a_f32", "a<float>"), ("b", "b<1, 2>")]);
}

#[test]
fn wrong_instance_lines_are_named() {
    let usage = "expected `// instance: name = template<arguments>`";
    for (text, expected) in [
        ("// instance: a\n", format!("k.cu:1: {usage}")),
        ("\n// instance: = a<1>\n", format!("k.cu:2: {usage}")),
        ("// instance: a =\n", format!("k.cu:1: {usage}")),
        ("// instance: 1a = a<1>\n", format!("k.cu:1: {usage}")),
        ("// instance: a b = a<1>\n", format!("k.cu:1: {usage}")),
        (
            "// instance: a = a<1>\n// instance: a = a<2>\n",
            "k.cu:2: instance a is named twice".to_owned(),
        ),
        (
            "__global__ void a() {}\n",
            "k.cu: no line `// instance: name = template<arguments>`, so nothing would be compiled"
                .to_owned(),
        ),
    ] {
        let error = instances::parse(Path::new("k.cu"), text).unwrap_err();
        assert_eq!(error, expected, "{text:?}");
    }
}

#[test]
fn an_instance_of_two_files_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["a.cu", "b.cu"] {
        std::fs::write(folder.path().join(file), "// instance: x = x<1>\n").unwrap();
    }
    let error = instances::read_all(folder.path()).err().unwrap();
    let (a, b) = (folder.path().join("a.cu"), folder.path().join("b.cu"));
    let expected = format!("{}: instance x is already in {}", b.display(), a.display());
    assert_eq!(error, expected);
}
