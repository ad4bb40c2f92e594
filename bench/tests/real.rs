//! Every record can be shown as a table; README.md has that of the newest record of the twelve programs, and RESULTS.md
//! those of the records that it names.

use bench::report::{self, Records};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

#[test]
fn records_become_tables() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let records = std::fs::read_dir(folder.join("results")).expect("a folder of records");
    let mut shown = 0;
    for record in records {
        let path = record.expect("an entry of the folder").path();
        let is = |kind| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(kind));
        if is("serve-") {
            // `serve` says what it finds, and makes no tables.
            continue;
        }
        let (twelve, devices) = (is("twelve-"), is("devices-"));
        let mut command = if twelve {
            let mut report = Command::new(env!("CARGO_BIN_EXE_vectorvisor-bench"));
            report.arg("report").arg(&path).arg("--out").arg(concat!(env!("CARGO_TARGET_TMPDIR"), "/page.html"));
            report
        } else {
            let mut table = Command::new(folder.join(if devices { "devices/run" } else { "real/run" }));
            table.arg("--table").arg(&path);
            table
        };
        let ran = command.output().expect("it runs");
        assert!(ran.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&ran.stderr));
        let text = String::from_utf8(ran.stdout).expect("UTF-8");
        if twelve {
            assert!(text.starts_with("| Program | native/s |"), "{}: {text}", path.display());
            continue;
        }
        if devices {
            assert!(text.starts_with("what "), "{}: {text}", path.display());
            continue;
        }
        let heading = text.lines().position(|line| line.starts_with("program")).expect("a heading");
        let row = text.lines().nth(heading + 1).expect("a row");
        assert!(row.split_whitespace().nth(1) == Some("wasmtime"), "{}: {row}", path.display());
        shown += 1;
    }
    assert!(shown > 0, "there are records");
}

#[test]
fn readme_has_the_newest_figures_of_the_twelve_programs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths =
        std::fs::read_dir(folder.join("results")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let twelve =
        paths.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("twelve-")));
    let records = twelve.map(|path| serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON"));
    let records = Records::new(records.collect(), &Value::Null);
    let readme = std::fs::read_to_string(folder.join("../README.md")).expect("README.md");
    let new =
        report::put(&readme, &report::summary(records.newest().expect("a record"))).expect("a place for the table");
    assert!(new == readme, "run: vectorvisor-bench report bench/results/twelve-*.json --readme README.md");
}

#[test]
fn results_have_the_tables_of_the_records_that_they_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let results = std::fs::read_to_string(folder.join("RESULTS.md")).expect("RESULTS.md");
    let read = |name: &str| Ok(serde_json::from_slice(&std::fs::read(folder.join("results").join(name))?)?);
    let new = report::fill(&results, read).expect("the records");
    assert!(new == results, "run: vectorvisor-bench results --into bench/RESULTS.md");
}
