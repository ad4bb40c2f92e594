//! Instances: VMs whose memory, tables and globals last from one call to the next.

use super::gather::Piece;
use super::group::{Common, Group, Start};
use super::job::{Job, State};
use super::key::{self, StreamKey, key_of};
use super::settle::{decode, message, place, returned};
use super::{allocate, common, now};
use crate::{End, Error, FleetOptions, Place, Program, Result, Trap, TrapKind, Traps, Value};
use std::fmt;
use vectorvisor_translate::abi::{Area, Status, Word};
use vectorvisor_translate::{Alignment, Entry};

/// Many instances of one program, in VMs side by side. Where a [`crate::Fleet`] gives each input a fresh VM, here the
/// caller says which exported function each VM calls next, and finds there what earlier calls left; also after a trap.
/// The functions may not make host calls that the host answers, nor write more output than a VM has room for.
///
/// ```no_run
/// # fn f(program: &vectorvisor::Program) -> vectorvisor::Result<()> {
/// use vectorvisor::{FleetOptions, Instances, Value};
/// let mut counters = Instances::new(program, 100, &FleetOptions::default())?;
/// counters.instantiate()?;
/// let arguments: Vec<Vec<Value>> = (0..100).map(|n| vec![Value::I32(n)]).collect();
/// counters.invoke("add", &arguments)?;
/// for (n, returned) in counters.invoke("get", &vec![Vec::new(); 100])?.into_iter().enumerate() {
///     assert_eq!(returned.values, [Value::I32(n as i32)]);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Instances {
    // Before `common`, whose buffers it uses until it is dropped.
    groups: Vec<Group>,
    common: Common,
    count: usize,
    seed: StreamKey,
}

/// What a VM calls.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// An exported function of the program.
    pub entry: &'a Entry,
    /// Its arguments; their types must be the entry's.
    pub args: &'a [Value],
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Returned {
    /// [`End::Exit`] with 0 if the function returned.
    pub end: End,
    /// What it returned.
    pub values: Vec<Value>,
}

impl fmt::Debug for Instances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instances").field("count", &self.count).field("program", &self.common.program).finish()
    }
}

impl Instances {
    /// Allocates memory for `count` instances; [`Self::instantiate`] then makes them.
    ///
    /// # Errors
    /// There is no room for them, or an option makes no sense.
    pub fn new(program: &Program, count: u32, options: &FleetOptions) -> Result<Self> {
        // What instances have done cannot be done again.
        let natural = program.options().alignment == Some(Alignment::Natural);
        let common = common(&if natural { program.unaligned()? } else { program.clone() }, options)?;
        let options = FleetOptions { vms: Some(count), ..options.clone() };
        // What they have done cannot be done again with more frames.
        let (groups, _) = allocate(&common, &options, common.program.meta().plan.frames_limit, None)?;
        let seed = key::seed(options.seed)?;
        Ok(Self { groups, common, count: count as usize, seed })
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.common.program
    }

    /// Brings every VM to the program's first state and runs its start function and `_initialize`, if there are such.
    ///
    /// # Errors
    /// The device fails. A trap is what became of that instance.
    pub fn instantiate(&mut self) -> Result<Vec<Returned>> {
        let init = self.common.program.meta().init;
        let mut first = 0;
        for group in &mut self.groups {
            for vm in 0..group.vms {
                let job = Job::new(first + vm, Default::default(), key_of(&self.seed, first + vm));
                let start = Start { state: init.unwrap_or(0), message: Vec::new(), initialising: init.is_some() };
                group.place(&self.common, vm, job, start, now());
                if let (None, Some(slot)) = (init, &mut group.slots[vm]) {
                    // Nothing to run: the launch only resets.
                    slot.state = State::Ready(Status::Idle);
                }
            }
            first += group.vms;
        }
        let ready = vec![true; self.count];
        let nothing = vec![None; self.count];
        let ended = self.run(&ready, &nothing)?;
        Ok(ended.into_iter().flatten().collect())
    }

