//! Links several modules into one: imports are resolved, and a memory, table or global that instances share exists
//! once.
//!
//! A [`Linker`] takes modules in the order in which they would be instantiated. [`Linker::link`] then makes one
//! ordinary binary module of some of them. Its segments are all passive; what instantiating instance `n` does (apply
//! its active segments in order, call its start function) is an exported function named by [`Linker::instantiate`]. So
//! the caller decides when that happens, a trap in it leaves what was written before, as the spec says, and instances
//! that were linked but not yet instantiated have no effect. Only numbers in instructions change; the rest of a body is
//! copied.
//!
//! Sizes of imported tables and memories are compared as they are at the start: tables cannot grow, and a memory
//! that has grown since still has at least that size.

use crate::ir::{LoadOp, StoreOp};
use crate::wasm::{FuncType, Global, Import, Limits, Mode, Module, OtherExport, Wanted, validate};
use crate::{Error, ValType};
use std::collections::{BTreeMap, BTreeSet};
use wasmparser::{BlockType, FunctionBody, MemArg, MemArgTarget, Operator};

/// An instance of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance(u32);

/// Why a module cannot be linked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It cannot be decoded.
    #[error(transparent)]
    Module(#[from] Error),
    /// No instance exports what it imports.
    #[error("unknown import {module:?} {name:?}")]
    Unknown {
        /// Its module.
        module: String,
        /// Its name.
        name: String,
    },
    /// The export of that name has another type.
    #[error("incompatible import type: {module:?} {name:?} is {found}, and {wanted} is wanted")]
    Incompatible {
        /// Its module.
        module: String,
        /// Its name.
        name: String,
        /// What is exported.
        found: String,
        /// What is imported.
        wanted: String,
    },
    /// An instance was linked without another that it needs.
    #[error("instance {0} imports from instance {1}, which is not among those linked")]
    Incomplete(u32, u32),
}

/// A function, table, memory or global: the instance that defines it, and its index there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Def {
    owner: u32,
    index: u32,
}

#[derive(Debug, Clone, Copy)]
enum Entity {
    Function(Def),
    Table(Def),
    Memory(Def),
    Global(Def),
}

/// A module whose imports are resolved. The lists are its index spaces.
#[derive(Default)]
struct Linked<'a> {
    module: Module<'a>,
    functions: Vec<Def>,
    tables: Vec<Def>,
    memories: Vec<Def>,
    globals: Vec<Def>,
}

impl Linked<'_> {
    fn exports(&self) -> impl Iterator<Item = (&String, Entity)> {
        let functions = self.module.exports.iter().map(|(n, f)| (n, Entity::Function(self.functions[*f as usize])));
        functions.chain(self.module.other_exports.iter().map(|(name, export)| {
            let entity = match export {
                OtherExport::Table(i) => Entity::Table(self.tables[*i as usize]),
                OtherExport::Memory(i) => Entity::Memory(self.memories[*i as usize]),
                OtherExport::Global(i) => Entity::Global(self.globals[*i as usize]),
            };
            (name, entity)
        }))
    }
}

/// Instances, and the names under which their exports can be imported.
#[derive(Default)]
pub struct Linker<'a> {
    instances: Vec<Linked<'a>>,
    names: BTreeMap<String, BTreeMap<String, Entity>>,
}

