//! One run on several devices: their fleets take inputs from one source.
//!
//! Each fleet runs in a thread of its own. What it took and did not deliver is kept, so that a device that fails gives
//! it back. Near the end a device takes only what it ends before the rest is ended by all (`State::may_take`); a device
//! that gets nothing for now asks again after its next launch, or waits when it runs nothing.

use super::job::{Job, Jobs, Numbered};
use super::{CancelHandle, Fleet, key};
use crate::{Autotuning, DeviceKind, Error, Input, Outcome, Result, Stage, Summary};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

/// How often a thread that waits looks whether the run was cancelled.
const LOOK: Duration = Duration::from_millis(20);
/// The past over which a device's speed is measured: inputs may become longer or shorter.
const PAST: f64 = 5.0;
/// Seconds of work that a device may hold whatever others do, where the number of inputs is known, and where it is not:
/// then the run may end at any time, and small launches would cost more than waiting for the last.
const HOLDS: (f64, f64) = (0.02, 1.0);
/// A device takes several inputs at once, where they need not be waited for: one for so many that run at once, and so
/// many at most. Two devices that each take one by one stand in each other's way.
const PART: usize = 64;
const MOST: usize = 256;
/// And no more when they have so many bytes.
const BYTES: usize = 1 << 20;

/// Outcomes that wait for the sink at most.
const DELIVERED: usize = 4096;

/// A device's way into a run: its number, and its fleet and when that autotunes, or why there is none.
pub type Ready = (usize, Result<(Fleet, Autotuning)>);

/// What one of several devices did in a run.
#[derive(Debug, Default)]
pub struct DeviceRun {
    /// Its fleet, unless there was none before the run ended.
    pub fleet: Option<Fleet>,
    /// Its figures; of a device that failed only how many inputs it took and delivered.
    pub summary: Summary,
    /// Why it failed.
    pub failed: Option<String>,
}

/// Several devices that run one program, each with its fleet. `vectorvisor map --backend cuda:0,cpu` is an example.
///
/// ```no_run
/// # fn f(engines: [vectorvisor::Engine; 2], wasm: &[u8]) -> vectorvisor::Result<()> {
/// use vectorvisor::{Autotuning, CancelHandle, Devices, Fleet, FleetOptions, Input, Program, ProgramOptions};
/// let (cancel, (ready, fleets)) = (CancelHandle::default(), std::sync::mpsc::channel());
/// // In threads, the first that is ready would begin.
/// for (device, engine) in engines.iter().enumerate() {
///     let program = Program::new(engine, wasm, &ProgramOptions::default(), &mut |_| {})?;
///     let fleet = Fleet::with_cancel(&program, &FleetOptions::default(), Some(1000), cancel.clone());
///     ready.send((device, fleet.map(|fleet| (fleet, Autotuning::Auto)))).expect("the receiver is there");
/// }
/// let names = ["cuda:0".to_string(), "cpu:0".to_string()];
/// let devices = Devices { names: &names, fleets: &fleets, cancel: &cancel, seed: None };
/// let mut inputs = (0..1000).map(|i| Input::stdin(format!("message {i}")));
/// devices.run("_start", Some(1000), &mut inputs, &mut |outcome| println!("{outcome:?}"), &mut |_, _| {})?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Devices<'a> {
    /// Their names, for messages.
    pub names: &'a [String],
    /// Gives their fleets as they become ready.
    pub fleets: &'a Receiver<Ready>,
    /// With which the fleets were made ([`Fleet::with_cancel`]): it ends the runs of all.
    pub cancel: &'a CancelHandle,
    /// As [`crate::FleetOptions::seed`], for all of them.
    pub seed: Option<u64>,
}

