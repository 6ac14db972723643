//! `cuModule…`: images to functions.

use super::function::{FUNCTIONS, Function};
use super::jit::{self, Options};
use super::state::{Device, Registry, current, lock};
use super::{Error, Result, put, text};
use crate::exec::program::Program;
use crate::image;
use crate::ptx::ast;
use crate::ptx::decode::Image;
use std::collections::HashMap;
use std::ffi::{c_char, c_uint, c_void};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// A loaded module.
pub struct Module {
    pub program: Arc<Program>,
    images: Vec<Image>,
    device: usize,
    /// The device's when its variables were placed.
    epoch: usize,
    /// The architecture that the text was written for, such as 80.
    pub architecture: u32,
    /// Handles of functions that have been asked for.
    handles: Mutex<HashMap<usize, usize>>,
}

pub static MODULES: Registry<Module> = Registry::new();

/// An error, and what is said of it in words.
pub type Refusal = (Error, String);

fn refused(error: crate::ptx::Error) -> Refusal {
    (Error::InvalidPtx, error.to_string())
}

/// Parses texts, and links them where there are several.
fn link<'a>(texts: &'a [String]) -> std::result::Result<ast::Module<'a>, Refusal> {
    let parsed: crate::ptx::Result<Vec<_>> = texts
        .iter()
        .map(|text| crate::ptx::parser::parse(text))
        .collect();
    let mut parsed = parsed.map_err(refused)?;
    match parsed.len() {
        1 => Ok(parsed.remove(0)),
        _ => crate::ptx::link::merge(parsed).map_err(refused),
    }
}

/// Loads PTX texts onto a device; the message says what is wrong with them.
pub fn load(
    texts: &[String],
    ordinal: usize,
    device: &Device,
) -> std::result::Result<Module, Refusal> {
    let ast = link(texts)?;
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
        device: ordinal,
        epoch: device.epoch.load(Ordering::Relaxed),
        architecture: ast.architecture(),
        handles: Mutex::default(),
    })
}

/// The texts of an image for a device.
pub fn texts(bytes: &[u8], device: &Device) -> std::result::Result<Vec<String>, Refusal> {
    let chip = device.chip;
    let runs = |arch: u32| arch <= chip.major * 10 + chip.minor;
    image::texts(bytes, &runs).map_err(|error| {
        let code = match error {
            image::Error::NoPtx(_) => Error::NoBinaryForGpu,
            image::Error::Damaged(_) => Error::InvalidImage,
        };
        (code, error.to_string())
    })
}

/// The bytes of an image that a pointer is to.
///
/// # Safety
/// The pointer is null or to an image.
pub unsafe fn bytes<'a>(image: *const c_void) -> Result<&'a [u8]> {
    // A small number is no address.
    if (image as usize) < 4096 {
        return Err(Error::InvalidValue);
    }
    // SAFETY: an image has at least four bytes, and its structure says how many more.
    unsafe {
        let first = image.cast::<[u8; 4]>().read_unaligned();
        let length = match image::kind(first) {
            image::Kind::Text => std::ffi::CStr::from_ptr(image.cast()).count_bytes(),
            image::Kind::Wrapper => {
                return bytes(image.cast::<*const c_void>().add(1).read_unaligned());
            }
            image::Kind::Fatbin => {
                let header = image.cast::<[u8; 16]>().read_unaligned();
                image::fatbin::length(&header).map_err(|_| Error::InvalidImage)?
            }
            image::Kind::Linked => image::linked::length(image.cast::<[u8; 8]>().read_unaligned()),
            image::Kind::Elf => 64,
            image::Kind::Bitcode => 4,
        };
        Ok(std::slice::from_raw_parts(image.cast(), length))
    }
}

unsafe fn load_with(image: *const c_void, options: &Options) -> Result<usize> {
    let context = current()?;
    let device = context.device()?;
    // SAFETY: the caller gives an image.
    let bytes = unsafe { bytes(image) }?;
    let loaded = texts(bytes, device).and_then(|texts| load(&texts, context.device, device));
    Ok(MODULES.insert(options.report(loaded)?))
}

/// The handle of an entry.
pub fn function(handle: usize, name: &str) -> Result<usize> {
    let module = MODULES.get(handle)?;
    let functions = &module.program.functions;
    let index = functions
        .iter()
        .position(|f| f.is_entry && f.name == name)
        .ok_or(Error::NotFound)?;
    Ok(module.handle_of(index, handle))
}

impl Module {
    fn handle_of(&self, index: usize, module: usize) -> usize {
        *lock(&self.handles).entry(index).or_insert_with(|| {
            let program = Arc::clone(&self.program);
            FUNCTIONS.insert(Function::new(program, index, module, self.architecture))
        })
    }

