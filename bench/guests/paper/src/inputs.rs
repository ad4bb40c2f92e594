//! Requests, different for every program, seed and number.

use crate::bill::{Bill, Bills, Item};
use crate::hashes::{Password, Passwords};
use crate::histogram::Numbers;
use crate::strings::Tweets;
use fastrand::Rng;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, Rgb, RgbImage};
use serde::Serialize;
use serde_bytes::ByteBuf;
use std::io::Cursor;
use vectorvisor_guest::Format;

/// The twelve programs.
pub const PROGRAMS: [&str; 12] = [
    "scrypt",
    "pbkdf2",
    "blur-jpeg",
    "blur-bmp",
    "phash",
    "phash-modified",
    "bill-pdf",
    "histogram",
    "lz4",
    "strings",
    "strings-go",
    "strings-assemblyscript",
];

/// Request `index` to a program.
///
/// # Errors
/// There is no such program.
pub fn request(program: &str, seed: u64, index: u64) -> Result<Vec<u8>, String> {
    let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93));
    let rng = &mut rng;
    match program {
        "scrypt" => {
            let salt = letters(rng, 16);
            written(Format::MsgPack, &Passwords { passwords: (0..256).map(|_| letters(rng, 16)).collect(), salt })
        }
        "pbkdf2" => written(Format::Json, &Password { password: letters(rng, 16), salt: letters(rng, 16) }),
        "blur-jpeg" => jpeg(&photo(rng, 200)),
        "blur-bmp" | "phash" => file(&photo(rng, 200), ImageFormat::Bmp),
        "phash-modified" => file(&photo(rng, 256), ImageFormat::Bmp),
        "bill-pdf" => {
            let logo = ByteBuf::from(file(&drawing(rng, 64), ImageFormat::Png)?);
            written(Format::MsgPack, &Bills { logo, bills: (0..4).map(|_| bill(rng)).collect() })
        }
        "histogram" => {
            // All of them need 8 bytes.
            let numbers = (0..20_480).map(|_| rng.u64(1 << 32..)).collect();
            written(Format::MsgPack, &Numbers { numbers })
        }
        "lz4" | "strings" => written(Format::Json, &Tweets { tweets: (0..1000).map(|_| tweet(rng)).collect() }),
        "strings-go" | "strings-assemblyscript" => {
            written(Format::Json, &Tweets { tweets: (0..25).map(|_| tweet(rng)).collect() })
        }
        other => Err(format!("no program is called {other}: they are {}", PROGRAMS.join(", "))),
    }
}

fn written(format: Format, value: &impl Serialize) -> Result<Vec<u8>, String> {
    format.write(value)
}

fn letters(rng: &mut Rng, count: usize) -> String {
    (0..count).map(|_| rng.alphanumeric()).collect()
}

/// Soft shapes and light, with the noise that makes a JPEG of 200 x 200 pixels about 25 KB long.
fn photo(rng: &mut Rng, edge: u32) -> RgbImage {
    let waves: [_; 5] =
        std::array::from_fn(|_| ((rng.f32() - 0.5) / 8.0, (rng.f32() - 0.5) / 8.0, rng.f32() * 6.0, rng.usize(..3)));
    let noise = 33.0 + rng.f32() * 8.0;
    RgbImage::from_fn(edge, edge, |x, y| {
        let mut colour = [110.0f32, 120.0, 130.0];
        for (a, b, phase, channel) in &waves {
            let light = 35.0 * (x as f32 * a + y as f32 * b + phase).sin();
            colour.iter_mut().for_each(|c| *c += light / 3.0);
            colour[*channel] += light;
        }
        Rgb(colour.map(|c| (c + noise * (rng.f32() - 0.5)) as u8))
    })
}

/// Rectangles of one colour each.
fn drawing(rng: &mut Rng, edge: u32) -> RgbImage {
    let mut image = RgbImage::from_pixel(edge, edge, Rgb([255; 3]));
    for _ in 0..12 {
        let (left, top) = (rng.u32(..edge - 4), rng.u32(..edge - 4));
        let (right, bottom) = (rng.u32(left..edge), rng.u32(top..edge));
        let colour = Rgb([rng.u8(..), rng.u8(..), rng.u8(..)]);
        for y in top..bottom {
            for x in left..right {
                image.put_pixel(x, y, colour);
            }
        }
    }
    image
}

fn jpeg(image: &RgbImage) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    image.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 88)).map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn file(image: &RgbImage, format: ImageFormat) -> Result<Vec<u8>, String> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).map_err(|error| error.to_string())?;
    Ok(bytes.into_inner())
}