impl Devices<'_> {
    /// Runs every input through an exported function, as [`Fleet::run_autotuned`] does on one device. Each device
    /// begins when its fleet comes, and takes inputs as fast as it ends them. One that fails gives back the inputs that
    /// it has not ended, the others run them, and `progress` gets a warning. A fleet that comes when all inputs have
    /// ended does not run.
    ///
    /// `total` is the number of inputs, exact or estimated. Stages come with the device's number.
    ///
    /// # Errors
    /// All devices failed; it is [`Error::Lost`] if they had taken inputs.
    pub fn run(
        &self,
        entry: &str,
        total: Option<usize>,
        inputs: &mut (dyn Iterator<Item = Input> + Send),
        sink: &mut dyn FnMut(Outcome),
        progress: &mut (dyn FnMut(usize, Stage<'_>) + Send),
    ) -> Result<(Summary, Vec<DeviceRun>)> {
        let Self { names, fleets, cancel, seed } = *self;
        let begin = Instant::now();
        let members = names.iter().map(|_| Member::default()).collect();
        let shared = Shared {
            cancel,
            entry,
            source: Mutex::new(Numbered::new(inputs, key::seed(seed)?)),
            state: Mutex::new(State { members, total, ..State::default() }),
            changed: Condvar::new(),
            progress: Mutex::new(progress),
        };
        let mut devices: Vec<DeviceRun> = names.iter().map(|_| DeviceRun::default()).collect();
        let mut errors: Vec<Option<Error>> = names.iter().map(|_| None).collect();
        let (deliver, outcomes) = sync_channel(DELIVERED);
        thread::scope(|scope| {
            // Here, so that no device waits for it if the sink panics.
            let (deliver, outcomes) = (deliver, outcomes);
            let (mut coming, mut running) = (names.len(), Vec::new());
            while coming > 0 && !shared.lock().over() && !cancel.cancelled() {
                // A device that is ready begins at once, or, while others run, after a moment.
                let (device, ready) = match fleets.recv_timeout(if running.is_empty() { LOOK } else { Duration::ZERO })
                {
                    Ok(ready) => ready,
                    Err(RecvTimeoutError::Disconnected) => break,
                    Err(RecvTimeoutError::Timeout) => {
                        let first = if running.is_empty() { None } else { outcomes.recv_timeout(LOOK).ok() };
                        first.into_iter().chain(outcomes.try_iter().take(DELIVERED)).for_each(&mut *sink);
                        continue;
                    }
                };
                coming -= 1;
                let (shared, deliver) = (&shared, deliver.clone());
                let begun = ready.and_then(|(mut fleet, when)| {
                    let work = move || {
                        let ran = shared.work(device, &mut fleet, when, deliver);
                        (fleet, ran)
                    };
                    let thread = Builder::new().name("vv-device".into()).spawn_scoped(scope, work);
                    thread.map_err(|e| Error::System { what: "cannot start a device's thread", reason: e.to_string() })
                });
                match begun {
                    Ok(thread) => running.push((device, thread)),
                    Err(error) => {
                        shared.fail(device, &error);
                        errors[device] = Some(error);
                    }
                }
            }
            // Until the devices' threads have ended.
            drop(deliver);
            outcomes.into_iter().for_each(&mut *sink);
            for (device, thread) in running {
                let (fleet, ran) = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                devices[device].fleet = Some(fleet);
                match ran {
                    Ok(summary) => devices[device].summary = summary,
                    Err(error) => errors[device] = Some(error),
                }
            }
        });
        let state = shared.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut summary = Summary::default();
        for (device, member) in devices.iter_mut().zip(&state.members) {
            (device.summary.inputs, device.summary.delivered) = (member.inputs, member.delivered);
            summary += device.summary;
        }
        summary.inputs = state.taken;
        summary.elapsed = begin.elapsed();
        summary.cancelled = cancel.cancelled();
        if !summary.cancelled && !state.over() {
            let lost = state.returned.iter().map(|job| job.index).collect();
            return Err(all_failed(names, errors, lost, state.taken > 0));
        }
        for (device, error) in devices.iter_mut().zip(errors) {
            device.failed = error.map(|error| why(&error));
        }
        Ok((summary, devices))
    }
}

/// Of an error of a run without the inputs, which were given back.
fn why(error: &Error) -> String {
    match error {
        Error::Lost { source, .. } => source.to_string(),
        error => error.to_string(),
    }
}

/// The error of a run of which no device is left.
fn all_failed(names: &[String], errors: Vec<Option<Error>>, mut lost: Vec<usize>, began: bool) -> Error {
    let mut all = names.iter().zip(errors).filter_map(|(name, error)| Some((name, error?)));
    let Some((name, first)) = all.next() else {
        return Error::System { what: "no device began", reason: "the threads that prepare them ended".into() };
    };
    let (text, mut same) = (why(&first), true);
    let mut lines = format!("  {name}: {text}");
    for (name, error) in all {
        let other = why(&error);
        same &= other == text;
        lines += &format!("\n  {name}: {other}");
    }
    // What all say, as that the program is invalid, is not the devices' fault.
    let source = match first {
        Error::Lost { source, .. } if same => *source,
        first if same => first,
        _ => Error::AllFailed(lines),
    };
    lost.sort_unstable();
    if began { Error::Lost { lost, source: Box::new(source) } } else { source }
}

type Progress<'a> = dyn FnMut(usize, Stage<'_>) + Send + 'a;

