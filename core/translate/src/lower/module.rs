//! The module around the functions: signatures, globals, memory, table, segments, and what is reached at all.

use super::function::{Context, lower as lower_function};
use crate::abi::TrapKind;
use crate::ir::{Body, Callee, Expr, Function, Global, Memory, Program, Stmt, Table, Var, walk};
use crate::wasm::{FuncType, Limits, Mode, Module};
use crate::{Error, Image, Options, host};
use std::collections::{BTreeMap, BTreeSet, HashMap};

const PAGE: u64 = 65536;
/// Default room to grow, beyond the initial size.
const DEFAULT_GROWTH: u64 = 16 << 20;
/// Sizes are kept in 32 bits, so one page less than all of them.
const MAX_MEMORY: u64 = (1 << 32) - PAGE;
/// Tables are kept as kernel constants or in each VM.
const MAX_TABLE: u64 = 1 << 20;

/// Lowers a module. The image has its `memory` and `segments`; the head is laid out later.
pub fn lower(module: &Module<'_>, options: &Options) -> Result<(Program, Image), Error> {
    let (types, canonical) = canonical_types(module);
    let host = module
        .imports
        .iter()
        .enumerate()
        .map(|(i, import)| host_call(module, i, import))
        .collect::<Result<Vec<_>, _>>()?;
    let entries = entries(module, options)?;
    let mut before: Vec<u32> = module.start.into_iter().collect();
    // A reactor exports `_initialize`; nothing else may run before it (WASI application ABI).
    if let Some((_, f)) = module.exports.iter().find(|(n, _)| n == "_initialize") {
        before.push(*f);
    }

    let context = Context { module, canonical: &canonical, host: &host };
    let mut functions: Vec<Function> = (0..module.functions.len() as u32)
        .map(|f| Function {
            name: module.function_name(f),
            ty: canonical[module.functions[f as usize] as usize],
            body: None,
        })
        .collect();
    // A function in the table is only reached by a `call_indirect` of its own signature.
    let mut in_table: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for f in module.elements.iter().flat_map(|(_, items)| items.iter().flatten()) {
        in_table.entry(functions[*f as usize].ty).or_default().insert(*f);
    }
    let mut todo: Vec<u32> = entries.iter().map(|(_, f)| *f).chain(before.iter().copied()).collect();
    let (mut grows, mut writes_table) = (false, false);
    while let Some(f) = todo.pop() {
        if functions[f as usize].body.is_some() {
            continue;
        }
        let ty = module.signature(f);
        let body = match module.bodies.get((f as usize).wrapping_sub(module.imports.len())) {
            Some(body) => lower_function(&context, ty, body)?,
            None => import_body(host[f as usize], ty),
        };
        walk(&body.stmts, &mut |s| match s {
            Stmt::Call { callee: Callee::Function(g), .. } => todo.push(*g),
            Stmt::Call { callee: Callee::Table { ty, .. }, .. } => todo.extend(in_table.remove(ty).unwrap_or_default()),
            Stmt::MemoryGrow { .. } => grows = true,
            Stmt::TableCopy { .. } | Stmt::TableInit { .. } => writes_table = true,
            _ => {}
        });
        functions[f as usize].body = Some(body);
    }

    let (mut types, mut init) = (types, None);
    if !before.is_empty() {
        let nothing = types.iter().position(|t| *t == FuncType::default()).unwrap_or_else(|| {
            types.push(FuncType::default());
            types.len() - 1
        });
        let call =
            |f: &u32| Stmt::Call { callee: Callee::Function(*f), args: Vec::new(), results: Vec::new(), at: u32::MAX };
        let mut stmts: Vec<Stmt> = before.iter().map(call).collect();
        stmts.push(Stmt::Return { values: Vec::new() });
        init = Some(functions.len() as u32);
        functions.push(Function {
            name: "<init>".into(),
            ty: nothing as u32,
            body: Some(Body { stmts, ..Body::default() }),
        });
    }

    let memory = memory(module, options, grows)?;
    let (image, segments) = data(module, &memory)?;
    let (table, elements) = table(module, writes_table)?;
    let globals = module.globals.iter().map(|g| Global { ty: g.ty, bits: g.bits, mutable: g.mutable }).collect();
    Ok((Program { types, functions, globals, table, memory, segments, elements, entries, init }, image))
}

fn canonical_types(module: &Module<'_>) -> (Vec<FuncType>, Vec<u32>) {
    let mut types: Vec<FuncType> = Vec::new();
    let mut seen: HashMap<FuncType, u32> = HashMap::new();
    let canonical = module
        .types
        .iter()
        .map(|ty| {
            *seen.entry(ty.clone()).or_insert_with(|| {
                types.push(ty.clone());
                types.len() as u32 - 1
            })
        })
        .collect();
    (types, canonical)
}

