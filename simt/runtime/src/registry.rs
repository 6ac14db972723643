//! What the code that `nvcc` writes tells the runtime before `main`: fatbins, kernels, variables.
//!
//! A kernel is known by the address of its stub on the host, a variable by that of its shadow. A fatbin is
//! loaded, as a library of the driver, when the first of its kernels or variables is asked for.

use crate::context;
use crate::error::{Error, Result, Said};
use cudarc::driver::sys::{self, CUdeviceptr, CUfunction, CUkernel, CUlibrary};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// The structure around a fatbin (fatbinary_section.h).
#[repr(C)]
#[allow(missing_docs)]
pub struct Wrapper {
    pub magic: c_int,
    pub version: c_int,
    pub data: *const c_void,
    pub others: *const c_void,
}

/// What stands at a wrapper's beginning.
pub const MAGIC: c_int = 0x466243b1;

/// A fatbin, by the address of its bytes.
struct Fatbin {
    data: usize,
    library: Option<usize>,
    /// Managed variables: where the host keeps each one's address, and its name.
    managed: Vec<(usize, CString)>,
}

struct Symbol {
    /// The handle of its fatbin.
    fatbin: usize,
    name: CString,
}

#[derive(Default)]
struct Registry {
    last: usize,
    fatbins: HashMap<usize, Fatbin>,
    kernels: HashMap<usize, Symbol>,
    variables: HashMap<usize, Symbol>,
    /// Kernels of the driver by stub.
    loaded: HashMap<usize, usize>,
}

static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(Mutex::default);

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    fn library(&mut self, fatbin: usize) -> Result<CUlibrary> {
        let fatbin = self
            .fatbins
            .get_mut(&fatbin)
            .ok_or(Error::INVALID_DEVICE_FUNCTION)?;
        if let Some(library) = fatbin.library {
            return Ok(library as CUlibrary);
        }
        let mut library = null_mut();
        // SAFETY: the bytes are those that the program registered, and they stay until it takes them back.
        unsafe {
            let (none, nothing) = (null_mut(), null_mut());
            let data = fatbin.data as *const c_void;
            sys::cuLibraryLoadData(
                &mut library,
                data,
                none,
                nothing,
                0,
                null_mut(),
                null_mut(),
                0,
            )
            .ok()?;
        }
        fatbin.library = Some(library as usize);
        Ok(library)
    }

    /// The kernel of a stub, or what is one already.
    fn kernel(&mut self, stub: usize) -> Result<CUkernel> {
        if let Some(kernel) = self.loaded.get(&stub) {
            return Ok(*kernel as CUkernel);
        }
        let Some(symbol) = self.kernels.get(&stub) else {
            let is_kernel = self.loaded.values().any(|&kernel| kernel == stub);
            return is_kernel
                .then_some(stub as CUkernel)
                .ok_or(Error::INVALID_DEVICE_FUNCTION);
        };
        let (fatbin, name) = (symbol.fatbin, symbol.name.clone());
        let library = self.library(fatbin)?;
        let mut kernel = null_mut();
        // SAFETY: a library that is loaded, and a text that ends with a zero.
        unsafe { sys::cuLibraryGetKernel(&mut kernel, library, name.as_ptr()).ok() }
            .map_err(|_| Error::INVALID_DEVICE_FUNCTION)?;
        self.loaded.insert(stub, kernel as usize);
        Ok(kernel)
    }
}

/// The driver's kernel of a stub.
///
/// # Errors
/// Where there is no such kernel, or its fatbin has nothing for the device.
pub fn kernel(stub: *const c_void) -> Result<CUkernel> {
    context::current()?;
    registry().kernel(stub as usize)
}

/// What can be launched of a stub, or of its kernel, in the current context.
///
/// # Errors
/// Where there is no such kernel, or its fatbin has nothing for the device.
pub fn function(stub: *const c_void) -> Result<CUfunction> {
    let kernel = kernel(stub)?;
    let mut function = null_mut();
    // SAFETY: a kernel of a loaded library.
    unsafe { sys::cuKernelGetFunction(&mut function, kernel).ok()? };
    Ok(function)
}

/// Address and bytes of the variable behind a shadow, in the current context.
///
/// # Errors
/// Where there is no such variable.
pub fn variable(shadow: *const c_void) -> Result<(CUdeviceptr, usize)> {
    context::current()?;
    let mut registry = registry();
    let symbol = registry
        .variables
        .get(&(shadow as usize))
        .ok_or(Error::INVALID_SYMBOL)?;
    let (fatbin, name) = (symbol.fatbin, symbol.name.clone());
    let library = registry.library(fatbin)?;
    let (mut address, mut size) = (0, 0);
    // SAFETY: a library that is loaded, and a text that ends with a zero.
    unsafe { sys::cuLibraryGetGlobal(&mut address, &mut size, library, name.as_ptr()).ok() }
        .map_err(|_| Error::INVALID_SYMBOL)?;
    Ok((address, size))
}

