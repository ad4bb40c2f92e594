//! A group: VMs whose memory is one allocation, the group's buffers, and its launches, one at a time.

use super::epoch::Epoch;
use super::gather::{Gather, Piece};
use super::image::{Begin, ImageBuffer, SLACK, Snapshot};
use super::job::{Job, Phase, Quota, Slot};
use super::now;
use super::sizes::{APART, Limits, MAX_OUT};
use super::staging::{Staging, lasted, padded};
use super::timekeeper::Timekeeper;
use super::words::{Words, goes_on};
use crate::{DeviceKind, Error, Program, Result, Visits};
use std::sync::Arc;
use std::time::{Duration, Instant};
use vectorvisor_driver::{Buffer, BufferId, Device, Error as DriverError, Event, HostVisible, Language, Queue};
use vectorvisor_translate::abi::{ARGS, Arg, PAGE, Par, STOP_AT_INVOKE, Status, Word};
use vectorvisor_wasi::Open;

/// Most loop back-edges between two looks at the stop word and the ticks, on a processor and elsewhere: far above the cost
/// of a look. There are fewer where they take long. On a processor a guest's next ones may take up to 600 ns each, for it
/// to be stopped within 10 ms.
const FUEL_SLICE: (u64, u64) = (1 << 14, 1 << 16);
/// The longest time limit in nanoseconds: a century.
const LONGEST: u64 = 1 << 62;
/// It is noticed that a launch has ended when it has taken that part of its time more; so long is waited at least, and
/// at most.
const ASKS: u32 = 4;
const PAUSE: (Duration, Duration) = (Duration::from_micros(10), Duration::from_micros(500));
/// How long a launch goes on before VMs that have ended are settled without waiting for the others, and the least time
/// between two looks, which is a quarter of what the launch has taken so far: where the host sees the words, and where it
/// has to copy them. (On a processor settling takes it from the VMs.)
const EARLY: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(1));
/// The driver is asked so often about a launch of which the host sees which VMs have ended: it may have failed.
const FAILED: Duration = Duration::from_millis(2);
/// How much longer than twice the time of most of its VMs a launch goes on before another group takes the next inputs.
const LINGER: Duration = Duration::from_millis(20);
/// Most bytes of the points' counters that are sent or fetched at once, unless a VM has more.
const PIECE: usize = 16 << 20;
/// Initial capacity of the buffer for packed inputs, in bytes.
const INPUT: usize = 64 << 10;

/// What all groups of a fleet share.
pub struct Common {
    pub program: Program,
    pub env: Buffer,
    /// The files that the device has.
    pub files: Option<Arc<Buffer>>,
    pub image: ImageBuffer,
    /// Total fuel of an input.
    pub fuel: u64,
    pub limit: Limit,
    /// How many VMs a warp runs; `None` is as few as keep the device busy, and at most [`APART`] if they go different ways.
    pub width: Option<u32>,
    /// Most bytes of a VM's output.
    pub most_output: u64,
}

/// What ends a VM that computes for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    None,
    /// The device, which has a timer, or sees the time that the host keeps.
    Time(Duration),
    /// Fuel that stands for the time.
    Fuel,
}

impl Common {
    /// The VMs go different ways, so that those of a warp run one after another.
    pub fn apart(&self) -> bool {
        self.program.apart()
    }

    /// The most VMs of a warp.
    pub fn most_per_warp(&self) -> u32 {
        let lanes = self.program.meta().plan.lanes;
        let most = if self.apart() { APART } else { lanes };
        self.width.unwrap_or(most).min(lanes)
    }

    /// VMs of a warp in a launch of so many, where so many `warps` keep the device busy. In the `first` of a run each VM has
    /// a warp, if they go different ways: it may have the longest, which the whole run waits for.
    fn width(&self, vms: u32, warps: u32, first: bool) -> u32 {
        match self.width {
            Some(_) => self.most_per_warp(),
            None if first && self.apart() => 1,
            None => width(vms, warps).min(self.most_per_warp()),
        }
    }
}

/// How a VM begins.
pub enum Start {
    /// At a function.
    At {
        state: u32,
        message: Vec<u8>,
        /// `state` is the start function's, not the entry's.
        initialising: bool,
    },
    /// Where the program first asks for a request, to find out in what state that is.
    UntilInvoke { state: u32, initialising: bool },
    /// In the middle of the program, as the image's snapshot says.
    Snapshot,
    /// Where it waits for a request, in the state that earlier ones left.
    Kept,
}

