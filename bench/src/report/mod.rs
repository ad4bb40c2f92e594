//! Records of `vectorvisor-bench run`: tables in Markdown, also for README.md, and a page.

mod plots;

use crate::prices;
use anyhow::{Context, Result};
use plots::Part;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use vectorvisor::BackendSpec;

/// Systems in the order in which they are shown, with their colours.
const SYSTEMS: [(&str, &str); 5] = [
    ("native", "#8a8f98"),
    ("wasmtime", "#d9a441"),
    ("wasmtime-keep", "#b5651d"),
    ("vectorvisor", "#2f7d4f"),
    ("by-hand", "#3b5b92"),
];
/// What the first VectorVisor does with the programs of its paper, with its own parameters (heaps of 3 to 4 MiB, 4,096
/// to 6,144 VMs), on an H200 with 16 cores: requests a second of the device alone, and over HTTP. It did not compile
/// scrypt and histogram in 425 s; the others were not tried.
const FIRST: [(&str, f64, f64); 5] = [
    ("lz4", 3950.0, 2658.0),
    ("blur-bmp", 3070.0, 2648.0),
    ("pbkdf2", 13700.0, 788.0),
    ("strings", 2870.0, 526.0),
    ("strings-assemblyscript", 3030.0, 2456.0),
];
/// The same in words.
const PAPER: &str = "The paper's VectorVisor (\"VectorVisor: A Binary Translation Scheme for Throughput-Oriented GPU \
    Acceleration\", USENIX ATC '23) was measured on an H200 with 16 cores, with its own parameters: heaps of 3 to 4 MiB, \
    4,096 to 6,144 VMs. Scrypt and Histogram did not compile there in 425 s, others were not tried. On the GPUs of its \
    time the paper reports up to 2.9 times the throughput per dollar of x86-64 machines.";
/// Between which `put` writes.
const MARKERS: [&str; 2] = ["<!-- twelve -->\n", "<!-- /twelve -->"];
/// Between which `fill` writes; the first ends with a record's name and `-->`.
const RECORD: [&str; 2] = ["<!-- record ", "<!-- /record -->"];

/// Records, of which those of one commit on one machine are one.
#[derive(Debug)]
pub struct Records(Vec<Value>);

impl Records {
    /// What `run` wrote. Requests per dollar are added with these prices where a record has none.
    pub fn new(records: Vec<Value>, prices: &Value) -> Self {
        let mut all: Vec<Value> = Vec::new();
        let mut records = records;
        // Newest last. Dates of one form.
        records.sort_by_key(|record| record["date"].as_str().unwrap_or_default().to_owned());
        for mut record in records {
            priced(&mut record, prices);
            let same = |other: &&mut Value| {
                !record["commit"].is_null()
                    && ["commit", "backend", "options", "machine"].iter().all(|name| record[*name] == other[*name])
            };
            match all.iter_mut().find(same) {
                Some(other) => {
                    if let (Some(programs), Some(more)) =
                        (other["programs"].as_object_mut(), record["programs"].as_object())
                    {
                        programs.extend(more.clone());
                    }
                }
                None => all.push(record),
            }
        }
        Self(all)
    }

    /// The newest that has several programs.
    ///
    /// # Errors
    /// There is none.
    pub fn newest(&self) -> Result<&Value> {
        let several = |record: &&Value| measured(record).len() > 1;
        self.0.iter().rev().find(several).or(self.0.last()).context("there is no record")
    }

    /// The page, which needs nothing else: of the newest, and what came before on the same machine.
    ///
    /// # Errors
    /// There is no record.
    pub fn page(&self) -> Result<String> {
        let record = self.newest()?;
        let same = |other: &&Value| {
            ["gpu", "processor", "cores"].iter().all(|it| other["machine"][it] == record["machine"][it])
        };
        let like: Vec<&Value> =
            self.0.iter().filter(same).filter(|other| other["backend"] == record["backend"]).collect();
        Ok(page(record, &like))
    }
}

