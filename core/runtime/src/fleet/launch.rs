//! One launch of a group: submitting it, and the fates of its VMs.

use super::Fleet;
use super::group::{Group, Limit};
use super::settle::Fate;
use crate::Result;
use std::time::Duration;
use vectorvisor_driver::DeviceKind;

/// Loop iterations per second that no VM exceeds by much.
const FASTEST: f64 = 1e9;

impl Fleet {
    /// Fuel per launch: unlimited, unless fuel stands for time. An input that may run `again` gets an estimate, and
    /// more if that was too little; a VM that may not gets as much as the fastest loops use in that time, since too
    /// little would end it too early.
    pub fn slice(&self, again: bool) -> u64 {
        let rate = if again { self.rate } else { self.rate.max(FASTEST) };
        match self.options.timeout {
            Some(timeout) if self.common.limit == Limit::Fuel => (timeout.as_secs_f64() * rate).max(1.0) as u64,
            _ => u64::MAX,
        }
    }

    /// Begins a launch of the VMs in `launched`, the `first` of a run or not, in which none may compute for longer than
    /// `limit`, unless the run was cancelled (`false`).
    pub fn submit(&mut self, g: usize, first: bool, limit: Option<Duration>) -> Result<bool> {
        let group = &mut self.groups[g];
        group.stop.store(0);
        // After the store, or a cancellation just before it would be wiped out.
        if self.cancel.cancelled() {
            return Ok(false);
        }
        if let Some(need) = group.lacks() {
            // The other groups will need as much, and what is allocated later may wait for launches in flight.
            // A group without it tries again when it needs it, and tells the error.
            self.groups.iter_mut().for_each(|group| _ = group.reserve(need + need / 4));
        }
        let free = self.free_warps();
        let group = &mut self.groups[g];
        if let Err(error) = group.submit(&self.common, &mut self.staging, first, limit, free) {
            // Transfers and kernels that were begun use the buffers until they have ended.
            _ = group.finish();
            return Err(error);
        }
        Ok(true)
    }

    /// Of the warps that keep a GPU busy those that launches in flight leave. One with more would run fewer VMs in each,
    /// and end no sooner.
    fn free_warps(&self) -> u32 {
        if self.common.program.engine().info().kind == DeviceKind::Cpu {
            return u32::MAX;
        }
        let all: u32 = self.groups.iter().map(|group| group.warps).sum();
        let busy = self.groups.iter().filter(|group| group.in_flight).map(Group::warps_in_flight).sum();
        all.saturating_sub(busy)
    }

    /// The fate of each VM of a launch that took `elapsed`, of which the interval `kernel` in the program's kernel.
    pub fn fates(&mut self, g: usize, elapsed: Duration, kernel: (u64, u64)) -> Result<Vec<(u32, Fate)>> {
        let launched = self.groups[g].launched.clone();
        let mut fates = Vec::with_capacity(launched.len());
        let mut used = Vec::with_capacity(launched.len());
        for &vm in &launched {
            let spent = |fleet: &Self| fleet.groups[g].slots[vm as usize].as_ref().map_or(0, |s| s.job.spent);
            let before = spent(self);
            fates.push((vm, self.decide(g, vm as usize, elapsed)?));
            used.push(spent(self) - before);
        }
        let most = used.iter().copied().max().unwrap_or(0);
        // The launch may have ended long before `finish` was called, so the driver's time is better.
        let kernel = Duration::from_nanos(kernel.1.saturating_sub(kernel.0));
        let time = if kernel.is_zero() { elapsed } else { kernel };
        for ((vm, fate), used) in fates.iter_mut().zip(used) {
            let share = match fate {
                // It was stopped before it began.
                Fate::Again(_) if used == 0 => 0.0,
                _ if most == 0 => 1.0,
                _ => used as f64 / most as f64,
            };
            self.account(g, *vm as usize, time.mul_f64(share), fate);
        }
        // Short launches measure the overhead rather than the program.
        if elapsed > Duration::from_millis(1) {
            self.rate = self.rate.max(most as f64 / elapsed.as_secs_f64());
        }
        Ok(fates)
    }
}
