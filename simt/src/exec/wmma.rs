//! `wmma`: matrices in fragments whose layout a program does not know (PTX ISA, "Matrix multiply-accumulate
//! operation using wmma instructions").
//!
//! A and B lie in the lanes in the order of their rows; C and D as `mma` has them, since programs are
//! known that count on it. f16 operands have more registers than elements: the rest is zero.

use super::facts::{Class, Effect, Work, Writer};
use super::fault::Fault;
use super::program::{Exec, Inst, Place, Step};
use super::warp::Warp;
use super::{Entry, For, reach};
use crate::numeric::half::Half;
use crate::numeric::matrix::element::Element;
use crate::numeric::matrix::fragment;
use crate::numeric::matrix::product;
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Space;
use crate::ptx::types::Type::{self, *};

pub const TABLE: &[Entry] = &[Entry("wmma", For::All, decode)];

/// m, n and k by name.
const SHAPES: [(&str, [usize; 3]); 7] = [
    ("m16n16k16", [16, 16, 16]),
    ("m8n32k16", [8, 32, 16]),
    ("m32n8k16", [32, 8, 16]),
    ("m16n16k8", [16, 16, 8]),
    ("m8n8k4", [8, 8, 4]),
    ("m8n8k32", [8, 8, 32]),
    ("m8n8k128", [8, 8, 128]),
];
const TYPES: [Type; 11] = [F16, Bf16, Tf32, F64, S8, U8, S4, U4, B1, F32, S32];

/// Which matrix a fragment is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Matrix {
    A,
    B,
    C,
}

const MATRICES: [Matrix; 3] = [Matrix::A, Matrix::B, Matrix::C];

/// Elements of a fragment and where they lie.
#[derive(Debug, Clone, Copy)]
struct Fragment {
    matrix: Matrix,
    shape: [usize; 3],
    ty: Type,
}

impl Fragment {
    fn extent(self) -> [usize; 2] {
        let [m, n, k] = self.shape;
        match self.matrix {
            Matrix::A => [m, k],
            Matrix::B => [k, n],
            Matrix::C => [m, n],
        }
    }

    fn is_allowed(self) -> bool {
        let sixteen = self.shape[2] == 16;
        match (self.matrix, self.ty) {
            (Matrix::C, F32) => sixteen || self.shape[2] == 8,
            (Matrix::C, F16) => sixteen,
            (Matrix::C, S32) => sixteen || matches!(self.shape[2], 32 | 128),
            (_, F64) => self.shape[2] == 4,
            (Matrix::C, _) => false,
            (_, F16 | Bf16 | S8 | U8) => sixteen,
            (_, Tf32) => self.shape[2] == 8,
            (_, S4 | U4) => self.shape[2] == 32,
            (_, B1) => self.shape[2] == 128,
            _ => false,
        }
    }

    /// Elements of a lane.
    fn elements(self) -> usize {
        self.extent().iter().product::<usize>() / 32
    }

    fn per_register(self) -> usize {
        (32 / self.ty.bits() as usize).max(1)
    }

    /// Registers of a lane, and their type.
    fn registers(self) -> (usize, Type) {
        match self.ty {
            F64 => (self.elements(), F64),
            F16 if self.matrix != Matrix::C => (8, B32),
            _ => (self.elements() / self.per_register(), B32),
        }
    }

    /// Row and column of an element of a lane.
    fn place(self, lane: usize, i: usize) -> [usize; 2] {
        let (group, rank) = (lane / 4, lane % 4);
        match (self.matrix, self.shape) {
            (Matrix::C, [16, 16, _]) => {
                let (row, column) = fragment::c(lane, i % 4);
                [row, column + 8 * (i / 4)]
            }
            (Matrix::C, [32, ..]) => {
                let (row, column) = fragment::c(lane, i % 4);
                [row + 16 * (i / 4), column]
            }
            (Matrix::C, _) => [group, 2 * rank + i % 2 + 8 * (i / 2)],
            _ => {
                let at = lane * self.elements() + i;
                let columns = self.extent()[1];
                [at / columns, at % columns]
            }
        }
    }

