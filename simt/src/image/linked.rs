//! What `cuLinkComplete` gives: the texts that were linked, one behind the other.

use super::Error;

/// First bytes.
pub const MAGIC: u32 = u32::from_le_bytes(*b"\x01SLK");
const DAMAGED: Error = Error::Damaged("linked PTX that ends too early");

/// An image of texts: magic number, bytes of all texts with their lengths, and each text behind its
/// length in 8 bytes.
pub fn bundle(texts: &[String]) -> Vec<u8> {
    let mut image = MAGIC.to_le_bytes().to_vec();
    let bytes: usize = texts.iter().map(|text| text.len() + 8).sum();
    image.extend((bytes as u32).to_le_bytes());
    for text in texts {
        image.extend((text.len() as u64).to_le_bytes());
        image.extend(text.as_bytes());
    }
    image
}

/// Bytes of an image by its first eight.
pub fn length(header: [u8; 8]) -> usize {
    let [_, _, _, _, bytes @ ..] = header;
    8 + u32::from_le_bytes(bytes) as usize
}

/// The texts of an image.
pub fn texts(image: &[u8]) -> Result<Vec<String>, Error> {
    let header = *image.first_chunk().ok_or(DAMAGED)?;
    let mut rest = image.get(8..length(header)).ok_or(DAMAGED)?;
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let (bytes, behind) = rest.split_first_chunk::<8>().ok_or(DAMAGED)?;
        let bytes = usize::try_from(u64::from_le_bytes(*bytes)).map_err(|_| DAMAGED)?;
        texts.push(super::text(behind.get(..bytes).ok_or(DAMAGED)?)?);
        rest = &behind[bytes..];
    }
    Ok(texts)
}
