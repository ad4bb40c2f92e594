//! Which WebAssembly proposals are supported, and which one a refused module uses.

use crate::Error;
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

/// The proposals that are supported, on top of WebAssembly 1.0.
pub fn features() -> WasmFeatures {
    WasmFeatures::FLOATS
        | WasmFeatures::GC_TYPES
        | WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::EXTENDED_CONST
        // For several tables and for element segments of expressions; references as values are refused by decoding.
        | WasmFeatures::REFERENCE_TYPES
}

/// First section of a module that [`crate::link`] made: only such a module may have several memories.
pub(crate) const LINKED: &str = "vectorvisor.linked";

/// What of reference types is not supported.
pub(crate) const REFERENCES: &str = "reference types (references as values)";

/// The proposals that are not, with what they need.
const UNSUPPORTED: &[(&str, WasmFeatures)] = &[
    ("SIMD", WasmFeatures::SIMD),
    ("relaxed SIMD", WasmFeatures::SIMD.union(WasmFeatures::RELAXED_SIMD)),
    ("threads", WasmFeatures::THREADS),
    ("tail calls", WasmFeatures::TAIL_CALL),
    ("exception handling", WasmFeatures::EXCEPTIONS.union(WasmFeatures::LEGACY_EXCEPTIONS)),
    ("multi-memory", WasmFeatures::MULTI_MEMORY),
    ("memory64", WasmFeatures::MEMORY64),
    ("function references", WasmFeatures::FUNCTION_REFERENCES),
    ("garbage collection", WasmFeatures::FUNCTION_REFERENCES.union(WasmFeatures::GC)),
    ("custom page sizes", WasmFeatures::CUSTOM_PAGE_SIZES),
    ("wide arithmetic", WasmFeatures::WIDE_ARITHMETIC),
    ("memory control", WasmFeatures::MEMORY_CONTROL),
    ("shared-everything threads", WasmFeatures::THREADS.union(WasmFeatures::SHARED_EVERYTHING_THREADS)),
    (
        "stack switching",
        WasmFeatures::FUNCTION_REFERENCES.union(WasmFeatures::EXCEPTIONS).union(WasmFeatures::STACK_SWITCHING),
    ),
];

/// The error for a use of a proposal at this offset.
pub(crate) fn unsupported(at: u64, proposal: &'static str) -> Error {
    Error::Unsupported { offset: at as usize, proposal }
}

/// Checks that bytes are a valid module that uses supported proposals only. What it imports is not looked at.
pub fn validate(bytes: &[u8]) -> Result<(), Error> {
    if Parser::is_component(bytes) {
        return Err(unsupported(4, "component model"));
    }
    let linked = match Parser::new(0).parse_all(bytes).nth(1) {
        Some(Ok(Payload::CustomSection(section))) => section.name() == LINKED,
        _ => false,
    };
    let more = if linked { WasmFeatures::MULTI_MEMORY } else { WasmFeatures::empty() };
    let validate = |more| Validator::new_with_features(features() | more).validate_all(bytes).map(drop);
    validate(more).map_err(|error| {
        // The proposal that the module uses there is the one with which it is valid up to there.
        let beyond = |more| validate(more).map_or_else(|e| e.offset() > error.offset(), |()| true);
        match UNSUPPORTED.iter().find(|(_, more)| beyond(*more)) {
            Some((proposal, _)) => unsupported(error.offset(), proposal),
            None => error.into(),
        }
    })
}
