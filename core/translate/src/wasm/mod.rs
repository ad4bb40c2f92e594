//! Decodes and validates a binary module (wasmparser) into the tables that lowering reads.

mod proposals;

pub(crate) use proposals::{REFERENCES, unsupported, validate_with};
pub use proposals::{features, validate};

use crate::{Error, ValType, host};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use wasmparser::{
    CompositeInnerType, ConstExpr, DataKind, ElementItems, ElementKind, ExternalKind, FunctionBody, Name,
    NameSectionReader, Operator, Parser, Payload, TableInit, TypeRef,
};

/// A function signature.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct FuncType {
    /// Parameter types.
    pub params: Vec<ValType>,
    /// Result types.
    pub results: Vec<ValType>,
}

/// An imported function; imports come first in the function index space.
#[derive(Debug, Clone)]
pub struct Import {
    /// Import module.
    pub module: String,
    /// Import name.
    pub name: String,
}

/// Whether a module imports a call that may lead to a file. One that cannot be decoded does not.
pub fn imports_files(bytes: &[u8]) -> bool {
    let opens = |import: wasmparser::Import<'_>| {
        host::find(import.module, import.name).is_some_and(|call| host::CALLS[call].opens_files())
    };
    let sections = Parser::new(0).parse_all(bytes).map_while(Result::ok);
    sections.into_iter().any(|section| match section {
        Payload::ImportSection(reader) => {
            reader.into_imports_with_offsets().filter_map(Result::ok).any(|(_, import)| opens(import))
        }
        _ => false,
    })
}

/// What an import requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A function of this type index.
    Function(u32),
    /// A table of at least so many elements.
    Table(Limits),
    /// A memory of at least so many pages.
    Memory(Limits),
    /// A global.
    Global {
        /// Its type.
        ty: ValType,
        /// Whether it can change.
        mutable: bool,
    },
}

/// An export that is not a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OtherExport {
    /// A table, by index.
    Table(u32),
    /// A memory, by index.
    Memory(u32),
    /// A global, by index.
    Global(u32),
}

/// A constant initialiser, evaluated when the image is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// The bits of a number.
    Bits(u64),
    /// `ref.func`, or null.
    Func(Option<u32>),
}

/// A global variable.
#[derive(Debug, Clone)]
pub struct Global {
    /// Its type.
    pub ty: ValType,
    /// Whether `global.set` may change it.
    pub mutable: bool,
    /// Its first value.
    pub bits: u64,
}

/// Where a segment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Copied at instantiation.
    Active {
        /// Index of the memory or table.
        to: u32,
        /// Where in it.
        at: u32,
    },
    /// Copied by `memory.init` or `table.init`.
    Passive,
    /// Only declares function references.
    Declared,
}

/// Limits of a memory (pages) or a table (elements).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// At the start.
    pub min: u64,
    /// Declared maximum.
    pub max: Option<u64>,
}

/// A decoded, valid module.
#[derive(Debug, Default)]
pub struct Module<'a> {
    /// Bytes of the binary.
    pub size: usize,
    /// Signatures by type index.
    pub types: Vec<FuncType>,
    /// Imported functions.
    pub imports: Vec<Import>,
    /// Type index of each function, imports first.
    pub functions: Vec<u32>,
    /// Bodies of the defined functions.
    pub bodies: Vec<FunctionBody<'a>>,
    /// Tables, imports first.
    pub tables: Vec<Limits>,
    /// Memories, imports first. More than one only in a linked module.
    pub memories: Vec<Limits>,
    /// Globals, imports first.
    pub globals: Vec<Global>,
    /// Exported functions: name and function index.
    pub exports: Vec<(String, u32)>,
    /// Other exports.
    pub other_exports: Vec<(String, OtherExport)>,
    /// The start function.
    pub start: Option<u32>,
    /// Element segments.
    pub elements: Vec<(Mode, Vec<Option<u32>>)>,
    /// Data segments.
    pub data: Vec<(Mode, &'a [u8])>,
    /// Data segments that the linker calls read-only.
    pub read_only: BTreeSet<u32>,
    /// For each function that was [merged](Self::merge_functions) into another one: that one.
    pub merged: BTreeMap<u32, u32>,
    /// Names of functions: from the name section, else from the import, else from the first export.
    names: BTreeMap<u32, String>,
}

