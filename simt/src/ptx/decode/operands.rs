//! Operands of an instruction that is being decoded: registers, constants, addresses, labels.

use super::instr::{Address, Instr};
use super::scope::Symbol;
use crate::exec::program::{CONSTANT, NONE, Place};
use crate::exec::special::Special;
use crate::ptx::Result;
use crate::ptx::ast::{Number, Operand};
use crate::ptx::types::{Space, Type};

impl<'i, 'a> Instr<'i, 'a, '_> {
    fn unknown<T>(&self, name: &str) -> Result<T> {
        self.error(format_args!("unknown name {name}"))
    }

    fn register(&mut self, operand: &Operand<'a>) -> Result<u32> {
        match operand {
            Operand::Name(name, None) => match self.scope.find_register(name) {
                Some(register) => Ok(register),
                None => self.unknown(name),
            },
            _ => self.error("expected a register"),
        }
    }

    fn check_width(&self, register: u32, ty: Type) -> Result<()> {
        let found = self.scope.registers[register as usize].ty;
        let same = match ty.bits() {
            // Registers of 8 bits hold 16 here, and PTX has few uses for them.
            8 => matches!(found.bits(), 8 | 16),
            bits => found.bits() == bits,
        };
        if same && (found == Type::Pred) == (ty == Type::Pred) {
            return Ok(());
        }
        self.error(format_args!(
            "a register of type .{} for .{}",
            found.name(),
            ty.name()
        ))
    }

    /// Takes a destination of a type's width. `_` discards what is written.
    pub fn dst(&mut self, ty: Type) -> Result<()> {
        let operand = self.operand()?;
        self.dst_of(operand, ty)
    }

    /// As [`Instr::dst`], for an operand that has been taken.
    pub fn dst_of(&mut self, operand: &Operand<'a>, ty: Type) -> Result<()> {
        let register = match operand {
            Operand::Name("_", None) => self.scope.register(ty),
            _ => self.register(operand)?,
        };
        self.check_width(register, ty)?;
        self.push(register, true);
        Ok(())
    }

    /// Takes a destination at least as wide as a type, and gives its width in bits.
    pub fn dst_wide(&mut self, operand: &Operand<'a>, ty: Type) -> Result<u32> {
        let register = match operand {
            Operand::Name("_", None) => self.scope.register(ty),
            _ => self.register(operand)?,
        };
        let found = self.scope.registers[register as usize].ty;
        if found == Type::Pred || found.bits() < ty.bits() {
            return self.error(format_args!(
                "a register of type .{} for .{}",
                found.name(),
                ty.name()
            ));
        }
        self.push(register, true);
        Ok(found.bits().max(16))
    }

    /// Takes a source of a type's width: a register, a constant, a special register or an address.
    pub fn src(&mut self, ty: Type) -> Result<()> {
        let operand = self.operand()?;
        self.src_of(operand, ty)
    }

    /// As [`Instr::src`], for an operand that has been taken.
    pub fn src_of(&mut self, operand: &Operand<'a>, ty: Type) -> Result<()> {
        let place = self.value(operand, ty)?;
        if place & CONSTANT == 0 {
            self.check_width(place, ty)?;
        }
        self.push(place, false);
        Ok(())
    }

    /// Takes a source at least as wide as a type, and gives its width in bits.
    pub fn src_wide(&mut self, operand: &Operand<'a>, ty: Type) -> Result<u32> {
        let place = self.value(operand, ty)?;
        self.push(place, false);
        if place & CONSTANT != 0 {
            return Ok(ty.bits().max(16));
        }
        let found = self.scope.registers[place as usize].ty;
        if found == Type::Pred || found.bits() < ty.bits() {
            return self.error(format_args!(
                "a register of type .{} for .{}",
                found.name(),
                ty.name()
            ));
        }
        Ok(found.bits().max(16))
    }

    fn value(&mut self, operand: &Operand<'a>, ty: Type) -> Result<Place> {
        match operand {
            Operand::Number(number) => {
                let bits = self.constant(*number, ty)?;
                Ok(self.scope.constants.place(bits, ty.bits()))
            }
            Operand::Name("WARP_SZ", None) => Ok(self.scope.constants.place(32, ty.bits())),
            Operand::Name(name, part) => {
                if part.is_none()
                    && let Some(register) = self.scope.find_register(name)
                {
                    return Ok(register);
                }
                if let Some(special) = Special::parse(name, *part) {
                    return Ok(self.scope.special(special, ty.bits()));
                }
                if part.is_some() {
                    return self.unknown(name);
                }
                self.address_of(name, 0, ty)
            }
            Operand::NamePlus(name, plus) => self.address_of(name, *plus, ty),
            _ => self.error("expected a register or a constant"),
        }
    }

    /// The address of a variable in its own space, as a value.
    fn address_of(&mut self, name: &str, plus: i64, ty: Type) -> Result<Place> {
        let Some(symbol) = self.scope.find_symbol(name) else {
            return self.unknown(name);
        };
        let value = match symbol {
            Symbol::Global(at) | Symbol::Const(at) | Symbol::Shared(at) | Symbol::Function(at) => {
                at
            }
            Symbol::EntryParam(at) => crate::memory::PARAM_WINDOW + at,
            Symbol::Local(at) | Symbol::FrameParam(at) => {
                let offset = at.wrapping_add_signed(plus) as u32;
                let special = match symbol {
                    Symbol::Local(_) => Special::LocalOffset(offset),
                    _ => Special::LocalAddress(offset),
                };
                return Ok(self.scope.special(special, ty.bits()));
            }
        };
        let value = value.wrapping_add_signed(plus);
        let value = if ty.bits() == 32 {
            value & 0xffff_ffff
        } else {
            value
        };
        Ok(self.scope.constants.place(value.into(), ty.bits()))
    }

    /// The bits of a constant in a type.
    pub fn constant(&self, number: Number, ty: Type) -> Result<u128> {
        let bits = match (number, ty) {
            (Number::F32(bits), Type::F64) => f64::from(f32::from_bits(bits)).to_bits().into(),
            (Number::F64(bits), Type::F64 | Type::B64) => bits.into(),
            (Number::F64(bits), Type::F32 | Type::B32) => {
                (f64::from_bits(bits) as f32).to_bits().into()
            }
            (Number::F32(bits), Type::F32 | Type::B32 | Type::Tf32) => bits.into(),
            (Number::Int(value), _) if ty.bits() <= 64 => {
                u128::from(value as u64) & ((1 << ty.bits()) - 1)
            }
            (Number::Int(value), Type::B128) => value as i128 as u128,
            _ => return self.error(format_args!("a floating-point constant for .{}", ty.name())),
        };
        Ok(bits)
    }

    /// Takes a constant that has to be known when the program is loaded.
    pub fn immediate(&mut self) -> Result<i64> {
        match self.operand()? {
            Operand::Number(Number::Int(value)) => Ok(*value),
            _ => self.error("expected an integer constant"),
        }
    }

    /// Takes a predicate source; `true`: it is negated.
    pub fn predicate(&mut self) -> Result<bool> {
        let operand = self.operand()?;
        let (operand, negated) = match operand {
            Operand::Not(inner) => (&**inner, true),
            other => (other, false),
        };
        self.src_of(operand, Type::Pred)?;
        Ok(negated)
    }

    /// Takes the elements of `{a, b}`, or a single operand as one.
    pub fn elements(&mut self) -> Result<&'i [Operand<'a>]> {
        Ok(match self.operand()? {
            Operand::Vector(elements) => elements,
            other => std::slice::from_ref(other),
        })
    }

    /// Takes `{a, b, …}` of exactly `count` registers.
    fn registers(&mut self, count: usize) -> Result<&'i [Operand<'a>]> {
        let elements = self.elements()?;
        match elements.len() {
            found if found == count => Ok(elements),
            found => self.error(format_args!("expected {count} registers, found {found}")),
        }
    }

    /// Takes `{a, b, …}` of exactly `count` destinations.
    pub fn dsts(&mut self, ty: Type, count: usize) -> Result<()> {
        self.registers(count)?
            .iter()
            .try_for_each(|operand| self.dst_of(operand, ty))
    }

    /// Takes `{a, b, …}` of exactly `count` sources.
    pub fn srcs(&mut self, ty: Type, count: usize) -> Result<()> {
        self.registers(count)?
            .iter()
            .try_for_each(|operand| self.src_of(operand, ty))
    }

    /// Takes `[base + offset]`: the base register becomes the operand's place ([`NONE`] where there is
    /// none), and the offset, with the address of a variable added, `imm`.
    pub fn address(&mut self) -> Result<Address> {
        match self.operand()? {
            Operand::Address { base, plus, parts } if parts.is_empty() || self.has_parts => {
                self.base(base, *plus)
            }
            // A call's parameter, or what a compiler wrote without brackets.
            operand @ Operand::Name(..) => self.base(operand, 0),
            _ => self.error("expected an address"),
        }
    }

    /// Whether the next operand is an address with parts after its base, such as `[map, {x, y}]`; these
    /// parts.
    pub fn address_parts(&self) -> Option<&'i [Operand<'a>]> {
        match self.operands.first() {
            Some(Operand::Address { parts, .. }) if !parts.is_empty() => Some(parts),
            _ => None,
        }
    }

    fn base(&mut self, base: &Operand<'a>, plus: i64) -> Result<Address> {
        let (name, number) = match base {
            Operand::Number(Number::Int(value)) => (None, *value),
            Operand::Name(name, None) => (Some(*name), 0),
            _ => return self.error("expected an address"),
        };
        let Some(name) = name else {
            self.imm = number.wrapping_add(plus) as u64;
            self.push(NONE, false);
            return Ok(Address {
                symbol: None,
                bits: 0,
            });
        };
        if let Some(register) = self.scope.find_register(name) {
            let bits = self.scope.registers[register as usize].ty.bits();
            if !matches!(bits, 32 | 64) {
                return self.error("an address register has 32 or 64 bits");
            }
            self.imm = plus as u64;
            self.push(register, false);
            return Ok(Address { symbol: None, bits });
        }
        let Some(symbol) = self.scope.find_symbol(name) else {
            return self.unknown(name);
        };
        let (Symbol::Global(at)
        | Symbol::Const(at)
        | Symbol::Shared(at)
        | Symbol::Local(at)
        | Symbol::EntryParam(at)
        | Symbol::FrameParam(at)
        | Symbol::Function(at)) = symbol;
        self.imm = at.wrapping_add_signed(plus);
        self.push(NONE, false);
        Ok(Address {
            symbol: Some(symbol),
            bits: 0,
        })
    }

    /// Takes a label, and gives its number.
    pub fn label(&mut self) -> Result<u32> {
        match self.operand()? {
            Operand::Name(name, None) => match self.scope.labels.get(name) {
                Some(label) => Ok(*label),
                None => self.error(format_args!("unknown label {name}")),
            },
            _ => self.error("expected a label"),
        }
    }

    // Usual shapes

    /// `d, a` of one type.
    pub fn unary(&mut self, ty: Type) -> Result<()> {
        self.dst(ty)?;
        self.src(ty)
    }

    /// `d, a, b` of one type.
    pub fn binary(&mut self, ty: Type) -> Result<()> {
        self.unary(ty)?;
        self.src(ty)
    }

    /// `d, a, b, c` of one type.
    pub fn ternary(&mut self, ty: Type) -> Result<()> {
        self.binary(ty)?;
        self.src(ty)
    }

    /// The space of an address: as the modifiers say it, or generic.
    pub fn space(&mut self) -> Space {
        self.modifier(Space::parse).unwrap_or(Space::Generic)
    }
}
