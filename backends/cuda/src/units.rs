//! Prepares units for NVIDIA's linker, which has two weaknesses.
//!
//! It is slow: it looks for recursion by walking every path of calls, as PoCL does: 2 * 10^10 of them in a Rust program
//! of 450 KB, 2 * 10^19 in SQLite. Its results for a kernel, registers and stack, depend only on the functions that are
//! reached and on the deepest path. So for programs of many paths the units' call lists (the sections `.nv.callgraph`:
//! pairs of symbols) are reduced to a tree that keeps both. The code is not changed.
//!
//! And it does not notice when a kernel's jump tables outgrow their 64 KiB of constant memory: addresses then wrap, and
//! the code jumps anywhere. Such a program is refused. In PTX, which a GPU that is newer than NVRTC gets, there are no
//! tables to count yet, so this check does not cover it.
//!
//! Of functions that recurse it cannot tell how much stack they take. Those look themselves how deep the stack is: all
//! that a cut call enters, by a call of `vv_deep` if it is too deep. So the kernel needs what they may use, which is
//! the frame of `vv_room`, a function that is never called, and the longest path from one that looks to the next. That
//! frame is made so much larger, and the call lists become a tree, without recursion.

use object::read::elf::{ElfFile64, FileHeader as _};
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, SymbolFlags, SymbolIndex};
use std::collections::{HashMap, HashSet, VecDeque};
use vectorvisor_driver::{Error, Result};

/// The most paths that the linker may walk, at some 10 ns each.
const MAX_PATHS: u64 = 10_000_000;
/// The most bytes of a kernel's jump tables.
const MAX_TABLES: u64 = 64 << 10;
/// How the names of sections with jump tables begin.
const TABLES_SECTION: &str = ".nv.constant2.";
/// The attribute of `.nv.info` with the bytes of a function's stack frame.
const FRAME: u8 = 0x11;
/// What a function calls that recursed too deep. Of this and the next one there may be clones, as `_Z7vv_deepP2VM$1`.
const DEEP: &str = "_Z7vv_deepP2VM";
/// The function whose frame is the stack that recursion may take.
const ROOM: &str = "_Z7vv_roomP2VM";
/// The bit of `st_other` that marks a kernel's symbol.
const ENTRY: u8 = 0x10;

/// Refuses units that would be linked wrongly, and reduces their call lists if there are too many paths. Binaries that
/// cannot be parsed stay as they are: linking them may take long.
pub fn prepare(binaries: &mut [Vec<u8>]) -> Result<()> {
    let Ok(units) = read(binaries) else { return Ok(()) };
    let tables: u64 = units.iter().map(|unit| unit.tables).sum();
    if tables > MAX_TABLES {
        let log = format!(
            "the program's jump tables take {tables} bytes of constant memory, of {MAX_TABLES}; \
             build the guest without them (clang -fno-jump-tables, rustc -Zno-jump-tables), or use --backend cpu"
        );
        return Err(Error::Compile { log });
    }
    let graph = Graph::new(&units);
    let recurses = graph.names.iter().any(|name| name.contains(DEEP));
    let kept = if recurses {
        make_room(binaries, &units, graph.between_looks()?)?;
        Some(graph.tree())
    } else {
        graph.smaller()
    };
    if let Some(kept) = kept {
        reduce_calls(binaries, &units, &kept);
    }
    Ok(())
}

/// Adds so many bytes to the frame of `vv_room`.
fn make_room(binaries: &mut [Vec<u8>], units: &[Unit], more: u64) -> Result<()> {
    let mut any = false;
    for (binary, unit) in binaries.iter_mut().zip(units) {
        for frame in unit.frames.iter().filter(|frame| unit.name(frame.symbol).contains(ROOM)) {
            let bytes = u32::try_from(frame.bytes + more).unwrap_or(u32::MAX);
            binary[frame.at..frame.at + 4].copy_from_slice(&bytes.to_le_bytes());
            any = true;
        }
    }
    let log = || "functions recurse, and there is no room for them on the stack".into();
    any.then_some(()).ok_or_else(|| Error::Compile { log: log() })
}

