//! `cuLink…`: PTX texts to one image, which `cuModuleLoadData` takes.

use super::jit::{self, Options};
use super::module::{self, Refusal};
use super::state::{Device, Registry, current, lock};
use super::{Error, Result, put, text};
use crate::{image, ptx};
use std::ffi::{c_char, c_uint, c_void};
use std::sync::{Mutex, OnceLock};

/// A link under way.
struct Link {
    device: &'static Device,
    options: Options,
    texts: Mutex<Vec<String>>,
    /// What came out; the caller may read it until the link is destroyed.
    image: OnceLock<Vec<u8>>,
}

static LINKS: Registry<Link> = Registry::new();

/// `CUjitInputType`
const CUBIN: c_uint = 0;
const PTX: c_uint = 1;
const FATBIN: c_uint = 2;
const LIBRARY: c_uint = 4;

/// In place of NVIDIA's machine code.
const DEVICE_RUNTIME: &str = include_str!("device_runtime.ptx");

/// Everything that a call can be wrong about shows here, not when the image is loaded.
fn complete(texts: &[String]) -> std::result::Result<Vec<u8>, Refusal> {
    let refused = |error: ptx::Error| (Error::InvalidPtx, error.to_string());
    let texts = ptx::link::separate(texts).map_err(refused)?;
    let parsed: ptx::Result<Vec<_>> = texts.iter().map(|text| ptx::parser::parse(text)).collect();
    let whole = ptx::link::merge(parsed.map_err(refused)?).map_err(refused)?;
    // Addresses do not matter to what is decoded and thrown away.
    let mut allocate = |_bytes: u64, _align: u64| Some(1 << 20);
    ptx::decode::decode(&whole, &mut allocate).map_err(refused)?;
    Ok(image::linked::bundle(&texts))
}

fn add(link: usize, kind: c_uint, bytes: &[u8]) -> Result<()> {
    let link = LINKS.get(link)?;
    if link.image.get().is_some() {
        return Err(Error::InvalidValue);
    }
    let texts = match kind {
        // The library that programs link for groups of the whole grid.
        LIBRARY if bytes.starts_with(b"!<arch>") => Ok(vec![DEVICE_RUNTIME.to_owned()]),
        CUBIN | PTX | FATBIN => module::texts(bytes, link.device),
        _ => Err((Error::NoBinaryForGpu, "only PTX can be linked".to_owned())),
    };
    let texts = link.options.report(texts)?;
    lock(&link.texts).extend(texts);
    Ok(())
}

unsafe fn create(
    count: c_uint,
    options: *const c_uint,
    values: *const *mut c_void,
    to: *mut usize,
) -> Result<()> {
    let device = current()?.device()?;
    // SAFETY: the entry points give what they were given.
    unsafe {
        let link = Link {
            device,
            options: Options::new(count, options, values)?,
            texts: Mutex::default(),
            image: OnceLock::new(),
        };
        put(to, LINKS.insert(link))
    }
}

super::api! {
    /// A link; log buffers stay the caller's until it is destroyed.
    fn cuLinkCreate_v2(count: c_uint, options: *const c_uint, values: *const *mut c_void, to: *mut usize) {
        create(count, options, values, to)
    }
    /// Adds PTX, or an image with PTX in it.
    fn cuLinkAddData_v2(
        link: usize,
        kind: c_uint,
        data: *const u8,
        bytes: usize,
        _name: *const c_char,
        _count: c_uint,
        _options: *const c_uint,
        _values: *const *mut c_void,
    ) {
        if data.is_null() {
            return Err(Error::InvalidValue);
        }
        add(link, kind, std::slice::from_raw_parts(data, bytes))
    }
    /// Adds a file.
    fn cuLinkAddFile_v2(
        link: usize,
        kind: c_uint,
        path: *const c_char,
        _count: c_uint,
        _options: *const c_uint,
        _values: *const *mut c_void,
    ) {
        add(link, kind, &jit::read(text(path)?)?)
    }
    /// Links all that was added, and gives the image.
    fn cuLinkComplete(link: usize, image: *mut *const c_void, bytes: *mut usize) {
        let link = LINKS.get(link)?;
        if image.is_null() {
            return Err(Error::InvalidValue);
        }
        let made = link.options.report(complete(&lock(&link.texts)))?;
        let made = link.image.get_or_init(|| made);
        put(image, made.as_ptr().cast())?;
        if bytes.is_null() { Ok(()) } else { put(bytes, made.len()) }
    }
    /// Ends a link and its image.
    fn cuLinkDestroy(link: usize) { LINKS.remove(link).map(drop) }
}
