//! Error codes (CUDA Driver API, `CUresult`).

use super::{CUresult, Result, put};
use std::ffi::{CStr, c_char};

macro_rules! errors {
    ($($variant:ident = $code:literal, $name:literal, $text:literal;)*) => {
        /// What can go wrong, by CUDA's numbers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Error {
            $(#[doc = $text] $variant = $code,)*
        }

        impl Error {
            /// The error of that number.
            pub fn from_code(code: u32) -> Option<Error> {
                match code {
                    $($code => Some(Error::$variant),)*
                    _ => None,
                }
            }

            fn describe(code: u32) -> Option<(&'static CStr, &'static CStr)> {
                match code {
                    0 => Some((c"CUDA_SUCCESS", c"no error")),
                    $($code => Some((
                        // SAFETY (both): the literals end with the only zero in them.
                        unsafe { CStr::from_bytes_with_nul_unchecked(concat!($name, "\0").as_bytes()) },
                        unsafe { CStr::from_bytes_with_nul_unchecked(concat!($text, "\0").as_bytes()) },
                    )),)*
                    _ => None,
                }
            }
        }
    };
}

errors! {
    InvalidValue = 1, "CUDA_ERROR_INVALID_VALUE", "invalid argument";
    OutOfMemory = 2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory";
    NotInitialized = 3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error";
    NoDevice = 100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected";
    InvalidDevice = 101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal";
    InvalidImage = 200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid";
    InvalidContext = 201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context";
    NoBinaryForGpu = 209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device";
    UnsupportedLimit = 215, "CUDA_ERROR_UNSUPPORTED_LIMIT", "limit is not supported on this architecture";
    InvalidPtx = 218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed";
    FileNotFound = 301, "CUDA_ERROR_FILE_NOT_FOUND", "file not found";
    InvalidHandle = 400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle";
    NotFound = 500, "CUDA_ERROR_NOT_FOUND", "named symbol not found";
    NotReady = 600, "CUDA_ERROR_NOT_READY", "device not ready";
    IllegalAddress = 700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered";
    LaunchOutOfResources = 701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch";
    LaunchTimeout = 702, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated";
    PeerAccessAlreadyEnabled = 704, "CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED", "peer access is already enabled";
    PeerAccessNotEnabled = 705, "CUDA_ERROR_PEER_ACCESS_NOT_ENABLED", "peer access has not been enabled";
    PrimaryContextActive = 708, "CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE", "cannot set while device is active in this process";
    ContextIsDestroyed = 709, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed";
    Assert = 710, "CUDA_ERROR_ASSERT", "device-side assert triggered";
    HostMemoryAlreadyRegistered = 712, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED", "part or all of the requested memory range is already mapped";
    HostMemoryNotRegistered = 713, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED", "pointer does not correspond to a registered memory region";
    HardwareStackError = 714, "CUDA_ERROR_HARDWARE_STACK_ERROR", "hardware stack error";
    IllegalInstruction = 715, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "an illegal instruction was encountered";
    MisalignedAddress = 716, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address";
    InvalidPc = 718, "CUDA_ERROR_INVALID_PC", "invalid program counter";
    LaunchFailed = 719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure";
    CooperativeLaunchTooLarge = 720, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", "too many blocks in cooperative launch";
    NotSupported = 801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported";
    InvalidClusterSize = 912, "CUDA_ERROR_INVALID_CLUSTER_SIZE", "cluster misconfiguration";
    Unknown = 999, "CUDA_ERROR_UNKNOWN", "unknown error";
}

super::api! {
    /// The name of an error, such as `CUDA_ERROR_INVALID_VALUE`.
    fn cuGetErrorName(error: CUresult, name: *mut *const c_char) {
        let found = Error::describe(error);
        put(name, found.map_or(std::ptr::null(), |(name, _)| name.as_ptr()))?;
        found.map(drop).ok_or(Error::InvalidValue)
    }
    /// An error in words.
    fn cuGetErrorString(error: CUresult, text: *mut *const c_char) {
        let found = Error::describe(error);
        put(text, found.map_or(std::ptr::null(), |(_, text)| text.as_ptr()))?;
        found.map(drop).ok_or(Error::InvalidValue)
    }
}

impl From<crate::memory::OutOfMemory> for Error {
    fn from(_: crate::memory::OutOfMemory) -> Error {
        Error::OutOfMemory
    }
}

/// Turns the fault of a kernel into CUDA's number for it.
pub fn of_fault(fault: &crate::exec::fault::Fault) -> Error {
    use crate::exec::fault::Fault;
    match fault {
        Fault::IllegalAddress { .. } => Error::IllegalAddress,
        Fault::Misaligned { .. } => Error::MisalignedAddress,
        Fault::Trap => Error::LaunchFailed,
        Fault::Assert => Error::Assert,
        Fault::StackOverflow => Error::HardwareStackError,
        Fault::IllegalTarget(_) => Error::InvalidPc,
        Fault::Mbarrier { .. } | Fault::Operand(_) => Error::IllegalInstruction,
        Fault::Deadlock | Fault::Timeout => Error::LaunchTimeout,
    }
}

/// What an error code means as a result.
pub fn check(code: u32) -> Result<()> {
    match code {
        0 => Ok(()),
        code => Err(Error::from_code(code).unwrap_or(Error::Unknown)),
    }
}
