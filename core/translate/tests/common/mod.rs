//! What the tests share.

use vectorvisor_translate::host::FilesAt;
use vectorvisor_translate::{Alignment, Bounds, Clock, Language, Options, Target, Traps};

/// For a plain GPU.
pub fn options() -> Options {
    Options {
        target: Target {
            language: Language::Cuda,
            thread_exit: false,
            clock: Clock::Kept,
            cheap_branches: false,
            call_paths: None,
        },
        lanes: 32,
        cell: 8,
        heap: None,
        stack: 64 << 10,
        native_stack: 0,
        traps: Traps::Sticky,
        bounds: Bounds::Size,
        alignment: Alignment::Any,
        without: Default::default(),
        with: Default::default(),
        linked: false,
        divide: None,
        interpret: false,
        force_framed: false,
        keep: false,
        profile: false,
        usual_targets: Default::default(),
        files: FilesAt::Nowhere,
        roots: Vec::new(),
    }
}
