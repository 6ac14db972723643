//! NumPy's `.npy` files: f32 matrices `[rows, columns]` in C order.
//!
//! Format: the magic `\x93NUMPY`, version, header length, a Python dict that says type, order and
//! shape, and the values (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).

use super::{DataError, Result, write_atomic};
use memmap2::Mmap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes of the headers written here: room for any shape, and a multiple of 64 as NumPy asks for.
pub(crate) const HEADER_BYTES: usize = 128;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// A read-only f32 matrix `[rows, columns]`, mapped from its file.
#[derive(Debug)]
pub struct Matrix {
    path: PathBuf,
    map: Mmap,
    start: usize,
    rows: usize,
    columns: usize,
}

impl Matrix {
    /// Maps the `.npy` file `path`: little-endian f32, two dimensions, C order.
    ///
    /// # Errors
    /// [`DataError`] naming the file where it is anything else, or shorter than its shape.
    pub fn open(path: &Path) -> Result<Matrix> {
        let file = File::open(path).map_err(DataError::io("open", path))?;
        // SAFETY: the map is read-only, and this project replaces files by renaming, never in place;
        // a foreign process that truncates the file meanwhile is beyond what can be checked.
        let map = unsafe { Mmap::map(&file) }.map_err(DataError::io("map", path))?;
        let (start, rows, columns) =
            parse_header(&map).map_err(|message| DataError::file(path, message))?;
        let bytes = rows
            .checked_mul(columns)
            .and_then(|values| values.checked_mul(4))
            .and_then(|bytes| bytes.checked_add(start));
        if bytes.is_none_or(|bytes| bytes > map.len()) {
            let message = format!(
                "holds {} bytes after its header; expected [{rows}, {columns}] f32 values",
                map.len() - start
            );
            return Err(DataError::file(path, message));
        }
        Ok(Matrix {
            path: path.to_path_buf(),
            map,
            start,
            rows,
            columns,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All values, row-major.
    pub fn data(&self) -> &[f32] {
        // Open checked the length, and the start's alignment to 4 bytes; maps begin on a page.
        bytemuck::cast_slice(&self.map[self.start..self.start + self.rows * self.columns * 4])
    }

    /// Row `index`, which must be less than [`Matrix::rows`].
    pub fn row(&self, index: usize) -> &[f32] {
        &self.data()[index * self.columns..][..self.columns]
    }
}

/// Writes `data` `[rows, columns]` to the `.npy` file `path`, atomically.
///
/// # Errors
/// [`DataError`] where `data` does not hold `rows · columns` values or the file cannot be written.
pub fn write(path: &Path, rows: usize, columns: usize, data: &[f32]) -> Result<()> {
    if rows.checked_mul(columns) != Some(data.len()) {
        let message = format!("{} values given for shape [{rows}, {columns}]", data.len());
        return Err(DataError::file(path, message));
    }
    write_atomic(path, |out: &mut dyn Write| {
        out.write_all(&header(rows, columns))?;
        out.write_all(bytemuck::cast_slice(data))
    })
}

/// The header of an f32 matrix.
pub(crate) fn header(rows: usize, columns: usize) -> [u8; HEADER_BYTES] {
    let dict =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let mut bytes = [b' '; HEADER_BYTES];
    bytes[..6].copy_from_slice(MAGIC);
    bytes[6..8].copy_from_slice(&[1, 0]);
    bytes[8..10].copy_from_slice(&(HEADER_BYTES as u16 - 10).to_le_bytes());
    bytes[10..10 + dict.len()].copy_from_slice(dict.as_bytes());
    bytes[HEADER_BYTES - 1] = b'\n';
    bytes
}

/// `(start of the values, rows, columns)`.
fn parse_header(file: &[u8]) -> std::result::Result<(usize, usize, usize), String> {
    let cut_off = || "ends inside the header; expected a whole .npy file".to_string();
    if file.len() < 10 || !file.starts_with(MAGIC) {
        return Err("not a .npy file; expected it to start with \\x93NUMPY".into());
    }
    let (text_at, length) = match file[6] {
        1 => (10, u16::from_le_bytes([file[8], file[9]]) as usize),
        2 | 3 => {
            let bytes = file.get(8..12).ok_or_else(cut_off)?;
            let length = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            (12, length as usize)
        }
        other => return Err(format!(".npy version {other}; expected 1, 2 or 3")),
    };
    let start = text_at + length;
    let text = file.get(text_at..start).ok_or_else(cut_off)?;
    let text = std::str::from_utf8(text).map_err(|_| "the header is not text".to_string())?;
    if start % 4 != 0 {
        return Err(format!(
            "values start at byte {start}; expected a multiple of 4"
        ));
    }
    let descr = field(text, "descr")?;
    let descr = descr.split(['\'', '"']).nth(1).unwrap_or(descr);
    if descr != "<f4" {
        return Err(format!("values are {descr:?}; expected '<f4', f32"));
    }
    if !field(text, "fortran_order")?.starts_with("False") {
        return Err("values are in Fortran order; expected C order".into());
    }
    let shape = field(text, "shape")?;
    let inside = shape
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
        .map(|(inside, _)| inside)
        .ok_or_else(|| format!("shape {shape:?} is no tuple"))?;
    let sizes: std::result::Result<Vec<usize>, _> = inside
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty())
        .map(str::parse)
        .collect();
    match sizes.as_deref() {
        Ok(&[rows, columns]) => Ok((start, rows, columns)),
        _ => Err(format!("shape is ({inside}); expected (rows, columns)")),
    }
}

/// What follows `'name':` in the header.
fn field<'a>(text: &'a str, name: &str) -> std::result::Result<&'a str, String> {
    [format!("'{name}':"), format!("\"{name}\":")]
        .iter()
        .find_map(|key| text.find(key).map(|at| text[at + key.len()..].trim_start()))
        .ok_or_else(|| format!("the header has no '{name}'"))
}

#[cfg(target_endian = "big")]
compile_error!("embeddings are mapped as little-endian f32");
