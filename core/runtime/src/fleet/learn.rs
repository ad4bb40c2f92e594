//! What the inputs of a run needed, from which later runs begin.

use crate::Learnt;
use std::collections::BTreeMap;
use vectorvisor_translate::abi::{PAGE, Plan};

/// From so many inputs on, what they needed is remembered.
const FROM: usize = 64;
/// One in so many inputs may need more than the rest: it then runs again.
const FEW: usize = 64;
/// Where output is at most one part in `SMALL` of memory, fewer may need more of it, or none: those with the longest
/// output also run longest. On an H200 2,548 of 280,000 inputs of deflate ran again after all others had ended, for a third
/// of the run's time, and 5 of 40,000 of bzip2 for a fifth.
const FEWER: [usize; 2] = [usize::MAX, 4096];
const SMALL: u64 = 16;
/// Lengths of output are counted in steps of so many bytes.
const STEP: u64 = 4 << 10;

/// How many inputs needed how many bytes.
#[derive(Default)]
pub struct Needs {
    memory: BTreeMap<u64, usize>,
    output: BTreeMap<u64, usize>,
}

impl Needs {
    /// Counts an input that ended with so much memory and output.
    pub fn add(&mut self, memory: u64, output: u64) {
        *self.memory.entry(memory).or_default() += 1;
        *self.output.entry(output.next_multiple_of(STEP)).or_default() += 1;
    }

    /// What is enough for nearly all of them, with room; `None` if they were too few to tell.
    pub fn enough(&self, plan: &Plan) -> Option<Learnt> {
        let memory = enough(&self.memory, FEW)?;
        let output = enough_output(&self.output, memory)?;
        let room = (memory.saturating_sub(plan.memory_initial) / 8).next_multiple_of(PAGE).max(PAGE);
        Some(Learnt { memory: (memory + room).min(plan.memory_limit), output: (output + output / 8).max(STEP) })
    }
}

/// As much output as nearly all inputs need, beside so many bytes of memory.
fn enough_output(needs: &BTreeMap<u64, usize>, memory: u64) -> Option<u64> {
    let small = |few: &usize| enough(needs, *few).filter(|output| *output <= memory / SMALL);
    FEWER.iter().find_map(small).or_else(|| enough(needs, FEW))
}

/// The least number that at most one in `few` inputs exceeds.
fn enough(needs: &BTreeMap<u64, usize>, few: usize) -> Option<u64> {
    let ended: usize = needs.values().sum();
    let mut more = ended;
    let least = needs.iter().find(|(_, count)| {
        more -= **count;
        more <= ended / few
    });
    least.map(|(bytes, _)| *bytes).filter(|_| ended >= FROM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_that_need_much_do_not_count() {
        let needs = |many: usize, few: usize| {
            let all = std::iter::repeat_n(3, many).chain(std::iter::repeat_n(1000, few));
            let mut needs = BTreeMap::new();
            all.for_each(|bytes| *needs.entry(bytes).or_default() += 1);
            enough(&needs, FEW)
        };
        assert_eq!(needs(63, 0), None);
        assert_eq!(needs(64, 1), Some(3));
        assert_eq!(needs(62, 2), Some(1000));
        assert_eq!(needs(0, 64), Some(1000));
    }

    #[test]
    fn a_few_long_outputs_count_where_memory_is_larger_by_far() {
        let needs = BTreeMap::from([(4096, 10_000), (32_768, 100), (1 << 20, 2)]);
        assert_eq!(enough_output(&needs, 1 << 24), Some(1 << 20));
        assert_eq!(enough_output(&needs, 1 << 20), Some(32_768));
        assert_eq!(enough_output(&needs, 1 << 18), Some(4096));
    }
}
