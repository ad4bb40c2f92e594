//! Plans a script: which modules are linked into one program, and the steps of each program in order.
//!
//! A script's arguments are constants, so the plan can be made before anything runs. Modules that share state become
//! one program, with an entry for each instantiation. Many small modules that share nothing become one too, because
//! each program costs a run of the compiler. A module that imports nothing and whose globals are not read is a program
//! as it is.

use crate::script::{Action, Command, Directive, Expect};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use vectorvisor::Value;
use vectorvisor::translate::Error;
use vectorvisor::translate::link::{Instance, LinkError, Linker};
use vectorvisor::translate::wasm::{Module, validate};
use wasmparser::{Validator, WasmFeatures};

/// The part of the suite's host module that has no state.
const SPECTEST: &str = r#"(module
  (global (export "global_i32") i32 (i32.const 666))
  (global (export "global_i64") i64 (i64.const 666))
  (global (export "global_f32") f32 (f32.const 666.6))
  (global (export "global_f64") f64 (f64.const 666.6))
  (func (export "print"))
  (func (export "print_i32") (param i32))
  (func (export "print_i64") (param i64))
  (func (export "print_f32") (param f32))
  (func (export "print_f64") (param f64))
  (func (export "print_i32_f32") (param i32 f32))
  (func (export "print_f64_f64") (param f64 f64)))"#;
/// The part of the suite's host module that has state.
const SPECTEST_STATE: &str = r#"(module
  (table (export "table") 10 20 funcref)
  (memory (export "memory") 1 2))"#;

/// How many small modules are linked into one program.
const BATCH: usize = 64;

/// Verdicts by the directives' indices; the reason if one failed.
pub type Verdicts = BTreeMap<usize, Result<(), String>>;

/// A script, ready to run.
pub struct Plan {
    /// The verdicts that are known without running anything.
    pub verdicts: Verdicts,
    /// Directives that need what is not supported, with the reason.
    pub skipped: BTreeMap<usize, String>,
    pub programs: Vec<Program>,
}

/// A program and what each of its VMs does.
pub struct Program {
    pub wasm: Vec<u8>,
    pub steps: Vec<Step>,
}

/// One instantiation or call.
pub struct Step {
    /// Index of the directive.
    pub directive: usize,
    /// The export to call; `None` instantiates a program that was not linked.
    pub entry: Option<String>,
    pub args: Vec<Value>,
    pub expect: Expect,
}

/// A step whose program is not known yet.
struct Planned {
    directive: usize,
    instance: Instance,
    /// `None` instantiates.
    action: Option<Action>,
    expect: Expect,
}

/// Modules that will be one program.
#[derive(Default)]
struct Group {
    instances: BTreeSet<Instance>,
    steps: Vec<Planned>,
    /// It goes through the linker even if it is one module.
    link: bool,
    /// Has memory or tables.
    store: bool,
    /// The directive of its first module, to sort by.
    first: usize,
}

impl Group {
    fn only_instantiates(&self) -> bool {
        self.steps.iter().all(|d| d.action.is_none() && matches!(d.expect, Expect::Returns))
    }
}

/// What a module's name refers to.
#[derive(Clone, Copy)]
enum Lookup {
    Instance(Instance),
    /// A module that needs something unsupported.
    Skipped,
    Missing,
}

struct Planner<'a> {
    linker: Linker<'a>,
    wasm: HashMap<Instance, &'a [u8]>,
    host: BTreeSet<Instance>,
    state: Instance,
    names: HashMap<String, Lookup>,
    defined: HashMap<String, &'a [u8]>,
    last_defined: Option<&'a [u8]>,
    current: Lookup,
    steps: Vec<Planned>,
    instances: Vec<(usize, Instance)>,
    plan: Plan,
}

/// The two parts of the host module, in binary form.
pub struct Host(Vec<u8>, Vec<u8>);

impl Host {
    pub fn new() -> Result<Self, String> {
        let wasm =
            |text: &str| vectorvisor::to_wasm(text.as_bytes()).map(|b| b.into_owned()).map_err(|e| e.to_string());
        Ok(Self(wasm(SPECTEST)?, wasm(SPECTEST_STATE)?))
    }
}

/// Whether some proposal makes a module valid.
fn valid_somewhere(wasm: &[u8]) -> bool {
    Validator::new_with_features(WasmFeatures::all()).validate_all(wasm).is_ok()
}

