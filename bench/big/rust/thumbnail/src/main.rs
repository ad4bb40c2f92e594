//! A picture (PNG or JPEG) on standard input → at most 96 pixels wide and high, as a JPEG on standard output;
//! format and sizes on standard error. The filter needs no function of libm, so every machine makes the same bytes.

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use std::io::{self, Read, Write};

const EDGE: u32 = 96;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    let format = image::guess_format(&bytes)?;
    let picture = image::load_from_memory_with_format(&bytes, format)?;
    let small = picture.resize(EDGE, EDGE, FilterType::CatmullRom).to_rgb8();
    let mut jpeg = Vec::new();
    small.write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, 80))?;
    let (width, height) = (picture.width(), picture.height());
    eprintln!("{format:?} {width}x{height} -> {}x{}, {} bytes", small.width(), small.height(), jpeg.len());
    io::stdout().write_all(&jpeg)?;
    Ok(())
}