/// Leaves only these calls in the call lists.
fn reduce_calls(binaries: &mut [Vec<u8>], units: &[Unit], kept: &HashSet<(&str, &str)>) {
    for (binary, unit) in binaries.iter_mut().zip(units) {
        let Some(list) = &unit.list else { continue };
        let mut seen = HashSet::new();
        let mut bytes = list.at..;
        for (entry, call) in &list.calls {
            // An entry that is not a call describes the whole unit.
            if call.is_none_or(|call| kept.contains(&(unit.name(call.0), unit.name(call.1))) && seen.insert(call)) {
                let at = bytes.start;
                binary[at..at + PAIR].copy_from_slice(entry);
                bytes.start += PAIR;
            }
        }
        let size = (bytes.start - list.at) as u64;
        binary[list.size_at..list.size_at + 8].copy_from_slice(&size.to_le_bytes());
    }
}

fn read(binaries: &[Vec<u8>]) -> object::Result<Vec<Unit>> {
    binaries.iter().enumerate().map(|(number, binary)| Unit::read(number, binary)).collect()
}

/// The bytes of an entry of a call list.
type Pair = [u8; PAIR];
const PAIR: usize = 8;

/// What a unit's binary says about its functions.
#[derive(Default)]
struct Unit {
    /// Names of symbols; local symbols are prefixed with the unit's number, so that they are unique in the program.
    names: Vec<String>,
    frames: Vec<Frame>,
    entries: Vec<usize>,
    list: Option<List>,
    /// Bytes of jump tables.
    tables: u64,
}

/// A function's stack frame.
struct Frame {
    symbol: usize,
    bytes: u64,
    /// Where the file says so.
    at: usize,
}

/// A unit's call list.
struct List {
    /// Its offset in the file.
    at: usize,
    /// The offset of its size in the file.
    size_at: usize,
    calls: Vec<(Pair, Option<(usize, usize)>)>,
}

impl Unit {
    fn read(number: usize, binary: &[u8]) -> object::Result<Self> {
        let file = ElfFile64::<LittleEndian>::parse(binary)?;
        let mut unit = Self::default();
        for index in 0..=file.symbols().map(|symbol| symbol.index().0).max().unwrap_or(0) {
            let symbol = file.symbol_by_index(SymbolIndex(index)).ok();
            let name = symbol.as_ref().and_then(|symbol| symbol.name().ok()).unwrap_or_default();
            let local = symbol.as_ref().is_none_or(|symbol| symbol.is_local());
            unit.names.push(if local { format!("{number} {index} {name}") } else { name.to_owned() });
            if let Some(SymbolFlags::Elf { st_other, .. }) = symbol.map(|symbol| symbol.flags())
                && st_other.0 & ENTRY != 0
            {
                unit.entries.push(index);
            }
        }
        for Attribute { kind, symbol, value, at } in attributes(&file)? {
            if kind == FRAME && symbol < unit.names.len() {
                unit.frames.push(Frame { symbol, bytes: value.into(), at });
            }
        }
        let tables =
            file.sections().filter(|section| section.name().is_ok_and(|name| name.starts_with(TABLES_SECTION)));
        unit.tables = tables.map(|section| section.size()).sum();
        if let Some(section) = file.section_by_name(".nv.callgraph")
            && let Some((at, _)) = section.file_range()
        {
            let word = |bytes: &[u8]| bytes.try_into().map_or(0, i32::from_le_bytes);
            let symbol = |number: i32| usize::try_from(number).ok().filter(|n| (1..unit.names.len()).contains(n));
            let calls = section.data()?.as_chunks::<PAIR>().0.iter();
            let calls = calls.map(|entry| (*entry, symbol(word(&entry[..4])).zip(symbol(word(&entry[4..])))));
            // `sh_size` is at offset 32 of a section header of 64 bytes.
            let headers = file.elf_header().e_shoff(LittleEndian) as usize;
            let size_at = headers + 64 * section.index().0 + 32;
            unit.list = Some(List { at: at as usize, size_at, calls: calls.collect() });
        }
        Ok(unit)
    }
    fn name(&self, symbol: usize) -> &str {
        &self.names[symbol]
    }
}

/// What `.nv.info` says about a function.
pub struct Attribute {
    pub kind: u8,
    pub symbol: usize,
    pub value: u32,
    /// The value's offset in the file.
    pub at: usize,
}

