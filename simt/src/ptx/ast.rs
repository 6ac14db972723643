//! The parsed module. Names and modifiers are borrowed from the text; nothing is resolved yet.

use super::types::{Space, Type};

/// A whole PTX text.
#[derive(Debug, Clone, Default)]
pub struct Module<'a> {
    /// ISA version, major and minor.
    pub version: (u32, u32),
    /// The first word of `.target`, e.g. `sm_90a`.
    pub target: &'a str,
    pub variables: Vec<Variable<'a>>,
    pub functions: Vec<Function<'a>>,
    /// `.file` numbers and paths.
    pub files: Vec<(u32, &'a str)>,
    /// `.alias name, function`.
    pub aliases: Vec<(&'a str, &'a str)>,
}

impl Module<'_> {
    /// The number of the target: 90 of `sm_90a`, 0 where there is none.
    pub fn architecture(&self) -> u32 {
        architecture(self.target)
    }
}

/// The number of a target, such as 90 of `sm_90a`; 0 where there is none.
pub fn architecture(target: &str) -> u32 {
    let digits = target.trim_start_matches("sm_");
    let digits = digits.trim_end_matches(|c: char| !c.is_ascii_digit());
    digits.parse().unwrap_or(0)
}

/// Who may see a name outside its module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Linkage {
    #[default]
    Module,
    Visible,
    Extern,
    Weak,
    Common,
}

/// A variable, parameter or family of registers.
#[derive(Debug, Clone)]
pub struct Variable<'a> {
    pub linkage: Linkage,
    pub space: Space,
    pub ty: Type,
    /// 1, or 2, 4 for `.v2`, `.v4`.
    pub vector: u32,
    /// Alignment in bytes as written, or that of the type.
    pub align: u32,
    pub name: &'a str,
    /// Elements of an array (all dimensions multiplied), `None` for `[]`; 1 for a scalar.
    pub elements: Option<u64>,
    /// `%r<8>`: registers `%r0` to `%r7`.
    pub family: Option<u32>,
    pub init: Vec<Init<'a>>,
    pub line: u32,
}

impl Variable<'_> {
    /// Size in bytes; 0 for an array of unknown size.
    pub fn bytes(&self) -> u64 {
        let element = u64::from(self.ty.bytes()) * u64::from(self.vector);
        element.saturating_mul(self.elements.unwrap_or(0))
    }
}

/// One element of an initialiser.
#[derive(Debug, Clone, PartialEq)]
pub enum Init<'a> {
    Number(Number),
    /// The address of a name plus bytes; generic where written `generic(name)`.
    Address {
        name: &'a str,
        plus: i64,
        generic: bool,
    },
}

/// A constant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// 64 bits, two's complement.
    Int(i64),
    F32(u32),
    F64(u64),
}

/// `.entry` or `.func`, with a body or only declared.
#[derive(Debug, Clone)]
pub struct Function<'a> {
    pub linkage: Linkage,
    pub is_entry: bool,
    pub name: &'a str,
    pub returns: Vec<Variable<'a>>,
    pub params: Vec<Variable<'a>>,
    pub limits: Limits,
    pub body: Option<Vec<Statement<'a>>>,
    pub line: u32,
}

/// Performance directives that the machine obeys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    pub max_threads: Option<[u32; 3]>,
    pub required_threads: Option<[u32; 3]>,
    pub required_cluster: Option<[u32; 3]>,
    pub max_registers: Option<u32>,
}

/// A line of a body.
#[derive(Debug, Clone)]
pub enum Statement<'a> {
    Label(&'a str),
    Variable(Variable<'a>),
    Instruction(Instruction<'a>),
    Block(Vec<Statement<'a>>),
    /// `.branchtargets` and `.calltargets` under the label before them.
    Targets {
        label: &'a str,
        names: Vec<&'a str>,
        line: u32,
    },
    /// `.callprototype` under the label before it.
    Prototype {
        label: &'a str,
        returns: Vec<Variable<'a>>,
        params: Vec<Variable<'a>>,
    },
    Loc {
        file: u32,
        line: u32,
    },
}

/// An instruction as written.
#[derive(Debug, Clone)]
pub struct Instruction<'a> {
    pub guard: Option<Guard<'a>>,
    pub opcode: &'a str,
    pub modifiers: Vec<&'a str>,
    pub operands: Vec<Operand<'a>>,
    pub line: u32,
}

/// `@p` or `@!p`.
#[derive(Debug, Clone, Copy)]
pub struct Guard<'a> {
    pub register: &'a str,
    pub negated: bool,
}

/// An operand as written.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand<'a> {
    /// A name with what follows its dot: `%r1`, `%tid.x`, a variable, a label, `_`.
    Name(&'a str, Option<&'a str>),
    /// `name+8`: an address constant.
    NamePlus(&'a str, i64),
    Number(Number),
    Not(Box<Operand<'a>>),
    /// `a|b`
    Pair(Box<Operand<'a>>, Box<Operand<'a>>),
    /// `{a, b}`
    Vector(Vec<Operand<'a>>),
    /// `[base+8]`; further parts as of `[map, {x, y}]`.
    Address {
        base: Box<Operand<'a>>,
        plus: i64,
        parts: Vec<Operand<'a>>,
    },
    /// `(a, b)` of a call.
    List(Vec<Operand<'a>>),
}