impl<'a> Linker<'a> {
    /// Adds an instance of a module, whose imports are looked up in what is registered so far.
    ///
    /// # Errors
    /// The module is invalid, or an import is unknown or of another type. The linker is then as before.
    pub fn add(&mut self, wasm: &'a [u8]) -> Result<Instance, LinkError> {
        validate(wasm)?;
        let mut linked = Linked::default();
        let mut failed = None;
        let module = Module::read(wasm, &mut |module, import, wanted| {
            self.resolve(&mut linked, module, import, wanted).map_err(|error| {
                failed = Some(error);
                Error::UnknownImport { module: import.module.clone(), name: import.name.clone() }
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        linked.module = module?;
        let owner = self.instances.len() as u32;
        let m = &linked.module;
        let own = |space: &mut Vec<Def>, count: usize| {
            space.extend((space.len()..count).map(|index| Def { owner, index: index as u32 }));
        };
        own(&mut linked.functions, m.functions.len());
        own(&mut linked.tables, m.tables.len());
        own(&mut linked.memories, m.memories.len());
        own(&mut linked.globals, m.globals.len());
        self.instances.push(linked);
        Ok(Instance(owner))
    }

    /// Registers the exports of instances under a module name, in place of what was registered under it.
    pub fn register(&mut self, name: &str, instances: &[Instance]) {
        let exports = instances.iter().flat_map(|i| self.instances[i.0 as usize].exports());
        let exports = exports.map(|(name, entity)| (name.clone(), entity)).collect();
        self.names.insert(name.into(), exports);
    }

    /// The other instances that define what an instance imports.
    pub fn needs(&self, instance: Instance) -> BTreeSet<Instance> {
        let linked = &self.instances[instance.0 as usize];
        let all = linked.functions.iter().chain(&linked.tables).chain(&linked.memories).chain(&linked.globals);
        all.map(|def| Instance(def.owner)).filter(|owner| *owner != instance).collect()
    }

    /// The export of a linked module that instantiates an instance.
    pub fn instantiate(instance: Instance) -> String {
        instance.0.to_string()
    }

    /// The export of a linked module that is an exported function of an instance, or returns an exported global.
    pub fn export(instance: Instance, name: &str) -> String {
        format!("{}.{name}", instance.0)
    }

    /// One module of these instances, which must include all that they need.
    ///
    /// # Errors
    /// They do not.
    pub fn link(&self, instances: &[Instance]) -> Result<Vec<u8>, LinkError> {
        let mut instances = instances.to_vec();
        instances.sort();
        instances.dedup();
        for instance in &instances {
            if let Some(other) = self.needs(*instance).into_iter().find(|other| !instances.contains(other)) {
                return Err(LinkError::Incomplete(instance.0, other.0));
            }
        }
        Writer { linker: self, instances, ..Writer::default_for(self) }.write()
    }

    fn resolve(
        &self,
        linked: &mut Linked<'_>,
        module: &Module<'_>,
        import: &Import,
        wanted: Wanted,
    ) -> Result<u64, LinkError> {
        let Import { module: from, name } = import;
        let entity = self.names.get(from).and_then(|exports| exports.get(name));
        let entity = *entity.ok_or_else(|| LinkError::Unknown { module: from.clone(), name: name.clone() })?;
        let incompatible = || LinkError::Incompatible {
            module: from.clone(),
            name: name.clone(),
            found: self.describe(entity),
            wanted: describe_wanted(module, wanted),
        };
        match (wanted, entity) {
            (Wanted::Function(ty), Entity::Function(def)) if module.types[ty as usize] == *self.signature(def) => {
                linked.functions.push(def);
                Ok(0)
            }
            (Wanted::Table(limits), Entity::Table(def)) if fits(self.table(def), limits) => {
                linked.tables.push(def);
                Ok(0)
            }
            (Wanted::Memory(limits), Entity::Memory(def)) if fits(self.memory(def), limits) => {
                linked.memories.push(def);
                Ok(0)
            }
            (Wanted::Global { ty, mutable }, Entity::Global(def)) => {
                let global = self.global(def);
                if (global.ty, global.mutable) != (ty, mutable) {
                    return Err(incompatible());
                }
                linked.globals.push(def);
                Ok(global.bits)
            }
            _ => Err(incompatible()),
        }
    }

    fn module(&self, def: Def) -> &Module<'a> {
        &self.instances[def.owner as usize].module
    }
    fn signature(&self, def: Def) -> &FuncType {
        self.module(def).signature(def.index)
    }
    fn table(&self, def: Def) -> Limits {
        self.module(def).tables[def.index as usize]
    }
    fn memory(&self, def: Def) -> Limits {
        self.module(def).memories[def.index as usize]
    }
    fn global(&self, def: Def) -> &Global {
        &self.module(def).globals[def.index as usize]
    }

    fn describe(&self, entity: Entity) -> String {
        match entity {
            Entity::Function(def) => describe_function(self.signature(def)),
            Entity::Table(def) => describe_limits("table", self.table(def)),
            Entity::Memory(def) => describe_limits("memory", self.memory(def)),
            Entity::Global(def) => describe_global(self.global(def).ty, self.global(def).mutable),
        }
    }
}

/// Whether an export satisfies an import.
fn fits(found: Limits, wanted: Limits) -> bool {
    let most = wanted.max.is_none_or(|wanted| found.max.is_some_and(|found| found <= wanted));
    found.min >= wanted.min && most
}

fn describe_wanted(module: &Module<'_>, wanted: Wanted) -> String {
    match wanted {
        Wanted::Function(ty) => describe_function(&module.types[ty as usize]),
        Wanted::Table(limits) => describe_limits("table", limits),
        Wanted::Memory(limits) => describe_limits("memory", limits),
        Wanted::Global { ty, mutable } => describe_global(ty, mutable),
    }
}

fn describe_function(ty: &FuncType) -> String {
    format!("a function {:?} -> {:?}", ty.params, ty.results)
}

fn describe_limits(what: &str, limits: Limits) -> String {
    match limits.max {
        Some(max) => format!("a {what} of {} to {max}", limits.min),
        None => format!("a {what} of {} or more", limits.min),
    }
}

fn describe_global(ty: ValType, mutable: bool) -> String {
    format!("a {} global {ty:?}", if mutable { "mutable" } else { "constant" })
}

/// Bytes of a module or of a part of one.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }
    /// Unsigned LEB128.
    fn unsigned(&mut self, mut value: u64) -> &mut Self {
        loop {
            let low = value as u8 & 0x7f;
            value >>= 7;
            self.byte(if value == 0 { low } else { low | 0x80 });
            if value == 0 {
                return self;
            }
        }
    }
    /// Signed LEB128.
    fn signed(&mut self, mut value: i64) -> &mut Self {
        loop {
            let low = value as u8 & 0x7f;
            value >>= 7;
            let last = value == 0 && low & 0x40 == 0 || value == -1 && low & 0x40 != 0;
            self.byte(if last { low } else { low | 0x80 });
            if last {
                return self;
            }
        }
    }
    fn index(&mut self, index: u32) -> &mut Self {
        self.unsigned(index.into())
    }
    fn count(&mut self, count: usize) -> &mut Self {
        self.unsigned(count as u64)
    }
    /// Length and bytes.
    fn sized(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len()).bytes(bytes)
    }
    fn section(&mut self, id: u8, contents: &Self) {
        self.byte(id).sized(&contents.0);
    }
    fn limits(&mut self, limits: Limits) -> &mut Self {
        match limits.max {
            Some(max) => self.byte(1).unsigned(limits.min).unsigned(max),
            None => self.byte(0).unsigned(limits.min),
        }
    }
    fn types(&mut self, types: &[ValType]) -> &mut Self {
        self.count(types.len());
        for ty in types {
            self.byte(val_type(*ty));
        }
        self
    }
    fn i32_const(&mut self, value: u32) -> &mut Self {
        self.byte(0x41).signed(i64::from(value as i32))
    }
    /// A constant expression.
    fn constant(&mut self, ty: ValType, bits: u64) -> &mut Self {
        match ty {
            ValType::I32 => self.i32_const(bits as u32),
            ValType::I64 => self.byte(0x42).signed(bits as i64),
            ValType::F32 => self.byte(0x43).bytes(&(bits as u32).to_le_bytes()),
            ValType::F64 => self.byte(0x44).bytes(&bits.to_le_bytes()),
        };
        self.byte(END)
    }
}

const END: u8 = 0x0b;
const FUNCREF: u8 = 0x70;

fn val_type(ty: ValType) -> u8 {
    match ty {
        ValType::I32 => 0x7f,
        ValType::I64 => 0x7e,
        ValType::F32 => 0x7d,
        ValType::F64 => 0x7c,
    }
}

/// The types that come before those of the instances: of instantiation, and of reading a global of each type.
fn own_types() -> [FuncType; 5] {
    let returns = |ty| FuncType { params: Vec::new(), results: vec![ty] };
    use ValType::{F32, F64, I32, I64};
    [FuncType::default(), returns(I32), returns(I64), returns(F32), returns(F64)]
}

fn reader_type(ty: ValType) -> u32 {
    match ty {
        ValType::I32 => 1,
        ValType::I64 => 2,
        ValType::F32 => 3,
        ValType::F64 => 4,
    }
}

/// New numbers of everything.
struct Writer<'l, 'a> {
    linker: &'l Linker<'a>,
    instances: Vec<Instance>,
    functions: BTreeMap<Def, u32>,
    tables: BTreeMap<Def, u32>,
    memories: BTreeMap<Def, u32>,
    globals: BTreeMap<Def, u32>,
    /// By instance: the first of its types, element segments and data segments.
    first: BTreeMap<Instance, [u32; 3]>,
}

/// A function that the linker adds.
struct Made {
    name: String,
    ty: u32,
    code: Bytes,
}

impl<'l, 'a> Writer<'l, 'a> {
    fn default_for(linker: &'l Linker<'a>) -> Self {
        Self {
            linker,
            instances: Vec::new(),
            functions: BTreeMap::new(),
            tables: BTreeMap::new(),
            memories: BTreeMap::new(),
            globals: BTreeMap::new(),
            first: BTreeMap::new(),
        }
    }

