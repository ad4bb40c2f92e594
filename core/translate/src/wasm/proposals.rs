//! Which WebAssembly proposals are supported, and which one a refused module uses.

use crate::Error;
use wasmparser::{
    AbstractHeapType, ConstExpr, DataKind, ElementItems, ElementKind, FuncValidatorAllocations, HeapType, Operator,
    Parser, Payload, ValType, ValidPayload, Validator, WasmFeatures,
};

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

/// The part of reference types that is not supported.
pub(crate) const REFERENCES: &str = "reference types (references as values)";

/// The proposals that are not supported, with the features that each needs.
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

/// Checks that bytes are a valid module that uses supported proposals only. Imports are not resolved.
pub fn validate(bytes: &[u8]) -> Result<(), Error> {
    validate_with(bytes, false)
}

/// Like [`validate`]; what [`crate::link`] made may have several memories.
pub(crate) fn validate_with(bytes: &[u8], linked: bool) -> Result<(), Error> {
    if Parser::is_component(bytes) {
        return Err(unsupported(4, "component model"));
    }
    let more = if linked { WasmFeatures::MULTI_MEMORY } else { WasmFeatures::empty() };
    let validate = |more| check(bytes, features() | more);
    validate(more).map_err(|error| {
        // The proposal that the module uses there is the one with which it is valid up to there.
        let beyond = |more| validate(more).map_or_else(|e| e.offset > error.offset, |()| true);
        match UNSUPPORTED.iter().find(|(_, more)| beyond(*more)) {
            Some((proposal, _)) => unsupported(error.offset, proposal),
            None => Error::Invalid { offset: error.offset as usize, message: error.message },
        }
    })
}

/// What is invalid in a module, and where.
struct Fault {
    offset: u64,
    message: String,
}

impl From<wasmparser::BinaryReaderError> for Fault {
    fn from(e: wasmparser::BinaryReaderError) -> Self {
        Self { offset: e.offset(), message: e.message().into() }
    }
}

/// Validates a module of these features, and lets constant expressions read earlier immutable globals of the module
/// itself: that came with the garbage collection proposal, and is the only part of it that needs no references. So
/// globals and segments are validated with that proposal, and [searched](no_gc) for its other parts; everything else is
/// validated without it.
fn check(bytes: &[u8], features: WasmFeatures) -> Result<(), Fault> {
    let mut strict = Validator::new_with_features(features);
    let mut validator = Validator::new_with_features(features | WasmFeatures::GC);
    let mut parser = Parser::new(0);
    parser.set_features(features);
    let mut functions = Vec::new();
    for payload in parser.parse_all(bytes) {
        let payload = payload?;
        // In a module these sections come before all globals, so the strict validator knows all that they refer to.
        if matches!(
            payload,
            Payload::Version { .. }
                | Payload::TypeSection(_)
                | Payload::ImportSection(_)
                | Payload::FunctionSection(_)
                | Payload::TableSection(_)
                | Payload::MemorySection(_)
                | Payload::TagSection(_)
        ) {
            strict.payload(&payload)?;
        }
        if let ValidPayload::Func(mut function, body) = validator.payload(&payload)? {
            function.features = features;
            functions.push((function, body));
        }
        if !features.gc() {
            no_gc(&payload, features)?;
        }
    }
    let mut allocations = FuncValidatorAllocations::default();
    for (function, body) in functions {
        let mut validator = function.into_validator(allocations);
        validator.validate(&body)?;
        allocations = validator.into_allocations();
    }
    Ok(())
}

/// Refuses the parts of garbage collection, other than `global.get`, in globals and segments.
fn no_gc(payload: &Payload<'_>, features: WasmFeatures) -> Result<(), Fault> {
    match payload {
        Payload::GlobalSection(globals) => {
            for global in globals.clone().into_iter_with_offsets() {
                let (at, global) = global?;
                if let ValType::Ref(ty) = global.ty.content_type {
                    no_gc_type(ty.heap_type(), features, at)?;
                }
                no_gc_expression(&global.init_expr, features)?;
            }
        }
        Payload::ElementSection(elements) => {
            for element in elements.clone().into_iter_with_offsets() {
                let (at, element) = element?;
                if let ElementKind::Active { offset_expr, .. } = &element.kind {
                    no_gc_expression(offset_expr, features)?;
                }
                if let ElementItems::Expressions(ty, items) = element.items {
                    no_gc_type(ty.heap_type(), features, at)?;
                    for item in items {
                        no_gc_expression(&item?, features)?;
                    }
                }
            }
        }
        Payload::DataSection(data) => {
            for data in data.clone() {
                if let DataKind::Active { offset_expr, .. } = data?.kind {
                    no_gc_expression(&offset_expr, features)?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn no_gc_type(ty: HeapType, features: WasmFeatures, offset: u64) -> Result<(), Fault> {
    use AbstractHeapType::{Any, Array, Eq, I31, NoExtern, NoFunc, None, Struct};
    let gc = match ty {
        HeapType::Concrete(_) => !features.function_references(),
        HeapType::Abstract { ty, .. } => matches!(ty, Any | Array | Eq | I31 | NoExtern | NoFunc | None | Struct),
        HeapType::Exact(_) => false, // validation asks for a feature for these
    };
    if gc { Err(Fault { offset, message: format!("the type {ty:?} needs garbage collection") }) } else { Ok(()) }
}

fn no_gc_expression(expr: &ConstExpr<'_>, features: WasmFeatures) -> Result<(), Fault> {
    for op in expr.get_operators_reader().into_iter_with_offsets() {
        let (op, offset) = op?;
        match op {
            Operator::RefNull { hty } => no_gc_type(hty, features, offset)?,
            // Validation asks for a feature where one of these needs it.
            Operator::I32Const { .. }
            | Operator::I64Const { .. }
            | Operator::F32Const { .. }
            | Operator::F64Const { .. }
            | Operator::V128Const { .. }
            | Operator::GlobalGet { .. }
            | Operator::RefFunc { .. }
            | Operator::RefI31Shared
            | Operator::I32Add
            | Operator::I32Sub
            | Operator::I32Mul
            | Operator::I64Add
            | Operator::I64Sub
            | Operator::I64Mul
            | Operator::End => {}
            other => return Err(Fault { offset, message: format!("{other:?} needs garbage collection") }),
        }
    }
    Ok(())
}
