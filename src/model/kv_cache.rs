//! The key/value cache: one store per layer, cut into spans that segments own and share.

use super::config::ModelConfig;
use crate::device::{Activation, Device, Result};
use crate::ops::forest::Span;

/// Keys and values of cached tokens, `[capacity, kv_dim]` per layer. Spans are contiguous; a trunk's
/// span is stored once and named by every segment below it.
pub struct KvCache<D: Device> {
    capacity: usize,
    pub(super) keys: Vec<Activation<D>>,
    pub(super) values: Vec<Activation<D>>,
    /// Free spans, ascending and never touching.
    free: Vec<Span>,
}

impl<D: Device> KvCache<D> {
    /// A cache of `capacity` tokens. It takes `2 · layers · capacity · kv_dim` numbers of the
    /// activations' type.
    pub fn new(device: &D, config: &ModelConfig, capacity: usize) -> Result<Self> {
        let len = capacity * config.heads().kv_dim();
        let store = || {
            (0..config.num_hidden_layers)
                .map(|_| device.zeros(len))
                .collect::<Result<Vec<_>>>()
        };
        Ok(KvCache {
            capacity,
            keys: store()?,
            values: store()?,
            free: vec![Span {
                start: 0,
                len: capacity,
            }],
        })
    }

    /// Tokens that fit.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Tokens not taken by any span.
    pub fn available(&self) -> usize {
        self.free.iter().map(|s| s.len).sum()
    }

    /// Takes a span of `len` tokens, the first that fits; `None` where no free span is long enough.
    pub fn take(&mut self, len: usize) -> Option<Span> {
        let at = self.free.iter().position(|s| s.len >= len)?;
        let span = Span {
            start: self.free[at].start,
            len,
        };
        self.free[at].start += len;
        self.free[at].len -= len;
        if self.free[at].len == 0 {
            self.free.remove(at);
        }
        Some(span)
    }

    /// Gives a span back.
    pub fn give(&mut self, span: Span) {
        if span.len == 0 {
            return;
        }
        let at = self.free.partition_point(|s| s.start < span.start);
        self.free.insert(at, span);
        if at + 1 < self.free.len() && self.free[at].range().end == self.free[at + 1].start {
            self.free[at].len += self.free[at + 1].len;
            self.free.remove(at + 1);
        }
        if at > 0 && self.free[at - 1].range().end == self.free[at].start {
            self.free[at - 1].len += self.free[at].len;
            self.free.remove(at);
        }
    }
}