    /// Reads all elements, by rows, as bits.
    unsafe fn read(self, w: &Warp, places: &[Place]) -> Vec<u64> {
        let columns = self.extent()[1];
        let (bits, per_register) = (self.ty.bits(), self.per_register());
        let mut matrix = vec![0; 32 * self.elements()];
        for i in 0..self.elements() {
            // SAFETY: the decoder took that many registers of this width.
            let row: [u64; 32] = unsafe {
                match bits {
                    64 => *w.row::<u64>(places[i]),
                    _ => w.row::<u32>(places[i / per_register]).map(u64::from),
                }
            };
            for lane in 0..32 {
                let [r, c] = self.place(lane, i);
                let shift = (i % per_register) as u32 * bits;
                matrix[r * columns + c] = row[lane] >> shift & mask_of(bits);
            }
        }
        matrix
    }

    /// Writes all elements.
    unsafe fn write(self, w: &mut Warp, places: &[Place], lanes: u32, matrix: &[u64]) {
        let columns = self.extent()[1];
        let (bits, per_register) = (self.ty.bits(), self.per_register());
        let value = |lane: usize, i: usize| {
            let [r, c] = self.place(lane, i);
            matrix[r * columns + c]
        };
        for (at, place) in places.iter().enumerate() {
            let first = at * per_register;
            // SAFETY: as for `read`.
            unsafe {
                if bits == 64 {
                    let row: [u64; 32] = std::array::from_fn(|lane| value(lane, at));
                    w.put(*place, lanes, &row);
                    continue;
                }
                let row: [u32; 32] = std::array::from_fn(|lane| {
                    let parts = first..(first + per_register).min(self.elements());
                    parts.fold(0, |all, i| {
                        all | (value(lane, i) as u32) << ((i - first) as u32 * bits)
                    })
                });
                w.put(*place, lanes, &row);
            }
        }
    }
}

fn mask_of(bits: u32) -> u64 {
    !0 >> (64 - bits)
}

/// In `aux`: base register of 32 bits; column-major; matrix; shape; type; more types of `wmma.mma`.
const NARROW: u32 = 1;
const COLUMNS: u32 = 2;
const GLOBAL: u32 = 4;
const SHARED: u32 = 8;
const MATRIX_SHIFT: u32 = 4;
const SHAPE_SHIFT: u32 = 8;
const TYPE_SHIFT: u32 = 12;
const B_SHIFT: u32 = 16;
const C_SHIFT: u32 = 20;
const D_SHIFT: u32 = 24;
const SATURATES: u32 = 1 << 28;
const AND: u32 = 1 << 29;

fn index(i: &Instr<'_, '_, '_>, ty: Type) -> Result<u32> {
    match TYPES.iter().position(|t| *t == ty) {
        Some(index) => Ok(index as u32),
        None => i.refuse(),
    }
}

fn fragment_of(aux: u32, matrix: Matrix, type_shift: u32) -> Fragment {
    Fragment {
        matrix,
        shape: SHAPES[(aux >> SHAPE_SHIFT & 15) as usize].1,
        ty: TYPES[(aux >> type_shift & 15) as usize],
    }
}

fn decode(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    if !(i.flag("sync") & i.flag("aligned")) {
        return i.refuse();
    }
    let names = SHAPES.map(|(name, _)| name);
    match i.one_of(&names) {
        Some(shape) => i.aux |= (shape as u32) << SHAPE_SHIFT,
        None => return i.refuse(),
    }
    match i.one_of(&["load", "store", "mma"]) {
        Some(0) => move_matrix(i, false),
        Some(1) => move_matrix(i, true),
        Some(_) => multiply(i),
        None => i.refuse(),
    }
}

