//! All programs as native servers, in one file: `native PROGRAM`.

/// The sine that `image` takes its weights from. WASI's C library has musl's, of which `libm` is a port; glibc's rounds
/// some arguments otherwise, and then three hashes of a thousand have another bit.
#[unsafe(no_mangle)]
extern "C" fn sinf(angle: f32) -> f32 {
    libm::sinf(angle)
}

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