/// # Safety
/// The text is null or ends with a zero.
unsafe fn symbol(fatbin: *mut c_void, name: *const c_char) -> Option<Symbol> {
    // SAFETY: the caller's promise.
    (!name.is_null()).then(|| Symbol {
        fatbin: fatbin as usize,
        name: unsafe { CStr::from_ptr(name) }.to_owned(),
    })
}

/// Takes a fatbin; gives the handle by which the other calls name it, null for what is no fatbin.
///
/// # Safety
/// The wrapper and its bytes stay until the handle is given back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaRegisterFatBinary(wrapper: *const Wrapper) -> *mut c_void {
    // SAFETY: the caller's promise.
    let Some(wrapper) = unsafe { wrapper.as_ref() }.filter(|w| w.magic == MAGIC) else {
        return null_mut();
    };
    let mut registry = registry();
    registry.last += 1;
    let handle = registry.last;
    let fatbin = Fatbin {
        data: wrapper.data as usize,
        library: None,
        managed: Vec::new(),
    };
    registry.fatbins.insert(handle, fatbin);
    handle as *mut c_void
}

/// Nothing more comes for a fatbin.
#[unsafe(no_mangle)]
pub extern "C" fn __cudaRegisterFatBinaryEnd(_fatbin: *mut c_void) {}

/// Forgets a fatbin.
#[unsafe(no_mangle)]
pub extern "C" fn __cudaUnregisterFatBinary(fatbin: *mut c_void) {
    let mut registry = registry();
    let handle = fatbin as usize;
    let gone: Vec<usize> = registry
        .kernels
        .iter()
        .filter(|(_, k)| k.fatbin == handle)
        .map(|(&k, _)| k)
        .collect();
    for stub in gone {
        registry.kernels.remove(&stub);
        registry.loaded.remove(&stub);
    }
    registry
        .variables
        .retain(|_, variable| variable.fatbin != handle);
    // Its library stays: at the end of a program, when this is called, the driver may be gone.
    registry.fatbins.remove(&handle);
}

/// Takes a kernel.
///
/// # Safety
/// The name ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaRegisterFunction(
    fatbin: *mut c_void,
    stub: *const c_void,
    _device_function: *mut c_char,
    name: *const c_char,
    _thread_limit: c_int,
    _thread_index: *mut c_void,
    _block_index: *mut c_void,
    _block_size: *mut c_void,
    _grid_size: *mut c_void,
    _warp_size: *mut c_int,
) {
    // SAFETY: the caller's promise.
    if let Some(symbol) = unsafe { symbol(fatbin, name) } {
        registry().kernels.insert(stub as usize, symbol);
    }
}

/// Takes a variable.
///
/// # Safety
/// The name ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaRegisterVar(
    fatbin: *mut c_void,
    shadow: *const c_void,
    _address: *mut c_char,
    name: *const c_char,
    _external: c_int,
    _size: usize,
    _constant: c_int,
    _global: c_int,
) {
    // SAFETY: the caller's promise.
    if let Some(symbol) = unsafe { symbol(fatbin, name) } {
        registry().variables.insert(shadow as usize, symbol);
    }
}

/// Takes a managed variable, whose address the host finds at `place` once [`__cudaInitModule`] was called.
///
/// # Safety
/// The name ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaRegisterManagedVar(
    fatbin: *mut c_void,
    place: *mut *mut c_void,
    _address: *mut c_char,
    name: *const c_char,
    _external: c_int,
    _size: usize,
    _constant: c_int,
    _global: c_int,
) {
    // SAFETY: the caller's promise.
    if let Some(symbol) = unsafe { symbol(fatbin, name) } {
        let mut registry = registry();
        if let Some(fatbin) = registry.fatbins.get_mut(&symbol.fatbin) {
            fatbin.managed.push((place as usize, symbol.name));
        }
    }
}

/// Makes the managed variables of a fatbin ready for the host; 0 if they are not.
///
/// # Safety
/// The places that were registered are valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaInitModule(fatbin: *mut c_void) -> c_char {
    let ready = crate::error::guarded(|| {
        context::current()?;
        let mut registry = registry();
        let handle = fatbin as usize;
        let known = registry
            .fatbins
            .get_mut(&handle)
            .ok_or(Error::INVALID_VALUE)?;
        let managed = std::mem::take(&mut known.managed);
        for (place, name) in managed {
            let library = registry.library(handle)?;
            let (mut address, mut size) = (0, 0);
            // SAFETY: a library that is loaded, a text that ends with a zero, a place as promised.
            unsafe {
                sys::cuLibraryGetManaged(&mut address, &mut size, library, name.as_ptr()).ok()?;
                (place as *mut *mut c_void).write(address as *mut c_void);
            }
        }
        Ok(())
    });
    (ready == 0).into()
}
