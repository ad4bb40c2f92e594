//! Divides the functions of a program into translation units.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

/// Bytes of text after which a new unit begins. NVRTC takes some 1.5 s for as much, so 16 processors share the work
/// evenly.
const UNIT_BYTES: usize = 96 << 10;

/// Most bytes of text of a program in which functions that are called once are inlined, in one unit. NVRTC takes 5.4 s
/// for such a program of 240 KB (units of it: 3.5 s), which then runs 15% faster.
const INLINED_BYTES: usize = 3 * UNIT_BYTES;

/// Most bytes of text that the kernels inline in a larger program; other functions at most [`UNIT_BYTES`]. On an H200
/// jsonsort's kernel takes 0.93 to 0.95 of its time so, thumbnail's 0.97, deflate's the same, bzip2's 1.02; they compile
/// in 0.8 to 1.0 of the time.
const KERNEL_BYTES: usize = 2 * UNIT_BYTES;

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
    /// registers that the calling convention saves are lost. What becomes one function has at most so many bytes, the
    /// kernels `most`, others `most_others`. Gives the bodies, each with those that it inlines behind it; those that the
    /// kernels inline are the last.
    fn inline_once(&mut self, kernels: &str, most: usize, most_others: usize) -> Vec<String> {
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
        let mut inlines = vec![Vec::new(); count + 1];
        let mut roots = Vec::new();
        for (n, (times, caller)) in calls.into_iter().enumerate() {
            let by_table = self.bodies.get(caller).is_some_and(|body| name(body).starts_with("ci"));
            let few = self.bodies[n].matches("case ").count() < CASES;
            if times == 1 && caller != n && !by_table && few { inlines[caller].push(n) } else { roots.push(n) }
        }
        roots.push(count);
        // One that is too large for its caller becomes a root, too.
        let (mut groups, mut last) = (Vec::new(), String::new());
        let mut roots: VecDeque<usize> = roots.into();
        let mut once = HashSet::new();
        while let Some(root) = roots.pop_front() {
            let most = if root == count { most } else { most_others };
            let mut group = self.bodies.get(root).cloned().unwrap_or_default();
            let mut callers = VecDeque::from([root]);
            while let Some(caller) = callers.pop_front() {
                for callee in std::mem::take(&mut inlines[caller]) {
                    if group.len() + self.bodies[callee].len() <= most {
                        once.insert(name(&self.bodies[callee]).to_owned());
                        group.push_str(&self.bodies[callee].replacen("VV_FN", "VV_SMALL", 1));
                        callers.push_back(callee);
                    } else {
                        roots.push_back(callee);
                    }
                }
            }
            if root == count { last = group } else { groups.push(group) }
        }
        for text in &mut self.declarations {
            if once.contains(name(text)) {
                *text = text.replacen("VV_FN", "VV_SMALL", 1);
            }
        }
        groups.push(last);
        groups
    }

    /// The header that all units begin with, and the units; `last` ends the last one. Where calls are `costly`, functions
    /// that are called once are inlined, and a small program is one unit.
    pub fn units(mut self, mut header: String, last: &[&str], costly: bool) -> (String, Vec<String>) {
        let inlines = costly && !self.divided;
        let whole = inlines && self.bodies.iter().map(String::len).sum::<usize>() <= INLINED_BYTES;
        if inlines {
            let (most, others) = if whole { (INLINED_BYTES, INLINED_BYTES) } else { (KERNEL_BYTES, UNIT_BYTES) };
            self.bodies = self.inline_once(&last.concat(), most, others);
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
