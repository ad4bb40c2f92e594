//! LZ4: any bytes, in the evaluation 1,000 tweets in JSON, as an LZ4 block with its size before it.

use vectorvisor_guest::Service;

pub fn service() -> Service {
    Service::bytes(lz4_flex::compress_prepend_size).room(128 << 10)
}