/// The VMs and their buffers.
pub struct Group {
    device: Arc<dyn Device>,
    queue: Queue,
    /// VMs, padded to whole tiles.
    pub vms: usize,
    lanes: u32,
    /// Warps of this group that keep the device busy; 0 if it gets those that others leave.
    pub warps: u32,
    /// VMs that a warp runs in the present or last launch.
    pub width: u32,
    /// How long its VMs may compute, if that is less than they may elsewhere: those that are late run again aside.
    pub limit: Option<Duration>,
    memory: Option<Buffer>,
    /// VMs that have memory, and VMs that have room for output.
    with_memory: usize,
    with_output: usize,
    words_device: Buffer,
    pub words: Words,
    /// The present or last launch has its words in mapped memory.
    near: bool,
    input: Buffer,
    /// Bytes of `input` in use.
    input_used: u64,
    output: Option<Buffer>,
    /// How much output, memory and how many frames each VM has.
    pub quota: Quota,
    limits: Limits,
    par: Buffer,
    pub stop: Arc<HostVisible>,
    timekeeper: Option<Timekeeper>,
    pub slots: Vec<Option<Slot>>,
    /// Occupied VMs.
    pub occupied: usize,
    /// Bytes of standard input that they hold.
    pub staged: usize,
    /// VMs that wait for a time, and the earliest; all other occupied VMs are ready, or launched.
    pub asleep: usize,
    pub wake: Option<Instant>,
    /// VMs that wait for others of their tile; they are not ready either.
    pub at_barrier: usize,
    /// VMs without an input that wait for a request, and keep their state.
    pub kept: Vec<bool>,
    /// The files of VMs that keep their state, between two requests.
    pub open: Vec<Option<Box<Open>>>,
    /// VMs whose memory was never written, on a device whose allocations are zeroed.
    fresh: Vec<bool>,
    /// VMs of the present launch.
    pub launched: Vec<u32>,
    pub in_flight: bool,
    /// VMs that it began with (of which `launched` has those that were not settled yet), and when.
    pub began_with: Vec<u32>,
    /// How many of them outgrew the memory that all have, since that was last raised.
    pub outgrew: usize,
    /// They run again: in warps of their own (`true`), or with more room.
    pub reruns: Option<bool>,
    begun: Instant,
    /// When it is worth while to look whether it has ended, and from when on the driver is asked, too.
    ask: Instant,
    ask_driver: Instant,
    /// When to look for VMs that have ended before the launch has, on a device where the host can.
    look: Option<Instant>,
    /// After what time no more than half of the VMs were left.
    few: Option<Duration>,
    /// The launch has its words.
    sent: Option<Event>,
    /// The host has them.
    received: Option<Event>,
    /// Time of transfers that have ended, until it is taken.
    pub transfers: Duration,
    /// With `profile`: visits of VMs that have come back, until they are taken.
    pub visits: Visits,
    run: Option<Event>,
    /// The program of the present or last launch; keeps its kernels alive.
    program: Program,
}

impl Group {
    /// Allocates everything for `vms` VMs, where so many `warps` keep the device busy.
    pub fn new(common: &Common, vms: u32, warps: u32, quota: Quota, limits: Limits) -> Result<Self> {
        let device = common.program.engine().device();
        let plan = &common.program.meta().plan;
        let vms = vms as usize;
        let early = sees_early(&device.info().language);
        let words = Words::new(device, vms, plan.lanes as usize, early)?;
        let words_device = Buffer::new(device, 8 * u64::from(plan.words) * vms as u64)?;
        let stop = Arc::new(HostVisible::new(device)?);
        let kept = matches!(common.limit, Limit::Time(_)) && !device.info().timer;
        let kept = kept || common.program.meta().kept_time;
        let timekeeper = kept.then(|| Timekeeper::new(&stop)).transpose()?;
        let mut group = Self {
            device: device.clone(),
            queue: Queue::new(device)?,
            vms,
            lanes: plan.lanes,
            warps,
            width: plan.lanes,
            limit: None,
            memory: None,
            with_memory: 0,
            with_output: 0,
            words_device,
            words,
            near: false,
            input: Buffer::new(device, INPUT as u64 + SLACK)?,
            input_used: 0,
            output: None,
            quota,
            limits,
            par: Buffer::new(device, (Par::COUNT * 8) as u64)?,
            stop,
            timekeeper,
            slots: (0..vms).map(|_| None).collect(),
            occupied: 0,
            staged: 0,
            asleep: 0,
            wake: None,
            at_barrier: 0,
            kept: vec![false; vms],
            open: (0..vms).map(|_| None).collect(),
            fresh: Vec::new(),
            launched: Vec::new(),
            in_flight: false,
            began_with: Vec::new(),
            outgrew: 0,
            reruns: None,
            begun: Instant::now(),
            ask: Instant::now(),
            ask_driver: Instant::now(),
            look: None,
            few: None,
            sent: None,
            received: None,
            transfers: Duration::ZERO,
            visits: Visits::default(),
            run: None,
            program: common.program.clone(),
        };
        group.clear_points()?;
        group.allocate(common, false)?;
        Ok(group)
    }

