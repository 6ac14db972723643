//! `cp.async` copies of a block that their threads have not waited for.

use super::bits::Bits;

/// What one lane's copy writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    pub warp: u32,
    pub lane: u32,
    /// Offset in shared memory, and bytes.
    pub to: u64,
    pub bytes: u32,
    pub pc: u32,
    group: u32,
}

/// The copies of a block that are under way.
#[derive(Debug, Default)]
pub struct Copies {
    /// By warp.
    pending: Vec<Vec<Copy>>,
    /// The group that each thread is filling.
    groups: Vec<u32>,
    /// Bytes that will be written.
    bytes: Bits,
}

impl Copies {
    /// A block of that many warps and bytes of shared memory begins.
    pub fn reset(&mut self, warps: usize, shared: usize) {
        self.pending.iter_mut().for_each(Vec::clear);
        self.pending.resize_with(warps, Vec::new);
        self.groups.clear();
        self.groups.resize(warps * 32, 0);
        self.bytes.reset(shared);
    }

    /// A lane's copy begins.
    pub fn start(&mut self, warp: u32, lane: u32, to: u64, bytes: u32, pc: u32) {
        let group = self.groups[(warp * 32 + lane) as usize];
        self.bytes.put(to..to + u64::from(bytes), true);
        self.pending[warp as usize].push(Copy {
            warp,
            lane,
            to,
            bytes,
            pc,
            group,
        });
    }

    /// Ends the groups that the lanes are filling.
    pub fn commit(&mut self, warp: u32, lanes: u32) {
        let groups = &mut self.groups[warp as usize * 32..][..32];
        for (lane, group) in groups.iter_mut().enumerate() {
            *group += lanes >> lane & 1;
        }
    }

    /// The lanes wait for all but the `keep` latest of their groups, or for everything; `f` hears of
    /// each copy that is done.
    pub fn wait(&mut self, warp: u32, lanes: u32, keep: Option<u32>, mut f: impl FnMut(&Copy)) {
        let groups = &self.groups[warp as usize * 32..][..32];
        let is_done = |copy: &Copy| {
            let is_asked = lanes >> copy.lane & 1 != 0;
            is_asked && keep.is_none_or(|keep| copy.group + keep < groups[copy.lane as usize])
        };
        let bytes = &mut self.bytes;
        self.pending[warp as usize].retain(|copy| {
            let done = is_done(copy);
            if done {
                bytes.put(copy.to..copy.to + u64::from(copy.bytes), false);
                f(copy);
            }
            !done
        });
    }

    /// A copy under way to any of these bytes.
    #[inline]
    pub fn find(&self, at: u64, bytes: u32) -> Option<&Copy> {
        let range = at..at + u64::from(bytes);
        if !self.bytes.any(range.clone()) {
            return None;
        }
        let touches =
            |copy: &&Copy| copy.to < range.end && range.start < copy.to + u64::from(copy.bytes);
        self.pending.iter().flatten().find(touches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_end_in_their_order() {
        let mut copies = Copies::default();
        copies.reset(2, 1024);
        for stage in 0..3 {
            for lane in 0..4 {
                copies.start(1, lane, u64::from(stage * 64 + lane * 16), 16, stage);
            }
            copies.commit(1, 0b1111);
        }
        copies.start(1, 0, 512, 4, 9);
        let mut done = Vec::new();
        copies.wait(1, 0b0011, Some(1), |copy| done.push((copy.lane, copy.pc)));
        assert_eq!(done, [(0, 0), (1, 0), (0, 1), (1, 1)]);
        assert_eq!(copies.find(0, 32), None);
        assert_eq!(
            copies.find(31, 2).map(|copy| (copy.lane, copy.pc)),
            Some((2, 0))
        );
        assert_eq!(copies.find(512, 1).map(|copy| copy.pc), Some(9));
        copies.wait(1, 0b0001, Some(0), |_| {});
        assert_eq!(copies.find(512, 1).map(|copy| copy.pc), Some(9));
        copies.wait(1, 0b1111, None, |_| {});
        assert_eq!(copies.find(0, 1024), None);
    }
}
