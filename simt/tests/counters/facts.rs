//! What the decoder says of instructions to those who watch, and when they see them.

use crate::machine::kernel;
use simt::exec::facts::{Effect, Facts};
use simt::exec::fault::Report;
use simt::exec::grid::{ChipLimits, Launch, Shape};
use simt::exec::touch::Kind::{Atomic, CopyFrom, CopyTo, Read, Write};
use simt::exec::touch::{Order, Scope, Touch};
use simt::memory::Arena;
use simt::ptx::types::Space;
use simt::ptx::{decode::decode, parser::parse};
use simt::watch::{Issue, LaunchWatch, Observer, Watch};
use std::sync::{Arc, Mutex};

/// The facts of the only instruction of a body.
fn facts(instruction: &str) -> Facts {
    let text = kernel(&format!("\n{instruction}\n"));
    let line = text.lines().position(|l| l == instruction).unwrap() as u32 + 1;
    let module = parse(&text).unwrap();
    let (program, _) = decode(&module, &mut |_, _| None).unwrap();
    let at = program.lines.iter().position(|l| *l == line).unwrap();
    program.facts[at]
}

fn touches(instruction: &str) -> Vec<Touch> {
    facts(instruction).touches.into_iter().flatten().collect()
}

#[test]
fn accesses() {
    use Order::*;
    for (instruction, kind, space, bytes, count, order, scope) in [
        (
            "ld.global.f32 %f1, [%a];",
            Read,
            Space::Global,
            4,
            1,
            Weak,
            None,
        ),
        (
            "ld.acquire.gpu.global.u32 %r1, [%a];",
            Read,
            Space::Global,
            4,
            1,
            Acquire,
            Some(Scope::Gpu),
        ),
        (
            "ld.relaxed.cluster.u64 %d1, [%a];",
            Read,
            Space::Generic,
            8,
            1,
            Relaxed,
            Some(Scope::Cluster),
        ),
        (
            "ld.volatile.shared.u8 %r1, [tile];",
            Read,
            Space::Shared,
            1,
            1,
            Volatile,
            Some(Scope::Sys),
        ),
        (
            "ld.param.u64 %d1, [p_a];",
            Read,
            Space::Param,
            8,
            1,
            Weak,
            None,
        ),
        (
            "st.release.sys.global.u32 [%a], %r1;",
            Write,
            Space::Global,
            4,
            1,
            Release,
            Some(Scope::Sys),
        ),
        (
            "st.shared.v4.b32 [tile], {%r1, %r2, %r3, %r4};",
            Write,
            Space::Shared,
            4,
            4,
            Weak,
            None,
        ),
        (
            "atom.global.add.u32 %r1, [%a], 1;",
            Atomic,
            Space::Global,
            4,
            1,
            Relaxed,
            Some(Scope::Gpu),
        ),
        (
            "atom.acq_rel.cta.shared.exch.b64 %d1, [tile], %d2;",
            Atomic,
            Space::Shared,
            8,
            1,
            AcqRel,
            Some(Scope::Cta),
        ),
        (
            "mbarrier.arrive.relaxed.cluster.shared::cta.b64 _, [tile];",
            Atomic,
            Space::Shared,
            8,
            1,
            Relaxed,
            Some(Scope::Cluster),
        ),
        (
            "red.release.gpu.global.add.u32 [%a], 1;",
            Atomic,
            Space::Global,
            4,
            1,
            Release,
            Some(Scope::Gpu),
        ),
    ] {
        let touches = touches(instruction);
        let [touch] = &touches[..] else {
            panic!("{instruction}: {touches:?}");
        };
        let found = (
            touch.kind,
            touch.space,
            touch.bytes,
            touch.count,
            touch.order,
        );
        assert_eq!(found, (kind, space, bytes, count, order), "{instruction}");
        // Of a weak access the scope means nothing.
        if let Some(scope) = scope {
            assert_eq!(touch.scope, scope, "{instruction}");
        }
        assert!(!touch.non_coherent);
    }
    assert!(touches("ld.global.nc.f32 %f1, [%a];")[0].non_coherent);
    let copy = touches("cp.async.cg.shared.global [%r1], [%a], 16;");
    let found: Vec<_> = copy.iter().map(|t| (t.kind, t.space, t.bytes)).collect();
    assert_eq!(
        found,
        [(CopyFrom, Space::Global, 16), (CopyTo, Space::Shared, 16)]
    );
    assert_eq!(touches("add.u32 %r1, %r1, 1;"), []);
}