/// What the threads of the devices share. Who holds `state` waits for no other lock.
struct Shared<'a> {
    cancel: &'a CancelHandle,
    entry: &'a str,
    source: Mutex<Numbered<'a, dyn Iterator<Item = Input> + Send + 'a>>,
    state: Mutex<State>,
    /// `state` changed while a device waits.
    changed: Condvar,
    progress: Mutex<&'a mut Progress<'a>>,
}

#[derive(Default)]
struct State {
    members: Vec<Member>,
    /// An estimate of the number of all inputs.
    total: Option<usize>,
    /// Inputs taken from the source.
    taken: usize,
    /// The source has ended.
    ended: bool,
    /// Inputs that failed devices gave back.
    returned: VecDeque<Job>,
    /// Devices that wait for `changed`.
    waiting: usize,
}

/// One device.
#[derive(Default)]
struct Member {
    runs: bool,
    /// It failed, or has no more to do.
    stopped: bool,
    /// VMs that run at the same time.
    at_once: usize,
    /// What it took and has not delivered, and what it is about to take.
    holds: BTreeMap<usize, Job>,
    takes: usize,
    /// How many inputs it was given and delivered.
    inputs: usize,
    delivered: usize,
    speed: Speed,
}

impl Member {
    fn held(&self) -> usize {
        self.holds.len() + self.takes
    }

    /// Seconds until it has ended so many inputs; `None` if its speed is not known yet.
    fn seconds(&self, inputs: usize, now: Instant) -> Option<f64> {
        Some(inputs as f64 / self.speed.of(now)?)
    }
}

/// How many inputs a device ends in a second, of late.
#[derive(Debug, Default)]
struct Speed {
    ended: f64,
    /// When it began to end them, and when it ended the last.
    since: Option<Instant>,
    last: Option<Instant>,
    /// It has had nothing to do since the last.
    idle: bool,
}

impl Speed {
    fn begin(&mut self, now: Instant) {
        let idle = self.last.filter(|_| std::mem::take(&mut self.idle)).map(|last| now.duration_since(last));
        let idle = idle.unwrap_or_default();
        self.since = Some(self.since.map_or(now, |since| since + idle));
        self.last = self.last.map(|last| last + idle);
    }

    fn end(&mut self, now: Instant, idle: bool) {
        self.ended += 1.0;
        (self.last, self.idle) = (Some(now), idle);
        if let Some(since) = &mut self.since
            && now.duration_since(*since).as_secs_f64() > 2.0 * PAST
        {
            self.ended /= 2.0;
            *since += now.duration_since(*since) / 2;
        }
    }

    /// Inputs a second; `None` before the first has ended. Many end together, with a launch, so until the next ones end
    /// time does not count, unless they take longer than all before.
    fn of(&self, now: Instant) -> Option<f64> {
        let (since, last) = (self.since?, self.last?);
        let (ran, silent) = (last.duration_since(since), now.duration_since(last));
        let ran = if self.idle || silent < ran { ran } else { ran + silent };
        Some(self.ended / ran.as_secs_f64().max(1e-6))
    }
}

