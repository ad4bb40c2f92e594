//! Every record of `bench/real/run` can be shown as a table.

use std::path::Path;
use std::process::Command;

#[test]
fn records_become_tables() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let records = std::fs::read_dir(folder.join("results")).expect("a folder of records");
    let mut shown = 0;
    for record in records {
        let path = record.expect("an entry of the folder").path();
        let ran = Command::new(folder.join("real/run")).arg("--table").arg(&path).output().expect("Python runs");
        assert!(ran.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&ran.stderr));
        let text = String::from_utf8(ran.stdout).expect("UTF-8");
        let heading = text.lines().position(|line| line.starts_with("program")).expect("a heading");
        let row = text.lines().nth(heading + 1).expect("a row");
        assert!(row.split_whitespace().nth(1) == Some("wasmtime"), "{}: {row}", path.display());
        shown += 1;
    }
    assert!(shown > 0, "there are records");
}
