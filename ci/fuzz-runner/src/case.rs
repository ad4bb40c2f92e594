//! A case (a module and the calls of each VM) and the options of its program; both as the text of a file too.

use std::collections::BTreeSet;
use std::fmt::Write;
use vectorvisor::translate::wasm::Module;
use vectorvisor::{Alignment, Bounds, CachePolicy, FleetOptions, Opt, ProgramOptions, TrapKind, Traps, ValType, Value};

/// The export that returns a hash of the module's memory, and its globals.
pub const STATE: &str = "state";

/// Fuel of a call, in case shrinking removes a module's own limit.
const FUEL: u64 = 1 << 22;

/// The options of a program.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    pub exact: bool,
    pub capacity: bool,
    pub interpret: bool,
    pub framed: bool,
    pub divide: Option<u32>,
    pub lanes: u32,
    pub interleave: u32,
    pub stack: u32,
    /// Optimisations that are disabled.
    pub without: BTreeSet<Opt>,
    /// Optimisations that are enabled although they are off by default.
    pub with: BTreeSet<Opt>,
    /// Its modules are linked; otherwise the program is one module as it is.
    pub linked: bool,
    /// Alignment hints are assumed to hold. A fleet runs the program, because it reruns a VM that breaks a hint, and
    /// each call is one of a fresh VM.
    pub natural: bool,
}

/// A call of an exported function.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub export: String,
    pub args: Vec<Value>,
}

/// A module and what is called in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    pub wasm: Vec<u8>,
    /// Lists of calls: VM `v` takes list `v % lists`.
    pub calls: Vec<Vec<Request>>,
}

/// How instantiation or a call ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Values(Vec<Value>),
    Trap(TrapKind),
    /// In a way that no generated module should end.
    Other(String),
}

impl Setup {
    /// The number of VMs: one more than a tile has lanes.
    pub fn vms(&self) -> usize {
        self.lanes as usize + 1
    }

    pub fn program(&self) -> ProgramOptions {
        ProgramOptions {
            lanes: Some(self.lanes),
            interleave: Some(self.interleave),
            heap: Some(1 << 20),
            stack: Some(self.stack),
            traps: if self.exact { Traps::Exact } else { Traps::Sticky },
            bounds: if self.capacity { Bounds::Capacity } else { Bounds::Size },
            // `Instances` needs `Any`.
            alignment: Some(if self.natural { Alignment::Natural } else { Alignment::Any }),
            without: self.without.clone(),
            with: self.with.clone(),
            linked: self.linked,
            divide: self.divide,
            interpret: self.interpret,
            force_framed: self.framed,
            cache: CachePolicy::Off,
            ..ProgramOptions::default()
        }
    }

    pub fn fleet() -> FleetOptions {
        FleetOptions { fuel: Some(FUEL), out_capacity: Some(64), seed: Some(1), ..FleetOptions::default() }
    }

    /// As command-line options.
    pub fn text(&self) -> String {
        let mut text = format!("--lanes {} --interleave {} --stack {}", self.lanes, self.interleave, self.stack);
        for (set, word) in [
            (self.exact, " --traps exact"),
            (self.capacity, " --bounds capacity"),
            (self.interpret, " --interpret"),
            (self.framed, " --force-framed"),
            (self.linked, " --linked"),
            (self.natural, " --alignment natural"),
        ] {
            text.push_str(if set { word } else { "" });
        }
        if let Some(most) = self.divide {
            let _ = write!(text, " --divide {most}");
        }
        for (word, set) in [("without", &self.without), ("opt", &self.with)] {
            for (name, _) in Opt::ALL.iter().filter(|(_, opt)| set.contains(opt)) {
                let _ = write!(text, " --{word} {name}");
            }
        }
        text
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut setup = Self {
            exact: false,
            capacity: false,
            interpret: false,
            framed: false,
            divide: None,
            lanes: 32,
            interleave: 8,
            stack: 65536,
            without: BTreeSet::new(),
            with: BTreeSet::new(),
            linked: false,
            natural: false,
        };
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            let number = |text: &str| text.parse::<u32>().map_err(|_| format!("{text:?} is no number"));
            match word {
                "--lanes" => setup.lanes = number(value()?)?,
                "--interleave" => setup.interleave = number(value()?)?,
                "--stack" => setup.stack = number(value()?)?,
                "--alignment" => setup.natural = value()? == "natural",
                "--traps" => setup.exact = value()? == "exact",
                "--bounds" => setup.capacity = value()? == "capacity",
                "--without" | "--opt" => {
                    let name = value()?;
                    let opt = Opt::ALL.iter().find(|(known, _)| *known == name);
                    let set = if word == "--opt" { &mut setup.with } else { &mut setup.without };
                    set.insert(opt.ok_or(format!("there is no optimisation {name:?}"))?.1);
                }
                "--divide" => setup.divide = Some(number(value()?)?),
                "--interpret" => setup.interpret = true,
                "--force-framed" => setup.framed = true,
                "--linked" => setup.linked = true,
                other => return Err(format!("there is no option {other:?}")),
            }
        }
        Ok(setup)
    }
}

