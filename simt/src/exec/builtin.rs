//! Functions that the driver itself gives to programs: `vprintf`, `__assertfail`.

use super::call::{OUTGOING, frame_offset};
use super::fault::Fault;
use super::printf;
use super::program::{Exec, Step};
use super::warp::Warp;
use crate::memory::{LOCAL_WINDOW, SHARED_WINDOW, WINDOW_MASK};
use std::io::Write;

/// The builtin of that name.
pub fn find(name: &str) -> Option<Exec> {
    Some(match name {
        "vprintf" => vprintf,
        "__assertfail" => assert_fail,
        _ => return None,
    })
}

impl Warp {
    /// 64 bits of a lane's outgoing parameters.
    fn argument(&self, lane: usize, offset: u64) -> u64 {
        let at = frame_offset(self, offset | OUTGOING) as usize;
        let mut bytes = [0; 8];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = self.local_byte(lane, at + index).unwrap_or(0);
        }
        u64::from_le_bytes(bytes)
    }

    fn local_byte(&self, lane: usize, offset: usize) -> Option<u8> {
        let stride = self.local_stride as usize;
        let at = lane * stride + offset;
        (offset < stride).then(|| self.local[at / 64].0[at % 64])
    }

    /// A byte at a generic address of a lane, if there is one.
    fn byte(&self, lane: usize, address: u64) -> Option<u8> {
        match address & WINDOW_MASK {
            0 => {
                let there = self.block().launch().memory.holds(address, 1);
                // SAFETY: the address is in an allocation of the launch.
                there.then(|| unsafe { (address as *const u8).read() })
            }
            LOCAL_WINDOW => self.local_byte(lane, (address - LOCAL_WINDOW) as usize),
            SHARED_WINDOW => {
                let offset = address - SHARED_WINDOW;
                let there = offset < u64::from(self.block().shared_bytes);
                // SAFETY: the offset is in the block's shared memory.
                there.then(|| unsafe { self.block().shared().add(offset as usize).read() })
            }
            _ => None,
        }
    }

    /// A C string at a generic address of a lane; `None`: it runs out of memory.
    fn text(&self, lane: usize, address: u64) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        loop {
            match self.byte(lane, address + text.len() as u64)? {
                0 => return Some(text),
                byte if text.len() < 1 << 16 => text.push(byte),
                _ => return None,
            }
        }
    }
}

/// `int vprintf(const char *format, void *arguments)`; the result comes first in the frame.
fn vprintf(w: &mut Warp, _: &super::program::Inst, mask: u32) -> Step {
    for lane in (0..32).filter(|lane| mask >> lane & 1 != 0) {
        let (format, arguments) = (w.argument(lane, 8), w.argument(lane, 16));
        let Some(format) = w.text(lane, format) else {
            let address = format;
            return w.fail(Fault::IllegalAddress {
                space: crate::ptx::types::Space::Generic,
                address,
                bytes: 1,
            });
        };
        let word = |offset: u64, bytes: u64| {
            let at = |k| {
                w.byte(lane, arguments.wrapping_add(offset + k))
                    .unwrap_or(0)
            };
            (0..bytes)
                .rev()
                .fold(0, |value, k| value << 8 | u64::from(at(k)))
        };
        let text = printf::format(&format, word, |address| w.text(lane, address));
        // A closed standard output is no reason to stop the kernel.
        let _ = std::io::stdout().lock().write_all(&text);
    }
    Step::Next
}

/// `void __assertfail(const char *message, const char *file, unsigned line, const char *function, size_t)`
fn assert_fail(w: &mut Warp, _: &super::program::Inst, mask: u32) -> Step {
    let lane = mask.trailing_zeros() as usize;
    let text = |offset| {
        let text = w.text(lane, w.argument(lane, offset)).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    };
    let (message, file, function) = (text(0), text(8), text(24));
    let line = w.argument(lane, 16) as u32;
    let [x, y, z] = w.block().id;
    let thread = w.first_thread + lane as u32;
    eprintln!(
        "{file}:{line}: {function}: block: [{x},{y},{z}], thread: {thread}: Assertion `{message}` failed."
    );
    w.fail(Fault::Assert)
}
