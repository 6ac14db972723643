//! Fundamental types and state spaces (PTX ISA, "State Spaces, Types, and Variables").

/// A fundamental or packed type, as written after a dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    Pred,
    B8,
    B16,
    B32,
    B64,
    B128,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F16,
    F32,
    F64,
    Bf16,
    Tf32,
    F16x2,
    Bf16x2,
    F32x2,
    U16x2,
    S16x2,
    E4m3,
    E5m2,
    E4m3x2,
    E5m2x2,
    B1,
    B4,
    U4,
    S4,
}

const NAMES: &[(&str, Type)] = {
    use Type::*;
    &[
        ("pred", Pred),
        ("b8", B8),
        ("b16", B16),
        ("b32", B32),
        ("b64", B64),
        ("b128", B128),
        ("u8", U8),
        ("u16", U16),
        ("u32", U32),
        ("u64", U64),
        ("s8", S8),
        ("s16", S16),
        ("s32", S32),
        ("s64", S64),
        ("f16", F16),
        ("f32", F32),
        ("f64", F64),
        ("bf16", Bf16),
        ("tf32", Tf32),
        ("f16x2", F16x2),
        ("bf16x2", Bf16x2),
        ("f32x2", F32x2),
        ("u16x2", U16x2),
        ("s16x2", S16x2),
        ("e4m3", E4m3),
        ("e5m2", E5m2),
        ("e4m3x2", E4m3x2),
        ("e5m2x2", E5m2x2),
        ("b1", B1),
        ("b4", B4),
        ("u4", U4),
        ("s4", S4),
    ]
};

impl Type {
    /// The type of that name (without the dot).
    pub fn parse(name: &str) -> Option<Type> {
        NAMES.iter().find(|(n, _)| *n == name).map(|(_, t)| *t)
    }

    /// Its name, without the dot.
    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(_, t)| *t == self)
            .map_or("", |(n, _)| n)
    }

    /// Width in bits; a predicate has 1.
    pub fn bits(self) -> u32 {
        use Type::*;
        match self {
            Pred | B1 => 1,
            B4 | U4 | S4 => 4,
            B8 | U8 | S8 | E4m3 | E5m2 => 8,
            B16 | U16 | S16 | F16 | Bf16 | E4m3x2 | E5m2x2 => 16,
            B32 | U32 | S32 | F32 | Tf32 | F16x2 | Bf16x2 | U16x2 | S16x2 => 32,
            B64 | U64 | S64 | F64 | F32x2 => 64,
            B128 => 128,
        }
    }

    /// Width in whole bytes, at least 1.
    pub fn bytes(self) -> u32 {
        self.bits().div_ceil(8)
    }

    pub fn is_signed(self) -> bool {
        matches!(self, Type::S8 | Type::S16 | Type::S32 | Type::S64)
    }

    pub fn is_integer(self) -> bool {
        use Type::*;
        matches!(
            self,
            U8 | U16 | U32 | U64 | S8 | S16 | S32 | S64 | U16x2 | S16x2
        )
    }

    pub fn is_float(self) -> bool {
        use Type::*;
        matches!(self, F16 | F32 | F64 | Bf16 | Tf32 | F16x2 | Bf16x2 | F32x2)
    }

    /// Types of bits alone: any register of the width fits.
    pub fn is_bits(self) -> bool {
        use Type::*;
        matches!(self, Pred | B8 | B16 | B32 | B64 | B128)
    }
}

/// A state space that a variable or an address is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    Generic,
    Reg,
    Const,
    Global,
    Local,
    Param,
    Shared,
}

impl Space {
    /// The space of that name (without the dot), also with its window (`shared::cta`).
    pub fn parse(name: &str) -> Option<Space> {
        Some(match name {
            "reg" => Space::Reg,
            "const" => Space::Const,
            "global" => Space::Global,
            "local" => Space::Local,
            "param" | "param::entry" | "param::func" => Space::Param,
            "shared" | "shared::cta" | "shared::cluster" => Space::Shared,
            _ => return None,
        })
    }
}