fn host_call(module: &Module<'_>, index: usize, import: &crate::wasm::Import) -> Result<usize, Error> {
    let unknown = || Error::UnknownImport { module: import.module.clone(), name: import.name.clone() };
    let call = host::find(&import.module, &import.name).ok_or_else(unknown)?;
    let ty = module.signature(index as u32);
    if *ty != host::CALLS[call].signature() {
        return Err(Error::Limit(format!(
            "the import {:?} {:?} has another signature than WASI preview 1 gives it",
            import.module, import.name
        )));
    }
    Ok(call)
}

/// An imported function that is exported or in the table needs a body to be entered.
fn import_body(call: usize, ty: &FuncType) -> Body {
    let mut body = Body::default();
    let params: Vec<Var> = ty.params.iter().map(|t| body.var(*t)).collect();
    let args = params.into_iter().map(|v| body.add(Expr::Var(v))).collect();
    let result = ty.results.first().map(|t| body.var(*t));
    body.stmts.push(Stmt::Host { call, args, result, at: u32::MAX });
    let values = result.into_iter().map(|v| body.add(Expr::Var(v))).collect();
    body.stmts.push(Stmt::Return { values });
    body
}

fn entries(module: &Module<'_>, options: &Options) -> Result<Vec<(String, u32)>, Error> {
    if options.roots.is_empty() {
        return Ok(module.exports.clone());
    }
    options
        .roots
        .iter()
        .map(|root| {
            module.exports.iter().find(|(n, _)| n == root).cloned().ok_or_else(|| Error::NoExport {
                name: root.clone(),
                available: match module.exports.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>() {
                    names if names.is_empty() => "none".into(),
                    names => names.join(", "),
                },
            })
        })
        .collect()
}

fn memory(module: &Module<'_>, options: &Options, grows: bool) -> Result<Memory, Error> {
    let Some(Limits { min, max }) = module.memory else {
        return Ok(Memory { initial: 0, capacity: 0, grows: false });
    };
    let initial = min * PAGE;
    if initial > MAX_MEMORY {
        return Err(Error::Limit(format!(
            "the program starts with {min} pages of memory; {} is the most",
            MAX_MEMORY / PAGE
        )));
    }
    let wanted = options.heap.unwrap_or(initial + DEFAULT_GROWTH);
    if wanted < initial {
        return Err(Error::Limit(format!(
            "the heap of {wanted} bytes is smaller than the program's initial memory of {initial} bytes; give --heap {initial} or more"
        )));
    }
    let most = max.map_or(MAX_MEMORY, |m| (m.saturating_mul(PAGE)).min(MAX_MEMORY));
    let capacity = if grows { (wanted / PAGE * PAGE).min(most).max(initial) } else { initial };
    Ok(Memory { initial, capacity, grows: capacity > initial })
}

fn data(module: &Module<'_>, memory: &Memory) -> Result<(Image, Vec<(u32, u32)>), Error> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut segments = Vec::new();
    let mut image = Image::default();
    for (i, (mode, data)) in module.data.iter().enumerate() {
        if let Mode::Active(at) = mode {
            let end = *at as usize + data.len();
            if end as u64 > memory.initial {
                return Err(Error::Limit(format!(
                    "{}: data segment {i} ends at byte {end} of a memory of {}",
                    TrapKind::OutOfBoundsMemory.text(),
                    memory.initial
                )));
            }
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*at as usize..end].copy_from_slice(data);
            segments.push((0, 0)); // dropped after instantiation
        } else {
            segments.push((image.segments.len() as u32, data.len() as u32));
            image.segments.extend_from_slice(data);
        }
    }
    image.set_memory(&bytes);
    Ok((image, segments))
}

fn table(module: &Module<'_>, writes: bool) -> Result<(Table, Vec<Vec<u32>>), Error> {
    let min = module.table.map_or(0, |t| t.min);
    if min > MAX_TABLE {
        return Err(Error::Limit(format!("a table of {min} elements is larger than {MAX_TABLE}")));
    }
    let mut elements = vec![0; min as usize];
    let mut passive = Vec::new();
    for (i, (mode, items)) in module.elements.iter().enumerate() {
        let ids: Vec<u32> = items.iter().map(|f| f.map_or(0, |f| f + 1)).collect();
        if let Mode::Active(at) = mode {
            let end = *at as usize + ids.len();
            if end > elements.len() {
                return Err(Error::Limit(format!(
                    "{}: element segment {i} ends at {end} of a table of {min}",
                    TrapKind::OutOfBoundsTable.text()
                )));
            }
            elements[*at as usize..end].copy_from_slice(&ids);
            passive.push(Vec::new());
        } else {
            passive.push(if *mode == Mode::Passive { ids } else { Vec::new() });
        }
    }
    Ok((Table { elements, mutable: writes }, passive))
}
