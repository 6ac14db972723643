//! Decoded instructions to the code that runs: registers to places in a frame, labels to counters,
//! and marks where diverged threads meet.

use super::flow;
use super::instr::{Deferred, Flow, Instr, Use};
use super::liveness;
use super::scope::Scope;
use crate::exec::control;
use crate::exec::facts::Facts;
use crate::exec::program::{CONSTANT, Exec, Function, Inst, NONE, Place, Program};
use crate::ptx::{Result, error};

/// An instruction whose operands are still virtual registers.
#[derive(Debug, Clone)]
pub struct Raw {
    pub exec: Exec,
    pub guard: Place,
    pub flip: u32,
    pub uses: Vec<Use>,
    pub in_list: bool,
    pub aux: u32,
    pub imm: u64,
    pub flow: Flow,
    pub deferred: Deferred,
    /// Registers that keep their places up to here without being operands.
    pub keeps: Vec<Place>,
    /// Threads may part here and meet at the next instruction.
    pub parts: bool,
    pub facts: Facts,
    pub line: u32,
    pub source: (u32, u32),
}

impl Raw {
    /// A decoded instruction under its guard.
    pub fn new(exec: Exec, instr: Instr<'_, '_, '_>, guard: Place, flip: u32) -> Raw {
        Raw {
            exec,
            guard,
            flip,
            uses: instr.uses,
            in_list: instr.in_list,
            aux: instr.aux,
            imm: instr.imm,
            flow: instr.flow,
            deferred: instr.deferred,
            keeps: Vec::new(),
            parts: false,
            facts: instr.facts,
            line: instr.line,
            source: (0, 0),
        }
    }

    /// An instruction that no line of the text says by itself.
    pub fn implied(exec: Exec, uses: Vec<Use>, imm: u64, line: u32) -> Raw {
        Raw {
            exec,
            guard: NONE,
            flip: 0,
            uses,
            in_list: false,
            aux: 0,
            imm,
            flow: Flow::Next,
            deferred: Deferred::No,
            keeps: Vec::new(),
            parts: false,
            facts: Facts::default(),
            line,
            source: (0, 0),
        }
    }
}

/// Keeps the places of results that come later until something waits for them. Only an entry can be
/// sure that its registers are still there then: elsewhere results come at once.
pub fn defer(code: &mut [Raw], is_entry: bool) {
    let starts = |raw: &&mut Raw| raw.deferred == Deferred::Starts;
    let mut results = Vec::new();
    for raw in code.iter_mut().filter(starts) {
        if is_entry {
            results.extend(raw.uses.iter().filter(|u| u.is_write).map(|u| u.place));
        } else {
            raw.aux |= crate::exec::AT_ONCE;
        }
    }
    results.sort_unstable();
    results.dedup();
    if results.is_empty() {
        return;
    }
    for raw in code {
        if raw.deferred == Deferred::Lands || raw.parts {
            raw.keeps.clone_from(&results);
        }
    }
}

/// Appends a function's code to the program.
pub fn emit(
    code: &[Raw],
    labels: &[usize],
    scope: &mut Scope<'_, '_>,
    program: &mut Program,
    function: &mut Function,
) -> Result<()> {
    let graph = flow::Graph::new(code, labels);
    let meets = graph.meets(code);
    let frame = liveness::allocate(code, &graph, &*scope);
    if frame.bytes > 1 << 26 {
        return error(code.first().map_or(0, |raw| raw.line), "too many registers");
    }
    let place = |virtual_place: Place| match virtual_place {
        NONE => NONE,
        constant if constant & CONSTANT != 0 => constant,
        register => frame.places[register as usize],
    };

    function.start = program.code.len() as u32;
    function.frame = frame.bytes;
    function.registers = frame.registers;
    function.specials = scope
        .specials
        .iter()
        .map(|(&(special, bits), &register)| (special, place(register), bits))
        .collect();
    function.specials.sort_by_key(|(_, place, _)| *place);

    // Where each instruction will stand, with the marks before some of them.
    let mut is_meet = vec![false; code.len() + 1];
    for meet in meets.iter().flatten() {
        is_meet[*meet] = true;
    }
    for (index, raw) in code.iter().enumerate() {
        if raw.parts {
            is_meet[index + 1] = true;
        }
    }
    let mut counter = vec![0; code.len() + 1];
    let mut next = function.start;
    for index in 0..code.len() {
        counter[index] = next;
        next += 1 + u32::from(is_meet[index]);
    }
    counter[code.len()] = next;

    for (index, raw) in code.iter().enumerate() {
        if is_meet[index] {
            let mark = Raw::implied(control::meet, Vec::new(), 0, raw.line);
            push(program, &mark, [NONE; 6], 0, 0, raw.source);
            program.spans.push((0, 0, 0));
        }
        let meet = match meets[index] {
            Some(meet) => counter[meet],
            None => NONE,
        };
        let imm = match &raw.flow {
            Flow::Branch(label) => {
                u64::from(counter[labels[*label as usize]]) | u64::from(meet) << 32
            }
            Flow::Table(table) => {
                let table = table
                    .iter()
                    .map(|label| counter[labels[*label as usize]])
                    .collect();
                program.targets.push(table);
                (program.targets.len() as u64 - 1) | u64::from(meet) << 32
            }
            Flow::Next | Flow::Leave => raw.imm,
        };
        let mut places = [NONE; 6];
        let mut list = 0;
        if raw.uses.len() > 6 || raw.in_list {
            list = program.lists.len() as u32;
            program
                .lists
                .extend(raw.uses.iter().map(|u| place(u.place)));
        } else {
            for (to, from) in places.iter_mut().zip(&raw.uses) {
                *to = place(from.place);
            }
        }
        let mut raw = raw.clone();
        raw.guard = place(raw.guard);
        raw.facts.map_places(place);
        push(program, &raw, places, list, imm, raw.source);
        let span = span(program, &raw, place);
        program.spans.push(span);
    }
    Ok(())
}

/// Keeps an instruction's operands for those who watch.
fn span(program: &mut Program, raw: &Raw, place: impl Fn(Place) -> Place) -> (u32, u16, u16) {
    let first = program.operands.len();
    let of = |is_write| raw.uses.iter().filter(move |u| u.is_write == is_write);
    program.operands.extend(of(true).map(|u| place(u.place)));
    let middle = program.operands.len();
    program.operands.extend(of(false).map(|u| place(u.place)));
    program
        .operands
        .extend(Some(raw.guard).filter(|g| *g != NONE));
    let end = program.operands.len();
    (first as u32, (middle - first) as u16, (end - middle) as u16)
}

fn push(
    program: &mut Program,
    raw: &Raw,
    places: [Place; 6],
    list: u32,
    imm: u64,
    source: (u32, u32),
) {
    program.code.push(Inst {
        exec: raw.exec,
        guard: raw.guard,
        flip: raw.flip,
        places,
        list,
        aux: raw.aux,
        imm,
    });
    program.facts.push(raw.facts);
    program.lines.push(raw.line);
    program.sources.push(source);
}
