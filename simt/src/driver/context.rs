//! `cuCtx…`, `cuDevicePrimaryCtx…`

use super::state::{CONTEXTS, current, current_any, current_handle, device, lock, with_stack};
use super::{Error, Result, put};
use std::ffi::{c_int, c_uint};
use std::sync::atomic::Ordering;

fn create(to: *mut usize, ordinal: c_int) -> Result<()> {
    let handle = device(ordinal)?.create_context(ordinal as usize);
    with_stack(|stack| stack.push(handle));
    // SAFETY: the entry points give pointers that are null or valid.
    unsafe { put(to, handle) }
}

super::api! {
    /// Holds the primary context of a device, and makes it if nobody does.
    fn cuDevicePrimaryCtxRetain(to: *mut usize, ordinal: c_int) {
        let device = device(ordinal)?;
        let mut primary = lock(&device.primary);
        if primary.1 == 0 {
            primary.0 = device.create_context(ordinal as usize);
        }
        put(to, primary.0)?;
        primary.1 += 1;
        Ok(())
    }
    /// Lets it go; the last one ends it.
    fn cuDevicePrimaryCtxRelease_v2(ordinal: c_int) {
        let device = device(ordinal)?;
        let mut primary = lock(&device.primary);
        if primary.1 == 0 {
            return Err(Error::InvalidContext);
        }
        primary.1 -= 1;
        if primary.1 == 0 {
            device.destroy_context(primary.0)?;
        }
        Ok(())
    }
    /// As `cuDevicePrimaryCtxRelease_v2`.
    fn cuDevicePrimaryCtxRelease(ordinal: c_int) {
        super::error::check(cuDevicePrimaryCtxRelease_v2(ordinal))
    }
    /// Ends it, whoever holds it.
    fn cuDevicePrimaryCtxReset_v2(ordinal: c_int) {
        let device = device(ordinal)?;
        let mut primary = lock(&device.primary);
        if primary.1 > 0 {
            device.destroy_context(primary.0)?;
            *primary = (0, 0);
        }
        Ok(())
    }
    /// Flags say how the host waits, which it does not; they are kept.
    fn cuDevicePrimaryCtxSetFlags_v2(ordinal: c_int, flags: c_uint) {
        device(ordinal)?.primary_flags.store(flags, Ordering::Relaxed);
        Ok(())
    }
    /// Its flags, and whether anybody holds it.
    fn cuDevicePrimaryCtxGetState(ordinal: c_int, flags: *mut c_uint, active: *mut c_int) {
        let device = device(ordinal)?;
        put(flags, device.primary_flags.load(Ordering::Relaxed))?;
        put(active, (lock(&device.primary).1 > 0).into())
    }
    /// A context of its own, made current.
    fn cuCtxCreate_v2(to: *mut usize, _flags: c_uint, ordinal: c_int) { create(to, ordinal) }
    /// As `cuCtxCreate_v2`; affinities are ignored.
    fn cuCtxCreate_v3(to: *mut usize, _affinity: *const (), _count: c_int, _flags: c_uint, ordinal: c_int) {
        create(to, ordinal)
    }
    /// As `cuCtxCreate_v2`; parameters are ignored.
    fn cuCtxCreate_v4(to: *mut usize, _parameters: *const (), _flags: c_uint, ordinal: c_int) {
        create(to, ordinal)
    }
    /// Ends a context.
    fn cuCtxDestroy_v2(context: usize) {
        let device = CONTEXTS.get(context)?.device()?;
        with_stack(|stack| stack.retain(|handle| *handle != context));
        device.destroy_context(context)
    }
    /// Makes a context current in place of the one that is; null: none.
    fn cuCtxSetCurrent(context: usize) {
        if context != 0 {
            CONTEXTS.get(context).map_err(|_| Error::InvalidContext)?;
        }
        with_stack(|stack| {
            stack.pop();
            if context != 0 {
                stack.push(context);
            }
        });
        Ok(())
    }
    /// The current context, or null.
    fn cuCtxGetCurrent(to: *mut usize) { put(to, current_handle()) }
    /// Makes a context current above the one that is.
    fn cuCtxPushCurrent_v2(context: usize) {
        CONTEXTS.get(context).map_err(|_| Error::InvalidContext)?;
        with_stack(|stack| stack.push(context));
        Ok(())
    }
    /// Takes the current context off.
    fn cuCtxPopCurrent_v2(to: *mut usize) {
        let context = with_stack(Vec::pop).ok_or(Error::InvalidContext)?;
        if !to.is_null() {
            put(to, context)?;
        }
        Ok(())
    }
    /// The current context's device.
    fn cuCtxGetDevice(to: *mut c_int) { put(to, current_any()?.device as c_int) }
    /// Nothing is under way.
    fn cuCtxSynchronize() { current().map(drop) }
    /// How the host waits, which it does not; kept.
    fn cuCtxSetFlags(flags: c_uint) {
        current()?.flags.store(flags, Ordering::Relaxed);
        Ok(())
    }
    /// The flags that were set.
    fn cuCtxGetFlags(flags: *mut c_uint) { put(flags, current()?.flags.load(Ordering::Relaxed)) }
    /// The version of the API that made the context.
    fn cuCtxGetApiVersion(context: usize, version: *mut c_uint) {
        let handle = if context == 0 { current_handle() } else { context };
        CONTEXTS.get(handle).map_err(|_| Error::InvalidContext)?;
        put(version, 3020)
    }
    /// Sets a limit, which is kept and given back.
    fn cuCtxSetLimit(limit: c_uint, value: usize) {
        if limit > 7 {
            return Err(Error::InvalidValue);
        }
        lock(&current()?.limits).insert(limit, value);
        Ok(())
    }
    /// A limit as set, or its default.
    fn cuCtxGetLimit(value: *mut usize, limit: c_uint) {
        let default = match limit {
            0 => 1024,
            1 => 1 << 20,
            2 => 8 << 20,
            // Depth of launches that wait in a kernel, launches that are under way.
            3 => 2,
            4 => 2048,
            5 => 128,
            6 | 7 => 0,
            _ => return Err(Error::InvalidValue),
        };
        put(value, lock(&current()?.limits).get(&limit).copied().unwrap_or(default))
    }
    /// There are no caches to configure.
    fn cuCtxSetCacheConfig(_config: c_uint) { current().map(drop) }
    /// No preference.
    fn cuCtxGetCacheConfig(config: *mut c_uint) {
        current()?;
        put(config, 0)
    }
    /// All streams have the same priority.
    fn cuCtxGetStreamPriorityRange(least: *mut c_int, greatest: *mut c_int) {
        current()?;
        if !least.is_null() {
            put(least, 0)?;
        }
        if !greatest.is_null() {
            put(greatest, 0)?;
        }
        Ok(())
    }
    /// Lets kernels of the current context touch memory of another device.
    fn cuCtxEnablePeerAccess(context: usize, flags: c_uint) {
        let (own, peer) = (current()?, CONTEXTS.get(context).map_err(|_| Error::InvalidContext)?);
        if flags != 0 {
            return Err(Error::InvalidValue);
        }
        if own.device == peer.device {
            return Err(Error::InvalidDevice);
        }
        match lock(&own.peers).insert(peer.device) {
            true => Ok(()),
            false => Err(Error::PeerAccessAlreadyEnabled),
        }
    }
    /// Takes that back.
    fn cuCtxDisablePeerAccess(context: usize) {
        let (own, peer) = (current()?, CONTEXTS.get(context).map_err(|_| Error::InvalidContext)?);
        match lock(&own.peers).remove(&peer.device) {
            true => Ok(()),
            false => Err(Error::PeerAccessNotEnabled),
        }
    }
    /// A number that no other context has.
    fn cuCtxGetId(context: usize, id: *mut u64) {
        let handle = if context == 0 { current_handle() } else { context };
        put(id, CONTEXTS.get(handle).map_err(|_| Error::InvalidContext)?.id)
    }
    /// Records an event behind all work of a context.
    fn cuCtxRecordEvent(context: usize, event: usize) {
        CONTEXTS.get(context).map_err(|_| Error::InvalidContext)?;
        super::event::happened(event)
    }
    /// All work of a context goes on behind an event: it has happened.
    fn cuCtxWaitEvent(context: usize, event: usize) {
        CONTEXTS.get(context).map_err(|_| Error::InvalidContext)?;
        super::event::get(event).map(drop)
    }
    /// Nothing persists in a cache.
    fn cuCtxResetPersistingL2Cache() { current().map(drop) }
    /// Banks of four bytes.
    fn cuCtxGetSharedMemConfig(config: *mut c_uint) {
        current()?;
        put(config, 1)
    }
    /// Banks are as they are.
    fn cuCtxSetSharedMemConfig(_config: c_uint) { current().map(drop) }
    /// All multiprocessors are a context's.
    fn cuCtxGetExecAffinity(affinity: *mut [c_uint; 2], kind: c_uint) {
        let chip = current()?.device()?.chip;
        if kind != 0 {
            return Err(Error::UnsupportedExecAffinity);
        }
        put(affinity, [0, chip.multiprocessors])
    }
    /// As `cuCtxDestroy_v2`, of the current context, long deprecated.
    fn cuCtxDetach(context: usize) { super::error::check(cuCtxDestroy_v2(context)) }
    /// The current context, long deprecated.
    fn cuCtxAttach(to: *mut usize, _flags: c_uint) {
        current()?;
        put(to, current_handle())
    }
}
