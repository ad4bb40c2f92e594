//! Compresses standard input to a gzip file on standard output.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};

fn main() -> io::Result<()> {
    let mut output = GzBuilder::new()
        .mtime(0)
        .operating_system(255) // "unknown": the same bytes whatever it is built for
        .write(io::stdout().lock(), Compression::default());
    io::copy(&mut io::stdin().lock(), &mut output)?;
    output.finish()?.flush()
}