fn priced(record: &mut Value, prices: &Value) {
    if record["prices"].is_null() {
        record["prices"] = prices.clone();
    }
    let prices = record["prices"].clone();
    let cores = record["machine"]["cores"].as_f64().unwrap_or(1.0);
    let devices: Vec<BackendSpec> = match record["devices"].as_array() {
        Some(names) => names.iter().filter_map(|name| name.as_str()?.parse().ok()).collect(),
        None => record["backend"].as_str().into_iter().filter_map(|name| name.parse().ok()).collect(),
    };
    for program in record["programs"].as_object_mut().into_iter().flat_map(|programs| programs.values_mut()) {
        for (system, figures) in program["systems"].as_object_mut().into_iter().flatten() {
            let on_device = ["vectorvisor", "by-hand"].contains(&system.as_str());
            let devices = on_device.then_some(devices.as_slice());
            let rate = figures["batch"]["per_second"].as_f64();
            let dollars = rate.and_then(|rate| prices::per_dollar(&prices, devices, cores, rate));
            if let (true, Some(dollars)) = (figures["requests_per_dollar"].is_null(), dollars) {
                figures["requests_per_dollar"] = json!(dollars);
            }
        }
    }
}

/// A figure of a system, if there is one.
fn figure(record: &Value, program: &str, system: &str, part: &str, name: &str) -> Option<f64> {
    let figures = &record["programs"][program]["systems"][system];
    let part = if part.is_empty() { figures } else { &figures[part] };
    part[name].as_f64()
}

/// Three digits, or all before the point.
fn short(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) if value >= 0.1 || value == 0.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.4}"),
    }
}

