//! Copies under way: bytes of `cp.async` land only when a thread waits for them, so that a program
//! that forgets to wait reads what was there before.

/// What one `cp.async` of a warp will do.
#[derive(Debug, Clone)]
struct Copy {
    lanes: u32,
    /// Number of the group it belongs to, for each of its lanes.
    group: u32,
    to: [*mut u8; 32],
    from: [*const u8; 32],
    /// Bytes written, and how many of them are read; the rest is zero.
    bytes: u32,
    read: [u32; 32],
}

/// What one of them will do in one lane.
#[derive(Debug, Clone, Copy)]
pub struct LaneCopy {
    to: *mut u8,
    from: *const u8,
    bytes: usize,
    read: usize,
}

impl LaneCopy {
    /// Does it.
    ///
    /// # Safety
    /// What [`Copies::start`] was given is still there.
    pub unsafe fn perform(&self) {
        // SAFETY: both were checked when the copy started, and the caller promises that they are still
        // there.
        unsafe {
            if self.read == 16 {
                let bytes = self.from.cast::<[u8; 16]>().read();
                self.to.cast::<[u8; 16]>().write(bytes);
            } else {
                std::ptr::copy(self.from, self.to, self.read);
                self.to
                    .add(self.read)
                    .write_bytes(0, self.bytes - self.read);
            }
        }
    }
}

impl Copy {
    fn lane(&self, lane: usize) -> LaneCopy {
        LaneCopy {
            to: self.to[lane],
            from: self.from[lane],
            bytes: self.bytes as usize,
            read: self.read[lane].min(self.bytes) as usize,
        }
    }
}

/// The copies of a warp.
#[derive(Debug, Default)]
pub struct Copies {
    pending: Vec<Copy>,
    /// The group that each lane is filling.
    group: [u32; 32],
}

impl Copies {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.pending.clear();
        self.group = [0; 32];
    }

    /// Whether anything is under way.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Starts a copy of `bytes` in each lane, of which `read` come from memory.
    pub fn start(
        &mut self,
        lanes: u32,
        to: &[*mut u8; 32],
        from: &[*const u8; 32],
        bytes: u32,
        read: &[u32; 32],
    ) {
        let mut left = lanes;
        while left != 0 {
            let group = self.group[left.trailing_zeros() as usize];
            let same = super::lanes::lanes_where(|l| self.group[l] == group) & left;
            self.pending.push(Copy {
                lanes: same,
                group,
                to: *to,
                from: *from,
                bytes,
                read: *read,
            });
            left &= !same;
        }
    }

    /// Ends the group that the lanes are filling.
    pub fn commit(&mut self, lanes: u32) {
        for lane in 0..32 {
            self.group[lane] += lanes >> lane & 1;
        }
    }

    /// Takes a lane's copies out, for somebody else to do.
    pub fn take(&mut self, lane: usize) -> Vec<LaneCopy> {
        let mut taken = Vec::new();
        self.pending.retain_mut(|copy| {
            if copy.lanes >> lane & 1 != 0 {
                copy.lanes &= !(1 << lane);
                taken.push(copy.lane(lane));
            }
            copy.lanes != 0
        });
        taken
    }

    /// Completes all but the `keep` latest groups of the lanes.
    ///
    /// # Safety
    /// What [`Copies::start`] was given is still there.
    pub unsafe fn wait(&mut self, lanes: u32, keep: u32) {
        let group = self.group;
        let done = |copy: &Copy, lane: usize| copy.group + keep < group[lane];
        // SAFETY: the caller's promise.
        unsafe { self.complete(lanes, done) }
    }

    /// Completes everything, committed or not.
    ///
    /// # Safety
    /// What [`Copies::start`] was given is still there.
    pub unsafe fn wait_all(&mut self, lanes: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.complete(lanes, |_, _| true) };
    }

    unsafe fn complete(&mut self, lanes: u32, done: impl Fn(&Copy, usize) -> bool) {
        self.pending.retain_mut(|copy| {
            let mut left = copy.lanes & lanes;
            while left != 0 {
                let lane = left.trailing_zeros() as usize;
                left &= left - 1;
                if done(copy, lane) {
                    copy.lanes &= !(1 << lane);
                    // SAFETY: the caller's promise.
                    unsafe { copy.lane(lane).perform() };
                }
            }
            copy.lanes != 0
        });
    }
}
