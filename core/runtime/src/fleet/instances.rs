//! Instances: VMs whose memory, tables and globals last from one call to the next.

use super::gather::Piece;
use super::group::Start;
use super::job::{Job, Phase};
use super::key::{self, Stream, StreamKey};
use super::settle::{Fate, message, place, returned};
use super::sizes::Need;
use super::{CancelHandle, Fleet, now};
use crate::{End, Error, FleetOptions, Place, Program, Result, Value};
use std::fmt;
use vectorvisor_translate::Entry;
use vectorvisor_translate::abi::{Area, FINISH, Status, Word};

/// Many instances of one program, in VMs side by side. Where a [`crate::Fleet`] gives each input a fresh VM, here the
/// caller chooses which exported function each VM calls next; the function finds the state that earlier calls left,
/// even after a trap. The functions may not make host calls that the host answers, nor write more output than a VM's
/// capacity ([`FleetOptions::out_capacity`]).
///
/// A call that takes longer than [`FleetOptions::timeout`] ends as [`End::Timeout`], and what it has done to the VM's
/// memory stays. On a GPU calls that wait for an endless loop in another lane of their warp time out with it. On a
/// device that has no timer and does not see the host's, fuel stands for time, as much as the fastest loops use, so a
/// call may take several times as long as the timeout.
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
    fleet: Fleet,
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
        f.debug_struct("Instances").field("count", &self.count).field("program", self.program()).finish()
    }
}

impl Instances {
    /// Allocates memory for `count` instances; [`Self::instantiate`] then makes them.
    ///
    /// # Errors
    /// The device has too little memory for them, or an option makes no sense.
    pub fn new(program: &Program, count: u32, options: &FleetOptions) -> Result<Self> {
        // Calls cannot run again, so the program may make no assumption whose violation forces a rerun.
        let program = &program.unassuming()?;
        let options = FleetOptions { vms: Some(count), ..options.clone() };
        let seed = key::seed(options.seed)?;
        // For the same reason each VM gets the largest memory and call stack at once.
        let need = Need::all(&program.meta().plan);
        let fleet = Fleet::with_need(program, &options, need, None, CancelHandle::default())?;
        Ok(Self { fleet, count: count as usize, seed })
    }

    /// Ends calls early, from any thread: those that have not ended then, and all later ones, are [`End::Failed`].
    pub fn cancel_handle(&self) -> CancelHandle {
        self.fleet.cancel_handle()
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.fleet.common.program
    }

