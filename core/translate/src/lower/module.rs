//! Lowers a module: signatures, globals, memory, table, segments, and those functions that are reached.

use super::function::{Context, lower as lower_function, weighs};
use super::several::Spans;
use crate::abi::{PAGE, TrapKind};
use crate::ir::{Ask, Body, Callee, Expr, Function, Global, Memory, Program, Stmt, Table, Var, walk};
use crate::wasm::{FuncType, Limits, Mode, Module};
use crate::{Error, Image, Options, host};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Bytes that a memory can grow by default, beyond the initial size.
const DEFAULT_GROWTH: u64 = 16 << 20;
/// Most bytes of memory: sizes are kept in 32 bits, so one page less than the whole address space.
pub const MAX_MEMORY: u64 = (1 << 32) - PAGE;
/// Most elements of a table, which becomes a kernel constant or a part of each VM.
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
    let mut entries = entries(module, options)?;
    let mut before: Vec<u32> = module.start.into_iter().collect();
    // A reactor exports `_initialize`; nothing else may run before it (WASI application ABI).
    if let Some((_, f)) = module.exports.iter().find(|(n, _)| n == INITIALIZE) {
        before.push(*f);
    }

    let spans = Spans::new(module, options)?;
    if spans.bytes().is_some() && !host.is_empty() {
        return Err(Error::Limit("a program with several memories cannot make host calls".into()));
    }
    let context = Context { module, canonical: &canonical, host: &host, spans: &spans };
    let mut functions: Vec<Function> = (0..module.functions.len() as u32)
        .map(|f| Function {
            names: vec![module.function_name(f)],
            ty: canonical[module.functions[f as usize] as usize],
            body: None,
            states: None,
            part_of: None,
        })
        .collect();
    for (f, first) in &module.merged {
        functions[*first as usize].names.push(module.function_name(*f));
    }
    // A function in the table is only reached by a `call_indirect` of its own signature.
    let mut in_table: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for f in module.elements.iter().flat_map(|(_, items)| items.iter().flatten()) {
        in_table.entry(functions[*f as usize].ty).or_default().insert(*f);
    }
    let mut todo: Vec<u32> = entries.iter().map(|(_, f)| *f).chain(before.iter().copied()).collect();
    let (mut grows, mut writes_table) = (false, false);
    let mut budget = BUDGET + 2 * module.size;
    while let Some(f) = todo.pop() {
        if functions[f as usize].body.is_some() {
            continue;
        }
        let body = match module.bodies.get((f as usize).wrapping_sub(module.imports.len())) {
            Some(body) => lower_function(&context, f, body, budget)?,
            None => import_body(host[f as usize], module.signature(f)),
        };
        walk(&body.stmts, &mut |s| match s {
            Stmt::Call { callee: Callee::Function(g), .. } => todo.push(*g),
            Stmt::Call { callee: Callee::Table { ty, .. }, .. } => todo.extend(in_table.remove(ty).unwrap_or_default()),
            Stmt::MemoryGrow { .. } => grows = true,
            Stmt::TableCopy { .. } | Stmt::TableInit { .. } => writes_table = true,
            _ => {}
        });
        budget = budget.saturating_sub(weighs(&body));
        functions[f as usize].body = Some(body);
    }

    let memory = memory(module, options, grows, &spans)?;
    let (table, elements, table_trap) = table(module, writes_table, &spans)?;
    let (image, segments, memory_trap) = data(module, &memory, &spans)?;
    let mut globals: Vec<Global> =
        module.globals.iter().map(|g| Global { ty: g.ty, bits: g.bits, mutable: g.mutable }).collect();
    globals.extend(spans.globals());

    // Segments are applied in their order, tables first; the first that does not fit ends the instantiation.
    let trap = table_trap.or(memory_trap);
    let (mut types, mut init) = (types, None);
    let mut add = |name: &str, stmts| {
        let ty = types.iter().position(|t| *t == FuncType::default()).unwrap_or_else(|| {
            types.push(FuncType::default());
            types.len() - 1
        });
        let body = Some(Body { stmts, ..Body::default() });
        functions.push(Function { names: vec![name.into()], ty: ty as u32, body, states: None, part_of: None });
        functions.len() as u32 - 1
    };
    if !before.is_empty() || trap.is_some() {
        let call =
            |f: &u32| Stmt::Call { callee: Callee::Function(*f), args: Vec::new(), results: Vec::new(), at: u32::MAX };
        let stmts = match trap {
            Some(kind) => vec![Stmt::Trap { kind, at: u32::MAX }],
            None => before.iter().map(call).chain([Stmt::Return { values: Vec::new() }]).collect(),
        };
        init = Some(add("<init>", stmts));
    }
    if entries.is_empty() {
        entries.push((COMMAND.into(), add(COMMAND, vec![Stmt::Return { values: Vec::new() }])));
    }
    Ok((Program { types, functions, globals, table, memory, segments, elements, entries, init, shared: None }, image))
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
            "the import {:?} {:?} has another signature than WASI gives it",
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
    body.stmts.push(Stmt::Ask { call, args, result, how: Ask::Here, at: u32::MAX });
    let values = result.into_iter().map(|v| body.add(Expr::Var(v))).collect();
    body.stmts.push(Stmt::Return { values });
    body
}