/// Plans a script.
pub fn plan(script: &[Directive], host: &Host) -> Result<Plan, String> {
    let mut linker = Linker::default();
    let plain = linker.add(&host.0).map_err(|e| e.to_string())?;
    let state = linker.add(&host.1).map_err(|e| e.to_string())?;
    linker.register("spectest", &[plain, state]);
    let mut planner = Planner {
        linker,
        wasm: HashMap::new(),
        host: [plain].into(),
        state,
        names: HashMap::new(),
        defined: HashMap::new(),
        last_defined: None,
        current: Lookup::Missing,
        steps: Vec::new(),
        instances: Vec::new(),
        plan: Plan { verdicts: BTreeMap::new(), skipped: BTreeMap::new(), programs: Vec::new() },
    };
    for (i, directive) in script.iter().enumerate() {
        planner.directive(i, &directive.command);
    }
    planner.programs()
}

impl<'a> Planner<'a> {
    fn verdict(&mut self, directive: usize, verdict: Result<(), String>) {
        self.plan.verdicts.insert(directive, verdict);
    }

    fn directive(&mut self, i: usize, what: &'a Command) {
        match what {
            Command::Module { name, wasm } => {
                let wasm = wasm.as_ref().map(Vec::as_slice).map_err(Clone::clone);
                self.module(i, name, wasm, Expect::Returns);
            }
            Command::Define { name, wasm } => {
                let verdict = wasm.clone().and_then(|wasm| validate(&wasm).map_err(|e| e.to_string()));
                self.last_defined = wasm.as_ref().ok().map(Vec::as_slice);
                if let (Some(name), Ok(wasm)) = (name, wasm) {
                    self.defined.insert(name.clone(), wasm);
                }
                self.verdict(i, verdict);
            }
            Command::Instance { name, module } => {
                let wasm = match module {
                    Some(module) => self.defined.get(module).copied(),
                    None => self.last_defined,
                };
                self.module(i, name, wasm.ok_or_else(|| "there is no such module".into()), Expect::Returns);
            }
            Command::Register { name, module } => match self.find(module) {
                Lookup::Instance(instance) => {
                    self.linker.register(name, &[instance]);
                    self.verdict(i, Ok(()));
                }
                missing => self.missing(i, missing),
            },
            Command::Refused { wasm } => {
                let accepted = wasm.as_ref().is_ok_and(|wasm| validate(wasm).is_ok());
                self.verdict(i, if accepted { Err("it was accepted".into()) } else { Ok(()) });
            }
            // Since the bulk memory proposal this is a trap during instantiation.
            Command::Unlinkable { message, .. } if message.ends_with("segment does not fit") => {
                self.skip(i, "an assertion that later versions of the spec contradict");
            }
            Command::Unlinkable { wasm, message } => {
                let verdict = match wasm {
                    Err(error) => Err(error.clone()),
                    Ok(wasm) => match self.linker.add(wasm) {
                        Err(error @ (LinkError::Unknown { .. } | LinkError::Incompatible { .. }))
                            if error.to_string().starts_with(message) =>
                        {
                            Ok(())
                        }
                        Err(error) => Err(format!("{error}, not {message:?}")),
                        Ok(_) => Err(format!("it was linked, not {message:?}")),
                    },
                };
                self.verdict(i, verdict);
            }
            Command::Traps { wasm, message } => {
                let (current, wasm) = (self.current, wasm.as_ref().map(Vec::as_slice).map_err(Clone::clone));
                self.module(i, &None, wasm, Expect::Trap(message.clone()));
                self.current = current;
            }
            Command::Action { action, expect } => match self.find(&action.module) {
                Lookup::Instance(instance) => {
                    let (action, expect) = (Some(action.clone()), expect.clone());
                    self.steps.push(Planned { directive: i, instance, action, expect });
                }
                missing => self.missing(i, missing),
            },
            Command::Unknown(reason) => self.skip(i, reason),
        }
    }

    fn skip(&mut self, directive: usize, reason: &str) {
        self.plan.skipped.insert(directive, reason.into());
    }

    fn missing(&mut self, directive: usize, found: Lookup) {
        match found {
            Lookup::Skipped => self.skip(directive, "a module that was skipped"),
            _ => self.verdict(directive, Err("the module that it uses was not instantiated".into())),
        }
    }

    fn find(&self, name: &Option<String>) -> Lookup {
        match name {
            Some(name) => self.names.get(name).copied().unwrap_or(Lookup::Missing),
            None => self.current,
        }
    }

