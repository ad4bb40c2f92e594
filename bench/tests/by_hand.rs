//! Compares programs of `guests/paper` that are written by hand, on the processor, with those programs and with the
//! libraries that they are made from. (`vectorvisor-bench` compares them with the native ones.)

use bench::by_hand::ByHand;
use bench::load::Case;
use image::{ImageFormat, RgbImage, load_from_memory_with_format};
use sha2::Sha256;
use std::io::Cursor;
use std::time::Duration;
use vectorvisor::{
    BackendSpec, CachePolicy, Drivers, End, Engine, Fleet, FleetOptions, Input, Program, ProgramOptions,
};

fn cpu() -> (Drivers, Engine) {
    let drivers = Drivers::find_all(vec![vectorvisor_cpu::driver()], &[]);
    let spec = BackendSpec { name: "cpu".into(), index: None };
    let engine = Engine::open(&drivers, &spec, Default::default()).expect("the cpu backend");
    (drivers, engine)
}

fn by_hand(name: &str) -> ByHand {
    let (drivers, engine) = cpu();
    ByHand::new(&drivers, &engine, name).expect("kernels").expect("C")
}

/// Every answer, of one launch, of streams, and over HTTP.
fn check(name: &str, cases: &[Case]) {
    let mut by_hand = by_hand(name);
    let alone = by_hand.alone(cases, Some(cases.len())).expect("a launch");
    assert!(alone.requests >= cases.len() && alone.wrong == 0 && alone.seconds > 0.0, "{alone:?}");
    let streamed = by_hand.end_to_end(cases, Duration::from_millis(1)).expect("a run");
    assert!(streamed.requests > 0 && streamed.wrong == 0, "{streamed:?}");
    let served = by_hand.served(cases, Duration::from_millis(200)).expect("a server");
    assert!(served.requests > 0 && served.wrong == 0, "{served:?}");
}

fn bmp(image: &RgbImage) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, ImageFormat::Bmp).expect("a file");
    file.into_inner()
}

/// Pictures of all sorts: black, white, noise in which every bit of a pixel depends on its place, slopes with noise.
fn picture(edge: u32, number: u32) -> RgbImage {
    RgbImage::from_fn(edge, edge, |x, y| {
        let noise = x.wrapping_mul(2_654_435_761).wrapping_add(y * 40_503 + number * 977).wrapping_mul(2_246_822_519);
        let noise = (noise ^ noise >> 15).wrapping_mul(3_266_489_917).to_le_bytes();
        image::Rgb(match number {
            0 => [0; 3],
            1 => [255; 3],
            number if number % 2 == 0 => [noise[1], noise[2], noise[3]],
            number => [x * number / 9, y * number / 11, (x + y) * number / 13]
                .map(|slope| (slope as u8).saturating_add(noise[3] & 31)),
        })
    })
}

#[test]
fn pictures_are_blurred_as_by_the_library() {
    let case = |number| {
        let request = bmp(&picture(200, number));
        let blurred = load_from_memory_with_format(&request, ImageFormat::Bmp).expect("a picture").blur(4.0);
        Case::new(request, bmp(&blurred.into_rgb8()))
    };
    check("blur-bmp", &(0..33).map(case).collect::<Vec<_>>());
}

#[test]
fn pictures_have_the_hashes_of_the_guest() {
    let requests: Vec<_> = (0..33).map(|number| bmp(&picture(256, number))).collect();
    let (_, engine) = cpu();
    let options = ProgramOptions { cache: CachePolicy::Off, roots: vec!["_start".into()], ..Default::default() };
    let wasm = include_bytes!("../guests/paper/wasm/phash-modified.wasm");
    let program = Program::new(&engine, wasm, &options, &mut |_| {}).expect("a program");
    let options = FleetOptions { vms: Some(8), ..Default::default() };
    let mut fleet = Fleet::new(&program, &options, Some(requests.len())).expect("there is room");
    let mut answers = vec![Vec::new(); requests.len()];
    _ = fleet
        .run("_start", &mut requests.iter().map(Input::stdin), &mut |outcome| {
            assert_eq!(outcome.end, End::Exit(0), "request {}", outcome.index);
            answers[outcome.index] = outcome.stdout;
        })
        .expect("the run ends");
    let cases: Vec<_> = requests.into_iter().zip(answers).map(|(request, answer)| Case::new(request, answer)).collect();
    assert!(cases[2..].iter().all(|case| case.answer.iter().any(|byte| *byte != 0)));
    check("phash-modified", &cases);
}

#[test]
fn keys_in_json_are_those_of_the_crate() {
    let case = |number: u32| {
        let (password, salt) = (format!("password{number:08}"), format!("{number:08}saltsalt"));
        let key = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), salt.as_bytes(), 20_000);
        let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let request = format!("{{\"password\":\"{password}\",\"salt\":\"{salt}\"}}");
        Case::new(request.into(), format!("{{\"key\":\"{key}\"}}").into())
    };
    check("pbkdf2", &(0..9).map(case).collect::<Vec<_>>());
}

#[test]
fn keys_in_messagepack_are_those_of_the_crate() {
    let parameters = scrypt::Params::new(10, 1, 1).expect("parameters");
    // Eight passwords, again and again: the crate takes long without optimisation.
    let case = |number: u32| {
        let salt = format!("{number:016}");
        let passwords: Vec<_> = (0..8).map(|at| format!("password{number:04}{at:04}")).collect();
        let keys = passwords.iter().map(|password| {
            let mut key = vec![0; 64];
            scrypt::scrypt(password.as_bytes(), salt.as_bytes(), &parameters, &mut key).expect("a key");
            key
        });
        let keys: Vec<_> = keys.collect();
        let mut request = b"\x82\xa9passwords\xdc\x01\x00".to_vec();
        let mut answer = b"\x81\xa4keys\xdc\x01\x00".to_vec();
        for at in 0..256 {
            request.extend([b"\xb0", passwords[at % 8].as_bytes()].concat());
            answer.extend([b"\xc4\x40", &keys[at % 8][..]].concat());
        }
        request.extend([b"\xa4salt\xb0", salt.as_bytes()].concat());
        Case::new(request, answer)
    };
    check("scrypt", &[case(0), case(1)]);
}

#[test]
fn a_wrong_answer_is_found() {
    let cases: Vec<_> = (0..4).map(|number| Case::new(bmp(&picture(256, number)), vec![0; 4128])).collect();
    let alone = by_hand("phash-modified").alone(&cases, Some(8)).expect("a launch");
    // Pictures of one colour have no differences.
    assert_eq!((alone.requests, alone.wrong), (8, 4));
    assert!(by_hand("phash-modified").alone(&[Case::new(b"BM".to_vec(), Vec::new())], None).is_err());
}

#[test]
fn only_some_programs_are_written_by_hand() {
    let (drivers, engine) = cpu();
    assert!(ByHand::new(&drivers, &engine, "lz4").expect("no error").is_none());
}