    fn par(&self, common: &Common) -> [u64; Par::COUNT] {
        let mut par = [0; Par::COUNT];
        par[Par::Vms as usize] = self.near().map_or(self.vms, |(vms, _)| vms) as u64;
        debug_assert!(self.quota.output.is_multiple_of(64), "a processor would not notice");
        par[Par::OutCapacity as usize] = self.quota.output;
        par[Par::Segments as usize] = u32::MAX.into();
        par[Par::ImageLow as usize] = common.image.low;
        par[Par::ImageSpans as usize] = common.image.spans;
        par[Par::ImageSpansAt as usize] = common.image.spans_at;
        par[Par::SegmentsAt as usize] = common.image.segments_at;
        par[Par::FuelSlice as usize] = match self.device.info().kind {
            DeviceKind::Cpu => FUEL_SLICE.0,
            // One that is late soon looks soon.
            _ if self.limit.is_some() => FUEL_SLICE.1 / 4,
            _ => FUEL_SLICE.1,
        };
        par[Par::Region as usize] = self.quota.region(&common.program.meta().plan);
        par[Par::Frames as usize] = self.quota.frames;
        par[Par::Width as usize] = self.width.into();
        par[Par::FramesAt as usize] = common.program.meta().plan.frames_at(self.quota.memory);
        par[Par::Memory as usize] = self.quota.memory;
        par[Par::ImageSize as usize] = common.image.size;
        par[Par::ImageFramesAt as usize] = common.image.frames_at;
        par[Par::ImageFrames as usize] = common.image.snapshot.as_ref().map_or(0, |s| s.frames.len() as u64);
        par[Par::Limit as usize] = match common.limit {
            Limit::Time(limit) => u64::try_from(self.limit.unwrap_or(limit).as_nanos()).unwrap_or(LONGEST).min(LONGEST),
            Limit::None | Limit::Fuel => u64::MAX,
        };
        par
    }

    /// Where the results of an entry lie in a VM's region.
    pub fn results_at(&self, common: &Common) -> u64 {
        common.program.meta().plan.frames_at(self.quota.memory) + 8
    }

    /// Of mapped memory, if the present or last launch has its words there: for how many VMs, and what kernels know it by.
    fn near(&self) -> Option<(usize, BufferId)> {
        self.words.near().filter(|_| self.near)
    }

    /// Tells the device the parameters; needed after a change of the image.
    pub fn write_par(&mut self, common: &Common) -> Result<()> {
        let bytes = self.par(common).map(u64::to_le_bytes);
        Ok(self.queue.write(&self.par, 0, bytes.as_flattened())?)
    }

    /// The largest quota that one VM can have: the most of each buffer beside what it has of the others.
    pub fn most_quota(&self, common: &Common) -> Quota {
        let (plan, lanes) = (&common.program.meta().plan, u64::from(self.lanes));
        let beside = |region: u64, unit: u64| (self.limits.memory / lanes).saturating_sub(region) / unit * unit;
        Quota {
            output: (self.limits.output / lanes / 64 * 64).min(MAX_OUT).min(common.most_output),
            frames: beside(plan.region(self.quota.memory, 0), 64).min(plan.frames_limit),
            memory: beside(plan.region(0, self.quota.frames), PAGE).min(plan.memory_limit),
        }
    }

    /// How many VMs have output, and how many have memory, where each has this quota.
    fn fit(&self, common: &Common, quota: Quota) -> (usize, usize) {
        let lanes = self.lanes as usize;
        let fit = |limit: u64, each: u64| {
            let fit = usize::try_from(limit / each.max(1)).unwrap_or(usize::MAX);
            (fit / lanes * lanes).clamp(lanes, self.vms)
        };
        let region = quota.region(&common.program.meta().plan);
        (fit(self.limits.output, quota.output), fit(self.limits.memory, region))
    }

    /// VMs that can work with the present quota.
    pub fn usable(&self, common: &Common) -> usize {
        self.usable_with(common, self.quota).min(self.with_memory).min(self.with_output)
    }

    /// VMs that could work with this quota.
    pub fn usable_with(&self, common: &Common, quota: Quota) -> usize {
        let (output, memory) = self.fit(common, quota);
        output.min(memory)
    }

    /// Whether at least three quarters of the VMs can work with this quota.
    pub fn keeps_most_vms(&self, common: &Common, quota: Quota) -> bool {
        self.usable_with(common, quota) * 4 >= self.vms * 3
    }

    /// Gives each VM another quota; fewer VMs work if it is large. No VM may be occupied. On an error (out of memory)
    /// the group keeps the quota that it had.
    pub fn set_quota(&mut self, common: &Common, quota: Quota) -> Result<()> {
        let before = std::mem::replace(&mut self.quota, quota);
        // Frees the old buffers first: both together may not fit.
        self.output = None;
        if (before.frames, before.memory) != (quota.frames, quota.memory) {
            self.memory = None;
        }
        self.allocate(common, true).or_else(|error| {
            self.quota = before;
            self.output = None;
            self.memory = None;
            self.allocate(common, true)?;
            Err(error)
        })
    }