/// `wmma.load.{a,b,c}.sync.aligned.layout.shape{.space}.type {r…}, [p]{, stride}`, `wmma.store.d`
fn move_matrix(i: &mut Instr<'_, '_, '_>, is_store: bool) -> Result<Exec> {
    let matrix = match (is_store, i.one_of(&["a", "b", "c", "d"])) {
        (true, Some(3)) => 2,
        (false, Some(matrix @ 0..=2)) => matrix,
        _ => return i.refuse(),
    };
    match i.one_of(&["row", "col"]) {
        Some(layout) => i.aux |= if layout == 1 { COLUMNS } else { 0 },
        None => return i.refuse(),
    }
    let space = i.space();
    i.aux |= match space {
        Space::Global => GLOBAL,
        Space::Shared => SHARED,
        Space::Generic => 0,
        _ => return i.refuse(),
    };
    let ty = i.ty()?;
    i.aux |= (matrix as u32) << MATRIX_SHIFT | index(i, ty)? << TYPE_SHIFT;
    let fragment = fragment_of(i.aux, MATRICES[matrix], TYPE_SHIFT);
    if !fragment.is_allowed() {
        return i.refuse();
    }
    let (count, register) = fragment.registers();
    if !is_store {
        i.dsts(register, count)?;
    }
    reach::take(i, space, NARROW)?;
    if is_store {
        i.srcs(register, count)?;
    }
    if i.left() > 0 {
        i.src(U32)?;
    } else {
        // Rows, or columns, that lie together.
        let [rows, columns] = fragment.extent();
        let stride = if i.aux & COLUMNS != 0 { rows } else { columns };
        let place = i.scope.constants.place(stride as u128, 32);
        i.push(place, false);
    }
    i.in_list = true;
    i.facts.together(None);
    if is_store {
        i.facts.class = Class::Store;
        i.facts.effect = Effect::Writes(Writer::Fragment);
        return Ok(store);
    }
    i.facts.class = Class::Load;
    Ok(load)
}

/// The host address of the first element, and a function from row and column to bits from there.
unsafe fn memory(
    w: &Warp,
    i: &Inst,
    lane: usize,
    fragment: Fragment,
    address: &[Place],
    stride: Place,
) -> std::result::Result<(*mut u8, impl Fn(usize, usize) -> usize + use<>), Fault> {
    let [rows, columns] = fragment.extent();
    let by_columns = i.aux & COLUMNS != 0;
    let bits = fragment.ty.bits() as usize;
    let space = match i.aux & (GLOBAL | SHARED) {
        GLOBAL => Space::Global,
        SHARED => Space::Shared,
        _ => Space::Generic,
    };
    // SAFETY: the decoder took an address and a row of 32 bits.
    let (address, stride) = unsafe {
        let address = w.address_rows(address, 0, i.aux & NARROW != 0)[lane];
        (address, w.row::<u32>(stride)[lane] as usize)
    };
    let at = move |row: usize, column: usize| match by_columns {
        true => (column * stride + row) * bits,
        false => (row * stride + column) * bits,
    };
    let bytes = (at(rows - 1, columns - 1) + bits).div_ceil(8) as u64;
    let base = w.reach(space, address, bytes, (bits as u64 / 8).max(4))?;
    Ok((base, at))
}

fn load(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    if let Err(step) = w.gather(!0) {
        return step;
    }
    let matrix = MATRICES[(i.aux >> MATRIX_SHIFT & 3) as usize];
    let fragment = fragment_of(i.aux, matrix, TYPE_SHIFT);
    let [rows, columns] = fragment.extent();
    let (count, _) = fragment.registers();
    // SAFETY: the decoder made a list of just these; `memory` checked the addresses.
    unsafe {
        let places = w.list(i, count + 3);
        let lane = mask.trailing_zeros() as usize;
        let found = memory(w, i, lane, fragment, &places[count..], places[count + 2]);
        let (base, at) = match found {
            Ok(found) => found,
            Err(fault) => return w.fail(fault),
        };
        let bits = fragment.ty.bits();
        let mut elements = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            for column in 0..columns {
                let bit = at(row, column);
                let mut bytes = [0; 8];
                let width = (bits as usize).div_ceil(8);
                bytes.as_mut_ptr().copy_from(base.add(bit / 8), width);
                elements.push(u64::from_le_bytes(bytes) >> (bit % 8) & mask_of(bits));
            }
        }
        fragment.write(w, &places[..count], mask, &elements);
    }
    Step::Next
}