    fn linked(&self, instance: Instance) -> &'l Linked<'a> {
        &self.linker.instances[instance.0 as usize]
    }

    fn number(&mut self) {
        let mut first = [own_types().len() as u32, 0, 0];
        for instance in self.instances.clone() {
            let linked = self.linked(instance);
            let number = |map: &mut BTreeMap<Def, u32>, space: &[Def]| {
                for def in space.iter().filter(|def| def.owner == instance.0) {
                    map.insert(*def, map.len() as u32);
                }
            };
            number(&mut self.functions, &linked.functions);
            number(&mut self.tables, &linked.tables);
            number(&mut self.memories, &linked.memories);
            number(&mut self.globals, &linked.globals);
            self.first.insert(instance, first);
            let m = &linked.module;
            for (first, count) in first.iter_mut().zip([m.types.len(), m.elements.len(), m.data.len()]) {
                *first += count as u32;
            }
        }
    }

    /// What was numbered, in the order of the numbers.
    fn in_order(map: &BTreeMap<Def, u32>) -> Vec<Def> {
        let mut defs: Vec<(u32, Def)> = map.iter().map(|(def, number)| (*number, *def)).collect();
        defs.sort();
        defs.into_iter().map(|(_, def)| def).collect()
    }

    fn write(mut self) -> Result<Vec<u8>, LinkError> {
        self.number();
        let made = self.made();
        let functions = Self::in_order(&self.functions);
        let mut out = Bytes(b"\0asm\x01\0\0\0".to_vec());

        let mut types = Bytes::default();
        let all: Vec<&FuncType> = self.instances.iter().flat_map(|i| &self.linked(*i).module.types).collect();
        let own = own_types();
        types.count(own.len() + all.len());
        for ty in own.iter().chain(all) {
            types.byte(0x60).types(&ty.params).types(&ty.results);
        }
        out.section(1, &types);

        let mut section = Bytes::default();
        section.count(functions.len() + made.len());
        for def in &functions {
            let ty = self.linker.module(*def).functions[def.index as usize];
            section.index(self.first[&Instance(def.owner)][0] + ty);
        }
        for function in &made {
            section.index(function.ty);
        }
        out.section(3, &section);

        let mut section = Bytes::default();
        section.count(self.tables.len());
        for def in Self::in_order(&self.tables) {
            section.byte(FUNCREF).limits(self.linker.table(def));
        }
        out.section(4, &section);

        let mut section = Bytes::default();
        section.count(self.memories.len());
        for def in Self::in_order(&self.memories) {
            section.limits(self.linker.memory(def));
        }
        out.section(5, &section);

        let mut section = Bytes::default();
        section.count(self.globals.len());
        for def in Self::in_order(&self.globals) {
            let global = self.linker.global(def);
            section.byte(val_type(global.ty)).byte(global.mutable.into()).constant(global.ty, global.bits);
        }
        out.section(6, &section);

        let mut exports: Vec<(String, u32)> = Vec::new();
        for instance in &self.instances {
            for (name, entity) in self.linked(*instance).exports() {
                if let Entity::Function(def) = entity {
                    exports.push((Linker::export(*instance, name), self.functions[&def]));
                }
            }
        }
        exports.extend(made.iter().enumerate().map(|(i, f)| (f.name.clone(), (functions.len() + i) as u32)));
        let mut section = Bytes::default();
        section.count(exports.len());
        for (name, function) in &exports {
            section.sized(name.as_bytes()).byte(0).index(*function);
        }
        out.section(7, &section);

        out.section(9, &self.elements());
        let data: Vec<&[u8]> =
            self.instances.iter().flat_map(|i| self.linked(*i).module.data.iter().map(|(_, bytes)| *bytes)).collect();
        out.section(12, Bytes::default().count(data.len()));

        let mut section = Bytes::default();
        section.count(functions.len() + made.len());
        for def in &functions {
            let module = self.linker.module(*def);
            let body = &module.bodies[def.index as usize - module.imports.len()];
            section.sized(&self.body(Instance(def.owner), body)?.0);
        }
        for function in &made {
            section.sized(&function.code.0);
        }
        out.section(10, &section);

        let mut section = Bytes::default();
        section.count(data.len());
        for bytes in data {
            section.byte(1).sized(bytes);
        }
        out.section(11, &section);

        let mut names = Bytes::default();
        names.count(functions.len());
        for (i, def) in functions.iter().enumerate() {
            let name = format!("{}.{}", def.owner, self.linker.module(*def).function_name(def.index));
            names.count(i).sized(name.as_bytes());
        }
        let mut section = Bytes::default();
        section.sized(b"name").byte(1).sized(&names.0);
        out.section(0, &section);
        Ok(out.0)
    }

