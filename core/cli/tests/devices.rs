//! `vectorvisor devices`, and drivers that are plugins: found, missing, broken.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// `vectorvisor` in a folder of its own, as if installed: no plugin lies near it.
struct Installed {
    folder: TempDir,
}

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Installed {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let built = Path::new(env!("CARGO_BIN_EXE_vectorvisor"));
        let copy = folder.path().join("vectorvisor");
        fs::hard_link(built, &copy).or_else(|_| fs::copy(built, &copy).map(drop)).expect("a copy");
        Self { folder }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
    fn run_with(&self, words: &[&str], variable: &str) -> Ran {
        let output = Command::new(self.path("vectorvisor"))
            .args(words)
            .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
            .env("XDG_DATA_HOME", self.path("data"))
            .env("VECTORVISOR_DRIVER_PATH", variable)
            .output()
            .expect("vectorvisor starts");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
    fn run(&self, words: &[&str]) -> Ran {
        self.run_with(words, "")
    }
}

/// The plugin that cargo built for this test.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    test.with_file_name(format!("libvectorvisor_{name}.so"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/factorial.wat")
}

/// The line about a driver.
fn line<'a>(ran: &'a Ran, name: &str) -> &'a str {
    let start = format!("{name}:");
    let mut lines = ran.out.lines().filter(|line| line.starts_with(&start));
    let line = lines.next().unwrap_or_else(|| panic!("no line about {name}: {} {}", ran.out, ran.err));
    assert!(lines.next().is_none() || line.contains(":0:"), "{}", ran.out);
    line
}

#[test]
fn without_plugins_there_is_the_cpu() {
    let alone = Installed::new();
    let ran = alone.run(&["devices"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.starts_with("cpu:0: ") && ran.out.contains("driver: built in"), "{}", ran.out);
    assert!(ran.out.contains(" 1 lane, "), "{}", ran.out);
    for name in ["opencl", "cuda", "hip"] {
        let want = format!("{name}: unavailable, because there is no plugin libvectorvisor_{name}.so in ");
        let line = line(&ran, name);
        assert!(line.starts_with(&want) && line.contains("--driver-path"), "{line}");
    }
    let factorial = example();
    for backend in ["opencl", "cuda:1", "hip"] {
        let ran = alone.run(&["run", "--backend", backend, "--invoke", "factorial", text(&factorial), "5"]);
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        assert!(ran.err.contains(&format!("backend {backend}: there is no plugin")), "{}", ran.err);
        assert_eq!(alone.run(&["devices", "--backend", backend]).code, Some(1));
        let both = format!("cpu,{backend}");
        let ran = alone.run(&["map", "--backend", &both, text(&factorial), "--in", "-", "--out", "-"]);
        let says =
            format!("not all are here; to run on the others, leave out what is not: backend {backend}: there is no");
        assert!(ran.code == Some(1) && ran.err.contains(&says), "{}", ran.err);
    }
    let ran = alone.run(&["run", "--backend", "auto", "--invoke", "factorial", text(&factorial), "5"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "120\n"), "{}", ran.err);
}

/// Every place; the driver may well be unavailable for want of a device, but not for want of a plugin.
#[test]
fn a_plugin_is_found_in_every_place() {
    let here = Installed::new();
    let found = |ran: &Ran| {
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let line = line(ran, "opencl");
        assert!(!line.contains("plugin") && !line.contains("cannot be used"), "{line}");
    };
    let plugin = built("opencl");
    found(&here.run(&["devices", "--driver-path", text(&plugin)]));
    for place in
        ["libvectorvisor_opencl.so", "deps/libvectorvisor_opencl.so", "data/vectorvisor/libvectorvisor_opencl.so"]
    {
        let path = here.path(place);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::copy(&plugin, &path).expect("a copy");
        found(&here.run(&["devices"]));
        fs::remove_file(&path).expect("removed");
    }
    let elsewhere = here.path("else where");
    fs::create_dir(&elsewhere).expect("a folder");
    fs::copy(&plugin, elsewhere.join("libvectorvisor_opencl.so")).expect("a copy");
    found(&here.run(&["devices", "--driver-path", text(&elsewhere)]));
    found(&here.run_with(&["devices"], &format!("{}:{}", text(&here.path("data")), text(&elsewhere))));
}

#[test]
fn a_named_plugin_replaces_the_built_in_driver() {
    let here = Installed::new();
    let plugin = built("cpu");
    let ran = here.run(&["devices", "--backend", "cpu", "--driver-path", text(&plugin)]);
    assert!(ran.out.contains(&format!("driver: {}", plugin.display())), "{}", ran.out);
    let factorial = example();
    let words = ["run", "--nvidia=true", "--patch", "--vms", "64", "--invoke", "factorial", text(&factorial), "5"];
    let ran = here.run_with(&words, text(&plugin));
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "120  (64 VMs)\n"), "{}", ran.err);
    // Beside the executable it does not.
    fs::copy(&plugin, here.path("libvectorvisor_cpu.so")).expect("a copy");
    let ran = here.run(&["devices", "--backend", "cpu"]);
    assert!(ran.out.contains("driver: built in"), "{}", ran.out);
}

