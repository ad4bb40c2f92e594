//! Keys of the guests' random streams.

use crate::{Error, Result};

/// 256 bits: the key of a stream, or the seed from which a run's keys are derived.
pub type StreamKey = [u8; 32];

/// The seed of a run: from the caller's number, or else all of it from the system's random numbers.
pub fn seed(number: Option<u64>) -> Result<StreamKey> {
    if let Some(number) = number {
        return Ok(crate::cache::key(&[b"seed", &number.to_le_bytes()]));
    }
    let mut seed = StreamKey::default();
    getrandom::fill(&mut seed)
        .map_err(|e| Error::System { what: "the system gives no random numbers", reason: e.to_string() })?;
    Ok(seed)
}

/// The random stream of an input. Its key is derived only for programs that draw from it.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    seed: StreamKey,
    /// The number of the input; `None`: the seed is the key.
    index: Option<usize>,
}

impl Stream {
    pub fn of(seed: StreamKey, index: usize) -> Self {
        Self { seed, index: Some(index) }
    }

    #[cfg(test)]
    pub fn with_key(key: StreamKey) -> Self {
        Self { seed: key, index: None }
    }

    pub fn key(&self) -> StreamKey {
        self.index.map_or(self.seed, |index| key_of(&self.seed, index))
    }
}

/// The key of an input's stream, whichever VM it runs in. Knowing one stream tells nothing about another.
fn key_of(seed: &StreamKey, index: usize) -> StreamKey {
    *blake3::keyed_hash(seed, &(index as u64).to_le_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::job::Job;
    use crate::fleet::run::run;
    use crate::{CachePolicy, Drivers, End, Engine, Fleet, FleetOptions, Input, Program, ProgramOptions, Value};

    #[test]
    fn keys_differ_by_seed_and_input_and_the_systems_never_repeat() -> Result<()> {
        let (one, two) = (seed(Some(1))?, seed(Some(2))?);
        assert_eq!(one, seed(Some(1))?);
        let mut keys = vec![one, two, seed(None)?, seed(None)?];
        keys.extend((0..100).flat_map(|index| [key_of(&one, index), key_of(&two, index)]));
        let halves = keys.iter().flat_map(|key| key.as_chunks::<16>().0);
        let differ: std::collections::BTreeSet<_> = halves.collect();
        assert_eq!(differ.len(), 2 * keys.len());
        Ok(())
    }

    /// The blocks of RFC 8439, appendix A.1, whose nonce is 0: key, number of the block, and the block.
    const BLOCKS: [(StreamKey, usize, &str); 4] = [
        (
            [0; 32],
            0,
            "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
             da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586",
        ),
        (
            [0; 32],
            1,
            "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed\
             29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f",
        ),
        (
            with_byte(31, 1),
            1,
            "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a\
             8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0",
        ),
        (
            with_byte(1, 0xff),
            2,
            "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca\
             13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096",
        ),
    ];

    const fn with_byte(at: usize, byte: u8) -> StreamKey {
        let mut key = [0; 32];
        key[at] = byte;
        key
    }

    /// Takes 192 random bytes, `$piece` at a time, and writes them.
    const GUEST: &str = r#"(module
      (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory 1)
      (data (i32.const 0) "\00\01\00\00\c0\00\00\00")
      (func (export "draw") (param $piece i32) (local $at i32)
        (loop $more
          (drop (call $random (i32.add (i32.const 256) (local.get $at)) (local.get $piece)))
          (br_if $more (i32.lt_u (local.tee $at (i32.add (local.get $at) (local.get $piece))) (i32.const 192))))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

    #[test]
    fn the_stream_is_chacha20() -> Result<()> {
        let spec = "cpu".parse()?;
        let engine = Engine::open(&Drivers(vec![vectorvisor_cpu::driver()]), &spec, Default::default())?;
        let options = ProgramOptions { cache: CachePolicy::Off, ..Default::default() };
        let program = Program::new(&engine, GUEST.as_bytes(), &options, &mut |_| {})?;
        let mut fleet = Fleet::new(&program, &FleetOptions { vms: Some(40), ..Default::default() }, None)?;
        let pieces = [192, 64, 63, 13, 1];
        let input = |index: usize| Input::args(vec![Value::I32(pieces[index % pieces.len()])]);
        let mut jobs =
            (0..40).map(|index| Job::new(index, input(index), Stream::with_key(BLOCKS[index % BLOCKS.len()].0)));
        let mut ended = 0;
        run(&mut fleet, program.require("draw")?, &mut jobs, &mut |outcome| {
            let (_, number, block) = BLOCKS[outcome.index % BLOCKS.len()];
            let bytes = &outcome.stdout[number * 64..][..64];
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!((text.as_str(), outcome.end), (block, End::Exit(0)), "input {}", outcome.index);
            ended += 1;
        })?;
        assert_eq!(ended, 40);
        Ok(())
    }
}
