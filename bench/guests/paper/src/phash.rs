//! PHash and PHash-Modified: perceptual hashes of pictures by double gradients, of 256 x 256.

use image::{ImageFormat, load_from_memory_with_format};
use image_hasher::{HashAlg, HasherConfig};
use std::array;
use vectorvisor_guest::Service;

const ROOM: usize = 256 << 10;

/// A BMP of any size to its hash, by `image_hasher`.
pub fn hasher() -> Service {
    let service = Service::bytes(move |request| {
        let hasher = HasherConfig::new().hash_size(256, 256).hash_alg(HashAlg::DoubleGradient).to_hasher();
        match load_from_memory_with_format(request, ImageFormat::Bmp) {
            Ok(image) => hasher.hash_image(&image).as_bytes().to_vec(),
            Err(why) => why.to_string().into(),
        }
    });
    service.room(ROOM)
}

/// The edge of the pictures that [`modified`] takes.
pub const EDGE: usize = 256;
/// The edge of what they are reduced to: as many pixels more than bits as there are differences.
pub const REDUCED: usize = 129;
/// Pixels that add to a reduced one: Lanczos' window of 3 on both sides, at the scale of the reduction.
pub const TAPS: usize = 12;
/// Bits of a weight's fraction.
const FRACTION: u32 = 14;
/// Bits of the hash, in bytes.
pub const BYTES: usize = 2 * REDUCED * (REDUCED - 1) / 8;

/// For each reduced pixel of a row or column, where the pixels that add to it begin, and their weights.
pub type Taps = [(usize, [i32; TAPS]); REDUCED];

/// A BMP of 256 x 256 pixels of 24 bits, uncompressed, to its hash: the algorithm of [`hasher`] in whole numbers, with no
/// branch and no address that depends on the picture, so that all VMs go the same way.
pub fn modified() -> Service {
    let taps = taps();
    let service = Service::bytes(move |request| match pixels(request) {
        Some(pixels) => hash(pixels, &taps),
        None => b"this is not a BMP of 256 x 256 pixels of 24 bits".to_vec(),
    });
    service.room(ROOM)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The pixels, blue, green, red, from the bottom row up.
fn pixels(bmp: &[u8]) -> Option<&[u8]> {
    let edge = EDGE as u32;
    let fits = bmp.starts_with(b"BM")
        && (word(bmp, 18)?, word(bmp, 22)?) == (edge, edge)
        && word(bmp, 28)? & 0xffff == 24
        && word(bmp, 30)? == 0;
    fits.then_some(())?;
    bmp.get(word(bmp, 10)? as usize..)?.get(..EDGE * EDGE * 3)
}

/// Lanczos' kernel with a window of 3, stretched to reduce [`EDGE`] pixels to [`REDUCED`].
pub fn taps() -> Taps {
    let scale = EDGE as f64 / REDUCED as f64;
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI) };
    array::from_fn(|reduced| {
        let centre = (reduced as f64 + 0.5) * scale;
        let first = (centre - TAPS as f64 / 2.0).round().clamp(0.0, (EDGE - TAPS) as f64) as usize;
        let weight = |tap: usize| {
            let x = ((first + tap) as f64 + 0.5 - centre) / scale;
            if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }
        };
        let sum: f64 = (0..TAPS).map(weight).sum();
        let fixed = |tap| (weight(tap) / sum * f64::from(1 << FRACTION)).round() as i32;
        (first, array::from_fn(fixed))
    })
}

/// The sum as a value of 8 bits.
fn rounded(sum: i32) -> u8 {
    ((sum + (1 << (FRACTION - 1))) >> FRACTION).clamp(0, 255) as u8
}

fn hash(pixels: &[u8], taps: &Taps) -> Vec<u8> {
    let (pixels, _) = pixels.as_chunks::<3>();
    // The weights of `image` for the brightness of sRGB.
    let luma = |[blue, green, red]: [u8; 3]| {
        let sum = 2126 * u32::from(red) + 7152 * u32::from(green) + 722 * u32::from(blue);
        (sum / 10000) as u8
    };
    // From the top row down.
    let grey: Vec<u8> = pixels.chunks_exact(EDGE).rev().flat_map(|row| row.iter().map(|pixel| luma(*pixel))).collect();

    let mut columns = vec![0; REDUCED * EDGE];
    for (row, (first, weights)) in columns.chunks_exact_mut(EDGE).zip(taps) {
        for (column, to) in row.iter_mut().enumerate() {
            let tap = |tap: usize| weights[tap] * i32::from(grey[(first + tap) * EDGE + column]);
            *to = rounded((0..TAPS).map(tap).sum());
        }
    }
    let mut small = vec![0; REDUCED * REDUCED];
    for (to, from) in small.chunks_exact_mut(REDUCED).zip(columns.chunks_exact(EDGE)) {
        for (to, (first, weights)) in to.iter_mut().zip(taps) {
            let tap = |tap: usize| weights[tap] * i32::from(from[first + tap]);
            *to = rounded((0..TAPS).map(tap).sum());
        }
    }

    let row = |bit: usize| (bit / (REDUCED - 1) * REDUCED + bit % (REDUCED - 1), 1);
    let column = |bit: usize| (bit % (REDUCED - 1) * REDUCED + bit / (REDUCED - 1), REDUCED);
    let half = BYTES * 8 / 2;
    let byte = |number: usize| {
        (0..8).fold(0, |byte, bit| {
            let bit_number = number * 8 + bit;
            let (at, step) = if bit_number < half { row(bit_number) } else { column(bit_number - half) };
            byte | u8::from(small[at] < small[at + step]) << bit
        })
    };
    (0..BYTES).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs;

    #[test]
    fn both_hashes_are_alike() {
        for index in 0..3 {
            let bmp = inputs::request("phash-modified", 1, index).expect("a picture");
            let hash = hash(pixels(&bmp).expect("pixels"), &taps());
            let image = load_from_memory_with_format(&bmp, ImageFormat::Bmp).expect("a picture");
            let hasher = HasherConfig::new().hash_size(256, 256).hash_alg(HashAlg::DoubleGradient).to_hasher();
            let other = hasher.hash_image(&image).as_bytes().to_vec();
            assert_eq!(hash.len(), other.len());
            let different: u32 = hash.iter().zip(&other).map(|(a, b)| (a ^ b).count_ones()).sum();
            assert!(different < 33_024 / 16, "{different} bits differ");
        }
    }
}
