//! `wmma`: loads and stores of fragments (PTX ISA, "Matrix multiply-accumulate operation using wmma
//! instructions").

use super::facts::Class;
use super::fault::Fault;
use super::pieces::{self, Mover, Piece, Until};
use super::program::{Exec, Inst, Place, Step};
use super::touch::Kind;
use super::warp::Warp;
use super::wmma_fragment::{Fragment, MATRICES, Matrix, SHAPES, TYPES, mask_of};
use super::{Entry, For, reach};
use crate::ptx::Result;
use crate::ptx::decode::instr::Instr;
use crate::ptx::types::Space;
use crate::ptx::types::Type::{self, *};

pub const TABLE: &[Entry] = &[Entry("wmma", For::All, decode)];

/// In `aux`: base register of 32 bits; column-major; matrix; shape; type; more types of `wmma.mma`.
pub const NARROW: u32 = 1;
pub const COLUMNS: u32 = 2;
pub const GLOBAL: u32 = 4;
pub const SHARED: u32 = 8;
pub const MATRIX_SHIFT: u32 = 4;
pub const SHAPE_SHIFT: u32 = 8;
pub const TYPE_SHIFT: u32 = 12;
pub const B_SHIFT: u32 = 16;
pub const C_SHIFT: u32 = 20;
pub const D_SHIFT: u32 = 24;
pub const SATURATES: u32 = 1 << 28;
pub const AND: u32 = 1 << 29;

/// A type's number.
pub fn index(i: &Instr<'_, '_, '_>, ty: Type) -> Result<u32> {
    match TYPES.iter().position(|t| *t == ty) {
        Some(index) => Ok(index as u32),
        None => i.refuse(),
    }
}

/// The fragment of a matrix, its shape and type as `aux` says them.
pub fn fragment_of(aux: u32, matrix: Matrix, type_shift: u32) -> Fragment {
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
        Some(_) => super::wmma_product::multiply(i),
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
    i.facts.mover = Some(Mover::Fragment { stores: is_store });
    if is_store {
        i.facts.class = Class::Store;
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

/// What a load or store touches: rows, or columns, that lie together.
///
/// # Safety
/// `w` is about to execute the instruction for the lanes in `mask`.
pub unsafe fn pieces<'a>(
    w: &'a Warp,
    i: &Inst,
    mask: u32,
    stores: bool,
    f: &mut dyn FnMut(Piece<'a>),
) {
    let matrix = match stores {
        true => Matrix::C,
        false => MATRICES[(i.aux >> MATRIX_SHIFT & 3) as usize],
    };
    let fragment = fragment_of(i.aux, matrix, TYPE_SHIFT);
    let (count, _) = fragment.registers();
    let [rows, columns] = fragment.extent();
    let lane = mask.trailing_zeros();
    // SAFETY: the decoder made a list of just these.
    unsafe {
        let places = w.list(i, count + 3);
        let at = if stores { 0 } else { count };
        let first = w.address_rows(places, at, i.aux & NARROW != 0)[lane as usize];
        let found = memory(
            w,
            i,
            lane as usize,
            fragment,
            &places[at..],
            places[count + 2],
        );
        let Ok((_, at)) = found else {
            return;
        };
        let space = match i.aux & (GLOBAL | SHARED) {
            GLOBAL => Space::Global,
            SHARED => Space::Shared,
            _ => Space::Generic,
        };
        let (lines, length) = match i.aux & COLUMNS {
            0 => (rows, columns),
            _ => (columns, rows),
        };
        let bytes = (length * fragment.ty.bits() as usize / 8) as u64;
        for line in 0..lines {
            let bit = match i.aux & COLUMNS {
                0 => at(line, 0),
                _ => at(0, line),
            };
            let kind = if stores { Kind::Write } else { Kind::Read };
            let address = first + bit as u64 / 8;
            if let Some((block, space, address)) = pieces::resolve(w, space, address, bytes) {
                f(Piece {
                    lane,
                    kind,
                    space,
                    block,
                    address,
                    bytes,
                    until: Until::Now,
                });
            }
        }
    }
}