fn store(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    if let Err(step) = w.gather(!0) {
        return step;
    }
    let fragment = fragment_of(i.aux, Matrix::C, TYPE_SHIFT);
    let [rows, columns] = fragment.extent();
    let (count, _) = fragment.registers();
    // SAFETY: as for `load`; accumulators have whole bytes.
    unsafe {
        let places = w.list(i, count + 3);
        let lane = mask.trailing_zeros() as usize;
        let found = memory(w, i, lane, fragment, places, places[count + 2]);
        let (base, at) = match found {
            Ok(found) => found,
            Err(fault) => return w.fail(fault),
        };
        let elements = fragment.read(w, &places[2..count + 2]);
        let width = fragment.ty.bytes() as usize;
        for (index, element) in elements.iter().enumerate().take(rows * columns) {
            let to = base.add(at(index / columns, index % columns) / 8);
            to.copy_from(element.to_le_bytes().as_ptr(), width);
        }
    }
    Step::Next
}

/// What a store writes, row by row or column by column.
///
/// # Safety
/// As of an [`Exec`].
pub unsafe fn written(w: &Warp, i: &Inst, mask: u32, mut f: impl FnMut(Space, u64, u64)) {
    let fragment = fragment_of(i.aux, Matrix::C, TYPE_SHIFT);
    let (count, _) = fragment.registers();
    let [rows, columns] = fragment.extent();
    // SAFETY: the decoder made a list of just these.
    unsafe {
        let places = w.list(i, count + 3);
        let lane = mask.trailing_zeros() as usize;
        let address = w.address_rows(places, 0, i.aux & NARROW != 0)[lane];
        let Ok((_, at)) = memory(w, i, lane, fragment, places, places[count + 2]) else {
            return;
        };
        let space = match i.aux & (GLOBAL | SHARED) {
            GLOBAL => Space::Global,
            SHARED => Space::Shared,
            _ => Space::Generic,
        };
        for row in 0..rows {
            for column in 0..columns {
                let to = address + at(row, column) as u64 / 8;
                f(space, to, fragment.ty.bytes().into());
            }
        }
    }
}

/// `wmma.mma{.op.popc}.sync.aligned.alayout.blayout.shape{.d}{.a.b}{.c}{.satfinite} d, a, b, c`
fn multiply(i: &mut Instr<'_, '_, '_>) -> Result<Exec> {
    // The layouts say how A and B were loaded; fragments here do not depend on it.
    let layouts = i.one_of(&["row", "col"]).is_some() & i.one_of(&["row", "col"]).is_some();
    if i.flag("satfinite") {
        i.aux |= SATURATES;
    }
    let popc = i.flag("popc");
    match i.one_of(&["xor", "and"]) {
        Some(operation) if popc => i.aux |= if operation == 1 { AND } else { 0 },
        None if !popc => {}
        _ => return i.refuse(),
    }
    i.flag("rn");
    let d = i.ty()?;
    let second = i.ty()?;
    // Of f16 factors only the accumulators are written.
    let (a, b, c) = match i.modifier(Type::parse) {
        Some(b) => (second, b, i.ty()?),
        None => (F16, F16, second),
    };
    i.aux |= index(i, a)? << TYPE_SHIFT | index(i, b)? << B_SHIFT;
    i.aux |= index(i, c)? << C_SHIFT | index(i, d)? << D_SHIFT;
    let fragments = fragments(i.aux);
    let alike = a == b || matches!((a, b), (S8 | U8, S8 | U8) | (S4 | U4, S4 | U4));
    let sums = match a {
        F16 => matches!((c, d), (F16 | F32, F16 | F32)),
        Bf16 | Tf32 => (c, d) == (F32, F32),
        F64 => (c, d) == (F64, F64),
        _ => (c, d) == (S32, S32),
    };
    let allowed = fragments.iter().all(|fragment| fragment.is_allowed());
    if !layouts || !alike || !sums || !allowed || popc != (a == B1) {
        return i.refuse();
    }
    for (at, fragment) in fragments.iter().enumerate() {
        let (count, register) = fragment.registers();
        match at {
            0 => i.dsts(register, count)?,
            _ => i.srcs(register, count)?,
        }
    }
    i.in_list = true;
    let operations = 2 * fragments[1].shape.iter().product::<usize>() as u32;
    i.facts.work = match d {
        S32 => Work::TensorInteger(operations),
        F64 => Work::F64(operations / 32),
        _ => Work::Tensor(operations),
    };
    i.facts.together(None);
    Ok(run)
}

