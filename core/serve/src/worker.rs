//! A program's thread: its fleet, which runs what its queue holds.

use crate::metrics::Reason;
use crate::queue::{Packets, Queue, Running};
use std::cell::RefCell;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use vectorvisor::{Fleet, FleetOptions, Program, Summary};

/// How long a device that failed is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// The packets that fill the VMs: as many as groups of VMs at most.
const PACKETS: usize = 8;
/// How often a device that failed is tried again: after some faults only a new process helps.
const TRIES: u32 = 5;
/// What requests run.
pub const ENTRY: &str = "_start";

/// Starts the thread, which ends when the queue is closed and empty, or calls `give_up` when the device does not come
/// back.
pub fn start(
    program: Program,
    options: FleetOptions,
    fleet: Fleet,
    queue: Arc<Queue>,
    give_up: impl FnOnce() + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    queue.set_waker(Some(fleet.waker()));
    thread::Builder::new().name("vv-serve".into()).spawn(move || {
        // Also if this thread panics, nobody waits for an answer.
        let _end = OnDrop(|| queue.set_waker(None));
        let mut fleet = Some(fleet);
        while let Some(mut ready) = fleet.take().or_else(|| again(&program, &options, &queue)) {
            queue.set_waker(Some(ready.waker()));
            match run(&mut ready, &queue) {
                Ok(_) => return,
                Err(error) => {
                    queue.set_waker(None);
                    tracing::error!(%error, "the device failed; the requests that it had are lost");
                }
            }
        }
        if !queue.closed() {
            give_up();
        }
    })
}

/// A new fleet, as soon as the device has one; `None` when the server ends, or the device does not come back.
fn again(program: &Program, options: &FleetOptions, queue: &Queue) -> Option<Fleet> {
    for _ in 0..TRIES {
        if queue.closed() {
            return None;
        }
        thread::sleep(PAUSE);
        match Fleet::new(program, options, None) {
            Ok(fleet) => return Some(fleet),
            Err(error) => tracing::error!(%error, "the device still fails"),
        }
    }
    None
}

fn run(fleet: &mut Fleet, queue: &Queue) -> vectorvisor::Result<Summary> {
    let running = RefCell::new(Running::default());
    let full = (fleet.vms() / PACKETS).max(1);
    let mut packets = Packets::new(queue, &running, full);
    let ran = fleet.serve(ENTRY, &mut packets, &mut |outcome| {
        if !running.borrow_mut().answer(outcome) {
            queue.meters.ended(Reason::Gone);
        }
    });
    if let Err(error) = &ran {
        running.borrow_mut().fail(&format!("the device failed: {error}"));
    }
    ran
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
