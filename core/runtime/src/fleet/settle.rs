//! After a launch: `decide` reads from a VM's words what happens to it next, its [`Fate`]; `settle` carries the fates
//! out.

use super::Fleet;
use super::epoch::{self, Epoch};
use super::files::Asked;
use super::gather::Piece;
use super::group::Limit;
use super::job::{Job, Phase, Quota, Slot};
use super::run::Run;
use super::sizes::mib;
use crate::{Edges, End, Error, Outcome, Place, Program, Result, Trap, TrapKind, Traps, Value};
use std::time::{Duration, Instant};
use vectorvisor_translate::abi::{Area, FLUSH, HAS_ANSWERED, PAGE, Status, Word};
use vectorvisor_translate::host::{CALLS, Call};
use vectorvisor_wasi::{Answer, answer, of_files};

/// What happens next to a VM that was launched.
pub enum Fate {
    /// It is launched again.
    Again(Status),
    /// Its start function has returned: it enters its entry.
    Enter,
    /// It has ended.
    End(End),
    /// Its output buffer is full: the host takes the output, and it goes on.
    Flush,
    /// It waits for the answer to this host call.
    Call(usize),
    /// It waits for the other VMs of its tile.
    Barrier,
    /// It has answered its request, and waits for the next, in the state that it has.
    Answered,
    /// Its input runs again with this quota.
    Larger(Quota),
    /// It violated an assumption: its input runs again in a program without it ([`Fleet::drop_assumption`]).
    Violated,
    /// It recursed deeper than the device's own stack allows: its input runs again in a fleet that has more
    /// ([`super::deep::Deep`]).
    Deep,
    /// Its input runs again with this much fuel per launch.
    Longer(u64),
    /// Its input runs again alone in its warp, so that other VMs use none of its time, with this much fuel per launch.
    Alone(u64),
}

/// One in so many inputs is more than a few.
const MANY: usize = 16;
/// Of so many inputs of a server it is remembered what they needed.
const RECENT: usize = 4096;

/// Why an input fails whose memory does not fit.
pub fn too_much_memory(bytes: u64) -> String {
    format!("the device has no room for a VM with a memory of {}; try fewer --lanes or --vms", mib(bytes))
}

/// Bytes of output that are a lot.
const MUCH: u64 = 1 << 20;

/// Why an input fails that writes more than it may.
fn too_long(most: u64) -> String {
    format!("its output is longer than the {most} bytes that it may have")
}

/// Whether the code of [`Status::Call`] is that of the call of this name.
fn is(code: u32, which: Call) -> bool {
    CALLS.get(code as usize).is_some_and(|call| call.call == which)
}

/// Splits a status word.
pub fn decode(word: u64) -> Result<(Status, u32)> {
    let status = Status::of(word).ok_or_else(|| Error::Corrupt(format!("status {:#x}", word as u32)))?;
    Ok((status, (word >> 32) as u32))
}

/// The place in a [`Word::Where`].
pub fn place(program: &Program, word: u64) -> Place {
    let known = |half: u32| (half != u32::MAX).then_some(half);
    let function_index = known(word as u32);
    let name = function_index.and_then(|i| program.meta().functions.get(i as usize));
    Place { function: name.filter(|n| !n.is_empty()).cloned(), function_index, offset: known((word >> 32) as u32) }
}

/// Most bytes of output that the host collects for one VM; a VM that can suspend may write without end.
const MAX_OUTPUT: u64 = 1 << 30;

/// Whether a VM that has exited returned from its entry. After `proc_exit`, `at` is the place of that call.
pub fn returned(at: &Place) -> bool {
    at.function_index.is_none()
}

impl Fleet {
    /// Gives all VMs this quota from now on, if most of them can work with it.
    pub(super) fn raise_quota(&mut self, quota: Quota) {
        if self.groups.iter().all(|group| group.keeps_most_vms(&self.common, quota)) {
            self.quota = quota;
        }
    }

