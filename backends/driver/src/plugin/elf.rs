//! Whether a shared library's file is complete. The dynamic loader maps what the ELF headers say, and a process that
//! touches pages beyond the end of a truncated file is killed (SIGBUS); so the headers are checked before the file is
//! opened.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Checks that a file is a complete ELF library; the error says why it is not. On systems other than Linux, and for ELF
/// files of other machines, the check is left to the dynamic loader.
pub fn check(path: &Path) -> Result<(), String> {
    let mut file = File::open(path).map_err(|error| format!("it cannot be opened: {error}"))?;
    let facts = file.metadata().map_err(|error| format!("it cannot be looked at: {error}"))?;
    if !facts.is_file() {
        return Err("it is no file".into());
    }
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let mut header = [0; 64];
    file.read_exact(&mut header).map_err(|_| "it is too short for a library".to_owned())?;
    if header[..4] != *b"\x7fELF" {
        return Err("it is no library (ELF)".into());
    }
    // The loader refuses other word sizes and byte orders before it maps anything.
    if !cfg!(all(target_pointer_width = "64", target_endian = "little")) || header[4..6] != [2, 1] {
        return Ok(());
    }
    let truncated = |end: Option<u64>| match end {
        Some(end) if end <= facts.len() => Ok(()),
        _ => Err(format!("it is truncated: it has {} bytes, and its headers tell of more", facts.len())),
    };
    // Program headers say what is mapped; section headers usually stand at the very end.
    let (programs, sections) = (number(&header, 32, 8), number(&header, 40, 8));
    let (size, count) = (number(&header, 54, 2), number(&header, 56, 2));
    let (section_size, section_count) = (number(&header, 58, 2), number(&header, 60, 2));
    truncated(sections.checked_add(section_size * section_count))?;
    truncated(programs.checked_add(size * count))?;
    if size < 56 {
        return Err("its program headers make no sense".into());
    }
    let mut table = vec![0; (size * count) as usize];
    let read = file.seek(SeekFrom::Start(programs)).and_then(|_| file.read_exact(&mut table));
    read.map_err(|error| format!("it cannot be read: {error}"))?;
    for entry in table.chunks_exact(size as usize) {
        truncated(number(entry, 8, 8).checked_add(number(entry, 32, 8)))?;
    }
    Ok(())
}

/// A little-endian number of up to eight bytes.
fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    let mut wide = [0; 8];
    wide[..len].copy_from_slice(&bytes[at..at + len]);
    u64::from_le_bytes(wide)
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_library_is_whole_or_it_is_not() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("library");
        // Any ELF file will do.
        let whole = std::fs::read(std::env::current_exe()?)?;
        std::fs::write(&path, &whole)?;
        assert_eq!(check(&path), Ok(()));
        for bytes in [0, 1, 63, 64, 100, 4096, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..bytes])?;
            let why = check(&path).expect_err("truncated");
            assert!(why.contains("short") || why.contains("truncated"), "{bytes} bytes: {why}");
        }
        std::fs::write(&path, [b'x'; 1000])?;
        assert!(check(&path).is_err_and(|why| why.contains("ELF")));
        assert!(check(folder.path()).is_err());
        assert!(check(&folder.path().join("missing")).is_err_and(|why| why.contains("opened")));
        Ok(())
    }
}
