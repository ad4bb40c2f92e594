//! One run: puts inputs into free VMs, launches them and settles the results, until all inputs have ended.

use super::busy::Busy;
use super::deep::Deep;
use super::group::{Group, Limit, Start};
use super::image::own_environment;
use super::job::{Job, Phase, Quota};
use super::patience::Patience;
use super::punctual::Punctual;
use super::settle::{Fate, message, too_much_memory};
use super::start::Init;
use super::{Fleet, now};
use crate::{DeviceKind, End, Error, Outcome, Place, Polled, Program, Result, Source, Summary};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use vectorvisor_driver::Error as DriverError;
use vectorvisor_translate::Entry;
use vectorvisor_translate::abi::TIME_STEP;

/// Lower and upper bound of the standard input, in bytes, that the VMs of all groups hold at most (a single input may
/// be longer). A group may send all that its VMs hold in one launch, which takes as much page-locked host memory and
/// device memory.
const STAGED: (u64, u64) = (1 << 20, 4 << 30);
/// Where there are several groups, inputs that run again get one as soon as they are one in so many of its VMs: they
/// may be the longest; but not fewer than the second number.
const FEW: usize = 64;
const FEWEST: usize = 32;
/// How often a source that had no more is asked again while VMs sleep.
const LOOK: Duration = Duration::from_millis(20);
/// Most groups, where some wait for a few of their VMs.
const MOST_GROUPS: usize = 64;
/// On a GPU each has a queue, and of more than 32 some would wait for others on CUDA: so many for all fleets of a device,
/// of which each needs others, to gather results and for deep recursion.
const QUEUES: usize = 30;
const OTHERS: usize = 3;
/// VMs of a group that is made while a server runs, at most: there is little memory left, and many may be wanted.
const FURTHER: usize = 256;
/// In how many groups at once a server's inputs run again that need more room or warps of their own: others come
/// meanwhile, and join those that wait.
const ASIDE: usize = 4;
/// How long those of a server that has no such groups wait for others to run again with.
const COMPANY: Duration = Duration::from_millis(100);
/// Bytes of output that an input which needs more gets at once, if there is room.
const MORE_OUTPUT: u64 = 4 << 20;

/// What is next while launches are in flight.
enum Step {
    /// The launch of this group has ended, or is the only thing to wait for.
    Complete(usize),
    /// Some VMs of this one may have ended.
    Look(usize),
    /// All wait for a few of their VMs.
    Extend,
}

/// The state of a run.
pub struct Run<'a> {
    pub fleet: &'a mut Fleet,
    pub entry: &'a Entry,
    source: &'a mut dyn Source<Job>,
    sink: &'a mut dyn FnMut(Outcome),
    /// The source has ended.
    pub exhausted: bool,
    /// The source has nothing at present, and perhaps from this time on.
    not_yet: Option<Option<Instant>>,
    /// Taken from the source when no VM was free.
    pub waiting: Option<Box<Job>>,
    /// To run again: with a larger quota, more fuel, another program, or each in a warp of its own.
    pub retry: VecDeque<Box<Job>>,
    /// Since when the first of them waits, more or less.
    retry_waits: Option<Instant>,
    /// The source had nothing for a while, so somebody waits for each input: those that run again do that aside, and
    /// change nothing for others.
    pub serves: bool,
    /// How many do so, as the source was told.
    told_aside: usize,
    /// All is there that a server may need.
    prepared: bool,
    /// How long inputs take.
    pub patience: Patience,
    /// Of the inputs that ended of late, how many needed more than the others have, and all.
    pub needed_more: [usize; 2],
    /// To run again alone on the device, where fuel stands for time.
    pub solo: VecDeque<Box<Job>>,
    /// VMs that an input of `solo` occupies.
    pub solo_running: usize,
    /// The memory that inputs get in their next run, since they outgrew what they had, as all VMs had.
    pub outgrown: Vec<u64>,
    /// Inputs that need different quotas run apart: the device has no memory for all that they need.
    apart: bool,
    /// Groups at first, and whether there may be more.
    groups: usize,
    extends: bool,
    /// Groups with a launch in flight, oldest first.
    flying: VecDeque<usize>,
    /// This run executes the start function in one VM, to make the image.
    pub for_image: bool,
    pub summary: Summary,
    /// Inputs that recursed too deep, and came to their end where there is more stack.
    pub deep: usize,
    /// When the device was in the program's kernel.
    busy: Busy,
    /// The program, if it is interpreted for now.
    pub next_tier: Option<Program>,
    /// It is compiled: no more inputs are taken, and then what runs is stopped.
    pub closing: bool,
    /// It is being stopped: only what has ended by now is delivered.
    pub stopping: bool,
    /// Inputs for the compiled program.
    pub left: Vec<Job>,
}

