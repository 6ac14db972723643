//! `cuInit`, `cuDriverGetVersion`, `cuDevice…`

use super::chip::{REGISTERS, SHARED_DEFAULT, SHARED_RESERVED};
use super::state::{device, devices, initialise};
use super::{Error, Result, put, text};
use std::ffi::{c_char, c_int, c_uint};

/// The version of CUDA that the driver speaks: 12.9.
const VERSION: c_int = 12090;

super::api! {
    /// Starts the driver.
    fn cuInit(flags: c_uint) {
        if flags != 0 {
            return Err(Error::InvalidValue);
        }
        initialise();
        if devices()?.is_empty() { Err(Error::NoDevice) } else { Ok(()) }
    }
    /// 1000 · major + 10 · minor.
    fn cuDriverGetVersion(version: *mut c_int) { put(version, VERSION) }
    /// The device of an ordinal: the ordinal itself.
    fn cuDeviceGet(to: *mut c_int, ordinal: c_int) {
        device(ordinal)?;
        put(to, ordinal)
    }
    /// How many devices there are.
    fn cuDeviceGetCount(count: *mut c_int) { put(count, devices()?.len() as c_int) }
    /// The device's name, cut to `length` bytes with its end.
    fn cuDeviceGetName(name: *mut c_char, length: c_int, ordinal: c_int) {
        let chip = device(ordinal)?.chip;
        if name.is_null() || length <= 0 {
            return Err(Error::InvalidValue);
        }
        let bytes = &chip.name.as_bytes()[..chip.name.len().min(length as usize - 1)];
        for (at, byte) in bytes.iter().chain([&0]).enumerate() {
            name.add(at).write(*byte as c_char);
        }
        Ok(())
    }
    /// Sixteen bytes that no other device has.
    fn cuDeviceGetUuid(uuid: *mut [u8; 16], ordinal: c_int) { put(uuid, id(ordinal)?) }
    /// As `cuDeviceGetUuid`.
    fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], ordinal: c_int) { put(uuid, id(ordinal)?) }
    /// Bytes of memory.
    fn cuDeviceTotalMem_v2(bytes: *mut usize, ordinal: c_int) {
        put(bytes, super::state::lock(&device(ordinal)?.arena).total() as usize)
    }
    /// An attribute by its number.
    fn cuDeviceGetAttribute(value: *mut c_int, attribute: c_uint, ordinal: c_int) {
        put(value, attribute_of(attribute, ordinal)?)
    }
    /// Major and minor compute capability.
    fn cuDeviceComputeCapability(major: *mut c_int, minor: *mut c_int, ordinal: c_int) {
        let chip = device(ordinal)?.chip;
        put(major, chip.major as c_int)?;
        put(minor, chip.minor as c_int)
    }
    /// The address that `cuDeviceGetByPCIBusId` understands.
    fn cuDeviceGetPCIBusId(to: *mut c_char, length: c_int, ordinal: c_int) {
        device(ordinal)?;
        let id = format!("0000:{:02x}:00.0\0", ordinal + 1);
        if to.is_null() || (length as usize) < id.len() {
            return Err(Error::InvalidValue);
        }
        to.cast::<u8>().copy_from(id.as_ptr(), id.len());
        Ok(())
    }
    /// The device at an address.
    fn cuDeviceGetByPCIBusId(to: *mut c_int, id: *const c_char) {
        let bus = text(id)?.split(':').rev().nth(1).and_then(|bus| i32::from_str_radix(bus, 16).ok());
        let ordinal = bus.ok_or(Error::InvalidValue)? - 1;
        device(ordinal)?;
        put(to, ordinal)
    }
    /// Devices read each other's memory: it is all the host's.
    fn cuDeviceCanAccessPeer(can: *mut c_int, one: c_int, other: c_int) {
        device(one)?;
        device(other)?;
        put(can, (one != other).into())
    }
}

fn id(ordinal: c_int) -> Result<[u8; 16]> {
    device(ordinal)?;
    let mut id = *b"simt virtual gpu";
    id[15] = ordinal as u8;
    Ok(id)
}

fn attribute_of(attribute: c_uint, ordinal: c_int) -> Result<c_int> {
    let chip = device(ordinal)?.chip;
    let value = match attribute {
        1..=3 => 1024,
        4 => 64,
        5 => i32::MAX as u32,
        6 | 7 => 65535,
        8 => SHARED_DEFAULT,
        9 => 65536,
        10 => 32,
        11 => i32::MAX as u32,
        12 | 82 => REGISTERS,
        13 => chip.clock,
        14 => 512,
        15 => 1,
        16 => chip.multiprocessors,
        17 | 18 => 0,
        19 => 1,
        20 => 0,
        30 => 512,
        31 => 1,
        32 => 0,
        33 => ordinal as u32 + 1,
        34 | 35 => 0,
        36 => chip.memory_clock,
        37 => chip.bus_width,
        38 => chip.l2,
        39 => chip.threads_per_multiprocessor,
        // No copy runs beside a kernel.
        40 => 0,
        41 => 1,
        50 => 0,
        51 => 32,
        75 => chip.major,
        76 => chip.minor,
        78..=80 => 1,
        81 => chip.shared_per_multiprocessor,
        83 => 1,
        84 | 85 => 0,
        86 => 1,
        87 => 2,
        // Kernels touch only what the driver has handed out or registered.
        88 | 89 => 0,
        90 => 1,
        91 => 1,
        92..=94 | 96 => 0,
        95 => 1,
        97 => chip.shared_per_block,
        99 => 1,
        106 => chip.blocks_per_multiprocessor,
        111 => SHARED_RESERVED,
        115 => 1,
        _ if (1..=160).contains(&attribute) => 0,
        _ => return Err(Error::InvalidValue),
    };
    Ok(value as c_int)
}
