//! Waits that nothing can end, and asynchronous instructions whose operands are wrong: what the executor
//! reports of them.

#[path = "support/instructions.rs"]
mod instructions;

use instructions::LONG;
use simt::exec::fault::{Fault, Report};
use simt::exec::grid::{ChipLimits, Launch, Shape};
use simt::memory::Arena;
use simt::ptx::{decode::decode, parser::parse};
use std::sync::Arc;

/// The report of a module's entry `k`, one block of a warp for each of `blocks`.
fn report(body: &str, blocks: u32) -> Report {
    let text = format!(
        ".version 8.6\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 memory)\n{{\n\
         .reg .pred %p<8>;\n.reg .b32 %r<8>;\n.reg .b64 %d<8>;\n.shared .align 128 .b32 buffer[64];\n\
         .shared .align 8 .b64 bar;\n.shared .align 8 .b64 other;\nld.param.u64 %d0, [memory];\n{body}\nret;\n}}\n"
    );
    let mut arena = Arena::new(1 << 24).unwrap();
    let memory = arena.allocate(4096).unwrap();
    let module = parse(&text).unwrap();
    let mut allocate = |bytes: u64, _| arena.allocate(bytes).ok();
    let (program, _) = decode(&module, &mut allocate).unwrap();
    let shape = Shape {
        grid: [blocks, 1, 1],
        block: [32, 1, 1],
        cluster: Some([blocks, 1, 1]),
        cooperative: false,
        dynamic_shared: 0,
    };
    let limits = ChipLimits {
        multiprocessors: 132,
        warps_per_sm: 64,
    };
    let params = memory.to_le_bytes().to_vec();
    let launch = Launch::new(
        Arc::new(program),
        0,
        &shape,
        params,
        arena.allocations(),
        limits,
    );
    launch.run(1).expect_err(body)
}

fn is_mbarrier(fault: &Fault, part: &str) -> bool {
    matches!(fault, Fault::Mbarrier { problem, .. } if problem.contains(part))
}

#[test]
fn waits_that_nothing_can_end() {
    let init = "elect.sync _|%p1, -1;\n@%p1 mbarrier.init.shared.b64 [bar], 33;\n\
                @%p1 mbarrier.init.shared.b64 [other], 33;\nbar.warp.sync -1;\n";
    for wait in [
        // A loop over one wait, one over two waits, and one that bytes will never end.
        "W: mbarrier.try_wait.parity.shared.b64 %p2, [bar], 0;\n@!%p2 bra W;",
        "W: mbarrier.try_wait.parity.shared.b64 %p2, [bar], 0;\n@%p2 bra E;\n\
         mbarrier.try_wait.parity.shared.b64 %p2, [other], 0;\n@!%p2 bra W;\nE:",
        "mbarrier.arrive.shared.b64 _, [bar];\n@%p1 mbarrier.arrive.expect_tx.shared.b64 _, [bar], 16;\n\
         W: mbarrier.try_wait.parity.shared.b64 %p2, [bar], 0;\n@!%p2 bra W;",
    ] {
        let report = report(&format!("{init}{wait}"), 1);
        assert_eq!(report.fault, Fault::Deadlock, "{wait}");
    }
    // A block that leaves without arriving counts as arrived; one that waits elsewhere does not.
    let stuck = report(
        "mov.u32 %r1, %cluster_ctarank;\nsetp.eq.u32 %p1, %r1, 0;\n\
         elect.sync _|%p2, -1;\n@%p2 mbarrier.init.shared.b64 [bar], 1;\nbar.warp.sync -1;\n@%p1 bra W;\n\
         barrier.cluster.arrive;\nbarrier.cluster.wait;\nret;\n\
         W: mbarrier.try_wait.parity.shared.b64 %p3, [bar], 0;\n@!%p3 bra W;",
        2,
    );
    assert_eq!(stuck.fault, Fault::Deadlock);
}

#[test]
fn barriers_that_are_none() {
    let fault = |body: &str| report(body, 1).fault;
    let one = "elect.sync _|%p1, -1;\n@!%p1 ret;\n";
    let arrive = fault(&format!("{one}mbarrier.arrive.shared.b64 _, [bar];"));
    assert!(is_mbarrier(&arrive, "not initialised"), "{arrive}");
    let gone = fault(&format!(
        "{one}mbarrier.init.shared.b64 [bar], 2;\nmbarrier.inval.shared.b64 [bar];\n\
         mbarrier.try_wait.parity.shared.b64 %p2, [bar], 0;"
    ));
    assert!(is_mbarrier(&gone, "not initialised"), "{gone}");
    let many = fault(&format!(
        "{one}mbarrier.init.shared.b64 [bar], 2;\nmbarrier.arrive.shared.b64 _, [bar], 3;"
    ));
    assert!(is_mbarrier(&many, "more arrivals"), "{many}");
    let ends = fault(&format!(
        "{one}mbarrier.init.shared.b64 [bar], 1;\nmbarrier.arrive.noComplete.shared.b64 _, [bar], 1;"
    ));
    assert!(is_mbarrier(&ends, "noComplete"), "{ends}");
    let none = fault(&format!("{one}mbarrier.init.shared.b64 [bar], 0;"));
    assert!(is_mbarrier(&none, "count"), "{none}");
}