/// Runs jobs until there are no more; or until its program, which is interpreted, is compiled: then it also gives the
/// inputs that have not ended.
pub fn run(
    fleet: &mut Fleet,
    entry: &Entry,
    source: &mut dyn Source<Job>,
    sink: &mut dyn FnMut(Outcome),
) -> Result<(Summary, Option<Vec<Job>>)> {
    // Cancelled autotuning leaves no VMs, and there is nothing to run.
    if fleet.groups.is_empty() && !fleet.cancel.cancelled() {
        return Err(Error::Memory("the VMs could not be allocated again after autotuning".into()));
    }
    fleet.initialise(entry)?;
    if fleet.began_too_slowly() {
        return Ok((Summary::default(), Some(Vec::new())));
    }
    let program = Some(fleet.common.program.clone()).filter(|program| program.next_tier().is_some());
    Run { next_tier: program, ..Run::new(fleet, entry, source, sink) }.until_all_ended()
}

impl<'a> Run<'a> {
    pub fn new(
        fleet: &'a mut Fleet,
        entry: &'a Entry,
        source: &'a mut dyn Source<Job>,
        sink: &'a mut dyn FnMut(Outcome),
    ) -> Self {
        Self {
            fleet,
            entry,
            source,
            sink,
            exhausted: false,
            not_yet: None,
            waiting: None,
            retry: VecDeque::new(),
            retry_waits: None,
            serves: false,
            told_aside: 0,
            prepared: false,
            patience: Patience::default(),
            needed_more: [0; 2],
            solo: VecDeque::new(),
            solo_running: 0,
            outgrown: Vec::new(),
            apart: false,
            flying: VecDeque::new(),
            groups: 0,
            extends: false,
            for_image: false,
            summary: Summary::default(),
            deep: 0,
            busy: Busy::default(),
            next_tier: None,
            closing: false,
            stopping: false,
            left: Vec::new(),
        }
    }

    /// Runs everything; after an error or a cancellation no input is left in the VMs.
    pub fn until_all_ended(mut self) -> Result<(Summary, Option<Vec<Job>>)> {
        let begin = Instant::now();
        let _punctual = Punctual::new();
        self.groups = self.fleet.groups.len();
        // Not if the caller chose the number of VMs, nor where they keep a state.
        self.extends = self.fleet.options.vms.is_none() && !self.fleet.common.program.meta().keeps;
        self.fleet.tell_meter();
        let result = self.all();
        let mut lost: Vec<usize> =
            self.fleet.groups.iter_mut().flat_map(|g| g.take_back()).map(|job| job.index).collect();
        lost.extend(self.end_deep());
        lost.extend(self.waiting.iter().chain(&self.retry).chain(&self.solo).map(|job| job.index));
        lost.extend(self.left.iter().map(|job| job.index));
        lost.sort_unstable();
        self.shrink();
        self.fleet.tell_meter();
        self.summary.elapsed = begin.elapsed();
        self.summary.kernel = self.busy.total();
        match result {
            Ok(ended) => Ok((self.summary, (!ended).then_some(self.left))),
            Err(source) => Err(Error::Lost { lost, source: Box::new(source) }),
        }
    }

    /// Waits for all launches in flight.
    pub fn await_flying(&mut self) -> Result<()> {
        while let Some(g) = self.flying.front().copied() {
            self.complete(g)?;
        }
        Ok(())
    }

