//! One page of a record of `vectorvisor-bench run`, and its table for a README.

use serde_json::Value;
use std::fmt::Write as _;

/// Systems in the order in which they are shown, with their colours.
const SYSTEMS: [(&str, &str); 5] = [
    ("native", "#8a8f98"),
    ("wasmtime", "#d9a441"),
    ("wasmtime-keep", "#b5651d"),
    ("vectorvisor", "#2f7d4f"),
    ("by-hand", "#3b5b92"),
];

/// A figure of a system, if there is one.
fn figure(programs: &Value, program: &str, system: &str, part: &str, name: &str) -> Option<f64> {
    let figures = &programs[program]["systems"][system];
    let part = if part.is_empty() { figures } else { &figures[part] };
    part[name].as_f64()
}

/// Three digits, or all before the point.
fn short(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

fn names(record: &Value) -> Vec<&String> {
    record["programs"].as_object().map(|programs| programs.keys().collect()).unwrap_or_default()
}

/// Requests a second in batches, VectorVisor's as multiples of others', and what its device does alone, in Markdown.
pub fn table(record: &Value) -> String {
    let programs = &record["programs"];
    let mut text = String::from(
        "| Program | native/s | Wasmtime/s | kept/s | VectorVisor/s | of native | of Wasmtime | device alone/s | compiled, s |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for program in names(record) {
        let rate = |system: &str| figure(programs, program, system, "batch", "per_second");
        let ours = rate("vectorvisor");
        let times = |other: Option<f64>| Some(ours? / other?);
        let best = [rate("wasmtime"), rate("wasmtime-keep")].into_iter().flatten().reduce(f64::max);
        let cells = [
            rate("native"),
            rate("wasmtime"),
            rate("wasmtime-keep"),
            ours,
            times(rate("native")),
            times(best),
            figure(programs, program, "vectorvisor", "device", "per_second"),
            figure(programs, program, "vectorvisor", "compiled", "compile_seconds"),
        ];
        push(&mut text, program, &cells);
    }
    text
}

fn push(text: &mut String, program: &str, cells: &[Option<f64>]) {
    let cells: Vec<String> = cells.iter().copied().map(short).collect();
    // Writing to a string does not fail.
    _ = writeln!(text, "| `{program}` | {} |", cells.join(" | "));
}

/// Requests a second of VectorVisor and of what is written by hand, in Markdown: in batches over HTTP, from inputs to
/// outputs without it, and on the device alone. Empty if there is nothing of the kind.
pub fn by_hand(record: &Value) -> String {
    let programs = &record["programs"];
    let mut text = String::new();
    for program in names(record) {
        let mut cells = Vec::new();
        for (part, ours, theirs) in [
            ("batch", "per_second", "batch"),
            ("device", "run_per_second", "copied"),
            ("device", "per_second", "device"),
        ] {
            let ours = figure(programs, program, "vectorvisor", part, ours);
            let theirs = figure(programs, program, "by-hand", theirs, "per_second");
            cells.extend([ours, theirs, ours.zip(theirs).map(|(ours, theirs)| ours / theirs)]);
        }
        if programs[program]["systems"]["by-hand"].is_object() {
            push(&mut text, program, &cells);
        }
    }
    if text.is_empty() {
        return text;
    }
    "| Program | VectorVisor/s | by hand/s | of that | `map`/s | by hand, without HTTP/s | of that \
     | device alone/s | by hand/s | of that |\n|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned()
        + &text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Bars of a figure, for each program those of all systems, as parts of the largest of the program.
fn bars(record: &Value, heading: &str, part: &str, name: &str) -> String {
    let programs = &record["programs"];
    let mut svg = String::new();
    let (mut y, left, width) = (4, 190, 520.0);
    for program in names(record) {
        let values = SYSTEMS.map(|(system, colour)| (system, colour, figure(programs, program, system, part, name)));
        let largest = values.iter().filter_map(|(_, _, value)| *value).fold(0.0, f64::max);
        if largest <= 0.0 {
            continue;
        }
        _ = writeln!(svg, "<text x='{}' y='{}' text-anchor='end'>{program}</text>", left - 8, y + 12);
        for (system, colour, value) in values {
            let Some(value) = value else { continue };
            let long = (value / largest * width).max(1.0);
            _ = writeln!(
                svg,
                "<rect x='{left}' y='{y}' width='{long:.1}' height='12' fill='{colour}'><title>{system}</title></rect>\
                 <text x='{:.1}' y='{}' class='value'>{}</text>",
                f64::from(left) + long + 5.0,
                y + 10,
                short(Some(value)),
            );
            y += 15;
        }
        y += 10;
    }
    if svg.is_empty() {
        return String::new();
    }
    format!("<h2>{heading}</h2>\n<svg width='800' height='{y}'>\n{svg}</svg>\n")
}

/// A table in Markdown, or nothing, as HTML.
fn html(markdown: &str) -> String {
    let cells = |line: &str, tag: &str| {
        let cell = |cell: &str| format!("<{tag}>{}</{tag}>", escaped(cell.trim()).replace('`', ""));
        line.trim_matches('|').split('|').map(cell).collect::<String>()
    };
    let mut lines = markdown.lines();
    let Some(head) = lines.next() else { return String::new() };
    let rows: String = lines.skip(1).map(|line| format!("<tr>{}</tr>\n", cells(line, "td"))).collect();
    format!("<table><tr>{}</tr>\n{rows}</table>\n", cells(head, "th"))
}

/// The page, which needs nothing else.
pub fn page(record: &Value) -> String {
    let machine = &record["machine"];
    let say = |name: &str| escaped(machine[name].as_str().unwrap_or("-"));
    let key: String = SYSTEMS
        .iter()
        .map(|(system, colour)| format!("<span style='color:{colour}'>&#9632;</span> {system} "))
        .collect();
    format!(
        "<!doctype html><meta charset='utf-8'><title>The twelve programs</title>\n\
         <style>body{{font:14px sans-serif;margin:2em;max-width:70em}}td,th{{padding:2px 10px;text-align:right}}\
         td:first-child{{text-align:left}}tr:nth-child(even){{background:#f4f4f4}}.value{{font-size:10px;fill:#555}}</style>\n\
         <h1>The twelve programs as services</h1>\n\
         <p>{}, {} cores; {}; backend {}; {} s a load, {} requests that differ, every answer compared.</p>\n\
         {}{}<p>{key}</p>\n{}{}{}{}",
        say("processor"),
        machine["cores"],
        say("gpu"),
        escaped(record["backend"].as_str().unwrap_or("-")),
        record["seconds"],
        record["distinct"],
        html(&table(record)),
        html(&by_hand(record)),
        bars(record, "Requests a second, in batches", "batch", "per_second"),
        bars(record, "Requests a second, one by one", "single", "per_second"),
        bars(record, "99 of 100 single requests took less than, ms", "single", "p99_ms"),
        bars(record, "Requests a dollar, in batches", "", "requests_per_dollar"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_record_becomes_a_table_and_a_page() {
        let rate = |rate: f64| json!({ "batch": { "per_second": rate } });
        let record = json!({
            "machine": { "processor": "<one>", "cores": 2, "gpu": null }, "backend": "cpu", "seconds": 1.0, "distinct": 3,
            "programs": { "lz4": { "systems": { "native": rate(200.0), "vectorvisor": rate(50.0), "by-hand": rate(100.0) } } },
        });
        let table = table(&record);
        assert!(table.ends_with("| `lz4` | 200 | - | - | 50.0 | 0.25 | - | - | - |\n"), "{table}");
        let hand = by_hand(&record);
        assert!(hand.ends_with("| `lz4` | 50.0 | 100 | 0.50 | - | - | - | - | - | - |\n"), "{hand}");
        let page = page(&record);
        assert!(
            page.contains("&lt;one&gt;")
                && page.matches("<td>lz4</td>").count() == 2
                && page.matches("<rect").count() == 3,
            "{page}"
        );
    }
}