    /// Allocates the buffers that are missing, for the present quota; if the device has less memory than it should, for
    /// `fewer` VMs than that.
    fn allocate(&mut self, common: &Common, fewer: bool) -> Result<()> {
        let (mut output, mut memory) = self.fit(common, self.quota);
        let (region, lanes) = (self.quota.region(&common.program.meta().plan), self.lanes as usize);
        while self.memory.is_none() {
            match Buffer::new(&self.device, region * memory as u64) {
                Err(DriverError::OutOfMemory { .. }) if fewer && memory > lanes => {
                    memory = (memory / 2).next_multiple_of(lanes);
                }
                buffer => self.memory = Some(buffer?),
            }
            self.with_memory = memory;
            self.kept.fill(false);
            self.fresh = vec![self.device.info().zeroed; self.vms];
        }
        while self.output.is_none() {
            match Buffer::new(&self.device, self.quota.output * output as u64 + SLACK) {
                Err(DriverError::OutOfMemory { .. }) if fewer && output > lanes => {
                    output = (output / 2).next_multiple_of(lanes);
                }
                buffer => self.output = Some(buffer?),
            }
            self.with_output = output;
        }
        self.write_par(common)
    }

    /// Bytes of all buffers that grow with the number of VMs or with their inputs.
    pub fn device_memory(&self) -> u64 {
        let always = [&self.words_device, &self.input].into_iter();
        always.chain(&self.memory).chain(&self.output).map(Buffer::bytes).sum()
    }

    /// Whether VMs could be launched, if none is in flight.
    pub fn ready(&self) -> bool {
        self.occupied > self.asleep + self.at_barrier
    }

    /// Puts an input into a free VM, which begins at the next launch. `now` is its clock if it never ran before.
    pub fn place(&mut self, common: &Common, vm: usize, mut job: Box<Job>, start: Start, now: u64) {
        let clock = *job.clock.get_or_insert(now);
        let kept = std::mem::take(&mut self.kept[vm]) && matches!(start, Start::Kept);
        let initial = Begin { memory: common.program.meta().plan.memory_initial, ..Begin::default() };
        let at = |state: u32, stdin| Begin { state: state.into(), stdin, ..initial };
        let (status, begin, message, initialising) = match start {
            Start::At { state, message, initialising } => (Status::Start, at(state, 0), message, initialising),
            Start::UntilInvoke { state, initialising } => {
                (Status::Start, at(state, STOP_AT_INVOKE), Vec::new(), initialising)
            }
            Start::Snapshot | Start::Kept => {
                let begin = common.image.snapshot.as_ref().map_or(initial, |snapshot| snapshot.begin);
                (Status::Run, begin, Vec::new(), false)
            }
        };
        let w = &mut self.words;
        w.set(Word::Where, vm, u64::MAX);
        w.set(Word::Out, vm, 0);
        w.set(Word::Request, vm, 0);
        w.set(Word::Time, vm, 0);
        w.set(Word::EdgesDirect, vm, 0);
        w.set(Word::EdgesState, vm, 0);
        w.set(Word::EdgesFramed, vm, 0);
        let open = self.open[vm].take().filter(|_| kept);
        if common.program.meta().keeps {
            *job.epoch() = Epoch::kept(open);
        } else if !job.epoch().begin() {
            job.slept = Duration::ZERO;
        }
        if kept {
            self.pass_time(vm);
        } else {
            let w = &mut self.words;
            w.set(Word::State, vm, begin.state);
            w.set(Word::Memory, vm, begin.memory);
            w.set(Word::Frame, vm, begin.frame);
            w.set(Word::Stdin, vm, begin.stdin);
            w.set(Word::Clock, vm, clock);
            w.set(Word::Random, vm, 0);
            if common.program.meta().draws {
                let words = [Word::Key, Word::Key1, Word::Key2, Word::Key3];
                for (word, part) in words.into_iter().zip(job.random.key().as_chunks::<8>().0) {
                    w.set(word, vm, u64::from_le_bytes(*part));
                }
            }
            w.set(Word::Reset, vm, if self.fresh[vm] { 2 } else { 1 });
            self.fresh[vm] = false;
        }
        job.spent = 0;
        let mut slot = Slot { job, phase: Phase::Ready(status), message, stdin_at: None, given: 0, initialising };
        slot.refuel(common, &mut self.words, vm);
        self.vacate(vm);
        self.occupied += 1;
        self.staged += slot.job.bytes();
        self.slots[vm] = Some(slot);
    }

    /// Takes the input out of a VM that is not asleep.
    pub fn vacate(&mut self, vm: usize) -> Option<Slot> {
        let slot = self.slots[vm].take()?;
        self.occupied -= 1;
        self.staged -= slot.job.bytes();
        Some(slot)
    }