impl State {
    /// Estimate of the inputs that no device holds.
    fn left(&self) -> usize {
        let source = if self.ended { 0 } else { self.total.unwrap_or(0).saturating_sub(self.taken) };
        source + self.returned.len()
    }

    /// Every input has ended.
    fn over(&self) -> bool {
        self.ended && self.returned.is_empty() && self.members.iter().all(|member| member.held() == 0)
    }

    fn may_have_more(&self) -> bool {
        !self.ended || !self.returned.is_empty()
    }

    /// Whether a device may take so many more inputs: it will have ended all that it holds before the others have ended
    /// the rest, or at least before another would have ended that one.
    fn may_take(&self, device: usize, more: usize, now: Instant) -> bool {
        let own = &self.members[device];
        // As many as run at once tell its speed; then it doubles, since others may only just begin.
        if own.held() + more > own.at_once.max(2 * own.delivered) {
            return false;
        }
        let Some(mine) = own.seconds(own.held() + more, now) else { return true };
        let speeds = self.members.iter().filter(|member| member.runs).filter_map(|member| member.speed.of(now));
        let held: usize = self.members.iter().map(Member::held).sum();
        let rest = (self.left() + held) as f64 / speeds.sum::<f64>();
        let others = || self.members.iter().enumerate().filter(|(i, member)| *i != device && member.runs);
        let longest = others().filter_map(|(_, member)| member.seconds(member.held(), now)).fold(rest, f64::max);
        let soonest = || others().filter_map(|(_, member)| member.seconds(member.held() + 1, now));
        let holds = if self.total.is_some() { HOLDS.0 } else { HOLDS.1 };
        mine <= longest.max(holds) || soonest().all(|other| mine <= other)
    }

    /// How many inputs a device takes next.
    fn takes(&self, device: usize, now: Instant) -> usize {
        // A source whose length is not known may have one now and the next much later.
        let part = (self.members[device].at_once / PART).clamp(1, if self.total.is_some() { MOST } else { 1 });
        let may = |more: &usize| self.may_take(device, *more, now);
        [part, 1].into_iter().find(may).filter(|_| self.may_have_more()).unwrap_or(0)
    }

    /// Estimate of the inputs that a device runs in all.
    fn share(&self, device: usize, now: Instant) -> Option<usize> {
        self.total?;
        let of = |member: &Member| member.speed.of(now).unwrap_or(0.0);
        let all: f64 = self.members.iter().filter(|member| member.runs).map(of).sum();
        let own = &self.members[device];
        let part = if all > 0.0 { of(own) / all } else { 0.0 };
        Some(own.inputs + (self.left() as f64 * part) as usize)
    }
}

impl Shared<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self, state: &State) {
        if state.waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// What a device's thread does: runs inputs until all have ended, also those that other devices give back.
    fn work(
        &self,
        device: usize,
        fleet: &mut Fleet,
        mut when: Autotuning,
        deliver: SyncSender<Outcome>,
    ) -> Result<Summary> {
        let running = Running { shared: self, device, deliver, ended: RefCell::default() };
        self.lock().members[device].at_once = fleet.at_once();
        self.lock().members[device].runs = true;
        fleet.exact_left = fleet.options.exact_reruns;
        let mut summary = Summary::default();
        while running.gets_some() {
            let mut taken = VecDeque::new();
            let mut source = std::iter::from_fn(|| {
                if taken.is_empty() {
                    running.tell();
                    self.take(device, &mut taken);
                }
                taken.pop_front()
            });
            let ran = fleet.run_share(
                self.entry,
                when,
                &|| self.lock().share(device, Instant::now()),
                &mut Jobs::shared(&mut source),
                &mut |outcome| running.deliver(outcome),
                &mut |stage| self.tell(device, stage),
            );
            match ran {
                Ok(more) => summary += more,
                Err(error) => {
                    running.tell();
                    self.fail(device, &error);
                    return Err(error);
                }
            }
            when = Autotuning::Never;
        }
        fleet.remember(&summary);
        Ok(summary)
    }

