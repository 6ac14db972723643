//! One function: its parameters, its body, its instructions.

use super::emit::{self, Raw};
use super::instr::{Flow, Instr};
use super::layout::{Layout, place_shared};
use super::scope::{Constants, Scope, Symbol};
use crate::exec;
use crate::exec::facts::{Class, Facts};
use crate::exec::program::{Calls, NONE, Program};
use crate::ptx::ast::*;
use crate::ptx::types::{Space, Type};
use crate::ptx::{Result, error};
use std::collections::HashMap;

/// What the calls of a function need to know about others.
pub struct Callees<'l, 'a> {
    pub layout: &'l Layout<'a>,
    /// Tables of labels or functions by the label before them.
    pub tables: HashMap<&'a str, Vec<&'a str>>,
    pub prototypes: HashMap<&'a str, (Vec<Variable<'a>>, Vec<Variable<'a>>)>,
    /// Offsets of the returns and parameters of the function being decoded that are registers.
    pub returns: Vec<(&'a str, Type, u64)>,
    /// Whom the function being decoded calls.
    pub calls: Calls,
}

/// Decodes a function with a body onto the end of a program.
pub fn decode<'a>(
    function: &'a Function<'a>,
    layout: &Layout<'a>,
    constants: &mut Constants,
    program: &mut Program,
) -> Result<()> {
    let mut scope = Scope::new(&layout.symbols, constants);
    let shared = name_shared(function, layout, &mut scope)?;
    let mut callees = Callees {
        layout,
        tables: HashMap::new(),
        prototypes: HashMap::new(),
        returns: Vec::new(),
        calls: Calls::default(),
    };
    let mut walk = Walk {
        scope: &mut scope,
        callees: &mut callees,
        code: Vec::new(),
        labels: Vec::new(),
        source: (0, 0),
        stack: None,
    };
    let params = walk.parameters(function)?;
    let body = function.body.as_deref().unwrap_or(&[]);
    if takes_local(body) {
        program.taken_local = exec::stack::ROOM;
        if !function.is_entry {
            walk.save_stack(function.line);
        }
    }
    walk.find_tables(body);
    walk.enter_labels(body);
    walk.statements(body)?;
    walk.close(function.line)?;
    let (mut code, labels) = (walk.code, walk.labels);
    emit::defer(&mut code, function.is_entry);
    let calls = std::mem::take(&mut callees.calls);

    let mut decoded = exec::program::Function {
        name: function.name.to_owned(),
        is_entry: function.is_entry,
        limits: function.limits,
        param_bytes: params.last().map_or(0, |(at, size)| at + size),
        params,
        shared: shared as u32,
        calls,
        ..Default::default()
    };
    emit::emit(&code, &labels, &mut scope, program, &mut decoded)?;
    decoded.local = scope.local.next_multiple_of(16) as u32;
    program.functions.push(decoded);
    Ok(())
}

/// Names the shared variables of an entry, which begin behind those of the module; the answer is
/// where the dynamic ones begin.
fn name_shared<'a>(
    function: &'a Function<'a>,
    layout: &Layout<'a>,
    scope: &mut Scope<'a, '_>,
) -> Result<u64> {
    let mut used = layout.shared;
    let mut inner = Vec::new();
    super::layout::declarations(function.body.as_deref().unwrap_or(&[]), &mut inner);
    for variable in inner {
        if function.is_entry && variable.space == Space::Shared && variable.elements.is_some() {
            let offset = place_shared(variable, &mut used);
            scope.name_symbol(variable.name, Symbol::Shared(offset));
        }
    }
    if used > 1 << 20 {
        return error(function.line, "more than 1 MiB of shared memory");
    }
    let align = layout
        .dynamic
        .iter()
        .map(|(_, align)| *align)
        .max()
        .unwrap_or(1);
    let base = layout
        .dynamic_base
        .unwrap_or_else(|| used.next_multiple_of(u64::from(align.max(1))));
    for (name, _) in &layout.dynamic {
        scope.name_symbol(name, Symbol::Shared(base));
    }
    Ok(if layout.dynamic.is_empty() {
        used
    } else {
        base
    })
}