    /// Sets the clock of a VM that resumes to the present time, and at least a nanosecond further.
    pub fn pass_time(&mut self, vm: usize) {
        let clock = self.words.get(Word::Clock, vm).saturating_add(1);
        self.words.set(Word::Clock, vm, clock.max(now()));
    }

    /// Begins a launch of the VMs in `launched`, the `first` of a run or not, in which none may compute for longer than
    /// `limit`, and for which there are so many `free` warps. Returns without waiting for it.
    pub fn submit(
        &mut self,
        common: &Common,
        staging: &mut Staging,
        first: bool,
        limit: Option<Duration>,
        free: u32,
    ) -> Result<()> {
        self.stage(staging)?;
        self.words.clear(Word::Status);
        let last = self.launched.iter().copied().max().unwrap_or(0);
        let alone = self.launched.iter().any(|&vm| self.slots[vm as usize].as_ref().is_some_and(|slot| slot.job.solo));
        let warps = if self.warps == 0 { free } else { self.warps.min(free) };
        let width = if alone { 1 } else { common.width(last + 1, warps, first) };
        let profile = common.program.options().profile;
        let near = !profile && self.words.near().is_some_and(|(vms, _)| (last as usize) < vms);
        if (width, limit, near) != (self.width, self.limit, self.near) {
            (self.width, self.limit, self.near) = (width, limit, near);
            self.write_par(common)?;
        }
        for &vm in &self.launched {
            let vm = vm as usize;
            if let Some(Slot { phase: Phase::Ready(status), .. }) = &self.slots[vm] {
                self.words.set(Word::Status, vm, *status as u64);
            }
        }
        let reset = self.launched.iter().any(|&vm| self.words.get(Word::Reset, vm as usize) != 0);
        if near {
            self.words.lend(&self.launched);
        }
        if profile {
            self.words.clear(Word::Visits);
            self.words.clear(Word::WarpVisits);
        }
        let args = self.args(common)?;
        let kernels = common.program.kernels();
        // From here on the pinned buffers belong to the device, also if one of the calls fails.
        self.in_flight = true;
        self.program = common.program.clone();
        (self.began_with, self.outgrew, self.begun) = (self.launched.clone(), 0, Instant::now());
        self.ask = self.begun;
        self.ask_driver = self.begun + if self.sees_near() { FAILED } else { Duration::ZERO };
        self.few = None;
        self.note_few();
        if let Some(timekeeper) = &self.timekeeper {
            timekeeper.start();
        }
        // SAFETY: no transfer uses `words` any more after `finish`, which every path out of here reaches: the owner calls it
        // while `in_flight` is set, and so does `drop`. Before that code touches them only after `look` has found VMs that
        // have ended: then they were sent, and what comes goes to another buffer, `arriving`. Mapped memory is used by atomics.
        unsafe {
            if !near {
                let sent = self.queue.write_async(&self.words_device, 0, &self.words.pinned, self.words.bytes())?;
                self.sent = Some(sent);
            }
            if sees_early(&self.device.info().language) {
                self.look = self.begun.checked_add(self.early());
            }
            if reset {
                let tiles = if common.program.meta().resets_together { last + 1 } else { last / self.lanes + 1 };
                self.queue.launch(kernels.reset, &args, tiles, self.lanes)?;
            }
            self.run = Some(self.queue.launch(kernels.run, &args, last / width + 1, self.lanes)?);
            if near {
                return Ok(());
            }
            let bytes = self.words.changed_bytes(profile);
            self.received = Some(self.queue.read_async(&self.words_device, 0, self.words.arriving(), bytes)?);
        }
        Ok(())
    }

    /// Whether a VM of the last launch had no other in its warp. (The lanes of a processor's tile run one after another.)
    pub fn alone(&self, vm: usize) -> bool {
        let (vm, width) = (vm as u32, self.width.max(1));
        let warp = vm / width * width..(vm / width + 1) * width;
        let begin = self.began_with.partition_point(|other| *other < warp.start);
        let others = self.began_with[begin..].iter().take_while(|other| warp.contains(other)).any(|other| *other != vm);
        self.device.info().kind == DeviceKind::Cpu || !others
    }

    /// Warps of VMs of the last launch that may still go on.
    pub fn warps_in_flight(&self) -> u32 {
        (self.launched.len() as u32).div_ceil(self.width.max(1))
    }

    /// Whether the last launch ran this program.
    pub fn ran(&self, program: &Program) -> bool {
        self.program.is(program)
    }

    /// Whether the launch has ended, so that `finish` need not wait; or when to ask again: each time takes a call of the
    /// driver, so those that run for long are asked rarely.
    pub fn ended(&mut self) -> std::result::Result<(), Instant> {
        let now = Instant::now();
        if now >= self.ask {
            if self.sees_near() && !self.words.any_goes_on(&self.launched) {
                return Ok(());
            }
            // What went wrong `finish` tells.
            if now >= self.ask_driver && self.run.as_ref().is_none_or(|event| event.reached().unwrap_or(true)) {
                return Ok(());
            }
            if self.sees_near() && now >= self.ask_driver {
                self.ask_driver = now + FAILED;
            }
            self.ask = now + ((now - self.begun) / ASKS).clamp(PAUSE.0, PAUSE.1);
        }
        Err(self.ask)
    }

