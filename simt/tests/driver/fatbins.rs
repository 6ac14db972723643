//! Fatbins that NVIDIA's tools made, ones made here by the layout, and damaged ones.

use super::fuzz;
use super::support::{Random, stream};
use super::{AddArguments, WORDS, Words, function, module, ok};
use cudarc::driver::sys::{self, CUresult};
use proptest::prelude::*;
use simt::image::{self, fatbin};

const LZ4: &[u8] = include_bytes!("../ptx/fatbin/kernels_lz4.fatbin");
const ZSTD: &[u8] = include_bytes!("../ptx/fatbin/kernels_zstd.fatbin");
const MIXED: &[u8] = include_bytes!("../ptx/fatbin/mixed.fatbin");
const MACHINE: &[u8] = include_bytes!("../ptx/fatbin/machine.fatbin");

/// What is left of a text without comments and blanks.
fn tokens(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""));
    lines.flat_map(str::split_whitespace).collect()
}

#[test]
fn both_compressions_of_nvidias_tool_give_the_text() {
    let expected = tokens(include_str!("../ptx/kernels.ptx"));
    for (fatbin, name) in [(LZ4, "LZ4"), (ZSTD, "Zstandard")] {
        let texts = image::texts(fatbin, &|arch| arch <= 90).expect(name);
        assert_eq!(texts.len(), 1);
        assert!(tokens(&texts[0]) == expected, "{name}");
    }
}

#[test]
fn the_newest_ptx_that_runs_is_taken() {
    let kinds: Vec<(u16, u32)> = fatbin::entries(MIXED)
        .unwrap()
        .iter()
        .map(|e| (e.kind, e.arch))
        .collect();
    for expected in [(1, 75), (2, 80), (1, 80), (1, 100)] {
        assert!(kinds.contains(&expected), "{kinds:?}");
    }
    let target = |limit: u32| fatbin::ptx(MIXED, &|arch| arch <= limit).unwrap();
    assert!(target(90).contains(".target sm_80"));
    assert!(target(79).contains(".target sm_75"));
    assert!(target(120).contains(".target sm_100"));
    let error = fatbin::ptx(MACHINE, &|_| true).unwrap_err();
    assert_eq!(error, image::Error::NoPtx("sm_90, sm_80".into()));
}

/// An entry as NVIDIA's tool lays it out.
fn entry(kind: u16, arch: u32, payload: &[u8], flags: u64, uncompressed: usize) -> Vec<u8> {
    let padded = payload.len().next_multiple_of(8);
    let mut bytes = vec![0u8; 80 + padded];
    bytes[0..2].copy_from_slice(&kind.to_le_bytes());
    bytes[2..4].copy_from_slice(&0x101u16.to_le_bytes());
    bytes[4..8].copy_from_slice(&80u32.to_le_bytes());
    bytes[8..16].copy_from_slice(&(padded as u64).to_le_bytes());
    let compressed = if flags == 0 { 0 } else { payload.len() as u32 };
    bytes[16..20].copy_from_slice(&compressed.to_le_bytes());
    bytes[28..32].copy_from_slice(&arch.to_le_bytes());
    bytes[40..48].copy_from_slice(&flags.to_le_bytes());
    bytes[56..64].copy_from_slice(&(uncompressed as u64).to_le_bytes());
    bytes[80..80 + payload.len()].copy_from_slice(payload);
    bytes
}

fn fatbin_of(entries: &[Vec<u8>]) -> Vec<u8> {
    let all = entries.concat();
    let mut bytes = 0xba55_ed50u32.to_le_bytes().to_vec();
    bytes.extend(1u16.to_le_bytes());
    bytes.extend(16u16.to_le_bytes());
    bytes.extend((all.len() as u64).to_le_bytes());
    bytes.extend(all);
    bytes
}

fn lz4(text: &[u8]) -> Vec<u8> {
    lz4_flex::block::compress(text)
}

