//! `cuFunc…`, `cuKernel…`: what is known of an entry.

use super::chip::{Chip, SHARED_DEFAULT};
use super::state::Registry;
use super::{Error, Result, put};
use crate::exec::program::{self, Program};
use std::ffi::{c_char, c_int, c_uint};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// An entry of a loaded module.
pub struct Function {
    pub program: Arc<Program>,
    /// Its index in the program.
    pub index: usize,
    pub module: usize,
    architecture: u32,
    /// Most dynamic shared memory that a launch may ask for, in bytes.
    pub dynamic_limit: AtomicU32,
    carveout: AtomicU32,
    /// Clusters of more blocks than every chip of the generation has are allowed.
    pub allows_large_clusters: AtomicBool,
    pub name: std::ffi::CString,
}

pub static FUNCTIONS: Registry<Function> = Registry::new();

/// The function of a handle, which may also be that of a kernel.
pub fn resolve(handle: usize) -> Result<(usize, Arc<Function>)> {
    match FUNCTIONS.get(handle) {
        Ok(function) => Ok((handle, function)),
        Err(_) => {
            let own = super::library::function_of(handle)?;
            Ok((own, FUNCTIONS.get(own)?))
        }
    }
}

fn get(handle: usize) -> Result<Arc<Function>> {
    Ok(resolve(handle)?.1)
}

impl Function {
    /// An entry with its defaults.
    pub fn new(program: Arc<Program>, index: usize, module: usize, architecture: u32) -> Function {
        let entry = &program.functions[index];
        let name = std::ffi::CString::new(entry.name.as_str()).unwrap_or_default();
        Function {
            dynamic_limit: AtomicU32::new(SHARED_DEFAULT.saturating_sub(entry.shared)),
            carveout: AtomicU32::new(!0),
            allows_large_clusters: AtomicBool::new(false),
            architecture,
            name,
            index,
            module,
            program,
        }
    }

    /// The decoded entry.
    pub fn entry(&self) -> &program::Function {
        &self.program.functions[self.index]
    }

    /// Most threads that a block may have.
    pub fn max_threads(&self) -> u32 {
        let limits = self.entry().limits;
        let product = |extent: [u32; 3]| extent.iter().fold(1, |n: u32, k| n.saturating_mul(*k));
        limits
            .required_threads
            .or(limits.max_threads)
            .map_or(1024, product)
            .min(1024)
    }

    fn attribute(&self, attribute: c_uint) -> Result<u32> {
        let entry = self.entry();
        let chip = Chip::current()?;
        let cluster = entry.limits.required_cluster;
        Ok(match attribute {
            0 => self.max_threads(),
            1 => entry.shared,
            2 => 0,
            3 => entry.local,
            4 => entry.registers.clamp(1, 255),
            5 => self.architecture,
            6 => chip.major * 10 + chip.minor,
            7 => 0,
            8 => self.dynamic_limit.load(Ordering::Relaxed),
            9 => self.carveout.load(Ordering::Relaxed),
            10 => cluster.is_some().into(),
            11..=13 => cluster.map_or(0, |c| c[attribute as usize - 11]),
            14 => self.allows_large_clusters.load(Ordering::Relaxed).into(),
            15 => 0,
            _ => return Err(Error::InvalidValue),
        })
    }

    fn set(&self, attribute: c_uint, value: c_int) -> Result<()> {
        match attribute {
            8 => {
                let most = Chip::current()?
                    .shared_per_block
                    .saturating_sub(self.entry().shared);
                let value = u32::try_from(value).map_err(|_| Error::InvalidValue)?;
                if value > most {
                    return Err(Error::InvalidValue);
                }
                self.dynamic_limit.store(value, Ordering::Relaxed);
                Ok(())
            }
            9 if (-1..=100).contains(&value) => {
                self.carveout.store(value as u32, Ordering::Relaxed);
                Ok(())
            }
            14 => {
                self.allows_large_clusters
                    .store(value != 0, Ordering::Relaxed);
                Ok(())
            }
            15 => Ok(()),
            _ => Err(Error::InvalidValue),
        }
    }
}

super::api! {
    /// An attribute by its number.
    fn cuFuncGetAttribute(value: *mut c_int, attribute: c_uint, function: usize) {
        put(value, get(function)?.attribute(attribute)? as c_int)
    }
    /// Sets the dynamic shared memory that launches may ask for, or a hint.
    fn cuFuncSetAttribute(function: usize, attribute: c_uint, value: c_int) {
        get(function)?.set(attribute, value)
    }
    /// There are no caches to configure.
    fn cuFuncSetCacheConfig(function: usize, _config: c_uint) { get(function).map(drop) }
    /// Banks are as they are.
    fn cuFuncSetSharedMemConfig(function: usize, _config: c_uint) { get(function).map(drop) }
    /// The module of a function.
    fn cuFuncGetModule(to: *mut usize, function: usize) { put(to, get(function)?.module) }
    /// Its name, which lives as long as the module.
    fn cuFuncGetName(to: *mut *const c_char, function: usize) {
        put(to, get(function)?.name.as_ptr())
    }
    /// Offset and size in bytes of a parameter.
    fn cuFuncGetParamInfo(function: usize, index: usize, offset: *mut usize, size: *mut usize) {
        let function = get(function)?;
        let (at, bytes) = *function.entry().params.get(index).ok_or(Error::InvalidValue)?;
        put(offset, at as usize)?;
        if size.is_null() { Ok(()) } else { put(size, bytes as usize) }
    }
    /// Whether its code is there: it is.
    fn cuFuncIsLoaded(state: *mut c_uint, function: usize) {
        get(function)?;
        put(state, 1)
    }
    /// It is.
    fn cuFuncLoad(function: usize) { get(function).map(drop) }
    /// As `cuFuncGetAttribute`, of every device alike.
    fn cuKernelGetAttribute(value: *mut c_int, attribute: c_uint, kernel: usize, _device: c_int) {
        put(value, get(kernel)?.attribute(attribute)? as c_int)
    }
    /// As `cuFuncSetAttribute`.
    fn cuKernelSetAttribute(attribute: c_uint, value: c_int, kernel: usize, _device: c_int) {
        get(kernel)?.set(attribute, value)
    }
    /// As `cuFuncGetParamInfo`.
    fn cuKernelGetParamInfo(kernel: usize, index: usize, offset: *mut usize, size: *mut usize) {
        super::error::check(cuFuncGetParamInfo(kernel, index, offset, size))
    }
}
