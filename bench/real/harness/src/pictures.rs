//! Pictures: photographs as JPEG or PNG, drawings as PNG.

use crate::*;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, Rgb, RgbImage};
use std::io::Cursor;

/// A picture's file.
pub fn picture(rng: &mut Rng) -> Result<Vec<u8>> {
    // Edges from 24 to 384, small ones more often.
    let mut edge = || (24.0 * 16f64.powf(rng.f64())) as u32;
    let (width, height) = (edge(), edge());
    let mut bytes = Cursor::new(Vec::new());
    match rng.u32(..10) {
        0..5 => {
            photo(rng, width, height).write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, rng.u8(50..96)))?
        }
        5..7 => photo(rng, width, height).write_to(&mut bytes, ImageFormat::Png)?,
        _ => drawing(rng, width, height).write_to(&mut bytes, ImageFormat::Png)?,
    }
    Ok(bytes.into_inner())
}

/// Soft shapes and light, with noise.
fn photo(rng: &mut Rng, width: u32, height: u32) -> RgbImage {
    let waves: Vec<_> =
        (0..5).map(|_| ((rng.f32() - 0.5) / 8.0, (rng.f32() - 0.5) / 8.0, rng.f32() * 6.0, rng.usize(..3))).collect();
    let noise = rng.f32() * 20.0;
    RgbImage::from_fn(width, height, |x, y| {
        let mut colour = [110.0f32, 120.0, 130.0];
        for (a, b, phase, channel) in &waves {
            let light = 35.0 * (x as f32 * a + y as f32 * b + phase).sin();
            colour.iter_mut().for_each(|c| *c += light / 3.0);
            colour[*channel] += light;
        }
        Rgb(colour.map(|c| (c + noise * (rng.f32() - 0.5)) as u8))
    })
}

/// Rectangles in few colours.
fn drawing(rng: &mut Rng, width: u32, height: u32) -> RgbImage {
    let mut picture = RgbImage::from_pixel(width, height, Rgb([250, 250, 245]));
    for _ in 0..rng.usize(3..40) {
        let colour = Rgb([rng.u8(..4) * 80, rng.u8(..4) * 80, rng.u8(..4) * 80]);
        let (left, top) = (rng.u32(..width), rng.u32(..height));
        let (right, bottom) = (rng.u32(left..width), rng.u32(top..height));
        for y in top..=bottom {
            for x in left..=right {
                picture.put_pixel(x, y, colour);
            }
        }
    }
    picture
}
