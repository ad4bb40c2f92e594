//! Standard input → standard output, compressed with Brotli as web servers do for pages made on the fly: quality 5, a
//! window of 4 MiB.

use std::io::{self, Read, Write};

fn main() -> io::Result<()> {
    let mut input = Vec::new();
    io::stdin().lock().read_to_end(&mut input)?;
    let mut encoder = brotli::CompressorWriter::new(io::stdout().lock(), 4096, 5, 22);
    encoder.write_all(&input)?;
    encoder.into_inner().flush()
}