/// Whether a body takes local memory while it runs.
fn takes_local(body: &[Statement<'_>]) -> bool {
    body.iter().any(|statement| match statement {
        Statement::Instruction(instruction) => instruction.opcode == "alloca",
        Statement::Block(inner) => takes_local(inner),
        _ => false,
    })
}

struct Walk<'w, 'a, 'm, 'l> {
    scope: &'w mut Scope<'a, 'm>,
    callees: &'w mut Callees<'l, 'a>,
    code: Vec<Raw>,
    /// Index of the instruction behind each label.
    labels: Vec<usize>,
    source: (u32, u32),
    /// The register that keeps where the stack ended when the function began, if it takes from it.
    stack: Option<u32>,
}

impl<'a> Walk<'_, 'a, '_, '_> {
    /// Names the parameters; those of an entry keep their own memory, those of a function lie at the
    /// start of its frame: returns first.
    fn parameters(&mut self, function: &'a Function<'a>) -> Result<Vec<(u32, u32)>> {
        let mut params = Vec::new();
        let mut offset = 0u64;
        for (variable, is_return) in function
            .returns
            .iter()
            .map(|v| (v, true))
            .chain(function.params.iter().map(|v| (v, false)))
        {
            let bytes = variable.bytes();
            if bytes > 1 << 16 {
                return error(variable.line, "a parameter of more than 64 KiB");
            }
            let at = if function.is_entry {
                let at = offset.next_multiple_of(u64::from(variable.align.max(1)));
                offset = at + bytes;
                params.push((at as u32, bytes as u32));
                self.scope
                    .name_symbol(variable.name, Symbol::EntryParam(at));
                continue;
            } else {
                self.scope.take_local(bytes, variable.align)
            };
            if variable.space == Space::Param {
                self.scope
                    .name_symbol(variable.name, Symbol::FrameParam(at));
                continue;
            }
            self.scope.declare(variable)?;
            if is_return {
                self.callees.returns.push((variable.name, variable.ty, at));
            } else if let Some(register) = self.scope.find_register(variable.name) {
                let raw = exec::frame::frame_load(register, variable.ty, at, variable.line)?;
                self.push(raw);
            }
        }
        Ok(params)
    }

    /// What the function takes of the stack, it gives back when it returns.
    fn save_stack(&mut self, line: u32) {
        let register = self.scope.register(Type::B64);
        self.stack = Some(register);
        self.push(exec::stack::implied_save(register, line));
    }

    fn push(&mut self, mut raw: Raw) {
        raw.source = self.source;
        self.code.push(raw);
    }

    /// Tables of the whole body, by the label before them.
    fn find_tables(&mut self, body: &'a [Statement<'a>]) {
        for statement in body {
            match statement {
                Statement::Targets { label, names, .. } => {
                    self.callees.tables.insert(label, names.clone());
                }
                Statement::Prototype {
                    label,
                    returns,
                    params,
                } => {
                    let prototype = (returns.clone(), params.clone());
                    self.callees.prototypes.insert(label, prototype);
                }
                Statement::Block(inner) => self.find_tables(inner),
                _ => {}
            }
        }
    }

    /// The labels of a block, which hide those of the same name around it; the answer is what they hide.
    fn enter_labels(&mut self, body: &'a [Statement<'a>]) -> Vec<(&'a str, Option<u32>)> {
        let mut hidden = Vec::new();
        for statement in body {
            if let Statement::Label(name) = statement {
                let number = self.labels.len() as u32;
                self.labels.push(usize::MAX);
                hidden.push((*name, self.scope.labels.insert(name, number)));
            }
        }
        hidden
    }

    fn leave_labels(&mut self, hidden: Vec<(&'a str, Option<u32>)>) {
        for (name, number) in hidden.into_iter().rev() {
            match number {
                Some(number) => self.scope.labels.insert(name, number),
                None => self.scope.labels.remove(name),
            };
        }
    }

    fn statements(&mut self, body: &'a [Statement<'a>]) -> Result<()> {
        for statement in body {
            match statement {
                Statement::Label(name) => {
                    let number = self.scope.labels[name] as usize;
                    self.labels[number] = self.code.len();
                }
                Statement::Variable(variable) => {
                    // An entry's shared variables have their names already.
                    if self.scope.find_symbol(variable.name).is_none()
                        || !matches!(variable.space, Space::Shared)
                    {
                        self.scope.declare(variable)?;
                    }
                }
                Statement::Instruction(instruction) => self.instruction(instruction)?,
                Statement::Block(inner) => {
                    self.scope.push();
                    let hidden = self.enter_labels(inner);
                    self.statements(inner)?;
                    self.leave_labels(hidden);
                    self.scope.pop();
                }
                Statement::Loc { file, line } => self.source = (*file, *line),
                Statement::Targets { .. } | Statement::Prototype { .. } => {}
            }
        }
        Ok(())
    }

    fn instruction(&mut self, source: &'a Instruction<'a>) -> Result<()> {
        let mut guard = NONE;
        let mut flip = 0;
        if let Some(g) = source.guard {
            let found = self.scope.find_register(g.register);
            guard = match found {
                Some(register) if self.scope.registers[register as usize].ty == Type::Pred => {
                    register
                }
                _ => return error(source.line, format!("{} is no predicate", g.register)),
            };
            flip = if g.negated { !0 } else { 0 };
        }
        if source.opcode == "call" {
            for mut raw in exec::call::decode(source, self.scope, self.callees)? {
                (raw.guard, raw.flip) = (guard, flip);
                self.push(raw);
            }
            return Ok(());
        }
        if source.opcode == "ret" {
            for (name, ty, at) in self.callees.returns.clone() {
                if let Some(register) = self.scope.find_register(name) {
                    let raw = exec::frame::frame_store(register, ty, at, source.line)?;
                    self.push(raw);
                }
            }
        }
        if source.opcode == "ret"
            && let Some(register) = self.stack
        {
            let mut raw = exec::stack::implied_restore(register, source.line);
            (raw.guard, raw.flip) = (guard, flip);
            self.push(raw);
        }
        let mut instr = Instr::new(source, self.scope);
        if source.opcode == "brx" {
            let tables = &self.callees.tables;
            instr.facts = Facts::of(Class::Control);
            let exec = exec::control::table_branch(&mut instr, tables)?;
            instr.finish()?;
            let raw = Raw::new(exec, instr, guard, flip);
            self.push(raw);
            return Ok(());
        }
        let (class, decode) = exec::find(source)?;
        instr.facts = Facts::of(class);
        let exec = decode(&mut instr)?;
        instr.finish()?;
        let raw = Raw::new(exec, instr, guard, flip);
        self.push(raw);
        Ok(())
    }

    /// Ends a body that may run off its end with a return.
    fn close(&mut self, line: u32) -> Result<()> {
        for label in &mut self.labels {
            if *label == usize::MAX {
                return error(line, "a label without a place");
            }
        }
        let ends = self.code.last().is_some_and(|last| {
            last.guard == NONE
                && matches!(last.flow, Flow::Branch(_) | Flow::Leave | Flow::Table(_))
        });
        if !ends || self.labels.contains(&self.code.len()) {
            if let Some(register) = self.stack {
                self.push(exec::stack::implied_restore(register, line));
            }
            self.push(exec::control::implied_return(line));
        }
        Ok(())
    }
}
