//! Special registers (PTX ISA, "Special Registers").

use super::warp::Warp;

/// A register that the machine fills. All but the clocks keep their value while a thread runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Special {
    Tid(usize),
    Ntid(usize),
    Ctaid(usize),
    Nctaid(usize),
    LaneId,
    WarpId,
    NWarpId,
    SmId,
    NSmId,
    GridId,
    LaneMaskEq,
    LaneMaskLe,
    LaneMaskLt,
    LaneMaskGe,
    LaneMaskGt,
    IsExplicitCluster,
    ClusterId(usize),
    NClusterId(usize),
    ClusterCtaid(usize),
    ClusterNctaid(usize),
    ClusterCtaRank,
    ClusterNctaRank,
    TotalSharedSize,
    DynamicSharedSize,
    /// `%envreg<n>`, which no driver sets.
    EnvReg,
    /// The address of a byte of this call's local memory, in the local space.
    LocalOffset(u32),
    /// The same, generic.
    LocalAddress(u32),
    Clock,
    ClockHi,
    Clock64,
    GlobalTimer,
    GlobalTimerLo,
    GlobalTimerHi,
}

impl Special {
    /// The register of that name, with the component after its dot.
    pub fn parse(name: &str, part: Option<&str>) -> Option<Special> {
        use Special::*;
        if let Some(part) = part {
            let axis = ["x", "y", "z"].iter().position(|p| *p == part)?;
            return Some(match name {
                "%tid" => Tid(axis),
                "%ntid" => Ntid(axis),
                "%ctaid" => Ctaid(axis),
                "%nctaid" => Nctaid(axis),
                "%clusterid" => ClusterId(axis),
                "%nclusterid" => NClusterId(axis),
                "%cluster_ctaid" => ClusterCtaid(axis),
                "%cluster_nctaid" => ClusterNctaid(axis),
                _ => return None,
            });
        }
        Some(match name {
            "%laneid" => LaneId,
            "%warpid" => WarpId,
            "%nwarpid" => NWarpId,
            "%smid" => SmId,
            "%nsmid" => NSmId,
            "%gridid" => GridId,
            "%lanemask_eq" => LaneMaskEq,
            "%lanemask_le" => LaneMaskLe,
            "%lanemask_lt" => LaneMaskLt,
            "%lanemask_ge" => LaneMaskGe,
            "%lanemask_gt" => LaneMaskGt,
            "%is_explicit_cluster" => IsExplicitCluster,
            "%cluster_ctarank" => ClusterCtaRank,
            "%cluster_nctarank" => ClusterNctaRank,
            "%total_smem_size" | "%aggr_smem_size" => TotalSharedSize,
            "%dynamic_smem_size" => DynamicSharedSize,
            "%clock" => Clock,
            "%clock_hi" => ClockHi,
            "%clock64" => Clock64,
            "%globaltimer" => GlobalTimer,
            "%globaltimer_lo" => GlobalTimerLo,
            "%globaltimer_hi" => GlobalTimerHi,
            _ => {
                let number: u32 = name.strip_prefix("%envreg")?.parse().ok()?;
                return (number < 32).then_some(EnvReg);
            }
        })
    }

    /// Whether reading it twice may give two values.
    pub fn is_clock(self) -> bool {
        use Special::*;
        matches!(
            self,
            Clock | ClockHi | Clock64 | GlobalTimer | GlobalTimerLo | GlobalTimerHi
        )
    }

    /// Whether it holds a truth value.
    pub fn is_predicate(self) -> bool {
        self == Special::IsExplicitCluster
    }

    /// Its value in a lane.
    pub fn value(self, warp: &Warp, lane: u32) -> u64 {
        use Special::*;
        let block = warp.block();
        let launch = block.launch();
        let thread = warp.first_thread + lane;
        let wide = |x: u32| u64::from(x);
        let [x, y, _] = launch.block;
        let mask = 1u32 << lane;
        let cluster = launch.cluster;
        match self {
            Tid(0) => wide(thread % x),
            Tid(1) => wide(thread / x % y),
            Tid(_) => wide(thread / x / y),
            Ntid(axis) => wide(launch.block[axis]),
            Ctaid(axis) => wide(block.id[axis]),
            Nctaid(axis) => wide(launch.grid[axis]),
            LaneId => wide(lane),
            WarpId => wide(warp.first_thread / 32),
            NWarpId => wide(launch.limits.warps_per_sm),
            SmId => wide(block.sm),
            NSmId => wide(launch.limits.multiprocessors),
            GridId => launch.id,
            LaneMaskEq => wide(mask),
            LaneMaskLt => wide(mask - 1),
            LaneMaskLe => wide(mask | (mask - 1)),
            LaneMaskGt => wide(!(mask | (mask - 1))),
            LaneMaskGe => wide(!(mask - 1)),
            IsExplicitCluster => u64::from(launch.has_clusters),
            ClusterId(axis) => wide(block.id[axis] / cluster[axis]),
            NClusterId(axis) => wide(launch.grid[axis] / cluster[axis]),
            ClusterCtaid(axis) => wide(block.id[axis] % cluster[axis]),
            ClusterNctaid(axis) => wide(cluster[axis]),
            ClusterCtaRank => {
                let [a, b, c] = [0, 1, 2].map(|axis| block.id[axis] % cluster[axis]);
                wide(a + cluster[0] * (b + cluster[1] * c))
            }
            ClusterNctaRank => wide(cluster.iter().product()),
            TotalSharedSize => wide(launch.shared_bytes),
            DynamicSharedSize => wide(launch.dynamic_shared),
            EnvReg => 0,
            LocalOffset(offset) => wide(warp.local_base) + wide(offset),
            LocalAddress(offset) => {
                crate::memory::LOCAL_WINDOW + wide(warp.local_base) + wide(offset)
            }
            Clock => launch.clock() & 0xffff_ffff,
            ClockHi => launch.clock() >> 32,
            Clock64 => launch.clock(),
            GlobalTimer => launch.nanoseconds(),
            GlobalTimerLo => launch.nanoseconds() & 0xffff_ffff,
            GlobalTimerHi => launch.nanoseconds() >> 32,
        }
    }
}