/// D, A, B and C.
fn fragments(aux: u32) -> [Fragment; 4] {
    [
        fragment_of(aux, Matrix::C, D_SHIFT),
        fragment_of(aux, Matrix::A, TYPE_SHIFT),
        fragment_of(aux, Matrix::B, B_SHIFT),
        fragment_of(aux, Matrix::C, C_SHIFT),
    ]
}

fn run(w: &mut Warp, i: &Inst, mask: u32) -> Step {
    if let Err(step) = w.gather(!0) {
        return step;
    }
    let fragments = fragments(i.aux);
    let counts = fragments.map(|fragment| fragment.registers().0);
    // SAFETY: the decoder made a list of just these.
    unsafe {
        let places = w.list(i, counts.iter().sum());
        let (d, rest) = places.split_at(counts[0]);
        let (a, rest) = rest.split_at(counts[1]);
        let (b, c) = rest.split_at(counts[2]);
        let a = fragments[1].read(w, a);
        let b = fragments[2].read(w, b);
        let c = fragments[3].read(w, c);
        let sums = match fragments[1].ty {
            F64 => doubles(fragments[1].shape, &a, &b, &c),
            F16 | Bf16 | Tf32 => floats(&fragments, &a, &b, &c),
            _ => integers(&fragments, i.aux, &a, &b, &c),
        };
        fragments[0].write(w, d, mask, &sums);
    }
    Step::Next
}

fn doubles([m, n, k]: [usize; 3], a: &[u64], b: &[u64], c: &[u64]) -> Vec<u64> {
    let sum = |at: usize| {
        let (row, column) = (at / n, at % n);
        let terms = (0..k).map(|s| (a[row * k + s], b[s * n + column]));
        terms.fold(f64::from_bits(c[at]), |sum, (a, b)| {
            f64::from_bits(a).mul_add(f64::from_bits(b), sum)
        })
    };
    (0..m * n).map(|at| sum(at).to_bits()).collect()
}

fn floats(fragments: &[Fragment; 4], a: &[u64], b: &[u64], c: &[u64]) -> Vec<u64> {
    let [m, n, k] = fragments[1].shape;
    let element = match fragments[1].ty {
        F16 => Element::F16,
        Bf16 => Element::Bf16,
        _ => Element::Tf32,
    };
    let factors =
        |x: &[u64]| -> Vec<f32> { x.iter().map(|v| element.float(*v as u32, 0)).collect() };
    let mut sums: Vec<f32> = c
        .iter()
        .map(|v| match fragments[3].ty {
            F16 => Half::F16.to_f32(*v as u16),
            _ => f32::from_bits(*v as u32),
        })
        .collect();
    product::accumulate(m, n, k, &factors(a), &factors(b), &mut sums);
    sums.iter()
        .map(|v| match fragments[0].ty {
            F16 => Half::F16.from_f32(*v).into(),
            _ => v.to_bits().into(),
        })
        .collect()
}

fn integers(fragments: &[Fragment; 4], aux: u32, a: &[u64], b: &[u64], c: &[u64]) -> Vec<u64> {
    let [m, n, k] = fragments[1].shape;
    let value = |ty: Type, bits: u64| match ty {
        S8 => i64::from(bits as i8),
        S4 => (bits << 60) as i64 >> 60,
        _ => bits as i64,
    };
    let term = |x: u64, y: u64| match fragments[1].ty {
        B1 if aux & AND != 0 => (x & y) as i64,
        B1 => (x ^ y) as i64,
        _ => value(fragments[1].ty, x) * value(fragments[2].ty, y),
    };
    let sum = |at: usize| {
        let (row, column) = (at / n, at % n);
        let products = (0..k).map(|s| term(a[row * k + s], b[s * n + column]));
        let sum = i64::from(c[at] as i32) + products.sum::<i64>();
        match aux & SATURATES {
            0 => sum as i32,
            _ => sum.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
        }
    };
    (0..m * n).map(|at| u64::from(sum(at) as u32)).collect()
}
