//! The part of NVRTC's C interface that compiling needs (NVRTC 12.9 documentation, "User interface").
//!
//! The library is opened by its full path and its functions are called through that handle: loading
//! by name would take whichever `libnvrtc.so` the machine lists first, such as an older toolkit's.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;

type Program = *mut c_void;

macro_rules! functions {
    ($($name:ident = $symbol:literal fn($($argument:ty),*);)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) -> c_int,)*
        }
        impl Functions {
            fn load(library: &libloading::Library) -> Result<Self, libloading::Error> {
                // SAFETY: the signatures below are those of nvrtc.h, stable since CUDA 11.
                unsafe { Ok(Functions { $($name: *library.get($symbol)?,)* }) }
            }
        }
    };
}

functions! {
    version = b"nvrtcVersion\0" fn(*mut c_int, *mut c_int);
    create = b"nvrtcCreateProgram\0" fn(*mut Program, *const c_char, *const c_char, c_int, *const *const c_char, *const *const c_char);
    destroy = b"nvrtcDestroyProgram\0" fn(*mut Program);
    add_name = b"nvrtcAddNameExpression\0" fn(Program, *const c_char);
    compile = b"nvrtcCompileProgram\0" fn(Program, c_int, *const *const c_char);
    log_size = b"nvrtcGetProgramLogSize\0" fn(Program, *mut usize);
    log = b"nvrtcGetProgramLog\0" fn(Program, *mut c_char);
    lowered_name = b"nvrtcGetLoweredName\0" fn(Program, *const c_char, *mut *const c_char);
    ptx_size = b"nvrtcGetPTXSize\0" fn(Program, *mut usize);
    ptx = b"nvrtcGetPTX\0" fn(Program, *mut c_char);
    cubin_size = b"nvrtcGetCUBINSize\0" fn(Program, *mut usize);
    cubin = b"nvrtcGetCUBIN\0" fn(Program, *mut c_char);
}

type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Get = unsafe extern "C" fn(Program, *mut c_char) -> c_int;

/// A loaded NVRTC. Programs may be compiled from several threads at once.
pub struct Nvrtc {
    functions: Functions,
    version: (c_int, c_int),
    _library: libloading::Library, // keeps `functions` valid
}

/// A compiled module.
pub struct Module {
    /// PTX text or a cubin.
    pub code: Vec<u8>,
    /// The symbol of each name expression, in their order.
    pub entries: Vec<String>,
    /// The compiler's warnings; often empty.
    pub log: String,
}

impl Nvrtc {
    /// Opens the library at `path`. CUDA 12 is the first that knows Hopper's sm_90a.
    pub fn load(path: &Path) -> Result<Self, String> {
        let failed = |error| format!("{}: {error}", path.display());
        // SAFETY: NVRTC's initialisers do nothing but set up its own state.
        let library = unsafe { libloading::Library::new(path) }.map_err(failed)?;
        let functions = Functions::load(&library).map_err(failed)?;
        let (mut major, mut minor) = (0, 0);
        // SAFETY: both are valid for writing.
        unsafe { (functions.version)(&mut major, &mut minor) };
        if major < 12 {
            return Err(format!(
                "{}: NVRTC {major}.{minor} is too old, 12.0 or later is needed (`make setup` fetches one)",
                path.display()
            ));
        }
        Ok(Nvrtc {
            functions,
            version: (major, minor),
            _library: library,
        })
    }

    /// Such as `12.9`.
    pub fn version(&self) -> String {
        format!("{}.{}", self.version.0, self.version.1)
    }

    /// Compiles `source` to PTX, or to a cubin where `cubin`. The error is the compiler's log, which
    /// names `name` as the file.
    pub fn compile(
        &self,
        name: &str,
        source: &str,
        expressions: &[&str],
        options: &[String],
        cubin: bool,
    ) -> Result<Module, String> {
        let f = &self.functions;
        let expressions: Vec<CString> = expressions
            .iter()
            .map(|text| c_string(text))
            .collect::<Result<_, _>>()?;
        let options: Vec<CString> = options
            .iter()
            .map(|text| c_string(text))
            .collect::<Result<_, _>>()?;
        let options: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        let (source, c_name) = (c_string(source)?, c_string(name)?);
        let ok = |what: &str, code: c_int| match code {
            0 => Ok(()),
            code => Err(format!("{name}: NVRTC failed to {what} (error {code})")),
        };

        let mut program = OwnedProgram {
            program: ptr::null_mut(),
            destroy: f.destroy,
        };
        // SAFETY: every pointer is to a live, NUL-terminated string or a live local, and `program` is
        // used from this thread alone until it is destroyed.
        unsafe {
            ok(
                "start",
                (f.create)(
                    &mut program.program,
                    source.as_ptr(),
                    c_name.as_ptr(),
                    0,
                    ptr::null(),
                    ptr::null(),
                ),
            )?;
            for expression in &expressions {
                ok(
                    "take a name",
                    (f.add_name)(program.program, expression.as_ptr()),
                )?;
            }
            let code = (f.compile)(program.program, options.len() as c_int, options.as_ptr());
            let log = program
                .read(f.log_size, f.log)
                .map_err(|code| format!("{name}: no log (error {code})"))?;
            let log = String::from_utf8_lossy(&log)
                .trim_matches(['\0', '\n'])
                .to_owned();
            if code != 0 {
                return Err(format!("{log}\n{name}: NVRTC error {code}"));
            }
            let mut entries = Vec::new();
            for expression in &expressions {
                let mut entry = ptr::null();
                ok(
                    "name an entry",
                    (f.lowered_name)(program.program, expression.as_ptr(), &mut entry),
                )?;
                entries.push(CStr::from_ptr(entry).to_string_lossy().into_owned());
            }
            let (size, get) = if cubin {
                (f.cubin_size, f.cubin)
            } else {
                (f.ptx_size, f.ptx)
            };
            let mut code = program
                .read(size, get)
                .map_err(|code| format!("{name}: no output (error {code})"))?;
            if !cubin {
                code.pop(); // PTX comes with a terminating NUL
            }
            Ok(Module { code, entries, log })
        }
    }
}

struct OwnedProgram {
    program: Program,
    destroy: unsafe extern "C" fn(*mut Program) -> c_int,
}

impl OwnedProgram {
    /// Asks for a size, then for that many bytes.
    ///
    /// # Safety
    /// `size` and `get` belong together and write no more than they say.
    unsafe fn read(&self, size: Size, get: Get) -> Result<Vec<u8>, c_int> {
        let mut length = 0;
        // SAFETY: `length` is live, and `bytes` is as long as `get` needs.
        unsafe {
            let code = size(self.program, &mut length);
            if code != 0 {
                return Err(code);
            }
            let mut bytes = vec![0u8; length];
            match get(self.program, bytes.as_mut_ptr().cast()) {
                0 => Ok(bytes),
                code => Err(code),
            }
        }
    }
}

impl Drop for OwnedProgram {
    fn drop(&mut self) {
        if !self.program.is_null() {
            // SAFETY: created by the same library and destroyed once.
            unsafe { (self.destroy)(&mut self.program) };
        }
    }
}

fn c_string(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("a NUL byte in {text:?}"))
}