    /// The fate of one VM of a launch that took `elapsed`.
    pub fn decide(&mut self, g: usize, vm: usize, elapsed: Duration) -> Result<Fate> {
        let program = &self.common.program;
        let group = &mut self.groups[g];
        let words = &group.words;
        let (quota, most, alone) =
            (group.quota, group.most_quota(&self.common), group.alone(vm) && group.limit.is_none());
        let Some(slot) = &mut group.slots[vm] else {
            return Err(Error::Corrupt("a VM without an input was launched".into()));
        };
        // A loop's fuel may be charged in advance, so the rest can be negative.
        let left = (words.get(Word::Fuel, vm) as i64).max(0) as u64;
        let used = slot.given.saturating_sub(left);
        slot.given = left;
        slot.job.spent = slot.job.spent.saturating_add(used);
        let at = place(program, words.get(Word::Where, vm));
        let (status, code) = decode(words.get(Word::Status, vm))?;
        let job = &slot.job;
        let meta = program.meta();
        let marks = words.get(Word::Stdin, vm);
        // An answer counts once it is given.
        let answered = meta.keeps && marks & HAS_ANSWERED != 0;
        Ok(match status {
            Status::Start | Status::Run => Fate::Again(status),
            Status::Exit if slot.initialising && returned(&at) => Fate::Enter,
            Status::Exit | Status::Trap if answered => Fate::End(End::Exit(0)),
            Status::Exit if meta.events => {
                Fate::End(End::Failed(format!("the program ended with exit code {} and had not answered", code as i32)))
            }
            Status::Exit => Fate::End(End::Exit(code as i32)),
            Status::Answered => Fate::End(End::Exit(0)),
            Status::TooLong => Fate::End(End::TooLong { most: words.get(Word::Request, vm) }),
            Status::Unanswered => {
                Fate::End(End::Failed("the program asked for another request and had not answered this one".into()))
            }
            Status::Trap => {
                let kind = TrapKind::of(code).ok_or_else(|| Error::Corrupt(format!("trap {code}")))?;
                let most = job.most_frames.map_or(most.frames, |frames| frames.min(most.frames));
                if kind == TrapKind::StackExhausted && quota.frames < most && !job.once {
                    return Ok(Fate::Larger(Quota { frames: (quota.frames * 16).min(most), ..quota }));
                }
                let exact = kind != TrapKind::OutOfBoundsMemory || program.options().traps == Traps::Exact;
                Fate::End(End::Trap(Trap { kind, place: at, exact }))
            }
            Status::Call if code == FLUSH => Fate::Flush,
            Status::Call if is(code, Call::VectorvisorBarrier) => Fate::Barrier,
            Status::Call if answered && is(code, Call::ServerlessInvoke) => Fate::Answered,
            Status::Call => Fate::Call(code as usize),
            Status::Full if job.once => {
                Fate::End(End::Failed("its output has no room, and what it did cannot be done again".into()))
            }
            Status::Full if quota.output >= self.common.most_output => Fate::End(End::Failed(too_long(quota.output))),
            Status::Full if quota.output >= most.output => Fate::End(End::Failed(format!(
                "its output is longer than {} bytes, which is all the room that one VM can have here; try --lanes 1",
                quota.output
            ))),
            Status::Full => Fate::Larger(Quota { output: (quota.output * 4).min(most.output), ..quota }),
            // The run was cancelled: it ends after this launch and delivers nothing of this VM.
            Status::Stopped => Fate::Again(Status::Run),
            Status::Late if alone || job.once => Fate::End(End::Timeout(at)),
            Status::Late => Fate::Alone(job.slice),
            Status::Fuel if job.spent >= self.common.fuel => Fate::End(End::OutOfFuel(at)),
            Status::Fuel => {
                // Fuel stands for time (`Limit::Fuel`). If the time is not over, the slice was too small.
                let timeout = self.options.timeout.unwrap_or(Duration::MAX).as_secs_f64();
                let share = elapsed.as_secs_f64().max(1e-6) / timeout;
                let more = (job.slice as f64 * (1.0 / share).clamp(2.0, 64.0)) as u64;
                match share >= 0.9 {
                    over if job.once || (over && job.solo) => Fate::End(End::Timeout(at)),
                    over if over || job.solo => Fate::Alone(more),
                    _ => Fate::Longer(more),
                }
            }
            Status::Violated => Fate::Violated,
            Status::Deep => Fate::Deep,
            Status::Outgrown => {
                let wanted = (words.get(Word::Memory, vm) >> 32) * PAGE;
                if wanted > most.memory || job.once {
                    return Ok(Fate::End(End::Failed(too_much_memory(wanted))));
                }
                // One that outgrew the usual memory gets room for what follows. One that outgrew more than that gets
                // twice as much, so that it does not come again often.
                let initial = program.meta().plan.memory_initial;
                let above = if quota.memory > self.quota.memory { 0 } else { initial };
                let twice = quota.memory + (quota.memory - above);
                let memory = (wanted + wanted / 4).max(twice).next_multiple_of(PAGE).min(most.memory);
                Fate::Larger(Quota { memory, ..quota })
            }
            Status::Idle => return Err(Error::Corrupt("a VM that was launched is idle".into())),
        })
    }

