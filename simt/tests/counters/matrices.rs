//! Loads and stores of `wmma`.

use crate::machine::{Machine, Setup};
use simt::count::record::{Record, Traffic};

#[test]
fn matrices_in_global_memory() {
    let mut machine = Machine::new();
    let params: Vec<u8> = [512, 512, 1024]
        .map(|bytes| machine.allocate(bytes).to_le_bytes())
        .concat();
    let setup = Setup {
        grid: [1; 3],
        block: 32,
        shared: 0,
        params: &params,
    };
    let record = machine.launch(include_str!("../ptx/wmma.ptx"), "f16_f32", &setup);
    // A and B of 256 halves each, C of 256 words, all without gaps.
    let loads = Traffic {
        requests: 3,
        bytes: 2048,
        sectors: 64,
        ideal_sectors: 64,
    };
    assert_eq!(record.global.loads, loads);
    let stores = Traffic {
        requests: 1,
        bytes: 1024,
        sectors: 32,
        ideal_sectors: 32,
    };
    assert_eq!(record.global.stores, stores);
    let unique = &record.unique;
    assert_eq!((unique.read_bytes, unique.written_bytes), (2048, 1024));
    assert_eq!(record.instructions.by_class["load.param"], 3);
}

/// A of 16 × 16 halves from shared memory, `stride` elements from row to row, or from column to column.
fn load(layout: &str, space: &str, stride: u32) -> Record {
    let body = format!(
        "mov.u64 %d1, tile; cvta.shared.u64 %d2, %d1; mov.u32 %r1, tile;\
         wmma.load.a.sync.aligned.{layout}.m16n16k16{space}.f16\
         {{%r2, %r3, %r4, %r5, %r6, %r7, %r8, %r9}}, [{}], {stride};",
        if space.is_empty() { "%d2" } else { "%r1" }
    );
    Machine::new().run(&body, 1, 32, 64)
}

#[test]
fn matrices_in_shared_memory() {
    for layout in ["row", "col"] {
        for space in [".shared", ""] {
            // Rows of 32 bytes: one after another; 128 bytes apart, so that four of them, which go at
            // once, meet in the same banks; and with 16 bytes between them and those.
            for (stride, wavefronts) in [(16, 4), (64, 16), (72, 8)] {
                let shared = load(layout, space, stride).shared;
                let found = (shared.loads.requests, shared.loads.bytes);
                assert_eq!(found, (1, 512), "{layout} {space} {stride}");
                let found = (shared.loads.wavefronts, shared.loads.ideal_wavefronts);
                assert_eq!(found, (wavefronts, 4), "{layout} {space} {stride}");
            }
        }
    }
    let body = "mov.u32 %r1, tile; wmma.store.d.sync.aligned.row.m16n16k16.shared.f32 [%r1],\
                {%f1, %f2, %f3, %f4, %f5, %f6, %f7, %f8}, 16;";
    let shared = Machine::new().run(body, 2, 64, 64).shared;
    assert_eq!((shared.stores.requests, shared.stores.bytes), (4, 4096));
    assert_eq!(shared.stores.wavefronts, 4 * 8);
    assert_eq!(shared.stores.ideal_wavefronts, 4 * 8);
}