    /// Whether all have ended, or the run was cancelled; otherwise those left are for the compiled program.
    fn all(&mut self) -> Result<bool> {
        loop {
            self.settled();
            if self.fleet.cancel.cancelled() {
                self.summary.cancelled = true;
                self.await_flying()?;
                return Ok(true);
            }
            if self.tiers_up()? {
                return Ok(false);
            }
            // Where fuel stands for time, inputs that run alone have the device for themselves.
            let solo = self.fleet.common.limit == Limit::Fuel && self.solo_running > 0;
            if solo || !self.solo.is_empty() {
                if let Some(g) = self.flying.front().copied() {
                    self.complete(g)?;
                    continue;
                }
                if self.launch_solo()? {
                    continue;
                }
            }
            if self.flying.is_empty() && !self.aside() {
                self.shrink();
            }
            self.take_deep()?;
            self.fleet.take_weaker();
            self.wake()?;
            if self.wants_another() {
                self.extend();
            }
            self.prepare();
            self.not_yet = None;
            for g in 0..self.fleet.groups.len() {
                if !self.fleet.groups[g].in_flight {
                    let begin = Instant::now();
                    self.fill(g)?;
                    let filled = Instant::now();
                    if self.launch(g)? {
                        let vms = self.fleet.groups[g].launched.len();
                        self.trace("launch", g, filled, vms);
                        self.trace("fill", g, begin, vms);
                    }
                }
            }
            // What could not run at all was delivered meanwhile.
            self.settled();
            let next = self.next_step();
            // Of a source that several devices share, that was exhausted, one may give something back, and nobody is
            // woken.
            let look = || Instant::now() + LOOK;
            if let Some(Step::Complete(g)) = next {
                self.complete(g)?;
            } else if let Some(Step::Look(g)) = next {
                self.take_early(g)?;
            } else if let Some(Step::Extend) = next {
                self.extend();
            } else if !self.flying.is_empty() {
                // The source may have inputs for groups that are idle.
            } else if let Some(wake) = self.next_wake() {
                _ = self.fleet.cancel.sleep_until(Some(if self.exhausted { wake.min(look()) } else { wake }));
            } else if let (Some(until), true) = (self.not_yet, self.retry.is_empty()) {
                let until = if self.next_tier.is_some() { until.into_iter().chain([look()]).min() } else { until };
                _ = self.fleet.cancel.sleep_until(until);
            } else if self.exhausted
                && self.waiting.is_none()
                && self.retry.is_empty()
                && self.solo.is_empty()
                && !self.ready()
            {
                if self.left.is_empty() && self.fleet.deep.as_ref().is_none_or(Deep::is_idle) {
                    return Ok(true);
                }
                _ = self.fleet.cancel.sleep_until(Some(look()));
            }
        }
    }

    /// Whether some VM could be launched.
    fn ready(&self) -> bool {
        self.fleet.groups.iter().any(Group::ready)
    }

    /// Tells the source what has become of its inputs.
    fn settled(&mut self) {
        self.source.settled();
        let groups = &self.fleet.groups;
        let usual: usize = groups.iter().filter(|group| group.reruns.is_none()).map(|group| group.occupied).sum();
        let others = self.summary.delivered + usual + usize::from(self.waiting.is_some());
        let free = self.serves && groups.iter().any(|group| !group.in_flight);
        let aside = if free { self.summary.inputs.saturating_sub(others) } else { 0 };
        if std::mem::replace(&mut self.told_aside, aside) != aside {
            self.source.aside(aside);
        }
    }

    pub fn deliver(&mut self, outcome: Outcome) {
        self.summary.delivered += 1;
        (self.sink)(outcome);
    }

    pub fn fail(&mut self, index: usize, reason: String) {
        self.deliver(Outcome {
            index,
            end: End::Failed(reason),
            stdout: Vec::new(),
            stderr: Vec::new(),
            values: Vec::new(),
            fuel_used: 0,
            refused_at: None,
            stack_at: None,
            edges: None,
            files: Vec::new(),
        });
    }

    /// The next new input that can run; those that cannot are delivered as failed.
    fn next_job(&mut self) -> Option<Box<Job>> {
        if let Some(job) = self.waiting.take() {
            return Some(job);
        }
        while !self.exhausted && self.not_yet.is_none() && !self.fleet.cancel.cancelled() {
            if self.closing {
                self.not_yet = Some(None);
                return None;
            }
            // Those that wait there would be ever more.
            if self.fleet.deep.as_ref().is_some_and(|deep| deep.bytes() > self.staged()) {
                self.not_yet = Some(None);
                return None;
            }
            let mut job = match self.source.poll() {
                Polled::Ready(job) => Box::new(job),
                Polled::NotYet(until) => {
                    self.not_yet = Some(until);
                    self.serves = true;
                    return None;
                }
                Polled::Ended => {
                    self.exhausted = true;
                    return None;
                }
            };
            self.summary.inputs += 1;
            match (self.refuse(&mut job), &self.fleet.init) {
                (Some(reason), _) => self.fail(job.index, reason),
                (None, Init::Ended(outcome)) => {
                    let outcome = Outcome { index: job.index, ..(**outcome).clone() };
                    self.deliver(outcome);
                }
                (None, _) => {
                    job.slice = self.fleet.slice(true);
                    return Some(job);
                }
            }
        }
        None
    }

    fn refuse(&self, job: &mut Job) -> Option<String> {
        if job.epoch().spent() {
            return Some("its device failed, and it cannot run again, since its guest has changed files".into());
        }
        let params = &self.entry.params;
        let args: Vec<_> = job.input.args.iter().map(|v| v.ty()).collect();
        if args != *params {
            return Some(format!("{} takes arguments of types {params:?}, and got {args:?}", self.entry.name));
        }
        let limit = self.fleet.common.program.engine().info().max_alloc / 2;
        match own_environment(&self.fleet.options, &job.input) {
            Ok(environment) => job.environment = environment,
            Err(why) => return Some(why.to_string()),
        }
        let length = job.bytes() as u64;
        (length > limit)
            .then(|| format!("its standard input of {length} bytes is larger than the {limit} that the device takes"))
    }

