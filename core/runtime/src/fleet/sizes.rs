//! How many VMs a fleet has, in how many groups, and the capacities of each VM's output and memory.

use super::image::SLACK;
use super::job::Quota;
use crate::{DeviceInfo, DeviceKind, Error, FleetOptions, Result};
use vectorvisor_translate::abi::{PAGE, Plan};

/// VMs for each core: enough that the work of a launch outweighs its overhead, and few, since a VM whose memory is in
/// the caches and has its pages is faster (bzip2, which has 8 MB, took 1.6 times as long with 64 in one group, on busy
/// cores).
const VMS_PER_CORE: u64 = 16;
/// Tiles for each tile that can run at the same time: evens out inputs of different length.
const TILES_PER_SLOT: u64 = 4;

/// Of the warps that a GPU can hold, the part that is taken to keep it busy: on an H200 2 for each scheduler, which
/// holds 16. A compromise: more warps for the same VMs help programs whose VMs go different ways, and cost those whose
/// VMs go the same way (pbkdf2 took twice as long on 4 for each scheduler with half the VMs a warp).
const BUSY: u32 = 8;

/// VMs of a warp that go different ways, at most: with more the longest of a warp holds back the others.
pub const APART: u32 = 2;

/// How many warps keep the device busy, if so many of a program are `resident`, run at the same time, whose VMs go
/// different ways (`apart`) or not.
pub fn busy_warps(info: &DeviceInfo, resident: u32, apart: bool) -> u32 {
    let all = info.kind == DeviceKind::Cpu || apart;
    if all { resident } else { resident.min(info.parallel_tiles / BUSY) }.max(1)
}

/// Most groups of a GPU's and a processor's VMs whose number was left open: while one's inputs are packed and its
/// results taken, others run, and only the VMs of a group wait for its longest.
const GROUPS: (u64, u64) = (8, 4);
/// The fewest tiles for which a group of their own pays on a GPU; on a processor it is one for each core.
const GROUP_TILES: u64 = 16;

/// Bytes of output of a VM at first: this part of what it has otherwise, between two bounds.
const OUT_PART: u64 = 16;
const OUT: (u64, u64) = (16 << 10, 256 << 10);

/// What a VM needs at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Bytes of frames.
    pub frames: u64,
    /// Capacity of its memory in bytes, at least.
    pub memory: u64,
    /// The most of it that is of use, and that it gets where it costs no VMs.
    pub most_memory: u64,
    /// Bytes of output, if that is known.
    pub output: Option<u64>,
}

impl Need {
    /// All that a program can use.
    pub fn all(plan: &Plan) -> Self {
        Self { frames: plan.frames_limit, memory: plan.memory_limit, most_memory: plan.memory_limit, output: None }
    }

    /// What inputs begin with.
    pub fn first(plan: &Plan, memory: u64, output: Option<u64>) -> Self {
        Self { frames: plan.frames, memory, most_memory: plan.memory_limit, output }
    }
}

/// Sizes of a fleet.
#[derive(Debug, PartialEq, Eq)]
pub struct Sizes {
    /// VMs of each group; multiples of a tile.
    pub groups: Vec<u32>,
    /// What each VM has at first.
    pub quota: Quota,
    /// Bytes that the buffers of a group may grow to.
    pub limits: Limits,
}

/// The most bytes that a group's buffers may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For output.
    pub output: u64,
    /// For the VMs' regions.
    pub memory: u64,
}

