//! Ranges of the host's addresses, into which memory is mapped piece by piece.

use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd};

/// A file that lies in memory and has no name.
///
/// # Errors
/// The host does not give one of that size.
pub fn anonymous_file(bytes: usize) -> Result<File> {
    // SAFETY: the name ends with a zero; the answer is a new descriptor, or -1.
    let file = unsafe {
        match libc::memfd_create(c"simt".as_ptr(), libc::MFD_CLOEXEC) {
            -1 => return Err(Error::last_os_error()),
            descriptor => File::from_raw_fd(descriptor),
        }
    };
    file.set_len(bytes as u64)?;
    Ok(file)
}

/// Addresses that are nobody else's.
pub struct Reserved {
    /// All of it, more than was asked for, so that a part is aligned.
    start: usize,
    length: usize,
    first: usize,
    bytes: usize,
}

impl Reserved {
    /// Takes `bytes` addresses from a multiple of `align` on, with nothing behind them.
    ///
    /// # Errors
    /// The host does not have so many.
    pub fn new(bytes: usize, align: usize) -> Result<Reserved> {
        let length = bytes
            .checked_add(align)
            .ok_or(Error::from_raw_os_error(libc::ENOMEM))?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: addresses of the host's choice, which nobody uses.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_NONE, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        let start = start as usize;
        Ok(Reserved {
            start,
            length,
            first: start.next_multiple_of(align),
            bytes,
        })
    }

    /// The first address.
    pub fn first(&self) -> u64 {
        self.first as u64
    }

    /// How many there are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn check(&self, at: u64, bytes: usize) -> Result<usize> {
        let at = at as usize;
        let end = self.first + self.bytes;
        match at >= self.first && at.checked_add(bytes).is_some_and(|last| last <= end) {
            true => Ok(at),
            false => Err(Error::from_raw_os_error(libc::EINVAL)),
        }
    }

    /// Puts a part of a file behind some of them.
    ///
    /// # Errors
    /// They are not all of this range, or the host refuses.
    pub fn map(&self, at: u64, bytes: usize, file: &File, offset: usize) -> Result<()> {
        let at = self.check(at, bytes)?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        let offset = libc::off_t::try_from(offset).map_err(Error::other)?;
        // SAFETY: the addresses are this range's, and nothing that is in use is behind them.
        let mapped =
            unsafe { libc::mmap(at as *mut _, bytes, access, flags, file.as_raw_fd(), offset) };
        match mapped == libc::MAP_FAILED {
            true => Err(Error::last_os_error()),
            false => Ok(()),
        }
    }

    /// Takes away what is behind some of them.
    ///
    /// # Errors
    /// They are not all of this range, or the host refuses.
    pub fn unmap(&self, at: u64, bytes: usize) -> Result<()> {
        let at = self.check(at, bytes)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        // SAFETY: the addresses are this range's; they stay taken, with nothing behind them.
        let mapped = unsafe { libc::mmap(at as *mut _, bytes, libc::PROT_NONE, flags, -1, 0) };
        match mapped == libc::MAP_FAILED {
            true => Err(Error::last_os_error()),
            false => Ok(()),
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // SAFETY: the range is this one's, and nobody else knows its addresses any more.
        unsafe { libc::munmap(self.start as *mut _, self.length) };
    }
}
