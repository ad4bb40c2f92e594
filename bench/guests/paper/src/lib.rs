//! The programs of VectorVisor's evaluation (USENIX ATC '23), with its work. Each is a handler of requests, made by the
//! SDK from ordinary libraries; `src/bin` has a program for each, and `native` has all of them.

pub mod bill;
pub mod blur;
pub mod hashes;
pub mod histogram;
#[cfg(not(target_family = "wasm"))]
pub mod inputs;
pub mod lz4;
pub mod phash;
pub mod strings;

use vectorvisor_guest::Service;

/// Programs by name.
pub const PROGRAMS: [(&str, fn() -> Service); 10] = [
    ("scrypt", hashes::scrypt),
    ("pbkdf2", hashes::pbkdf2),
    ("blur-jpeg", blur::jpeg),
    ("blur-bmp", blur::bmp),
    ("phash", phash::hasher),
    ("phash-modified", phash::modified),
    ("bill-pdf", bill::pdf),
    ("histogram", histogram::service),
    ("lz4", lz4::service),
    ("strings", strings::service),
];