    /// Whether the host sees without the driver which VMs of the present or last launch have ended. (Those of a program
    /// whose functions are all framed stop for the next launch and say that they go on.)
    fn sees_near(&self) -> bool {
        self.near && sees_early(&self.device.info().language) && !self.program.options().force_framed
    }

    /// How long it goes on before VMs that have ended are settled early.
    fn early(&self) -> Duration {
        if self.sees_near() && self.device.info().kind != DeviceKind::Cpu { EARLY.0 } else { EARLY.1 }
    }

    /// Whether the host can look for VMs that have ended while others go on.
    pub fn looks(&self) -> bool {
        self.look.is_some() && self.launched.len() > 1
    }

    /// Whether it is time to look for VMs that have ended while others go on.
    pub fn may_look(&self) -> bool {
        self.looks() && self.look.is_some_and(|look| look <= Instant::now())
    }

    /// Notes when no more than half of the VMs are left of the launch.
    pub fn note_few(&mut self) {
        if self.few.is_none() && self.launched.len() * 2 <= self.vms {
            self.few = Some(self.begun.elapsed());
        }
    }

    /// Whether it may be known of the launch that it lingers.
    pub fn may_linger(&self) -> bool {
        self.look.is_some() && self.vms > 1
    }

    /// Whether the launch waits for a few of its VMs, which take much longer than the others.
    pub fn lingers(&self) -> bool {
        self.in_flight && self.few.is_some_and(|few| self.begun.elapsed() > few * 2 + LINGER)
    }

    /// Another group like this one, with `most` VMs at most, and as have `room`.
    pub fn another(&self, common: &Common, quota: Quota, most: usize, room: u64) -> Result<Self> {
        let lanes = self.lanes as usize;
        let plan = &common.program.meta().plan;
        let each = quota.region(plan) + quota.output + u64::from(plan.words) * 8;
        let fit = usize::try_from(room / each.max(1)).unwrap_or(usize::MAX);
        let vms = self.vms.min(most.max(lanes)).min(fit) / lanes * lanes;
        if vms == 0 {
            return Err(Error::Memory("the rest is for inputs that need more".into()));
        }
        let warps = if self.device.info().kind == DeviceKind::Cpu { self.warps } else { 0 };
        Self::new(common, vms as u32, warps, quota, self.limits)
    }

    /// Looks for VMs of `launched` that have ended while others go on, and takes their words.
    pub fn look(&mut self, gather: &Gather) -> Result<Vec<u32>> {
        self.look = Instant::now().checked_add((self.begun.elapsed() / 4).max(self.early()));
        if self.near {
            let ended = self.words.ended_near(&self.launched);
            self.words.take_near(&ended);
            self.forget_reset(&ended);
            return Ok(ended);
        }
        if !self.sent.as_ref().is_some_and(|sent| sent.reached().unwrap_or(false)) {
            return Ok(Vec::new());
        }
        let profile = self.program.options().profile;
        let mut rows = vec![0; self.vms * 8];
        gather.read(&self.words_device, &mut rows)?;
        let words = rows.as_chunks::<8>().0;
        let word = |vm: &u32| u64::from_le_bytes(words[*vm as usize]);
        let ended: Vec<u32> = self.launched.iter().copied().filter(|vm| !goes_on(word(vm))).collect();
        if !ended.is_empty() {
            // Read after the status, the others are those of the end.
            rows.resize(self.words.changed_bytes(profile), 0);
            gather.read(&self.words_device, &mut rows)?;
            self.words.take(&ended, &rows);
            self.forget_reset(&ended);
        }
        Ok(ended)
    }

    /// The memory of these VMs was restored.
    fn forget_reset(&mut self, vms: &[u32]) {
        vms.iter().for_each(|vm| self.words.set(Word::Reset, *vm as usize, 0));
    }

    /// Counts the visits of VMs that have come back.
    pub fn count_visits(&mut self, vms: impl Iterator<Item = u32>) {
        for vm in vms {
            let [lanes, warps] = [Word::Visits, Word::WarpVisits].map(|word| self.words.get(word, vm as usize));
            self.visits += Visits { lanes, warps };
        }
    }

