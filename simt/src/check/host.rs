//! What the host does to device memory.

use super::allocations::Origin;
use super::finding::{Finding, Kind};
use super::settings::Checks;
use super::state::State;
use crate::watch::{Event, Mistake, Transfer, TransferKind, call};

impl State {
    /// Takes note of an event.
    pub fn host_event(&mut self, checks: Checks, event: &Event<'_>) {
        match *event {
            Event::Allocated { address, bytes } => {
                self.allocations.add(address, bytes, Origin::Call(call()));
                self.mark(false, address, bytes);
            }
            Event::Registered { address, bytes } => {
                // Each device tells of it.
                let is_known = self.allocations.find(address);
                if is_known.is_none_or(|known| (known.address, known.bytes) != (address, bytes)) {
                    self.allocations.add(address, bytes, Origin::Host(call()));
                }
                self.mark(true, address, bytes);
            }
            Event::Variable {
                name,
                address,
                bytes,
            } => {
                self.allocations.name(address, name);
                self.mark(true, address, bytes);
            }
            Event::Freed { address, bytes } => {
                self.allocations.free(address, call());
                self.mark(false, address, bytes);
            }
            Event::DeviceEnds => {
                if checks.leaks {
                    self.find_leaks();
                }
            }
            Event::Transferred(transfer) => self.transferred(&transfer),
            Event::Refused {
                mistake,
                address,
                bytes,
            } => {
                if checks.memory {
                    self.refused(mistake, address, bytes);
                }
            }
        }
    }

    fn mark(&mut self, is_written: bool, address: u64, bytes: u64) {
        let range = address..address.saturating_add(bytes);
        if is_written {
            self.written.set(range);
        } else {
            self.written.clear(range);
        }
    }

    fn transferred(&mut self, transfer: &Transfer) {
        let Transfer {
            kind,
            to,
            from,
            bytes,
            ..
        } = *transfer;
        let is_ours = |address| self.allocations.find(address).is_some();
        // Of what the host writes by itself nobody knows that it is undefined.
        let is_device = |address| {
            let found = self.allocations.find(address);
            found.is_some_and(|known| !matches!(known.origin, Origin::Host(_)))
        };
        match kind {
            TransferKind::ToHost => {}
            TransferKind::ToDevice | TransferKind::Fill => self.mark(true, to, bytes),
            // What was undefined stays so where it goes.
            TransferKind::OnDevice | TransferKind::Anywhere if is_ours(from) && is_device(to) => {
                self.written.copy(from, to, bytes);
            }
            TransferKind::OnDevice | TransferKind::Anywhere => {
                if is_ours(to) {
                    self.mark(true, to, bytes);
                }
            }
        }
    }

    fn refused(&mut self, mistake: Mistake, address: u64, bytes: u64) {
        let (kind, action) = match mistake {
            Mistake::Free => {
                let is_second = self
                    .allocations
                    .find_freed(address)
                    .is_some_and(|a| a.address == address);
                if is_second {
                    (Kind::DoubleFree, format!("{} of what is free", call()))
                } else {
                    (Kind::InvalidFree, format!("{} of no allocation", call()))
                }
            }
            Mistake::Transfer => {
                let action = format!("{} of {bytes} bytes, which leave the allocation,", call());
                (Kind::InvalidTransfer, action)
            }
        };
        let mut finding = Finding::new(kind, action);
        finding.memory = Some(self.memory(address));
        self.host_finding(address, finding);
    }
}
