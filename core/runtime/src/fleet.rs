//! Fleet: device memory for many VMs of one program, and the loop that runs inputs through them.

mod autotune;
mod busy;
mod cancel;
mod deep;
mod devices;
mod epoch;
mod files;
mod gather;
mod group;
mod image;
mod instances;
mod job;
mod key;
mod launch;
mod learn;
mod patience;
mod punctual;
mod run;
mod settle;
mod sizes;
mod spread;
mod staging;
mod start;
mod tier;
mod timekeeper;
mod words;

pub use autotune::Tuner;
pub use cancel::{CancelHandle, Waker};
pub use devices::{DeviceRun, Devices, Ready};
pub(crate) use image::SLACK;
pub use instances::{Call, Instances, Returned};

use crate::meter::Gauges;
use crate::{Error, FleetOptions, Input, Outcome, Program, Result, Source, Summary, Trap, Visits};
use deep::Deep;
use gather::Gather;
use group::{Common, Group, Limit};
use job::{Job, Jobs, Numbered, Quota, Served};
use learn::Needs;
use sizes::{Need, whole_lines};
use staging::Staging;
use start::Init;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vectorvisor_driver::{Buffer, Queue};
use vectorvisor_translate::Entry;
use vectorvisor_translate::abi::UNLIMITED_FUEL;
use vectorvisor_translate::host::FilesAt;
use vectorvisor_wasi::{Files, Snapshot};

/// Many VMs of one program on one device.
///
/// Threads of a fleet may go on compiling after a run or even after the fleet (a compiler cannot be stopped). A process
/// that ends meanwhile must not run the destructors of drivers' libraries, as `exit` does; `_exit` is fine.
///
/// ```no_run
/// # fn f(program: &vectorvisor::Program) -> vectorvisor::Result<()> {
/// use vectorvisor::{End, Fleet, FleetOptions, Input, Value};
/// let mut fleet = Fleet::new(program, &FleetOptions::default(), Some(100))?;
/// let mut inputs = (0..100).map(|n| Input::args(vec![Value::I64(n)]));
/// let summary = fleet.run("factorial", &mut inputs, &mut |outcome| {
///     assert_eq!(outcome.end, End::Exit(0));
///     println!("{}! = {}", outcome.index, outcome.values[0]);
/// })?;
/// println!("{} launches", summary.launches);
/// # Ok(())
/// # }
/// ```
pub struct Fleet {
    // Dropped before `common`: launches in flight use its buffers, and a group waits for its launch when it is dropped.
    groups: Vec<Group>,
    common: Common,
    /// One for all groups: it is used while the loop waits.
    gather: Gather,
    staging: Staging,
    options: FleetOptions,
    /// What each VM gets: the largest quota so far with which at least three quarters of the VMs can work, or that many
    /// inputs need.
    quota: Quota,
    /// What inputs needed.
    needs: Needs,
    init: Init,
    cancel: CancelHandle,
    exact: Exact,
    /// Where inputs run that recursed too deep; made for the first.
    deep: Option<Deep>,
    /// Inputs of the present run that may still run again for the exact place of a trap.
    exact_left: usize,
    /// The program as the caller made it; `common.program` differs from it after [`Self::drop_assumption`].
    made: Program,
    /// What VMs counted whose groups are freed.
    freed: Vec<Visits>,
    /// Fuel per second that one VM was seen to use at least; for devices without the time.
    rate: f64,
}

/// The program that stops at each bad access, with one VM.
enum Exact {
    NotYet,
    Ready(Box<Fleet>),
    /// It could not be made; traps keep their approximate place.
    Failed,
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("vms", &self.vms()).field("program", &self.common.program).finish_non_exhaustive()
    }
}

/// A loop that takes a microsecond per iteration: slower than nearly all, so the first guess stops too early, not too
/// late.
const FIRST_RATE: f64 = 1e6;

impl Fleet {
    /// Allocates memory for VMs and prepares them. `inputs_hint` bounds their number by how many inputs there will be.
    ///
    /// # Errors
    /// Not even one tile fits, or an option makes no sense.
    pub fn new(program: &Program, options: &FleetOptions, inputs_hint: Option<usize>) -> Result<Self> {
        Self::with_cancel(program, options, inputs_hint, CancelHandle::default())
    }

    /// Like [`Fleet::new`], with a handle that ends its runs and those of other fleets.
    ///
    /// # Errors
    /// Those of [`Fleet::new`].
    pub fn with_cancel(
        program: &Program,
        options: &FleetOptions,
        inputs: Option<usize>,
        cancel: CancelHandle,
    ) -> Result<Self> {
        let need =
            Need::first(&program.meta().plan, program.first_memory(), program.learnt().map(|learnt| learnt.output));
        Self::with_need(program, options, need, inputs, cancel)
    }

