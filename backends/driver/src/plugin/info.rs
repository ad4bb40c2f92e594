//! Facts about a device, and quirks, as they cross the ABI boundary.

use super::abi::{Bytes, Info, QuirkBits};
use super::checked::{self, Violation};
use crate::{DeviceInfo, DeviceKind, Language, MAX_LANES, Quirks};

// A new kind or language goes at the end: an older host then refuses the device rather than mistaking it.
const KINDS: [DeviceKind; 3] = [DeviceKind::Cpu, DeviceKind::Gpu, DeviceKind::Accelerator];
const LANGUAGES: [Language; 4] = [Language::C, Language::OpenCl, Language::Cuda, Language::Hip];

fn number<T: PartialEq>(all: &[T], one: &T) -> u32 {
    // u32::MAX only if the list above is incomplete; the host then refuses the device.
    all.iter().position(|other| other == one).map_or(u32::MAX, |index| index as u32)
}

/// The facts for the host. The texts are borrowed from `info`.
pub fn to_abi(info: &DeviceInfo) -> Info {
    let flags = [info.thread_exit, info.timer, info.live_shared, info.zeroed, info.nvidia, info.patch, info.recursion];
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

/// A checked copy of a plugin's facts; a [`Violation`] if they cannot be true.
///
/// # Safety
/// The texts are readable now.
pub unsafe fn from_abi(info: &Info) -> std::result::Result<DeviceInfo, Violation> {
    // SAFETY: the caller's promise.
    let (name, identity) =
        unsafe { (checked::bytes(info.name, "a name")?, checked::bytes(info.identity, "an identity")?) };
    let name = String::from_utf8_lossy(name).into_owned();
    // The cache keeps binaries by the identity, so a lossy conversion must not make two the same.
    let identity = str::from_utf8(identity).map_err(|_| format!("tells an identity of {name} that is no text"))?;
    let unknown = |what: &str, n: u32| format!("lists {name}, a device of a {what} unknown here ({n})");
    let kind = *KINDS.get(info.kind as usize).ok_or_else(|| unknown("kind", info.kind))?;
    let language = *LANGUAGES.get(info.language as usize).ok_or_else(|| unknown("language", info.language))?;
    let flag = |bit: u32| info.flags >> bit & 1 == 1;
    let Info { lane_width, parallel_tiles, memory, max_alloc, .. } = *info;
    for (bad, what) in [
        (name.is_empty(), "a device without a name".into()),
        (identity.is_empty(), format!("{name} without an identity")),
        (
            !lane_width.is_power_of_two() || lane_width > MAX_LANES,
            format!("{name} with {lane_width} lanes in lockstep"),
        ),
        (parallel_tiles == 0, format!("{name} with no tile that makes progress")),
        (max_alloc == 0 || max_alloc > memory, format!("{name} with allocations of {max_alloc} of {memory} bytes")),
    ] {
        if bad {
            return Err(format!("lists {what}"));
        }
    }
    Ok(DeviceInfo {
        index: info.index as usize,
        kind,
        language,
        memory,
        max_alloc,
        lane_width,
        parallel_tiles,
        thread_exit: flag(0),
        timer: flag(1),
        live_shared: flag(2),
        zeroed: flag(3),
        nvidia: flag(4),
        patch: flag(5),
        recursion: flag(6),
        identity: identity.to_owned(),
        name,
    })
}

/// Both quirks in one word.
pub fn quirks_to_abi(quirks: Quirks) -> QuirkBits {
    let bits = |quirk: Option<bool>| quirk.map_or(0, |on| 1 + u32::from(on));
    bits(quirks.nvidia) | bits(quirks.patch) << 2
}

/// The quirks in a word of [`quirks_to_abi`].
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
    fn facts_survive() -> Result<(), Violation> {
        let mut info = DeviceInfo {
            index: 7,
            name: "näme".into(),
            identity: "what it depends on".into(),
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
            recursion: false,
        };
        type Flag = fn(&mut DeviceInfo) -> &mut bool;
        let flags: [Flag; 7] = [
            |i| &mut i.thread_exit,
            |i| &mut i.timer,
            |i| &mut i.live_shared,
            |i| &mut i.zeroed,
            |i| &mut i.nvidia,
            |i| &mut i.patch,
            |i| &mut i.recursion,
        ];
        for flag in flags {
            *flag(&mut info) ^= true;
            // SAFETY: the texts are those of `info`.
            assert_eq!(unsafe { from_abi(&to_abi(&info)) }?, info);
        }
        let good = to_abi(&info);
        for (strange, why) in [
            (Info { kind: 9, ..good }, "näme, a device of a kind unknown here (9)"),
            (Info { language: 9, ..good }, "language unknown here (9)"),
            (Info { lane_width: 0, ..good }, "with 0 lanes"),
            (Info { lane_width: 48, ..good }, "with 48 lanes"),
            (Info { lane_width: 2 * MAX_LANES, ..good }, "lanes in lockstep"),
            (Info { parallel_tiles: 0, ..good }, "no tile"),
            (Info { max_alloc: 0, ..good }, "allocations of 0"),
            (Info { memory: 1, ..good }, "of 1 bytes"),
            (Info { name: Bytes::of(b""), ..good }, "without a name"),
            (Info { identity: Bytes::of(b""), ..good }, "without an identity"),
            (Info { identity: Bytes::of(b"\xff"), ..good }, "no text"),
            (Info { name: Bytes { data: std::ptr::null(), len: 5 }, ..good }, "5 bytes of a name at the address 0x0"),
            (Info { identity: Bytes { len: usize::MAX, ..good.name }, ..good }, "more than memory holds"),
        ] {
            // SAFETY: as above, and what cannot be readable is not read.
            let refused = unsafe { from_abi(&strange) };
            assert!(refused.as_ref().is_err_and(|violation| violation.contains(why)), "{why}: {refused:?}");
        }
        Ok(())
    }
}
