//! The guests of `guests/`: their modules and inputs.

use crate::inputs;
use anyhow::{Context, Result, bail};

/// A program and the amount of its work.
#[derive(Debug, Clone, Copy)]
pub struct Guest {
    /// Its name on the command line.
    pub name: &'static str,
    /// The name of its module and of its native build.
    pub program: &'static str,
    /// The module.
    pub wasm: &'static [u8],
    /// How much work: iterations, bytes, pixels of an edge, or copies.
    pub size: u32,
    /// A size for tests.
    pub small: u32,
    input: MakeInput,
    /// Bytes that it reads and writes for each of its `size` copies; 0 if it does not only copy.
    copied: u64,
}

/// The name of a module, and the module.
macro_rules! module {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../guests/", $name, ".wasm")))
    };
}

type Module = (&'static str, &'static [u8]);
type MakeInput = fn(u64, u32) -> Vec<u8>;

const fn guest(name: &'static str, (program, wasm): Module, [size, small]: [u32; 2], input: MakeInput) -> Guest {
    Guest { name, program, wasm, size, small, input, copied: 0 }
}

const fn copying(guest: Guest) -> Guest {
    Guest { copied: 2 * (32 << 10), ..guest }
}

/// All guests, with the sizes that results are reported for.
pub const GUESTS: [Guest; 10] = [
    guest("pbkdf2", module!("pbkdf2"), [20_000, 20], password),
    guest("scrypt", module!("scrypt"), [1024, 16], password),
    guest("lz4", module!("lz4"), [32 << 10, 1 << 10], |seed, size| inputs::json(seed, size as usize)),
    guest("blur", module!("blur"), [200, 16], |seed, size| format!("{seed} {size}").into_bytes()),
    guest("tokenise", module!("tokenise"), [10_000, 500], |seed, size| inputs::prose(seed, size as usize)),
    guest("crc32", module!("crc32"), [32 << 10, 1 << 10], |seed, size| inputs::json(seed, size as usize)),
    guest("sort", module!("sort"), [10_000, 500], |seed, size| inputs::prose(seed, size as usize)),
    copying(guest("memcopy", module!("memcopy"), [100, 2], |seed, size| format!("{seed} {size} bulk").into_bytes())),
    copying(guest("wordcopy", module!("memcopy"), [100, 2], |seed, size| format!("{seed} {size} words").into_bytes())),
    copying(guest("libcopy", module!("memcopy"), [100, 2], |seed, size| format!("{seed} {size} library").into_bytes())),
];

/// Password and salt have 16 bytes each, as [`crate::baseline`] expects.
fn password(seed: u64, size: u32) -> Vec<u8> {
    format!("password{seed:08} saltsalt{seed:08} {size}").into_bytes()
}

impl Guest {
    /// `NAME` or `NAME:SIZE`.
    ///
    /// # Errors
    /// No guest has this name, or the size is no number.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, size) = text.split_once(':').map_or((text, None), |(name, size)| (name, Some(size)));
        let Some(guest) = GUESTS.into_iter().find(|guest| guest.name == name) else {
            let names: Vec<_> = GUESTS.iter().map(|guest| guest.name).collect();
            bail!("no guest is called {name}; there are {}", names.join(", "));
        };
        let size = size.map(|size| size.parse().with_context(|| format!("the size of {name} is {size:?}")));
        Ok(guest.of_size(size.transpose()?.unwrap_or(guest.size)))
    }

    /// The same with another amount of work.
    pub fn of_size(self, size: u32) -> Self {
        Self { size, ..self }
    }

    /// The standard input number `seed`; all differ.
    pub fn input(&self, seed: u64) -> Vec<u8> {
        (self.input)(seed, self.size)
    }

    /// Bytes that one VM reads and writes, if it only copies.
    pub fn copied(&self) -> Option<u64> {
        (self.copied > 0).then(|| self.copied * u64::from(self.size))
    }

    /// Bytes of its initial memory, which is all that it needs.
    ///
    /// # Errors
    /// The module is malformed.
    pub fn memory(&self) -> Result<u64> {
        for payload in wasmparser::Parser::new(0).parse_all(self.wasm) {
            if let wasmparser::Payload::MemorySection(memories) = payload? {
                return memories.into_iter().try_fold(0, |sum, memory| Ok(sum + memory?.initial * 65_536));
            }
        }
        Ok(0)
    }
}
