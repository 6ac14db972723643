//! LZ4 blocks (lz4_Block_format.md of the LZ4 project).

use super::Error;

const DAMAGED: Error = Error::Damaged("LZ4: a length or distance leads out of the block");

/// A length of 15 goes on in further bytes, the last of which is not 255.
fn length(nibble: u8, input: &mut &[u8]) -> Result<usize, Error> {
    let mut length = usize::from(nibble);
    if nibble == 15 {
        loop {
            let (byte, rest) = input.split_first().ok_or(DAMAGED)?;
            *input = rest;
            length += usize::from(*byte);
            if *byte != 255 {
                break;
            }
        }
    }
    Ok(length)
}

/// Decompresses a block of `bytes` bytes.
///
/// # Errors
/// The block is damaged, or holds another number of bytes.
pub fn decompress(mut input: &[u8], bytes: usize) -> Result<Vec<u8>, Error> {
    let mut output = Vec::new();
    while let Some((token, rest)) = input.split_first() {
        input = rest;
        let literals = length(token >> 4, &mut input)?;
        if literals > input.len() || output.len() + literals > bytes {
            return Err(DAMAGED);
        }
        let (copied, rest) = input.split_at(literals);
        output.extend_from_slice(copied);
        input = rest;
        // The last sequence has no match.
        if input.is_empty() {
            break;
        }
        let (distance, rest) = input.split_first_chunk::<2>().ok_or(DAMAGED)?;
        input = rest;
        let distance = usize::from(u16::from_le_bytes(*distance));
        let count = length(token & 15, &mut input)? + 4;
        if distance == 0 || distance > output.len() || output.len() + count > bytes {
            return Err(DAMAGED);
        }
        // A match may reach into what it writes.
        let start = output.len() - distance;
        for at in start..start + count {
            output.push(output[at]);
        }
    }
    match output.len() == bytes {
        true => Ok(output),
        false => Err(Error::Damaged("LZ4: fewer bytes than the header says")),
    }
}