/// What a command exports, and what a reactor does.
const COMMAND: &str = "_start";
const INITIALIZE: &str = "_initialize";

/// The exports that can be entered. None if the entry of a command is asked for, the module exports none, and it runs
/// something at its instantiation or exports nothing at all: then instantiating the module is all there is to do.
fn entries(module: &Module<'_>, options: &Options) -> Result<Vec<(String, u32)>, Error> {
    let exports = |name: &str| module.exports.iter().any(|(n, _)| n == name);
    let runs = module.start.is_some() || exports(INITIALIZE);
    if options.roots == [COMMAND] && !exports(COMMAND) && (runs || module.exports.is_empty()) {
        return Ok(Vec::new());
    }
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

fn memory(module: &Module<'_>, options: &Options, grows: bool, spans: &Spans) -> Result<Memory, Error> {
    if let Some(bytes) = spans.bytes() {
        return Ok(Memory { initial: bytes, limit: bytes, declared: bytes, grows: false });
    }
    let Some(limits) = module.memories.first() else {
        return Ok(Memory { initial: 0, limit: 0, declared: 0, grows: false });
    };
    let (initial, limit) = bounds(limits, options, grows)?;
    Ok(Memory { initial, limit, declared: declared(limits), grows: limit > initial })
}

/// Bytes that the module lets a memory grow to.
fn declared(limits: &Limits) -> u64 {
    limits.max.map_or(MAX_MEMORY, |most| most.saturating_mul(PAGE).min(MAX_MEMORY))
}

/// Bytes of a memory at the start, and the most that it can grow to.
pub fn bounds(limits: &Limits, options: &Options, grows: bool) -> Result<(u64, u64), Error> {
    let (min, initial) = (limits.min, limits.min * PAGE);
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
    Ok((initial, if grows { (wanted / PAGE * PAGE).min(declared(limits)).max(initial) } else { initial }))
}

/// What all function bodies together may [weigh](weighs), in addition to twice the bytes of the module.
const BUDGET: usize = 1 << 17;

/// The image, the passive segments, and the trap of an active one that does not fit.
type Data = (Image, Vec<(u32, u32)>, Option<TrapKind>);

fn data(module: &Module<'_>, memory: &Memory, spans: &Spans) -> Result<Data, Error> {
    let mut applied: Vec<(u64, &[u8])> = Vec::new();
    let mut segments = Vec::new();
    let mut image = Image::default();
    let mut trap = None;
    for (mode, data) in &module.data {
        match mode {
            Mode::Active { to, at } => {
                segments.push((0, 0)); // dropped after instantiation
                let (base, size) = spans.memory(*to, memory.initial);
                if u64::from(*at) + data.len() as u64 > size {
                    trap = trap.or(Some(TrapKind::OutOfBoundsMemory));
                } else {
                    applied.push((base + u64::from(*at), data));
                }
            }
            Mode::Passive | Mode::Declared => {
                segments.push((image.segments.len() as u32, data.len() as u32));
                image.segments.extend_from_slice(data);
            }
        }
    }
    let begin = applied.iter().map(|(at, _)| at / 64 * 64).min().unwrap_or(0);
    let end = applied.iter().map(|(at, data)| at + data.len() as u64).max().unwrap_or(0);
    let most = crate::bound(module.size) as u64;
    if end - begin > most {
        return Err(Error::Limit(format!(
            "the data segments span {} bytes of memory, more than {most} for a module of this size; place them closer \
             together",
            end - begin
        )));
    }
    let mut bytes = vec![0; (end - begin) as usize];
    for (at, data) in applied {
        let at = (at - begin) as usize;
        bytes[at..at + data.len()].copy_from_slice(data);
    }
    image.set_memory(begin, &bytes);
    Ok((image, segments, trap))
}

/// The table, the passive segments, and the trap of an active one that does not fit.
type Elements = (Table, Vec<Vec<u32>>, Option<TrapKind>);

fn table(module: &Module<'_>, writes: bool, spans: &Spans) -> Result<Elements, Error> {
    let length = module.tables.iter().map(|t| t.min).sum::<u64>();
    if length > MAX_TABLE {
        return Err(Error::Limit(format!("a table of {length} elements is larger than {MAX_TABLE}")));
    }
    let mut elements = vec![0; length as usize];
    let mut passive = Vec::new();
    let mut trap = None;
    for (mode, items) in &module.elements {
        let ids: Vec<u32> = items.iter().map(|f| f.map_or(0, |f| f + 1)).collect();
        match mode {
            Mode::Active { to, at } => {
                passive.push(Vec::new());
                let (base, length) = spans.table(*to);
                if u64::from(*at) + ids.len() as u64 > u64::from(length) {
                    trap = trap.or(Some(TrapKind::OutOfBoundsTable));
                    continue;
                }
                let begin = (base + *at) as usize;
                elements[begin..begin + ids.len()].copy_from_slice(&ids);
            }
            Mode::Passive => passive.push(ids),
            Mode::Declared => passive.push(Vec::new()),
        }
    }
    Ok((Table { elements, mutable: writes }, passive, trap))
}