    fn place(&mut self, g: usize, vm: usize, mut job: Box<Job>) {
        let meta = self.fleet.common.program.meta();
        let first = match self.fleet.init {
            Init::Untried(state) | Init::Each(state) => state,
            _ => None,
        };
        let (state, initialising) = (first.unwrap_or(self.entry.state), first.is_some());
        let start = match (self.for_image, &self.fleet.common.image.snapshot) {
            (true, _) if meta.events => Start::UntilInvoke { state, initialising },
            _ if self.fleet.groups[g].kept[vm] => Start::Kept,
            (_, Some(_)) => Start::Snapshot,
            _ if initialising => Start::At { state, message: Vec::new(), initialising },
            _ => Start::At { state, message: message(&job.input.args), initialising },
        };
        if meta.keeps && !self.for_image {
            job.once = true;
            job.slice = self.fleet.slice(false);
        }
        self.solo_running += usize::from(job.solo);
        self.fleet.groups[g].place(&self.fleet.common, vm, job, start, now());
    }

    /// Puts inputs into the free VMs of a group.
    fn fill(&mut self, g: usize) -> Result<()> {
        if self.fleet.groups[g].occupied == self.fleet.groups[g].vms {
            return Ok(());
        }
        // A source that several devices share may have some again. And whether it has one now tells below if inputs
        // that run again still wait for company.
        if std::mem::take(&mut self.exhausted) || !self.retry.is_empty() {
            self.waiting = self.next_job();
        }
        if self.exhausted && self.waiting.is_none() && self.retry.is_empty() {
            return Ok(());
        }
        let base = self.fleet.quota;
        let most = self.staged();
        let group = &self.fleet.groups[g];
        // Inputs that need a larger quota wait until there are enough of them to justify larger buffers with perhaps
        // fewer VMs, or until they are too many to hold.
        let begun = !base.covers(group.quota);
        let kept: usize = self.retry.iter().map(|job| job.bytes()).sum();
        let many = match self.fleet.groups.len() {
            1 => group.vms.div_ceil(4),
            _ => (group.vms / FEW).max(FEWEST).min(group.vms.div_ceil(4)),
        };
        // Those that get a warp each have a launch of their own, side by side: others would wait for them.
        let aside = self.aside();
        let solo = self.retry.iter().any(|job| job.solo);
        let others = self.retry.iter().any(|job| !job.solo);
        // Aside, each kind has its own groups, or one would wait for the other as long as there are more of that.
        let alone = solo && (!aside || !others || self.runs_again(g, true));
        let due = self.exhausted || self.not_yet.is_some() || begun || self.retry.len() >= many || kept >= most;
        // And somebody waits for those of a server, however many others come: where they have groups of their own, they
        // need no company there.
        let waits = self.retry.front().map(|_| *self.retry_waits.get_or_insert_with(Instant::now));
        let late = self.serves && waits.is_some_and(|since| aside || since.elapsed() > COMPANY);
        let due = due || late || alone && self.fleet.groups.len() > 1;
        let mut retry = !self.retry.is_empty() && due;
        let mut wanted = if retry { self.next_quota(g, alone) } else { base };
        if retry && aside && (alone || wanted != base) && !self.runs_again(g, alone) {
            (retry, wanted) = (false, base);
        }
        // A group that is there for such inputs has room for all.
        let shrinks = !(retry || aside && g >= self.groups);
        let group = &mut self.fleet.groups[g];
        if !group.quota.covers(wanted) || (group.quota != wanted && shrinks) {
            if group.occupied > 0 {
                return Ok(());
            }
            match group.set_quota(&self.fleet.common, wanted) {
                Err(Error::Driver(DriverError::OutOfMemory { .. })) if !group.quota.covers(wanted) => {
                    let has = group.quota;
                    // One of the others that are there for such inputs has got the room, and is free soon.
                    let mut further = self.fleet.groups.iter().skip(self.groups);
                    let elsewhere = aside && further.any(|other| other.quota.covers(wanted));
                    if !std::mem::replace(&mut self.apart, true) || elsewhere {
                        return Ok(());
                    }
                    self.lower_quota(has);
                    return Ok(());
                }
                result => result?,
            }
        }
        let group = &self.fleet.groups[g];
        let (quota, usable) = (group.quota, group.usable(&self.fleet.common));
        // A suspended VM still holds its input, which may have to be sent again.
        for vm in 0..usable {
            if self.fleet.groups[g].slots[vm].is_some() {
                continue;
            }
            let staged = self.fleet.groups[g].staged;
            let fits = |job: &Job| staged == 0 || staged + job.bytes() <= most;
            let wants = |job: &Job| job.solo == alone && quota.covers(job.quota);
            let again = if retry { self.retry.iter().position(|job| wants(job)) } else { None };
            let job = match again {
                Some(at) if !fits(&self.retry[at]) => break,
                Some(at) => self.retry.remove(at),
                None if retry && (alone || !base.covers(quota)) => break,
                None => match self.next_job() {
                    Some(job) if !fits(&job) => {
                        self.waiting = Some(job);
                        break;
                    }
                    job => job,
                },
            };
            let Some(job) = job else { break };
            self.place(g, vm, job);
        }
        if retry {
            self.retry_waits = None;
        }
        self.fleet.groups[g].reruns = (retry && (alone || wanted != base)).then_some(alone);
        Ok(())
    }

