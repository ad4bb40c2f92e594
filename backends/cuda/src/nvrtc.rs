//! NVRTC, NVIDIA's kernel compiler: where it is found, and the targets that it knows.

use std::env;
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use vectorvisor_driver::gpu::compiler::Compiler;
use vectorvisor_driver::gpu::library::{self, matching};
use vectorvisor_driver::{Error, Result};

library::functions! {
    /// The functions that hipRTC does not have.
    pub struct Own -> c_int;
    GetNumSupportedArchs(count: *mut c_int);
    GetSupportedArchs(architectures: *mut c_int);
}

/// What NVRTC and the linker in NVIDIA's driver read in the environment that can change their code.
pub const VARIABLES: &[&str] =
    &["NVRTC_PREPEND_FLAGS", "NVRTC_APPEND_FLAGS", "CUDA_FORCE_PTX_JIT", "CUDA_DISABLE_PTX_JIT"];

/// The compiler and the compute capabilities that it knows, 90 for 9.0.
pub struct Nvrtc {
    /// The compiler.
    pub compiler: Compiler,
    architectures: Vec<i32>,
}

/// The compiler, opened at the first call, or why there is none.
pub fn nvrtc() -> Result<&'static Nvrtc> {
    static NVRTC: LazyLock<Result<Nvrtc>> = LazyLock::new(find);
    NVRTC.as_ref().map_err(Error::clone)
}

fn find() -> Result<Nvrtc> {
    let mut reason = None;
    for path in candidates() {
        match open(&path) {
            Ok(nvrtc) => return Ok(nvrtc),
            Err(error) => _ = reason.get_or_insert(error),
        }
    }
    Err(Error::Unavailable {
        what: format!("there is no NVRTC, NVIDIA's kernel compiler ({})", reason.unwrap_or_default()),
        advice: "install it (pip install nvidia-cuda-nvrtc==13.0.88, or the CUDA toolkit), or name libnvrtc.so.13 or \
                 its folder in VECTORVISOR_NVRTC, or the toolkit's folder in CUDA_PATH"
            .into(),
    })
}

/// Where NVRTC may be, best first.
fn candidates() -> Vec<PathBuf> {
    let named = env::var_os("VECTORVISOR_NVRTC").map(PathBuf::from);
    let toolkits = env::var_os("CUDA_PATH").map(PathBuf::from).into_iter();
    let toolkits = toolkits.chain(matching(Path::new("/usr/local"), "cuda")).map(|toolkit| toolkit.join("lib64"));
    let python = library::python_packages().into_iter();
    let python = python.flat_map(|folder| ["nvidia/cu13/lib", "nvidia/cuda_nvrtc/lib"].map(|lib| folder.join(lib)));

    let file = named.clone().filter(|path| path.is_file());
    let folders = named.into_iter().chain(library::own_folders()).chain(toolkits).chain(python);
    let found = folders.flat_map(|folder| matching(&folder, "libnvrtc.so.1"));
    file.into_iter().chain(found).chain(["libnvrtc.so.13", "libnvrtc.so.12"].map(PathBuf::from)).collect()
}

fn open(path: &Path) -> std::result::Result<Nvrtc, String> {
    // NVRTC opens its builtins by name, which works only if they are loaded already or on the library path.
    let builtins = path.parent().map(|folder| matching(folder, "libnvrtc-builtins.so")).unwrap_or_default();
    _ = library::open(builtins.iter().map(PathBuf::as_path), true);
    let library = library::open([path], false)?;
    let mut count = 0;
    // SAFETY: the library has the compiler's name, and its functions the types of NVIDIA's header; locals to fill, and
    // an array of the length that NVRTC asked for.
    unsafe {
        let own = Own::find(library, |name| format!("nvrtc{name}"))?;
        let compiler = Compiler::find(library, "nvrtc", &["CUBIN", "PTX"])?;
        let mut code = (own.GetNumSupportedArchs)(&mut count);
        let mut architectures = vec![0; usize::try_from(count).unwrap_or(0)];
        if code == 0 {
            code = (own.GetSupportedArchs)(architectures.as_mut_ptr());
        }
        if code == 0 { Ok(Nvrtc { compiler, architectures }) } else { Err(format!("NVRTC gave code {code}")) }
    }
}

impl Nvrtc {
    /// The option that names the target for a device of this compute capability: a cubin if NVRTC knows it, or PTX, for
    /// the driver to finish, if the device is newer.
    pub fn target(&self, capability: i32) -> Result<String> {
        match self.architectures.iter().filter(|known| **known <= capability).max() {
            Some(known) if *known == capability => Ok(format!("--gpu-architecture=sm_{known}")),
            Some(known) => Ok(format!("--gpu-architecture=compute_{known}")),
            None => Err(Error::Unavailable {
                what: format!("NVRTC {:?} compiles for no device as old as sm_{capability}", self.compiler.version),
                advice: "name an older one in VECTORVISOR_NVRTC (pip install nvidia-cuda-nvrtc-cu12), \
                         or use --backend opencl"
                    .into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs NVRTC, but no device.
    #[test]
    fn compiles_at_once_on_several_threads() {
        let nvrtc = match nvrtc() {
            Ok(nvrtc) => nvrtc,
            Err(error) => return println!("skipped: {error}"),
        };
        let options: Vec<_> = crate::OPTIONS.map(str::to_owned).into_iter().chain(nvrtc.target(90)).collect();
        let text = |number: i32| format!("extern \"C\" __global__ void k(float *x) {{ x[0] += {number}; }}");
        let (texts, mut reported) = ((0..5).map(text).collect::<Vec<_>>(), Vec::new());
        let compiled =
            nvrtc.compiler.compile(&texts, &options, &|| Ok(()), &mut |done, total| reported.push((done, total)));
        let binaries = compiled.expect("binaries");
        assert!(binaries.len() == 5 && binaries.iter().all(|binary| binary.starts_with(b"\x7fELF")));
        assert_eq!(reported, [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]);
        let texts = [texts[0].clone(), "nonsense".into()];
        let refused = nvrtc.compiler.compile(&texts, &options, &|| Ok(()), &mut |_, _| ());
        assert!(
            matches!(&refused, Err(Error::Compile { log }) if log.contains("vectorvisor(1): error")),
            "{refused:?}"
        );
    }

    #[test]
    fn a_newer_device_gets_ptx_and_an_older_one_advice() {
        if let Ok(nvrtc) = nvrtc() {
            let newest = nvrtc.architectures.iter().max().copied().unwrap_or(0);
            assert!(nvrtc.target(newest).is_ok_and(|option| option.ends_with(&format!("=sm_{newest}"))));
            assert!(nvrtc.target(newest + 1).is_ok_and(|option| option.ends_with(&format!("=compute_{newest}"))));
            assert!(matches!(nvrtc.target(10), Err(Error::Unavailable { .. })));
        }
    }
}
