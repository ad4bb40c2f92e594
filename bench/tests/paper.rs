//! Programs of `guests/paper` that compile in seconds, on the processor; `vectorvisor-bench` compares all of them with the
//! native ones.

use vectorvisor::{
    BackendSpec, CachePolicy, Drivers, End, Engine, Fleet, FleetOptions, Input, Program, ProgramOptions,
};

/// The answers to requests.
fn answers(wasm: &[u8], requests: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let drivers = Drivers::find_all(vec![vectorvisor_cpu::driver()], &[]);
    let spec = BackendSpec { name: "cpu".into(), index: None };
    let engine = Engine::open(&drivers, &spec, Default::default()).expect("the cpu backend");
    let options = ProgramOptions { cache: CachePolicy::Off, roots: vec!["_start".into()], ..Default::default() };
    let program = Program::new(&engine, wasm, &options, &mut |_| {}).expect("a program");
    let options = FleetOptions { vms: Some(8), ..Default::default() };
    let mut fleet = Fleet::new(&program, &options, Some(requests.len())).expect("there is room");
    let mut answers = vec![Vec::new(); requests.len()];
    let mut inputs = requests.iter().map(Input::stdin);
    _ = fleet
        .run("_start", &mut inputs, &mut |outcome| {
            assert_eq!(outcome.end, End::Exit(0), "request {}", outcome.index);
            answers[outcome.index] = outcome.stdout;
        })
        .expect("the run ends");
    answers
}

/// Tweets in JSON, different for each number.
fn tweets(number: usize) -> Vec<u8> {
    let tweet = |at: usize| format!("\"the word{} is #tag{number} \\\"caf\u{e9}\\\" and {}\"", at * number % 7, at % 5);
    format!("{{\"tweets\":[{}]}}", (0..25).map(tweet).collect::<Vec<_>>().join(",")).into()
}

#[test]
fn lz4_can_be_decompressed() {
    let requests: Vec<_> = (0..33).map(tweets).collect();
    for (request, answer) in requests.iter().zip(answers(include_bytes!("../guests/paper/wasm/lz4.wasm"), &requests)) {
        assert!(answer.len() < request.len() / 2, "{}", answer.len());
        assert_eq!(lz4_flex::block::decompress_size_prepended(&answer).expect("a block"), *request);
    }
}

#[test]
fn assemblyscript_finds_words_and_hashtags() {
    let requests: Vec<_> = (0..33).map(tweets).collect();
    let wasm = include_bytes!("../guests/paper/wasm/strings-assemblyscript.wasm");
    for (number, answer) in answers(wasm, &requests).iter().enumerate() {
        let answer: serde_json::Value = serde_json::from_slice(answer).expect("JSON");
        let of = |member: &str, tweet: usize| answer[member][tweet].to_string();
        assert_eq!(answer["tokenized"].as_array().map(Vec::len), Some(25));
        assert_eq!(of("tokenized", 0), format!("[\"word0\",\"#tag{number}\",\"\\\"caf\u{e9}\\\"\",\"0\"]"));
        assert_eq!(of("hashtags", 24), format!("[\"#tag{number}\"]"));
    }
}