/// The entries of `.nv.info` about functions. An entry is a format, a kind and a size, followed by that many bytes.
pub fn attributes(file: &ElfFile64<'_, LittleEndian>) -> object::Result<Vec<Attribute>> {
    const SIZED: u8 = 4;
    let Some(section) = file.section_by_name(".nv.info") else { return Ok(Vec::new()) };
    let data = section.data()?;
    let begins = section.file_range().map_or(0, |(at, _)| at as usize);
    let (mut rest, mut found) = (data, Vec::new());
    while let Some(([format, kind, low, high], after)) = rest.split_first_chunk() {
        let size = if *format == SIZED { usize::from(u16::from_le_bytes([*low, *high])) } else { 0 };
        let at = begins + data.len() - after.len() + 4;
        let Some((value, after)) = after.split_at_checked(size) else { break };
        if let Some((symbol, value)) = value.split_first_chunk()
            && let Some(value) = value.first_chunk()
        {
            let (symbol, value) = (u32::from_le_bytes(*symbol) as usize, u32::from_le_bytes(*value));
            found.push(Attribute { kind: *kind, symbol, value, at });
        }
        rest = after;
    }
    Ok(found)
}

/// The call graph of all units. Functions are numbered.
struct Graph<'a> {
    names: Vec<&'a str>,
    calls: Vec<Vec<usize>>,
    frames: Vec<u64>,
    entries: Vec<usize>,
}

impl<'a> Graph<'a> {
    fn new(units: &'a [Unit]) -> Self {
        let mut numbers = HashMap::new();
        let mut graph = Self { names: Vec::new(), calls: Vec::new(), frames: Vec::new(), entries: Vec::new() };
        for unit in units {
            let mut number = |graph: &mut Self, symbol: usize| {
                let name = unit.name(symbol);
                *numbers.entry(name).or_insert_with(|| {
                    graph.names.push(name);
                    graph.calls.push(Vec::new());
                    graph.frames.push(0);
                    graph.names.len() - 1
                })
            };
            for frame in &unit.frames {
                let function = number(&mut graph, frame.symbol);
                graph.frames[function] = frame.bytes;
            }
            for symbol in &unit.entries {
                let function = number(&mut graph, *symbol);
                graph.entries.push(function);
            }
            for (from, to) in unit.list.iter().flat_map(|list| &list.calls).filter_map(|(_, call)| *call) {
                let (from, to) = (number(&mut graph, from), number(&mut graph, to));
                graph.calls[from].push(to);
            }
        }
        graph
    }

    /// The most bytes of stack between two functions that look how deep it is, or between the kernel and the first,
    /// with the frames of both: those that call `vv_deep`.
    fn between_looks(&self) -> Result<u64> {
        let ends = |callee: &usize| self.names[*callee].contains(DEEP);
        let looks: Vec<bool> = self.calls.iter().map(|calls| calls.iter().any(ends)).collect();
        let mut below: Vec<Option<u64>> = vec![None; self.names.len()];
        let mut open = vec![false; self.names.len()];
        for root in 0..self.names.len() {
            let mut work = vec![(root, 0)];
            while let Some((function, next)) = work.pop() {
                open[function] = true;
                match self.calls[function].get(next) {
                    Some(callee) => {
                        work.push((function, next + 1));
                        match (looks[*callee], below[*callee]) {
                            (false, None) if open[*callee] => {
                                let log =
                                    format!("{} recurses and does not look how deep the stack is", self.names[*callee]);
                                return Err(Error::Compile { log });
                            }
                            (false, None) => work.push((*callee, 0)),
                            _ => {}
                        }
                    }
                    None => {
                        let callees = self.calls[function].iter();
                        let of = |callee: &usize| {
                            if looks[*callee] { self.frames[*callee] } else { below[*callee].unwrap_or(0) }
                        };
                        let own = if self.names[function].contains(ROOM) { 0 } else { self.frames[function] };
                        below[function] = Some(own + callees.map(of).max().unwrap_or(0));
                    }
                }
            }
        }
        Ok(below.into_iter().flatten().max().unwrap_or(0))
    }

    /// The calls to keep, or `None` if all calls stay.
    fn smaller(&self) -> Option<HashSet<(&'a str, &'a str)>> {
        let (paths, deepest) = self.paths()?;
        let many = self.entries.iter().any(|entry| paths[*entry] > MAX_PATHS);
        many.then(|| self.tree_with(&deepest))
    }

    /// The calls of a tree.
    fn tree(&self) -> HashSet<(&'a str, &'a str)> {
        self.tree_with(&vec![None; self.names.len()])
    }