    /// Whether inputs that need more room or warps of their own run in groups made for them.
    pub fn aside(&self) -> bool {
        let may = self.extends && self.most_groups() > self.groups;
        self.serves && (may || self.fleet.groups.len() > self.groups)
    }

    /// Whether such inputs, `alone` in their warps or not, run in this group now, which is idle.
    fn runs_again(&self, g: usize, alone: bool) -> bool {
        let count = self.retry.iter().filter(|job| job.solo == alone).count();
        count >= self.fleet.groups[g].vms.div_ceil(4) || g >= self.groups && self.few_run_again(alone)
    }

    /// Whether a group more may be for inputs that run again, `alone` in their warps or not.
    fn few_run_again(&self, alone: bool) -> bool {
        let groups = &self.fleet.groups;
        let running = || self.flying.iter().map(|g| &groups[*g]).filter(|group| group.reruns == Some(alone));
        // Where those run that take long, others would wait for the longest; but some groups are left for other kinds.
        let lingering = running().filter(|group| group.lingers()).count();
        let counts = if alone && lingering < (groups.len() - self.groups) / 2 { lingering } else { 0 };
        running().count() - counts < (ASIDE / self.sharers()).max(1)
    }

    /// Whether inputs that run again wait for a group of their own.
    fn wants_another(&self) -> bool {
        let more = |job: &Job| job.solo || !self.fleet.quota.covers(job.quota);
        let wants = |job: &Job| more(job) && self.few_run_again(job.solo);
        // In others VMs sleep.
        let idle = || self.fleet.groups[self.groups..].iter().any(|group| !group.in_flight && group.occupied == 0);
        self.aside()
            && self.extends
            && self.fleet.groups.len() < self.most_groups()
            && self.retry.iter().any(|job| wants(job))
            && !idle()
    }

    /// The quota for inputs that run again, `alone` in their warps or not: the largest, if there is then room for all
    /// of them, else the least; and more than that where there is room, so that they do not come again: each time they
    /// begin anew.
    fn next_quota(&self, g: usize, alone: bool) -> Quota {
        let (base, group) = (self.fleet.quota, &self.fleet.groups[g]);
        let quotas = || self.retry.iter().filter(|job| job.solo == alone).map(|job| job.quota);
        let all = quotas().fold(base, Quota::max);
        let least = quotas().min_by_key(|q| (q.memory, q.frames, q.output));
        let fits = |quota| group.usable_with(&self.fleet.common, quota) >= quotas().count();
        let mut quota = match least {
            Some(least) if self.apart || !fits(all) => return base.max(least),
            _ => all,
        };
        let mut most = group.most_quota(&self.fleet.common);
        most.output = most.output.min(MORE_OUTPUT);
        loop {
            // No more of what they have enough of.
            let twice = |bytes: u64, enough| if bytes > enough { bytes.saturating_mul(2) } else { bytes };
            let (memory, output) = (twice(quota.memory, base.memory), twice(quota.output, base.output));
            let more = Quota { memory: memory.min(most.memory), output: output.min(most.output), ..quota }.max(quota);
            if more == quota || !fits(more) {
                return quota;
            }
            quota = more;
        }
    }

    /// Bytes of standard input that the VMs of a group hold at most.
    fn staged(&self) -> usize {
        let memory = self.fleet.common.program.engine().info().memory;
        let all = usize::try_from((memory / 32).clamp(STAGED.0, STAGED.1)).unwrap_or(usize::MAX);
        all / self.fleet.groups.len().max(1)
    }

