//! Facts about a device, and quirks, as they cross the border.

use super::abi::{Bytes, Info, QuirkBits};
use crate::{DeviceInfo, DeviceKind, Error, Language, Quirks, Result};

// A new kind or language goes at the end: an older host then refuses the device rather than mistaking it.
const KINDS: [DeviceKind; 3] = [DeviceKind::Cpu, DeviceKind::Gpu, DeviceKind::Accelerator];
const LANGUAGES: [Language; 4] = [Language::C, Language::OpenCl, Language::Cuda, Language::Hip];

fn number<T: PartialEq>(all: &[T], one: &T) -> u32 {
    // Not there only if the list above is incomplete; the host then refuses it.
    all.iter().position(|other| other == one).map_or(u32::MAX, |place| place as u32)
}

/// Borrows from `info`.
pub fn to_abi(info: &DeviceInfo) -> Info {
    let flags = [info.thread_exit, info.timer, info.live_shared, info.zeroed, info.nvidia, info.patch];
    Info {
        size: size_of::<Info>() as u32,
        kind: number(&KINDS, &info.kind),
        language: number(&LANGUAGES, &info.language),
        flags: flags.iter().enumerate().map(|(bit, set)| u32::from(*set) << bit).sum(),
        lane_width: info.lane_width,
        parallel_tiles: info.parallel_tiles,
        index: info.index as u64,
        memory: info.memory,
        max_alloc: info.max_alloc,
        name: Bytes::of(info.name.as_bytes()),
        identity: Bytes::of(info.identity.as_bytes()),
    }
}

/// Copies all of it.
///
/// # Safety
/// The texts are readable now.
pub unsafe fn from_abi(info: &Info) -> Result<DeviceInfo> {
    // SAFETY: the caller's promise.
    let (name, identity) = unsafe { (info.name.text(), info.identity.text()) };
    let unknown = |what: &str, n: u32| Error::Device(format!("the device {name} is of a {what} unknown here ({n})"));
    let kind = *KINDS.get(info.kind as usize).ok_or_else(|| unknown("kind", info.kind))?;
    let language = *LANGUAGES.get(info.language as usize).ok_or_else(|| unknown("language", info.language))?;
    let flag = |bit: u32| info.flags >> bit & 1 == 1;
    Ok(DeviceInfo {
        index: info.index as usize,
        kind,
        language,
        memory: info.memory,
        max_alloc: info.max_alloc,
        lane_width: info.lane_width,
        parallel_tiles: info.parallel_tiles,
        thread_exit: flag(0),
        timer: flag(1),
        live_shared: flag(2),
        zeroed: flag(3),
        nvidia: flag(4),
        patch: flag(5),
        name,
        identity,
    })
}

/// Both quirks in one word.
pub fn quirks_to_abi(quirks: Quirks) -> QuirkBits {
    let bits = |quirk: Option<bool>| quirk.map_or(0, |on| 1 + u32::from(on));
    bits(quirks.nvidia) | bits(quirks.patch) << 2
}

/// The quirks of such a word.
pub fn quirks_from_abi(bits: QuirkBits) -> Quirks {
    let quirk = |bits: u32| match bits & 3 {
        1 => Some(false),
        2 => Some(true),
        _ => None,
    };
    Quirks { nvidia: quirk(bits), patch: quirk(bits >> 2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quirks_survive() {
        for nvidia in [None, Some(false), Some(true)] {
            for patch in [None, Some(false), Some(true)] {
                let quirks = Quirks { nvidia, patch };
                assert_eq!(quirks_from_abi(quirks_to_abi(quirks)), quirks);
            }
        }
    }

    #[test]
    fn facts_survive() -> Result<()> {
        let mut info = DeviceInfo {
            index: 7,
            name: "näme".into(),
            identity: String::new(),
            kind: DeviceKind::Accelerator,
            language: Language::Hip,
            memory: u64::MAX,
            max_alloc: 1 << 40,
            lane_width: 64,
            parallel_tiles: 3,
            thread_exit: false,
            timer: false,
            live_shared: false,
            zeroed: false,
            nvidia: false,
            patch: false,
        };
        type Flag = fn(&mut DeviceInfo) -> &mut bool;
        let flags: [Flag; 6] = [
            |i| &mut i.thread_exit,
            |i| &mut i.timer,
            |i| &mut i.live_shared,
            |i| &mut i.zeroed,
            |i| &mut i.nvidia,
            |i| &mut i.patch,
        ];
        for flag in flags {
            *flag(&mut info) ^= true;
            // SAFETY: the texts are those of `info`.
            assert_eq!(unsafe { from_abi(&to_abi(&info)) }?, info);
        }
        let strange = Info { kind: 9, ..to_abi(&info) };
        // SAFETY: as above.
        assert!(matches!(unsafe { from_abi(&strange) }, Err(Error::Device(text)) if text.contains("näme")));
        Ok(())
    }
}
