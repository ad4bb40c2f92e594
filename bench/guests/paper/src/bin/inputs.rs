//! Writes requests: `inputs PROGRAM OUTPUT FIRST COUNT SEED`. OUTPUT is a folder, in which each request gets a file, if it
//! ends with `/`; else it is a file of requests, each after its length (4 bytes, least significant first), which is what
//! `POST /PROGRAM/batch` takes.

#[cfg(target_family = "wasm")]
fn main() {}

#[cfg(not(target_family = "wasm"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::io::Write as _;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [program, output, first, count, seed] = &args[..] else {
        return Err("usage: inputs PROGRAM OUTPUT FIRST COUNT SEED".into());
    };
    let (first, count, seed): (u64, u64, u64) = (first.parse()?, count.parse()?, seed.parse()?);
    let requests = (first..first + count).map(|index| (index, paper::inputs::request(program, seed, index)));
    if output.ends_with('/') {
        std::fs::create_dir_all(output)?;
        for (index, request) in requests {
            std::fs::write(format!("{output}{index:08}"), request?)?;
        }
    } else {
        let mut file = std::io::BufWriter::new(std::fs::File::create(output)?);
        for (_, request) in requests {
            let request = request?;
            file.write_all(&u32::try_from(request.len())?.to_le_bytes())?;
            file.write_all(&request)?;
        }
        file.flush()?;
    }
    Ok(())
}