    /// The calls of a tree with these ones on the way down from an entry.
    fn tree_with(&self, deepest: &[Option<usize>]) -> HashSet<(&'a str, &'a str)> {
        let mut kept = HashSet::new();
        for entry in &self.entries {
            let (mut seen, mut todo) = (HashSet::from([*entry]), VecDeque::from([*entry]));
            let mut add = |from: usize, to: usize, todo: &mut VecDeque<usize>| {
                if seen.insert(to) {
                    kept.insert((self.names[from], self.names[to]));
                    todo.push_back(to);
                }
            };
            let mut at = *entry;
            while let Some(next) = deepest[at] {
                add(at, next, &mut todo);
                at = next;
            }
            while let Some(from) = todo.pop_front() {
                self.calls[from].iter().for_each(|to| add(from, *to, &mut todo));
            }
        }
        kept
    }

    /// For each function the number of paths that begin with it, and its callee with the deepest stack; `None` if there
    /// is recursion, where the linker stops walking.
    fn paths(&self) -> Option<(Vec<u64>, Vec<Option<usize>>)> {
        let n = self.names.len();
        let (mut paths, mut stacks, mut deepest) = (vec![0u64; n], vec![0u64; n], vec![None; n]);
        let mut open = vec![false; n];
        for root in 0..n {
            let mut work = vec![(root, 0)];
            while let Some((function, next)) = work.pop() {
                if paths[function] > 0 {
                    continue;
                }
                open[function] = true;
                if let Some(callee) = self.calls[function].get(next) {
                    work.push((function, next + 1));
                    if open[*callee] && paths[*callee] == 0 {
                        return None;
                    }
                    work.push((*callee, 0));
                    continue;
                }
                let callees = &self.calls[function];
                paths[function] = callees.iter().fold(1, |sum, callee| sum.saturating_add(paths[*callee]));
                deepest[function] = callees.iter().copied().max_by_key(|callee| stacks[*callee]);
                stacks[function] = self.frames[function] + deepest[function].map_or(0, |callee| stacks[callee]);
            }
        }
        Some((paths, deepest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 40 levels of two functions that both call both of the next level: 2^40 paths. Needs NVRTC, but no device.
    #[test]
    fn many_paths_become_a_tree() {
        let nvrtc = match crate::nvrtc::nvrtc() {
            Ok(nvrtc) => nvrtc,
            Err(error) => return println!("skipped: {error}"),
        };
        const LEVELS: u32 = 40;
        let head = |level: u32, one: char| format!("__device__ unsigned {one}{level}(unsigned x)");
        let header: String = (0..=LEVELS).flat_map(|l| ['a', 'b'].map(|one| head(l, one) + ";\n")).collect();
        let body = |level: u32, one: char| match level {
            LEVELS => format!("{} {{ return x + '{one}'; }}\n", head(level, one)),
            _ => format!("{0} {{ return a{1}(x) * 3 + b{1}(x ^ {level}); }}\n", head(level, one), level + 1),
        };
        let mut texts: Vec<String> =
            (0..=LEVELS).map(|level| header.clone() + &body(level, 'a') + &body(level, 'b')).collect();
        texts.push(header + "extern \"C\" __global__ void k(unsigned *x) { x[0] = a0(x[0]) + b0(x[1]); }");
        let mut options = crate::options(false, "--gpu-architecture=sm_90".into());
        options.push("--relocatable-device-code=true".into());
        let mut binaries = nvrtc.compiler.compile(&texts, &options, &|| Ok(()), &mut |_, _| ()).expect("they compile");

        let (sizes, units) = (binaries.iter().map(Vec::len).collect::<Vec<_>>(), read(&binaries).expect("units"));
        let graph = Graph::new(&units);
        let (paths, _) = graph.paths().expect("no recursion");
        assert_eq!((graph.names.len(), paths[graph.entries[0]]), (2 * LEVELS as usize + 3, (1 << (LEVELS + 2)) - 1));
        assert_eq!(graph.calls.iter().map(Vec::len).sum::<usize>(), 4 * LEVELS as usize + 2);

        prepare(&mut binaries).expect("no tables");
        assert_eq!(sizes, binaries.iter().map(Vec::len).collect::<Vec<_>>());
        let units = read(&binaries).expect("units");
        let graph = Graph::new(&units);
        let (paths, _) = graph.paths().expect("no recursion");
        // Every function is still reached, once.
        assert_eq!(paths[graph.entries[0]], 2 * u64::from(LEVELS) + 3);
        assert!(graph.smaller().is_none(), "few paths stay as they are");
    }

    /// Needs NVRTC, but no device.
    #[test]
    fn recursion_gets_room_and_becomes_a_tree() {
        let nvrtc = match crate::nvrtc::nvrtc() {
            Ok(nvrtc) => nvrtc,
            Err(error) => return println!("skipped: {error}"),
        };
        let header = "struct VM { unsigned zero, code; };\n#define FN __device__ __noinline__\nFN void vv_deep(VM *vm);\n\
                      FN unsigned even(VM *vm, unsigned n);\nFN unsigned odd(VM *vm, unsigned n);\n";
        // A frame of some 400 bytes lies between two looks.
        let odd = "FN unsigned odd(VM *vm, unsigned n) { volatile unsigned a[100]; a[n % 100] = n; \
                   return even(vm, n - 1) + a[vm->zero]; }\n";
        let even = |looks| {
            format!(
                "FN unsigned even(VM *vm, unsigned n) {{ {looks} return n ? odd(vm, n - 1) * 3 + vm->code : 1; }}\n"
            )
        };
        let kernel = "FN void vv_deep(VM *vm) { vm->code = 7; }\n\
                      FN void vv_room(VM *vm) { volatile unsigned a[1024]; a[vm->zero] = 1; vm->code = a[vm->code]; }\n\
                      extern \"C\" __global__ void k(VM *vm) { if (vm->zero) vv_room(vm); vm->code = even(vm, vm->code); }\n";
        let mut options = crate::options(false, "--gpu-architecture=sm_90".into());
        options.push("--relocatable-device-code=true".into());
        let compile = |even: String| {
            let texts = [even.as_str(), odd, kernel].map(|unit| [header, unit].concat());
            nvrtc.compiler.compile(&texts, &options, &|| Ok(()), &mut |_, _| ()).expect("they compile")
        };
        // What the kernel enters there, the clone perhaps.
        let room = |binaries: &[Vec<u8>]| {
            let units = read(binaries).expect("units");
            let graph = Graph::new(&units);
            let called = graph.calls[graph.entries[0]].iter().find(|callee| graph.names[**callee].contains(ROOM));
            (graph.frames[*called.expect("the kernel calls it")], graph.paths().is_some())
        };
        let mut binaries = compile(even("if (n > 1000000) { vv_deep(vm); return 0; }"));
        let (before, tree) = room(&binaries);
        assert!((4096..4200).contains(&before) && !tree, "{before}");
        prepare(&mut binaries).expect("there is room");
        let (after, tree) = room(&binaries);
        assert!((400..600).contains(&(after - before)) && tree, "{before} {after}");
        let refused = prepare(&mut compile(even("if (n > 1000000) return 0;") + "FN void f(VM *vm) { vv_deep(vm); }"));
        assert!(matches!(&refused, Err(Error::Compile { log }) if log.contains("does not look")), "{refused:?}");
    }

    /// A switch of 14 cases that are not constants becomes a tree whose leaves are jump tables.
    #[test]
    fn jump_tables_are_counted() {
        let nvrtc = match crate::nvrtc::nvrtc() {
            Ok(nvrtc) => nvrtc,
            Err(error) => return println!("skipped: {error}"),
        };
        let cases: String = (0..14).map(|n| format!("case {n}: x[{n}] = x[x[{n}]]; return {};", n * n % 5)).collect();
        let text = |name: &str| {
            format!(
                "extern \"C\" __device__ unsigned {name}(unsigned *x, unsigned s) {{ switch (s) {{ {cases} }} return 7; }}"
            )
        };
        let mut options = crate::options(false, "--gpu-architecture=sm_90".into());
        options.push("--relocatable-device-code=true".into());
        let compile = |texts: &[String]| nvrtc.compiler.compile(texts, &options, &|| Ok(()), &mut |_, _| ());
        let binary = compile(&[text("f")]).expect("it compiles");
        let one = read(&binary).expect("a unit")[0].tables;
        assert!(one > 0, "{one}");
        let mut many = vec![binary[0].clone(); (MAX_TABLES / one) as usize];
        prepare(&mut many).expect("they fit");
        many.push(binary[0].clone());
        let refused = prepare(&mut many);
        assert!(matches!(&refused, Err(Error::Compile { log }) if log.contains("jump tables take")), "{refused:?}");
    }
}