    /// Waits until there are inputs for a device that has none; `false` if there will be no more.
    fn gets_some(&self, device: usize) -> bool {
        let mut state = self.lock();
        while !state.over() && !self.cancel.cancelled() {
            if state.takes(device, Instant::now()) > 0 {
                return true;
            }
            state.waiting += 1;
            state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
        }
        false
    }

    /// The next inputs for a device; none if it gets none for now.
    fn take(&self, device: usize, taken: &mut VecDeque<Job>) {
        let mut state = self.lock();
        let count = state.takes(device, Instant::now());
        if count == 0 {
            return;
        }
        match state.returned.pop_front() {
            Some(job) => taken.push_back(job),
            None => {
                state.members[device].takes += count;
                drop(state);
                let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
                let (mut bytes, mut ended) = (0, false);
                while taken.len() < count && bytes < BYTES && !ended {
                    // It may wait for its next.
                    let job = source.next();
                    ended = job.is_none();
                    bytes += job.as_ref().map_or(0, Job::bytes);
                    taken.extend(job);
                }
                drop(source);
                state = self.lock();
                state.members[device].takes -= count;
                state.taken += taken.len();
                state.ended |= ended;
            }
        }
        let member = &mut state.members[device];
        if member.holds.is_empty() && !taken.is_empty() {
            member.speed.begin(Instant::now());
        }
        member.inputs += taken.len();
        member.holds.extend(taken.iter().map(|job| (job.index, job.again())));
        if state.ended {
            self.notify(&state);
        }
    }

    fn tell(&self, device: usize, stage: Stage<'_>) {
        (self.progress.lock().unwrap_or_else(PoisonError::into_inner))(device, stage);
    }

    /// Gives back what a device holds, and says how many inputs that are and whether other devices are left.
    fn stop(&self, device: usize) -> (usize, bool) {
        let mut state = self.lock();
        let member = &mut state.members[device];
        (member.runs, member.stopped, member.takes) = (false, true, 0);
        let holds = std::mem::take(&mut member.holds);
        let count = holds.len();
        state.returned.extend(holds.into_values());
        self.changed.notify_all();
        (count, state.members.iter().any(|member| !member.stopped))
    }

    /// A device failed: the others run its inputs. If there are none, the run fails, and its error says why.
    fn fail(&self, device: usize, error: &Error) {
        let (count, others) = self.stop(device);
        let inputs = match count {
            0 => "the other devices go on".into(),
            1 => "the other devices run the input that it had not ended".into(),
            n => format!("the other devices run the {n} inputs that it had not ended"),
        };
        if others {
            let text = format!("failed: {}; {inputs}", why(error));
            self.tell(device, Stage::Warning(&text));
        }
    }
}

/// A device that runs. Dropped, also by a panic, it gives back the inputs that it holds.
struct Running<'a, 'b> {
    shared: &'a Shared<'b>,
    device: usize,
    /// To the thread that has the sink: a lock for each would hold the devices up.
    deliver: SyncSender<Outcome>,
    /// Inputs that it has delivered, and of which the others do not know yet: to tell them each would take as long as
    /// to deliver it.
    ended: RefCell<Vec<usize>>,
}

impl Running<'_, '_> {
    fn deliver(&self, outcome: Outcome) {
        let mut ended = self.ended.borrow_mut();
        ended.push(outcome.index);
        let many = ended.len() >= MOST;
        drop(ended);
        // If the sink has panicked, nobody wants it.
        _ = self.deliver.send(outcome);
        if many {
            self.tell();
        }
    }

    /// Tells the others what has ended.
    fn tell(&self) {
        let ended = std::mem::take(&mut *self.ended.borrow_mut());
        if ended.is_empty() {
            return;
        }
        let (now, mut state) = (Instant::now(), self.shared.lock());
        let member = &mut state.members[self.device];
        for index in ended {
            member.holds.remove(&index);
            member.delivered += 1;
            member.speed.end(now, member.holds.is_empty());
        }
        self.shared.notify(&state);
    }

