//! `cuModule…`, `cuLibrary…`: PTX text to functions.

use super::function::{FUNCTIONS, Function};
use super::state::{Registry, current, lock};
use super::{Error, Result, put, text};
use crate::exec::program::Program;
use crate::ptx::decode::Image;
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_uint, c_void};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// A loaded module.
pub struct Module {
    program: Arc<Program>,
    images: Vec<Image>,
    device: usize,
    /// The device's when its variables were placed.
    epoch: usize,
    /// ISA version of the text, 10 · major + minor.
    pub version: u32,
    /// Handles of functions that have been asked for.
    handles: Mutex<HashMap<usize, usize>>,
}

pub static MODULES: Registry<Module> = Registry::new();

/// Options of the JIT that are understood.
const INFO_LOG_BUFFER: c_uint = 3;
const INFO_LOG_BYTES: c_uint = 4;
const ERROR_LOG_BUFFER: c_uint = 5;
const ERROR_LOG_BYTES: c_uint = 6;

/// Loads PTX text; the message says what is wrong with it.
fn load(source: &str) -> std::result::Result<Module, (Error, String)> {
    let context = current().map_err(|error| (error, String::new()))?;
    let device = context.device().map_err(|error| (error, String::new()))?;
    let refused = |error: crate::ptx::Error| (Error::InvalidPtx, error.to_string());
    let ast = crate::ptx::parser::parse(source).map_err(refused)?;
    if !device.chip.runs(ast.target) {
        let message = format!(
            "PTX for {} does not run on {}",
            ast.target, device.chip.arch
        );
        return Err((Error::NoBinaryForGpu, message));
    }
    let mut taken = Vec::new();
    let mut allocate = |bytes, _align| {
        let address = lock(&device.arena).allocate(bytes).ok()?;
        taken.push(address);
        Some(address)
    };
    let decoded = crate::ptx::decode::decode(&ast, &mut allocate);
    let (program, images) = decoded.map_err(|error| {
        let mut arena = lock(&device.arena);
        for at in &taken {
            arena.free(*at);
        }
        refused(error)
    })?;
    for image in &images {
        // SAFETY: the arena gave `size` bytes at this address, and nobody else knows them yet.
        unsafe {
            let to = image.address as *mut u8;
            to.write_bytes(0, image.size as usize);
            to.copy_from(image.bytes.as_ptr(), image.bytes.len());
        }
        crate::watch::tell(&crate::watch::Event::Variable {
            name: &image.name,
            address: image.address,
            bytes: image.size,
        });
    }
    Ok(Module {
        program: Arc::new(program),
        images,
        device: context.device,
        epoch: device.epoch.load(Ordering::Relaxed),
        version: ast.version.0 * 10 + ast.version.1,
        handles: Mutex::default(),
    })
}

/// What kind of image a pointer is to, by its first bytes.
unsafe fn source<'a>(image: *const c_void) -> Result<&'a str> {
    if image.is_null() {
        return Err(Error::InvalidValue);
    }
    // SAFETY: an image has at least four bytes.
    let first = unsafe { image.cast::<[u8; 4]>().read() };
    match first {
        [0x7f, b'E', b'L', b'F'] => Err(Error::NoBinaryForGpu),
        // SAFETY: what is no binary is text with a zero behind it.
        _ => match unsafe { CStr::from_ptr(image.cast()) }.to_str() {
            Ok(text) => Ok(text),
            Err(_) => Err(Error::InvalidImage),
        },
    }
}

unsafe fn load_with(
    image: *const c_void,
    count: c_uint,
    options: *const c_uint,
    values: *const *mut c_void,
) -> Result<usize> {
    let mut known = HashMap::new();
    for at in 0..count as usize {
        // SAFETY: the caller gives `count` options and values.
        unsafe { known.insert(options.add(at).read(), values.add(at)) };
    }
    // SAFETY: the caller gives an image.
    let loaded = load(unsafe { source(image) }?);
    let message = loaded
        .as_ref()
        .err()
        .map_or("", |(_, message)| message.as_str());
    for (buffer, bytes, text) in [
        (INFO_LOG_BUFFER, INFO_LOG_BYTES, ""),
        (ERROR_LOG_BUFFER, ERROR_LOG_BYTES, message),
    ] {
        if let (Some(to), Some(size)) = (known.get(&buffer), known.get(&bytes)) {
            // SAFETY: these options say that the first value is a buffer, and the second its size,
            // which the call replaces by the bytes written.
            unsafe {
                let (to, room) = (to.read().cast::<u8>(), size.read() as usize);
                let length = text.len().min(room.saturating_sub(1));
                if !to.is_null() && room > 0 {
                    to.copy_from(text.as_ptr(), length);
                    to.add(length).write(0);
                }
                size.cast_mut().cast::<usize>().write(length);
            }
        }
    }
    match loaded {
        Ok(module) => Ok(MODULES.insert(module)),
        Err((error, message)) => {
            if !known.contains_key(&ERROR_LOG_BUFFER) && !message.is_empty() {
                eprintln!("simt: module refused: {message}");
            }
            Err(error)
        }
    }
}

