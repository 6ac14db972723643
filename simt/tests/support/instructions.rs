//! Instructions for tests that damage them, or feed them anything.

/// Instructions with many modifiers and operands.
pub const LONG: [&str; 22] = [
    "mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 %d1 , [ %r1 ] , %r2 ;",
    "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p1 , [ %r1 ] , %r2 , %r3 ;",
    "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster.L2::cache_hint [ %r1 ] , [ %d1 , { %r2 , %r3 } ] , [ %r4 ] , %h1 , %d2 ;",
    "cp.reduce.async.bulk.tensor.3d.global.shared::cta.add.tile.bulk_group [ %d1 , { %r1 , %r2 , %r3 } ] , [ %r4 ] ;",
    "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [ %r1 ] , [ %d1 ] , %r2 , [ %r3 ] ;",
    "cp.reduce.async.bulk.global.shared::cta.bulk_group.max.s32 [ %d1 ] , [ %r1 ] , 16 ;",
    "cp.async.bulk.prefetch.tensor.1d.L2.global.tile [ %d1 , { %r1 } ] ;",
    "cp.async.bulk.wait_group.read 3 ;",
    "cp.async.mbarrier.arrive.noinc.shared::cta.b64 [ %r1 ] ;",
    "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.b32 [ %r1 ] , { %r2 , %r3 } , [ %r4 ] ;",
    "red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.inc.u32 [ %r1 ] , %r2 , [ %r3 ] ;",
    "mapa.shared::cluster.u32 %r1 , %r2 , %r3 ;",
    "getctarank.shared::cluster.u64 %r1 , %d2 ;",
    "barrier.cluster.arrive.release.aligned ;",
    "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 { %r1 , %r2 , %r3 , %r4 } , %d1 , %d2 , %p1 , 1 , -1 , 0 , 1 ;",
    "wgmma.mma_async.sync.aligned.m64n8k32.s32.u8.s8.satfinite { %r1 , %r2 , %r3 , %r4 } , { %r5 , %r6 , %r7 , %r1 } , %d2 , %p1 ;",
    "wmma.load.a.sync.aligned.row.m8n8k4.shared.f64 { %d1 } , [ %r1 ] , %r2 ;",
    "wmma.mma.sync.aligned.row.col.m8n8k32.s32.s4.u4.s32 { %r1 , %r2 } , { %r3 } , { %r4 } , { %r5 , %r6 } ;",
    "red.global.add.noftz.v2.f16x2 [ %d1 ] , { %r1 , %r2 } ;",
    "lop3.and.b32 %r1 | %p1 , %r2 , %r3 , %r4 , 0x80 , %p2 ;",
    "tensormap.replace.tile.box_dim.shared::cta.b1024.b32 [ %r1 ] , 3 , %r2 ;",
    "vadd.s32.u32.s32.sat.max %r1 , %r2.b1 , %r3.h0 , %r4 ;",
];
