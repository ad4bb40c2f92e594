//! Blur-Jpeg and Blur-Bmp: a picture, blurred, in the same format.

use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, ImageResult, load_from_memory_with_format};
use std::io::Cursor;
use vectorvisor_guest::Service;

const SIGMA: f32 = 4.0;

pub fn jpeg() -> Service {
    Service::bytes(|request| blurred(request, ImageFormat::Jpeg).unwrap_or_else(|why| why.to_string().into()))
}

pub fn bmp() -> Service {
    let service =
        Service::bytes(|request| blurred(request, ImageFormat::Bmp).unwrap_or_else(|why| why.to_string().into()));
    service.room(128 << 10)
}

/// A picture's file to that of the blurred picture. With sigma 4.0 the kernel has the same 25 fixed-point weights on
/// all machines, so that the bytes are the same.
fn blurred(request: &[u8], format: ImageFormat) -> ImageResult<Vec<u8>> {
    let blurred = load_from_memory_with_format(request, format)?.blur(SIGMA);
    let mut answer = Cursor::new(Vec::new());
    match format {
        ImageFormat::Jpeg => blurred.write_with_encoder(JpegEncoder::new_with_quality(&mut answer, 90))?,
        _ => blurred.write_to(&mut answer, format)?,
    }
    Ok(answer.into_inner())
}
