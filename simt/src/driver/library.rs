//! `cuLibrary…`, `cuKernel…`: a module for every device, loaded on the first that asks.

use super::function::FUNCTIONS;
use super::jit::{self, Options};
use super::module::{self, MODULES, Module, put_global};
use super::state::{self, Registry, current, current_any, lock};
use super::{Error, Result, put, text};
use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::sync::{Arc, Mutex};

/// A library.
struct Library {
    texts: Vec<String>,
    /// Modules by device.
    modules: Mutex<HashMap<usize, usize>>,
    /// Handles of kernels by name.
    kernels: Mutex<HashMap<String, usize>>,
}

/// A kernel: an entry's name, until a device is known.
pub struct Kernel {
    library: usize,
    name: CString,
}

static LIBRARIES: Registry<Library> = Registry::new();
static KERNELS: Registry<Kernel> = Registry::new();

/// The device of the current context, or the first.
fn ordinal() -> usize {
    current_any().map_or(0, |context| context.device)
}

impl Library {
    /// The module on a device.
    fn module(&self, ordinal: usize) -> Result<usize> {
        let device = state::device(ordinal as c_int)?;
        let mut modules = lock(&self.modules);
        let is_alive = |handle: &usize| MODULES.get(*handle).is_ok_and(|m| m.is_alive(device));
        if let Some(module) = modules.get(&ordinal).copied().filter(is_alive) {
            return Ok(module);
        }
        let loaded = module::load(&self.texts, ordinal, device);
        let module = MODULES.insert(Options::default().report(loaded)?);
        modules.insert(ordinal, module);
        Ok(module)
    }

    fn any(&self) -> Result<Arc<Module>> {
        MODULES.get(self.module(ordinal())?)
    }
}

fn load(bytes: &[u8], options: &Options) -> Result<usize> {
    let ordinal = ordinal();
    let device = state::device(ordinal as c_int)?;
    let texts = options.report(module::texts(bytes, device))?;
    // What is wrong with it shows now.
    let module = MODULES.insert(options.report(module::load(&texts, ordinal, device))?);
    Ok(LIBRARIES.insert(Library {
        texts,
        modules: Mutex::new(HashMap::from([(ordinal, module)])),
        kernels: Mutex::default(),
    }))
}

fn kernel(library: usize, name: &str) -> Result<usize> {
    let known = LIBRARIES.get(library)?;
    if !known.any()?.entries().any(|(_, entry)| entry == name) {
        return Err(Error::NotFound);
    }
    let c_name = CString::new(name).map_err(|_| Error::InvalidValue)?;
    let mut kernels = lock(&known.kernels);
    let handle = kernels.entry(name.to_owned());
    Ok(*handle.or_insert_with(|| {
        KERNELS.insert(Kernel {
            library,
            name: c_name,
        })
    }))
}

/// The function of a kernel on the device of the current context.
pub fn function_of(kernel: usize) -> Result<usize> {
    let kernel = KERNELS.get(kernel)?;
    let module = LIBRARIES.get(kernel.library)?.module(ordinal())?;
    module::function(module, kernel.name.to_str().map_err(|_| Error::NotFound)?)
}

super::api! {
    /// Loads PTX text, a fatbin, or what the linker made.
    fn cuLibraryLoadData(
        to: *mut usize,
        image: *const c_void,
        options: *const c_uint,
        values: *const *mut c_void,
        count: c_uint,
        _library_options: *const c_uint,
        _library_values: *const *mut c_void,
        _library_count: c_uint,
    ) {
        state::devices()?;
        put(to, load(module::bytes(image)?, &Options::new(count, options, values)?)?)
    }
    /// As before, from a file.
    fn cuLibraryLoadFromFile(
        to: *mut usize,
        path: *const c_char,
        options: *const c_uint,
        values: *const *mut c_void,
        count: c_uint,
        _library_options: *const c_uint,
        _library_values: *const *mut c_void,
        _library_count: c_uint,
    ) {
        state::devices()?;
        put(to, load(&jit::read(text(path)?)?, &Options::new(count, options, values)?)?)
    }
    /// Ends a library, and its modules.
    fn cuLibraryUnload(library: usize) {
        let library = LIBRARIES.remove(library)?;
        for kernel in lock(&library.kernels).values() {
            KERNELS.remove(*kernel)?;
        }
        let modules: Vec<usize> = lock(&library.modules).values().copied().collect();
        modules.into_iter().try_for_each(module::unload)
    }
    /// A kernel by name.
    fn cuLibraryGetKernel(to: *mut usize, library: usize, name: *const c_char) {
        put(to, kernel(library, text(name)?)?)
    }
    /// How many there are.
    fn cuLibraryGetKernelCount(count: *mut c_uint, library: usize) {
        put(count, LIBRARIES.get(library)?.any()?.entries().count() as c_uint)
    }
    /// The first of them.
    fn cuLibraryEnumerateKernels(to: *mut usize, count: c_uint, library: usize) {
        if to.is_null() {
            return Err(Error::InvalidValue);
        }
        let module = LIBRARIES.get(library)?.any()?;
        for (at, (_, name)) in module.entries().take(count as usize).enumerate() {
            to.add(at).write(kernel(library, name)?);
        }
        Ok(())
    }
    /// The module of the current context's device.
    fn cuLibraryGetModule(to: *mut usize, library: usize) {
        let context = current()?;
        put(to, LIBRARIES.get(library)?.module(context.device)?)
    }
    /// A variable by name, on the current context's device.
    fn cuLibraryGetGlobal(to: *mut u64, bytes: *mut usize, library: usize, name: *const c_char) {
        let context = current()?;
        let module = MODULES.get(LIBRARIES.get(library)?.module(context.device)?)?;
        put_global(to, bytes, module.global(text(name)?)?)
    }
    /// A managed variable: it is as any other.
    fn cuLibraryGetManaged(to: *mut u64, bytes: *mut usize, library: usize, name: *const c_char) {
        put_global(to, bytes, LIBRARIES.get(library)?.any()?.global(text(name)?)?)
    }
    /// Not supported: functions of host and device alike.
    fn cuLibraryGetUnifiedFunction(_to: *mut *const c_void, library: usize, _name: *const c_char) {
        LIBRARIES.get(library)?;
        super::unsupported::note("cuLibraryGetUnifiedFunction")
    }
    /// A kernel's function on the current context's device.
    fn cuKernelGetFunction(to: *mut usize, kernel: usize) {
        current()?;
        put(to, function_of(kernel)?)
    }
    /// The library of a kernel.
    fn cuKernelGetLibrary(to: *mut usize, kernel: usize) { put(to, KERNELS.get(kernel)?.library) }
    /// Its name, which lives as long as the library.
    fn cuKernelGetName(to: *mut *const c_char, kernel: usize) {
        match KERNELS.get(kernel) {
            Ok(kernel) => put(to, kernel.name.as_ptr()),
            Err(_) => put(to, FUNCTIONS.get(kernel)?.name.as_ptr()),
        }
    }
    /// There are no caches to configure.
    fn cuKernelSetCacheConfig(kernel: usize, _config: c_uint, _device: c_int) {
        super::function::resolve(kernel).map(drop)
    }
}