pub fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Decides the sizes, where `resident` warps run at the same time, of `per_warp` VMs.
pub fn sizes(
    info: &DeviceInfo,
    plan: &Plan,
    need: Need,
    resident: u32,
    per_warp: u32,
    options: &FleetOptions,
    inputs: Option<usize>,
) -> Result<Sizes> {
    let (lanes, parts) = (u64::from(plan.lanes), u64::from(options.parts.max(1)));
    let region = plan.region(need.memory, need.frames).saturating_mul(lanes);
    let default_out = || match info.kind {
        DeviceKind::Cpu => OUT.0 << 2,
        _ => (region / lanes / OUT_PART).clamp(OUT.0, OUT.1),
    };
    let out = options.out_capacity.map(u64::from).or(need.output).unwrap_or_else(default_out);
    let out_capacity = whole_lines(out.min(options.most_output.unwrap_or(u64::MAX))).min(MAX_OUT);
    let beside = lanes * (out_capacity + u64::from(plan.words) * 8);
    let tile = region.saturating_add(beside);
    // The rest is for inputs, larger outputs and other users of the device.
    let budget = info.memory / 10 * 6 / u64::from(options.sharers.max(1));
    let advice = "use a smaller --heap or --stack, or fewer --lanes";
    if tile > info.memory {
        let (need, have) = (mib(tile), mib(info.memory));
        return Err(Error::Memory(format!(
            "the VMs of one tile ({lanes}) need {need}, and {} has {have}; {advice}",
            info.name
        )));
    }
    let per_group = info.max_alloc / region.max(1);
    if per_group == 0 {
        let (need, have) = (mib(region), mib(info.max_alloc));
        return Err(Error::Memory(format!(
            "the VMs of one tile ({lanes}) need {need} in one piece, and {} allocates at most {have} at once; {advice}",
            info.name
        )));
    }
    let tiles = match options.vms {
        Some(vms) => u64::from(vms.max(1)).div_ceil(lanes),
        None => {
            // As many tiles as run at once.
            let slots = (u64::from(resident) * u64::from(per_warp)).div_ceil(lanes * parts).max(1);
            let sensible = match info.kind {
                DeviceKind::Cpu => (slots * VMS_PER_CORE).div_ceil(lanes).max(slots),
                _ => slots * TILES_PER_SLOT,
            };
            let fit = budget / tile;
            let needed = inputs.map_or(u64::MAX, |n| (n as u64).div_ceil(lanes));
            let tiles = sensible.min(fit).max(1);
            // A GPU gets a multiple of what it runs at once: a few tiles left over would run last and leave most of it
            // idle.
            let whole = tiles / slots * slots;
            if info.kind == DeviceKind::Cpu || whole == 0 { tiles.min(needed) } else { whole.min(needed) }.max(1)
        }
    };
    let several = match info.kind {
        _ if options.vms.is_some() => 1,
        DeviceKind::Cpu => (tiles / u64::from(resident.max(1))).min(GROUPS.1),
        _ => (tiles / GROUP_TILES).min((GROUPS.0 / parts).max(1)),
    };
    let count = tiles.div_ceil(per_group).max(several);
    // Even shares: a small last group would only be one more launch.
    let share = |i: u64| (tiles / count + u64::from(i < tiles % count)) * lanes;
    let groups: Option<Vec<u32>> = (0..count).map(|i| u32::try_from(share(i)).ok()).collect();
    let groups = groups.ok_or_else(|| Error::Option(format!("{} VMs are too many", tiles.saturating_mul(lanes))))?;
    let largest = u64::from(groups.iter().copied().max().unwrap_or(1));
    let each = (budget / tiles).saturating_sub(beside).min(info.max_alloc / largest.div_ceil(lanes)) / lanes;
    let spare = each.saturating_sub(plan.region(0, need.frames)) / PAGE * PAGE;
    let memory = spare.min(need.most_memory).max(need.memory);
    let quota = Quota { output: out_capacity, frames: need.frames, memory };
    let out_limit = (largest * out_capacity)
        .max(info.memory / 10 * 3 / u64::from(options.sharers.max(1)) / count)
        .max(lanes * out_capacity);
    let output = out_limit.min(info.max_alloc.saturating_sub(SLACK));
    // An input that needs all of the memory that the options allow may have a tile for itself.
    let whole_tile = plan.region(plan.memory_limit, need.frames).saturating_mul(lanes);
    let memory = (largest * quota.region(plan)).max((budget / count).max(whole_tile).min(info.max_alloc));
    Ok(Sizes { groups, quota, limits: Limits { output, memory } })
}

/// Output has whole lines of a cache, at least one.
pub fn whole_lines(bytes: u64) -> u64 {
    bytes.clamp(64, MAX_OUT).next_multiple_of(64)
}

/// Output lengths are 32 bits.
pub const MAX_OUT: u64 = (1 << 32) - 64;

#[cfg(test)]
mod tests {
    use super::*;
    use vectorvisor_driver::Language;
    use vectorvisor_translate::abi::Word;

    fn info(kind: DeviceKind, memory: u64, max_alloc: u64) -> DeviceInfo {
        DeviceInfo {
            index: 0,
            name: "test".into(),
            identity: String::new(),
            kind,
            language: Language::C,
            memory,
            max_alloc,
            lane_width: 1,
            parallel_tiles: 2,
            thread_exit: true,
            timer: true,
            live_shared: true,
            zeroed: true,
            nvidia: false,
            patch: false,
            recursion: false,
        }
    }

    fn plan(lanes: u32, region: u64) -> Plan {
        Plan {
            lanes,
            cell: 0,
            head: 0,
            slot_at: 0,
            slot: 0,
            memory_at: region,
            memory_initial: 0,
            memory_first: 0,
            memory_limit: 0,
            guard: 0,
            frames: 0,
            frames_limit: 0,
            frame: 0,
            wide: false,
            words: Word::COUNT as u32,
        }
    }

    fn groups(info: &DeviceInfo, plan: &Plan, vms: Option<u32>, inputs: Option<usize>) -> Result<Vec<u32>> {
        let options = FleetOptions { vms, ..Default::default() };
        Ok(sizes(info, plan, Need::all(plan), info.parallel_tiles, plan.lanes, &options, inputs)?.groups)
    }