    /// Calls a function in each VM at once, or none in it. VM `i` makes the `i`-th call.
    ///
    /// # Errors
    /// An argument has another type than its parameter, there are more calls than VMs, or the device fails. Traps are
    /// what became of that call.
    pub fn call(&mut self, calls: &[Option<Call<'_>>]) -> Result<Vec<Option<Returned>>> {
        if calls.len() > self.count {
            return Err(Error::Option(format!("{} calls for {} instances", calls.len(), self.count)));
        }
        let mut ready = vec![false; self.count];
        let mut entries = vec![None; self.count];
        for (i, call) in calls.iter().enumerate() {
            let Some(Call { entry, args }) = call else { continue };
            if !args.iter().map(|v| v.ty()).eq(entry.params.iter().copied()) {
                return Err(Error::Option(format!("{:?} takes {:?}, not {args:?}", entry.name, entry.params)));
            }
            let (g, vm) = self.locate(i);
            let group = &mut self.groups[g];
            let Some(slot) = &mut group.slots[vm] else {
                return Err(Error::Option("the instances are not instantiated".into()));
            };
            slot.message = message(args);
            slot.state = State::Ready(Status::Start);
            slot.initialising = false;
            slot.job.spent = 0;
            slot.refuel(&self.common, &mut group.words, vm);
            group.words.set(Word::Where, vm, u64::MAX);
            group.words.set(Word::State, vm, entry.state.into());
            group.words.set(Word::Out, vm, 0);
            ready[i] = true;
            entries[i] = Some(*entry);
        }
        self.run(&ready, &entries)
    }

    /// Calls the function of this name in every VM, with arguments of its own in each.
    ///
    /// # Errors
    /// There is no such function, and as for [`Self::call`].
    pub fn invoke(&mut self, name: &str, args: &[Vec<Value>]) -> Result<Vec<Returned>> {
        let program = self.common.program.clone();
        let entry = program.require(name)?;
        let calls: Vec<_> = args.iter().map(|args| Some(Call { entry, args })).collect();
        Ok(self.call(&calls)?.into_iter().flatten().collect())
    }

    /// The group of a VM, and its number there.
    fn locate(&self, mut vm: usize) -> (usize, usize) {
        for (g, group) in self.groups.iter().enumerate() {
            if vm < group.vms {
                return (g, vm);
            }
            vm -= group.vms;
        }
        (0, 0) // there are as many VMs as instances, and more
    }

    /// Launches the VMs that are ready until each has ended, and fetches what their entries returned.
    fn run(&mut self, ready: &[bool], entries: &[Option<&Entry>]) -> Result<Vec<Option<Returned>>> {
        let mut ends: Vec<Option<End>> = vec![None; self.count];
        let mut left: Vec<usize> = (0..self.count).filter(|i| ready[*i]).collect();
        while !left.is_empty() {
            let mut again = Vec::new();
            for g in 0..self.groups.len() {
                let here: Vec<(usize, usize)> = left
                    .iter()
                    .map(|i| (*i, self.locate(*i)))
                    .filter(|(_, at)| at.0 == g)
                    .map(|(i, at)| (i, at.1))
                    .collect();
                if here.is_empty() {
                    continue;
                }
                let group = &mut self.groups[g];
                group.launched = here.iter().map(|(_, vm)| *vm as u32).collect();
                // Buffers must not be touched while a launch that half failed may still use them.
                let submitted = group.submit(&self.common);
                let finished = group.finish();
                submitted?;
                finished?;
                for (i, vm) in here {
                    match self.end(g, vm)? {
                        Some(end) => ends[i] = Some(end),
                        None => again.push(i),
                    }
                }
            }
            left = again;
        }
        let values = self.values(&ends, entries)?;
        Ok(ends.into_iter().zip(values).map(|(end, values)| end.map(|end| Returned { end, values })).collect())
    }

    /// How a VM has ended; `None` if it goes on.
    fn end(&mut self, g: usize, vm: usize) -> Result<Option<End>> {
        let program = &self.common.program;
        let group = &mut self.groups[g];
        let at = place(program, group.words.get(Word::Where, vm));
        let (status, code) = decode(group.words.get(Word::Status, vm))?;
        Ok(Some(match status {
            Status::Start | Status::Run => {
                if let Some(slot) = &mut group.slots[vm] {
                    slot.state = State::Ready(status);
                }
                return Ok(None);
            }
            Status::Idle => End::Exit(0), // it had nothing to run
            Status::Exit => End::Exit(code as i32),
            Status::Trap => {
                let kind = TrapKind::of(code).ok_or_else(|| Error::Corrupt(format!("trap {code}")))?;
                let exact = kind != TrapKind::OutOfBoundsMemory || program.options().traps == Traps::Exact;
                End::Trap(Trap { kind, place: at, exact })
            }
            Status::Fuel => End::OutOfFuel(at),
            Status::Stopped => End::Timeout(at),
            Status::Unaligned => return Err(Error::Corrupt("an access of any alignment was refused".into())),
            Status::Full => End::Failed("its output has no room".into()),
            Status::Call => End::Failed(format!("it made a host call that is not answered here, in {at}")),
        }))
    }

    /// The results of the calls that returned.
    fn values(&mut self, ends: &[Option<End>], entries: &[Option<&Entry>]) -> Result<Vec<Vec<Value>>> {
        let offset = self.common.program.meta().plan.frames_at + 8;
        let mut values = vec![Vec::new(); ends.len()];
        let mut pieces: Vec<Vec<Piece>> = self.groups.iter().map(|_| Vec::new()).collect();
        let mut whose: Vec<Vec<(usize, &Entry)>> = self.groups.iter().map(|_| Vec::new()).collect();
        for (i, end) in ends.iter().enumerate() {
            let (Some(End::Exit(_)), Some(entry)) = (end, entries[i]) else { continue };
            let (g, vm) = self.locate(i);
            let at: Place = place(&self.common.program, self.groups[g].words.get(Word::Where, vm));
            if !returned(&at) || entry.results.is_empty() {
                continue;
            }
            let length = entry.results.len() as u64 * 8;
            pieces[g].push(Piece { vm: vm as u32, area: Area::Region, offset, length });
            whose[g].push((i, entry));
        }
        for (g, group) in self.groups.iter_mut().enumerate() {
            let fetched = group.fetch(&self.common, &pieces[g])?;
            for ((i, entry), bytes) in whose[g].iter().zip(fetched) {
                let words = bytes.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w));
                values[*i] = entry.results.iter().zip(words).map(|(ty, word)| Value::of_word(*ty, word)).collect();
            }
        }
        Ok(values)
    }
}