    /// Brings every VM to the program's first state and runs its start function and `_initialize`, if there are such.
    ///
    /// # Errors
    /// The device fails. A trap is reported in that instance's [`Returned`].
    pub fn instantiate(&mut self) -> Result<Vec<Returned>> {
        let init = self.fleet.common.program.meta().init;
        let slice = self.fleet.slice(false);
        let mut first = 0;
        for group in &mut self.fleet.groups {
            for vm in 0..group.vms {
                let mut job = Job::new(first + vm, Default::default(), Stream::of(self.seed, first + vm));
                (job.once, job.slice) = (true, slice);
                // Without a start function, the launch only resets the VM.
                let (state, initialising) = (init.unwrap_or(FINISH), init.is_some());
                let start = Start::At { state, message: Vec::new(), initialising };
                group.place(&self.fleet.common, vm, Box::new(job), start, now());
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
    /// reported in that call's [`Returned`].
    pub fn call(&mut self, calls: &[Option<Call<'_>>]) -> Result<Vec<Option<Returned>>> {
        if calls.len() > self.count {
            return Err(Error::Option(format!("{} calls for {} instances", calls.len(), self.count)));
        }
        let mut ready = vec![false; self.count];
        let mut entries = vec![None; self.count];
        let slice = self.fleet.slice(false);
        for (i, call) in calls.iter().enumerate() {
            let Some(Call { entry, args }) = call else { continue };
            if !args.iter().map(|v| v.ty()).eq(entry.params.iter().copied()) {
                return Err(Error::Option(format!("{:?} takes {:?}, not {args:?}", entry.name, entry.params)));
            }
            let (g, vm) = self.locate(i);
            let group = &mut self.fleet.groups[g];
            let Some(slot) = &mut group.slots[vm] else {
                return Err(Error::Option("the instances are not instantiated".into()));
            };
            slot.message = message(args);
            slot.phase = Phase::Ready(Status::Start);
            slot.initialising = false;
            slot.job.rewind();
            slot.job.slice = slice;
            slot.refuel(&self.fleet.common, &mut group.words, vm);
            group.words.set(Word::Where, vm, u64::MAX);
            group.words.set(Word::State, vm, entry.state.into());
            group.words.set(Word::Out, vm, 0);
            group.words.set(Word::Time, vm, 0);
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
        let program = self.fleet.common.program.clone();
        let entry = program.require(name)?;
        let calls: Vec<_> = args.iter().map(|args| Some(Call { entry, args })).collect();
        Ok(self.call(&calls)?.into_iter().flatten().collect())
    }

    /// The group of a VM, and its number there.
    fn locate(&self, mut vm: usize) -> (usize, usize) {
        for (g, group) in self.fleet.groups.iter().enumerate() {
            if vm < group.vms {
                return (g, vm);
            }
            vm -= group.vms;
        }
        (0, 0) // Not reached: there are at least as many VMs as instances.
    }

    /// Launches the VMs that are ready until each has ended, and fetches what their entries returned.
    fn run(&mut self, ready: &[bool], entries: &[Option<&Entry>]) -> Result<Vec<Option<Returned>>> {
        let mut ends: Vec<Option<End>> = vec![None; self.count];
        let mut left: Vec<usize> = (0..self.count).filter(|i| ready[*i]).collect();
        while !left.is_empty() {
            let mut again = Vec::new();
            for g in 0..self.fleet.groups.len() {
                let here: Vec<(usize, usize)> = left
                    .iter()
                    .map(|i| (*i, self.locate(*i)))
                    .filter(|(_, at)| at.0 == g)
                    .map(|(i, at)| (i, at.1))
                    .collect();
                if here.is_empty() {
                    continue;
                }
                self.fleet.groups[g].launched = here.iter().map(|(_, vm)| *vm as u32).collect();
                if !self.fleet.submit(g, false, None)? {
                    here.iter().for_each(|(i, _)| ends[*i] = Some(End::Failed("it was cancelled".into())));
                    continue;
                }
                let (elapsed, kernel) = self.fleet.groups[g].finish()?;
                for ((vm, fate), (i, _)) in self.fleet.fates(g, elapsed, kernel)?.into_iter().zip(here) {
                    match self.end(g, vm as usize, fate)? {
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
    fn end(&mut self, g: usize, vm: usize, fate: Fate) -> Result<Option<End>> {
        let group = &mut self.fleet.groups[g];
        Ok(Some(match fate {
            Fate::Again(status) => {
                if status == Status::Run {
                    group.pass_time(vm);
                }
                if let Some(slot) = &mut group.slots[vm] {
                    slot.phase = Phase::Ready(status);
                }
                return Ok(None);
            }
            Fate::Enter => End::Exit(0),
            Fate::End(end) => end,
            Fate::Flush => End::Failed("its output has no room".into()),
            Fate::Call(_) | Fate::Barrier | Fate::Answered => {
                let at = place(&self.fleet.common.program, group.words.get(Word::Where, vm));
                End::Failed(format!("it made a host call that is not answered here, in {at}"))
            }
            Fate::Larger(_) | Fate::Violated | Fate::Deep | Fate::Longer(_) | Fate::Alone(_) => {
                return Err(Error::Corrupt("a VM that cannot run again has to".into()));
            }
        }))
    }

    /// The results of the calls that returned.
    fn values(&mut self, ends: &[Option<End>], entries: &[Option<&Entry>]) -> Result<Vec<Vec<Value>>> {
        let mut values = vec![Vec::new(); ends.len()];
        let mut pieces: Vec<Vec<Piece>> = self.fleet.groups.iter().map(|_| Vec::new()).collect();
        let mut whose: Vec<Vec<(usize, &Entry)>> = self.fleet.groups.iter().map(|_| Vec::new()).collect();
        for (i, end) in ends.iter().enumerate() {
            let (Some(End::Exit(_)), Some(entry)) = (end, entries[i]) else { continue };
            let (g, vm) = self.locate(i);
            let at: Place = place(&self.fleet.common.program, self.fleet.groups[g].words.get(Word::Where, vm));
            if !returned(&at) || entry.results.is_empty() {
                continue;
            }
            let length = entry.results.len() as u64 * 8;
            let offset = self.fleet.groups[g].results_at(&self.fleet.common);
            pieces[g].push(Piece { vm: vm as u32, area: Area::Region, offset, length });
            whose[g].push((i, entry));
        }
        for (g, group) in self.fleet.groups.iter().enumerate() {
            let fetched = group.fetch(&self.fleet.common, &mut self.fleet.gather, &pieces[g])?;
            for ((i, entry), bytes) in whose[g].iter().zip(fetched) {
                let words = bytes.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w));
                values[*i] = entry.results.iter().zip(words).map(|(ty, word)| Value::of_word(*ty, word)).collect();
            }
        }
        Ok(values)
    }
}