#[test]
fn copies_with_wrong_operands() {
    let start = "elect.sync _|%p1, -1;\n@!%p1 ret;\nmbarrier.init.shared.b64 [bar], 1;\n";
    let copy = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes";
    let tensor = "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes";
    let fault = |body: &str| report(&format!("{start}{body}"), 1).fault;
    let odd = fault(&format!("{copy} [buffer], [%d0], 24, [bar];"));
    assert!(matches!(odd, Fault::Operand(_)), "{odd}");
    let shifted = fault(&format!("{copy} [buffer+4], [%d0], 16, [bar];"));
    assert!(
        matches!(
            shifted,
            Fault::Misaligned {
                address: _,
                bytes: 16,
                ..
            }
        ),
        "{shifted}"
    );
    let far = fault(&format!("{copy} [buffer], [%d0+4080], 32, [bar];"));
    assert!(
        matches!(far, Fault::IllegalAddress { bytes: 32, .. }),
        "{far}"
    );
    let no_map = fault(&format!("{tensor} [buffer], [%d0, {{%r1, %r2}}], [bar];"));
    assert!(matches!(no_map, Fault::Operand(_)), "{no_map}");
    // A peer that the cluster does not have.
    let nobody =
        fault("mapa.shared::cluster.u32 %r1, buffer, 1;\nld.shared::cluster.u32 %r2, [%r1];");
    assert!(matches!(nobody, Fault::IllegalAddress { .. }), "{nobody}");
    // One that has left.
    let gone = report(
        "mov.u32 %r1, %cluster_ctarank;\nsetp.ne.u32 %p1, %r1, 0;\n@%p1 ret;\nbarrier.cluster.arrive;\n\
         barrier.cluster.wait;\nmapa.shared::cluster.u32 %r2, buffer, 1;\nst.shared::cluster.u32 [%r2], 1;",
        2,
    );
    assert!(matches!(gone.fault, Fault::IllegalAddress { .. }), "{gone}");
}

#[test]
fn refused_when_loaded() {
    for (instruction, part) in [
        (
            "cp.async.bulk.tensor.3d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes \
             [%r1], [%d1, {%r1, %r2, %r3}], [%r4], {%h1};",
            "im2col",
        ),
        (
            "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%d1, {%r1}], [%r4];",
            "expected 2 coordinates",
        ),
        (
            "mbarrier.arrive.noComplete.shared.b64 %d1, [%r1];",
            "too few operands",
        ),
        (
            "wgmma.mma_async.sync.aligned.m64n40k32.s32.s8.s8 {%r1}, %d1, %d2, %p1;",
            "wgmma",
        ),
        ("cp.async.bulk.wait_group -1;", "negative"),
    ] {
        let text = format!(
            ".version 8.6\n.target sm_90a\n.address_size 64\n.visible .entry k()\n{{\n.reg .pred %p<4>;\n\
             .reg .b16 %h<4>;\n.reg .b32 %r<8>;\n.reg .b64 %d<8>;\n{instruction}\nret;\n}}\n"
        );
        let module = parse(&text).unwrap();
        let error = decode(&module, &mut |_, _| Some(4096))
            .map(drop)
            .expect_err(instruction);
        assert!(
            error.message.contains(part) && error.line == 10,
            "{instruction}: {error}"
        );
    }
}

/// Whatever the registers hold, an instruction is executed or ends in a fault.
#[test]
fn operands_of_any_value() {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut state = time.unwrap().as_nanos() as u64;
    println!("seed {state:#x}");
    let mut random = move || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let loads = |kind: &str, ty: &str, from: u32, bytes: u32| -> String {
        (0..8)
            .map(|n| {
                format!(
                    "ld.global.{ty} %{kind}{n}, [%memory+{}];\n",
                    from + n * bytes
                )
            })
            .collect()
    };
    for instruction in LONG {
        let text = format!(
            ".version 8.6\n.target sm_90a\n.address_size 64\n.visible .entry k(.param .u64 memory)\n{{\n\
             .reg .pred %p<4>;\n.reg .b16 %h<8>;\n.reg .b32 %r<8>;\n.reg .b64 %d<8>, %memory;\n\
             .shared .align 1024 .b32 buffer[1024];\nld.param.u64 %memory, [memory];\n{}{}{}\
             setp.lt.s32 %p1, %r1, %r2;\nsetp.lt.s32 %p2, %r3, %r4;\n\
             mbarrier.init.shared.b64 [buffer], 2;\n{instruction}\n\
             cp.async.bulk.commit_group;\ncp.async.bulk.wait_group 0;\nwgmma.commit_group.sync.aligned;\n\
             wgmma.wait_group.sync.aligned 0;\nmbarrier.test_wait.parity.shared.b64 %p1, [buffer], 0;\nret;\n}}\n",
            loads("d", "u64", 0, 8),
            loads("r", "u32", 64, 4),
            loads("h", "u16", 96, 2),
        );
        let mut arena = Arena::new(1 << 24).unwrap();
        let memory = arena.allocate(4096).unwrap();
        let module = parse(&text).unwrap();
        let mut allocate = |bytes: u64, _| arena.allocate(bytes).ok();
        let (program, _) = decode(&module, &mut allocate).unwrap();
        let program = Arc::new(program);
        for _ in 0..200 {
            for word in 0..16 {
                let small = (random() % 8192) & !(random() % 128);
                let value = match random() % 6 {
                    0 => random(),
                    1 => small,
                    2 => memory + small,
                    3 => (1 << 56) + small,
                    4 => small << 32 | small,
                    _ => (random() % 4) << 24 | small,
                };
                // SAFETY: the word is in the allocation, and no launch is running.
                unsafe { ((memory + 8 * word) as *mut u64).write(value) };
            }
            let shape = Shape {
                grid: [2, 1, 1],
                block: [32, 1, 1],
                cluster: Some([2, 1, 1]),
                cooperative: false,
                dynamic_shared: 0,
            };
            let limits = ChipLimits {
                multiprocessors: 132,
                warps_per_sm: 64,
            };
            let params = memory.to_le_bytes().to_vec();
            let allocations = arena.allocations();
            let launch = Launch::new(Arc::clone(&program), 0, &shape, params, allocations, limits);
            let _ = launch.run(1);
        }
    }
}