impl Case {
    /// The calls of a VM.
    pub fn calls(&self, vm: usize) -> &[Request] {
        &self.calls[vm % self.calls.len()]
    }

    /// The text of a file: options and calls as comments, then the module.
    pub fn text(&self, setup: &Setup, remark: &str) -> String {
        let mut text = String::new();
        for line in remark.lines() {
            let _ = writeln!(text, ";; {line}");
        }
        let _ = writeln!(text, ";; options: {}", setup.text());
        for calls in &self.calls {
            let calls: Vec<String> = calls.iter().map(Request::text).collect();
            let _ = writeln!(text, ";; calls: {}", calls.join(" "));
        }
        let module = wasmprinter::print_bytes(&self.wasm).unwrap_or_else(|e| format!(";; it cannot be printed: {e}"));
        text + &module
    }

    /// Reads the text of a file.
    pub fn parse(text: &str) -> Result<(Setup, Self), String> {
        let headed = |head: &'static str| text.lines().filter_map(move |line| line.strip_prefix(head));
        let setup = Setup::parse(headed(";; options:").next().ok_or("it has no line of options")?)?;
        let calls: Result<Vec<Vec<Request>>, String> =
            headed(";; calls:").map(|line| line.split_whitespace().map(Request::parse).collect()).collect();
        let wasm = vectorvisor::to_wasm(text.as_bytes()).map_err(|e| e.to_string())?.into_owned();
        match calls? {
            calls if calls.is_empty() => Err("it has no line of calls".into()),
            calls => Ok((setup, Self { wasm, calls })),
        }
    }

    /// The same calls with another module; `None` if it lacks a function that is called.
    pub fn with(&self, wasm: &[u8]) -> Option<Self> {
        let module = Module::decode(wasm, false).ok()?;
        let there = |request: &Request| {
            let export = module.exports.iter().find(|(name, _)| *name == request.export);
            export.is_some_and(|(_, f)| {
                module.signature(*f).params.iter().copied().eq(request.args.iter().map(|v| v.ty()))
            })
        };
        let all = self.calls.iter().flatten().all(there);
        all.then(|| Self { wasm: wasm.to_vec(), calls: self.calls.clone() })
    }
}

impl Request {
    fn text(&self) -> String {
        let args: Vec<String> = self.args.iter().map(value).collect();
        format!("{}({})", self.export, args.join(","))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no call, such as f(i32:0x1,f64:0x0)");
        let (export, args) = text.strip_suffix(')').and_then(|t| t.split_once('(')).ok_or_else(wrong)?;
        let args = args.split(',').filter(|arg| !arg.is_empty()).map(|arg| {
            let (ty, bits) = arg.split_once(":0x").ok_or_else(wrong)?;
            let bits = u64::from_str_radix(bits, 16).map_err(|_| wrong())?;
            let types = [("i32", ValType::I32), ("i64", ValType::I64), ("f32", ValType::F32), ("f64", ValType::F64)];
            types.iter().find(|(name, _)| *name == ty).map(|(_, ty)| of_bits(*ty, bits)).ok_or_else(wrong)
        });
        Ok(Self { export: export.into(), args: args.collect::<Result<_, String>>()? })
    }
}

/// A value from its bits, the low ones.
pub fn of_bits(ty: ValType, bits: u64) -> Value {
    match ty {
        ValType::I32 => Value::I32(bits as i32),
        ValType::I64 => Value::I64(bits as i64),
        ValType::F32 => Value::F32(bits as u32),
        ValType::F64 => Value::F64(bits),
    }
}

fn value(value: &Value) -> String {
    match *value {
        Value::I32(v) => format!("i32:{v:#x}"),
        Value::I64(v) => format!("i64:{v:#x}"),
        Value::F32(bits) => format!("f32:{bits:#x}"),
        Value::F64(bits) => format!("f64:{bits:#x}"),
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Values(values) => write!(f, "({})", values.iter().map(value).collect::<Vec<_>>().join(",")),
            Self::Trap(kind) => write!(f, "trap: {}", kind.text()),
            Self::Other(text) => f.write_str(text),
        }
    }
}
