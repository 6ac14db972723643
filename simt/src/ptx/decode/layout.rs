//! Where a module's variables lie, and what they hold at first.

use super::scope::Symbol;
use crate::memory::{FUNCTION_WINDOW, SHARED_WINDOW};
use crate::ptx::ast::*;
use crate::ptx::types::{Space, Type};
use crate::ptx::{Result, error};
use std::collections::HashMap;

/// A variable in device memory.
#[derive(Debug, Clone)]
pub struct Image {
    pub name: String,
    pub address: u64,
    /// Size in bytes.
    pub size: u64,
    /// First bytes of the variable; the rest is zero.
    pub bytes: Vec<u8>,
}

/// A module's names.
pub struct Layout<'a> {
    pub symbols: HashMap<&'a str, Symbol>,
    pub images: Vec<Image>,
    /// Bytes of shared memory that all functions of the module see.
    pub shared: u64,
    /// Names of shared variables whose size the launch decides, and their alignment.
    pub dynamic: Vec<(&'a str, u32)>,
    /// Where these begin, if one place has to suit all entries.
    pub dynamic_base: Option<u64>,
    /// Functions by name.
    pub functions: HashMap<&'a str, &'a Function<'a>>,
    /// Index in the program of every function with a body.
    pub indices: HashMap<&'a str, u32>,
}

/// Lays out a module.
pub fn layout<'a>(module: &'a Module<'a>, allocate: super::Allocate<'_>) -> Result<Layout<'a>> {
    let mut layout = Layout {
        symbols: HashMap::new(),
        images: Vec::new(),
        shared: 0,
        dynamic: Vec::new(),
        dynamic_base: None,
        functions: HashMap::new(),
        indices: HashMap::new(),
    };
    for function in &module.functions {
        layout.functions.insert(function.name, function);
        if function.body.is_some() {
            let index = layout.indices.len() as u32;
            layout.indices.insert(function.name, index);
            let address = FUNCTION_WINDOW + u64::from(index);
            layout
                .symbols
                .insert(function.name, Symbol::Function(address));
        }
    }
    for (alias, name) in &module.aliases {
        if let (Some(function), Some(index)) = (
            layout.functions.get(name).copied(),
            layout.indices.get(name).copied(),
        ) {
            layout.functions.insert(alias, function);
            layout.indices.insert(alias, index);
            let address = FUNCTION_WINDOW + u64::from(index);
            layout.symbols.insert(alias, Symbol::Function(address));
        }
    }

    let mut variables: Vec<&Variable> = module.variables.iter().collect();
    let mut largest_entry = 0;
    let mut functions_see_dynamic = false;
    for function in &module.functions {
        let mut inner = Vec::new();
        declarations(function.body.as_deref().unwrap_or(&[]), &mut inner);
        if function.is_entry {
            let shared = inner.iter().filter(|v| v.space == Space::Shared);
            largest_entry = largest_entry.max(shared.map(|v| v.bytes() + u64::from(v.align)).sum());
            inner.retain(|v| v.space != Space::Shared);
        } else if function.body.is_some() {
            functions_see_dynamic = true;
        }
        variables.extend(inner);
    }
    for variable in &variables {
        place(variable, &mut layout, allocate)?;
    }
    if functions_see_dynamic && !layout.dynamic.is_empty() {
        layout.dynamic_base = Some((layout.shared + largest_entry).next_multiple_of(1024));
    }
    // Initialisers may name what is declared later.
    let with_places: Vec<_> = variables
        .iter()
        .filter(|v| !v.init.is_empty() && v.space != Space::Shared)
        .collect();
    for variable in with_places {
        let bytes = initial(variable, &layout)?;
        if let Some(image) = layout
            .images
            .iter_mut()
            .find(|image| image.name == variable.name)
        {
            image.bytes = bytes;
        }
    }
    Ok(layout)
}

/// Variables in memory that a body declares, in its blocks too.
pub fn declarations<'a>(body: &'a [Statement<'a>], into: &mut Vec<&'a Variable<'a>>) {
    for statement in body {
        match statement {
            Statement::Variable(variable)
                if matches!(variable.space, Space::Shared | Space::Global | Space::Const) =>
            {
                into.push(variable);
            }
            Statement::Block(inner) => declarations(inner, into),
            _ => {}
        }
    }
}

/// Takes shared memory from `used` on, and gives the variable's offset.
pub fn place_shared(variable: &Variable<'_>, used: &mut u64) -> u64 {
    let offset = used.next_multiple_of(u64::from(variable.align.max(1)));
    *used = offset + variable.bytes();
    offset
}

fn place<'a>(
    variable: &'a Variable<'a>,
    layout: &mut Layout<'a>,
    allocate: super::Allocate<'_>,
) -> Result<()> {
    let name = variable.name;
    let symbol = match variable.space {
        Space::Shared if variable.elements.is_none() => {
            layout.dynamic.push((name, variable.align));
            return Ok(());
        }
        Space::Shared => Symbol::Shared(place_shared(variable, &mut layout.shared)),
        _ if variable.linkage == Linkage::Extern => {
            return error(
                variable.line,
                format!("{name} is external, and nothing defines it"),
            );
        }
        space => {
            let size = variable.bytes();
            let Some(address) = allocate(size.max(1), u64::from(variable.align)) else {
                return error(
                    variable.line,
                    format!("no memory for the {size} bytes of {name}"),
                );
            };
            layout.images.push(Image {
                name: name.to_owned(),
                address,
                size,
                bytes: Vec::new(),
            });
            match space {
                Space::Const => Symbol::Const(address),
                _ => Symbol::Global(address),
            }
        }
    };
    if layout.shared > 1 << 20 {
        return error(
            variable.line,
            format!("{name}: more than 1 MiB of shared memory"),
        );
    }
    layout.symbols.insert(name, symbol);
    Ok(())
}

fn initial(variable: &Variable<'_>, layout: &Layout<'_>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let width = variable.ty.bytes() as usize;
    for init in &variable.init {
        let value: u64 = match init {
            Init::Number(Number::Int(value)) => *value as u64,
            Init::Number(Number::F32(bits)) if variable.ty == Type::F64 => {
                f64::from(f32::from_bits(*bits)).to_bits()
            }
            Init::Number(Number::F32(bits)) => u64::from(*bits),
            Init::Number(Number::F64(bits)) if width == 4 => {
                u64::from((f64::from_bits(*bits) as f32).to_bits())
            }
            Init::Number(Number::F64(bits)) => *bits,
            Init::Address {
                name,
                plus,
                generic,
            } => {
                let at = match layout.symbols.get(name) {
                    Some(Symbol::Global(at) | Symbol::Const(at) | Symbol::Function(at)) => *at,
                    Some(Symbol::Shared(at)) if *generic => at + SHARED_WINDOW,
                    Some(Symbol::Shared(at)) => *at,
                    _ => return error(variable.line, format!("unknown name {name}")),
                };
                at.wrapping_add_signed(*plus)
            }
        };
        bytes.extend_from_slice(&value.to_le_bytes()[..width.min(8)]);
        bytes.resize(bytes.len().next_multiple_of(width), 0);
    }
    if bytes.len() as u64 > variable.bytes() {
        return error(
            variable.line,
            format!("{}: too many initial values", variable.name),
        );
    }
    Ok(bytes)
}