fn limits(min: u64, max: Option<u64>) -> Limits {
    Limits { min, max }
}

fn table_limits(ty: &wasmparser::TableType, at: u64) -> Result<Limits, Error> {
    if ty.element_type != wasmparser::RefType::FUNCREF {
        return Err(unsupported(at, REFERENCES));
    }
    Ok(limits(ty.initial, ty.maximum))
}

impl From<wasmparser::BinaryReaderError> for Error {
    fn from(e: wasmparser::BinaryReaderError) -> Self {
        Self::Invalid { offset: e.offset() as usize, message: e.message().to_string() }
    }
}

/// The type of a value at this offset.
pub(crate) fn val_type(ty: wasmparser::ValType, at: u64) -> Result<ValType, Error> {
    match ty {
        wasmparser::ValType::I32 => Ok(ValType::I32),
        wasmparser::ValType::I64 => Ok(ValType::I64),
        wasmparser::ValType::F32 => Ok(ValType::F32),
        wasmparser::ValType::F64 => Ok(ValType::F64),
        _ => Err(unsupported(at, REFERENCES)),
    }
}

/// Resolves an import.
pub(crate) type Resolve<'r> = dyn FnMut(&Module<'_>, &Import, Wanted) -> Result<u64, Error> + 'r;

impl<'a> Module<'a> {
    /// Decodes and validates a module that imports functions only; one with several memories if it is `linked`, that
    /// is, made by [`crate::link`].
    pub fn decode(bytes: &'a [u8], linked: bool) -> Result<Self, Error> {
        validate_with(bytes, linked)?;
        Self::read(bytes, &mut |_, import, wanted| match wanted {
            Wanted::Function(_) => Ok(0),
            _ => Err(Error::UnknownImport { module: import.module.clone(), name: import.name.clone() }),
        })
    }

    /// Decodes a valid module. `resolve` is called for each import, with the part of the module that is known so far;
    /// for an immutable global it returns the bits.
    pub(crate) fn read(bytes: &'a [u8], resolve: &mut Resolve<'_>) -> Result<Self, Error> {
        let mut m = Module { size: bytes.len(), ..Module::default() };
        for payload in Parser::new(0).parse_all(bytes) {
            m.section(payload?, resolve)?;
        }
        for (f, import) in (0..).zip(&m.imports) {
            m.names.entry(f).or_insert_with(|| format!("{}.{}", import.module, import.name));
        }
        for (name, f) in &m.exports {
            m.names.entry(*f).or_insert_with(|| name.clone());
        }
        Ok(m)
    }

    fn import(&mut self, import: wasmparser::Import<'_>, at: u64, resolve: &mut Resolve<'_>) -> Result<(), Error> {
        let wanted = match import.ty {
            TypeRef::Func(ty) => Wanted::Function(ty),
            TypeRef::Table(ty) => Wanted::Table(table_limits(&ty, at)?),
            TypeRef::Memory(ty) => Wanted::Memory(limits(ty.initial, ty.maximum)),
            TypeRef::Global(ty) => Wanted::Global { ty: val_type(ty.content_type, at)?, mutable: ty.mutable },
            _ => return Err(Error::UnknownImport { module: import.module.into(), name: import.name.into() }),
        };
        let import = Import { module: import.module.into(), name: import.name.into() };
        let bits = resolve(self, &import, wanted)?;
        match wanted {
            Wanted::Function(ty) => {
                self.functions.push(ty);
                self.imports.push(import);
            }
            Wanted::Table(limits) => self.tables.push(limits),
            Wanted::Memory(limits) => self.memories.push(limits),
            Wanted::Global { ty, mutable } => self.globals.push(Global { ty, mutable, bits }),
        }
        Ok(())
    }