    fn module(&mut self, i: usize, name: &Option<String>, wasm: Result<&'a [u8], String>, expect: Expect) {
        self.current = Lookup::Missing;
        match wasm.map(|wasm| (wasm, self.linker.add(wasm))) {
            Ok((wasm, Ok(instance))) => {
                self.current = Lookup::Instance(instance);
                self.wasm.insert(instance, wasm);
                self.instances.push((i, instance));
                self.steps.push(Planned { directive: i, instance, action: None, expect });
            }
            Ok((_, Err(LinkError::Module(Error::Limit(reason))))) => {
                self.current = Lookup::Skipped;
                self.skip(i, &reason);
            }
            Ok((wasm, Err(LinkError::Module(Error::Invalid { message, .. })))) if valid_somewhere(wasm) => {
                self.current = Lookup::Skipped;
                self.skip(i, &message);
            }
            Ok((_, Err(error))) => self.verdict(i, Err(error.to_string())),
            Err(error) => self.verdict(i, Err(error)),
        }
        if let Some(name) = name {
            self.names.insert(name.clone(), self.current);
        }
    }

    /// Everything that must be in one program, in the order of the script.
    fn groups(&mut self) -> Vec<Group> {
        let mut of: HashMap<Instance, usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        for (directive, instance) in &self.instances {
            let needs = self.linker.needs(*instance);
            let mut joined = Group { first: *directive, ..Group::default() };
            joined.instances.insert(*instance);
            joined.link = !needs.is_empty();
            for other in &needs {
                match of.get(other) {
                    // It joins that group; groups that it connects become one.
                    Some(group) => {
                        let group = std::mem::take(&mut groups[*group]);
                        joined.first =
                            if group.instances.is_empty() { joined.first } else { joined.first.min(group.first) };
                        joined.instances.extend(group.instances);
                        joined.link = true;
                    }
                    None => {
                        joined.instances.insert(*other);
                    }
                }
            }
            for instance in &joined.instances {
                if !self.host.contains(instance) {
                    of.insert(*instance, groups.len());
                }
            }
            groups.push(joined);
        }
        for planned in std::mem::take(&mut self.steps) {
            let group = &mut groups[of[&planned.instance]];
            group.link |= planned.action.as_ref().is_some_and(|a| a.args.is_none());
            group.steps.push(planned);
        }
        for group in &mut groups {
            group.store = group.instances.iter().any(|i| {
                *i == self.state
                    || self
                        .wasm
                        .get(i)
                        .and_then(|w| Module::decode(w, false).ok())
                        .is_none_or(|m| !m.memories.is_empty() || !m.tables.is_empty())
                        && !self.host.contains(i)
            });
        }
        groups.retain(|g| !g.instances.is_empty());
        groups.sort_by_key(|g| g.first);
        groups
    }

    fn programs(mut self) -> Result<Plan, String> {
        let (mut idle, mut small, mut rest) = (Group::default(), Group::default(), Vec::new());
        let join = |into: &mut Group, group: Group, rest: &mut Vec<Group>| {
            into.instances.extend(group.instances);
            into.steps.extend(group.steps);
            into.link = true;
            if into.instances.len() >= BATCH {
                rest.push(std::mem::take(into));
            }
        };
        for group in self.groups() {
            if group.only_instantiates() {
                join(&mut idle, group, &mut rest);
            } else if !group.store && group.steps.len() <= 8 {
                join(&mut small, group, &mut rest);
            } else {
                rest.push(group);
            }
        }
        rest.extend([idle, small].into_iter().filter(|g| !g.instances.is_empty()));
        for mut group in rest {
            group.steps.sort_by_key(|d| d.directive);
            let program = self.program(group)?;
            self.plan.programs.push(program);
        }
        Ok(self.plan)
    }

    fn program(&self, group: Group) -> Result<Program, String> {
        let lone = group.instances.first().filter(|_| group.instances.len() == 1 && !group.link);
        let wasm = match lone {
            Some(instance) => self.wasm[instance].to_vec(),
            None => {
                let instances: Vec<Instance> = group.instances.iter().copied().collect();
                self.linker.link(&instances).map_err(|e| e.to_string())?
            }
        };
        let steps = group.steps.into_iter().map(|planned| {
            let (entry, args) = match planned.action {
                Some(action) if lone.is_some() => (Some(action.name), action.args),
                Some(action) => (Some(Linker::export(planned.instance, &action.name)), action.args),
                None if lone.is_some() => (None, None),
                None => (Some(Linker::instantiate(planned.instance)), None),
            };
            Step { directive: planned.directive, entry, args: args.unwrap_or_default(), expect: planned.expect }
        });
        Ok(Program { wasm, steps: steps.collect() })
    }
}
