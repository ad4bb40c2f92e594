//! Plugins that are broken, break the contract, or panic: each gives an error that says so, and nothing worse.

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use vectorvisor_driver::plugin::{Plugin, Search, abi, file_name};
use vectorvisor_driver::{
    BufferId, DeviceKind, Driver, Error, EventId, FunctionCost, KernelId, Language, ModuleId, PinnedId, QueueId,
    Quirks, Source, UnitCost,
};

/// Where this test and the examples were built.
fn built() -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    test.ancestors().nth(2).expect("a folder").to_path_buf()
}

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

/// Builds `faulty.c` as the driver `name`, with these definitions.
fn faulty(folder: &Path, name: &str, defines: &[&str]) -> Plugin {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = folder.join(file_name(name));
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Werror", "-Wno-unused-function", "-I"])
        .arg(here.join("include"))
        .arg(here.join("tests/faulty.c"))
        .arg(format!("-DTABLE_BYTES={}", size_of::<abi::Table>()))
        .arg(format!("-DINFO_BYTES={}", size_of::<abi::Info>()))
        .args(defines.iter().map(|define| format!("-D{define}")))
        .arg("-o")
        .arg(&library)
        .status();
    assert!(compiled.expect("cc runs").success(), "cc fails with {defines:?}");
    Plugin::new(library)
}

/// What an unusable plugin says, as `vectorvisor devices` prints it.
fn unavailable(plugin: &Plugin) -> String {
    let opened = plugin.open(0, Quirks::default()).map(drop);
    assert!(matches!(opened, Err(Error::Unavailable { .. })), "opening gave {opened:?}");
    match plugin.devices() {
        Err(error @ Error::Unavailable { .. }) => error.to_string(),
        other => panic!("{}: {other:?}", plugin.path().display()),
    }
}

#[test]
fn files_that_are_no_plugins() {
    let temp = folder();
    let path = |name: &str| temp.path().join(file_name(name));
    let whole = std::fs::read(faulty(temp.path(), "faulty", &[]).path()).expect("a library");
    std::fs::write(path("empty"), b"").expect("a file");
    std::fs::write(path("garbage"), [7; 10_000]).expect("a file");
    for (name, bytes) in [("head", 100), ("half", whole.len() / 2), ("most", whole.len() - 1)] {
        std::fs::write(path(name), &whole[..bytes]).expect("a file");
    }
    // Complete, but of a 32-bit machine.
    let mut other = whole.clone();
    other[4] = 1;
    std::fs::write(path("other"), other).expect("a file");
    std::fs::write(path("renamed"), &whole).expect("a file");
    std::fs::write(temp.path().join("plugin.so"), &whole).expect("a file");
    std::fs::create_dir(path("folder")).expect("a folder");
    std::os::unix::fs::symlink("nowhere", path("link")).expect("a link");
    for (file, says) in [
        (path("missing"), "no such file"),
        (path("link"), "no such file"),
        (path("folder"), "it is no file"),
        (path("empty"), "too short"),
        (path("garbage"), "no library"),
        (path("head"), "truncated"),
        (path("half"), "truncated"),
        (path("most"), "truncated"),
        (path("other"), "wrong ELF class"),
        (path("renamed"), "no driver plugin: it exports no vectorvisor_renamed_query"),
        (
            temp.path().join("plugin.so"),
            "its name is not that of a driver; a driver's file is called libvectorvisor_NAME.so",
        ),
    ] {
        let text = unavailable(&Plugin::new(file.clone()));
        assert!(text.contains(says) && text.contains(&file.display().to_string()), "{text}");
        assert!(!text.contains('\n') && text.contains("; "), "one line with advice: {text}");
    }
}

#[test]
fn tables_that_do_not_fit() {
    let temp = folder();
    for (define, says) in [
        ("TOO_NEW", "it needs a newer vectorvisor"),
        ("VERSION=0", "version 0 of the plugin interface, not 4"),
        ("VERSION=9", "version 9"),
        ("SIZE=40", "its table has 40 bytes"),
        ("NAME=\"else\"", "it is the driver \"else\"; call it libvectorvisor_else.so"),
        ("NAME=\"\"", "it is the driver \"\""),
        ("MISSING=devices", "its table has no devices"),
        ("MISSING=free_event", "its table has no free_event"),
    ] {
        let sub = tempfile::tempdir_in(temp.path()).expect("a folder");
        let text = unavailable(&faulty(sub.path(), "faulty", &[define]));
        assert!(text.contains(says), "{define}: {text}");
        assert!(!text.contains('\n') && text.contains("; "), "one line with advice: {text}");
    }
}

