//! All programs as native servers, in one file: `native PROGRAM`.

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    match paper::PROGRAMS.iter().find(|(name, _)| *name == wanted) {
        Some((_, service)) => service().run(),
        None => {
            let names: Vec<_> = paper::PROGRAMS.iter().map(|(name, _)| *name).collect();
            eprintln!("usage: native PROGRAM, where PROGRAM is {}", names.join(", "));
            std::process::exit(2);
        }
    }
}
