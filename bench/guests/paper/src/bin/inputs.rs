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
    let end = first + count;
    let folder = output.ends_with('/');
    let mut file = if folder {
        std::fs::create_dir_all(output)?;
        None
    } else {
        Some(std::io::BufWriter::new(std::fs::File::create(output)?))
    };
    let cores = std::thread::available_parallelism()?.get() as u64;
    // As many as are in memory at the same time.
    let (part, block) = (16, 16 * cores);
    for begin in (first..end).step_by(block as usize) {
        let some = |worker: u64| -> Result<Vec<Vec<u8>>, String> {
            let from = begin + worker * part;
            let requests = (from.min(end)..(from + part).min(end)).map(|index| {
                let request = paper::inputs::request(program, seed, index)?;
                if folder {
                    std::fs::write(format!("{output}{index:08}"), request).map_err(|error| error.to_string())?;
                    return Ok(Vec::new());
                }
                Ok(request)
            });
            requests.collect()
        };
        let some = &some;
        let parts: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..cores).map(|worker| scope.spawn(move || some(worker))).collect();
            workers.into_iter().map(|worker| worker.join()).collect()
        });
        for part in parts {
            let part = part.map_err(|_| "a thread panicked")??;
            if let Some(file) = &mut file {
                for request in part {
                    file.write_all(&u32::try_from(request.len())?.to_le_bytes())?;
                    file.write_all(&request)?;
                }
            }
        }
    }
    if let Some(file) = &mut file {
        file.flush()?;
    }
    Ok(())
}