    /// Waits until there are inputs for it, which has none; `false` if there will be no more.
    fn gets_some(&self) -> bool {
        self.tell();
        self.shared.gets_some(self.device)
    }
}

impl Drop for Running<'_, '_> {
    fn drop(&mut self) {
        self.tell();
        self.shared.stop(self.device);
    }
}

impl Fleet {
    /// VMs that run at the same time.
    fn at_once(&self) -> usize {
        let info = self.common.program.engine().info();
        let tiles = info.parallel_tiles.max(1) as usize;
        let lanes = self.common.program.meta().plan.lanes.max(1) as usize;
        if info.kind == DeviceKind::Cpu { (tiles * lanes).min(self.vms()) } else { self.vms() }.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Devices that hold so many inputs each, of which they have ended so many in the last second.
    fn state(now: Instant, total: Option<usize>, taken: usize, members: &[(usize, u32)]) -> State {
        let since = now.checked_sub(Duration::from_secs(1));
        let one = |(held, ended): &(usize, u32)| Member {
            runs: true,
            at_once: 4,
            takes: *held,
            delivered: *ended as usize * 100,
            speed: Speed { ended: f64::from(*ended), since, last: (*ended > 0).then_some(now), idle: false },
            ..Member::default()
        };
        State { members: members.iter().map(one).collect(), total, taken, ..State::default() }
    }

    #[test]
    fn near_the_end_a_device_holds_what_it_ends_before_the_rest_is_ended() {
        let now = Instant::now();
        let may =
            |total, taken, members: &[(usize, u32)], device| state(now, total, taken, members).may_take(device, 1, now);
        // Of 1,100 a second together, one does 100.
        assert!(may(Some(100_000), 10_000, &[(1000, 1000), (5000, 100)], 1));
        // 550 inputs take half a second.
        assert!(may(Some(10_000), 9950, &[(460, 1000), (40, 100)], 1));
        assert!(!may(Some(10_000), 9950, &[(440, 1000), (60, 100)], 1));
        assert!(may(Some(10_000), 9950, &[(440, 1000), (60, 100)], 0));
        // The other needs so long anyway.
        assert!(may(Some(10_000), 9990, &[(900, 1000), (80, 100)], 1));
        // The last goes where it ends first, and somewhere.
        assert!(may(Some(10_000), 9999, &[(0, 20), (0, 10)], 0) && !may(Some(10_000), 9999, &[(0, 20), (0, 10)], 1));
        // Until its speed is known it holds what runs at once.
        assert!(may(Some(10_000), 0, &[(3, 0), (0, 100)], 0) && !may(Some(10_000), 0, &[(4, 0), (0, 100)], 0));
        assert!(may(Some(10_000), 0, &[(199, 1)], 0) && !may(Some(10_000), 0, &[(200, 1)], 0));
        // Where nothing is known of the end, a second's work.
        assert!(may(None, 1000, &[(10, 1000), (90, 100)], 1) && !may(None, 1000, &[(10, 1000), (110, 100)], 1));
    }

    #[test]
    fn speed_is_that_of_late_and_without_idle_times() {
        let begin = Instant::now();
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        let mut speed = Speed::default();
        speed.begin(begin);
        assert_eq!(speed.of(at(1000)), None);
        (1..=10).for_each(|i| speed.end(at(i * 100), i == 10));
        assert_eq!(speed.of(at(50_000)), Some(10.0));
        speed.begin(at(50_000));
        assert_eq!((speed.of(at(50_900)), speed.of(at(54_000))), (Some(10.0), Some(2.0)));
        (0..200).for_each(|i| speed.end(at(51_000 + i * 1000), false));
        assert!(speed.of(at(251_000)).is_some_and(|speed| (0.8..1.3).contains(&speed)), "{speed:?}");
    }
}