    fn with_need(
        program: &Program,
        options: &FleetOptions,
        need: Need,
        inputs: Option<usize>,
        cancel: CancelHandle,
    ) -> Result<Self> {
        let common = common(program, options)?;
        let (groups, quota) = allocate(&common, options, need, inputs)?;
        for group in &groups {
            cancel.watch(&group.stop);
        }
        let largest = groups.iter().map(|group| group.vms).max().unwrap_or(0);
        Ok(Self {
            gather: Gather::new(program.engine().device(), largest)?,
            staging: Staging::new(program.engine().device(), largest)?,
            groups,
            common,
            options: options.clone(),
            quota,
            needs: Needs::default(),
            init: Init::new(program.meta()),
            cancel,
            exact: Exact::NotYet,
            deep: None,
            exact_left: 0,
            made: program.clone(),
            freed: Vec::new(),
            rate: FIRST_RATE,
        })
    }

    /// Bytes of the memory, globals, tables and call stack that each VM has, as far as they all fit.
    pub fn vm_memory(&self) -> u64 {
        self.quota.region(&self.common.program.meta().plan)
    }

    /// Number of VMs, in whole tiles.
    pub fn vms(&self) -> usize {
        self.groups.iter().map(|g| g.vms).sum()
    }

    /// Device memory of the VMs and of the groups' buffers, in bytes.
    pub fn memory(&self) -> u64 {
        self.groups.iter().map(Group::device_memory).sum()
    }

    /// What the meter tells.
    fn tell_meter(&mut self) {
        let transfers = self.groups.iter_mut().map(|group| &mut group.transfers);
        let transfers = transfers.chain([&mut self.staging.transfers, &mut self.gather.transfers]);
        let meter = &self.options.meter;
        meter.add_transfer(transfers.map(std::mem::take).sum());
        self.groups.iter_mut().for_each(|group| meter.add_visits(std::mem::take(&mut group.visits)));
        let flying = self.groups.iter().filter(|group| group.in_flight);
        let busy = flying.map(|group| group.launched.len() as u64).sum();
        let occupied: u64 = self.groups.iter().map(|group| group.occupied as u64).sum();
        let pinned: usize = self.groups.iter().map(|group| group.words.pinned_bytes()).sum();
        meter.set(Gauges {
            vms: self.vms() as u64,
            busy,
            waiting: occupied.saturating_sub(busy),
            device_bytes: self.memory(),
            pinned_bytes: (pinned + self.staging.pinned_bytes() + self.gather.pinned_bytes()) as u64,
        });
    }

    /// What its VMs counted, in the order of [`crate::Meta::points`], if the program is made with
    /// [`crate::ProgramOptions::profile`]. Inputs that run elsewhere (interpreted, after autotuning, or as they recurse
    /// too deep) are not in it, and those that ran again count each time.
    ///
    /// # Errors
    /// The device fails.
    pub fn visits(&self) -> Result<Vec<Visits>> {
        let mut all = self.freed.clone();
        for group in &self.groups {
            add(&mut all, group.points()?);
        }
        Ok(all)
    }

    /// Keeps what the VMs of a group counted that is freed.
    fn keep_points(&mut self, group: &Group) {
        if !self.common.program.options().profile {
            return;
        }
        // A device that fails here fails in other places, too.
        if let Ok(points) = group.points() {
            add(&mut self.freed, points);
        }
    }

    /// The program that the VMs run: after autotuning, or after a VM broke an assumption, not the one given to
    /// [`Fleet::new`].
    pub fn program(&self) -> &Program {
        &self.common.program
    }

    /// The folders that its guests are given.
    pub fn files(&self) -> Option<&Files> {
        self.options.files.as_deref()
    }

    /// Ends runs of this fleet early, from any thread.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// Runs every input through an exported function. Outcomes arrive in the order in which they end, each with its
    /// input's number. Inputs are taken from the iterator when a VM is free for them.
    ///
    /// # Errors
    /// There is no such entry; or [`Error::Lost`] when the device fails: what was delivered by then stands. What goes
    /// wrong in one VM is that input's [`Outcome`], and ends no other.
    pub fn run(
        &mut self,
        entry: &str,
        inputs: &mut dyn Iterator<Item = Input>,
        sink: &mut dyn FnMut(Outcome),
    ) -> Result<Summary> {
        let mut numbered = self.begin(inputs)?;
        let summary = self.run_jobs(entry, &mut Jobs::new(&mut numbered), sink)?;
        self.remember(&summary);
        Ok(summary)
    }

