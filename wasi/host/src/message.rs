//! Reading requests and writing answers: the byte form of a call.

use crate::errno;
use vectorvisor_translate::host::{HostCall, Param};

/// A request that is not in the form agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "malformed host call: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// A call as a VM packed it.
///
/// ```
/// use vectorvisor_translate::host::CALLS;
/// let sync = CALLS.iter().find(|c| c.name == "fd_sync").unwrap();
/// let bytes = 7_u64.to_le_bytes();
/// let request = vectorvisor_wasi::Request::parse(sync, &bytes).unwrap();
/// assert_eq!(request.param(0), 7);
/// ```
pub struct Request<'a> {
    /// The call.
    pub call: &'static HostCall,
    params: Vec<u64>,
    ins: Vec<&'a [u8]>,
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], Malformed> {
    let (head, tail) = bytes.split_at_checked(count).ok_or(Malformed("the request is too short"))?;
    *bytes = tail;
    Ok(head)
}

fn take_word(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut word = [0; 8];
    word.copy_from_slice(take(bytes, 8)?);
    Ok(u64::from_le_bytes(word))
}

impl<'a> Request<'a> {
    /// Splits a request into its parameters and *in* buffers.
    pub fn parse(call: &'static HostCall, mut bytes: &'a [u8]) -> Result<Self, Malformed> {
        let bytes = &mut bytes;
        let params = call.params.iter().map(|_| take_word(bytes)).collect::<Result<_, _>>()?;
        let mut ins = Vec::new();
        for _ in call.params.iter().filter(|p| matches!(p, Param::In(_))) {
            let length = usize::try_from(take_word(bytes)?).map_err(|_| Malformed("a buffer is too long"))?;
            ins.push(take(bytes, length)?);
            // The last one may lack its padding.
            let padding = (length.next_multiple_of(8) - length).min(bytes.len());
            take(bytes, padding)?;
        }
        Ok(Self { call, params, ins })
    }

    /// A parameter; 0 beyond the last.
    pub fn param(&self, index: usize) -> u64 {
        self.params.get(index).copied().unwrap_or(0)
    }

    /// The n-th *in* buffer; empty beyond the last.
    pub fn input(&self, n: usize) -> &'a [u8] {
        self.ins.get(n).copied().unwrap_or(&[])
    }
}

/// An answer being written: its errno, then the *out* buffers in order.
///
/// ```
/// use vectorvisor_translate::host::CALLS;
/// let sync = CALLS.iter().find(|c| c.name == "fd_sync").unwrap();
/// assert_eq!(vectorvisor_wasi::Reply::errno(sync, 8).finish(), 8_u64.to_le_bytes());
/// ```
pub struct Reply {
    bytes: Vec<u8>,
    outs: usize,
}

impl Reply {
    /// Begins with the call's result.
    pub fn errno(call: &HostCall, errno: u16) -> Self {
        let outs = call.params.iter().filter(|p| matches!(p, Param::Out(_))).count();
        let bytes = if call.returns { u64::from(errno).to_le_bytes().to_vec() } else { Vec::new() };
        Self { bytes, outs }
    }

    /// Success.
    pub fn ok(call: &HostCall) -> Self {
        Self::errno(call, errno::SUCCESS)
    }

    /// The next *out* buffer.
    pub fn out(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend((bytes.len() as u64).to_le_bytes());
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        self.outs = self.outs.saturating_sub(1);
        self
    }

    /// The bytes; *out* buffers that were not written are empty.
    pub fn finish(mut self) -> Vec<u8> {
        for _ in 0..self.outs {
            self.bytes.extend([0; 8]);
        }
        self.bytes
    }
}
