//! The energy that NVIDIA GPUs take.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use vectorvisor::BackendSpec;

/// Measures until it is stopped.
#[derive(Debug)]
pub struct Meter {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Option<f64>>,
}

impl Meter {
    /// Begins, for those of the devices that are CUDA's.
    pub fn start(devices: &[BackendSpec]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let gpus = gpus(devices, std::env::var("CUDA_VISIBLE_DEVICES").ok().as_deref());
        let thread = std::thread::spawn(move || {
            let (begin, mut watts, mut times) = (Instant::now(), 0.0, 0.0);
            while !gpus.is_empty() && !stopped.load(Ordering::Relaxed) {
                let query = ["--id", &gpus.join(","), "--query-gpu=power.draw", "--format=csv,noheader,nounits"];
                let told = Command::new("nvidia-smi").args(query).stderr(Stdio::null()).output().ok()?;
                watts += sum(&String::from_utf8_lossy(&told.stdout), gpus.len())?;
                times += 1.0;
                std::thread::sleep(Duration::from_millis(250));
            }
            (times > 0.0).then(|| watts / times * begin.elapsed().as_secs_f64())
        });
        Self { stop, thread }
    }

    /// The joules of all those devices since the beginning: their mean power, times the time. None if they are no
    /// GPUs of CUDA, or do not tell.
    pub fn stop(self) -> Option<f64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok().flatten()
    }
}

/// How `nvidia-smi` calls the devices that are CUDA's, each once. `visible` is `CUDA_VISIBLE_DEVICES`, by which CUDA
/// counts.
fn gpus(devices: &[BackendSpec], visible: Option<&str>) -> Vec<String> {
    let visible: Option<Vec<&str>> = visible.map(|list| list.split(',').map(str::trim).collect());
    let mut gpus = Vec::new();
    for index in devices.iter().filter(|device| device.name == "cuda").map(|device| device.index.unwrap_or(0)) {
        let name = match &visible {
            Some(list) => list.get(index).map_or_else(|| index.to_string(), |name| (*name).to_owned()),
            None => index.to_string(),
        };
        if !gpus.contains(&name) {
            gpus.push(name);
        }
    }
    gpus
}

/// The sum of a line for each of so many devices.
fn sum(text: &str, devices: usize) -> Option<f64> {
    let watts: Vec<f64> = text.lines().map(|line| line.trim().parse()).collect::<Result<_, _>>().ok()?;
    (watts.len() == devices).then(|| watts.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(list: &[&str]) -> Vec<BackendSpec> {
        list.iter().map(|name| name.parse().expect("a device")).collect()
    }

    #[test]
    fn each_gpu_of_cuda_counts_once() {
        let devices = specs(&["cuda:1", "cpu", "cuda:0", "cuda:1"]);
        assert_eq!(gpus(&devices, None), ["1", "0"]);
        assert_eq!(gpus(&devices, Some("GPU-a, GPU-b")), ["GPU-b", "GPU-a"]);
        assert!(gpus(&specs(&["cpu:0", "opencl:0"]), None).is_empty());
    }

    #[test]
    fn powers_are_added() {
        assert_eq!(sum("100.5\n 200.25\n", 2), Some(300.75));
        assert_eq!((sum("100\n", 2), sum("[N/A]\n", 1)), (None, None));
    }

    #[test]
    fn what_is_no_gpu_has_no_joules() {
        assert_eq!(Meter::start(&specs(&["cpu:0"])).stop(), None);
    }
}