    fn section(&mut self, payload: Payload<'a>, resolve: &mut Resolve<'_>) -> Result<(), Error> {
        match payload {
            Payload::TypeSection(reader) => {
                for group in reader.into_iter_with_offsets() {
                    let (at, group) = group?;
                    for ty in group.types() {
                        let CompositeInnerType::Func(ty) = &ty.composite_type.inner else {
                            return Err(unsupported(at, REFERENCES));
                        };
                        let types = |types: &[wasmparser::ValType]| -> Result<_, Error> {
                            types.iter().map(|t| val_type(*t, at)).collect()
                        };
                        self.types.push(FuncType { params: types(ty.params())?, results: types(ty.results())? });
                    }
                }
            }
            Payload::ImportSection(reader) => {
                for import in reader.into_imports_with_offsets() {
                    let (at, import) = import?;
                    self.import(import, at, resolve)?;
                }
            }
            Payload::FunctionSection(reader) => {
                for ty in reader {
                    self.functions.push(ty?);
                }
            }
            Payload::TableSection(reader) => {
                for table in reader.into_iter_with_offsets() {
                    let (at, table) = table?;
                    if !matches!(table.init, TableInit::RefNull) {
                        return Err(unsupported(at, REFERENCES));
                    }
                    self.tables.push(table_limits(&table.ty, at)?);
                }
            }
            Payload::MemorySection(reader) => {
                for memory in reader {
                    let memory = memory?;
                    self.memories.push(limits(memory.initial, memory.maximum));
                }
            }
            Payload::GlobalSection(reader) => {
                for global in reader.into_iter_with_offsets() {
                    let (at, global) = global?;
                    let ty = val_type(global.ty.content_type, at)?;
                    let bits = self.bits(&global.init_expr)?;
                    self.globals.push(Global { ty, mutable: global.ty.mutable, bits });
                }
            }
            Payload::ExportSection(reader) => {
                for export in reader {
                    let export = export?;
                    let other = match export.kind {
                        ExternalKind::Func => {
                            self.exports.push((export.name.into(), export.index));
                            continue;
                        }
                        ExternalKind::Table => OtherExport::Table(export.index),
                        ExternalKind::Memory => OtherExport::Memory(export.index),
                        ExternalKind::Global => OtherExport::Global(export.index),
                        _ => continue,
                    };
                    self.other_exports.push((export.name.into(), other));
                }
            }
            Payload::CodeSectionEntry(body) => self.bodies.push(body),
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::ElementSection(reader) => {
                for element in reader {
                    let element = element?;
                    let mode = match &element.kind {
                        ElementKind::Active { table_index, offset_expr } => {
                            Mode::Active { to: table_index.unwrap_or(0), at: self.bits(offset_expr)? as u32 }
                        }
                        ElementKind::Passive => Mode::Passive,
                        ElementKind::Declared => Mode::Declared,
                    };
                    let mut items = Vec::new();
                    match element.items {
                        ElementItems::Functions(reader) => {
                            for f in reader {
                                items.push(Some(f?));
                            }
                        }
                        ElementItems::Expressions(_, reader) => {
                            for expr in reader {
                                let Init::Func(f) = self.constant(&expr?)? else {
                                    return Err(Error::Limit("an element segment holds a number".into()));
                                };
                                items.push(f);
                            }
                        }
                    }
                    self.elements.push((mode, items));
                }
            }
            Payload::DataSection(reader) => {
                for data in reader {
                    let data = data?;
                    let mode = match &data.kind {
                        DataKind::Active { memory_index, offset_expr } => {
                            Mode::Active { to: *memory_index, at: self.bits(offset_expr)? as u32 }
                        }
                        DataKind::Passive => Mode::Passive,
                    };
                    self.data.push((mode, data.data));
                }
            }
            Payload::CustomSection(section) if section.name() == "name" => {
                // A good program with a broken name section is not refused, and a false name changes no result: names are
                // for messages, and that of data for `pass::shared`, which tests each store.
                let reader =
                    NameSectionReader::new(wasmparser::BinaryReader::new(section.data(), section.data_offset()));
                for name in reader.into_iter().map_while(Result::ok) {
                    match name {
                        Name::Function(map) => {
                            for naming in map.into_iter().map_while(Result::ok) {
                                self.names.insert(naming.index, naming.name.to_string());
                            }
                        }
                        Name::Data(map) => {
                            let named = map.into_iter().map_while(Result::ok);
                            self.read_only.extend(named.filter(|n| n.name.starts_with(".rodata")).map(|n| n.index));
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn bits(&self, expr: &ConstExpr) -> Result<u64, Error> {
        match self.constant(expr)? {
            Init::Bits(bits) => Ok(bits),
            Init::Func(_) => Err(Error::Limit("a global holds a function reference".into())),
        }
    }

    fn constant(&self, expr: &ConstExpr) -> Result<Init, Error> {
        let mut stack: Vec<Init> = Vec::new();
        for op in expr.get_operators_reader() {
            let mut two = |f: fn(u64, u64) -> u64| match (stack.pop(), stack.pop()) {
                (Some(Init::Bits(b)), Some(Init::Bits(a))) => Ok(Init::Bits(f(a, b))),
                _ => Err(Error::Limit("a constant expression is malformed".into())),
            };
            let value = match op? {
                Operator::I32Const { value } => Init::Bits(u64::from(value as u32)),
                Operator::I64Const { value } => Init::Bits(value as u64),
                Operator::F32Const { value } => Init::Bits(u64::from(value.bits())),
                Operator::F64Const { value } => Init::Bits(value.bits()),
                Operator::GlobalGet { global_index } => match self.globals.get(global_index as usize) {
                    Some(g) => Init::Bits(g.bits),
                    None => return Err(Error::Limit("a constant expression reads a global behind it".into())),
                },
                Operator::RefNull { .. } => Init::Func(None),
                Operator::RefFunc { function_index } => Init::Func(Some(function_index)),
                Operator::I32Add => two(|a, b| u64::from((a as u32).wrapping_add(b as u32)))?,
                Operator::I32Sub => two(|a, b| u64::from((a as u32).wrapping_sub(b as u32)))?,
                Operator::I32Mul => two(|a, b| u64::from((a as u32).wrapping_mul(b as u32)))?,
                Operator::I64Add => two(u64::wrapping_add)?,
                Operator::I64Sub => two(u64::wrapping_sub)?,
                Operator::I64Mul => two(u64::wrapping_mul)?,
                Operator::End => continue,
                other => return Err(Error::Limit(format!("constant expressions with {other:?} are not supported"))),
            };
            stack.push(value);
        }
        stack.pop().ok_or_else(|| Error::Limit("a constant expression is empty".into()))
    }

    /// The signature of a function.
    pub fn signature(&self, function: u32) -> &FuncType {
        &self.types[self.functions[function as usize] as usize]
    }

    /// Merges functions of the same signature and code into the first of them. Functions are only called, directly or
    /// through the table, so a program cannot tell them apart.
    pub fn merge_functions(&mut self) {
        let mut seen = HashMap::new();
        let mut merged = BTreeMap::new();
        for (f, body) in (self.imports.len() as u32..).zip(&self.bodies) {
            let first = *seen.entry((self.signature(f), body.as_bytes())).or_insert(f);
            if first != f {
                merged.insert(f, first);
            }
        }
        let exports = self.exports.iter_mut().map(|(_, f)| f);
        let elements = self.elements.iter_mut().flat_map(|(_, items)| items.iter_mut().flatten());
        for f in exports.chain(&mut self.start).chain(elements) {
            *f = merged.get(f).copied().unwrap_or(*f);
        }
        self.merged = merged;
    }

    /// The function that this one was merged into, else itself.
    pub fn first(&self, function: u32) -> u32 {
        self.merged.get(&function).copied().unwrap_or(function)
    }

    /// Where a function's code begins in the module.
    pub fn code_offset(&self, function: u32) -> u32 {
        let body = (function as usize).checked_sub(self.imports.len()).and_then(|i| self.bodies.get(i));
        body.map_or(u32::MAX, |b| b.range().start as u32)
    }

    /// A printable name: the name section's, the export's, or `func[N]`.
    pub fn function_name(&self, function: u32) -> String {
        self.names.get(&function).cloned().unwrap_or_else(|| format!("func[{function}]"))
    }
}
