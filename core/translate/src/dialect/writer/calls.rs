//! Writes calls of the host, and of functions that may suspend.

use super::{Scope, Writer, entry_dispatcher};
use crate::analysis::World;
use crate::dialect::expr::{from_bits, to_bits};
use crate::host::{AnsweredBy, CALLS, Call, FilesAt, Gives, Part};
use crate::ir::{Callee, ExprId, Var};
use std::fmt::Write as _;

impl Writer<'_> {
    pub(super) fn host(&self, s: &mut Scope<'_>, call: usize, args: &[ExprId], result: Option<Var>, at: u32) {
        let host = &CALLS[call];
        // A host call after a bad access must have no effect outside the VM.
        line!(
            s,
            "if (VV_UNLIKELY(VV_STRAYED(vm))) {{ vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, {}); {}; }}",
            s.site(at),
            s.leave
        );
        let text = self.args(s, args);
        let answered_by = self.c.answered_by(call);
        let value = match answered_by {
            AnsweredBy::Device if host.call == Call::ProcExit => {
                line!(s, "vv_halt(vm, VV_EXITED{text}, {});", s.site(at));
                line!(s, "{};", s.leave);
                return;
            }
            AnsweredBy::Device => format!("{}(vm{text})", self.on_device(call)),
            AnsweredBy::Nobody(errno) => format!("{errno}u"),
            AnsweredBy::Host => unreachable!("`pass::frame` made two statements of a call of {}", host.name),
        };
        match result {
            Some(v) => line!(s, "v{} = {value};", v.0),
            None => line!(s, "(void)({value});"),
        }
        if answered_by == AnsweredBy::Device && host.works(self.c.files) {
            self.end_if(s, "vm->end", "0u", at);
        }
        self.refuel(s);
    }

    /// Reads results from the frame of a function that has returned.
    pub(super) fn take(&self, s: &mut Scope<'_>, vars: &[Var]) {
        for (i, v) in vars.iter().enumerate() {
            let value = from_bits(s.body.vars[v.0 as usize], &format!("vv_get(vm, {}u)", 8 + 8 * i));
            line!(s, "v{} = {value};", v.0);
        }
    }

    /// Writes the callee's frame `above` bytes up: the state to return to, and the arguments. Gives the state to enter.
    #[expect(clippy::too_many_arguments, reason = "one call, described")]
    pub(super) fn push(
        &self,
        s: &mut Scope<'_>,
        callee: &Callee,
        args: &[ExprId],
        above: u32,
        then: &str,
        world: World,
        at: u32,
    ) -> String {
        let values: Vec<String> = args.iter().map(|a| to_bits(s.body.type_of(*a), &self.e(s, *a))).collect();
        let most = self.l.largest_frame(self.c, world, callee);
        let next = match callee {
            Callee::Function(f) => format!("{}u", self.l.entry(self.c, world, *f)),
            Callee::Table { ty, index } => {
                self.target(s, callee, at);
                let index = self.e(s, *index);
                line!(s, "u32 next = {}{ty}(vm, {index}, {}u, {at}u);", entry_dispatcher(world), s.reported);
                line!(s, "if (next == VV_HALT) {};", s.leave);
                "next".to_string()
            }
        };
        if self.l.recursive {
            self.trap_if(s, &format!("vm->fp + {}u > vm->frames_end", above + most), "VV_STACK_EXHAUSTED", at);
        }
        line!(s, "vv_put(vm, {above}u, {then});");
        for (i, value) in values.iter().enumerate() {
            line!(s, "vv_put(vm, {}u, {value});", above + 8 + 8 * i as u32);
        }
        next
    }

    pub(super) fn call_framed(&self, s: &mut Scope<'_>, callee: &Callee, args: &[ExprId], then: u32, at: u32) {
        line!(s, "{{");
        s.depth += 1;
        let own = s.body.frame;
        let next = self.push(s, callee, args, own, &format!("{then}u"), self.c.world(s.function), at);
        line!(s, "vm->fp += {own}u;");
        line!(s, "return {next};");
        s.depth -= 1;
        line!(s, "}}");
    }

    /// Asks the host, and suspends; `then` is the state to go on in.
    pub(super) fn suspend(&self, s: &mut Scope<'_>, call: usize, args: &[ExprId], then: &str, at: u32) {
        line!(
            s,
            "if (VV_UNLIKELY(VV_STRAYED(vm))) {{ vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, {}); {}; }}",
            s.site(at),
            s.leave
        );
        line!(s, "vm->request = 0; vm->error = 0;");
        match self.streams(s, call, args) {
            Some(streams) => {
                line!(
                    s,
                    "if ({streams}) vm->error = VV_ANSWERED | vv_{}(vm{});",
                    CALLS[call].symbol,
                    self.args(s, args)
                );
                line!(s, "else {{");
                self.ask_files(s, call, args);
                line!(s, "}}");
            }
            None if self.asks_files(call) => self.ask_files(s, call, args),
            None => line!(s, "vv_ask_{}(vm{});", CALLS[call].symbol, self.args(s, args)),
        }
        self.end_if(s, "vm->end", "0u", at);
        let mut code = format!("{call}u");
        if self.asks_files(call) && CALLS[call].call == Call::FdWrite {
            // A stream's buffer is full: the answer is that it is empty.
            code = format!("vm->flush ? 0xffffffffu : {code}");
            line!(s, "if (vm->flush) vm->error = 0;");
        }
        // A request that cannot be made is answered at once with its errno; a VM that has a request goes on with it.
        line!(s, "if (vm->error) return {then};");
        line!(s, "vm->state = {then};");
        line!(s, "vv_halt(vm, VV_CALL, {code}, {});", s.site(at));
        line!(s, "return VV_HALT;");
    }

    pub(super) fn answer(&self, s: &mut Scope<'_>, call: usize, args: &[ExprId], result: Option<Var>, at: u32) {
        let taken = match self.streams(s, call, args) {
            // Now there is room.
            Some(streams) if CALLS[call].call == Call::FdWrite => {
                format!("{streams} ? vv_fd_write(vm{}) : {}", self.args(s, args), self.take_files(s, call, args))
            }
            _ if self.asks_files(call) => self.take_files(s, call, args),
            _ => format!("vv_take_{}(vm{})", CALLS[call].symbol, self.args(s, args)),
        };
        let value = match CALLS[call].gives {
            Gives::Errno => format!("vm->error ? vm->error & 0xffffu : {taken}"),
            _ => taken,
        };
        match result {
            Some(v) => line!(s, "v{} = {value};", v.0),
            None => line!(s, "(void)({value});"),
        }
        line!(s, "vm->error = 0;");
        self.end_if(s, "vm->end", "0u", at);
        self.refuel(s);
    }

    /// Writes, or asks for the buffer to be emptied, and does it once more in the state `again`.
    pub(super) fn write_or_flush(
        &self,
        s: &mut Scope<'_>,
        call: usize,
        args: &[ExprId],
        result: Option<Var>,
        again: &str,
        at: u32,
    ) {
        line!(s, "if (VV_STRAYED(vm)) {{ vv_trap(vm, VV_OUT_OF_BOUNDS_MEMORY, {}); {}; }}", s.site(at), s.leave);
        let to = result.map_or("(void)".into(), |var| format!("v{} = ", var.0));
        line!(s, "{to}{}(vm{});", self.on_device(call), self.args(s, args));
        self.end_if(s, "vm->end", "0u", at);
        self.refuel(s);
        line!(s, "if (vm->flush) {{");
        s.depth += 1;
        line!(s, "vm->state = {again};");
        line!(s, "vv_halt(vm, VV_CALL, 0xffffffffu, {});", s.site(at));
        line!(s, "return VV_HALT;");
        s.depth -= 1;
        line!(s, "}}");
    }

    /// The function that answers a call on the device.
    fn on_device(&self, call: usize) -> String {
        let files = self.c.files == FilesAt::Device && !CALLS[call].files.is_empty();
        format!("vv_{}{}", if files { "files_" } else { "" }, CALLS[call].symbol)
    }

    /// Whether the host answers a call in the form of those that concern files.
    fn asks_files(&self, call: usize) -> bool {
        self.c.files.with_host() && !CALLS[call].files.is_empty()
    }

    /// Of such a call that the device answers for its streams: whether these are what it is made for.
    fn streams(&self, s: &Scope<'_>, call: usize, args: &[ExprId]) -> Option<String> {
        let stream = |arg: ExprId| format!("vv_stream(vm, {})", self.e(s, arg));
        match args {
            _ if !self.asks_files(call) || !CALLS[call].has_streams() => None,
            [from, to] if CALLS[call].call == Call::FdRenumber => Some(format!("{} && {}", stream(*from), stream(*to))),
            args => Some(stream(*args.first()?)),
        }
    }

    /// The parts of a request, each with its arguments.
    fn parts(&self, s: &Scope<'_>, call: usize, args: &[ExprId]) -> Vec<(Part, String)> {
        let mut args = args.iter();
        let mut next = |count| args.by_ref().take(count).map(|a| format!(", {}", self.e(s, *a))).collect();
        let with = |part: &Part| match part {
            Part::Streams => (*part, String::new()),
            Part::Number | Part::Result(_) => (*part, next(1)),
            Part::Range | Part::From | Part::Into | Part::Buffer => (*part, next(2)),
        };
        CALLS[call].files.iter().map(with).collect()
    }

    fn ask_files(&self, s: &mut Scope<'_>, call: usize, args: &[ExprId]) {
        let mut counts = false;
        for (part, args) in self.parts(s, call, args) {
            match part {
                Part::Number => line!(s, "vv_request_word(vm{args});"),
                Part::Range => line!(s, "vv_request_range(vm{args});"),
                Part::From => line!(s, "vv_request_from(vm{args});"),
                Part::Into => line!(s, "vv_request_into(vm{args});"),
                Part::Buffer => line!(s, "vv_request_buffer(vm{args});"),
                Part::Result(bytes) => line!(s, "vv_request_result(vm{args}, {}u);", if counts { 4 } else { bytes }),
                Part::Streams => line!(s, "vv_request_word(vm, vv_streams(vm));"),
            }
            counts |= matches!(part, Part::Into | Part::Buffer);
        }
    }

    /// Puts an answer where the guest wants it; gives the errno.
    fn take_files(&self, s: &Scope<'_>, call: usize, args: &[ExprId]) -> String {
        let parts = self.parts(s, call, args);
        let find = |is: fn(&Part) -> bool| parts.iter().find(|(part, _)| is(part)).map(|(_, args)| args.as_str());
        let result = find(|part| matches!(part, Part::Result(_)));
        let into = find(|part| *part == Part::Into);
        let buffer = find(|part| *part == Part::Buffer);
        match (into, buffer, result) {
            _ if CALLS[call].call == Call::FdRenumber => format!("vv_take_renumber(vm{})", self.args(s, args)),
            (Some(buffers), _, result) => format!("vv_take_into(vm{buffers}{})", result.unwrap_or(", 0u")),
            (None, Some(buffer), Some(result)) => format!("vv_take_buffer(vm{buffer}{result})"),
            (None, Some(buffer), None) => format!("vv_take_name(vm{buffer})"),
            (None, None, Some(result)) => format!("vv_take_result(vm{result})"),
            (None, None, None) => "(u32)vv_answer_word(vm, 0)".to_string(),
        }
    }
}
