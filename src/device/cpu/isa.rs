//! Instruction sets: detection, and compiling one function body for each of them.

/// An instruction set level that kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Plain Rust, any processor.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, BW, DQ, VL.
    Avx512,
    /// AVX-512 with BF16 and VNNI.
    Avx512Bf16,
}

impl Isa {
    /// Every level, lowest first.
    pub const ALL: [Isa; 4] = [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::Avx512Bf16];

    /// Name, as in `LREM_ISA`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Avx512Bf16 => "avx512bf16",
        }
    }

    /// Whether this processor can run the level.
    pub fn available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma") && has!("f16c");
            let avx512 =
                avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
            match self {
                Isa::Portable => true,
                Isa::Avx2 => avx2,
                Isa::Avx512 => avx512,
                Isa::Avx512Bf16 => avx512 && has!("avx512bf16") && has!("avx512vnni"),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Isa::Portable
        }
    }

    /// The highest available level, or the one named by `LREM_ISA` where it is available.
    pub fn detect() -> Isa {
        let named = std::env::var("LREM_ISA").ok();
        let chosen = named
            .and_then(|n| Isa::ALL.into_iter().find(|i| i.name() == n))
            .filter(|i| i.available());
        chosen.unwrap_or_else(|| {
            let best = Isa::ALL.into_iter().rev().find(|i| i.available());
            best.unwrap_or(Isa::Portable)
        })
    }
}

/// Defines a function whose body is compiled once per instruction set and chosen by its first
/// argument, an [`Isa`]. Loops in it are vectorised by the compiler for each.
///
/// Helpers called in the body must be `#[inline(always)]`.
#[macro_export]
macro_rules! per_isa {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name(isa: $crate::device::cpu::Isa, $($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,f16c")]
                #[allow(clippy::too_many_arguments)]
                fn avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
                #[allow(clippy::too_many_arguments)]
                fn avx512($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                debug_assert!(isa.available());
                match isa {
                    $crate::device::cpu::Isa::Portable => body($($arg),*),
                    // SAFETY: an `Isa` is only made by `detect` or after `available` was checked.
                    $crate::device::cpu::Isa::Avx2 => unsafe { avx2($($arg),*) },
                    // SAFETY: as above.
                    _ => unsafe { avx512($($arg),*) },
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            {
                let _ = isa;
                body($($arg),*)
            }
        }
    };
}