    /// Like [`Fleet::run`], for inputs that come now and then: the run goes on until the source has ended. Inputs that
    /// there are begin at once where a group of VMs is idle. A source that has none may wake the run
    /// ([`Fleet::waker`]) when it has some.
    ///
    /// # Errors
    /// Those of [`Fleet::run`].
    pub fn serve(
        &mut self,
        entry: &str,
        source: &mut dyn Source<Input>,
        sink: &mut dyn FnMut(Outcome),
    ) -> Result<Summary> {
        self.exact_left = self.options.exact_reruns;
        let mut served = Served::new(source, key::seed(self.options.seed)?);
        let summary = self.run_jobs(entry, &mut served, sink)?;
        self.remember(&summary);
        Ok(summary)
    }

    /// Tells a run of this fleet that its source has inputs, from any thread.
    pub fn waker(&self) -> Waker {
        self.cancel.waker()
    }

    /// Lets later fleets begin with what was enough for nearly all inputs of this one; and if it was interpreted to its
    /// end, for how long.
    fn remember(&self, summary: &Summary) {
        if self.made.next_tier().is_some() {
            self.made.remember_interpreted(summary.elapsed.as_secs_f64());
        } else if let Some(enough) = self.needs.enough(&self.made.meta().plan) {
            self.made.remember_learnt(enough);
        }
    }

    /// Begins a run, which may have several parts.
    fn begin<'a, I: Iterator<Item = Input> + ?Sized>(&mut self, inputs: &'a mut I) -> Result<Numbered<'a, I>> {
        self.exact_left = self.options.exact_reruns;
        Ok(Numbered::new(inputs, key::seed(self.options.seed)?))
    }

    /// The exact place of an out-of-bounds access, by running its input again.
    fn exact_place(&mut self, entry: &Entry, job: &Job) -> Option<Trap> {
        if matches!(self.exact, Exact::NotYet) {
            let made = self.make_exact();
            self.exact = made.map_or(Exact::Failed, |fleet| Exact::Ready(Box::new(fleet)));
        }
        if self.logs() {
            // It asks for nothing else before it ends.
            job.epoch().close();
        }
        let Exact::Ready(fleet) = &mut self.exact else { return None };
        let mut found = None;
        let mut sink = |outcome: Outcome| {
            if let crate::End::Trap(trap) = outcome.end {
                found = Some(trap);
            }
        };
        // The names are the same, the states need not be.
        let program = fleet.common.program.clone();
        run::run(fleet, program.entry(&entry.name)?, &mut std::iter::once(job.again()), &mut sink).ok()?;
        found
    }

    /// A VM of group `g` violated an assumption of the program (alignment, no stores into shared data): from the next
    /// launch on, the fleet runs a program without it. Layout and states stay the same, so suspended VMs go on where
    /// they are.
    fn drop_assumption(&mut self, g: usize) -> Result<()> {
        // A launch of an earlier program says nothing about the present one.
        if self.groups[g].ran(&self.common.program)
            && let Some(program) = self.common.program.without_assumption()?
        {
            self.common.program = program;
        }
        Ok(())
    }

    /// As [`Self::drop_assumption`], for a server: the other program compiles beside the run, which goes on with it as soon
    /// as it is there. `true` if the input has to run elsewhere meanwhile.
    fn drop_assumption_beside(&self, g: usize) -> bool {
        self.groups[g].ran(&self.common.program) && self.common.program.begin_weaker().is_some()
    }

    /// Goes on with the program that [`Self::drop_assumption_beside`] began to compile, if it is there. Else those that
    /// violate an assumption run elsewhere.
    fn take_weaker(&mut self) {
        if let Some(program) = self.common.program.take_weaker() {
            self.common.program = program;
        }
    }

    /// Whether what the host tells guests is logged: not what it says of files that they cannot change on a disk, which
    /// it is asked once more.
    fn logs(&self) -> bool {
        !self.common.program.meta().files.with_host() || self.changes_files()
    }

    /// Whether guests can change files on a disk.
    fn changes_files(&self) -> bool {
        self.common.program.meta().files.with_host() && self.options.files.as_ref().is_some_and(|f| f.may_change())
    }

    /// From the next launch on, the program makes no assumption that a VM might violate: one cannot run again.
    fn drop_assumptions(&mut self) -> Result<()> {
        if let Some(program) = self.common.program.without_assumptions()? {
            self.common.program = program;
        }
        Ok(())
    }

    fn make_exact(&self) -> Result<Self> {
        let program = self.common.program.exact()?;
        let options = FleetOptions {
            vms: Some(1),
            exact_reruns: 0,
            out_capacity: u32::try_from(self.quota.output).ok(),
            // A detail of a message is not worth a longer wait.
            timeout: Some(self.options.timeout.unwrap_or(Duration::from_secs(60))),
            ..self.options.clone()
        };
        Self::with_cancel(&program, &options, Some(1), self.cancel.clone())
    }

    /// Frees the VMs. No input can run afterwards.
    fn release(&mut self) {
        for group in self.groups.drain(..) {
            self.cancel.forget(&group.stop);
        }
        self.options.meter.set(Gauges::default());
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.release();
    }
}

