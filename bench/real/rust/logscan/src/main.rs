//! A log → what its lines mention: e-mail addresses, URLs, IP addresses, dates and hashes, each kind with counts, by
//! frequency.

use regex::Regex;
use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Read, Write};

const PATTERNS: [(&str, &str); 5] = [
    ("e-mail", r"(?i)\b[\w.+-]+@(?:[a-z0-9-]+\.)+[a-z]{2,}\b"),
    ("URL", r#"\bhttps?://[^\s/$.?#"].[^\s"<>]*"#),
    ("IP", r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b"),
    (
        "date",
        r"\b(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])\b|\b[0-3]?\d (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* \d{4}\b",
    ),
    ("hash", r"\b[0-9a-f]{32,40}\b"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (kind, pattern) in PATTERNS {
        let mut found: HashMap<&str, usize> = HashMap::new();
        for hit in Regex::new(pattern)?.find_iter(&text) {
            *found.entry(hit.as_str()).or_default() += 1;
        }
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        writeln!(out, "{kind}: {}", found.len())?;
        for (text, count) in found {
            writeln!(out, "{count:6} {text}")?;
        }
    }
    Ok(out.flush()?)
}