/// As tables were when the version began; `CUT` makes reading beyond the end crash the process.
#[test]
fn a_table_may_end_before_the_later_entries() {
    let temp = folder();
    let examine = |defines: &[&str]| {
        let sub = tempfile::tempdir_in(temp.path()).expect("a folder");
        let plugin = faulty(sub.path(), "faulty", defines);
        assert_eq!(plugin.devices().expect("a device").len(), 1, "{defines:?}");
        let mut units = Vec::new();
        plugin
            .examine("any", Source { header: "", units: &[], registers: 0 }, &mut |unit| units.push(unit))
            .map(|()| units)
    };
    let function = FunctionCost { name: "f".into(), registers: 1, bytes: 16, spills: 2, stack: 3, seconds: 0.5 };
    let reported = UnitCost { unit: 4, seconds: 1.5, functions: vec![function] };
    for whole in [&[][..], &["CUT"], &["CUT", "SIZE=(sizeof(vv_table) + 8)"]] {
        assert_eq!(examine(whole).expect("costs"), std::slice::from_ref(&reported), "{whole:?}");
    }
    let end = "SIZE=offsetof(vv_table, examine)";
    for none in [&["MISSING=examine"][..], &["CUT", end], &["CUT", "SIZE=(offsetof(vv_table, examine) + 4)"]] {
        let error = examine(none).expect_err("no costs").to_string();
        assert_eq!(error, "the driver faulty does not report what compiling costs; that of cuda does", "{none:?}");
    }
}

/// Plugins built with a later or an earlier copy of the header have larger or smaller structs; reading beyond the end
/// crashes the process.
#[test]
fn facts_may_end_later_or_at_the_least() {
    let temp = folder();
    let devices = |defines: &[&str]| {
        let sub = tempfile::tempdir_in(temp.path()).expect("a folder");
        let plugin = faulty(sub.path(), "faulty", defines);
        plugin.open(0, Quirks::default()).and_then(|device| Ok((plugin.devices()?, device.info().clone())))
    };
    let (now, open) = devices(&[]).expect("a device");
    assert_eq!(now, [open]);
    let least = format!("INFO_SIZE={}", abi::Info::LEAST);
    let newer = ["CUT", "SIZE=(sizeof(vv_table) + 16)", "INFO_SIZE=(sizeof(vv_info) + 72)"];
    let older = ["CUT", "SIZE=offsetof(vv_table, examine)", &least];
    for defines in [newer, older, ["CUT", "INFO_SIZE=(sizeof(vv_info) + 8)", "SIZE=(sizeof(vv_table) + 8)"]] {
        assert_eq!(devices(&defines).expect("a device").0, now, "{defines:?}");
    }
    let error = devices(&["INFO_SIZE=72"]).map(drop).expect_err("too little").to_string();
    assert!(error.starts_with("the driver faulty lists a device with 72 bytes of facts, 80 are needed; "), "{error}");
}

