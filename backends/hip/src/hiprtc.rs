//! hipRTC, AMD's kernel compiler: where it is found, and what its binaries reveal.

use crate::sys::{Hip, hip};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use vectorvisor_driver::gpu::compiler::Compiler;
use vectorvisor_driver::gpu::library::{self, matching};
use vectorvisor_driver::{Error, Result};

/// What hipRTC, and the compiler and libraries behind it, read in the environment that can change their code. The last
/// one (`CXX`) is the test library's.
pub const VARIABLES: &[&str] = &[
    "HIPRTC_COMPILE_OPTIONS_APPEND",
    "HIPRTC_LINK_OPTIONS_APPEND",
    "AMD_OCL_BUILD_OPTIONS",
    "AMD_OCL_BUILD_OPTIONS_APPEND",
    "AMD_OCL_LINK_OPTIONS",
    "AMD_OCL_LINK_OPTIONS_APPEND",
    "AMD_OCL_SUBST_OBJFILE",
    "AMD_GPU_FORCE_SINGLE_FP_DENORM",
    "GPU_ENABLE_LC",
    "GPU_ENABLE_WAVE32_MODE",
    "GPU_ENABLE_WGP_MODE",
    "HIP_DEVICE_LIB_PATH",
    "HIP_PATH",
    "LLVM_PATH",
    "ROCM_PATH",
    "CXX",
];

/// The compiler, found at the first call, or why there is none.
pub fn hiprtc() -> Result<&'static Compiler> {
    static HIPRTC: LazyLock<Result<Compiler>> = LazyLock::new(|| find(hip()?));
    HIPRTC.as_ref().map_err(Error::clone)
}

/// Looks beside the runtime, in the runtime itself (ROCm 5), and where the system looks.
fn find(hip: &Hip) -> Result<Compiler> {
    let beside = hip.path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let beside = beside.map(|folder| matching(folder, "libhiprtc.so")).unwrap_or_default();
    let names = ["libhiprtc.so.7", "libhiprtc.so.6", "libhiprtc.so.5", "libhiprtc.so"].map(PathBuf::from);
    // SAFETY: the libraries have AMD's names, and their functions the types of AMD's header.
    let inside = || unsafe { Compiler::find(hip.library, "hiprtc", &["Code"]) };
    let open = |path: &Path| {
        let library = library::open([path], false)?;
        // SAFETY: as above.
        unsafe { Compiler::find(library, "hiprtc", &["Code"]) }
    };
    let mut found = beside.iter().map(|path| open(path)).find(|found| found.is_ok()).unwrap_or_else(inside);
    for name in &names {
        found = found.or_else(|_| open(name));
    }
    found.map_err(|reason| Error::Unavailable {
        what: format!("there is no hipRTC, AMD's kernel compiler ({reason})"),
        advice: "install it (hip-runtime-amd of the same release as the runtime), or name the folder of both in \
                 VECTORVISOR_HIP"
            .into(),
    })
}

/// The architecture that a binary is for, as `gfx90a:sramecc+:xnack-`, from its notes. Without `--offload-arch` the
/// compiler takes that of the current device, which no attribute of the device names.
pub fn architecture(binary: &[u8]) -> Option<String> {
    const TARGET: &[u8] = b"amdgcn-amd-amdhsa--";
    let start = binary.windows(TARGET.len()).position(|window| window == TARGET)? + TARGET.len();
    let name = binary[start..].iter().map(|byte| char::from(*byte));
    Some(name.take_while(|c| c.is_ascii_alphanumeric() || "+-:".contains(*c)).collect())
}

/// Whether the compiler that made the probe's binary rounds square roots correctly: then the binary has the kernel
/// `rounds_roots`. Clang does from 18 on; nothing is known of other compilers.
pub fn rounds_roots(binary: &[u8]) -> bool {
    const NAME: &[u8] = b"rounds_roots";
    binary.windows(NAME.len()).any(|window| window == NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amd::OPTIONS;

    /// Needs hipRTC, but no device.
    #[test]
    fn compiles_for_architectures_that_are_not_here() {
        let compiler = match hiprtc() {
            Ok(compiler) => compiler,
            Err(error) => return println!("skipped: {error}"),
        };
        for target in ["gfx90a", "gfx1030"] {
            let options: Vec<_> =
                OPTIONS.map(str::to_owned).into_iter().chain([format!("--offload-arch={target}")]).collect();
            let compile = |text: &str| compiler.compile(&[text.into()], &options, &|| Ok(()), &mut |_, _| ());
            let binary = compile(include_str!("probe.hip")).expect("a binary").concat();
            // The test library's binaries are not AMD code.
            assert!(architecture(&binary).is_none_or(|found| found == target));
            let refused = compile("#line 4711\nnonsense;");
            assert!(matches!(&refused, Err(Error::Compile { log }) if log.contains(":4711:")), "{refused:?}");
        }
    }

    #[test]
    fn a_binary_names_its_architecture_and_reveals_its_compiler() {
        let binary = b"\x7fELF\xa0amdhsa.target\xd9\x2aamdgcn-amd-amdhsa--gfx90a:sramecc+:xnack-\xaeamdhsa.version";
        assert_eq!(architecture(binary).as_deref(), Some("gfx90a:sramecc+:xnack-"));
        assert_eq!(architecture(b"amdgcn-amd-amdhsa-"), None);
        assert!(rounds_roots(b"\x7fELF\0listen\0rounds_roots\0") && !rounds_roots(b"\x7fELF\0listen\0"));
    }
}