fn zstd(text: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn random_bytes_survive_both_compressions() {
    let mut random = Random::new();
    for length in [0usize, 1, 15, 16, 270, 5000, 200_000] {
        // Few letters, so that there are matches, and runs, so that they overlap.
        let mut text = Vec::new();
        while text.len() < length {
            let (letter, run) = (b'a' + random.below(3) as u8, 1 + random.below(40) as usize);
            text.resize(text.len() + run, letter);
        }
        text.truncate(length);
        for (packed, flags) in [(lz4(&text), 0x2011), (zstd(&text), 0x8011)] {
            let whole = fatbin_of(&[entry(1, 80, &packed, flags, text.len())]);
            let entries = fatbin::entries(&whole).unwrap();
            assert!(
                entries[0].unpack().unwrap() == text,
                "{length} bytes, flags {flags:#x}"
            );
        }
    }
}

/// The structure that programs register.
#[repr(C)]
struct Wrapper {
    magic: u32,
    version: u32,
    data: *const u8,
    file: *const u8,
}

#[test]
fn modules_load_from_fatbins_and_from_pointers_to_them() {
    let stream = stream();
    let text = WORDS.as_bytes();
    let mut random = Random::new();
    for (payload, flags) in [
        (text.to_vec(), 0),
        (lz4(text), 0x2011),
        (zstd(text), 0x8011),
    ] {
        let fatbin = fatbin_of(&[
            entry(2, 80, &[0x7f, b'E', b'L', b'F', 0, 0], 0, 0),
            entry(1, 80, &payload, flags, text.len()),
        ]);
        let wrapper = Wrapper {
            magic: 0x4662_43b1,
            version: 1,
            data: fatbin.as_ptr(),
            file: std::ptr::null(),
        };
        let mut by_wrapper = std::ptr::null_mut();
        // SAFETY: the wrapper points to a whole fatbin.
        ok(unsafe { sys::cuModuleLoadFatBinary(&mut by_wrapper, (&raw const wrapper).cast()) });
        for module in [module(&fatbin).unwrap(), by_wrapper] {
            let words: Vec<u32> = (0..100).map(|_| random.bits() as u32).collect();
            let device = Words::new(&words);
            let mut arguments = AddArguments::new(&device, 7);
            // SAFETY: the arguments are those of the kernel.
            ok(unsafe {
                sys::cuLaunchKernel(
                    function(module, "add"),
                    4,
                    1,
                    1,
                    32,
                    1,
                    1,
                    0,
                    std::ptr::null_mut(),
                    arguments.pointers().as_mut_ptr(),
                    std::ptr::null_mut(),
                )
            });
            let expected: Vec<u32> = words.iter().map(|w| w.wrapping_add(7)).collect();
            assert_eq!(device.read(), expected);
            // SAFETY: nobody uses the module any more.
            ok(unsafe { sys::cuModuleUnload(module) });
        }
    }
    drop(stream);
}

#[test]
fn what_has_no_ptx_is_refused_by_name() {
    let _stream = stream();
    assert_eq!(module(MACHINE), Err(CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU));
    let mut elf = vec![0u8; 64];
    elf[..4].copy_from_slice(b"\x7fELF");
    assert_eq!(module(&elf), Err(CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU));
    assert_eq!(
        module(b"BC\xc0\xde\0"),
        Err(CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU)
    );
    assert_eq!(
        module(b"\xff\xfe\xfd\xfc\0"),
        Err(CUresult::CUDA_ERROR_INVALID_IMAGE)
    );
    let cut = fatbin_of(&[entry(
        1,
        80,
        &lz4(WORDS.as_bytes())[..40],
        0x2011,
        WORDS.len(),
    )]);
    assert_eq!(module(&cut), Err(CUresult::CUDA_ERROR_INVALID_IMAGE));
    let newer = fatbin_of(&[entry(1, 120, WORDS.as_bytes(), 0, 0)]);
    assert_eq!(module(&newer), Err(CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(fuzz::cases(4_000)))]

    #[test]
    fn damaged_fatbins_are_answered(
        which in 0usize..5,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        in_header in any::<bool>(),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let linked = image::linked::bundle(&[WORDS.into(), "b".into()]);
        let mut bytes = [LZ4, ZSTD, MIXED, MACHINE, &linked][which].to_vec();
        let length = bytes.len();
        for (at, byte) in changes {
            bytes[at.index(if in_header { 112.min(length) } else { length })] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(length));
        }
        let _ = image::texts(&bytes, &|arch| arch <= 90);
        for entry in fatbin::entries(&bytes).unwrap_or_default() {
            let _ = entry.unpack();
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200), magic in 0usize..4) {
        let mut image = [&b""[..], &[0x50, 0xed, 0x55, 0xba], b"\x01SLK", b"\x7fELF"][magic].to_vec();
        image.extend(bytes);
        let _ = image::texts(&image, &|_| true);
    }
}