    #[test]
    fn a_cpu_has_few_vms_and_never_more_than_inputs() -> Result<()> {
        let cpu = info(DeviceKind::Cpu, 1 << 34, 1 << 34);
        assert_eq!(groups(&cpu, &plan(1, 1 << 20), None, None)?, [8; 4]);
        assert_eq!(groups(&cpu, &plan(1, 1 << 20), None, Some(3))?, [3]);
        assert_eq!(groups(&cpu, &plan(32, 1 << 20), None, Some(33))?, [64]);
        assert_eq!(groups(&cpu, &plan(32, 1 << 20), None, Some(0))?, [32]);
        assert_eq!(groups(&cpu, &plan(1, 1 << 29), None, None)?, [5, 5, 5, 4], "60% of 16 GiB");
        Ok(())
    }

    #[test]
    fn groups_keep_to_the_largest_allocation() -> Result<()> {
        let gpu = info(DeviceKind::Gpu, 1 << 34, 1 << 28);
        assert_eq!(groups(&gpu, &plan(32, 1 << 22), Some(160), None)?, [64, 64, 32]);
        let plan = plan(32, 1 << 22);
        let whole = sizes(&gpu, &plan, Need::all(&plan), 2, 32, &FleetOptions::default(), None)?;
        assert_eq!(whole.groups.iter().sum::<u32>(), 256);
        assert!(whole.limits.output <= 1 << 28);
        Ok(())
    }

    #[test]
    fn a_gpu_has_as_many_tiles_as_run_at_once_or_several_times_as_many() -> Result<()> {
        let gpu = info(DeviceKind::Gpu, 1 << 34, 1 << 34);
        for (resident, vms) in [(5, 20), (20, 60), (50, 50), (100, 72)] {
            let plan = plan(32, 1 << 22);
            let sizes = sizes(&gpu, &plan, Need::all(&plan), resident, 32, &FleetOptions::default(), None)?;
            assert_eq!(sizes.groups.iter().sum::<u32>(), vms * 32, "{resident}");
            assert_eq!(sizes.groups.len() as u32, vms / 16, "{resident}");
        }
        let plan = plan(32, 1 << 20);
        // Of several fleets each has a part.
        let third = FleetOptions { parts: 3, sharers: 3, ..Default::default() };
        assert_eq!(super::sizes(&gpu, &plan, Need::all(&plan), 100, 32, &third, None)?.groups, [34 * 32; 2]);
        // Where a warp runs few VMs, fewer run at once.
        let sizes = sizes(&gpu, &plan, Need::all(&plan), 100, 2, &FleetOptions::default(), None)?;
        assert_eq!(sizes.groups.iter().sum::<u32>(), 7 * 32 * 4);
        Ok(())
    }

    #[test]
    fn what_cannot_fit_is_an_error_with_advice() {
        let gpu = info(DeviceKind::Gpu, 1 << 30, 1 << 28);
        for region in [1 << 26, 1 << 24] {
            let text = groups(&gpu, &plan(32, region), None, None).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(text.contains("--heap"), "{text}");
        }
    }

    /// As translated with the options' defaults; `first` is the capacity of memory at first.
    fn example(initial: u64, first: u64) -> Plan {
        Plan {
            memory_at: 64,
            memory_initial: initial * PAGE,
            memory_first: first * PAGE,
            memory_limit: (initial + 256) * PAGE,
            guard: 1344,
            frames: 64 << 10,
            frames_limit: 1 << 20,
            ..plan(32, 0)
        }
    }

    #[test]
    fn an_h200_holds_tens_of_thousands_of_vms_that_touch_little() -> Result<()> {
        let gpu = info(DeviceKind::Gpu, 139 << 30, 139 << 30);
        // deflate, of 155 registers; thumbnail, where an earlier run needed more; SQLite and wordcount.
        for (plan, resident, least) in [
            (example(17, 22), 12 * 132, 50_000),
            (example(17, 29), 8 * 132, 33_000),
            (example(2, 6), 8 * 132, 130_000),
            (example(2, 6), 12 * 132, 150_000),
        ] {
            let sizes = |inputs| {
                let need = Need::first(&plan, plan.memory_first, None);
                sizes(&gpu, &plan, need, resident, 32, &FleetOptions::default(), inputs)
            };
            let all = sizes(None)?;
            let vms = all.groups.iter().sum::<u32>();
            assert!(vms >= least, "{all:?}");
            let bytes = u64::from(vms) * (all.quota.region(&plan) + all.quota.output);
            assert!(bytes <= gpu.memory / 10 * 6, "{all:?}");
            assert!((plan.memory_first..plan.memory_limit).contains(&all.quota.memory), "{all:?}");
            // A few need not share, and get all.
            assert_eq!(sizes(Some(1000))?.quota.memory, plan.memory_limit);
        }
        Ok(())
    }
}
