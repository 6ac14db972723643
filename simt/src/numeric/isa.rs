//! One function body compiled for several instruction sets, chosen at run time.

/// Instruction sets that bodies are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust, any processor.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, BW, DQ, VL.
    Avx512,
}

impl Isa {
    /// The best this processor has. The standard library keeps the answer; asking is a load.
    #[inline(always)]
    pub fn detect() -> Isa {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx2") && has!("fma") {
                let bits_and_bytes = has!("avx512f") && has!("avx512bw");
                return match bits_and_bytes && has!("avx512dq") && has!("avx512vl") {
                    true => Isa::Avx512,
                    false => Isa::Avx2,
                };
            }
        }
        Isa::Portable
    }
}

/// Defines a function whose body is compiled once per instruction set.
///
/// Loops in it are vectorised by the compiler for each; helpers called in the body must be
/// `#[inline(always)]`. Results are the same for all: only `mul_add` fuses. `narrow` before the
/// function keeps it to vectors of 256 bits, for bodies whose arrays are 8 wide.
macro_rules! per_isa {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $crate::numeric::isa::per_isa! {
            @ "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl";
            $(#[$meta])* $vis fn $name($($arg : $ty),*) $(-> $ret)? $body
        }
    };
    (narrow $(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $crate::numeric::isa::per_isa! {
            @ "avx2,fma";
            $(#[$meta])* $vis fn $name($($arg : $ty),*) $(-> $ret)? $body
        }
    };
    (@ $widest:literal; $(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident : $ty:ty),*) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[inline]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::numeric::isa::Isa;
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                #[target_feature(enable = $widest)]
                fn widest($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                match Isa::detect() {
                    Isa::Portable => body($($arg),*),
                    // SAFETY: `detect` found the features that the function is compiled for.
                    Isa::Avx2 => unsafe { avx2($($arg),*) },
                    // SAFETY: as above.
                    Isa::Avx512 => unsafe { widest($($arg),*) },
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            body($($arg),*)
        }
    };
}
pub(crate) use per_isa;