    /// What the VMs counted at each point since the group was made. No launch may be in flight.
    pub fn points(&self) -> Result<Vec<Visits>> {
        let (mut at, end) = (self.words.bytes() as u64, self.words_device.bytes());
        let each = ((end - at) as usize / self.vms).max(1);
        let mut sums = vec![Visits::default(); each / 16];
        let mut some = vec![0; (PIECE / each).max(1) * each];
        while at < end {
            let bytes = some.len().min((end - at) as usize);
            self.queue.read(&self.words_device, at, &mut some[..bytes])?;
            for vm in some[..bytes].as_chunks::<8>().0.chunks_exact(each / 8) {
                for (sum, counters) in sums.iter_mut().zip(vm.as_chunks::<2>().0) {
                    let [lanes, warps] = counters.map(u64::from_le_bytes);
                    *sum += Visits { lanes, warps };
                }
            }
            at += bytes as u64;
        }
        Ok(sums)
    }

    /// The VMs begin to count.
    fn clear_points(&mut self) -> Result<()> {
        let (begin, end) = (self.words.bytes() as u64, self.words_device.bytes());
        let zeros = vec![0; PIECE.min((end - begin) as usize)];
        for at in (begin..end).step_by(PIECE) {
            self.queue.write(&self.words_device, at, &zeros[..PIECE.min((end - at) as usize)])?;
        }
        Ok(())
    }

    /// Waits for the launch. Returns how long it took, and when the program's kernel began and ended, in nanoseconds of the
    /// device's clock.
    pub fn finish(&mut self) -> Result<(Duration, (u64, u64))> {
        let ended = self.queue.finish();
        self.in_flight = false;
        if let Some(timekeeper) = &self.timekeeper {
            timekeeper.stop();
        }
        let elapsed = self.begun.elapsed();
        self.look = None;
        let transfers = [self.sent.take(), self.received.take()];
        if ended.is_ok() {
            self.transfers += transfers.iter().flatten().map(lasted).sum::<Duration>();
            let profile = self.program.options().profile;
            if self.near {
                self.words.take_near(&self.launched);
            } else {
                self.words.arrived(&self.launched, profile);
            }
            if profile {
                let launched = std::mem::take(&mut self.launched);
                self.count_visits(launched.iter().copied());
                self.launched = launched;
            }
        }
        // Others, which wait for a launch of their own, may lie in tiles that this one did not reach.
        let launched = std::mem::take(&mut self.launched);
        self.forget_reset(&launched);
        self.launched = launched;
        // A driver may be unable to measure the kernel's time.
        let times = self.run.take().and_then(|event| event.times().ok());
        ended?;
        Ok((elapsed, times.unwrap_or_default()))
    }

    /// Fetches pieces of VMs that have ended; others may go on.
    pub fn fetch(&self, common: &Common, gather: &mut Gather, pieces: &[Piece]) -> Result<Vec<Vec<u8>>> {
        let args = self.args(common)?;
        let interleaved = common.program.meta().plan.cell > 0;
        gather.run(common.program.kernels().gather, self.lanes, interleaved, args, pieces)
    }

    /// The bytes of packed inputs that `launched` VMs need, if there is no room for them.
    pub fn lacks(&self) -> Option<u64> {
        Some(self.needed()).filter(|need| need + SLACK > self.input.bytes())
    }

    /// Makes room for so many bytes of packed inputs, unless the buffers are in use.
    pub fn reserve(&mut self, bytes: u64) -> Result<()> {
        if self.in_flight || self.slots.iter().flatten().any(|slot| slot.stdin_at.is_some()) {
            return Ok(());
        }
        self.grow(bytes)
    }

    fn grow(&mut self, bytes: u64) -> Result<()> {
        let bytes = bytes.min(self.device.info().max_alloc.saturating_sub(SLACK)).max(self.needed());
        if self.input.bytes() < bytes + SLACK {
            self.input = Buffer::new(&self.device, bytes + SLACK)?;
        }
        Ok(())
    }

    /// Takes all inputs out of the VMs.
    pub fn take_back(&mut self) -> impl Iterator<Item = Box<Job>> {
        if self.in_flight {
            // Its results are discarded, so an error is too.
            _ = self.finish();
        }
        self.launched.clear();
        (self.occupied, self.staged, self.asleep, self.wake, self.at_barrier) = (0, 0, 0, None, 0);
        self.slots.iter_mut().filter_map(Option::take).map(|slot| slot.job)
    }

    /// Replaces the fleet's image.
    pub fn upload_image(
        &mut self,
        common: &mut Common,
        image: &vectorvisor_translate::Image,
        snapshot: Option<Snapshot>,
    ) -> Result<()> {
        let plan = &common.program.meta().plan;
        common.image = ImageBuffer::new(&self.device, &self.queue, image, snapshot, plan)?;
        Ok(())
    }