const NOUNS: [&str; 24] = [
    "bolt", "cable", "chair", "desk", "door", "filter", "frame", "hinge", "key", "lamp", "lock", "mirror", "nail",
    "panel", "pipe", "plug", "pump", "rope", "screw", "shelf", "sink", "switch", "tile", "valve",
];
const KINDS: [&str; 16] = [
    "angled", "black", "brass", "copper", "double", "flat", "heavy", "large", "light", "long", "oak", "round", "short",
    "small", "steel", "white",
];
const NAMES: [&str; 16] = [
    "Ada", "Ben", "Clara", "David", "Emma", "Frank", "Grace", "Hugo", "Ida", "Jonas", "Karin", "Leo", "Mary", "Noah",
    "Olga", "Paul",
];
const FAMILIES: [&str; 8] = ["Adams", "Berger", "Costa", "Dubois", "Evans", "Fischer", "Garcia", "Hansen"];

fn pick<'a>(rng: &mut Rng, words: &[&'a str]) -> &'a str {
    words[rng.usize(..words.len())]
}

fn bill(rng: &mut Rng) -> Bill {
    let items = (0..25).map(|_| Item {
        name: format!("{} {} {}", pick(rng, &KINDS), pick(rng, &NOUNS), rng.u32(100..1000)),
        quantity: rng.u32(1..100),
        price: rng.u32(10..20_000),
    });
    let items = items.collect();
    Bill {
        number: rng.u32(10_000..1_000_000),
        date: format!("2026-{:02}-{:02}", rng.u32(1..13), rng.u32(1..29)),
        customer: format!("{} {}", pick(rng, &NAMES), pick(rng, &FAMILIES)),
        address: vec![
            format!("{} {} Street", rng.u32(1..300), pick(rng, &FAMILIES)),
            format!("{:05} {}ville", rng.u32(10_000..100_000), pick(rng, &NAMES)),
        ],
        items,
    }
}

const WORDS: [&str; 96] = [
    "the",
    "to",
    "a",
    "and",
    "is",
    "in",
    "it",
    "you",
    "of",
    "for",
    "on",
    "my",
    "that",
    "at",
    "with",
    "me",
    "do",
    "have",
    "just",
    "this",
    "be",
    "so",
    "are",
    "not",
    "was",
    "but",
    "out",
    "up",
    "what",
    "now",
    "new",
    "from",
    "your",
    "like",
    "good",
    "no",
    "get",
    "all",
    "about",
    "we",
    "if",
    "time",
    "day",
    "today",
    "they",
    "love",
    "people",
    "great",
    "work",
    "night",
    "morning",
    "coffee",
    "train",
    "music",
    "game",
    "phone",
    "rain",
    "sunny",
    "weekend",
    "football",
    "holiday",
    "dinner",
    "friends",
    "happy",
    "tired",
    "watching",
    "waiting",
    "listening",
    "running",
    "finally",
    "really",
    "again",
    "always",
    "never",
    "maybe",
    "tomorrow",
    "yesterday",
    "garden",
    "bicycle",
    "library",
    "concert",
    "window",
    "computer",
    "program",
    "breakfast",
    "wonderful",
    "terrible",
    "amazing",
    "caf\u{e9}",
    "na\u{ef}ve",
    "\u{fc}ber",
    "\u{2600}",
    "\u{1f600}",
    "it's",
    "don't",
    "can't",
];

/// A text of about 90 bytes in JSON.
fn tweet(rng: &mut Rng) -> String {
    let mut text = String::new();
    let end = rng.usize(54..120);
    while text.len() < end {
        if !text.is_empty() {
            text.push(' ');
        }
        // Short words are more frequent, as in any language.
        let limit = 1 + rng.usize(..WORDS.len());
        let word = WORDS[rng.usize(..limit)];
        match rng.u32(..24) {
            0 => text.push_str(&format!("#{word}")),
            1 => text.push_str(&format!("@{}{}", word, rng.u32(..1000))),
            2 => text.push_str(&format!("\"{word}\"")),
            3 => text.push_str(&format!("{word}{}", pick(rng, &["!", "?", ".", ","]))),
            _ => text.push_str(word),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_long_as_in_the_evaluation() {
        let sizes = [
            ("scrypt", 4_300..4_700),
            ("pbkdf2", 40..70),
            ("blur-jpeg", 20_000..30_000),
            ("blur-bmp", 120_000..121_000),
            ("phash", 120_000..121_000),
            ("phash-modified", 196_000..197_000),
            ("bill-pdf", 4_000..16_000),
            ("histogram", 184_000..185_000),
            ("lz4", 88_000..96_000),
            ("strings", 88_000..96_000),
            ("strings-go", 2_000..2_600),
            ("strings-assemblyscript", 2_000..2_600),
        ];
        for (program, size) in sizes {
            let [first, second] = [0, 1].map(|index| request(program, 7, index).expect("a request"));
            for request in [&first, &second] {
                assert!(size.contains(&request.len()), "{program}: {}", request.len());
            }
            assert!(first != second && Ok(first) == request(program, 7, 0), "{program}");
        }
        assert!(request("sort", 7, 0).is_err());
    }
}
