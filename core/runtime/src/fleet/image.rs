//! The two read-only buffers of a fleet: the image that VMs are reset to, and their environment.

use crate::{Error, FleetOptions, Input, Result};
use std::sync::Arc;
use vectorvisor_driver::{Buffer, Device, Queue};
use vectorvisor_translate::Image;
use vectorvisor_translate::abi::Plan;

/// Padding in bytes: kernels may load whole words at the end of a buffer.
pub const SLACK: u64 = 64;

/// The state words with which VMs begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Begin {
    /// The state to go on in.
    pub state: u64,
    /// Bytes of linear memory.
    pub memory: u64,
    /// The frame pointer.
    pub frame: u64,
    /// What became of the descriptors, and marks, as in `Word::Stdin`.
    pub stdin: u64,
}

/// Where in the program VMs begin, if not at an entry: at its first `serverless_invoke`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub begin: Begin,
    /// The frames, up to the end of that in which it suspended; a multiple of 64 bytes.
    pub frames: Vec<u8>,
}

/// The image on the device.
pub struct ImageBuffer {
    pub buffer: Buffer,
    /// Where VMs begin, if it is not an entry.
    pub snapshot: Option<Snapshot>,
    /// Where its frames lie in the buffer.
    pub frames_at: u64,
    /// Bytes of linear memory that VMs begin with.
    pub size: u64,
    /// Where its bytes of memory belong.
    pub low: u64,
    /// How many spans of them are not zero, and where the list of these lies in the buffer.
    pub spans: u64,
    pub spans_at: u64,
    /// Where the passive segments lie in the buffer.
    pub segments_at: u64,
}

impl ImageBuffer {
    /// Uploads an image; its head is padded to that of `plan`.
    pub fn new(
        device: &Arc<dyn Device>,
        queue: &Queue,
        image: &Image,
        snapshot: Option<Snapshot>,
        plan: &Plan,
    ) -> Result<Self> {
        let mut bytes = image.head.clone();
        bytes.resize(usize::try_from(plan.head).map_err(|_| Error::Memory("the globals are too large".into()))?, 0);
        bytes.extend(&image.memory);
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        let segments_at = bytes.len() as u64;
        bytes.extend(&image.segments);
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        let frames_at = bytes.len() as u64;
        bytes.extend(snapshot.iter().flat_map(|snapshot| &snapshot.frames));
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        let (spans, spans_at) = (spans(image), bytes.len() as u64);
        bytes.extend(spans.iter().flatten().flat_map(|at| at.to_le_bytes()));
        let buffer = Buffer::new(device, bytes.len() as u64 + SLACK)?;
        queue.write(&buffer, 0, &bytes)?;
        let size = snapshot.as_ref().map_or(plan.memory_initial, |snapshot| snapshot.begin.memory);
        let spans = spans.len() as u64;
        Ok(Self { buffer, snapshot, frames_at, size, low: image.low, spans, spans_at, segments_at })
    }
}

/// A page, whose bytes a reset need not write if they are zero in the image and were never touched.
const PAGE: u64 = 4096;

/// Where the spans of memory begin and end that are not zero, without zero pages.
fn spans(image: &Image) -> Vec<[u64; 2]> {
    let end = image.low + image.memory.len() as u64;
    let mut spans: Vec<[u64; 2]> = Vec::new();
    let mut at = image.low;
    while at < end {
        let next = (at / PAGE * PAGE + PAGE).min(end);
        let bytes = &image.memory[(at - image.low) as usize..(next - image.low) as usize];
        if bytes.iter().any(|byte| *byte != 0) {
            match spans.last_mut() {
                Some(last) if last[1] == at => last[1] = next,
                _ => spans.push([at, next]),
            }
        }
        at = next;
    }
    spans
}

/// The bytes of the environment buffer.
pub fn environment(options: &FleetOptions) -> Result<Vec<u8>> {
    packed(&options.args, &options.env)
}

/// The environment of an input that has arguments or variables of its own; empty if it has none.
pub fn own_environment(options: &FleetOptions, input: &Input) -> Result<Vec<u8>> {
    if input.program_args.is_none() && input.env.is_empty() {
        return Ok(Vec::new());
    }
    let others = |(name, _): &&(String, String)| input.env.iter().all(|(own, _)| own != name);
    let env: Vec<_> = options.env.iter().filter(others).chain(&input.env).cloned().collect();
    packed(input.program_args.as_ref().unwrap_or(&options.args), &env)
}

fn packed(args: &[String], env: &[(String, String)]) -> Result<Vec<u8>> {
    if let Some((name, _)) = env.iter().find(|(name, _)| name.is_empty() || name.contains('=')) {
        return Err(Error::Option(format!("{name:?} is no name of an environment variable")));
    }
    let env: Vec<String> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut counts = Vec::new();
    let mut strings = Vec::new();
    for list in [args, &env] {
        let begin = strings.len();
        for text in list {
            if text.contains('\0') {
                return Err(Error::Option(format!(
                    "{text:?} has a NUL character, which no argument or variable can hold"
                )));
            }
            strings.extend(text.bytes());
            strings.push(0);
        }
        for count in [list.len(), strings.len() - begin] {
            let count = u32::try_from(count)
                .map_err(|_| Error::Option("the arguments or the environment are too long".into()))?;
            counts.extend(count.to_le_bytes());
        }
    }
    counts.extend(strings);
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_pages_are_in_no_span() {
        let mut image = Image { low: 4096 - 64, ..Image::default() };
        assert!(spans(&image).is_empty());
        image.memory = vec![0; 6 * 4096];
        for at in [0, 64 + 4096, 64 + 2 * 4096 + 4095, 6 * 4096 - 1] {
            image.memory[at] = 1;
        }
        assert_eq!(spans(&image), [[4096 - 64, 4096], [8192, 16384], [24576, 28672 - 64]]);
    }

    #[test]
    fn the_environment_is_counts_and_strings() -> Result<()> {
        let options = FleetOptions {
            args: vec!["a".into(), "bc".into()],
            env: vec![("K".into(), "v=w".into())],
            ..Default::default()
        };
        let bytes = environment(&options)?;
        assert_eq!(bytes[..16], [2, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 6, 0, 0, 0]);
        assert_eq!(&bytes[16..], b"a\0bc\0K=v=w\0");
        assert_eq!(environment(&FleetOptions::default())?, [0; 16]);
        assert!(environment(&FleetOptions { args: vec!["a\0".into()], ..Default::default() }).is_err());
        assert!(environment(&FleetOptions { env: vec![("".into(), "x".into())], ..Default::default() }).is_err());
        Ok(())
    }
}