    /// The device has no memory for more than the quota that a group `has`: lowers the fleet's to it. Inputs that need
    /// more output or memory fail; those that need a larger call stack run once more with this one, and trap as at any
    /// limit.
    fn lower_quota(&mut self, has: Quota) {
        // A group that is there for inputs that run again may have more.
        if self.fleet.quota.covers(has) {
            self.fleet.quota = has;
        }
        let fits = |job: &Job| job.quota.output <= has.output && job.quota.memory <= has.memory;
        let (keep, fail): (Vec<_>, Vec<_>) = std::mem::take(&mut self.retry).into_iter().partition(|job| fits(job));
        self.retry = keep.into();
        for job in self.retry.iter_mut().filter(|job| job.quota.frames > has.frames) {
            job.quota.frames = has.frames;
            job.most_frames = Some(has.frames);
        }
        for job in fail {
            let why = "the device has no memory for more; try fewer --vms";
            let why = match job.quota.memory > has.memory {
                true => too_much_memory(job.quota.memory),
                false => format!("its output is longer than {} bytes, and {why}", has.output),
            };
            self.fail(job.index, why);
        }
    }

    /// Launches the VMs of a group that are ready.
    fn launch(&mut self, g: usize) -> Result<bool> {
        let apart = self.fleet.common.limit == Limit::Fuel;
        let group = &mut self.fleet.groups[g];
        group.launched.clear();
        if !group.ready() {
            return Ok(false);
        }
        for (vm, slot) in group.slots.iter().enumerate() {
            if let Some(slot) = slot
                && matches!(slot.phase, Phase::Ready(_))
                && !(apart && slot.job.solo)
            {
                group.launched.push(vm as u32);
            }
        }
        self.submit(g)
    }

    /// An input runs again alone, in its warp or, where fuel stands for time, on the device.
    pub fn alone(&mut self, job: Box<Job>) {
        match self.fleet.common.limit {
            Limit::Fuel => self.solo.push_back(job),
            _ => self.retry.push_back(job),
        }
    }

    /// Launches an input that runs alone on the device, since its fuel is measured against the time of the whole
    /// launch: in the group that has such a VM already, else in the first.
    fn launch_solo(&mut self) -> Result<bool> {
        let resumed =
            |s: &Option<super::job::Slot>| s.as_ref().is_some_and(|s| s.job.solo && matches!(s.phase, Phase::Ready(_)));
        let g = self.fleet.groups.iter().position(|group| group.slots.iter().any(resumed)).unwrap_or(0);
        let usable = self.fleet.groups[g].usable(&self.fleet.common);
        let slots = &self.fleet.groups[g].slots[..usable];
        let vm = match (slots.iter().position(resumed), slots.iter().position(Option::is_none)) {
            (Some(vm), _) => vm,
            (None, Some(vm)) => {
                let Some(job) = self.solo.pop_front() else { return Ok(false) };
                self.place(g, vm, job);
                vm
            }
            (None, None) => return Ok(false),
        };
        self.fleet.groups[g].launched = vec![vm as u32];
        let any = self.submit(g)?;
        if any {
            self.complete(g)?;
        }
        Ok(any)
    }

    fn submit(&mut self, g: usize) -> Result<bool> {
        let first = self.summary.launches == 0 && self.flying.is_empty();
        let limit = self.limit(g);
        let begun = !self.fleet.groups[g].launched.is_empty() && self.fleet.submit(g, first, limit)?;
        if begun {
            self.flying.push_back(g);
            self.fleet.tell_meter();
        }
        Ok(begun)
    }

    /// How long the VMs of the next launch may compute, where those that take longer can run again aside: all others of
    /// the group would wait for them.
    fn limit(&self, g: usize) -> Option<Duration> {
        let Limit::Time(most) = self.fleet.common.limit else { return None };
        let group = &self.fleet.groups[g];
        let job = |vm: &u32| Some(&group.slots[*vm as usize].as_ref()?.job);
        let stays = group.launched.iter().filter_map(job).any(|job| job.solo || job.once);
        // A processor goes on with others meanwhile.
        let waits = self.aside() && !self.on_cpu() && !stays;
        // Of a time that the host keeps one may see a step more than passed.
        let timer = self.fleet.common.program.engine().info().timer;
        let step = if timer { Duration::ZERO } else { Duration::from_nanos(TIME_STEP) };
        self.patience.limit().map(|limit| limit + step).filter(|limit| waits && *limit < most)
    }