/// The handle of an entry.
pub fn function(handle: usize, name: &str) -> Result<usize> {
    let module = MODULES.get(handle)?;
    let functions = &module.program.functions;
    let index = functions
        .iter()
        .position(|f| f.is_entry && f.name == name)
        .ok_or(Error::NotFound)?;
    let mut handles = lock(&module.handles);
    Ok(*handles.entry(index).or_insert_with(|| {
        FUNCTIONS.insert(Function::new(
            Arc::clone(&module.program),
            index,
            handle,
            module.version,
        ))
    }))
}

unsafe fn global(
    to: *mut u64,
    bytes: *mut usize,
    module: usize,
    name: *const c_char,
) -> Result<()> {
    let module = MODULES.get(module)?;
    // SAFETY: the entry points give pointers that are null or valid.
    unsafe {
        let name = text(name)?;
        let image = module
            .images
            .iter()
            .find(|image| image.name == name)
            .ok_or(Error::NotFound)?;
        if !to.is_null() {
            put(to, image.address)?;
        }
        if !bytes.is_null() {
            put(bytes, image.size as usize)?;
        }
    }
    Ok(())
}

fn unload(handle: usize) -> Result<()> {
    let module = MODULES.remove(handle)?;
    for function in lock(&module.handles).values() {
        FUNCTIONS.remove(*function)?;
    }
    if let Some(device) = super::state::devices()?.get(module.device)
        && device.epoch.load(Ordering::Relaxed) == module.epoch
    {
        let mut arena = lock(&device.arena);
        for image in &module.images {
            arena.free(image.address);
        }
    }
    Ok(())
}

super::api! {
    /// Loads PTX text.
    fn cuModuleLoadData(to: *mut usize, image: *const c_void) {
        put(to, load_with(image, 0, std::ptr::null(), std::ptr::null())?)
    }
    /// Loads PTX text; of the options, the log buffers are filled.
    fn cuModuleLoadDataEx(
        to: *mut usize,
        image: *const c_void,
        count: c_uint,
        options: *const c_uint,
        values: *const *mut c_void,
    ) {
        put(to, load_with(image, count, options, values)?)
    }
    /// Loads PTX text from a file.
    fn cuModuleLoad(to: *mut usize, path: *const c_char) {
        let mut bytes = std::fs::read(text(path)?).map_err(|_| Error::FileNotFound)?;
        bytes.extend([0; 4]);
        put(to, load_with(bytes.as_ptr().cast(), 0, std::ptr::null(), std::ptr::null())?)
    }
    /// Ends a module.
    fn cuModuleUnload(module: usize) { unload(module) }
    /// An entry by name.
    fn cuModuleGetFunction(to: *mut usize, module: usize, name: *const c_char) {
        put(to, function(module, text(name)?)?)
    }
    /// A variable by name: its address and size in bytes.
    fn cuModuleGetGlobal_v2(to: *mut u64, bytes: *mut usize, module: usize, name: *const c_char) {
        global(to, bytes, module, name)
    }
    /// How entries are loaded: at once.
    fn cuModuleGetLoadingMode(mode: *mut c_uint) { put(mode, 1) }
    /// Number of entries.
    fn cuModuleGetFunctionCount(count: *mut c_uint, module: usize) {
        let module = MODULES.get(module)?;
        put(count, module.program.functions.iter().filter(|f| f.is_entry).count() as c_uint)
    }
    /// A library is a module that every context sees.
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
        put(to, load_with(image, count, options, values)?)
    }
    /// Ends a library.
    fn cuLibraryUnload(library: usize) { unload(library) }
    /// An entry by name.
    fn cuLibraryGetKernel(to: *mut usize, library: usize, name: *const c_char) {
        put(to, function(library, text(name)?)?)
    }
    /// The library as a module.
    fn cuLibraryGetModule(to: *mut usize, library: usize) {
        MODULES.get(library)?;
        put(to, library)
    }
    /// A variable by name.
    fn cuLibraryGetGlobal(to: *mut u64, bytes: *mut usize, library: usize, name: *const c_char) {
        global(to, bytes, library, name)
    }
    /// A kernel as a function.
    fn cuKernelGetFunction(to: *mut usize, kernel: usize) {
        FUNCTIONS.get(kernel)?;
        put(to, kernel)
    }
}
