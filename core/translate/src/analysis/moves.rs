//! Which functions copy or fill memory, as C's `memcpy`, `memmove` and `memset` do: by what their bodies do.
//!
//! A name proves nothing, so each body that may be one is [tried](super::trial) on all short lengths, with all
//! alignments of both ranges and at several places, and on some long ones. The bytes of one such trial say nothing of
//! others, nor its length of a longer one; so a body only counts if it moves bytes without looking at them, has no
//! large constants, tells pointers apart by their lowest bits only, and has no branch or comparison that the trials met
//! with one outcome only.

use super::trial::{Arguments, Trial};
use crate::ValType;
use crate::ir::{Body, Callee, Program, Stmt, walk};
use std::collections::{BTreeMap, BTreeSet};

/// What a function does if both ranges are in memory. Its result is its first argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moves {
    /// Copies ranges that do not overlap.
    Apart,
    /// Copies ranges, as if the source were read before the first byte is written.
    Copy,
    /// Fills a range with the low byte of the second argument.
    Fill,
}

/// Statements of the longest body that is tried.
const STATEMENTS: usize = 1000;
/// All lengths up to this one are tried, and up to more if constants in a body are large.
const SHORT: u32 = 130;
/// Most lowest bits of a pointer, as a power of two, by which a body may tell pointers apart.
const PERIOD: u32 = 16;
/// Statements and operators that are evaluated for one function at most: some 100 ms.
const STEPS: u64 = 16 << 20;
/// The same for all functions of a program.
const ALL_STEPS: u64 = 10 * STEPS;

/// Finds such functions among the lowered ones.
pub fn moves(program: &Program) -> BTreeMap<u32, Moves> {
    let mut found = BTreeMap::new();
    let mut left = ALL_STEPS;
    // `memmove` may call `memcpy`, so that is found first.
    for calls in [false, true] {
        let callees: BTreeSet<u32> = found.keys().copied().collect();
        for (f, function) in (0..).zip(&program.functions) {
            let ty = &program.types[function.ty as usize];
            if ty.params != [ValType::I32; 3] || ty.results != [ValType::I32] {
                continue;
            }
            let Some(body) = function.body.as_ref().filter(|body| candidate(body, &callees) == Some(calls)) else {
                continue;
            };
            let mut proof = Proof::new(program, body, &callees, left.min(STEPS));
            let before = proof.trial.steps;
            if let Some(moves) = proof.moves() {
                found.insert(f, moves);
            }
            left -= before - proof.trial.steps;
        }
    }
    found
}

/// Whether a body may be one, and if so, whether it calls others.
fn candidate(body: &Body, callees: &BTreeSet<u32>) -> Option<bool> {
    let (mut statements, mut stores, mut loops, mut calls, mut other) = (0, false, false, false, false);
    walk(&body.stmts, &mut |s| {
        statements += 1;
        match s {
            Stmt::Store { .. } => stores = true,
            Stmt::Loop { .. } => loops = true,
            Stmt::Call { callee: Callee::Function(f), .. } => {
                calls = true;
                other |= !callees.contains(f);
            }
            Stmt::Set { .. }
            | Stmt::Load { .. }
            | Stmt::Block { .. }
            | Stmt::If { .. }
            | Stmt::Branch { .. }
            | Stmt::Switch { .. }
            | Stmt::Return { .. } => {}
            _ => other = true,
        }
    });
    (stores && loops && !other && statements <= STATEMENTS).then_some(calls)
}

struct Proof<'a> {
    trial: Trial<'a>,
    /// Where the source is, or `None` for a fill.
    copies: bool,
    /// Random bytes for memory.
    random: Vec<u8>,
    seed: u32,
}

/// Where ranges lie: at the lowest address, in the middle, across the sign bit, and at the highest address.
const PLACES: u32 = 4;

fn place(n: u32, length: u32) -> u32 {
    match n % PLACES {
        0 => 0,
        1 => 0x0100_0000,
        2 => 0x8000_0000 - 64,
        _ => (crate::lower::MAX_MEMORY as u32 - length - 64) & !63,
    }
}

impl<'a> Proof<'a> {
    fn new(program: &'a Program, body: &'a Body, callees: &'a BTreeSet<u32>, steps: u64) -> Self {
        let mut copies = false;
        walk(&body.stmts, &mut |s| copies |= matches!(s, Stmt::Load { .. } | Stmt::Call { .. }));
        let trial = Trial::new(program, body, callees, steps);
        Self { trial, copies, random: Vec::new(), seed: 1 }
    }

