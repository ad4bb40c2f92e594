//! Reads all of standard input; prints its SHA-256 in lowercase hex and a newline.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

fn main() -> io::Result<()> {
    let mut stdin = io::stdin().lock();
    let mut hasher = Sha256::new();
    let mut block = vec![0; 16 << 10];
    loop {
        match stdin.read(&mut block)? {
            0 => break,
            n => hasher.update(&block[..n]),
        }
    }

    let mut line = String::with_capacity(65);
    for byte in hasher.finalize() {
        for digit in [byte >> 4, byte & 15] {
            line.push(char::from_digit(digit.into(), 16).expect("a nibble is below 16"));
        }
    }
    line.push('\n');
    io::stdout().lock().write_all(line.as_bytes())
}