/// Adds up what was counted at each point.
fn add(all: &mut Vec<Visits>, more: Vec<Visits>) {
    all.resize(all.len().max(more.len()), Visits::default());
    all.iter_mut().zip(more).for_each(|(all, more)| *all += more);
}

/// The buffers that all groups read.
fn common(program: &Program, options: &FleetOptions) -> Result<Common> {
    let device = program.engine().device();
    let meta = program.meta();
    let queue = Queue::new(device)?;
    let environment = image::environment(options)?;
    let env = Buffer::new(device, environment.len() as u64 + image::SLACK)?;
    queue.write(&env, 0, &environment)?;
    let files = match meta.files {
        FilesAt::Device => {
            let given = options.files.as_ref().and_then(|files| files.snapshot().ok());
            let none = Snapshot::empty();
            Some(program.engine().with_files(&given.unwrap_or(&none).bytes)?)
        }
        FilesAt::Nowhere | FilesAt::Host | FilesAt::Disk => None,
    };
    let image = image::ImageBuffer::new(device, &queue, &meta.image, None, &meta.plan)?;
    let fuel = options.fuel.unwrap_or(UNLIMITED_FUEL).min(UNLIMITED_FUEL);
    let info = program.engine().info();
    let limit = match options.timeout {
        Some(timeout) if info.timer || info.live_shared => Limit::Time(timeout),
        Some(_) => Limit::Fuel,
        None => Limit::None,
    };
    let most_output = options.most_output.map_or(u64::MAX, whole_lines);
    Ok(Common { program: program.clone(), env, files, image, fuel, limit, width: options.vms_per_warp, most_output })
}

/// Allocates the groups; when memory is short with no more than is needed, and if the caller left the number of VMs
/// open, with fewer.
fn allocate(
    common: &Common,
    options: &FleetOptions,
    mut need: Need,
    inputs: Option<usize>,
) -> Result<(Vec<Group>, Quota)> {
    let info = common.program.engine().info();
    let plan = &common.program.meta().plan;
    let resident = common.program.engine().device().resident(common.program.kernels().run, plan.lanes)?;
    let mut options = options.clone();
    let fixed = options.vms.is_some();
    loop {
        // Where VMs of a warp go the same way, all of its lanes run one.
        let per_warp = if common.apart() { common.most_per_warp() } else { plan.lanes };
        let sizes = sizes::sizes(info, plan, need, resident, per_warp, &options, inputs)?;
        let quota = sizes.quota;
        let warps = sizes::busy_warps(info, resident, common.apart())
            / (sizes.groups.len().max(1) as u32 * options.parts.max(1));
        let groups: Result<Vec<Group>> =
            sizes.groups.iter().map(|&vms| Group::new(common, vms, warps, quota, sizes.limits)).collect();
        let total: u32 = sizes.groups.iter().sum();
        match groups {
            Err(Error::Driver(vectorvisor_driver::Error::OutOfMemory { .. })) if quota.memory > need.memory => {
                need.most_memory = need.memory;
            }
            Err(Error::Driver(vectorvisor_driver::Error::OutOfMemory { .. })) if !fixed && total > plan.lanes => {
                options.vms = Some(total / 2);
            }
            Err(Error::Driver(source @ vectorvisor_driver::Error::OutOfMemory { .. })) => {
                let region = quota.region(plan);
                let (need, have) = (sizes::mib(region.saturating_mul(total.into())), sizes::mib(info.memory));
                return Err(Error::Memory(format!(
                    "{total} VMs need {need} for their memory alone, {} a VM, and {} has {have} of which others may hold a part ({source}); \
                     use fewer --vms, or a smaller --heap or --stack",
                    sizes::mib(region),
                    info.name
                )));
            }
            groups => return Ok((groups?, quota)),
        }
    }
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}
