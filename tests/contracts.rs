//! The workbench's contracts hold for the CPU too: what a kernel is refused for, no instruction set does.

mod common;

use common::devices;
use lrem::with_contract;
use lrem::workbench::contracts::OPS;
use lrem::workbench::{Runs, check, diagnose};

#[test]
fn every_instruction_set_keeps_every_contract() {
    for (op, _) in OPS {
        for (seed, device) in (1..).zip(devices()) {
            let cases = with_contract!(*op, |C| check::<C, _>(&device, seed, Runs::All));
            let verdicts = diagnose(&cases.expect("a contract"));
            assert!(verdicts.is_empty(), "{op} on {device:?}: {verdicts:?}");
        }
    }
}