    /// Instantiation of each instance, and readers of exported globals.
    fn made(&self) -> Vec<Made> {
        let mut made = Vec::new();
        for instance in &self.instances {
            let linked = self.linked(*instance);
            let m = &linked.module;
            let [_, elements, data] = self.first[instance];
            let mut code = Bytes::default();
            code.count(0);
            for (i, (mode, items)) in m.elements.iter().enumerate() {
                let segment = elements + i as u32;
                if let Mode::Active { to, at } = mode {
                    let table = self.tables[&linked.tables[*to as usize]];
                    code.i32_const(*at).i32_const(0).i32_const(items.len() as u32);
                    code.byte(0xfc).index(12).index(segment).index(table);
                }
                if *mode != Mode::Passive {
                    code.byte(0xfc).index(13).index(segment);
                }
            }
            for (i, (mode, bytes)) in m.data.iter().enumerate() {
                if let Mode::Active { to, at } = mode {
                    let segment = data + i as u32;
                    let memory = self.memories[&linked.memories[*to as usize]];
                    code.i32_const(*at).i32_const(0).i32_const(bytes.len() as u32);
                    code.byte(0xfc).index(8).index(segment).index(memory);
                    code.byte(0xfc).index(9).index(segment);
                }
            }
            if let Some(start) = m.start {
                code.byte(0x10).index(self.functions[&linked.functions[start as usize]]);
            }
            code.byte(END);
            made.push(Made { name: Linker::instantiate(*instance), ty: 0, code });
            for (name, entity) in linked.exports() {
                if let Entity::Global(def) = entity {
                    let mut code = Bytes::default();
                    code.count(0).byte(0x23).index(self.globals[&def]).byte(END);
                    let ty = reader_type(self.linker.global(def).ty);
                    made.push(Made { name: Linker::export(*instance, name), ty, code });
                }
            }
        }
        made
    }