    /// Waits until one of the launches in flight has ended (the oldest may take much longer than others), or there is
    /// something to do before. `None` if there is none, or once the source may have inputs for a group that is idle.
    fn next_step(&mut self) -> Option<Step> {
        // An idle group also waits for its sleepers.
        let idle = self.flying.len() < self.fleet.groups.len();
        let asks = match (self.not_yet, self.next_wake()) {
            _ if !idle => None,
            (None, wake) => wake.map(Some),
            (Some(until), wake) => Some(until.into_iter().chain(wake).min()),
        };
        let groups = &self.fleet.groups;
        let group = |g: &usize| &groups[*g];
        let looks = self.fleet.common.limit != Limit::Fuel && self.flying.iter().any(|g| group(g).looks());
        let grows = self.extends && self.flying.iter().any(|g| group(g).may_linger());
        let next_tier = self.next_tier.as_ref().and_then(Program::next_tier).filter(|_| !self.closing);
        let watches = asks.is_some() || looks || grows || next_tier.is_some();
        while self.flying.len() > 1 || watches && !self.flying.is_empty() {
            if next_tier.is_some_and(|next| next.compiled().is_some()) {
                return None;
            }
            let mut again = Instant::now() + LOOK;
            for &g in &self.flying {
                match self.fleet.groups[g].ended() {
                    Ok(()) => return Some(Step::Complete(g)),
                    Err(ask) => again = again.min(ask),
                }
            }
            if looks && let Some(g) = self.flying.iter().find(|g| self.fleet.groups[**g].may_look()) {
                return Some(Step::Look(*g));
            }
            if grows && self.may_extend() {
                return Some(Step::Extend);
            }
            match asks {
                None => std::thread::sleep(again.saturating_duration_since(Instant::now())),
                Some(until) => {
                    let woken = self.fleet.cancel.sleep_until(Some(until.map_or(again, |until| until.min(again))));
                    if self.fleet.cancel.cancelled() {
                        break;
                    }
                    if woken || until.is_some_and(|until| until <= Instant::now()) {
                        return None;
                    }
                }
            }
        }
        self.flying.front().copied().map(Step::Complete)
    }

    /// Settles the VMs of a launch that have ended, and for which the others need not be waited for.
    fn take_early(&mut self, g: usize) -> Result<()> {
        let begin = Instant::now();
        let fleet = &mut *self.fleet;
        let ended = fleet.groups[g].look(&fleet.gather)?;
        let mut fates = Vec::with_capacity(ended.len());
        for vm in ended {
            // One that goes on waits for the launch.
            if let fate @ (Fate::End(_) | Fate::Larger(_) | Fate::Deep) =
                fleet.decide(g, vm as usize, Duration::ZERO)?
            {
                fates.push((vm, fate));
            }
        }
        let taken = |vm: &u32| fates.binary_search_by_key(vm, |(vm, _)| *vm).is_ok();
        fleet.groups[g].launched.retain(|vm| !taken(vm));
        if fleet.common.program.options().profile {
            fleet.groups[g].count_visits(fates.iter().map(|(vm, _)| *vm));
        }
        fleet.groups[g].note_few();
        let count = fates.len();
        if !fates.is_empty() {
            self.settle(g, fates)?;
            self.fleet.tell_meter();
        }
        self.trace("look", g, begin, count);
        Ok(())
    }

    /// Whether all groups wait for a few of their VMs, and another might take the next inputs.
    fn may_extend(&self) -> bool {
        let inputs = !self.exhausted || self.waiting.is_some() || !self.retry.is_empty();
        self.extends
            && inputs
            && self.fleet.groups.len() < self.most_groups()
            && self.fleet.groups.iter().all(Group::lingers)
    }

    /// Makes another group, if there is memory for it: with fewer VMs than the others, where there is little.
    fn extend(&mut self) {
        let left = self.most_groups().saturating_sub(self.fleet.groups.len()).max(1);
        let fleet = &mut *self.fleet;
        let memory = fleet.common.program.engine().info().memory / u64::from(fleet.options.sharers.max(1));
        let all: u64 = fleet.groups.iter().map(Group::device_memory).sum();
        let room = (memory / 10 * 7).saturating_sub(all);
        let (most, room) = if self.serves { (FURTHER, room / left as u64) } else { (usize::MAX, room) };
        let group = match fleet.groups.first() {
            Some(first) => first.another(&fleet.common, fleet.quota, most, room),
            _ => Err(Error::Memory("the VMs could not be allocated again after autotuning".into())),
        };
        match group {
            Ok(group) => {
                fleet.cancel.watch(&group.stop);
                fleet.groups.push(group);
            }
            // Then inputs wait.
            Err(_) => self.extends = false,
        }
    }