    fn args(&self, common: &Common) -> Result<[Option<BufferId>; ARGS]> {
        let (Some(memory), Some(output)) = (&self.memory, &self.output) else {
            return Err(Error::Memory("the device has no memory left for what it had before".into()));
        };
        let mut args = [None; ARGS];
        args[Arg::Memory as usize] = Some(memory.id());
        args[Arg::Words as usize] = Some(self.near().map_or(self.words_device.id(), |(_, id)| id));
        args[Arg::Input as usize] = Some(self.input.id());
        args[Arg::Output as usize] = Some(output.id());
        args[Arg::Image as usize] = Some(common.image.buffer.id());
        args[Arg::Env as usize] = Some(common.env.id());
        args[Arg::Par as usize] = Some(self.par.id());
        args[Arg::Stop as usize] = Some(self.stop.id());
        args[Arg::Pack as usize] = common.files.as_ref().map(|files| files.id());
        Ok(args)
    }

    /// Sends standard inputs and messages of the VMs in `launched` to the device, packed, in one transfer.
    ///
    /// The input buffer fills from its start. What suspended VMs have not read yet stays where it is; when the buffer
    /// is full everything begins anew, and a VM's standard input is sent again when it is next launched.
    fn stage(&mut self, staging: &mut Staging) -> Result<()> {
        let capacity = self.input.bytes() - SLACK;
        let held = self.slots.iter().flatten().any(|s| s.stdin_at.is_some() && s.job.bytes() > 0);
        let mut base = if held { self.input_used } else { 0 };
        let mut need = self.needed();
        if base + need > capacity {
            for slot in self.slots.iter_mut().flatten() {
                slot.stdin_at = None;
            }
            base = 0;
            need = self.needed();
            if need > capacity {
                // Doubled, or inputs of rising size would each need a new buffer.
                self.grow(need.saturating_mul(2))?;
            }
        }
        let mut at = base;
        let mut begins = |bytes: usize| {
            let begin = at;
            at += padded(bytes) as u64;
            begin
        };
        let mut with_stdin = Vec::with_capacity(self.launched.len());
        for &vm in &self.launched {
            let vm = vm as usize;
            let Some(slot) = &mut self.slots[vm] else { continue };
            with_stdin.push(slot.stdin_at.is_none());
            if slot.stdin_at.is_none() {
                let own = slot.job.environment.len();
                let environment = begins(own);
                self.words.set(Word::Environment, vm, if own > 0 { environment + 1 } else { 0 });
                let bytes = slot.job.input.stdin.len();
                let offset = begins(bytes);
                slot.stdin_at = Some(offset);
                self.words.set(Word::InputOffset, vm, offset);
                self.words.set(Word::InputLength, vm, bytes as u64);
            }
            let offset = begins(slot.message.len());
            self.words.set(Word::MessageOffset, vm, offset);
            self.words.set(Word::MessageLength, vm, slot.message.len() as u64);
        }
        self.input_used = base + need;
        let slots = self.launched.iter().filter_map(|&vm| self.slots[vm as usize].as_ref());
        let parts = slots.zip(with_stdin).flat_map(|(slot, with)| {
            let (environment, stdin): (&[u8], &[u8]) =
                if with { (&slot.job.environment, &slot.job.input.stdin) } else { (&[], &[]) };
            [environment, stdin, &slot.message]
        });
        staging.send(&self.queue, &self.input, base, parts)
    }

    /// Bytes that `launched` VMs have to be sent.
    fn needed(&self) -> u64 {
        let slots = self.launched.iter().filter_map(|&vm| self.slots[vm as usize].as_ref());
        let bytes = |slot: &Slot| {
            let stdin = match slot.stdin_at {
                None => padded(slot.job.environment.len()) + padded(slot.job.input.stdin.len()),
                Some(_) => 0,
            };
            (stdin + padded(slot.message.len())) as u64
        };
        slots.map(bytes).sum()
    }
}

/// Whether the host sees what a VM stored as soon as it has ended, by the text's `VV_PUBLISH`. Kernels in C run in the host's
/// memory; elsewhere it takes a fence, and copies and kernels that run beside the launch.
fn sees_early(language: &Language) -> bool {
    matches!(language, Language::C | Language::Cuda)
}

/// How many of `vms` VMs a warp runs, a power of two, where so many `warps` keep the device busy: lanes of a warp wait for
/// each other where their VMs take different ways, so few VMs go to that many warps.
fn width(vms: u32, warps: u32) -> u32 {
    vms.div_ceil(warps.max(1)).next_power_of_two()
}

impl Slot {
    /// Fills up the fuel for the next launch.
    pub fn refuel(&mut self, common: &Common, words: &mut Words, vm: usize) {
        self.given = common.fuel.saturating_sub(self.job.spent).min(self.job.slice);
        words.set(Word::Fuel, vm, self.given);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.in_flight {
            // The pinned buffers must outlive the transfers; an error changes nothing about that.
            _ = self.queue.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn few_vms_go_to_as_many_warps_as_keep_the_device_busy() {
        let width = |vms| super::width(vms, 100);
        assert_eq!([1, 100, 101, 200, 300, 1700, 5000].map(width), [1, 1, 2, 2, 4, 32, 64]);
        assert_eq!(super::width(3, 0), 4);
    }
}
