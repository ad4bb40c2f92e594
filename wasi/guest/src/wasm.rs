//! In VectorVisor: what it provides.

use super::Handler;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn serverless_invoke(buffer: *mut u8, length: usize) -> usize;
    fn serverless_response(buffer: *const u8, length: usize);
    fn vectorvisor_barrier();
}

/// Waits until all VMs that run side by side with this one have come to a barrier or ended, so that they go on together:
/// on a GPU code that they run together runs once for all. What is on the way to a barrier runs more slowly, so it pays
/// between long parts only.
pub fn barrier() {
    // SAFETY: it has no parameters.
    unsafe { vectorvisor_barrier() }
}

pub fn run(handler: Handler, room: usize) {
    let mut buffer = vec![0; room];
    loop {
        // SAFETY: it writes no more bytes than the buffer has.
        let length = unsafe { serverless_invoke(buffer.as_mut_ptr(), buffer.len()) };
        let answer = match buffer.get(..length) {
            Some(request) if length > 0 => handler(request),
            _ => Vec::new(),
        };
        // SAFETY: it reads so many bytes, which there are.
        unsafe { serverless_response(answer.as_ptr(), answer.len()) };
    }
}
