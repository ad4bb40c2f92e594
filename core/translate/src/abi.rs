//! The agreement between kernel text and the runtime: kernels, their arguments, state words, messages.
//!
//! Every kernel has the same nine buffer arguments, in the order of [`Arg`], and, but where it says so, one thread per VM
//! (thread `i` is lane `i % L` of tile `i / L`):
//!
//! - `vv_run` runs every VM whose status is [`Status::Start`] or [`Status::Run`] until it ends, traps or suspends;
//! - `vv_reset` brings the memory of every VM with a nonzero [`Word::Reset`] back to the image (one tile of threads for
//!   each, if [`crate::Meta::resets_together`]);
//! - `vv_gather` copies pieces of VM memory or output into `pack`, one [`Segment`] a thread.
//!
//! All integers are little-endian. The state words of a group are a structure of arrays of `u64`:
//! word `w` of VM `v` lies at index `w * vms + v`, where `vms` is the padded number of VMs (a multiple of L).

use serde::{Deserialize, Serialize};

/// Positions of the kernels' buffer arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Arg {
    /// The group's tiles: `tiles * L * region` bytes.
    Memory = 0,
    /// State words, `Word::COUNT * vms` u64.
    Words = 1,
    /// Packed inputs, entry arguments and answers; for `vv_gather` the array of [`Segment`]s.
    Input = 2,
    /// Output buffers: tiled like VM memory, [`Par::OutCapacity`] bytes a VM.
    Output = 3,
    /// The image: head bytes (`plan.head` of them), then the nonzero span of linear memory (from `ImageLow` on), then
    /// passive data segments at `SegmentsAt`, frames at `ImageFramesAt`, and spans at `ImageSpansAt`.
    Image = 4,
    /// `u32 argc, u32 argument bytes, u32 envc, u32 environment bytes`, then the NUL-terminated strings of both.
    Env = 5,
    /// [`Par`] as u64.
    Par = 6,
    /// The stop word: a u32 that the host may set to 1 while `vv_run` runs, so that every VM stops soon after. At
    /// [`STOP_TIME`] lies a time.
    Stop = 7,
    /// For `vv_gather` its destination; for `vv_run` of a program whose files are on the device, [`files`]. Else null.
    Pack = 8,
}

/// Byte offset in [`Arg::Stop`] of a u64 that the host updates while `vv_run` runs, for programs with
/// [`crate::Meta::kept_time`] and for a [`Par::Limit`] where the device has no timer: nanoseconds, of which only
/// differences mean something.
pub const STOP_TIME: usize = 8;

/// Nanoseconds between two updates of that time.
pub const TIME_STEP: u64 = 1_000_000;

/// Bytes of a page, by which linear memory grows.
pub const PAGE: u64 = 65536;

/// Number of kernel arguments.
pub const ARGS: usize = 9;

/// Rows of the state words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Word {
    /// Low 32 bits: [`Status`]; high 32 bits: its code.
    Status = 0,
    /// Where it stopped: low 32 bits wasm function index, high 32 bits wasm byte offset, either `u32::MAX` if unknown.
    Where = 1,
    /// Trampoline state to go on with (for `Start`: the entry's state).
    State = 2,
    /// Fuel left. `u64::MAX >> 1` is "unlimited".
    Fuel = 3,
    /// Bytes of output: low 32 bits stdout (ascending from 0), high 32 bits stderr (descending from the end of the
    /// buffer).
    Out = 4,
    /// Low 32 bits: current size of linear memory in bytes. High 32 bits: 1 if `memory.grow` was refused although the
    /// module allows so much memory; after [`Status::Outgrown`] the pages that it asked for in all.
    Memory = 5,
    /// Frame pointer: byte offset into the frame area.
    Frame = 6,
    /// Bytes of stdin already read; above them the prelude's marks, [`SAW_INPUT`], and what became of the descriptors
    /// 0, 1 and 2.
    Stdin = 7,
    /// The clock, nanoseconds since 1970. The host sets it before a start, and advances it before a resume.
    Clock = 8,
    /// Bytes of the random stream already given out.
    Random = 9,
    /// Bytes of the request in the VM's slot (status `Call`).
    Request = 10,
    /// Nanoseconds that it has computed, where there is a [`Par::Limit`].
    Time = 11,
    /// Key of the random stream, 256 bits in four words (host).
    Key = 12,
    /// The second word of the key.
    Key1 = 13,
    /// The third.
    Key2 = 14,
    /// The fourth.
    Key3 = 15,
    /// Where stdin begins in `Input` (host).
    InputOffset = 16,
    /// Bytes of stdin (host).
    InputLength = 17,
    /// Where the entry's arguments (`Start`, one u64 each) or the answer (`Run` after `Call`) begin in `Input` (host).
    MessageOffset = 18,
    /// Their bytes (host).
    MessageLength = 19,
    /// 0 = nothing; 1 = restore the whole initial memory; 2 = memory is all zero, copy only the image's nonzero span
    /// (host).
    Reset = 20,
    /// `--profile`: loop back-edges executed in direct functions.
    EdgesDirect = 21,
    /// `--profile`: loop back-edges executed inside one state of a framed function.
    EdgesState = 22,
    /// `--profile`: loop back-edges that went through the trampoline.
    EdgesFramed = 23,
    /// Where the VM's own environment begins in `Input`, and 1 more; 0 if it has that of all ([`Arg::Env`]) (host).
    Environment = 24,
    /// `--profile`: how often it came to the entry of a function or turned a loop in this launch (the host begins with
    /// 0).
    Visits = 25,
    /// `--profile`: in how many of them it was the first of the lanes of its warp that came there together.
    WarpVisits = 26,
}