fn names(record: &Value) -> Vec<&str> {
    let programs = record["programs"].as_object();
    programs.map(|programs| programs.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// The programs whose requests VectorVisor answered.
fn measured(record: &Value) -> Vec<&str> {
    let rate = |program: &&str| figure(record, program, "vectorvisor", "batch", "per_second").is_some();
    names(record).into_iter().filter(rate).collect()
}

/// Cells of a table in Markdown.
fn row(program: &str, cells: &[Option<f64>]) -> String {
    let cells: Vec<String> = cells.iter().copied().map(short).collect();
    format!("| `{program}` | {} |\n", cells.join(" | "))
}

/// A table in Markdown, or nothing if it has no rows.
fn in_markdown(heading: &[&str], rows: &str) -> String {
    if rows.is_empty() {
        return String::new();
    }
    format!("| {} |\n{}|\n{rows}", heading.join(" | "), "|---".repeat(heading.len()))
}

/// Requests a second in batches of native, Wasmtime with an instance for each request, Wasmtime at its best, and
/// VectorVisor; and what VectorVisor's are of native and of the best of Wasmtime.
fn rates(record: &Value, program: &str) -> [Option<f64>; 6] {
    let rate = |system: &str| figure(record, program, system, "batch", "per_second");
    let (native, fresh, ours) = (rate("native"), rate("wasmtime"), rate("vectorvisor"));
    let best = [fresh, rate("wasmtime-keep")].into_iter().flatten().reduce(f64::max);
    let times = |other: Option<f64>| Some(ours? / other?);
    [native, fresh, best, ours, times(native), times(best)]
}

/// Requests a second in batches, VectorVisor's as multiples of others', and what its device does alone, in Markdown.
pub fn table(record: &Value) -> String {
    let rows = names(record).into_iter().map(|program| {
        let [native, fresh, _, ours, of_native, of_wasmtime] = rates(record, program);
        let kept = figure(record, program, "wasmtime-keep", "batch", "per_second");
        let device = figure(record, program, "vectorvisor", "device", "per_second");
        let compiled = figure(record, program, "vectorvisor", "compiled", "compile_seconds");
        row(program, &[native, fresh, kept, ours, of_native, of_wasmtime, device, compiled])
    });
    let heading = [
        "Program",
        "native/s",
        "Wasmtime/s",
        "kept/s",
        "VectorVisor/s",
        "of native",
        "of Wasmtime",
        "device alone/s",
        "compiled, s",
    ];
    in_markdown(&heading, &rows.collect::<String>())
}

/// Where and when a record was made.
fn about(record: &Value) -> String {
    let machine = &record["machine"];
    let say = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let gpu = machine["gpu"].as_str().or(machine["nvidia"].as_str()).map_or_else(String::new, |gpu| {
        let gpus: Vec<&str> = gpu.lines().collect();
        let count = if gpus.len() > 1 { format!("{} x ", gpus.len()) } else { String::new() };
        // Its name, the driver and its memory.
        format!("{count}{}, ", gpus.first().and_then(|gpu| gpu.split(',').next()).unwrap_or_default())
    });
    let backend = record["backend"].as_str().map_or_else(String::new, |backend| format!("--backend {backend}; "));
    format!(
        "{gpu}{}, {} cores; {backend}commit {}, {}",
        say(&machine["processor"]),
        machine["cores"],
        say(&record["commit"]),
        say(&record["date"]).split('T').next().unwrap_or_default(),
    )
}

/// The table of README.md.
pub fn summary(record: &Value) -> String {
    let heading = [
        "Program",
        "native, all cores",
        "Wasmtime, all cores",
        "VectorVisor",
        "of native",
        "of Wasmtime",
        "device alone",
    ];
    let rows = measured(record).into_iter().map(|program| {
        let [native, _, best, ours, of_native, of_wasmtime] = rates(record, program);
        let device = figure(record, program, "vectorvisor", "device", "per_second");
        row(program, &[native, best, ours, of_native, of_wasmtime, device])
    });
    format!("{}\n{}.\n", in_markdown(&heading, &rows.collect::<String>()), about(record))
}

/// A text with another table between its markers.
///
/// # Errors
/// It has no markers.
pub fn put(text: &str, table: &str) -> Result<String> {
    let [begin, end] = MARKERS;
    let missing = || format!("there is no place for the table, between lines {} and {end}", begin.trim());
    let (before, rest) = text.split_once(begin).with_context(missing)?;
    let (_, after) = rest.split_once(end).with_context(missing)?;
    Ok(format!("{before}{begin}\n{table}\n{end}{after}"))
}

/// A text with the tables of all records that it names in lines <!-- record NAME -->, between those and the next <!--
/// /record -->.
///
/// # Errors
/// A record cannot be read, or has no end.
pub fn fill(text: &str, read: impl Fn(&str) -> Result<Value>) -> Result<String> {
    let [begin, end] = RECORD;
    let mut parts = text.split(begin);
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(" -->\n").context("a record's line does not end")?;
        let (_, after) = rest.split_once(end).with_context(|| format!("no line {end} follows {name}"))?;
        filled += &format!("{begin}{name} -->\n\n{}\n{end}{after}", tables(&read(name)?));
    }
    Ok(filled)
}

/// All tables of a record in Markdown, of `vectorvisor-bench run` or of `bench/real/run`.
pub fn tables(record: &Value) -> String {
    let parts = match record["results"].as_array() {
        None => vec![table(record), details(record), per_dollar(record), beside_the_paper(record), by_hand(record)],
        Some(rows) => vec![programs(rows)],
    };
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{}.\n\n{}", about(record), parts.join("\n"))
}

/// What `bench/real/run` measured, in Markdown.
fn programs(rows: &[Value]) -> String {
    let rows = rows.iter().map(|row| {
        let say = |name: &str| row[name].as_str().unwrap_or_default().replace('|', "\\|");
        let number = |name: &str| short(row[name].as_f64());
        let system = [say("backend"), say("backends"), say("options")].join(" ").replace("  ", " ");
        let whole = row["inputs"].as_u64().map_or_else(|| "-".into(), |inputs| inputs.to_string());
        let (wall, kernel, of) = (number("wall_seconds"), number("kernel_seconds"), number("of_wasmtime"));
        let error = say("error").lines().next().unwrap_or_default().to_owned();
        format!("| `{}` | {} | {whole} | {wall} | {kernel} | {of} | {error} |\n", say("program"), system.trim())
    });
    let heading = ["Program", "on", "inputs", "wall, s", "kernel, s", "of Wasmtime", ""];
    in_markdown(&heading, &rows.collect::<String>())
}

/// Requests a second of VectorVisor and of what is written by hand, in Markdown: in batches over HTTP, from inputs to
/// outputs without it, and on the device alone. Empty if there is nothing of the kind.
pub fn by_hand(record: &Value) -> String {
    let mut rows = String::new();
    for program in names(record) {
        let mut cells = Vec::new();
        for (part, ours, theirs) in [
            ("batch", "per_second", "batch"),
            ("device", "run_per_second", "copied"),
            ("device", "per_second", "device"),
        ] {
            let ours = figure(record, program, "vectorvisor", part, ours);
            let theirs = figure(record, program, "by-hand", theirs, "per_second");
            cells.extend([ours, theirs, ours.zip(theirs).map(|(ours, theirs)| ours / theirs)]);
        }
        if record["programs"][program]["systems"]["by-hand"].is_object() {
            rows += &row(program, &cells);
        }
    }
    let heading = [
        "Program",
        "VectorVisor/s",
        "by hand/s",
        "of that",
        "`map`/s",
        "by hand, without HTTP/s",
        "of that",
        "device alone/s",
        "by hand/s",
        "of that",
    ];
    in_markdown(&heading, &rows)
}

/// VectorVisor's other figures, in Markdown.
fn details(record: &Value) -> String {
    let rows = measured(record).into_iter().map(|program| {
        let of = |part: &str, name: &str| figure(record, program, "vectorvisor", part, name);
        let figures = &record["programs"][program]["systems"]["vectorvisor"];
        let stats = |name: &str| figures["device"]["stats"][name].as_f64();
        let thousands = of("batch", "requests").map(|requests| requests / 1000.0);
        row(
            program,
            &[
                of("compiled", "compile_seconds"),
                of("compiled", "cached_seconds"),
                of("", "start_seconds"),
                stats("vms"),
                stats("device_bytes").map(|bytes| bytes / f64::from(1 << 30)),
                of("single", "p50_ms"),
                of("single", "p99_ms"),
                of("profiled", "active_lanes"),
                of("", "gpu_joules").zip(thousands).map(|(joules, thousands)| joules / thousands),
            ],
        )
    });
    let heading = [
        "VectorVisor",
        "compiled, s",
        "cached, s",
        "server ready, s",
        "VMs",
        "GiB",
        "p50, ms",
        "p99, ms",
        "active lanes",
        "joules of 1,000",
    ];
    in_markdown(&heading, &rows.collect::<String>())
}

/// Millions of requests per dollar in batches, and those of the paper's VectorVisor on one H200, in Markdown.
fn per_dollar(record: &Value) -> String {
    let rows = measured(record).into_iter().filter_map(|program| {
        let of = |system: &str| figure(record, program, system, "", "requests_per_dollar");
        let (native, ours) = (of("native"), of("vectorvisor")?);
        let best = of("wasmtime").into_iter().chain(of("wasmtime-keep")).reduce(f64::max);
        let first = FIRST.iter().find(|(name, ..)| *name == program).and_then(|(_, _, rate)| {
            prices::per_dollar(&record["prices"], Some(&["cuda:0".parse().ok()?]), 16.0, *rate)
        });
        let millions = |dollars: Option<f64>| dollars.map(|it| it / 1e6);
        let times = |other: Option<f64>| Some(ours / other?);
        let [native_m, best_m, by_hand_m, ours_m, first_m] =
            [native, best, of("by-hand"), Some(ours), first].map(millions);
        let of_others = [native, best, first].map(times);
        Some(row(program, &[native_m, best_m, by_hand_m, ours_m, of_others[0], of_others[1], first_m, of_others[2]]))
    });
    let heading = [
        "Millions of requests per dollar",
        "native",
        "Wasmtime",
        "by hand",
        "VectorVisor",
        "of native",
        "of Wasmtime",
        "the paper's",
        "of the paper's",
    ];
    in_markdown(&heading, &rows.collect::<String>())
}

/// Requests a second beside the paper's VectorVisor, in Markdown: in batches over HTTP, and on the device alone.
fn beside_the_paper(record: &Value) -> String {
    let rows =
        FIRST.iter().filter(|(program, ..)| measured(record).contains(program)).map(|(program, device, http)| {
            let ours = |part: &str| figure(record, program, "vectorvisor", part, "per_second");
            let both = |ours: Option<f64>, first: f64| [ours, Some(first), ours.map(|ours| ours / first)];
            row(program, &[both(ours("batch"), *http), both(ours("device"), *device)].concat())
        });
    let heading =
        ["Program", "VectorVisor/s", "the paper's/s", "of that", "device alone/s", "the paper's/s", "of that"];
    in_markdown(&heading, &rows.collect::<String>())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A figure as bars, for each program those of all systems.
fn bars(record: &Value, heading: &str, part: &str, name: &str) -> String {
    let bar = |program: &str, (system, colour): (&'static str, &'static str)| {
        Some(vec![(system, colour, figure(record, program, system, part, name)?)])
    };
    let group = |program| (program, SYSTEMS.into_iter().filter_map(|system| bar(program, system)).collect());
    plots::bars(heading, &names(record).into_iter().map(group).collect::<Vec<_>>())
}

const PARTS: [(&str, &str); 5] = [
    ("waiting for a VM", plots::COLOURS[4]),
    ("transfers", plots::COLOURS[2]),
    ("kernels", plots::COLOURS[0]),
    ("host calls", plots::COLOURS[5]),
    ("the rest", plots::COLOURS[1]),
];

/// Where a request's time goes, in milliseconds: in batches, and one by one.
fn latency(record: &Value) -> String {
    let parts = |program: &str, part: &str| -> Option<Vec<Part<'static>>> {
        let of = |name: &str| figure(record, program, "vectorvisor", part, &format!("mean_{name}"));
        let all = of("seconds")?;
        let mut parts =
            vec![of("queue_seconds")?, of("transfer_seconds")?, of("kernel_seconds")?, of("host_call_seconds")?];
        parts.push((all - parts.iter().sum::<f64>()).max(0.0));
        Some(PARTS.into_iter().zip(parts).map(|((name, colour), seconds)| (name, colour, seconds * 1e3)).collect())
    };
    let both =
        |program| (program, ["batch_split", "single_split"].iter().filter_map(|it| parts(program, it)).collect());
    let groups: Vec<(&str, Vec<Vec<Part<'_>>>)> = names(record).into_iter().map(both).collect();
    let plot = plots::bars("A request's time in VectorVisor, ms: in batches (above), one by one (below)", &groups);
    if plot.is_empty() { plot } else { plot + &plots::key(PARTS.into_iter()) }
}

/// What the device alone does, by the number of VMs.
fn scaling(record: &Value) -> String {
    let rows = |program: &str| record["programs"][program]["systems"]["vectorvisor"]["vms_sweep"].as_array();
    let all: BTreeSet<u64> =
        names(record).into_iter().filter_map(rows).flatten().filter_map(|row| row["vms"].as_u64()).collect();
    let line = |program| {
        let at = |vms: &u64| rows(program)?.iter().find(|row| row["vms"] == *vms)?["per_second"].as_f64();
        (program, all.iter().map(at).collect())
    };
    let lines: Vec<_> = names(record).into_iter().map(line).collect();
    let places: Vec<String> = all.iter().map(u64::to_string).collect();
    plots::lines("Requests a second of the device alone, by the number of VMs", &places, &lines)
}

/// VectorVisor's requests a second by commit.
fn history(records: &[&Value]) -> String {
    if records.len() < 2 {
        return String::new();
    }
    let say = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let places: Vec<String> = records.iter().map(|record| say(&record["commit"])).collect();
    let programs: BTreeSet<&str> = records.iter().flat_map(|record| names(record)).collect();
    let line = |program| {
        let at = |record: &&Value| figure(record, program, "vectorvisor", "batch", "per_second");
        (program, records.iter().map(at).collect())
    };
    let lines: Vec<_> = programs.into_iter().map(line).collect();
    plots::lines("VectorVisor's requests a second in batches, by commit", &places, &lines)
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

fn page(record: &Value, like: &[&Value]) -> String {
    let dollars = per_dollar(record);
    let price = |(name, price): (&String, &Value)| {
        let say = |member: &str| escaped(price[member].as_str().unwrap_or("-"));
        let (machine, source, date) = (say("machine"), say("source"), say("date"));
        format!("{name}: {machine}, {} dollars an hour ({source}; {date}). ", price["usd_per_hour"])
    };
    let prices: String = record["prices"].as_object().into_iter().flatten().map(price).collect();
    let dollars = match dollars.as_str() {
        "" => dollars,
        _ => format!("{}<p>Prices: {prices}</p>\n", html(&dollars)),
    };
    let paper = match html(&beside_the_paper(record)).as_str() {
        "" => String::new(),
        table => format!("{table}<p>{}</p>\n", escaped(PAPER)),
    };
    format!(
        "<!doctype html><meta charset='utf-8'><title>The twelve programs</title>\n\
         <style>body{{font:14px sans-serif;margin:2em;max-width:70em}}td,th{{padding:2px 10px;text-align:right}}\
         td:first-child{{text-align:left}}tr:nth-child(even){{background:#f4f4f4}}.value{{font-size:10px;fill:#555}}\
         .grid{{stroke:#ddd}}</style>\n\
         <h1>The twelve programs as services</h1>\n\
         <p>{}; {} s a load, {} requests that differ, every answer compared.</p>\n\
         {}{}{}{dollars}{paper}{}{}{}{}{}{}{}{}",
        escaped(&about(record)),
        record["seconds"],
        record["distinct"],
        html(&table(record)),
        html(&by_hand(record)),
        html(&details(record)),
        plots::key(SYSTEMS.into_iter()),
        bars(record, "Requests a second, in batches", "batch", "per_second"),
        bars(record, "Requests a second, one by one", "single", "per_second"),
        bars(record, "99 of 100 single requests took less than, ms", "single", "p99_ms"),
        bars(record, "Requests a dollar, in batches", "", "requests_per_dollar"),
        latency(record),
        scaling(record),
        history(like),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(date: &str, commit: &str, programs: Value) -> Value {
        json!({
            "date": date, "commit": commit, "backend": "cpu", "seconds": 1.0, "distinct": 3,
            "machine": { "processor": "<one>", "cores": 2, "gpu": null }, "programs": programs,
        })
    }

    fn rate(rate: f64) -> Value {
        json!({ "batch": { "per_second": rate } })
    }

    #[test]
    fn a_record_becomes_tables_and_a_page() {
        let programs = json!({
            "lz4": { "systems": { "native": rate(200.0), "vectorvisor": rate(50.0), "by-hand": rate(100.0) } },
        });
        let prices = json!({ "cpu": { "usd_per_hour": 0.5, "cores": 2 }, "cuda": { "usd_per_hour": 5.0, "machine": "an H200" } });
        let records = Records::new(vec![record("2026-11-30T01:02:03Z", "abc", programs)], &prices);
        let record = records.newest().expect("a record");
        let table = table(record);
        assert!(table.ends_with("| `lz4` | 200 | - | - | 50.0 | 0.25 | - | - | - |\n"), "{table}");
        let hand = by_hand(record);
        assert!(hand.ends_with("| `lz4` | 50.0 | 100 | 0.50 | - | - | - | - | - | - |\n"), "{hand}");
        let dollars = per_dollar(record);
        assert!(dollars.ends_with("| `lz4` | 1.44 | - | 0.72 | 0.36 | 0.25 | - | 1.91 | 0.19 |\n"), "{dollars}");
        let summary = summary(record);
        assert!(
            summary.ends_with("0.25 | - | - |\n\n<one>, 2 cores; --backend cpu; commit abc, 2026-11-30.\n"),
            "{summary}"
        );
        let page = records.page().expect("a page");
        assert!(
            page.contains("&lt;one&gt;")
                && page.contains("an H200, 5.0 dollars")
                && page.matches("<td>lz4</td>").count() == 5
                && page.matches("<rect").count() == 6
                && !page.contains("<polyline"),
            "{page}"
        );
    }

    #[test]
    fn records_of_one_commit_are_one_point_of_the_history() {
        let one = |rate_: f64| json!({ "systems": { "vectorvisor": rate(rate_) } });
        let records = Records::new(
            vec![
                record("2026-12-02T00:00:00Z", "new", json!({ "lz4": one(30.0) })),
                record("2026-12-01T00:00:00Z", "old", json!({ "lz4": one(10.0), "scrypt": one(1.0) })),
                record("2026-12-01T01:00:00Z", "old", json!({ "lz4": one(20.0), "strings": one(2.0) })),
            ],
            &Value::Null,
        );
        // The newest has one program only.
        let newest = records.newest().expect("a record");
        assert_eq!(measured(newest), ["lz4", "scrypt", "strings"]);
        assert_eq!(figure(newest, "lz4", "vectorvisor", "batch", "per_second"), Some(20.0));
        let page = records.page().expect("a page");
        assert_eq!((page.matches("<polyline").count(), page.matches("<circle").count()), (3, 4), "{page}");
    }

    #[test]
    fn a_request_s_time_and_numbers_of_vms_are_shown() {
        let split = json!({
            "mean_seconds": 0.01, "mean_queue_seconds": 0.002, "mean_transfer_seconds": 0.001,
            "mean_kernel_seconds": 0.004, "mean_host_call_seconds": 0.0,
        });
        let sweep = json!([
            { "vms": 256, "per_second": 10.0 }, { "vms": 1024, "per_second": 40.0 }, { "asked": 4096, "error": "no room" },
        ]);
        let figures = json!({ "batch_split": split, "vms_sweep": sweep });
        let record = record("", "", json!({ "lz4": { "systems": { "vectorvisor": figures } } }));
        let latency = latency(&record);
        assert!(latency.contains("<title>the rest: 3.00</title>") && latency.contains(">10.0</text>"), "{latency}");
        let scaling = scaling(&record);
        assert!(
            scaling.contains("<title>lz4, 1024: 40.0</title>") && scaling.matches("<circle").count() == 2,
            "{scaling}"
        );
    }

    #[test]
    fn records_that_a_text_names_become_tables() {
        let machine = json!({ "processor": "P", "cores": 16, "nvidia": "GPU, 1\nGPU, 1" });
        let rows = json!([
            { "program": "deflate", "backend": "cuda", "options": "--lanes 8", "inputs": 9, "wall_seconds": 2.0, "of_wasmtime": 0.5 },
            { "program": "bzip2", "backend": "cuda", "inputs": 9, "error": "too\nlong" },
        ]);
        let record = json!({ "date": "2026-12-01", "commit": "abc", "machine": machine, "results": rows });
        let read = |name: &str| {
            anyhow::ensure!(name == "one.json", "{name}?");
            Ok(record.clone())
        };
        let text = "by hand\n<!-- record one.json -->\nold\n<!-- /record -->\nmore by hand\n";
        let new = fill(text, read).expect("a record");
        assert!(
            new.starts_with(
                "by hand\n<!-- record one.json -->\n\n2 x GPU, P, 16 cores; commit abc, 2026-12-01.\n\n| Program "
            ),
            "{new}"
        );
        assert!(
            new.contains(
                "| `deflate` | cuda --lanes 8 | 9 | 2.00 | - | 0.50 |  |\n| `bzip2` | cuda | 9 | - | - | - | too |\n"
            ),
            "{new}"
        );
        assert!(new.ends_with("|\n\n<!-- /record -->\nmore by hand\n"), "{new}");
        assert_eq!(fill(&new, read).expect("a record"), new);
        assert!(fill("<!-- record one.json -->\n", read).is_err() && fill(&text.replace("one", "two"), read).is_err());
    }

    #[test]
    fn a_table_stands_between_its_markers() {
        let text = "before\n<!-- twelve -->\nold\n<!-- /twelve -->\nafter\n";
        let new = put(text, "| new |\n").expect("markers");
        assert_eq!(new, "before\n<!-- twelve -->\n\n| new |\n\n<!-- /twelve -->\nafter\n");
        assert_eq!(put(&new, "| new |\n").expect("markers"), new);
        assert!(put("before", "").is_err());
    }
}