#[test]
fn a_missing_vendor_library_is_unavailable() {
    let temp = folder();
    let plugin = faulty(temp.path(), "faulty", &["LIBRARY=\"libvendor.so.1\""]);
    match plugin.devices() {
        Err(Error::Unavailable { what, advice }) => {
            assert_eq!((what.as_str(), advice.as_str()), ("libvendor.so.1 cannot be opened", "install it"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_plugin_in_c_says_arrives() {
    let temp = folder();
    let plugin = faulty(temp.path(), "faulty", &[]);
    assert_eq!((plugin.name(), plugin.origin()), ("faulty", Some(plugin.path())));
    let devices = plugin.devices().expect("a device");
    assert_eq!(devices.len(), 1);
    let info = &devices[0];
    assert_eq!((info.name.as_str(), info.identity.as_str()), ("a name", "an identity"));
    assert_eq!((info.kind, info.language, info.lane_width), (DeviceKind::Accelerator, Language::Hip, 64));
    assert_eq!((info.memory, info.max_alloc, info.parallel_tiles), (1 << 20, 1 << 10, 3));
    let flags = [info.thread_exit, info.timer, info.live_shared, info.zeroed, info.nvidia, info.patch];
    assert_eq!(flags, [false, true, false, false, false, true]);
    let quirks = Quirks { nvidia: Some(false), patch: Some(true) };
    assert!(matches!(plugin.open(0, quirks).map(drop), Err(Error::Invalid(text)) if text == "nvidia off, patch on"));
    assert!(matches!(plugin.open(7, Quirks::default()).map(drop), Err(Error::Invalid(text)) if text == "only one"));

    let device = plugin.open(0, Quirks::default()).expect("a device");
    assert_eq!(device.info(), info);
    let source = Source { header: "", units: &[], registers: 0 };
    let mut reported = Vec::new();
    let compiled = device.compile(source, &mut |done, total| reported.push((done, total)));
    assert!(matches!(compiled, Err(Error::Device(text)) if text.contains("no binary")));
    assert_eq!(reported, [(1, 2), (2, 2)], "never more than all");
    // SAFETY: the plugin loads nothing.
    let load = |binary: &[u8]| unsafe { device.load(binary) };
    assert!(matches!(load(b""), Err(Error::Compile { log }) if log == "the log"));
    let module = load(b"m").expect("a module");
    assert!(matches!(device.kernel(module, ""), Err(Error::Device(text)) if text.contains("unknown code 77")));
    assert!(matches!(device.alloc(12), Err(Error::OutOfMemory { wanted: 12, what: "cupboards" })));
    let (kernel, queue) = (device.kernel(module, "k").expect("a kernel"), device.queue(false).expect("a queue"));
    let buffers = [device.alloc(300).expect("a buffer"), device.alloc(21).expect("a buffer")];
    // It does not have the feature.
    assert!(device.publish(buffers[0]).is_ok());
    assert!(matches!(device.finish(queue), Err(Error::Device(text)) if text == "\u{fffd} broken text"));
    let event = device.launch(queue, kernel, &[Some(buffers[0]), None, Some(buffers[1])], 5, 4);
    assert_eq!(event.expect("an event"), EventId(5_043_321));
    let event = device.launch(queue, kernel, &[], 0, 1).expect("an event");
    assert_eq!(event, EventId(10_000));
    assert!(device.reached(event).expect("an answer"));
    assert_eq!(device.times(event).expect("times"), (3, 5));
    assert_eq!(device.resident(kernel, 7).expect("tiles"), 7);
}

/// The host checks the handles that a plugin gives out, and passes it no others.
#[test]
fn strange_handles_are_refused() {
    let temp = folder();
    let plugin = faulty(temp.path(), "faulty", &[]);
    let device = plugin.open(0, Quirks::default()).expect("a device");
    fn fault<T: std::fmt::Debug>(result: Result<T, Error>, says: &str) {
        match result {
            Err(Error::Device(text)) => {
                assert!(text.starts_with("the driver faulty ") && text.contains(says), "{text}")
            }
            other => panic!("{says}: {other:?}"),
        }
    }
    fn unknown<T: std::fmt::Debug>(result: Result<T, Error>, says: &str) {
        match result {
            Err(Error::Invalid(text)) => assert!(text.contains("the driver faulty") && text.contains(says), "{text}"),
            other => panic!("{says}: {other:?}"),
        }
    }
    // SAFETY: the plugin loads nothing.
    let load = |binary: &[u8]| unsafe { device.load(binary) };
    let (module, other) = (load(b"m").expect("a module"), load(b"o").expect("a module"));
    fault(load(b"m"), "gave the handle 109 to a module while another has it");
    fault(load(b"\0"), "gave the handle 0 to a module");
    let kernel = device.kernel(module, "k").expect("a kernel");
    assert_eq!(device.kernel(module, "k").expect("the same"), kernel);
    fault(device.kernel(other, "k"), "gave the handle 107 to a kernel while another");
    fault(device.kernel(module, "\0"), "gave the handle 0 to a kernel");
    assert_eq!(device.resident(kernel, 0).expect("tiles"), 1, "the plugin does not know");
    let queue = device.queue(false).expect("a queue");
    fault(device.queue(false), "gave the handle 1 to a queue while another has it");
    let buffer = device.alloc(300).expect("a buffer");
    fault(device.alloc(300), "gave the handle 300 to a buffer while another has it");
    fault(device.alloc(0), "gave the handle 0 to a buffer");
    fault(device.alloc_shared(300), "gave the handle 300 to a buffer while another has it");

    fault(device.alloc_pinned(1), "null pointer");
    fault(device.alloc_shared(2), "null pointer");
    fault(device.alloc_pinned(3), "gave the address");
    let (pinned, _) = device.alloc_pinned(32).expect("memory");
    fault(device.alloc_shared(33), "to memory while another has it");
    device.free_pinned(pinned);
    let (shared, _) = device.alloc_shared(33).expect("the range is free again");
    fault(device.alloc_pinned(32), "to memory while another has it");
    device.free(shared);
    device.free_pinned(device.alloc_pinned(32).expect("memory").0);

    // The copy could go on after the error, so it is waited for.
    let byte = [7];
    // SAFETY: the local lives on, and the plugin copies nothing.
    fault(unsafe { device.write(queue, buffer, 0, byte.as_ptr(), 1) }, "gave the handle 0 to an event");
    let mut byte = [7];
    // SAFETY: as above.
    let event = unsafe { device.read(queue, buffer, 0, byte.as_mut_ptr(), 1) }.expect("an event");
    assert_eq!(event, EventId(1), "the queue was finished once");
    // SAFETY: as above.
    fault(
        unsafe { device.read(queue, buffer, 0, byte.as_mut_ptr(), 1) },
        "gave the handle 1 to an event while another",
    );
    fault(device.times(event), "ended at 5 and began at 7");

    unknown(device.kernel(ModuleId(9), "k"), "no handle 9 for a module");
    unknown(device.resident(KernelId(9), 1), "no handle 9 for a kernel");
    unknown(device.launch(queue, KernelId(9), &[], 1, 1), "for a kernel");
    unknown(device.launch(QueueId(9), kernel, &[], 1, 1), "for a queue");
    unknown(device.launch(queue, kernel, &[Some(buffer), Some(BufferId(9))], 1, 1), "no handle 9 for a buffer");
    unknown(device.finish(QueueId(0)), "no handle 0 for a queue");
    unknown(device.publish(BufferId(9)), "for a buffer");
    unknown(device.wait(EventId(9)), "for an event");
    unknown(device.reached(EventId(9)), "for an event");
    unknown(device.times(EventId(9)), "for an event");
    device.free_event(event);
    unknown(device.times(event), "for an event");
    device.unload(module);
    unknown(device.kernel(module, "k"), "for a module");
    unknown(device.launch(queue, kernel, &[], 1, 1), "for a kernel");
    assert_eq!(device.kernel(other, "k").expect("free again"), kernel);
    device.free(buffer);
    // SAFETY: as above.
    unknown(unsafe { device.read(queue, buffer, 0, byte.as_mut_ptr(), 1) }, "for a buffer");
}

#[test]
fn strange_binaries_and_costs_are_refused() {
    let temp = folder();
    let plugin = faulty(temp.path(), "faulty", &[]);
    let device = plugin.open(0, Quirks::default()).expect("a device");
    for (header, says) in
        [("null", "reported 5 bytes of a binary at the address 0x0"), ("huge", "more than memory holds")]
    {
        let compiled = device.compile(Source { header, units: &[], registers: 0 }, &mut |_, _| ());
        assert!(matches!(&compiled, Err(Error::Device(text)) if text.contains(says)), "{compiled:?}");
    }
    for (architecture, says) in [
        ("0", "reported 3 functions at the address 0x0"),
        ("h", "functions, which is more than memory holds"),
        ("n", "reported a time of NaN seconds"),
        ("-", "reported a time of -1 seconds"),
        ("t", "reported 1 bytes of a name at the address 0x0"),
    ] {
        let mut units = 0;
        let examined =
            plugin.examine(architecture, Source { header: "", units: &[], registers: 0 }, &mut |_| units += 1);
        assert!(matches!(&examined, Err(Error::Device(text)) if text.contains(says)), "{architecture}: {examined:?}");
        assert_eq!(units, 0, "nothing after a fault");
    }
}

#[test]
fn strange_facts_are_refused() {
    let temp = folder();
    for (define, says) in [
        ("KIND=9", "unknown here"),
        ("INFO_SIZE=8", "a device with 8 bytes of facts"),
        ("LANES=0", "a name with 0 lanes"),
        ("IDENTITY=\"\\xff\"", "an identity of a name that is no text"),
    ] {
        let sub = tempfile::tempdir_in(temp.path()).expect("a folder");
        let plugin = faulty(sub.path(), "faulty", &[define]);
        let error = plugin.devices().expect_err(define);
        assert!(error.to_string().contains(says), "{error}");
        assert!(plugin.open(0, Quirks::default()).is_err());
    }
    let sub = tempfile::tempdir_in(temp.path()).expect("a folder");
    let opened = faulty(sub.path(), "faulty", &["SILENT"]).open(0, Quirks::default()).map(drop);
    assert!(matches!(opened, Err(Error::Device(text)) if text.contains("the driver faulty reports nothing")));
    let sub = tempfile::tempdir_in(temp.path()).expect("a folder");
    let opened = faulty(sub.path(), "faulty", &["NO_DEVICE"]).open(0, Quirks::default()).map(drop);
    assert!(
        matches!(opened, Err(Error::Device(text)) if text.contains("the driver faulty opened a device and gave a null"))
    );
}

#[test]
fn panics_become_errors() {
    let path = built().join("examples").join(file_name("panics"));
    assert!(path.exists(), "{} is built with the tests", path.display());
    let plugin = Plugin::new(path);
    let panicked = |error: Error, says: &str| match error {
        Error::Device(text) => assert!(text.contains("the driver panics panicked") && text.contains(says), "{text}"),
        other => panic!("{other:?}"),
    };
    panicked(plugin.devices().expect_err("a panic"), "no devices today");
    panicked(plugin.devices().expect_err("a panic"), "vectorvisor_panics.rs:");
    panicked(plugin.open(3, Quirks::default()).map(drop).expect_err("a panic"), "no device 3 today");

    let device = plugin.open(0, Quirks::default()).expect("a device");
    let source = Source { header: "", units: &[], registers: 0 };
    let mut calls = 0;
    panicked(device.compile(source, &mut |_, _| calls += 1).expect_err("a panic"), "no compiling");
    assert_eq!(calls, 2);
    // SAFETY: the plugin loads nothing.
    panicked(unsafe { device.load(b"") }.expect_err("a panic"), "no message");
    panicked(device.alloc(1).expect_err("a panic"), "no memory");
    panicked(device.alloc_pinned(1).expect_err("a panic"), "no pinned memory");
    let queue = device.queue(false).expect("a queue");
    panicked(device.finish(queue).expect_err("a panic"), "no finishing");
    // Calls without a result cannot report a panic; they must only return.
    device.free(BufferId(1));
    device.free_pinned(PinnedId(1));
    device.free_queue(queue);
    device.free_event(EventId(1));
    device.unload(ModuleId(1));
    drop(device);
    panicked(plugin.devices().expect_err("a panic"), "no devices today");
}

#[test]
fn a_panic_of_the_host_passes_through_a_compilation() {
    let plugin = Plugin::new(built().join("examples").join(file_name("panics")));
    let device = plugin.open(0, Quirks::default()).expect("a device");
    let mut calls = 0;
    let compile = || {
        _ = device.compile(Source { header: "", units: &[], registers: 0 }, &mut |_, _| {
            calls += 1;
            std::panic::panic_any("the host's own");
        });
    };
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(compile)).expect_err("a panic");
    assert_eq!((payload.downcast_ref(), calls), (Some(&"the host's own"), 1));
}

#[test]
fn a_panic_of_the_host_passes_through_costs() {
    let temp = folder();
    let plugin = faulty(temp.path(), "faulty", &["TWICE"]);
    let mut calls = 0;
    let examine = || {
        _ = plugin.examine("any", Source { header: "", units: &[], registers: 0 }, &mut |_| {
            calls += 1;
            std::panic::panic_any("the host's own");
        });
    };
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(examine)).expect_err("a panic");
    assert_eq!((payload.downcast_ref(), calls), (Some(&"the host's own"), 1));
}

#[test]
fn places_are_searched_in_order() {
    let temp = folder();
    let sub = |name: &str| {
        let folder = temp.path().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    };
    let put = |folder: &str, name: &str| {
        let path = sub(folder).join(name);
        std::fs::write(&path, b"").expect("a file");
        path
    };
    let paths = |plugins: Vec<Plugin>| plugins.iter().map(|plugin| plugin.path().to_path_buf()).collect::<Vec<_>>();
    let (first, file) = (put("first", &file_name("one")), put("file", &file_name("two")));
    put("second", &file_name("one"));
    let third = put("second", &file_name("three"));
    for name in ["libvectorvisor_.so", "libvectorvisor_A.so", "libother.so", "libvectorvisor_x.rlib"] {
        put("second", name);
    }
    let missing = temp.path().join("missing");
    let search =
        Search { named: vec![sub("first"), file.clone(), sub("second"), missing.clone()], ..Search::default() };
    let mut want = vec![first, file, third, missing];
    want.sort();
    let mut found = paths(search.named());
    found.sort();
    assert_eq!(found, want);

    // deps/ and the executable's folder can hold two links to one file, or two builds; the newer one counts.
    let (beside, deps) = (put("bin", &file_name("one")), put("bin/deps", &file_name("one")));
    let last = put("last", &file_name("one"));
    let search = Search { named: Vec::new(), usual: vec![sub("bin"), sub("bin/deps")], own: Some(sub("last")) };
    let age = |path: &Path, seconds| {
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        std::fs::File::options().write(true).open(path).and_then(|file| file.set_modified(time)).expect("a time");
    };
    age(&last, 30);
    for (one, two, want) in [(10, 20, &deps), (20, 10, &beside), (10, 10, &beside)] {
        age(&beside, one);
        age(&deps, two);
        assert_eq!(paths(search.usual()), std::slice::from_ref(want));
    }
    std::fs::remove_file(&beside).expect("removed");
    assert_eq!(paths(search.usual()), std::slice::from_ref(&deps));
    std::fs::remove_file(&deps).expect("removed");
    assert_eq!(paths(search.usual()), [last]);
}

/// A plugin that was found and not named is not opened if another user could have put it there.
#[test]
fn what_others_could_have_put_there_is_not_opened() {
    let temp = folder();
    let mode = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("a mode");
    };
    let sub = |name: &str| {
        let sub = temp.path().join(name);
        std::fs::create_dir(&sub).expect("a folder");
        mode(&sub, 0o755);
        sub
    };
    let (beside, own) = (sub("beside"), sub("own"));
    for (search, folder, refused) in [
        (Search { usual: vec![beside.clone()], ..Search::default() }, &beside, [0o777, 0o757]),
        (Search { own: Some(own.clone()), ..Search::default() }, &own, [0o777, 0o775]),
    ] {
        let file = faulty(folder, "faulty", &[]).path().to_path_buf();
        let found = || search.usual().pop().expect("a plugin");
        assert_eq!(found().devices().expect("a device").len(), 1);
        for bits in refused {
            mode(folder, bits);
            let text = unavailable(&found());
            let who = if bits & 0o020 == 0 {
                "o-w"
            } else if bits & 0o002 == 0 {
                "g-w"
            } else {
                "go-w"
            };
            assert!(
                text.contains(&format!("chmod {who} {}; or name it with --driver-path", folder.display())),
                "{text}"
            );
            assert!(Plugin::new(file.clone()).devices().is_ok(), "a file that the user names is opened");
        }
        mode(folder, 0o755);
        mode(&file, 0o666);
        assert!(unavailable(&found()).contains(&format!("chmod go-w {}", file.display())));
    }
    // Both are refused now. A good one later in the path is opened all the same.
    let (deps, name) = (sub("beside/deps"), file_name("faulty"));
    let search = Search { usual: vec![beside.clone(), deps.clone()], own: Some(own.clone()), ..Search::default() };
    let found = || search.usual().pop().expect("a plugin");
    assert!(unavailable(&found()).contains(&beside.join(&name).display().to_string()), "the first refusal is told");
    for good in [own.join(&name), deps.join(&name)] {
        if !good.exists() {
            std::fs::copy(beside.join(&name), &good).expect("a copy");
        }
        mode(&good, 0o644);
        assert_eq!((found().path(), found().devices().expect("a device").len()), (good.as_path(), 1));
    }
}