impl Word {
    /// Number of rows. In a program that is profiled counters follow, which the host clears once: VM by VM, two for each
    /// [`Point`], its visits and those in which it was the first of its warp.
    pub const COUNT: usize = 27;
}

/// Where a program that is profiled counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Point {
    /// The function, by its index in the module.
    pub function: u32,
    /// What.
    pub what: Counted,
}

/// What is counted of a function. Offsets are in bytes of the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Counted {
    /// Its entry.
    Entry,
    /// The end of each turn of the loop at this offset. A loop that became states counts where a turn begins, so once more
    /// each time that it begins itself.
    Turn(u32),
    /// Each time that the `call_indirect` at this offset calls this function. Only VMs are counted, not warps, and only at
    /// calls for which there is room.
    Call(u32, u32),
}

/// In [`Word::Stdin`]: `serverless_invoke` has given the VM its request.
pub const HAS_REQUEST: u64 = 1 << 55;

/// In [`Word::Stdin`]: it has answered that request. Only where VMs keep their state: else it ends with its answer.
pub const HAS_ANSWERED: u64 = 1 << 54;

/// In [`Word::Stdin`]: the VM has no request, and suspends at its first `serverless_invoke` (host).
pub const STOP_AT_INVOKE: u64 = 1 << 53;

/// In [`Word::Stdin`]: the VM has read something that may differ from one input to the next (standard input, or that it
/// has ended; the clock; random numbers).
pub const SAW_INPUT: u64 = 1 << 57;

/// Parameters that are the same for all VMs of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Par {
    /// VMs of the group, padded to whole tiles.
    Vms = 0,
    /// Output bytes per VM, stdout and stderr together; a multiple of 64.
    OutCapacity = 1,
    /// Where the image's nonzero memory span begins (an address in linear memory, a multiple of 64).
    ImageLow = 2,
    /// How many spans of it are not zero: the rest of linear memory is. They lie at `ImageSpansAt` in the image buffer:
    /// where each begins and ends, two u64, multiples of 64.
    ImageSpans = 3,
    /// Offset of the passive data segments in the image buffer.
    SegmentsAt = 4,
    /// The most [`Segment`]s for `vv_gather`; those of no bytes are none.
    Segments = 5,
    /// The most fuel between two looks at the stop word and the time; 64 to 2^29.
    FuelSlice = 6,
    /// Bytes of one VM's region: `plan.region(memory, frames)`.
    Region = 7,
    /// Bytes of its frame area, `plan.frames` to `plan.frames_limit`.
    Frames = 8,
    /// VMs that one warp runs in `vv_run`, 1 to `plan.lanes`: as many of its first threads, with neighbouring VMs. The
    /// launch then has that much more tiles.
    Width = 9,
    /// Where the frame area begins: `plan.frames_at(memory)`.
    FramesAt = 10,
    /// Capacity of its linear memory in bytes, `plan.memory_initial` to `plan.memory_limit`.
    Memory = 11,
    /// Size of linear memory in bytes with which VMs begin; a reset clears what the image does not fill.
    ImageSize = 12,
    /// Where the image's frames lie in the image buffer.
    ImageFramesAt = 13,
    /// Their bytes, a multiple of 64; 0 unless VMs begin in the middle of the program.
    ImageFrames = 14,
    /// Where the spans lie in the image buffer.
    ImageSpansAt = 15,
    /// Nanoseconds that a VM may compute, in all its launches, and at most 2^62; or `u64::MAX`.
    Limit = 16,
}

