//! Superinstructions: operations that do what several rows in a row do.
//!
//! A superinstruction only replaces the operation of its first row. The others stay as they are, and it reads their
//! operands there, so a jump may go to any of them, and whatever the loop leaves to the slow function goes on at a row of
//! its own. What is only needed inside is not saved to the frame.
//!
//! A program gets those that save most, where a row in a loop counts more than one outside. Which those are depends on
//! what others cover, so they are chosen from twice as many, and these likewise.

use super::{Op, Row, Step};
use std::cmp::Reverse;
use std::collections::HashMap;

/// The most rows of one.
const LONGEST: usize = 3;
/// Rounds in which kinds are left out, half of them in each.
const ROUNDS: usize = 3;

/// How many superinstructions there are at most, and how many rows they have together: gcc takes 1 to 3 ms for each, NVRTC 5
/// to 10. On a GPU the loop should fit the multiprocessor's cache of instructions: on an H200 warps waited 0.7 cycles for
/// each instruction of a loop of 24 KB, and 10 with 64 superinstructions (72 KB).
const MOST: (usize, usize) = (64, 160);
const MOST_ON_GPU: (usize, usize) = (16, 40);

/// What is the same in all places where a superinstruction may stand.
type Kind = [u64; LONGEST];

/// An operation, as far as joining depends on it.
struct Shape {
    reads: [bool; 3],
    sets: bool,
    rare: bool,
    goes: bool,
    repeatable: bool,
}

struct Fuser<'a> {
    rows: &'a [Row],
    shapes: Vec<Shape>,
    weights: Vec<u64>,
}

/// Puts superinstructions into rows, and behind the operations. Gives the weight of each operation.
pub fn run(rows: &mut [Row], ops: &mut Vec<Op>, processor: bool) -> Vec<u64> {
    let shape = |op: &Op| Shape {
        reads: op.reads(),
        sets: op.sets(),
        rare: op.rare(processor),
        goes: op.goes(),
        repeatable: op.repeatable(),
    };
    let fuser = Fuser { rows, shapes: ops.iter().map(shape).collect(), weights: weights(rows) };
    let places = fuser.places();
    let cover = fuser.choose(&places, if processor { MOST } else { MOST_ON_GPU });
    let mut counts = vec![0; ops.len()];
    let mut numbers: HashMap<u32, u16> = HashMap::new();
    let mut first = vec![None; rows.len()];
    let mut at = 0;
    for (start, length, kind) in cover.into_iter().chain([(rows.len(), 1, 0)]) {
        while at < start {
            if !rows[at].data {
                counts[usize::from(rows[at].op)] += fuser.weights[at];
            }
            at += 1;
        }
        if start < rows.len() {
            let number = *numbers.entry(kind).or_insert_with(|| {
                let steps = fuser.steps(start, length).into_iter().zip(&rows[start..start + length]);
                let steps = steps.map(|(step, row)| step.of(&ops[usize::from(row.op)])).collect();
                ops.push(Op::Fused(steps));
                counts.push(0);
                ops.len() as u16 - 1
            });
            counts[usize::from(number)] += fuser.weights[start];
            first[start] = Some(number);
            at += length;
        }
    }
    for (row, number) in rows.iter_mut().zip(first) {
        row.op = number.unwrap_or(row.op);
    }
    counts
}

/// How often each row runs, as far as loops say.
fn weights(rows: &[Row]) -> Vec<u64> {
    rows.iter().map(|row| 3u64.pow(u32::from(row.depth).min(3))).collect()
}

/// A step as found at some rows.
#[derive(Clone, Copy, Default)]
struct Found {
    from: [Option<u8>; 3],
    saved: bool,
    restart: u8,
}

impl Found {
    fn of(self, op: &Op) -> Step {
        Step { op: op.clone(), from: self.from, saved: self.saved, restart: self.restart }
    }
}

