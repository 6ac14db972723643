//! `cuPointerGetAttribute`: what is known of an address.

use super::host_memory::{self, Kind};
use super::state::{current, current_any, current_handle, devices, lock};
use super::{Error, Result, pool, put, virtual_memory};
use std::ffi::{c_int, c_uint, c_void};

/// What an address is in.
struct Place {
    first: u64,
    bytes: u64,
    device: usize,
    /// Of the host, which of it; of a device otherwise.
    host: Option<Kind>,
}

fn find(at: u64) -> Result<Option<Place>> {
    if let Some(block) = host_memory::find(at) {
        return Ok(Some(Place {
            first: block.first,
            bytes: block.bytes as u64,
            device: block.device,
            host: Some(block.kind),
        }));
    }
    if let Some((first, bytes, device)) = virtual_memory::find(at) {
        return Ok(Some(Place {
            first,
            bytes,
            device,
            host: None,
        }));
    }
    Ok(devices()?.iter().enumerate().find_map(|(index, device)| {
        let (first, bytes) = lock(&device.arena).find(at)?;
        Some(Place {
            first,
            bytes,
            device: index,
            host: None,
        })
    }))
}

/// The context that a place belongs to, as far as that is known.
fn context(place: &Place) -> Result<usize> {
    match current_any() {
        Ok(context) if context.device == place.device => Ok(current_handle()),
        _ => Ok(lock(&devices()?[place.device].primary).0),
    }
}

/// Writes an attribute; of an address that nobody knows, what the manual says of it.
unsafe fn attribute(
    data: *mut c_void,
    attribute: c_uint,
    at: u64,
    place: Option<&Place>,
) -> Result<()> {
    const HOST: c_uint = 1;
    const DEVICE: c_uint = 2;
    let is_host = place.is_some_and(|p| p.host.is_some_and(|kind| kind != Kind::Managed));
    let is_managed = place.is_some_and(|p| p.host == Some(Kind::Managed));
    // SAFETY: the attribute says what the pointer is to.
    unsafe {
        match attribute {
            1 => put(
                data.cast::<usize>(),
                place.map(context).transpose()?.unwrap_or(0),
            ),
            2 => {
                let kind = if is_host { HOST } else { DEVICE };
                put(data.cast::<c_uint>(), place.map_or(0, |_| kind))
            }
            3 => put(data.cast::<u64>(), place.map_or(0, |_| at)),
            4 => put(
                data.cast::<u64>(),
                if is_host || is_managed { at } else { 0 },
            ),
            6 => put(data.cast::<c_uint>(), 1),
            7 | 20 => put(data.cast::<u64>(), place.map_or(0, |p| p.first)),
            8 => put(data.cast::<c_uint>(), is_managed.into()),
            9 => put(
                data.cast::<c_int>(),
                place.map_or(-2, |p| p.device as c_int),
            ),
            10 | 15 | 21 => put(data.cast::<c_uint>(), 0),
            11 | 19 => put(data.cast::<u64>(), place.map_or(0, |p| p.first)),
            12 | 18 => put(data.cast::<u64>(), place.map_or(0, |p| p.bytes)),
            13 => put(data.cast::<c_uint>(), place.is_some().into()),
            14 => put(data.cast::<u64>(), 0),
            // Reading and writing.
            16 => put(data.cast::<c_uint>(), if place.is_some() { 3 } else { 0 }),
            17 => put(
                data.cast::<usize>(),
                place.and_then(|p| pool::of(p.first)).unwrap_or(0),
            ),
            _ => Err(Error::InvalidValue),
        }
    }
}

super::api! {
    /// An attribute of an address that somebody has allocated.
    fn cuPointerGetAttribute(data: *mut c_void, which: c_uint, at: u64) {
        current()?;
        let place = find(at)?.ok_or(Error::InvalidValue)?;
        attribute(data, which, at, Some(&place))
    }
    /// Several attributes; zeros where nobody knows the address.
    fn cuPointerGetAttributes(count: c_uint, which: *const c_uint, data: *const *mut c_void, at: u64) {
        current()?;
        if which.is_null() || data.is_null() {
            return Err(Error::InvalidValue);
        }
        let place = find(at)?;
        for index in 0..count as usize {
            attribute(data.add(index).read(), which.add(index).read(), at, place.as_ref())?;
        }
        Ok(())
    }
    /// Every operation is in order anyway.
    fn cuPointerSetAttribute(value: *const c_void, which: c_uint, at: u64) {
        const SYNC_MEMOPS: c_uint = 6;
        current()?;
        match (value.is_null(), which, find(at)?) {
            (false, SYNC_MEMOPS, Some(_)) => Ok(()),
            _ => Err(Error::InvalidValue),
        }
    }
    /// Managed memory is where it is read: no advice was followed, nothing was prefetched.
    fn cuMemRangeGetAttribute(data: *mut c_void, bytes: usize, which: c_uint, at: u64, length: usize) {
        const NOWHERE: c_int = -2;
        super::memory::check(at, length)?;
        let value = match which {
            // Read mostly.
            1 => 0,
            2..=4 => NOWHERE,
            _ => return Err(Error::InvalidValue),
        };
        if data.is_null() || bytes < 4 || !bytes.is_multiple_of(4) {
            return Err(Error::InvalidValue);
        }
        std::slice::from_raw_parts_mut(data.cast::<c_int>(), bytes / 4).fill(value);
        Ok(())
    }
    /// Several of them.
    fn cuMemRangeGetAttributes(
        data: *const *mut c_void, bytes: *const usize, which: *const c_uint, count: usize, at: u64, length: usize,
    ) {
        if data.is_null() || bytes.is_null() || which.is_null() {
            return Err(Error::InvalidValue);
        }
        for index in 0..count {
            super::error::check(cuMemRangeGetAttribute(
                data.add(index).read(),
                bytes.add(index).read(),
                which.add(index).read(),
                at,
                length,
            ))?;
        }
        Ok(())
    }
}