impl Par {
    /// Number of parameters.
    pub const COUNT: usize = 17;
}

/// A copy of folders that guests may only read. Offsets are bytes from its start, and u32.
///
/// It begins with the number of folders that a guest is given, and a u32 of 0. At 8 they follow, [`files::GIVEN`] bytes
/// each: the offset of its node, that of its name, the length of this. A node has [`files::NODE`] bytes, at a multiple of
/// 8:
///
/// | at | |
/// |---|---|
/// | 0 | u32: what it is, by WASI's number of a file type: a folder, a file, or a symbolic link |
/// | 4 | u32: the errno of opening it, or 0 |
/// | 8 | u64 each: inode, links, size, times of access, modification and change (nanoseconds since 1970) |
/// | 56 | u32: where a file's bytes lie, a folder's entries, or a link's target (`/` is any absolute one) |
/// | 60 | u32: how many bytes or entries they are |
/// | 64 | u32: the node of the folder that it lies in, or its own |
///
/// An entry has [`files::ENTRY`] bytes: the offset of its name, the length of this, and the offset of its node. A folder's
/// entries are sorted by the bytes of their names.
pub mod files {
    /// Bytes of a given folder.
    pub const GIVEN: usize = 12;
    /// Bytes of a node.
    pub const NODE: usize = 72;
    /// Bytes of an entry.
    pub const ENTRY: usize = 12;
    /// Descriptors that a VM can have, the streams' among them.
    pub const DESCRIPTORS: u32 = 64;
    /// Bytes of a VM's table of them: two u64 each, behind how many there were at a time. It is zero at first.
    pub const TABLE: u32 = 8 + 16 * DESCRIPTORS;
}

/// What a VM is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// Nothing to do.
    Idle = 0,
    /// Enter the program at [`Word::State`] with the arguments in the message.
    Start = 1,
    /// Go on at [`Word::State`].
    Run = 2,
    /// Ended; the code is the exit code. The entry returned if [`Word::Where`] names no function, and its results lie
    /// 8 bytes above the start of the frame area, one u64 each; else `proc_exit` was called there.
    Exit = 3,
    /// Trapped; the code is a [`TrapKind`].
    Trap = 4,
    /// Waits for the host; the code is an index into [`crate::host::CALLS`], or [`FLUSH`].
    Call = 5,
    /// The output buffer is full and the VM cannot suspend: run the input again with a larger one.
    Full = 6,
    /// Saw the stop word.
    Stopped = 7,
    /// Used up its fuel.
    Fuel = 8,
    /// Violated an assumption of the text: made an access that is not aligned as its hint says, in a program translated
    /// with [`crate::Alignment::Natural`], or stored into data that all VMs share ([`crate::Opt::SharedData`]).
    /// Everything that it did since its start must be discarded.
    Violated = 9,
    /// Its memory was to grow beyond the launch's capacity ([`Par::Memory`]), which is less than `plan.memory_limit`:
    /// run the input again with more.
    Outgrown = 10,
    /// Answered its request with `serverless_response`, and keeps no state.
    Answered = 11,
    /// Its request is longer than what it gave `serverless_invoke` room for, which is in [`Word::Request`].
    TooLong = 12,
    /// Asked for a request without having answered the one that it has.
    Unanswered = 13,
    /// Has computed for longer than [`Par::Limit`].
    Late = 14,
    /// Recursed deeper than [`crate::Options::native_stack`] allows. Everything that it did since its start must be
    /// discarded.
    Deep = 15,
}

impl Status {
    /// The status in the low half of a status word.
    pub fn of(word: u64) -> Option<Self> {
        use Status::*;
        const ALL: [Status; 16] = [
            Idle, Start, Run, Exit, Trap, Call, Full, Stopped, Fuel, Violated, Outgrown, Answered, TooLong, Unanswered,
            Late, Deep,
        ];
        ALL.into_iter().find(|s| *s as u32 == word as u32)
    }
}

/// Code of [`Status::Call`]: the output buffer is full; take the output, set [`Word::Out`] to 0, and go on.
pub const FLUSH: u32 = u32::MAX;

/// The state in which a VM has nothing left to do: started there, it exits with 0.
pub const FINISH: u32 = 1;

/// "Unlimited" in [`Word::Fuel`].
pub const UNLIMITED_FUEL: u64 = u64::MAX >> 1;

