//! `cuDeviceGetAttribute`: what NVIDIA's driver says of each chip, as far as it holds here.

use super::chip::{Chip, REGISTERS, SHARED_DEFAULT, SHARED_RESERVED};
use super::{Error, Result};
use std::ffi::{c_int, c_uint};

/// The last attribute of CUDA 12.9, and some room for later ones, which are 0.
const LAST: c_uint = 160;

/// An attribute of a chip by its number (`CUdevice_attribute`).
pub fn of(chip: &Chip, attribute: c_uint, ordinal: c_int) -> Result<c_int> {
    let is_hopper = chip.major >= 9;
    let value = match attribute {
        // Threads of a block and its extent; extent of the grid.
        1..=3 => 1024,
        4 => 64,
        5 => i32::MAX as u32,
        6 | 7 => 65535,
        8 => SHARED_DEFAULT,
        9 => 65536,
        10 => 32,
        // Pitch of copies.
        11 => i32::MAX as u32,
        12 | 82 => REGISTERS,
        13 => chip.clock,
        // Alignment of textures; copies beside kernels.
        14 => 512,
        15 => 1,
        16 => chip.multiprocessors,
        // No limit on the run time, not integrated.
        17 | 18 => 0,
        19 => 1,
        20 => 0,
        21..=29 => texture(attribute),
        30 => 512,
        31 => 1,
        // ECC.
        32 => u32::from(chip.arch != "sm_89"),
        33 => ordinal as u32 + 1,
        34 | 35 => 0,
        36 => chip.memory_clock,
        37 => chip.bus_width,
        38 => chip.l2,
        39 => chip.threads_per_multiprocessor,
        40 => {
            if chip.arch == "sm_89" {
                2
            } else {
                3
            }
        }
        41 => 1,
        42..=49 | 52..=74 | 77 => texture(attribute),
        50 => 0,
        51 => 32,
        75 => chip.major,
        76 => chip.minor,
        78..=80 => 1,
        81 => chip.shared_per_multiprocessor,
        83 => 1,
        84 => 0,
        85 => ordinal as u32,
        // Atomics over the bus.
        86 => 0,
        // Single precision against double.
        87 => {
            if chip.arch == "sm_89" {
                64
            } else {
                2
            }
        }
        // Kernels touch only what the driver has handed out or registered.
        88 => 0,
        89..=91 => 1,
        // Memory operations of streams, by their first interface.
        92..=94 => 0,
        95 => 1,
        96 => 0,
        97 => chip.shared_per_block,
        98 => 0,
        99 => 1,
        100 | 101 => 0,
        102 => 1,
        // Nothing can be shared with other processes.
        103..=105 => 0,
        106 => chip.blocks_per_multiprocessor,
        107 => 0,
        108 => chip.l2 / 4 * 3,
        109 => 128 << 20,
        110 => 0,
        111 => SHARED_RESERVED,
        112..=114 => 0,
        115 => 1,
        116..=119 => 0,
        120 => is_hopper.into(),
        121 => 0,
        122 | 123 => 1,
        124 | 125 => 0,
        126 => {
            if is_hopper {
                4
            } else {
                1
            }
        }
        127 => is_hopper.into(),
        128 | 129 => 0,
        130 | 131 => 0,
        132 | 133 => 0,
        // The host's node is not known.
        134 => return Ok(-1),
        135..=LAST => 0,
        _ => return Err(Error::InvalidValue),
    };
    Ok(value as c_int)
}

/// Extents of textures and surfaces that the chips of compute capability 8 and 9 have; programs read
/// them, though there are no textures here.
fn texture(attribute: c_uint) -> u32 {
    match attribute {
        21 => 131_072,
        22 => 131_072,
        23 => 65_536,
        24..=26 => 16_384,
        27 | 28 => 32_768,
        29 => 2_048,
        42 => 32_768,
        43 => 2_048,
        44 => 1,
        45 | 46 => 32_768,
        47 | 48 => 8_192,
        49 => 32_768,
        52 | 53 => 32_768,
        54 => 2_046,
        55 => 32_768,
        56 => 131_072,
        57 => 65_536,
        58..=60 => 16_384,
        61 => 32_768,
        62 => 2_048,
        63 | 64 => 32_768,
        65 => 2_048,
        66 | 67 => 32_768,
        68 => 2_046,
        69 => 268_435_456,
        70 => 131_072,
        71 => 65_000,
        72 => 2_097_120,
        73 | 74 => 32_768,
        _ => 32_768,
    }
}
