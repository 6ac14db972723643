//! Boxes of tensors, and products of CuTe and Triton that move them: what has to cross the memory's pins is
//! what the matrices have.

use crate::machine::{Machine, Setup, kernel};
use crate::maps::{BF16, F32, Map, Params, matrix};
use simt::count::record::{Record, Traffic, Wavefronts};

/// The record of an entry on zeroed buffers, whose addresses `params` makes into arguments.
fn run(
    text: &str,
    entry: &str,
    (grid, block, shared): ([u32; 3], u32, u32),
    buffers: &[u64],
    params: impl FnOnce(&[u64], &mut Params),
) -> Record {
    let mut machine = Machine::new();
    let mut allocate = |bytes: &u64| {
        let at = machine.allocate(*bytes);
        // SAFETY: the machine has just given these bytes.
        unsafe { (at as *mut u8).write_bytes(0, *bytes as usize) };
        at
    };
    let addresses: Vec<u64> = buffers.iter().map(&mut allocate).collect();
    let mut bytes = Params::default();
    params(&addresses, &mut bytes);
    let setup = Setup {
        grid,
        block,
        shared,
        params: &bytes.0,
    };
    machine.launch(text, entry, &setup)
}

/// A box of 8 rows and 32 columns of f32 at row 45 and column 80 of a matrix of 50 rows and 100 columns, by
/// its first thread: 5 rows of 20 are inside.
fn corner(body: &str, swizzle: u32) -> Record {
    let body = format!(
        "mov.u32 %r1, tile; add.u32 %r2, %r1, 12288; mov.u32 %r3, 80; mov.u32 %r4, 45;\
         mov.u64 %d1, p_a; cvta.param.u64 %d1, %d1; {body}"
    );
    let text = kernel(&body)
        .replace(".param .u64 p_a", ".param .align 64 .b8 p_a[128]")
        .replace("ld.param.u64 %a, [p_a];", "");
    let bytes = 50 * 416;
    run(&text, "k", ([1; 3], 1, 0), &[bytes], |at, params| {
        let Map(map) = matrix(F32, at[0], [50, 100, 104], [8, 32], swizzle);
        params.push(&map, 64).push(&0u64.to_le_bytes(), 8);
    })
}

/// Rows of 416 bytes are 13 sectors, and column 80 begins a sector: three for each row.
const CORNER: Traffic = Traffic {
    requests: 1,
    bytes: 5 * 80,
    sectors: 5 * 3,
    ideal_sectors: 13,
};

#[test]
fn a_box_that_leaves_its_tensor_is_loaded() {
    for swizzle in [0, 3] {
        let record = corner(
            "mbarrier.init.shared.b64 [%r2], 1;\
             mbarrier.arrive.expect_tx.shared.b64 _, [%r2], 1024;\
             cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes\
             [%r1], [%d1, {%r3, %r4}], [%r2];\
             wait: mbarrier.try_wait.parity.shared.b64 %p2, [%r2], 0; @!%p2 bra wait;",
            swizzle,
        );
        assert_eq!(record.global.loads, CORNER);
        assert_eq!(record.unique.read_bytes, 400);
        // What is outside is filled: 1024 bytes, and the 8 of the mbarrier.
        let stores = &record.shared.stores;
        assert_eq!((stores.bytes, stores.wavefronts), (1032, 9));
    }
}

#[test]
fn a_box_that_leaves_its_tensor_is_stored_and_added() {
    let group = "cp.async.bulk.commit_group; cp.async.bulk.wait_group 0;";
    for swizzle in [0, 3] {
        let record = corner(
            &format!(
                "cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%d1, {{%r3, %r4}}], [%r1]; {group}"
            ),
            swizzle,
        );
        assert_eq!(record.global.stores, CORNER);
        let unique = &record.unique;
        assert_eq!((unique.read_bytes, unique.written_bytes), (0, 400));
        // A line for each row; those of the fourth of the rows that are outside are not needed.
        let loads = Wavefronts {
            requests: 1,
            bytes: 400,
            wavefronts: 5,
            ideal_wavefronts: 4,
        };
        assert_eq!(record.shared.loads, loads);
        let record = corner(
            &format!(
                "cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group\
                 [%d1, {{%r3, %r4}}], [%r1]; {group}"
            ),
            swizzle,
        );
        assert_eq!(record.global.atomics, CORNER);
        assert_eq!(record.unique.read_bytes, 400);
        assert_eq!(record.unique.written_bytes, 400);
    }
}

#[test]
fn a_box_is_prefetched() {
    let record = corner(
        "cp.async.bulk.prefetch.tensor.2d.L2.global.tile [%d1, {%r3, %r4}];",
        3,
    );
    assert_eq!(record.global.loads, CORNER);
    assert_eq!(record.l2.miss_sectors, 15);
    assert_eq!(record.shared.stores, Wavefronts::default());
}

