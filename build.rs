//! Compiles `kernels/*.cu` with NVRTC: to PTX for compute_80, which every later GPU can run, and to
//! cubins for the architectures in `LREM_CUDA_ARCHS`, whose machine code `target/kernels.json` counts.
//! `src/device/cuda/kernels.rs` holds the result.
//!
//! Without NVRTC the build passes with an empty kernel table and one warning.

use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use cache::Compiled;
use instances::Source;

#[path = "build/cache.rs"]
mod cache;
#[path = "build/facts.rs"]
mod facts;
#[path = "build/instances.rs"]
mod instances;
#[path = "build/nvrtc.rs"]
mod nvrtc;
#[path = "build/options.rs"]
mod options;
#[path = "build/sass.rs"]
mod sass;
#[path = "build/table.rs"]
mod table;
#[path = "build/target.rs"]
mod target;
#[path = "build/toolkit.rs"]
mod toolkit;

const KERNELS: &str = "kernels";

fn main() -> ExitCode {
    for path in ["build.rs", "build", KERNELS] {
        println!("cargo:rerun-if-changed={path}");
    }
    for variable in toolkit::VARIABLES.iter().chain([&target::VARIABLE]) {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let out = Path::new(&out);
    let table = match toolkit::find(Path::new("")) {
        Ok(toolkit) => {
            println!("cargo:rerun-if-changed={}", toolkit.library.display());
            build(&toolkit, out)
        }
        Err(missing) => {
            println!(
                "cargo:warning=CUDA kernels are not built: {missing}; `make setup` fetches both"
            );
            Ok(table::empty())
        }
    };
    let table = table.and_then(|text| Ok(text + &table::sources(Path::new(KERNELS))?));
    match table.and_then(|text| write(&out.join("kernels.rs"), text.as_bytes())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Cargo shows what a failed build script wrote here as it is.
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The text of the kernel table, after compiling every kernel for every target.
fn build(toolkit: &toolkit::Toolkit, out: &Path) -> Result<String, String> {
    let sources = instances::read_all(Path::new(KERNELS))?;
    let targets = target::read()?;
    let nvrtc = nvrtc::Nvrtc::load(&toolkit.library)?;
    let cache = cache::Cache::open(out.join(KERNELS), Path::new(KERNELS), toolkit, &nvrtc)?;

    let jobs: Vec<_> = sources
        .iter()
        .flat_map(|source| {
            target::of(source, &targets)
                .into_iter()
                .map(move |target| (source, target))
        })
        .collect();
    let results: Vec<OnceLock<_>> = jobs.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((source, target)) = jobs.get(index) else {
                break;
            };
            results[index].get_or_init(|| cache.compile(source, target.clone()));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));

    let results: Vec<_> = results
        .into_iter()
        .filter_map(OnceLock::into_inner)
        .collect();
    let mut errors: Vec<String> = results
        .iter()
        .filter_map(|r| r.as_ref().err().cloned())
        .collect();
    // Each target repeats what is wrong with the source.
    errors.dedup();
    if !errors.is_empty() {
        return Err(errors.join("\n"));
    }
    let mut compiled = results.into_iter().flatten();
    let modules: Vec<(Source, Vec<Compiled>)> = sources
        .into_iter()
        .map(|source| {
            let count = target::of(&source, &targets).len();
            (source, compiled.by_ref().take(count).collect())
        })
        .collect();
    if targets.len() > 1
        && let Some(folder) = facts::target_folder(out)
    {
        let facts = facts::text(&modules)?;
        write(&folder.join("kernels.json"), facts.as_bytes())?;
    }
    Ok(table::text(&nvrtc.version(), &modules))
}

/// Writes aside and renames, so that a file that is there is whole.
fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let aside = path.with_extension("part");
    std::fs::write(&aside, bytes)
        .and_then(|()| std::fs::rename(&aside, path))
        .map_err(|error| format!("{}: {error}", path.display()))
}
