//! Tensor maps as the driver makes them.

unsafe extern "C" {
    fn cuTensorMapEncodeTiled(
        to: *mut Map,
        ty: u32,
        rank: u32,
        address: u64,
        extent: *const u64,
        strides: *const u64,
        extent_of_box: *const u32,
        element_strides: *const u32,
        interleave: u32,
        swizzle: u32,
        promotion: u32,
        fill: u32,
    ) -> u32;
}

/// The driver's numbers of element types, and their bytes.
pub const F32: (u32, u64) = (7, 4);
pub const BF16: (u32, u64) = (9, 2);

/// A tensor map as a kernel's parameter.
#[repr(C, align(64))]
pub struct Map(pub [u8; 128]);

/// The map of a matrix by rows, moved in boxes.
pub fn matrix(
    (ty, bytes): (u32, u64),
    address: u64,
    [rows, columns, pitch]: [u64; 3],
    [box_rows, box_columns]: [u32; 2],
    swizzle: u32,
) -> Map {
    // The function is the library's own, whose first entry point this names.
    assert!(!simt::driver::Chip::of(0).name.is_empty());
    let mut map = Map([0xa5; 128]);
    let extent = [columns, rows];
    let (strides, boxes, steps) = ([pitch * bytes], [box_columns, box_rows], [1; 2]);
    // SAFETY: the arrays are as long as two dimensions need.
    let result = unsafe {
        cuTensorMapEncodeTiled(
            &mut map,
            ty,
            2,
            address,
            extent.as_ptr(),
            strides.as_ptr(),
            boxes.as_ptr(),
            steps.as_ptr(),
            0,
            swizzle,
            0,
            0,
        )
    };
    assert_eq!(result, 0);
    map
}

/// Parameters one after another, each at a multiple of what it is aligned to.
#[derive(Default)]
pub struct Params(pub Vec<u8>);

impl Params {
    pub fn push(&mut self, bytes: &[u8], align: usize) -> &mut Params {
        self.0.resize(self.0.len().next_multiple_of(align), 0);
        self.0.extend(bytes);
        self
    }
}