#[test]
fn product_of_cute() {
    // The last tile of 64 along k leaves the matrices.
    for (part, name, swizzles) in [
        (
            include_str!("../ptx/cute_sm90_tma0.ptx"),
            "k_sw128_k_sw128",
            [3, 3],
        ),
        (
            include_str!("../ptx/cute_sm90_tma0.ptx"),
            "k_sw64_k_sw32",
            [2, 1],
        ),
    ] {
        let (m, n, k) = (64u64, 128u64, 296u64);
        let tiles = k.div_ceil(64);
        let shared = (2 * (m + n) * 64 * 2 + 64) as u32;
        let buffers = [2 * m * k, 2 * n * k, 4 * m * n];
        let shape = ([1; 3], 256, shared);
        let record = run(part, name, shape, &buffers, |at, params| {
            let [a, b] = [(m, 0), (n, 1)].map(|(rows, i)| {
                let width = 8 << swizzles[i];
                matrix(BF16, at[i], [rows, k, k], [rows as u32, width], swizzles[i])
            });
            params.push(&a.0, 64).push(&b.0, 64);
            params.push(&at[2].to_le_bytes(), 8);
            params.push(&(tiles as u32).to_le_bytes(), 4);
        });
        assert_eq!(record.flops.tensor, 2 * m * n * tiles * 64);
        assert_eq!(record.unique.read_bytes, 2 * (m + n) * k, "{name}");
        assert_eq!(record.unique.written_bytes, 4 * m * n);
        assert_eq!(record.global.loads.bytes, 2 * (m + n) * k);
        assert_eq!(record.global.stores.bytes, 4 * m * n);
        assert_eq!(record.l2.memory_read_bytes, 2 * (m + n) * k);
        assert_eq!(record.l2.memory_written_bytes, 4 * m * n);
        // Whole tiles, and four mbarriers of 8 bytes.
        let filled = 2 * (m + n) * tiles * 64;
        assert_eq!(record.shared.stores.bytes, filled + 4 * 8);
        assert_eq!(record.shared.stores.wavefronts, filled / 128 + 4);
    }
}

#[test]
fn tile_of_cute_stored_and_added() {
    let (rows, pitch) = (50u64, 80u64);
    let text = include_str!("../ptx/cute_sm90_tma3.ptx");
    let buffers = [4 * 64 * 64, 2 * 64 * pitch, 2 * 64 * pitch];
    let shape = ([1; 3], 128, 8192);
    let record = run(text, "store_tile", shape, &buffers, |at, params| {
        params.push(&at[0].to_le_bytes(), 8);
        for to in &at[1..] {
            let Map(map) = matrix(BF16, *to, [rows, 64, pitch], [64, 64], 3);
            params.push(&map, 64);
        }
    });
    let tile = 2 * rows * 64;
    assert_eq!(record.unique.read_bytes, 4 * 64 * 64 + tile);
    assert_eq!(record.unique.written_bytes, 2 * tile);
    assert_eq!(record.global.stores.bytes, tile);
    assert_eq!(record.global.atomics.bytes, tile);
    // Rows of 128 bytes, each of which lies in one line, for both.
    assert_eq!(record.shared.loads.wavefronts, 2 * rows);
}

#[test]
fn product_of_triton() {
    let (m, n, k) = (256u64, 256u64, 320u64);
    let text = include_str!("../ptx/triton_descriptors_sm90.ptx");
    let buffers = [2 * m * k, 2 * k * n, 2 * m * n];
    let shape = ([m as u32 / 128, n as u32 / 128, 1], 128, 98328);
    let record = run(text, "descriptors", shape, &buffers, |at, params| {
        for (i, [rows, columns], extent) in [
            (0, [m, k], [128, 64]),
            (1, [k, n], [64, 64]),
            (2, [m, n], [128, 64]),
        ] {
            let Map(map) = matrix(BF16, at[i], [rows, columns, columns], extent, 3);
            params.push(&map, 64);
            params.push(&(rows as u32).to_le_bytes(), 4);
            params.push(&(columns as u32).to_le_bytes(), 4);
            params.push(&columns.to_le_bytes(), 8);
            params.push(&1u64.to_le_bytes(), 8);
        }
        params.push(&(k as u32).to_le_bytes(), 4);
        params.push(&[0; 16], 8);
    });
    assert_eq!(record.unique.read_bytes, 2 * (m * k + k * n));
    assert_eq!(record.unique.written_bytes, 2 * m * n);
    assert_eq!(record.l2.memory_read_bytes, 2 * (m * k + k * n));
    assert_eq!(record.l2.memory_written_bytes, 2 * m * n);
    assert_eq!(record.flops.tensor, 2 * m * n * k);
}