    fn elements(&self) -> Bytes {
        let mut section = Bytes::default();
        section.count(self.instances.iter().map(|i| self.linked(*i).module.elements.len()).sum());
        for instance in &self.instances {
            let linked = self.linked(*instance);
            for (_, items) in &linked.module.elements {
                // Passive, of expressions: an item may be null.
                section.byte(5).byte(FUNCREF).count(items.len());
                for item in items {
                    match item {
                        Some(f) => section.byte(0xd2).index(self.functions[&linked.functions[*f as usize]]),
                        None => section.byte(0xd0).byte(FUNCREF),
                    };
                    section.byte(END);
                }
            }
        }
        section
    }

    /// A body with new numbers.
    fn body(&self, instance: Instance, body: &FunctionBody<'_>) -> Result<Bytes, Error> {
        let bytes = body.as_bytes();
        let start = body.range().start;
        let mut out = Bytes::default();
        let mut ops = Vec::new();
        for op in body.get_operators_reader()?.into_iter_with_offsets() {
            let (op, at) = op?;
            ops.push((op, (at - start) as usize));
        }
        out.bytes(&bytes[..ops.first().map_or(bytes.len(), |(_, at)| *at)]);
        for (i, (op, at)) in ops.iter().enumerate() {
            let end = ops.get(i + 1).map_or(bytes.len(), |(_, at)| *at);
            self.instruction(instance, op, &bytes[*at..end], &mut out);
        }
        Ok(out)
    }