    /// Adds to the time that a VM has computed, `time` where the device does not measure it, and ends a VM that
    /// suspends when its time is over. Other VMs may have slowed it, so its input runs again alone if it may.
    pub fn account(&mut self, g: usize, vm: usize, time: Duration, fate: &mut Fate) {
        let group = &mut self.groups[g];
        let alone = self.common.limit != Limit::Fuel && group.alone(vm);
        let Some(slot) = &mut group.slots[vm] else { return };
        slot.job.computed = match self.common.limit {
            Limit::Time(_) => Duration::from_nanos(group.words.get(Word::Time, vm)),
            _ => slot.job.computed.saturating_add(time),
        };
        let over = self.options.timeout.is_some_and(|limit| slot.job.computed > limit);
        if over && matches!(fate, Fate::Call(_) | Fate::Barrier | Fate::Flush | Fate::Again(Status::Run)) {
            *fate = match alone || slot.job.solo || slot.job.once {
                true => Fate::End(End::Timeout(place(&self.common.program, group.words.get(Word::Where, vm)))),
                false => Fate::Alone(slot.job.slice),
            };
        }
    }
}

impl Run<'_> {
    /// The pieces that have to be fetched from a VM for its fate.
    fn pieces(&self, g: usize, vm: u32, fate: &Fate, pieces: &mut Vec<Piece>) -> Result<()> {
        let group = &self.fleet.groups[g];
        let plan = &self.fleet.common.program.meta().plan;
        if let Fate::Call(_) = fate {
            let length = group.words.get(Word::Request, vm as usize);
            if length > plan.slot {
                return Err(Error::Corrupt(format!("a request of {length} bytes in a slot of {}", plan.slot)));
            }
            pieces.push(Piece { vm, area: Area::Region, offset: plan.slot_at, length });
        }
        if let Fate::End(_) | Fate::Answered | Fate::Flush = fate {
            let out = group.words.get(Word::Out, vm as usize);
            let (stdout, stderr) = (out & u64::from(u32::MAX), out >> 32);
            if stdout + stderr > group.quota.output {
                return Err(Error::Corrupt(format!("{stdout} + {stderr} bytes of output in {}", group.quota.output)));
            }
            let failed = matches!(fate, Fate::End(end) if !matches!(end, End::Exit(_)));
            let stdout = if failed && !self.fleet.options.output_of_failures { 0 } else { stdout };
            pieces.push(Piece { vm, area: Area::Stdout, offset: 0, length: stdout });
            pieces.push(Piece { vm, area: Area::Stderr, offset: 0, length: stderr });
        }
        if let Fate::End(End::Exit(_)) = fate {
            let exited = !returned(&place(&self.fleet.common.program, group.words.get(Word::Where, vm as usize)));
            let length = if exited { 0 } else { self.entry.results.len() as u64 * 8 };
            pieces.push(Piece { vm, area: Area::Region, offset: group.results_at(&self.fleet.common), length });
        }
        Ok(())
    }

    /// Carries out the fates of a group's VMs.
    pub fn settle(&mut self, g: usize, fates: Vec<(u32, Fate)>) -> Result<()> {
        let usual = self.fleet.groups[g].quota.memory <= self.fleet.quota.memory;
        let mut pieces = Vec::new();
        for (vm, fate) in &fates {
            self.pieces(g, *vm, fate, &mut pieces)?;
        }
        let fleet = &mut *self.fleet;
        let mut fetched = fleet.groups[g].fetch(&fleet.common, &mut fleet.gather, &pieces)?.into_iter();
        let mut next = || fetched.next().unwrap_or_default();
        let (mut asked, mut calls) = (Vec::new(), Duration::ZERO);
        for (vm, fate) in fates {
            let vm = vm as usize;
            match fate {
                Fate::End(end) => {
                    let (stdout, stderr) = (next(), next());
                    let results = if let End::Exit(_) = end { next() } else { Vec::new() };
                    self.end(g, vm, end, stdout, stderr, &results);
                }
                Fate::Flush => {
                    let (stdout, stderr) = (next(), next());
                    let group = &mut self.fleet.groups[g];
                    group.words.set(Word::Out, vm, 0);
                    let mut most = 0;
                    if let Some(slot) = &mut group.slots[vm] {
                        slot.job.stdout.extend(stdout);
                        slot.job.stderr.extend(stderr);
                        most = slot.job.stdout.len().max(slot.job.stderr.len());
                    }
                    let limit = self.fleet.common.most_output.min(MAX_OUTPUT);
                    if most as u64 > limit {
                        self.end(g, vm, End::Failed(too_long(limit)), Vec::new(), Vec::new(), &[]);
                    } else {
                        self.resume(g, vm);
                    }
                }
                Fate::Call(call) => {
                    let request = next();
                    match of_files(call) {
                        Some(_) => asked.push(Asked::new(vm, call, request)),
                        None => {
                            let begin = Instant::now();
                            self.answer(g, vm, call, &request)?;
                            calls += begin.elapsed();
                            self.trace("call", g, begin, 1);
                        }
                    }
                }
                Fate::Answered => {
                    let (stdout, stderr) = (next(), next());
                    self.end(g, vm, End::Exit(0), stdout, stderr, &[]);
                    self.fleet.groups[g].kept[vm] = true;
                }
                Fate::Barrier => {
                    let group = &mut self.fleet.groups[g];
                    if let Some(slot) = &mut group.slots[vm] {
                        slot.phase = Phase::Barrier;
                        group.at_barrier += 1;
                    }
                }
                Fate::Again(status) => {
                    if status == Status::Run {
                        self.fleet.groups[g].pass_time(vm);
                    }
                    if let Some(slot) = &mut self.fleet.groups[g].slots[vm] {
                        slot.phase = Phase::Ready(status);
                    }
                }
                Fate::Enter => {
                    let state = self.entry.state;
                    let group = &mut self.fleet.groups[g];
                    group.words.set(Word::State, vm, state.into());
                    group.words.set(Word::Frame, vm, 0);
                    if let Some(slot) = &mut group.slots[vm] {
                        slot.initialising = false;
                        slot.message = message(&slot.job.input.args);
                        slot.phase = Phase::Ready(Status::Start);
                        slot.refuel(&self.fleet.common, &mut group.words, vm);
                    }
                }
                Fate::Larger(quota) => {
                    let aside = self.aside();
                    let fleet = &mut *self.fleet;
                    let base = fleet.quota.max(quota);
                    // Others need a lot of output only if this one was right to; where it runs again aside, they need anything.
                    if base.output <= MUCH.max(fleet.quota.output) && !aside {
                        fleet.raise_quota(base);
                    }
                    if usual && quota.memory > fleet.quota.memory {
                        self.outgrown.push(quota.memory);
                        fleet.groups[g].outgrew += 1;
                    }
                    if let Some(mut job) = self.again(g, vm) {
                        job.quota = quota;
                        self.retry.push_back(job);
                    }
                }
                Fate::Violated => {
                    let beside = self.serves && !self.for_image && self.fleet.drop_assumption_beside(g);
                    if !beside {
                        self.fleet.drop_assumption(g)?;
                    }
                    match self.again(g, vm) {
                        Some(job) if beside => self.interpret(job, false),
                        job => self.retry.extend(job),
                    }
                }
                Fate::Deep if self.for_image => _ = self.vacate(g, vm),
                Fate::Deep => {
                    if let Some(job) = self.again(g, vm) {
                        self.interpret(job, true);
                    }
                }
                Fate::Longer(slice) => {
                    if let Some(mut job) = self.again(g, vm) {
                        job.slice = slice;
                        self.retry.push_back(job);
                    }
                }
                Fate::Alone(slice) => {
                    if let Some(mut job) = self.again(g, vm) {
                        job.solo = true;
                        job.slice = slice;
                        self.alone(job);
                    }
                }
            }
        }
        let begin = Instant::now();
        let files = asked.len();
        self.answer_of_files(g, asked)?;
        if files > 0 {
            self.trace("call", g, begin, files);
        }
        self.fleet.options.meter.add_host_calls(calls + begin.elapsed());
        self.release(g);
        self.follow_growth(g);
        Ok(())
    }

    /// Lets the VMs at a barrier go on, in tiles in which all occupied VMs have come to it.
    fn release(&mut self, g: usize) {
        let group = &self.fleet.groups[g];
        // Their words may be written only between launches.
        if group.at_barrier == 0 || group.in_flight {
            return;
        }
        let waits = |slot: &Slot| matches!(slot.phase, Phase::Barrier);
        let tiles = group.slots.chunks(self.fleet.common.program.meta().plan.lanes as usize).enumerate();
        let released: Vec<usize> = tiles
            .filter(|(_, slots)| slots.iter().flatten().all(waits))
            .flat_map(|(tile, slots)| {
                (0..slots.len()).filter(|lane| slots[*lane].is_some()).map(move |lane| tile * slots.len() + lane)
            })
            .collect();
        self.fleet.groups[g].at_barrier -= released.len();
        for vm in released {
            self.resume(g, vm);
        }
    }

    /// Gives all VMs more memory, though fewer can then work, if many inputs outgrew what they had: a quarter of those
    /// that the launch of group `g` began with, however many of them were settled yet, or more than a few of all while
    /// there are more.
    fn follow_growth(&mut self, g: usize) {
        let (all, vms) = (self.outgrown.len(), self.fleet.vms() / self.fleet.groups.len().max(1));
        let group = &mut self.fleet.groups[g];
        let launched = group.began_with.len();
        let quarter = group.outgrew * 4 >= launched;
        let many = !self.exhausted && all * MANY >= self.summary.delivered + all;
        // A launch of few VMs says nothing of the rest.
        if all == 0 || group.outgrew == 0 || !(quarter || many) || launched * 4 < vms {
            return;
        }
        group.outgrew = 0;
        // Enough for most of them, but not for the one that needs all there is.
        self.outgrown.sort_unstable();
        self.fleet.quota.memory = self.fleet.quota.memory.max(self.outgrown[all * 3 / 4]);
        self.outgrown.clear();
    }

    /// An input with this quota exited: gives all VMs as much output, and as many frames if it ran again aside, if it is right
    /// that they need it.
    fn follow_needs(&mut self, quota: Quota) {
        let aside = self.aside();
        let fleet = &mut *self.fleet;
        let more = Quota { output: quota.output, frames: quota.frames, ..fleet.quota }.max(fleet.quota);
        if !aside {
            if quota.output > MUCH {
                fleet.raise_quota(Quota { output: more.output, ..fleet.quota });
            }
            return;
        }
        let [needed, all] = &mut self.needed_more;
        *all += 1;
        if more != fleet.quota {
            *needed += 1;
            if *needed * MANY >= *all {
                fleet.raise_quota(more);
            }
        }
        if *all >= RECENT {
            (*needed, *all) = (*needed / 2, *all / 2);
        }
    }

    /// Takes an input out of its VM to run it again.
    fn again(&mut self, g: usize, vm: usize) -> Option<Box<Job>> {
        let mut job = self.vacate(g, vm)?.job;
        job.rewind();
        self.summary.reruns += 1;
        Some(job)
    }

    pub fn vacate(&mut self, g: usize, vm: usize) -> Option<Slot> {
        let slot = self.fleet.groups[g].vacate(vm)?;
        self.solo_running -= usize::from(slot.job.solo);
        Some(slot)
    }

    /// Delivers the outcome of a VM that has ended.
    pub fn end(&mut self, g: usize, vm: usize, mut end: End, stdout: Vec<u8>, stderr: Vec<u8>, results: &[u8]) {
        let Some(Slot { mut job, .. }) = self.vacate(g, vm) else { return };
        if matches!(end, End::Timeout(_)) && self.next_tier.is_some() && !job.once {
            return self.too_slow(&job);
        }
        let open = job.epoch().open.take();
        let collected = |name: &String| Some((name.clone(), open.as_ref()?.collect(name)?));
        let files = match end {
            End::Exit(_) => job.input.collect.iter().filter_map(collected).collect(),
            _ => Vec::new(),
        };
        if self.fleet.common.program.meta().keeps {
            self.fleet.groups[g].open[vm] = open;
        } else {
            job.epoch().open = open;
        }
        if !matches!(end, End::Exit(_)) && !self.fleet.options.output_of_failures {
            job.stdout.clear();
        }
        let words = &self.fleet.groups[g].words;
        let edges = Edges {
            direct: words.get(Word::EdgesDirect, vm),
            state: words.get(Word::EdgesState, vm),
            framed: words.get(Word::EdgesFramed, vm),
        };
        let limit = self.fleet.common.program.meta().plan.memory_limit;
        let memory = words.get(Word::Memory, vm);
        if matches!(end, End::Exit(_)) {
            self.patience.ended(words.get(Word::Time, vm));
            self.follow_needs(job.quota);
        }
        let refused_at = (memory >> 32 != 0).then_some(limit);
        let output = job.stdout.len() + job.stderr.len() + stdout.len() + stderr.len();
        self.fleet.needs.add(memory & u64::from(u32::MAX), output as u64);
        let edges = self.fleet.common.program.options().profile.then_some(edges);
        // It would sleep once more, and all others would wait.
        let awake = job.slept.is_zero() || self.fleet.logs() && job.epoch().is_whole();
        if let End::Trap(trap) = &mut end
            && awake
            && !trap.exact
            && !job.once
            && self.fleet.exact_left > 0
        {
            self.fleet.exact_left -= 1;
            self.summary.reruns += 1;
            if let Some(found) = self.fleet.exact_place(self.entry, &job)
                && found.kind == trap.kind
            {
                *trap = found;
            }
        }
        let append = |before: &mut Vec<u8>, last: Vec<u8>| {
            let mut all = std::mem::take(before);
            if all.is_empty() {
                return last;
            }
            all.extend(last);
            all
        };
        let words = results.as_chunks::<8>().0;
        let values = self.entry.results.iter().zip(words).map(|(ty, w)| Value::of_word(*ty, u64::from_le_bytes(*w)));
        self.deliver(Outcome {
            index: job.index,
            values: values.collect(),
            stdout: append(&mut job.stdout, stdout),
            stderr: append(&mut job.stderr, stderr),
            fuel_used: job.spent,
            refused_at,
            stack_at: job.most_frames,
            edges,
            end,
            files,
        });
    }

    /// Lets a suspended VM go on at the next launch.
    pub fn resume(&mut self, g: usize, vm: usize) {
        let group = &mut self.fleet.groups[g];
        group.pass_time(vm);
        if let Some(slot) = &mut group.slots[vm] {
            slot.phase = Phase::Ready(Status::Run);
            slot.refuel(&self.fleet.common, &mut group.words, vm);
        }
    }

    /// Answers a call that concerns no files.
    fn answer(&mut self, g: usize, vm: usize, call: usize, request: &[u8]) -> Result<()> {
        let group = &mut self.fleet.groups[g];
        group.pass_time(vm);
        let clock = group.words.get(Word::Clock, vm);
        let hash = epoch::hash(call, request, &[]);
        match self.told(g, vm, call, hash) {
            Told::Before(answer) => self.give(g, vm, answer),
            Told::New => {
                let answer = answer(call, request, clock).map_err(|e| Error::Corrupt(e.to_string()))?;
                self.log(g, vm, call, hash, 0, &answer);
                if self.may_go_on(g, vm)? {
                    self.give(g, vm, answer);
                }
            }
            Told::Over => {}
        }
        Ok(())
    }

    /// Whether a VM's guest was told before what it asks.
    pub fn told(&mut self, g: usize, vm: usize, call: usize, hash: u64) -> Told {
        let changes = self.fleet.changes_files();
        let Some(slot) = &mut self.fleet.groups[g].slots[vm] else { return Told::Over };
        let mut epoch = slot.job.epoch();
        let why = match epoch.tell(call, hash) {
            Ok(Some(answer)) => return Told::Before(answer),
            Ok(None) => return Told::New,
            Err(why) => why,
        };
        let afresh = epoch.may_begin_afresh();
        if afresh && changes {
            // What it may change from now on has to be logged.
            *epoch = Epoch::default();
        } else if afresh {
            epoch.drop_log();
        }
        drop(epoch);
        if !afresh {
            self.end(g, vm, End::Failed(why), Vec::new(), Vec::new(), &[]);
        } else if let Some(job) = self.again(g, vm) {
            self.retry.push_back(job);
        }
        Told::Over
    }

    /// Logs what a VM's guest is told.
    pub fn log(&mut self, g: usize, vm: usize, call: usize, hash: u64, most: u32, answer: &Answer) {
        if self.fleet.logs()
            && let Some(slot) = &self.fleet.groups[g].slots[vm]
        {
            slot.job.epoch().log(call, hash, most, answer);
        }
    }

    /// Whether a VM whose guest was told something goes on. If its log is too long and it may have changed files, it cannot
    /// run again from now on, and so goes on where it never has to: with all memory and frames, in a program that assumes
    /// nothing. Else its log is dropped.
    pub fn may_go_on(&mut self, g: usize, vm: usize) -> Result<bool> {
        let fleet = &mut *self.fleet;
        let (most, slice) = (epoch::most(fleet.vms()), fleet.slice(false));
        let changes = fleet.changes_files();
        let Some(slot) = &mut fleet.groups[g].slots[vm] else { return Ok(false) };
        if slot.job.epoch().bytes() <= most {
            return Ok(true);
        }
        if changes && !slot.job.once {
            (slot.job.once, slot.job.slice) = (true, slice);
            fleet.drop_assumptions()?;
            let group = &fleet.groups[g];
            let all = Quota { output: 0, ..group.most_quota(&fleet.common) };
            if !group.quota.covers(all) {
                if let Some(mut job) = self.again(g, vm) {
                    job.quota = job.quota.max(all);
                    self.retry.push_back(job);
                }
                return Ok(false);
            }
        }
        if let Some(slot) = &self.fleet.groups[g].slots[vm] {
            slot.job.epoch().drop_log();
        }
        Ok(true)
    }

    /// Gives a VM an answer, now or when it is due.
    pub fn give(&mut self, g: usize, vm: usize, answer: Answer) {
        let group = &mut self.fleet.groups[g];
        let clock = group.words.get(Word::Clock, vm);
        let Some(slot) = &mut group.slots[vm] else { return };
        match answer {
            Answer::Ready(bytes) => slot.message = bytes,
            // It waited for that before.
            Answer::At { time, answer } if time <= clock => slot.message = answer,
            Answer::At { time, answer } => {
                slot.message = answer;
                let wait = Duration::from_nanos(time - clock);
                // The timeout bounds the time asleep as it bounds the time computing.
                let rest = self.fleet.options.timeout.map(|limit| limit.saturating_sub(slot.job.slept));
                let over = rest.is_some_and(|rest| wait > rest);
                let wait = rest.map_or(wait, |rest| rest.min(wait));
                let begin = Instant::now();
                // An instant beyond the clock's range: decades stand for never.
                let wake = begin.checked_add(wait).unwrap_or_else(|| begin + Duration::from_secs(1 << 31));
                slot.phase = Phase::Asleep { wake, clock: time, wait, over };
                group.asleep += 1;
                group.wake = Some(group.wake.map_or(wake, |earliest| earliest.min(wake)));
                return;
            }
        }
        self.resume(g, vm);
    }
}

/// What becomes of a call that a VM makes.
pub enum Told {
    /// It gets the answer that it got before.
    Before(Answer),
    /// It was not made before.
    New,
    /// The VM has no input any more.
    Over,
}

/// Arguments as an entry takes them.
pub fn message(args: &[Value]) -> Vec<u8> {
    args.iter().flat_map(|v| v.word().to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_faulty_device_are_errors() {
        assert!(matches!(decode(3 | 7 << 32), Ok((Status::Exit, 7))));
        assert!(decode(99).is_err());
        assert!(decode(u64::MAX).is_err());
    }

    #[test]
    fn arguments_are_one_u64_each() {
        let bytes = message(&[Value::I32(-1), Value::F64(2)]);
        assert_eq!(bytes, [255, 255, 255, 255, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    }
}