    /// Names of all entries, in the order of the text.
    pub fn entries(&self) -> impl Iterator<Item = (usize, &str)> {
        let entries = self
            .program
            .functions
            .iter()
            .enumerate()
            .filter(|(_, f)| f.is_entry);
        entries.map(|(index, f)| (index, f.name.as_str()))
    }

    /// Whether its variables are still there: the device has not been given back in between.
    pub fn is_alive(&self, device: &Device) -> bool {
        device.epoch.load(Ordering::Relaxed) == self.epoch
    }

    /// Address and bytes of a variable.
    pub fn global(&self, name: &str) -> Result<(u64, usize)> {
        let found = self.images.iter().find(|image| image.name == name);
        found
            .map(|image| (image.address, image.size as usize))
            .ok_or(Error::NotFound)
    }
}

/// Writes address and bytes of a variable where there is room for them.
///
/// # Safety
/// The pointers are null or valid.
pub unsafe fn put_global(to: *mut u64, bytes: *mut usize, found: (u64, usize)) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe {
        if !to.is_null() {
            put(to, found.0)?;
        }
        if bytes.is_null() {
            Ok(())
        } else {
            put(bytes, found.1)
        }
    }
}

/// Ends a module.
pub fn unload(handle: usize) -> Result<()> {
    let module = MODULES.remove(handle)?;
    for function in lock(&module.handles).values() {
        FUNCTIONS.remove(*function)?;
    }
    if let Some(device) = super::state::devices()?.get(module.device)
        && module.is_alive(device)
    {
        let mut arena = lock(&device.arena);
        for image in &module.images {
            arena.free(image.address);
        }
    }
    Ok(())
}

super::api! {
    /// Loads PTX text, a fatbin, or what the linker made.
    fn cuModuleLoadData(to: *mut usize, image: *const c_void) {
        put(to, load_with(image, &Options::default())?)
    }
    /// As before; of the options, the log buffers are filled.
    fn cuModuleLoadDataEx(
        to: *mut usize,
        image: *const c_void,
        count: c_uint,
        options: *const c_uint,
        values: *const *mut c_void,
    ) {
        put(to, load_with(image, &Options::new(count, options, values)?)?)
    }
    /// As `cuModuleLoadData`.
    fn cuModuleLoadFatBinary(to: *mut usize, image: *const c_void) {
        put(to, load_with(image, &Options::default())?)
    }
    /// As `cuModuleLoadData`, from a file.
    fn cuModuleLoad(to: *mut usize, path: *const c_char) {
        let context = current()?;
        let device = context.device()?;
        let bytes = jit::read(text(path)?)?;
        let loaded = texts(&bytes, device).and_then(|texts| load(&texts, context.device, device));
        put(to, MODULES.insert(Options::default().report(loaded)?))
    }
    /// Ends a module.
    fn cuModuleUnload(module: usize) { unload(module) }
    /// An entry by name.
    fn cuModuleGetFunction(to: *mut usize, module: usize, name: *const c_char) {
        put(to, function(module, text(name)?)?)
    }
    /// A variable by name: its address and size in bytes.
    fn cuModuleGetGlobal_v2(to: *mut u64, bytes: *mut usize, module: usize, name: *const c_char) {
        put_global(to, bytes, MODULES.get(module)?.global(text(name)?)?)
    }
    /// How entries are loaded: at once.
    fn cuModuleGetLoadingMode(mode: *mut c_uint) { put(mode, 1) }
    /// Number of entries.
    fn cuModuleGetFunctionCount(count: *mut c_uint, module: usize) {
        put(count, MODULES.get(module)?.entries().count() as c_uint)
    }
    /// Handles of the first entries.
    fn cuModuleEnumerateFunctions(to: *mut usize, count: c_uint, handle: usize) {
        let module = MODULES.get(handle)?;
        if to.is_null() {
            return Err(Error::InvalidValue);
        }
        for (at, (index, _)) in module.entries().take(count as usize).enumerate() {
            to.add(at).write(module.handle_of(index, handle));
        }
        Ok(())
    }
    /// No module has textures.
    fn cuModuleGetTexRef(_to: *mut usize, module: usize, _name: *const c_char) {
        MODULES.get(module)?;
        Err(Error::NotFound)
    }
    /// No module has surfaces.
    fn cuModuleGetSurfRef(_to: *mut usize, module: usize, _name: *const c_char) {
        MODULES.get(module)?;
        Err(Error::NotFound)
    }
}
