//! Compares the guests and the handwritten kernels, on the processor, with other implementations.

use bench::baseline::Baseline;
use bench::guests::Guest;
use bench::measure;
use bench::native::Case;
use sha2::Sha256;
use vectorvisor::{BackendSpec, CachePolicy, Drivers, Engine, ProgramOptions};

const VMS: u32 = 40;

fn cpu() -> (Drivers, Engine) {
    let drivers = Drivers::find_all(vec![vectorvisor_cpu::driver()], &[]);
    let spec = BackendSpec { name: "cpu".into(), index: None };
    let engine = Engine::open(&drivers, &spec, Default::default()).expect("the cpu backend");
    (drivers, engine)
}

/// A small input of the guest for each VM, with its output.
fn cases(engine: &Engine, name: &str) -> (Guest, Vec<Case>) {
    let guest = Guest::parse(name).expect("a guest");
    let options = ProgramOptions { lanes: Some(8), cache: CachePolicy::Off, ..Default::default() };
    let program = measure::compile(engine, &guest, &options).expect("a program").program;
    let cases = measure::outputs(&program, &guest, VMS).expect("a run");
    (guest, cases)
}

/// The expected output of each case: the key that `derive` makes of its password and salt.
fn keys(cases: &[Case], derive: impl Fn(&[u8], &[u8]) -> Vec<u8>) -> Vec<String> {
    let key = |(input, _): &Case| {
        let mut fields = input.split(|byte| *byte == b' ');
        let key = derive(fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        key.iter().map(|byte| format!("{byte:02x}")).chain(["\n".into()]).collect()
    };
    cases.iter().map(key).collect()
}

fn check(cases: &[Case], expected: &[String]) {
    for ((_, output), expected) in cases.iter().zip(expected) {
        assert_eq!(String::from_utf8_lossy(output), *expected);
    }
}

#[test]
fn pbkdf2_by_guest_and_by_hand() {
    let (drivers, engine) = cpu();
    let (guest, cases) = cases(&engine, "pbkdf2:7");
    check(
        &cases,
        &keys(&cases, |password, salt| pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, guest.size).to_vec()),
    );
    let baseline = Baseline::new(&drivers, &engine).expect("kernels").expect("C");
    assert!(baseline.run(&guest, &cases, VMS + 1, 1).expect("the same keys").is_some());
}

#[test]
fn scrypt_by_guest_and_by_hand() {
    let (drivers, engine) = cpu();
    let (guest, cases) = cases(&engine, "scrypt:32");
    let parameters = scrypt::Params::new(5, 1, 1).expect("parameters");
    check(
        &cases,
        &keys(&cases, |password, salt| {
            let mut key = vec![0; 64];
            scrypt::scrypt(password, salt, &parameters, &mut key).expect("a key");
            key
        }),
    );
    let baseline = Baseline::new(&drivers, &engine).expect("kernels").expect("C");
    assert!(baseline.run(&guest, &cases, VMS, 1).expect("the same keys").is_some());
}

#[test]
fn crc32_by_bits() {
    let (_, cases) = cases(&cpu().1, "crc32:100");
    let bit = |crc: u32| crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| bit(crc));
    let expected: Vec<String> =
        cases.iter().map(|(input, _)| format!("{:08x}\n", !input.iter().fold(!0, byte))).collect();
    check(&cases, &expected);
}

#[test]
fn a_wrong_key_by_hand_is_found() {
    let (drivers, engine) = cpu();
    let guest = Guest::parse("pbkdf2:2").expect("a guest");
    let baseline = Baseline::new(&drivers, &engine).expect("kernels").expect("C");
    let cases = [(guest.input(0).into(), b"nonsense\n".to_vec())];
    assert!(baseline.run(&guest, &cases, 1, 1).is_err());
}

#[test]
fn lz4_blocks_decompress() {
    let (_, engine) = cpu();
    let (guest, cases) = cases(&engine, "lz4:3000");
    for (input, output) in &cases {
        assert!(output.len() < input.len());
        let text = lz4_flex::block::decompress(output, guest.size as usize).expect("a block");
        assert!(text == input[..]);
    }
}

#[test]
fn words_are_counted() {
    let (_, engine) = cpu();
    for (input, output) in cases(&engine, "tokenise:1000").1 {
        let words = input.split(|byte| !byte.is_ascii_alphabetic()).filter(|word| !word.is_empty()).count();
        assert!(output.starts_with(format!("{words:08x}").as_bytes()));
    }
}

#[test]
fn all_ways_to_copy_agree() {
    let (_, engine) = cpu();
    let outputs = |name| cases(&engine, name).1.into_iter().map(|case| case.1).collect::<Vec<_>>();
    let bulk = outputs("memcopy:3");
    assert_ne!(bulk[0], bulk[1]);
    assert_eq!(bulk, outputs("wordcopy:3"));
    assert_eq!(bulk, outputs("libcopy:3"));
}

#[test]
fn blurred_images_differ_from_each_other() {
    let (_, engine) = cpu();
    let mut outputs: Vec<_> = cases(&engine, "blur:16").1.into_iter().map(|case| case.1).collect();
    outputs.sort();
    outputs.dedup();
    assert_eq!(outputs.len(), VMS as usize);
}
