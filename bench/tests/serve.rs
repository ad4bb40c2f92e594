//! What `bench/serve` says of records and of traces.

use serde_json::{Value, json};
use std::process::Command;

/// A phase of `bench/serve proof` in which all is well.
fn phase(hostile: bool) -> Value {
    let load = json!({
        "right": 1000, "wrong": 0, "lost": 0, "others": {}, "milliseconds": { "p99": 2.0 },
        "hostile": if hostile { json!({ "trap": { "500": 3 }, "too long": { "413": 2, "broken pipe": 1 } }) } else { json!({}) },
    });
    let moments: Vec<Value> =
        (0..10).map(|n| json!({ "seconds": n, "resident": 1 << 30, "device_bytes": 1 << 30 })).collect();
    json!({ "hostile_of_1000": if hostile { 10 } else { 0 }, "loads": [load, load], "moments": moments })
}

/// The exit code and what it says of two records.
fn judge(hostile: &Value, calm: &Value) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/serve"));
    command.arg("judge");
    for (name, phase) in [("hostile.json", hostile), ("calm.json", calm)] {
        let path = folder.path().join(name);
        std::fs::write(&path, json!({ "phases": [phase] }).to_string()).expect("a file");
        command.arg(path);
    }
    let ran = command.output().expect("it runs");
    (ran.status.code(), String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned())
}

#[test]
fn a_proof_is_judged() {
    let (code, said) = judge(&phase(true), &phase(false));
    assert!(code == Some(0) && said.contains("no fault") && said.contains("1.00 times"), "{said}");
    let faults: [(&str, Value, &str); 6] = [
        ("/loads/1/wrong", 1.into(), "'wrong': 1"),
        ("/loads/0/others", json!({ "503": 2 }), "'503': 2"),
        ("/loads/0/hostile/trap", json!({ "500": 2, "504": 1 }), "(trap) ended with {'504': 1}"),
        ("/loads/1/milliseconds/p99", 3.1.into(), "1.55 times"),
        ("/moments/9/device_bytes", (1_u64 << 30).div_ceil(5).saturating_mul(6).into(), "memory grows (device_bytes)"),
        ("/loads/0", json!({ "error": "the load ended with -9" }), "ended with -9"),
    ];
    for (at, value, why) in faults {
        let mut hostile = phase(true);
        *hostile.pointer_mut(at).expect("a member") = value;
        let (code, said) = judge(&hostile, &phase(false));
        assert!(code == Some(1) && said.contains("FAULT") && said.contains(why), "{at}: {said}");
    }
}

/// A request that two launches run, the second after a call; of another device, which was filled at the same time, none.
#[test]
fn a_trace_tells_what_a_request_waited_for() {
    let span = |pid: u32, name: &str, begin: u32, end: u32| json!({ "ph": "X", "pid": pid, "tid": 3, "name": name, "ts": begin, "dur": end - begin });
    let mut events = vec![json!({ "ph": "M", "name": "process_name", "pid": 0, "args": { "name": "host" } })];
    for (name, begin, end) in [("body", 100, 101), ("queue", 101, 110), ("run", 110, 200), ("write", 200, 230)] {
        for (phase, at) in [("b", begin), ("e", end)] {
            events.push(json!({ "ph": phase, "ts": at, "cat": "request", "id": 1, "name": name, "pid": 4, "tid": 0 }));
        }
    }
    events.extend([span(0, "fill", 105, 120), span(0, "launch", 112, 120), span(1, "launch", 125, 140)]);
    events.extend([span(0, "settle", 143, 150), span(0, "call", 144, 149), span(0, "launch", 151, 153)]);
    events.extend([span(1, "launch", 157, 180), span(0, "settle", 185, 199)]);
    events.extend([span(2, "fill", 104, 111), span(3, "launch", 112, 400), span(2, "settle", 401, 402)]);
    let folder = tempfile::tempdir().expect("a folder");
    let [trace, out] = ["trace.json", "out.json"].map(|name| folder.path().join(name));
    std::fs::write(&trace, Value::from(events).to_string()).expect("a file");
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/serve"));
    let ran = command.args(["parts", "--trace"]).arg(&trace).arg("--out").arg(&out).output().expect("it runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let record: Value = serde_json::from_slice(&std::fs::read(out).expect("a record")).expect("JSON");
    for (part, mean) in [
        ("body", 1.0),
        ("queue", 9.0),
        ("fill", 2.0),
        ("launch", 10.0),
        ("to the device", 10.0),
        ("kernel", 38.0),
        ("from the device", 8.0),
        ("settle", 17.0),
        ("call", 5.0),
        ("write", 30.0),
        ("all", 130.0),
    ] {
        assert_eq!(record["microseconds"][part]["mean"], mean, "{part}: {record}");
    }
}