#[test]
fn effects() {
    let fence = |order, scope, proxy| Effect::Fence {
        order,
        scope,
        proxy,
    };
    for (instruction, effect) in [
        (
            "fence.acq_rel.gpu;",
            fence(Order::AcqRel, Scope::Gpu, false),
        ),
        ("fence.sc.cta;", fence(Order::Sc, Scope::Cta, false)),
        ("membar.gl;", fence(Order::Sc, Scope::Gpu, false)),
        ("membar.cta;", fence(Order::Sc, Scope::Cta, false)),
        ("cp.async.commit_group;", Effect::CopyCommit),
        ("cp.async.wait_group 2;", Effect::CopyWait { keep: Some(2) }),
        ("cp.async.wait_all;", Effect::CopyWait { keep: None }),
        ("cp.async.bulk.commit_group;", Effect::BulkCommit),
        (
            "cp.async.bulk.wait_group.read 1;",
            Effect::BulkWait {
                keep: 1,
                only_reads: true,
            },
        ),
        (
            "cp.async.bulk.wait_group 0;",
            Effect::BulkWait {
                keep: 0,
                only_reads: false,
            },
        ),
        (
            "mbarrier.test_wait.parity.shared.b64 %p1, [%r1], 0;",
            Effect::MbarrierWait,
        ),
        (
            "barrier.cluster.arrive.relaxed.aligned;",
            Effect::ClusterArrive { releases: false },
        ),
        (
            "barrier.cluster.arrive;",
            Effect::ClusterArrive { releases: true },
        ),
        ("barrier.cluster.wait.acquire;", Effect::ClusterWait),
        ("exit;", Effect::Exit),
        ("add.u32 %r1, %r1, 1;", Effect::None),
    ] {
        assert_eq!(facts(instruction).effect, effect, "{instruction}");
    }
    for (instruction, is_waiting, is_aligned) in [
        ("bar.sync 0;", true, true),
        ("barrier.sync 0;", true, false),
        ("barrier.arrive.aligned 1, 64;", false, true),
    ] {
        let Effect::Barrier { waits, aligned, .. } = facts(instruction).effect else {
            panic!("{instruction}");
        };
        assert_eq!((waits, aligned), (is_waiting, is_aligned), "{instruction}");
    }
    for instruction in [
        "bar.warp.sync -1;",
        "shfl.sync.idx.b32 %r1, %r2, 0, 31, -1;",
    ] {
        assert!(matches!(facts(instruction).effect, Effect::Warp { .. }));
    }
}

/// Line of the text, warp, lanes, and whether they go on behind a barrier.
type Note = (u32, u32, u32, bool);

/// Notes what it sees of the last block.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<Note>>>);

impl Watch for Notes {
    fn launch(&self, _: &Launch) -> Option<Box<dyn LaunchWatch>> {
        Some(Box::new(self.clone()))
    }
}

impl LaunchWatch for Notes {
    fn observer(&self) -> Option<Box<dyn Observer>> {
        Some(Box::new(self.clone()))
    }

    fn end(self: Box<Self>, _: &Launch, fault: Option<&Report>) {
        assert!(fault.is_none());
    }
}

impl Observer for Notes {
    fn before(&mut self, issue: &Issue<'_>) {
        if issue.block().index != 2 {
            return;
        }
        assert_eq!(issue.block().id, [2, 0, 0]);
        let note = (issue.ptx_line(), issue.warp(), issue.mask(), false);
        self.0.lock().unwrap().push(note);
        for touched in issue.touches().filter(|t| t.kind == Write) {
            // Before the instruction: shared memory still holds zeros there.
            let addresses = touched.addresses();
            for lane in (0..32).filter(|lane| touched.lanes() >> lane & 1 != 0) {
                assert_eq!(
                    addresses[lane],
                    u64::from(issue.first_thread()) * 4 + 4 * lane as u64
                );
                // SAFETY: the offset is in the block's shared memory.
                let there = unsafe { issue.block().shared().add(addresses[lane] as usize).read() };
                assert_eq!((touched.lane_bytes(lane), there), (4, 0));
            }
        }
    }

    fn passed(&mut self, issue: &Issue<'_>) {
        let note = (issue.ptx_line(), issue.warp(), issue.mask(), true);
        self.0.lock().unwrap().push(note);
    }

    fn finish(self: Box<Self>) {}
}

#[test]
fn what_an_observer_sees() {
    // The last block alone has threads that come as far as the body.
    let body = "\nmov.u32 %r1, %ctaid.x; setp.ne.u32 %p1, %r1, 2; @%p1 exit;\n\
                bar.sync 0;\nmad.lo.u32 %r1, %tid, 4, 0; st.shared.u32 [%r1], -1;\n";
    let text = kernel(body);
    let line = |what: &str| text.lines().position(|l| l.contains(what)).unwrap() as u32 + 1;
    let (barrier, store) = (line("bar.sync"), line("st.shared"));
    let module = parse(&text).unwrap();
    let (program, _) = decode(&module, &mut |_, _| None).unwrap();
    let shape = Shape {
        grid: [3, 1, 1],
        block: [40, 1, 1],
        cluster: None,
        cooperative: false,
        dynamic_shared: 0,
    };
    let limits = ChipLimits {
        multiprocessors: 1,
        warps_per_sm: 64,
    };
    let memory = Arena::new(1 << 20).unwrap().allocations();
    let params = vec![0; 16];
    let mut launch = Launch::new(Arc::new(program), 0, &shape, params, memory, limits);
    let notes = Notes::default();
    launch.watches.push(Arc::new(notes.clone()));
    launch.run(1).unwrap();
    let seen: Vec<_> = notes.0.lock().unwrap().clone();
    let at = |wanted: u32| -> Vec<_> {
        let found = seen.iter().filter(|(line, ..)| *line == wanted);
        found
            .map(|(_, warp, mask, passed)| (*warp, *mask, *passed))
            .collect()
    };
    let (all, few) = (!0, 0xff);
    let expected = [
        (0, all, false),
        (1, few, false),
        (0, all, true),
        (1, few, true),
    ];
    let mut found = at(barrier);
    found.sort_by_key(|(warp, _, passed)| (*passed, *warp));
    assert_eq!(found, expected);
    // `mad` and the store, of each warp.
    assert_eq!(at(store).len(), 4);
}