    /// Makes all that a server may need on a GPU before anything runs: groups, and the fleet for inputs that recurse deep.
    /// Memory may be there, and another program loaded, only when all kernels have ended, and one that loops takes all its
    /// time.
    fn prepare(&mut self) {
        if !self.serves || self.on_cpu() || !self.flying.is_empty() {
            return;
        }
        while self.aside() && self.extends && self.fleet.groups.len() < self.most_groups() {
            self.extend();
        }
        if !std::mem::replace(&mut self.prepared, true) && self.fleet.common.program.may_go_elsewhere() {
            // Else the first that runs there says why not.
            _ = self.make_deep();
        }
    }

    fn on_cpu(&self) -> bool {
        self.fleet.common.program.engine().info().kind == DeviceKind::Cpu
    }

    fn sharers(&self) -> usize {
        self.fleet.options.sharers.max(1) as usize
    }

    fn most_groups(&self) -> usize {
        let most = if self.on_cpu() { MOST_GROUPS } else { (QUEUES / self.sharers()).saturating_sub(OTHERS) };
        most.max(self.groups)
    }

    /// Frees the groups that [`Self::extend`] made, as far as they are idle and the last.
    fn shrink(&mut self) {
        let fleet = &mut *self.fleet;
        while fleet.groups.len() > self.groups
            && let Some(group) = fleet.groups.pop_if(|group| !group.in_flight && group.occupied == 0)
        {
            fleet.cancel.forget(&group.stop);
            fleet.keep_points(&group);
        }
    }

    /// Waits for a launch and settles its VMs.
    fn complete(&mut self, g: usize) -> Result<()> {
        self.flying.retain(|f| *f != g);
        let (elapsed, kernel) = self.fleet.groups[g].finish()?;
        self.summary.launches += 1;
        self.summary.vms_per_warp = self.summary.vms_per_warp.max(self.fleet.groups[g].width);
        self.busy.add(kernel);
        let begin = Instant::now();
        let (vms, width) = (self.fleet.groups[g].began_with.len(), self.fleet.groups[g].width);
        self.fleet.options.meter.launch(kernel, vms);
        if let Some(trace) = &self.fleet.options.trace {
            trace.device(g, kernel, vms, width);
        }
        let mut fates = self.fleet.fates(g, elapsed, kernel)?;
        if self.stopping {
            // The others begin anew.
            fates.retain(|(_, fate)| matches!(fate, Fate::End(_)));
        }
        if self.for_image {
            fates = self.settle_image(g, fates)?;
        }
        self.settle(g, fates)?;
        self.fleet.tell_meter();
        self.trace("settle", g, begin, vms);
        Ok(())
    }

    /// Records what the host did until now.
    pub fn trace(&self, name: &'static str, g: usize, begin: Instant, vms: usize) {
        if let Some(trace) = &self.fleet.options.trace {
            trace.host(name, g, begin, vms);
        }
    }

    /// When the first sleeper wakes or the source may have an input, if a VM of an idle group sleeps.
    fn next_wake(&self) -> Option<Instant> {
        let idle = self.fleet.groups.iter().filter(|group| !group.in_flight);
        let sleeper = idle.filter_map(|group| group.wake).min()?;
        Some(self.not_yet.flatten().map_or(sleeper, |until| until.min(sleeper)))
    }

    /// Wakes the VMs whose time has come, in groups that are not in flight.
    fn wake(&mut self) -> Result<()> {
        for g in 0..self.fleet.groups.len() {
            let group = &self.fleet.groups[g];
            let now = Instant::now();
            if group.in_flight || group.wake.is_none_or(|wake| wake > now) {
                continue;
            }
            let mut earliest: Option<Instant> = None;
            let mut ended = Vec::new();
            for vm in 0..self.fleet.groups[g].vms {
                let Some(slot) = &self.fleet.groups[g].slots[vm] else { continue };
                let Phase::Asleep { wake, clock, wait, over } = slot.phase else { continue };
                if wake > now {
                    earliest = Some(earliest.map_or(wake, |earliest| earliest.min(wake)));
                    continue;
                }
                self.fleet.groups[g].asleep -= 1;
                if let Some(slot) = &mut self.fleet.groups[g].slots[vm] {
                    slot.job.slept += wait;
                }
                if over {
                    ended.push((vm as u32, Fate::End(End::Timeout(Place::default()))));
                } else {
                    let words = &mut self.fleet.groups[g].words;
                    use vectorvisor_translate::abi::Word::Clock;
                    words.set(Clock, vm, words.get(Clock, vm).max(clock));
                    self.resume(g, vm);
                }
            }
            self.fleet.groups[g].wake = earliest;
            if !ended.is_empty() {
                self.settle(g, ended)?;
            }
        }
        Ok(())
    }
}