/// Why a VM trapped. The texts are the WebAssembly spec suite's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u32)]
pub enum TrapKind {
    /// `unreachable` was executed.
    Unreachable = 1,
    /// Integer division by zero.
    DivideByZero = 2,
    /// `INT_MIN / -1`, or a float out of range in a conversion.
    IntegerOverflow = 3,
    /// NaN converted to an integer.
    InvalidConversion = 4,
    /// Memory access beyond the memory's size.
    OutOfBoundsMemory = 5,
    /// Table access beyond the table's size.
    OutOfBoundsTable = 6,
    /// `call_indirect` index beyond the table.
    UndefinedElement = 7,
    /// `call_indirect` of a null element.
    UninitializedElement = 8,
    /// `call_indirect` of a function that has another signature.
    IndirectCallType = 9,
    /// The frame area has no space for another frame.
    StackExhausted = 10,
}

impl TrapKind {
    /// All kinds, for decoding.
    pub const ALL: [Self; 10] = {
        use TrapKind::*;
        [
            Unreachable,
            DivideByZero,
            IntegerOverflow,
            InvalidConversion,
            OutOfBoundsMemory,
            OutOfBoundsTable,
            UndefinedElement,
            UninitializedElement,
            IndirectCallType,
            StackExhausted,
        ]
    };

    /// Decodes the code of [`Status::Trap`].
    pub fn of(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|k| *k as u32 == code)
    }

    /// The text of the spec suite.
    pub fn text(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::DivideByZero => "integer divide by zero",
            Self::IntegerOverflow => "integer overflow",
            Self::InvalidConversion => "invalid conversion to integer",
            Self::OutOfBoundsMemory => "out of bounds memory access",
            Self::OutOfBoundsTable => "out of bounds table access",
            Self::UndefinedElement => "undefined element",
            Self::UninitializedElement => "uninitialized element",
            Self::IndirectCallType => "indirect call type mismatch",
            Self::StackExhausted => "call stack exhausted",
        }
    }
}

/// What `vv_gather` copies from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Area {
    /// The output buffer from its start: stdout.
    Stdout = 0,
    /// The output buffer from its end, reversed back into order: stderr.
    Stderr = 1,
    /// The VM's region (globals, frames, slot, linear memory), by byte offset.
    Region = 2,
}

/// One piece for `vv_gather`: 4 u64 in the `Input` argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The VM's number in its group.
    pub vm: u32,
    /// What to copy from.
    pub area: Area,
    /// First byte in that area.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// Where they go in `pack`.
    pub to: u64,
}

impl Segment {
    /// No bytes.
    pub const NONE: Self = Self { vm: 0, area: Area::Stdout, offset: 0, length: 0, to: 0 };
    /// Bytes of one segment in the buffer.
    pub const BYTES: usize = 32;

    /// As the kernel reads it.
    pub fn words(&self) -> [u64; 4] {
        [u64::from(self.vm) | (self.area as u64) << 32, self.offset, self.length, self.to]
    }
}

/// The layout of a VM's region and of a tile. Sizes and offsets in bytes. Linear memory, with its guard, and the frame
/// area come last, so that their sizes can differ from one launch to the next with the same kernels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// VMs in a tile.
    pub lanes: u32,
    /// Interleave cell, 0 = linear.
    pub cell: u32,
    /// Size of the head: globals and tables.
    pub head: u64,
    /// Where a remote call's request is packed.
    pub slot_at: u64,
    /// Size of the slot; 0 if no remote call is reachable.
    pub slot: u64,
    /// Where linear memory begins.
    pub memory_at: u64,
    /// Its size at the start.
    pub memory_initial: u64,
    /// Its capacity at first: more than the initial size if it grows, less than the limit if inputs may run again.
    pub memory_first: u64,
    /// The most it can grow to.
    pub memory_limit: u64,
    /// Bytes behind the capacity that bad accesses may go to.
    pub guard: u64,
    /// Size of the frame area at first.
    pub frames: u64,
    /// The most that it can be: more than `frames` if the program recurses and its inputs may run again.
    pub frames_limit: u64,
    /// The largest frame of one function.
    pub frame: u64,
    /// Addresses within an area of a tile need 64 bits.
    pub wide: bool,
    /// State words of a VM: [`Word::COUNT`], and two for each [`Point`].
    pub words: u32,
}

impl Plan {
    /// Where the frame area begins behind a memory of this capacity.
    pub fn frames_at(&self, memory: u64) -> u64 {
        self.memory_at + memory + self.guard
    }

    /// One VM's region with this capacity of memory and a frame area of this size; a tile is `lanes` times as large.
    pub fn region(&self, memory: u64, frames: u64) -> u64 {
        self.frames_at(memory) + frames
    }
}
