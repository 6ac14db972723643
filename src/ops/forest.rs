//! Packed sequences with shared trunks.
//!
//! A batch is one row of tokens without padding, cut into *segments*. A segment may have a parent
//! segment (its *trunk*) whose keys and values it attends to as a whole, and which may have a parent
//! itself, so that a batch is a forest of prefixes: instructions → query → rollouts. A shared prefix
//! is computed once, in prefill, in decoding and in training (cf. Hydragen, arXiv 2402.05099, and
//! cascade attention).

use std::ops::Range;

/// A run of rows in a key/value store (the packed batch itself in training, the cache in decoding).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First row.
    pub start: usize,
    /// Number of rows.
    pub len: usize,
}

impl Span {
    /// The rows as a range.
    pub fn range(&self) -> Range<usize> {
        self.start..self.start + self.len
    }
}

/// Which keys of its segment's own span a query row sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mask {
    /// Those up to its own: a decoder's.
    #[default]
    Causal,
    /// All: an encoder's.
    Full,
    /// None, so that the ancestors' keys are all that there is: cross-attention.
    Ancestors,
}

/// One run of new tokens (query rows) and the keys it may see.
///
/// Query row `i` of the segment (`0 ≤ i < rows.len()`) sees every key of every ancestor span, and of
/// its own span those that the mask leaves: with [`Mask::Causal`] the first `own.len - rows.len() + i + 1`
/// (`own` may start with keys of tokens that were computed earlier).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Rows of the packed batch that are computed now.
    pub rows: Range<usize>,
    /// Keys of this segment itself, the new tokens last.
    pub own: Span,
    /// What the rows see of `own`.
    pub mask: Mask,
    /// Keys of the ancestors, root first.
    pub ancestors: Vec<Span>,
    /// Index of the parent among the forest's segments, where the parent is computed in the same
    /// batch.
    pub parent: Option<usize>,
}

impl Segment {
    /// Keys of its own span that row `i` sees, the first ones.
    pub fn own_visible(&self, i: usize) -> usize {
        match self.mask {
            Mask::Causal => self.own.len - self.rows.len() + i + 1,
            Mask::Full => self.own.len,
            Mask::Ancestors => 0,
        }
    }

    /// The first row that sees key `key` of its own span, as do all behind it; the number of rows where none
    /// does.
    pub fn first_to_see(&self, key: usize) -> usize {
        match self.mask {
            Mask::Causal => (key + self.rows.len()).saturating_sub(self.own.len),
            Mask::Full => 0,
            Mask::Ancestors => self.rows.len(),
        }
    }
}

/// A packed batch: segments in the order of their rows, parents before children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forest {
    /// The segments.
    pub segments: Vec<Segment>,
}

impl Forest {
    /// Packs segments of the given lengths one after another; `(len, parent)` with `parent` an
    /// earlier index. Keys live in the same rows as queries (training and one-shot encoding).
    ///
    /// # Panics
    /// If a parent does not come before its child, or a length is zero.
    pub fn packed(parts: &[(usize, Option<usize>)]) -> Forest {
        let mut segments: Vec<Segment> = Vec::with_capacity(parts.len());
        let mut start = 0;
        for (index, &(len, parent)) in parts.iter().enumerate() {
            assert!(len > 0, "segment {index} is empty");
            let ancestors = match parent {
                None => Vec::new(),
                Some(p) => {
                    assert!(p < index, "segment {index} comes before its parent {p}");
                    let mut a = segments[p].ancestors.clone();
                    a.push(segments[p].own);
                    a
                }
            };
            segments.push(Segment {
                rows: start..start + len,
                own: Span { start, len },
                mask: Mask::Causal,
                ancestors,
                parent,
            });
            start += len;
        }
        Forest { segments }
    }

    /// The same forest with another mask of every segment.
    pub fn masked(mut self, mask: Mask) -> Forest {
        self.segments.iter_mut().for_each(|s| s.mask = mask);
        self
    }

    /// Number of query rows (tokens of the packed batch).
    pub fn tokens(&self) -> usize {
        self.segments.last().map_or(0, |s| s.rows.end)
    }

    /// Position of every row in its sequence: the number of keys of its ancestors plus its index in
    /// its own span.
    pub fn positions(&self) -> Vec<u32> {
        let mut positions = Vec::with_capacity(self.tokens());
        for s in &self.segments {
            let before: usize = s.ancestors.iter().map(|a| a.len).sum();
            let first = before + s.own.len - s.rows.len();
            positions.extend((0..s.rows.len()).map(|i| (first + i) as u32));
        }
        positions
    }
}
