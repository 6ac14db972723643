//! `cuInit`, `cuDriverGetVersion`, `cuDevice…`

use super::attributes;
use super::chip::set_default;
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
    /// Says what `SIMT_ARCH` is where the environment does not, in a process that has not started the driver yet.
    /// No GPU's driver has this entry.
    fn simtSetDefaultArch(archs: *const c_char) {
        if archs.is_null() {
            return Err(Error::InvalidValue);
        }
        set_default(&std::ffi::CStr::from_ptr(archs).to_string_lossy());
        Ok(())
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
        put(value, attributes::of(&device(ordinal)?.chip, attribute, ordinal)?)
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
    /// What two devices can do to each other's memory: reading, writing and atomics, not arrays.
    fn cuDeviceGetP2PAttribute(value: *mut c_int, attribute: c_uint, one: c_int, other: c_int) {
        device(one)?;
        device(other)?;
        match attribute {
            _ if one == other => Err(Error::InvalidDevice),
            1 => put(value, 0),
            2 | 3 => put(value, 1),
            4 => put(value, 0),
            _ => Err(Error::InvalidValue),
        }
    }
    /// Elements of a linear texture, as on the chip; there are no textures.
    fn cuDeviceGetTexture1DLinearMaxWidth(width: *mut usize, _format: c_uint, _channels: c_uint, ordinal: c_int) {
        device(ordinal)?;
        put(width, 1 << 28)
    }
    /// A context may be told its number of multiprocessors, which changes nothing: no.
    fn cuDeviceGetExecAffinitySupport(value: *mut c_int, _kind: c_uint, ordinal: c_int) {
        device(ordinal)?;
        put(value, 0)
    }
    /// Limits by their place, long deprecated.
    fn cuDeviceGetProperties(properties: *mut [c_int; 14], ordinal: c_int) {
        let chip = device(ordinal)?.chip;
        // Threads, extents of block and grid, shared and constant memory, warp, pitch, registers, clock,
        // alignment of textures.
        let order = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];
        let mut values = [0; 14];
        for (value, attribute) in values.iter_mut().zip(order) {
            *value = attributes::of(&chip, attribute, ordinal)?;
        }
        put(properties, values)
    }
    /// Nobody writes from outside.
    fn cuFlushGPUDirectRDMAWrites(_target: c_uint, _scope: c_uint) { super::state::current().map(drop) }
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
