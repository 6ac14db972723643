//! `cuUserObject…`: what a graph keeps alive for the program.

use super::get;
use crate::driver::state::{Registry, lock};
use crate::driver::work::HostFn;
use crate::driver::{Error, put};
use std::ffi::{c_uint, c_void};
use std::sync::{Arc, Mutex};

/// An object of the program, ended when its last reference goes.
pub struct Object {
    destroy: HostFn,
    data: usize,
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: whoever gave the function promised that it may be called once with its data.
        unsafe { (self.destroy)(self.data as *mut c_void) };
    }
}

/// References that the program itself holds.
struct References {
    object: Mutex<Option<Arc<Object>>>,
    count: Mutex<c_uint>,
}

/// A graph's reference.
pub type Held = (usize, Arc<Object>);

static OBJECTS: Registry<References> = Registry::new();

fn release(handle: usize, count: c_uint) -> crate::driver::Result<()> {
    let references = OBJECTS.get(handle)?;
    let mut left = lock(&references.count);
    *left = left.checked_sub(count).ok_or(Error::InvalidValue)?;
    if *left == 0 {
        drop(lock(&references.object).take());
    }
    Ok(())
}

crate::driver::api! {
    /// An object with a function that ends it.
    fn cuUserObjectCreate(
        to: *mut usize, data: *mut c_void, destroy: Option<HostFn>, count: c_uint, _flags: c_uint,
    ) {
        let destroy = destroy.ok_or(Error::InvalidValue)?;
        if count == 0 || to.is_null() {
            return Err(Error::InvalidValue);
        }
        let object = Arc::new(Object { destroy, data: data as usize });
        put(to, OBJECTS.insert(References { object: Mutex::new(Some(object)), count: Mutex::new(count) }))
    }
    /// More references of the program.
    fn cuUserObjectRetain(object: usize, count: c_uint) {
        let references = OBJECTS.get(object)?;
        let mut held = lock(&references.count);
        *held = held.checked_add(count).ok_or(Error::InvalidValue)?;
        Ok(())
    }
    /// Fewer references of the program.
    fn cuUserObjectRelease(object: usize, count: c_uint) { release(object, count) }
    /// A graph refers to an object; with the flag 1 it takes over references of the program.
    fn cuGraphRetainUserObject(graph: usize, object: usize, count: c_uint, flags: c_uint) {
        let references = OBJECTS.get(object)?;
        let held = lock(&references.object).clone().ok_or(Error::InvalidValue)?;
        let graph = get(graph)?;
        lock(&graph.held).extend((0..count).map(|_| (object, Arc::clone(&held))));
        drop(held);
        if flags & 1 != 0 { release(object, count) } else { Ok(()) }
    }
    /// A graph no longer refers to an object.
    fn cuGraphReleaseUserObject(graph: usize, object: usize, count: c_uint) {
        let graph = get(graph)?;
        let mut held = lock(&graph.held);
        for _ in 0..count {
            let at = held.iter().position(|(handle, _)| *handle == object).ok_or(Error::InvalidValue)?;
            held.remove(at);
        }
        Ok(())
    }
}