    fn instruction(&self, instance: Instance, op: &Operator<'_>, bytes: &[u8], out: &mut Bytes) {
        let linked = self.linked(instance);
        let [types, elements, data] = self.first[&instance];
        let memory = |i: u32| self.memories[&linked.memories[i as usize]];
        let table = |i: u32| self.tables[&linked.tables[i as usize]];
        let global = |i: u32| self.globals[&linked.globals[i as usize]];
        let code = bytes[0];
        match *op {
            Operator::Block { blockty: BlockType::FuncType(ty) }
            | Operator::Loop { blockty: BlockType::FuncType(ty) }
            | Operator::If { blockty: BlockType::FuncType(ty) } => out.byte(code).signed((types + ty).into()),
            Operator::Call { function_index } => {
                out.byte(code).index(self.functions[&linked.functions[function_index as usize]])
            }
            Operator::CallIndirect { type_index, table_index } => {
                out.byte(code).index(types + type_index).index(table(table_index))
            }
            Operator::GlobalGet { global_index } | Operator::GlobalSet { global_index } => {
                out.byte(code).index(global(global_index))
            }
            Operator::MemorySize { mem } | Operator::MemoryGrow { mem } => out.byte(code).index(memory(mem)),
            Operator::MemoryInit { data_index, mem } => {
                out.byte(0xfc).index(8).index(data + data_index).index(memory(mem))
            }
            Operator::DataDrop { data_index } => out.byte(0xfc).index(9).index(data + data_index),
            Operator::MemoryCopy { dst_mem, src_mem } => {
                out.byte(0xfc).index(10).index(memory(dst_mem)).index(memory(src_mem))
            }
            Operator::MemoryFill { mem } => out.byte(0xfc).index(11).index(memory(mem)),
            Operator::TableInit { elem_index, table: t } => {
                out.byte(0xfc).index(12).index(elements + elem_index).index(table(t))
            }
            Operator::ElemDrop { elem_index } => out.byte(0xfc).index(13).index(elements + elem_index),
            Operator::TableCopy { dst_table, src_table } => {
                out.byte(0xfc).index(14).index(table(dst_table)).index(table(src_table))
            }
            _ => match memarg(op) {
                // Bit 6 of the alignment says that a memory's number follows.
                Some((m, arg)) if (m, memory(m)) != (0, 0) => {
                    out.byte(code).index(u32::from(arg.align) | 0x40).index(memory(m)).unsigned(arg.offset)
                }
                _ => out.bytes(bytes),
            },
        };
    }
}

/// The memory and the immediate of a load or store.
fn memarg(op: &Operator<'_>) -> Option<(u32, MemArg)> {
    let load = || LoadOp::from_wasm(op).map(|(_, arg)| arg);
    let arg = load().or_else(|| StoreOp::from_wasm(op).map(|(_, arg)| arg))?;
    match arg.target {
        MemArgTarget::Memory(memory) => Some((memory, arg)),
        MemArgTarget::Array(_) => None,
    }
}
