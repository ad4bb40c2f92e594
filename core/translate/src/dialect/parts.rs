//! Divides the functions of a program into translation units.

use std::collections::{BTreeSet, HashMap, HashSet};

/// Bytes of text after which a new unit begins. NVRTC takes some 1.5 s for as much, so 16 processors share the work
/// evenly.
const UNIT_BYTES: usize = 96 << 10;

/// Most bytes of text of a program in which functions that are called once are inlined, in one unit. NVRTC takes 5.4 s
/// for such a program of 240 KB (units of it: 3.5 s), which then runs 15% faster.
const INLINED_BYTES: usize = 3 * UNIT_BYTES;

/// A function with so many cases is not inlined: NVRTC takes 35 s for 12,000 inlined cases, and 4 s otherwise.
const CASES: usize = 1000;

/// Functions in the order in which they are printed.
#[derive(Default)]
pub struct Parts {
    /// Definitions of functions that are not inlined everywhere, each from `VV_FN` on.
    pub bodies: Vec<String>,
    /// Tables, each with the word by which text refers to it.
    pub tables: Vec<(String, String)>,
    /// Names and definitions of leaves that are inlined everywhere.
    pub small: Vec<(String, String)>,
    /// Some function was divided, and must not become one again.
    pub divided: bool,
    declarations: Vec<String>,
}

impl Parts {
    /// A function: `TYPE NAME(PARAMETERS)`, and its definition.
    pub fn add(&mut self, head: &str, body: String) {
        self.declare(head);
        self.bodies.push(body);
    }

    /// A function whose definition comes with the kernels.
    pub fn declare(&mut self, head: &str) {
        self.declarations.push(format!("VV_FN {head};\n"));
    }

    /// Inlines functions that are called once, unless the caller is a dispatcher of indirect calls: in a small program
    /// the kernel then holds all code from `main` to the innermost loops. In functions that are called, ptxas moves the
    /// descriptor of global memory out of a register for each access (two instructions of 15 on sm_90), and the
    /// registers that the calling convention saves are lost.
    fn inline_once(&mut self, kernels: &str) {
        let count = self.bodies.len();
        let number: HashMap<&str, usize> = self.bodies.iter().map(|body| name(body)).zip(0..).collect();
        // How often each is called, and its last caller; the kernels have the number behind all functions.
        let mut calls = vec![(0, 0); count];
        for (caller, text) in self.bodies.iter().map(String::as_str).chain([kernels]).enumerate() {
            let head = text.find('(').map_or(0, |at| at + 1);
            for callee in used(&text[head..]).filter_map(|word| number.get(word)) {
                calls[*callee] = (calls[*callee].0 + 1, caller);
            }
        }
        let once = |n: &usize| {
            let (times, caller) = calls[*n];
            let by_table = self.bodies.get(caller).is_some_and(|body| name(body).starts_with("ci"));
            times == 1 && caller != *n && !by_table && self.bodies[*n].matches("case ").count() < CASES
        };
        let once: HashSet<String> = (0..count).filter(once).map(|n| name(&self.bodies[n]).to_owned()).collect();
        for text in self.bodies.iter_mut().chain(&mut self.declarations) {
            if once.contains(name(text)) {
                *text = text.replacen("VV_FN", "VV_SMALL", 1);
            }
        }
    }

    /// The header that all units begin with, and the units; `last` ends the last one. Where calls are `costly`, a small
    /// program is one unit.
    pub fn units(mut self, mut header: String, last: &[&str], costly: bool) -> (String, Vec<String>) {
        let whole = costly && !self.divided && self.bodies.iter().map(String::len).sum::<usize>() <= INLINED_BYTES;
        if whole {
            self.inline_once(&last.concat());
        }
        let unit_bytes = if whole { INLINED_BYTES } else { UNIT_BYTES };
        let Self { bodies, tables, small, declarations, .. } = self;
        let mut units = vec![String::new()];
        for body in bodies {
            if let Some(last) = units.last_mut() {
                if last.len() + body.len() > unit_bytes && !last.is_empty() {
                    units.push(body);
                } else {
                    last.push_str(&body);
                }
            }
        }
        if let Some(unit) = units.last_mut() {
            unit.extend(last.iter().copied());
        }
        if units.len() == 1 {
            header.extend(tables.into_iter().map(|(_, text)| text));
            header.extend(declarations);
            header.extend(small.into_iter().map(|(_, body)| body));
            return (header, units);
        }
        // Each unit has only the declarations that it needs: those of 22,000 functions took a fifth of NVRTC's time.
        // Tables and leaves are guarded, since the units may also be compiled as one.
        let mut known: HashMap<&str, String> = HashMap::new();
        for text in &declarations {
            known.insert(name(text), text.clone());
        }
        for (name, body) in tables.iter().chain(&small) {
            known.insert(name, format!("#ifndef VV_{name}\n#define VV_{name}\n{body}#endif\n"));
        }
        for unit in &mut units {
            let used: BTreeSet<&str> = used(unit).filter(|word| known.contains_key(word)).collect();
            let declared: String = used.iter().map(|name| known[name].as_str()).collect();
            unit.insert_str(0, &declared);
        }
        (header, units)
    }
}

/// The name that a declaration declares.
fn name(declaration: &str) -> &str {
    let head = declaration.split('(').next().unwrap_or_default();
    head.rsplit(' ').next().unwrap_or_default()
}

/// All words that are called or indexed in a text, also those in comments.
fn used(text: &str) -> impl Iterator<Item = &str> {
    let opened = text.bytes().enumerate().filter(|(_, byte)| matches!(byte, b'(' | b'['));
    opened.map(|(at, _)| {
        let word = text.as_bytes()[..at].iter().rev().take_while(|c| c.is_ascii_alphanumeric() || **c == b'_').count();
        &text[at - word..at]
    })
}
