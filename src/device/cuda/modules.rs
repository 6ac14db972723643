//! Kernels on a GPU: modules are loaded when the first of their kernels is asked for.

use super::context::failed;
use super::driver::Driver;
use super::edited::{self, Edited};
use super::kernels::{Cubin, kernel};
use crate::device::{DeviceError, Result};
use cudarc::driver::sys::CUfunction_attribute as Attribute;
use cudarc::driver::{result, sys};
use std::collections::HashMap;
use std::ffi::CString;

/// The modules of a context and the functions in them, by the names of their instances.
pub(super) struct Modules {
    driver: Driver,
    capability: (u32, u32),
    /// Most bytes of shared memory that a block may ask for.
    shared_memory: usize,
    functions: HashMap<String, sys::CUfunction>,
    /// By op and architecture, of the kernels built in.
    built_in: HashMap<(&'static str, Option<&'static str>), sys::CUmodule>,
    edited: Vec<sys::CUmodule>,
}

impl Modules {
    /// No module yet, for a GPU of that compute capability and shared memory.
    pub fn new(driver: Driver, capability: (u32, u32), shared_memory: usize) -> Modules {
        Modules {
            driver,
            capability,
            shared_memory,
            functions: HashMap::new(),
            built_in: HashMap::new(),
            edited: Vec::new(),
        }
    }

    /// The function of `instance` where it has been asked for before.
    pub fn loaded(&self, instance: &str) -> Option<sys::CUfunction> {
        self.functions.get(instance).copied()
    }

    /// The function of `instance`, whose blocks may use all shared memory there is. The context has to
    /// be current.
    pub fn function(&mut self, instance: &str) -> Result<sys::CUfunction> {
        if let Some(function) = self.loaded(instance) {
            return Ok(function);
        }
        if let Some(edited) = edited::compile(instance)? {
            self.load_edited(edited)?;
            return self.function(instance);
        }
        let kernel = kernel(instance).ok_or_else(|| DeviceError::Driver {
            what: instance.to_owned(),
            message: "no such kernel was built".into(),
        })?;
        let module = match self.built_in.get(&(kernel.op, kernel.arch)) {
            Some(module) => *module,
            None => {
                let module = match fitting(self.driver, self.capability, kernel.cubins) {
                    Some(cubin) => load(kernel.op, cubin.image)?,
                    None => load(kernel.op, &terminated(kernel.ptx))?,
                };
                self.built_in.insert((kernel.op, kernel.arch), module);
                module
            }
        };
        let function = self.entry(module, instance, kernel.entry)?;
        self.functions.insert(instance.to_owned(), function);
        Ok(function)
    }

    fn load_edited(&mut self, edited: Edited) -> Result<()> {
        let module = load(&edited.op, &terminated(&edited.ptx))?;
        self.edited.push(module);
        for (instance, symbol) in edited.entries {
            let function = self.entry(module, &instance, &symbol)?;
            self.functions.insert(instance, function);
        }
        Ok(())
    }

    /// A function of a module. What its blocks may use of shared memory is set here, once: were it set
    /// by each launch to what that one needs, a launch of another thread could lower it in between.
    fn entry(
        &self,
        module: sys::CUmodule,
        instance: &str,
        symbol: &str,
    ) -> Result<sys::CUfunction> {
        let name = CString::new(symbol).unwrap_or_default();
        // SAFETY: the module is loaded.
        let function = unsafe { result::module::get_function(module, name) }
            .map_err(failed(&format!("find the kernel {instance}")))?;
        let allow = || {
            // SAFETY: a function of a loaded module.
            unsafe {
                let which = Attribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES;
                let fixed = result::function::get_function_attribute(function, which)?;
                let which = Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
                let rest = (self.shared_memory as i32).saturating_sub(fixed);
                result::function::set_function_attribute(function, which, rest)
            }
        };
        allow().map_err(failed(&format!("give {instance} shared memory")))?;
        Ok(function)
    }

    /// Unloads everything.
    ///
    /// # Safety
    /// The context is current, and no kernel runs or is asked for again.
    pub unsafe fn unload(&mut self) {
        self.functions.clear();
        let built_in = std::mem::take(&mut self.built_in).into_values();
        for module in built_in.chain(std::mem::take(&mut self.edited)) {
            // SAFETY: loaded by this context, unloaded once. A failure has nobody left to be told to.
            let _ = unsafe { result::module::unload(module) };
        }
    }
}

/// The cubin for exactly this GPU. The virtual one executes PTX alone.
fn fitting(
    driver: Driver,
    (major, minor): (u32, u32),
    cubins: &'static [Cubin],
) -> Option<&'static Cubin> {
    let arch = format!("sm_{major}{minor}");
    let fits = |cubin: &&Cubin| cubin.arch.trim_end_matches(['a', 'f']) == arch;
    cubins
        .iter()
        .filter(|_| driver == Driver::Nvidia)
        .find(fits)
}

/// PTX as the driver takes it.
fn terminated(ptx: &str) -> Vec<u8> {
    [ptx.as_bytes(), b"\0"].concat()
}

fn load(op: &str, image: &[u8]) -> Result<sys::CUmodule> {
    // SAFETY: a whole cubin, or PTX with its NUL.
    unsafe { result::module::load_data(image.as_ptr().cast()) }
        .map_err(failed(&format!("load the kernels of {op}")))
}
