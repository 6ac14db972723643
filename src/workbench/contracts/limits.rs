//! Limits of a shape that a user gives.

use crate::ops::attention::Heads;

/// Largest size of one axis, and elements of one buffer: what a check can still hold in f64.
const LARGEST: usize = 1 << 24;
const ELEMENTS: usize = 1 << 27;

/// Sizes of at least 1, and buffers that they span.
///
/// # Errors
/// Names the axis, or the buffer by its axes.
pub fn sizes(axes: &[(&str, usize)], buffers: &[&[usize]]) -> Result<(), String> {
    for &(name, size) in axes {
        match size {
            0 => return Err(format!("{name} is 0; expected at least 1")),
            LARGEST.. => {
                return Err(format!(
                    "{name} is {size}, too large for a check: at most {LARGEST}"
                ));
            }
            _ => {}
        }
    }
    for buffer in buffers {
        let elements = buffer
            .iter()
            .fold(1usize, |n, &size| n.saturating_mul(size));
        if elements > ELEMENTS {
            let sizes: Vec<String> = buffer.iter().map(usize::to_string).collect();
            let sizes = sizes.join(" x ");
            return Err(format!(
                "a buffer of {sizes} elements is too large for a check: at most {ELEMENTS}"
            ));
        }
    }
    Ok(())
}

/// Heads that share keys evenly.
///
/// # Errors
/// Names what is wrong with them.
pub fn of_heads(h: &Heads) -> Result<(), String> {
    let axes = [
        ("num_heads", h.num_heads),
        ("num_kv_heads", h.num_kv_heads),
        ("head_dim", h.head_dim),
    ];
    sizes(&axes, &[])?;
    match h.num_heads % h.num_kv_heads {
        0 => Ok(()),
        _ => Err(format!(
            "num_heads is {}, no multiple of num_kv_heads, {}",
            h.num_heads, h.num_kv_heads
        )),
    }
}

/// A finite number above 0.
///
/// # Errors
/// Names it.
pub fn positive(name: &str, value: f32) -> Result<(), String> {
    match value.is_finite() && value > 0.0 {
        true => Ok(()),
        false => Err(format!("{name} is {value}; expected a number above 0")),
    }
}
