//! The functions of a program, and how they are put into units.

use std::collections::{BTreeSet, HashMap};

/// Text of a unit after which the next one begins. NVRTC takes some 1.5 s for as much, so 16 processors share the work evenly.
const UNIT_BYTES: usize = 96 << 10;

/// Functions in the order in which they are printed.
#[derive(Default)]
pub struct Parts {
    /// Definitions of functions that are called.
    pub bodies: Vec<String>,
    /// Tables, each by the word that those have who use it.
    pub tables: Vec<(String, String)>,
    /// Names and definitions of leaves that are inlined everywhere.
    pub small: Vec<(String, String)>,
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

    /// What all units begin with, and the units; `last` ends the last one.
    pub fn units(self, mut header: String, last: &[&str]) -> (String, Vec<String>) {
        let Self { bodies, tables, small, declarations } = self;
        let mut units = vec![String::new()];
        for body in bodies {
            if let Some(last) = units.last_mut() {
                if last.len() + body.len() > UNIT_BYTES && !last.is_empty() {
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
        // Each unit has the declarations that it needs: those of all functions took NVRTC a fifth of its time for 22,000 of them.
        // Where units are compiled as one, tables and leaves must be there only once.
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

/// All words that are called or indexed in a text, those in comments too.
fn used(text: &str) -> impl Iterator<Item = &str> {
    let opened = text.bytes().enumerate().filter(|(_, byte)| matches!(byte, b'(' | b'['));
    opened.map(|(at, _)| {
        let word = text.as_bytes()[..at].iter().rev().take_while(|c| c.is_ascii_alphanumeric() || **c == b'_').count();
        &text[at - word..at]
    })
}