    /// A number below `bound`.
    fn random(&mut self, bound: u32) -> u32 {
        self.seed = self.seed.wrapping_mul(0x915f_77f5).wrapping_add(0x1234_5679);
        ((u64::from(self.seed) * u64::from(bound)) >> 32) as u32
    }

    fn moves(&mut self) -> Option<Moves> {
        self.random = Vec::from([0; 1 << 16]);
        for i in 0..self.random.len() {
            self.random[i] = self.random(256) as u8;
        }
        // Most functions do something else here.
        self.apart(37, 1, 2)?;
        let (mut short, mut period) = (SHORT, 4);
        loop {
            self.all_apart(short, period)?;
            let longest = 2 * self.trial.largest as u32 + 66;
            if longest <= short && self.trial.period <= period {
                break;
            }
            (short, period) = (short.max(longest), period.max(self.trial.period));
            if period > PERIOD {
                return None;
            }
        }
        let apart = self.trial.complete();
        if !self.copies {
            return apart.then_some(Moves::Fill);
        }
        let overlapping = self.all_overlapping(short).is_some() && self.trial.period <= period;
        match (apart, overlapping && self.trial.complete()) {
            (_, true) => Some(Moves::Copy),
            (true, false) => Some(Moves::Apart),
            (false, false) => None,
        }
    }

    fn all_apart(&mut self, short: u32, period: u32) -> Option<()> {
        for length in 0..=short {
            for to in 0..period {
                for from in 0..if self.copies { period } else { 1 } {
                    self.apart(length, to, from)?;
                }
                self.adjacent(length, to)?;
            }
        }
        let powers = (8..13).flat_map(|log| [(1 << log) - 1, 1 << log, (1 << log) + 1]);
        let mut long: Vec<u32> = powers.chain([20_011]).collect();
        long.extend((0..24).map(|_| self.random(2000)));
        self.trial.long = true;
        for length in long {
            let (to, from) = (self.random(period), self.random(period));
            self.apart(length, to, from)?;
        }
        self.trial.long = false;
        Some(())
    }

    /// Ranges far from each other.
    fn apart(&mut self, length: u32, to: u32, from: u32) -> Option<()> {
        let n = self.random(PLACES);
        let other = n + 1 + self.random(PLACES - 1);
        self.once(place(n, length) + to, place(other, length) + from, length)
    }

    /// Ranges side by side.
    fn adjacent(&mut self, length: u32, align: u32) -> Option<()> {
        let low = place(self.random(PLACES), 2 * length) + align;
        self.once(low, low + length, length)?;
        self.once(low + length, low, length)
    }

    fn all_overlapping(&mut self, short: u32) -> Option<()> {
        let mut cases = Vec::new();
        for length in 1..=short {
            if length <= 40 {
                cases.extend((0..length).map(|distance| (length, distance)));
            } else {
                let some = [0, 1, 3, 4, 8, 16, 33, length / 2, length - 1];
                cases.extend(some.map(|distance| (length, distance)));
                cases.push((length, self.random(length)));
            }
        }
        for length in [1000, 5003] {
            cases.extend([1, 7, 32, 999, self.random(length)].map(|distance| (length, distance)));
        }
        for (length, distance) in cases {
            self.trial.long = length > short;
            let low = place(self.random(PLACES), length + distance) + self.random(PERIOD);
            self.once(low, low + distance, length)?;
            self.once(low + distance, low, length)?;
        }
        Some(())
    }

    /// One call, whose result and effect must be right.
    fn once(&mut self, to: u32, from: u32, length: u32) -> Option<()> {
        let size = length as usize;
        let distance = to.abs_diff(from).min(length) as usize;
        let (to_at, from_at, bytes) = match self.copies {
            false => (0, 0, size),
            true if to < from => (0, distance, size + distance),
            true => (distance, 0, size + distance),
        };
        let begin = self.random((self.random.len() - bytes) as u32 + 1) as usize;
        let mut arguments = Arguments {
            to,
            second: if self.copies { from } else { self.random(u32::MAX) },
            length,
            bytes: self.random[begin..begin + bytes].to_vec(),
            to_at,
            from_at: self.copies.then_some(from_at),
        };
        let result = self.trial.run(&mut arguments)?;
        let written = &arguments.bytes[to_at..to_at + size];
        let right = match self.copies {
            true => written == &self.random[begin + from_at..][..size],
            false => written.iter().all(|byte| *byte == arguments.second as u8),
        };
        (right && result == to).then_some(())
    }
}
