//! Hostile modules, which strain a translator: very large, very deep, or with very many parts.

use fastrand::Rng;
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataSection, ElementSection, Elements, EntityType, ExportKind, ExportSection,
    Function, FunctionSection, GlobalSection, GlobalType, ImportSection, Instruction as I, MemArg, MemArgTarget,
    MemorySection, MemoryType, Module, NameMap, NameSection, RefType, TableSection, TableType, TypeSection, ValType,
};

/// Builds a module. Type 0 has no parameters and results, type 1 has an i32 as both.
#[derive(Default)]
struct Build {
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    tables: TableSection,
    memories: MemorySection,
    globals: GlobalSection,
    exports: ExportSection,
    elements: ElementSection,
    code: CodeSection,
    data: DataSection,
    names: NameSection,
}

impl Build {
    fn new() -> Self {
        let mut build = Self::default();
        build.types.ty().function([], []);
        build.types.ty().function([ValType::I32], [ValType::I32]);
        build
    }

    /// Adds a function with `locals` i32 locals; returns its index.
    fn function(&mut self, ty: u32, locals: u32, body: &[I<'_>]) -> u32 {
        let mut function = Function::new([(locals, ValType::I32)]);
        for instruction in body {
            function.instruction(instruction);
        }
        function.instruction(&I::End);
        self.functions.function(ty);
        self.code.function(&function);
        self.functions.len() - 1
    }

    fn export(&mut self, name: &str, function: u32) {
        self.exports.export(name, ExportKind::Func, function);
    }

    fn memory(&mut self, pages: u64) {
        let ty = MemoryType { minimum: pages, maximum: None, memory64: false, shared: false, page_size_log2: None };
        self.memories.memory(ty);
    }

    fn table(&mut self, elements: u64) {
        let ty = TableType {
            element_type: RefType::FUNCREF,
            table64: false,
            minimum: elements,
            maximum: None,
            shared: false,
        };
        self.tables.table(ty);
    }

    fn finish(self) -> Vec<u8> {
        let mut module = Module::new();
        module.section(&self.types).section(&self.imports).section(&self.functions);
        module.section(&self.tables).section(&self.memories).section(&self.globals);
        module.section(&self.exports).section(&self.elements).section(&self.code).section(&self.data);
        module.section(&self.names);
        module.finish()
    }
}

type Make = fn(&mut Build, usize);

/// Kinds of modules, each with the count that makes about 256 KiB.
const KINDS: &[(&str, usize, Make)] = &[
    ("functions", 50_000, |b, n| {
        for i in 0..n {
            let f = b.function(0, 0, &[]);
            if i == 0 {
                b.export("f", f);
            }
        }
    }),
    ("functions and exports", 16_000, |b, n| {
        for i in 0..n {
            let f = b.function(0, 0, &[]);
            b.export(&i.to_string(), f);
        }
    }),
    ("functions, and exports of the last", 16_000, |b, n| {
        for _ in 0..n {
            b.function(0, 0, &[]);
        }
        for i in 0..n {
            b.export(&i.to_string(), n as u32 - 1);
        }
    }),
    ("locals", 20_000, |b, n| {
        for i in 0..n {
            let f = b.function(0, 50_000, &[]);
            b.export(&i.to_string(), f);
        }
    }),
    ("locals that live over calls", 10_000, |b, n| {
        let n = n as u32;
        let callee = b.function(1, 0, &[I::LocalGet(0)]);
        let mut body = Vec::new();
        for i in 1..=n {
            body.extend([I::LocalGet(i - 1), I::Call(callee), I::LocalSet(i)]);
        }
        body.push(I::I32Const(0));
        for i in 1..=n {
            body.extend([I::LocalGet(i), I::I32Add]);
        }
        let f = b.function(1, n, &body);
        b.export("f", f);
    }),
    ("blocks in blocks", 80_000, |b, n| nested(b, n, |_| I::Block(BlockType::Empty))),
    ("loops in loops", 80_000, |b, n| nested(b, n, |_| I::Loop(BlockType::Empty))),
    ("loops in loops that turn", 30_000, |b, n| {
        let mut body = vec![I::Loop(BlockType::Empty); n];
        for i in 0..n {
            body.extend([I::LocalGet(0), I::BrIf((i % 7).min(n - 1 - i) as u32), I::End]);
        }
        body.push(I::LocalGet(0));
        let f = b.function(1, 0, &body);
        b.export("f", f);
    }),
    ("ifs in ifs", 40_000, |b, n| {
        let mut body = Vec::new();
        for _ in 0..n {
            body.extend([I::LocalGet(0), I::If(BlockType::Empty)]);
        }
        body.extend(vec![I::End; n]);
        body.push(I::LocalGet(0));
        let f = b.function(1, 0, &body);
        b.export("f", f);
    }),
    ("blocks with results in blocks", 1_200, |b, n| {
        b.types.ty().function([], vec![ValType::I32; n.min(1000)]);
        let mut body = vec![I::Block(BlockType::FunctionType(2)); n];
        body.extend(vec![I::I32Const(7); n.min(1000)]);
        for i in 0..n {
            body.push(I::Br((n - 1 - i) as u32));
            body.push(I::End);
        }
        body.extend(vec![I::Drop; n.min(1000)]);
        let f = b.function(0, 0, &body);
        b.export("f", f);
    }),
    ("branches to one block", 60_000, |b, n| {
        let mut body = vec![I::Block(BlockType::Empty)];
        for _ in 0..n {
            body.extend([I::LocalGet(0), I::BrIf(0)]);
        }
        body.extend([I::End, I::LocalGet(0)]);
        let f = b.function(1, 0, &body);
        b.export("f", f);
    }),
    ("br_table to one block", 200_000, |b, n| {
        let targets = vec![0; n];
        let f = b.function(
            1,
            0,
            &[I::Block(BlockType::Empty), I::LocalGet(0), I::BrTable(targets.into(), 0), I::End, I::LocalGet(0)],
        );
        b.export("f", f);
    }),
    ("br_table to many blocks", 50_000, |b, n| {
        let n = n.min(4900);
        let mut body = vec![I::Block(BlockType::Empty); n];
        body.extend([I::LocalGet(0), I::BrTable((0..n as u32).collect::<Vec<_>>().into(), 0)]);
        for i in 0..n {
            body.extend([I::End, I::LocalGet(0), I::I32Const(i as i32), I::I32Add, I::LocalSet(0)]);
        }
        body.push(I::LocalGet(0));
        let f = b.function(1, 0, &body);
        b.export("f", f);
    }),
    ("br_tables to many blocks", 400, |b, n| {
        let mut body = vec![I::Block(BlockType::Empty); n];
        for _ in 0..n {
            body.extend([I::LocalGet(0), I::If(BlockType::Empty), I::LocalGet(0)]);
            body.extend([I::BrTable((0..n as u32).collect::<Vec<_>>().into(), 0), I::End]);
        }
        body.extend(vec![I::End; n]);
        body.push(I::LocalGet(0));
        let f = b.function(1, 0, &body);
        b.export("f", f);
    }),
    ("a deep expression to the left", 80_000, |b, n| {
        let mut body = vec![I::LocalGet(0)];
        for _ in 0..n {
            body.extend([I::I32Const(3), I::I32Mul]);
        }
        let f = b.function(1, 0, &body);
        b.export("f", f);
    }),
    ("a deep expression to the right", 80_000, |b, n| {
        let mut body = vec![I::LocalGet(0); n + 1];
        body.extend(vec![I::I32Xor; n]);
        let f = b.function(1, 0, &body);
        b.export("f", f);
    }),
    ("a deep expression of loads", 60_000, |b, n| {
        b.memory(1);
        let mut body = vec![I::LocalGet(0)];
        body.extend(vec![
            I::I32Load(MemArg { offset: 4, align: 0, target: MemArgTarget::Memory(0), ordering: None });
            n
        ]);
        let f = b.function(1, 0, &body);
        b.export("f", f);
    }),
    ("values under a block", 40_000, |b, n| {
        let mut body = vec![I::LocalGet(0); n];
        body.extend([I::Block(BlockType::Empty), I::LocalGet(0), I::BrIf(0), I::End]);
        body.extend(vec![I::I32Add; n - 1]);
        let f = b.function(1, 0, &body);
        b.export("f", f);
    }),
    ("values under many calls", 4_000, |b, n| {
        let callee = b.function(1, 0, &[I::LocalGet(0)]);
        let mut body = Vec::new();
        for _ in 0..n {
            body.extend([I::LocalGet(0), I::Call(callee)]);
        }
        body.extend(vec![I::I32Add; n - 1]);
        let f = b.function(1, 0, &body);
        b.export("f", f);
    }),
    ("a chain of calls, downwards", 20_000, |b, n| {
        for i in 0..n as u32 {
            let next = [I::LocalGet(0), I::Call(i + 1)];
            b.function(1, 0, &next[..]);
        }
        b.function(1, 0, &[I::LocalGet(0)]);
        b.export("f", 0);
    }),
    ("a chain of calls, upwards", 20_000, |b, n| {
        b.function(1, 0, &[I::LocalGet(0)]);
        for i in 0..n as u32 {
            b.function(1, 0, &[I::LocalGet(0), I::Call(i)]);
        }
        b.export("f", n as u32);
    }),
    ("a chain of calls that trap at its end", 20_000, |b, n| {
        for i in 0..n as u32 {
            b.function(1, 0, &[I::LocalGet(0), I::Call(i + 1)]);
        }
        b.function(1, 0, &[I::Unreachable]);
        b.export("f", 0);
    }),
    ("a circle of calls", 20_000, |b, n| {
        let n = n as u32;
        for i in 0..n {
            b.function(1, 0, &[I::LocalGet(0), I::Call((i + 1) % n)]);
        }
        b.export("f", 0);
    }),
    ("all call all", 220, |b, n| {
        let n = n as u32;
        for _ in 0..n {
            let mut body = vec![I::LocalGet(0)];
            body.extend((0..n).map(I::Call));
            b.function(1, 0, &body);
        }
        b.export("f", 0);
    }),
    ("all call a later one twice", 12_000, |b, n| {
        let n = n as u32;
        for i in 0..n {
            let next = I::Call((i + 1).min(n));
            b.function(1, 0, &[I::LocalGet(0), next.clone(), next]);
        }
        b.function(1, 0, &[I::LocalGet(0)]);
        b.export("f", 0);
    }),
    ("calls in one function", 60_000, |b, n| {
        let callee = b.function(0, 0, &[]);
        let f = b.function(0, 0, &vec![I::Call(callee); n]);
        b.export("f", f);
    }),
    ("calls of itself", 60_000, |b, n| {
        let f = b.function(0, 0, &vec![I::Call(0); n]);
        b.export("f", f);
    }),
    ("calls of the host", 50_000, |b, n| {
        b.imports.import("wasi_snapshot_preview1", "sched_yield", EntityType::Function(2));
        b.types.ty().function([], [ValType::I32]);
        let mut body = Vec::new();
        for _ in 0..n {
            body.extend([I::Call(0), I::Drop]);
        }
        b.functions.function(0);
        let mut function = Function::new([]);
        body.iter().for_each(|i| {
            function.instruction(i);
        });
        function.instruction(&I::End);
        b.code.function(&function);
        b.export("_start", 1);
    }),
    ("calls in nested blocks", 20_000, |b, n| {
        let callee = b.function(1, 0, &[I::LocalGet(0), I::Call(0)]);
        let mut body = Vec::new();
        for _ in 0..n.min(4900) {
            body.extend([I::Block(BlockType::Empty), I::LocalGet(0), I::Call(callee), I::BrIf(0)]);
        }
        body.extend(vec![I::End; n.min(4900)]);
        body.push(I::LocalGet(0));
        let f = b.function(1, 0, &body);
        b.export("f", f);
    }),
    ("indirect calls of many types", 3_000, |b, n| {
        b.table(n as u64);
        let mut items = Vec::new();
        let mut body = Vec::new();
        for i in 0..n as u32 {
            let bits = (0..12).map(|bit| if i >> bit & 1 == 0 { ValType::I32 } else { ValType::I64 });
            b.types.ty().function(bits.clone(), []);
            items.push(b.function(2 + i, 0, &[]));
            body.extend(bits.map(|ty| if ty == ValType::I32 { I::I32Const(0) } else { I::I64Const(0) }));
            body.extend([I::I32Const(i as i32), I::CallIndirect { type_index: 2 + i, table_index: 0 }]);
        }
        b.elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(items.into()));
        let f = b.function(0, 0, &body);
        b.export("f", f);
    }),
    ("indirect calls with many candidates", 12_000, |b, n| {
        b.table(n as u64);
        let call = [I::LocalGet(0), I::LocalGet(0), I::CallIndirect { type_index: 1, table_index: 0 }];
        let items: Vec<u32> = (0..n).map(|_| b.function(1, 0, &call)).collect();
        b.elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(items.into()));
        b.export("f", 0);
    }),
    ("a large table", 2_000_000, |b, n| {
        b.table(n as u64);
        let f = b.function(1, 0, &[I::LocalGet(0), I::I32Const(0), I::CallIndirect { type_index: 1, table_index: 0 }]);
        b.elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(vec![f; 3].into()));
        b.export("f", f);
    }),
    ("a table of elements", 100_000, |b, n| {
        b.table(n as u64);
        let f = b.function(1, 0, &[I::LocalGet(0), I::I32Const(0), I::CallIndirect { type_index: 1, table_index: 0 }]);
        b.elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(vec![f; n].into()));
        b.export("f", f);
    }),
    ("segments of elements", 40_000, |b, n| {
        b.table(1);
        let f = b.function(0, 0, &[]);
        for _ in 0..n {
            b.elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(vec![f].into()));
        }
        b.export("f", f);
    }),
    ("data far away", 1 << 30, |b, n| {
        b.memory(65535);
        b.data.active(0, &ConstExpr::i32_const(n as i32 - 1), [1]);
        let f = b.function(0, 0, &[]);
        b.export("f", f);
    }),
    ("data at both ends", 1 << 30, |b, n| {
        b.memory(65535);
        b.data.active(0, &ConstExpr::i32_const(0), [1]);
        b.data.active(0, &ConstExpr::i32_const(n as i32 - 1), [1]);
        let f = b.function(0, 0, &[]);
        b.export("f", f);
    }),
    ("segments of data", 30_000, |b, n| {
        b.memory(1);
        for i in 0..n {
            b.data.active(0, &ConstExpr::i32_const(i as i32), [1]);
        }
        let f = b.function(0, 0, &[]);
        b.export("f", f);
    }),
    ("globals", 50_000, |b, n| {
        let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        let mut body = Vec::new();
        for i in 0..n as u32 {
            b.globals.global(ty, &ConstExpr::i32_const(5));
            if i % 8 == 0 {
                body.extend([I::GlobalGet(i), I::GlobalSet(n as u32 - 1 - i)]);
            }
        }
        let f = b.function(0, 0, &body);
        b.export("f", f);
    }),
    ("types", 60_000, |b, n| {
        for _ in 0..n {
            b.types.ty().function([ValType::I64], []);
        }
        let f = b.function(0, 0, &[]);
        b.export("f", f);
    }),
    ("functions of many parameters", 400, |b, n| {
        b.types.ty().function(vec![ValType::I64; 1000], vec![ValType::F64; 1000]);
        for i in 0..n {
            let f = b.function(2, 0, &[I::Unreachable]);
            b.export(&i.to_string(), f);
        }
    }),
    ("calls with many parameters", 100, |b, n| {
        b.types.ty().function(vec![ValType::I32; 1000], vec![ValType::I32; 1000]);
        let mut body: Vec<I> = (0..1000).map(I::LocalGet).collect();
        body.extend(vec![I::Call(0); n]);
        let f = b.function(2, 0, &body);
        b.export("f", f);
    }),
    ("names", 20_000, |b, n| {
        let mut names = NameMap::new();
        for i in 0..n as u32 {
            names.append(i, "a name \" \\ */ with \u{0}\u{7f} everything");
        }
        b.names.functions(&names);
        let f = b.function(0, 0, &[I::Unreachable]);
        b.export("// \" \\ */ \n#error\u{0}", f);
    }),
    ("memory that grows at each step", 40_000, |b, n| {
        b.memory(1);
        let mut body = Vec::new();
        for _ in 0..n {
            body.extend([I::LocalGet(0), I::MemoryGrow(0), I::LocalSet(0)]);
        }
        body.push(I::LocalGet(0));
        let f = b.function(1, 0, &body);
        b.export("f", f);
    }),
    ("loops behind each other", 30_000, |b, n| {
        let mut body = Vec::new();
        for _ in 0..n {
            body.extend([I::Loop(BlockType::Empty), I::LocalGet(0), I::BrIf(0), I::End]);
        }
        body.push(I::LocalGet(0));
        let f = b.function(1, 0, &body);
        b.export("f", f);
    }),
];

fn nested(b: &mut Build, n: usize, open: fn(usize) -> I<'static>) {
    let mut body: Vec<I> = (0..n).map(open).collect();
    body.extend(vec![I::End; n]);
    let f = b.function(0, 0, &body);
    b.export("f", f);
}

/// A module of a random kind and size.
pub fn module(rng: &mut Rng) -> (&'static str, Vec<u8>) {
    let (name, most, make) = KINDS[rng.usize(..KINDS.len())];
    // Large ones strain most; small ones are fast.
    let count = [most, most, most / 3, most / 30][rng.usize(..4)].max(2);
    (name, built(count, make))
}

fn built(count: usize, make: Make) -> Vec<u8> {
    let mut build = Build::new();
    make(&mut build, count);
    build.finish()
}

/// The largest module of each kind.
#[cfg(test)]
pub fn largest() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    KINDS.iter().map(|(name, most, make)| (*name, built(*most, *make)))
}