#[test]
fn a_broken_plugin_is_one_line() {
    let here = Installed::new();
    let factorial = example();
    let whole = fs::read(built("opencl")).expect("a plugin");
    let path = |name: &str| here.path(&format!("libvectorvisor_{name}.so"));
    for (name, bytes) in [("empty", &whole[..0]), ("half", &whole[..whole.len() / 2]), ("garbage", &[7; 5000])] {
        fs::write(path(name), bytes).expect("a file");
    }
    fs::write(path("stranger"), &whole).expect("a file");
    fs::create_dir(path("folder")).expect("a folder");
    let ran = here.run(&["devices"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    for (name, says) in [
        ("empty", "too short"),
        ("half", "truncated"),
        ("garbage", "no library"),
        ("stranger", "exports no vectorvisor_stranger_query"),
        ("folder", "it is no file"),
    ] {
        let line = line(&ran, name);
        let want = format!("{name}: unavailable, because {} cannot be used: ", path(name).display());
        assert!(line.starts_with(&want) && line.contains(says) && line.contains("; "), "{line}");
        let ran = here.run(&["run", "--backend", name, "--invoke", "factorial", text(&factorial), "5"]);
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        assert!(ran.err.contains(&format!("backend {name}: ")) && ran.err.contains(says), "{}", ran.err);
    }
}

#[test]
fn check_runs_the_suite() {
    let here = Installed::new();
    let ran = here.run(&["devices", "--check", "--backend", "cpu"]);
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    assert!(ran.out.contains("    pass  known answers\n"), "{}", ran.out);
    assert!(ran.out.contains(" passed, 0 failed\n"), "{}", ran.out);
    assert_eq!(here.run(&["devices", "--check", "--backend", "cpu:3"]).code, Some(1));
    // The same with a compiler that works only as far as its version.
    let compiler = here.path("cc");
    fs::write(&compiler, "#!/bin/sh\ncase \"$*\" in *--version) echo cc 1; exit;; esac\necho no >&2; exit 1\n")
        .expect("a file");
    let made = Command::new("chmod").arg("+x").arg(&compiler).status().expect("chmod");
    assert!(made.success());
    let ran = Command::new(here.path("vectorvisor"))
        .args(["devices", "--check", "--backend", "cpu"])
        .env("CC", &compiler)
        .output()
        .expect("vectorvisor starts");
    let out = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(ran.status.code(), Some(1), "{out}");
    assert!(out.contains("    FAIL  opening the device and loading kernels: ") && out.contains("1 failed"), "{out}");
}

#[test]
fn a_driver_without_devices_is_one_line() {
    let here = Installed::new();
    let none = here.path("no vendors");
    fs::create_dir(&none).expect("a folder");
    let hidden = |words: &[&str], backend: &str| {
        let plugin = built(backend);
        let output = Command::new(here.path("vectorvisor"))
            .args(words)
            .args(["--backend", backend, "--driver-path", text(&plugin)])
            .env("OCL_ICD_VENDORS", &none)
            .env_remove("OCL_ICD_FILENAMES")
            .env("HIP_VISIBLE_DEVICES", "-1")
            .env_remove("VECTORVISOR_HIP")
            .output()
            .expect("vectorvisor starts");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).expect("UTF-8"))
    };
    // HIP's runtime may be there (`ci/setup` installs it) or not.
    for (backend, advice) in [("opencl", ["; install "; 2]), ("hip", ["; install ", "; look whether rocminfo"])] {
        let told = |said: &str| advice.iter().any(|advice| said.contains(advice));
        let (code, said) = hidden(&["devices", "--check"], backend);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.starts_with(&format!("{backend}: unavailable, because ")) && told(&said), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        let (code, said) = hidden(&["profile", "--range", "0..1", text(&example())], backend);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("backend {backend}: ")) && told(&said), "{said}");
        let (code, said) = hidden(&["inspect", "--emit", "plan", text(&example())], backend);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.starts_with(&format!("device            a typical one of {backend}, since none is here")),
            "{said}"
        );
    }
}