impl Fuser<'_> {
    fn shape(&self, row: usize) -> &Shape {
        &self.shapes[usize::from(self.rows[row].op)]
    }

    /// Whether these rows can be one.
    fn joins(&self, at: usize, length: usize) -> bool {
        length <= LONGEST
            && at + length <= self.rows.len()
            && (at..at + length).all(|row| {
                !self.rows[row].data
                    && !self.shape(row).rare
                    && (row == at || !self.rows[row].label && !self.shape(row - 1).goes)
            })
    }

    /// What each of so many rows does.
    fn steps(&self, at: usize, length: usize) -> [Found; LONGEST] {
        let mut found = [Found::default(); LONGEST];
        // The step that is the only one to read a result.
        let mut reader = [0; LONGEST];
        for (m, step) in found.iter_mut().enumerate().take(length) {
            let (row, reads) = (&self.rows[at + m], self.shape(at + m).reads);
            let slots = [u64::from(row.a), u64::from(row.b), row.imm & 0xffff_ffff];
            for ((from, slot), _) in step.from.iter_mut().zip(slots).zip(reads).filter(|(_, reads)| *reads) {
                let sets = |j: &usize| self.shape(at + j).sets && u64::from(self.rows[at + j].d) == slot;
                if let Some(j) = (0..m).rev().find(sets) {
                    *from = Some(j as u8);
                    if self.rows[at + j].once {
                        reader[j] = m;
                    }
                }
            }
        }
        for j in (0..length).rev() {
            found[j].saved = self.shape(at + j).sets;
            let inner = j + 1..reader[j];
            if reader[j] > j
                && self.shape(at + j).repeatable
                && !found[inner].iter().any(|step| step.saved)
                && (j + 1..reader[j]).all(|m| self.shape(at + m).repeatable)
            {
                found[j].saved = false;
            }
        }
        for k in 0..length {
            let mut restart = k;
            while let Some(j) =
                (0..restart).find(|j| reader[*j] >= restart && !found[*j].saved && self.shape(at + j).sets)
            {
                restart = j;
            }
            found[k].restart = restart as u8;
        }
        found
    }

    fn kind(&self, at: usize, length: usize) -> Kind {
        let mut kind = [0; LONGEST];
        for (m, step) in self.steps(at, length).iter().take(length).enumerate() {
            let from = step.from.map(|from| from.map_or(0, |j| u64::from(j) + 1));
            let links = from[0] | (from[1] << 8) | (from[2] << 16) | (u64::from(step.saved) << 24);
            kind[m] = (u64::from(self.rows[at + m].op) + 1) << 32 | links;
        }
        kind
    }

    /// For each row the kinds of superinstruction that could begin there, of two rows and more; 0: none could.
    fn places(&self) -> Vec<[u32; LONGEST - 1]> {
        let mut known: HashMap<Kind, u32> = HashMap::new();
        let kinds = |at: usize| {
            let mut kinds = [0; LONGEST - 1];
            for (n, kind) in (2..).zip(&mut kinds) {
                if self.joins(at, n) {
                    let next = known.len() as u32 + 1;
                    *kind = *known.entry(self.kind(at, n)).or_insert(next);
                }
            }
            kinds
        };
        (0..self.rows.len()).map(kinds).collect()
    }

    /// Chooses kinds of superinstructions, and says where which stands: row, number of rows, kind.
    fn choose(&self, places: &[[u32; LONGEST - 1]], (most, steps): (usize, usize)) -> Vec<(usize, usize, u32)> {
        let all: Vec<(usize, usize, u32)> = places
            .iter()
            .enumerate()
            .flat_map(|(at, kinds)| (2..).zip(kinds).map(move |(n, kind)| (at, n, *kind)))
            .filter(|(.., kind)| *kind != 0)
            .collect();
        let count = all.iter().map(|(.., kind)| *kind as usize + 1).max().unwrap_or(1);
        let mut cover = all;
        for round in (0..ROUNDS).rev() {
            // What each saves by its size, where it stands so far.
            let mut saved = vec![(0, 0); count];
            for (at, n, kind) in &cover {
                let (weight, length) = &mut saved[*kind as usize];
                *weight += self.weights[*at] * (*n as u64 - 1);
                *length = *n;
            }
            let mut order: Vec<u32> = (1..count as u32).filter(|kind| saved[*kind as usize].0 > 0).collect();
            order.sort_by_key(|kind| {
                let (weight, length) = saved[*kind as usize];
                Reverse(weight * 100 / length as u64)
            });
            let mut chosen = vec![false; count];
            let (mut most, mut steps) = (most << round, steps << round);
            for kind in order {
                let length = saved[kind as usize].1;
                if most > 0 && steps >= length {
                    most -= 1;
                    steps -= length;
                    chosen[kind as usize] = true;
                }
            }
            cover = cover_with(places, &chosen);
        }
        cover
    }
}

/// Where which of the chosen kinds stands: always the longest.
fn cover_with(places: &[[u32; LONGEST - 1]], chosen: &[bool]) -> Vec<(usize, usize, u32)> {
    let mut cover = Vec::new();
    let mut at = 0;
    while at < places.len() {
        let mut kinds = places[at].into_iter().enumerate().rev().map(|(n, kind)| (n + 2, kind));
        match kinds.find(|(_, kind)| chosen[*kind as usize]) {
            Some((n, kind)) => {
                cover.push((at, n, kind));
                at += n;
            }
            None => at += 1,
        }
    }
    cover
}
