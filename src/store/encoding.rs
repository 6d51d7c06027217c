//! Common parts of all stores: limits, and the encoding of values in bytes.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::Arc,
};

use image::{ExtendedColorType, codecs::jpeg::JpegEncoder};

use super::records::wall_ns;
use crate::core::{
    embedding::{Embedding, ModelFingerprint},
    identity::PROVISIONAL,
    thumbnail::Thumbnail,
};

/// Most sightings kept of one person; older ones are dropped.
pub(super) const MAX_SIGHTINGS: i64 = 1000;
/// People written in one go while the gallery is locked: 32 × 8 rows of 512 numbers are half a megabyte to copy.
pub(super) const BATCH: usize = 32;
/// Most such batches in one transaction.
pub(super) const BATCHES: usize = 32;

/// Quality of the pictures of people, of 100: a few KiB each.
const JPEG_QUALITY: u8 = 85;

/// A random number, from the seed that the standard library draws for its hash maps.
pub(super) fn random() -> i64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(wall_ns());
    hasher.write_u32(std::process::id());
    (hasher.finish() >> 1) as i64
}

/// The first number of a process's own making. Each process begins elsewhere.
pub(super) fn first_provisional() -> u32 {
    PROVISIONAL + (random() as u32) % (PROVISIONAL / 2)
}

/// Databases count in signed numbers.
pub(super) fn signed(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

/// And back.
pub(super) fn unsigned(ns: i64) -> u64 {
    u64::try_from(ns).unwrap_or(0)
}

/// A vector as bytes: 32-bit floats, little endian.
pub(super) fn vector_to_bytes(vector: &Embedding) -> Vec<u8> {
    vector
        .values()
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect()
}

/// And back; `None` when they are no vector.
pub(super) fn vector_from_bytes(bytes: &[u8], model: ModelFingerprint) -> Option<Embedding> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    let values: Vec<f32> = numbers.iter().map(|b| f32::from_le_bytes(*b)).collect();
    if !rest.is_empty() {
        return None;
    }
    Embedding::normalised(&values, model).ok()
}

/// A picture as the bytes of a JPEG file; `None` when it has no pixels.
pub(super) fn thumbnail_to_jpeg(picture: &Thumbnail) -> Option<Vec<u8>> {
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
        .encode(picture.rgb(), width, height, ExtendedColorType::Rgb8)
        .ok()?;
    Some(bytes)
}

/// A name as the gallery has it.
pub(super) fn shared_name(name: Option<String>) -> Option<Arc<str>> {
    name.filter(|name| !name.is_empty()).map(Into::into)
}
