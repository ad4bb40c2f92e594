/* The host calls (WASI) that the device answers, and the device's half of those that the host answers. Each returns an
   errno. */
#define VV_EBADF 8u
#define VV_EINVAL 28u
#define VV_ENOTDIR 54u
#define VV_ENOTSOCK 57u
#define VV_ESPIPE 70u

VV_INLINE u32 vv_store_u64(VM *vm, u32 p, u64 v) {
    if (!vv_writable(vm, p, 8)) return VV_EFAULT;
    vv_st64(vm->mem, p, v);
    return 0;
}

/* Once a start function has read something of its input, its memory depends on the input and is no image for all VMs.
   So it is with arguments and an environment that are not those of all. */
#define VV_SEES_INPUT(vm) (VV_WORD(vm, VV_WORD_STDIN) |= VV_SAW_INPUT)
#define VV_SEES_STRINGS(vm) do { if (VV_WORD(vm, VV_WORD_ENVIRONMENT)) VV_SEES_INPUT(vm); } while (0)

#if defined(VV_HAS_args_get) || defined(VV_HAS_args_sizes_get) || defined(VV_HAS_environ_get) || defined(VV_HAS_environ_sizes_get)
VV_HELPER u32 vv_strings(VM *vm, u32 which, u32 pointers, u32 bytes) {
    VV_SEES_STRINGS(vm);
    u32 count = vv_rd32(vm->env + which * 8), length = vv_rd32(vm->env + which * 8 + 4);
    vv_gp from = vm->env + 16 + (which ? vv_rd32(vm->env + 4) : 0);
    if (!vv_writable(vm, pointers, (u64)count * 4) || !vv_writable(vm, bytes, length)) return VV_EFAULT;
    u32 begins = 1;
    for (u32 i = 0; i < length; i++) {
        if ((i & 63) == 0 && vv_must_end(vm, vv_charge(vm, 64))) return 0; /* byte by byte, as a guest's loop would */
        if (begins) {
            vv_st32(vm->mem, pointers, bytes + i);
            pointers += 4;
        }
        begins = from[i] == 0;
        vv_st8(vm->mem, bytes + i, from[i]);
    }
    return 0;
}
VV_HELPER u32 vv_string_sizes(VM *vm, u32 which, u32 count, u32 length) {
    VV_SEES_STRINGS(vm);
    if (!vv_writable(vm, count, 4) || !vv_writable(vm, length, 4)) return VV_EFAULT;
    vv_st32(vm->mem, count, vv_rd32(vm->env + which * 8));
    vv_st32(vm->mem, length, vv_rd32(vm->env + which * 8 + 4));
    return 0;
}
#define vv_args_get(vm, a, b) vv_strings(vm, 0, a, b)
#define vv_args_sizes_get(vm, a, b) vv_string_sizes(vm, 0, a, b)
#define vv_environ_get(vm, a, b) vv_strings(vm, 1, a, b)
#define vv_environ_sizes_get(vm, a, b) vv_string_sizes(vm, 1, a, b)
#endif

#define vv_clock_res_get(vm, id, p) ((id) > 3 ? VV_EINVAL : vv_store_u64(vm, p, VV_CLOCK_RES))
#define vv_clock_time_get(vm, id, precision, p) \
    ((id) > 3 ? VV_EINVAL : (VV_SEES_INPUT(vm), vv_store_u64(vm, p, vv_now(vm))))
/* Where a running kernel cannot read a clock, the host is asked, with an empty request, and answers with its clock. */
VV_INLINE void vv_ask_clock_time_get(VM *vm, u32 id, u64 precision, u32 p) {
    if (id > 3) vm->error = VV_EINVAL;
    else if (!vv_writable(vm, p, 8)) vm->error = VV_EFAULT;
}
#define vv_take_clock_time_get(vm, id, precision, p) vv_store_u64(vm, p, vv_answer_word(vm, 0))

/* Which of the three streams a descriptor is, or 0 if it is not open. At first 0 to 2 are standard input, output and
   error. The upper 6 bits of the word hold two bits for each: what it is now, xor what it was at first. Below them are
   VV_SAW_INPUT, VV_INPUT_KNOWN, and the count of bytes read. */
#define VV_STDIN 1u
#define VV_STDOUT 2u
#define VV_STDERR 3u
#define VV_STREAMS 58u
/* The program asked whether there is input, and has not read all of it since; or it read the end of the input. */
#define VV_INPUT_KNOWN ((u64)1 << 56)
#define VV_INPUT_READ(vm) (VV_WORD(vm, VV_WORD_STDIN) & (VV_INPUT_KNOWN - 1))
VV_INLINE u32 vv_stream(VM *vm, u32 fd) {
#if defined(VV_HAS_fd_close) || defined(VV_HAS_fd_renumber)
    return fd > 2 ? 0 : (u32)(VV_WORD(vm, VV_WORD_STDIN) >> (VV_STREAMS + 2 * fd) & 3) ^ (fd + 1);
#else
    return fd > 2 ? 0 : fd + 1;
#endif
}
VV_INLINE void vv_set_stream(VM *vm, u32 fd, u32 stream) {
    u32 at = VV_STREAMS + 2 * fd;
    VV_WORD(vm, VV_WORD_STDIN) = (VV_WORD(vm, VV_WORD_STDIN) & ~((u64)3 << at)) | (u64)(stream ^ (fd + 1)) << at;
}
VV_INLINE u32 vv_fd_close(VM *vm, u32 fd) {
    if (!vv_stream(vm, fd)) return VV_EBADF;
    vv_set_stream(vm, fd, 0);
    return 0;
}
VV_INLINE u32 vv_fd_renumber(VM *vm, u32 from, u32 to) {
    u32 stream = vv_stream(vm, from);
    if (!stream || !vv_stream(vm, to)) return VV_EBADF;
    vv_set_stream(vm, from, 0);
    vv_set_stream(vm, to, stream);
    return 0;
}

/* The errno of a call that is wrong for a stream, or for a descriptor that is not open. */
#define VV_WRONG(vm, fd, errno_) (vv_stream(vm, fd) ? (errno_) : VV_EBADF)
#define vv_fd_seek(vm, fd, offset, whence, p) VV_WRONG(vm, fd, VV_ESPIPE)
#define vv_fd_seek_0 vv_fd_seek
#define vv_fd_tell(vm, fd, p) VV_WRONG(vm, fd, VV_ESPIPE)
#define vv_fd_pread(vm, fd, iovs, n, offset, p) (vv_stream(vm, fd) == VV_STDIN ? VV_ESPIPE : VV_EBADF)
#define vv_fd_pwrite(vm, fd, iovs, n, offset, p) (vv_stream(vm, fd) >= VV_STDOUT ? VV_ESPIPE : VV_EBADF)
#define vv_fd_prestat_dir_name(vm, fd, p, n) VV_WRONG(vm, fd, VV_ENOTDIR)
#define vv_sock_accept(vm, fd, flags, p) VV_WRONG(vm, fd, VV_ENOTSOCK)
#define vv_sock_recv(vm, fd, iovs, n, flags, p, q) VV_WRONG(vm, fd, VV_ENOTSOCK)
#define vv_sock_send(vm, fd, iovs, n, flags, p) VV_WRONG(vm, fd, VV_ENOTSOCK)
#define vv_sock_shutdown(vm, fd, how) VV_WRONG(vm, fd, VV_ENOTSOCK)
/* Both "this time" and "now" are asked for. */
#define VV_BAD_TIMES(flags) (((flags) & 3) == 3 || ((flags) & 12) == 12 ? VV_EINVAL : VV_EBADF)
#define vv_fd_filestat_set_times(vm, fd, accessed, modified, flags) VV_BAD_TIMES(flags)
#define vv_path_filestat_set_times(vm, fd, follow, path, n, accessed, modified, flags) VV_BAD_TIMES(flags)

/* No file type and no seek right: a pipe, so that the C library buffers whole blocks. */
VV_HELPER u32 vv_fd_fdstat_get(VM *vm, u32 fd, u32 p) {
    if (!vv_stream(vm, fd)) return VV_EBADF;
    if (!vv_writable(vm, p, 24)) return VV_EFAULT;
    u64 rights = vv_stream(vm, fd) == VV_STDIN ? 2 : 64; /* fd_read : fd_write */
    vv_st64(vm->mem, p, 0);
    vv_st64(vm->mem, p + 8, rights);
    vv_st64(vm->mem, p + 16, rights);
    return 0;
}
VV_HELPER u32 vv_filestat(VM *vm, u32 fd, u32 p, u32 bytes) {
    if (!vv_stream(vm, fd)) return VV_EBADF;
    if (!vv_writable(vm, p, bytes)) return VV_EFAULT;
    vv_fill_short(vm->mem, p, 0, bytes); /* not charged: no guest chooses the length */
    return 0;
}
#define vv_fd_filestat_get(vm, fd, p) vv_filestat(vm, fd, p, 64u)
#define vv_fd_filestat_get_0(vm, fd, p) vv_filestat(vm, fd, p, 56u)

/* The i-th buffer of a read or write; 0 if it, or its descriptor in the guest's list, is not in memory. An empty one
   may point anywhere. A call that has already moved bytes then ends with their count: after an error a program would
   move them again, or never see them. Looking at a buffer is charged, too, since there can be many empty ones. */
VV_INLINE u32 vv_buffer(VM *vm, u32 iovs, u32 i, u32 *p, u32 *n) {
    u64 at = iovs + (u64)i * 8;
    if (vv_must_end(vm, vv_charge(vm, 1)) || at + 8 > vm->size) return 0;
    *p = vv_ld32(vm->mem, (u32)at);
    *n = vv_ld32(vm->mem, (u32)at + 4);
    return *n == 0 || vv_in_bounds(vm, *p, *n);
}

#ifdef VV_HAS_fd_read
#define VV_READ (1u << 20)
VV_HELPER u32 vv_fd_read(VM *vm, u32 fd, u32 iovs, u32 count, u32 result) {
    if (vv_stream(vm, fd) != VV_STDIN) return VV_EBADF;
    if (!vv_writable(vm, result, 4)) return VV_EFAULT;
    VV_SEES_INPUT(vm); /* also if it has ended */
#ifdef VV_HAS_serverless_invoke
    u64 pos = 0, length = 0; /* the input is the request */
#else
    u64 pos = VV_INPUT_READ(vm), length = VV_WORD(vm, VV_WORD_INPUT_LENGTH);
#endif
    vv_gp from = vm->in + VV_WORD(vm, VV_WORD_INPUT_OFFSET);
    /* A short read, as from a pipe, instead of a loop over pieces, which would cost every kernel registers. */
    u64 most = length - pos < VV_READ ? length : pos + VV_READ;
    u32 total = 0, asked = 0, p, n;
    for (u32 i = 0; i < count; i++) {
        if (!vv_buffer(vm, iovs, i, &p, &n)) {
            if (total) break;
            return VV_EFAULT;
        }
        asked |= n;
        if (n > most - pos) n = (u32)(most - pos);
        (void)vv_writable(vm, p, n);
        if (vv_must_end(vm, vv_copy_in_at_once(vm, vm->mem, p, from + pos, n))) return 0;
        pos += n;
        total += n;
    }
    VV_WORD(vm, VV_WORD_STDIN) += total;
    if (pos == length && asked) {
        if (total) VV_WORD(vm, VV_WORD_STDIN) &= ~VV_INPUT_KNOWN;
        else VV_WORD(vm, VV_WORD_STDIN) |= VV_INPUT_KNOWN;
    }
    vv_st32(vm->mem, result, total);
    return 0;
}
#endif

#if defined(VV_HAS_fd_write) || defined(VV_HAS_serverless_response)
/* Appends to what was written to the stream before: byte by byte where bytes lie backwards, and charged so. */
#define VV_WRITE_WORK(stream, bytes) ((stream) == VV_STDERR ? (bytes) : VV_WORK(bytes))
VV_INLINE void vv_write_piece(VM *vm, u32 stream, u32 p, u32 n) {
    u32 j = 0;
    if (stream == VV_STDERR) {
        u64 end = (u64)vm->out_cap - 1 - vm->err_len;
        for (; j < n; j++) vv_wr8(vm->out + VV_AT64(end - j), vv_ld8(vm->mem, p + j));
        vm->err_len += n;
    } else {
        u64 at = vm->out_len;
#if VV_LINEAR && defined(VV_HOST)
        memcpy(vm->out + at, vm->mem + p, n);
        j = n;
#else
        for (; j < n && (at + j & 7); j++) vv_wr8(vm->out + VV_AT64(at + j), vv_ld8(vm->mem, p + j));
#endif
#if VV_LINEAR || VV_CELL > 4
#if VV_LINEAR && !defined(VV_HOST) /* elsewhere it would cost registers of kernels that many VMs run side by side */
        for (; j + 8 * VV_BATCH <= n; j += 8 * VV_BATCH) {
            u64 words[VV_BATCH];
            VV_UNROLL for (u32 i = 0; i < VV_BATCH; i++) words[i] = vv_ld64(vm->mem, p + j + 8 * i);
            VV_UNROLL for (u32 i = 0; i < VV_BATCH; i++) vv_wr64(vm->out + VV_AT64(at + j + 8 * i), words[i]);
        }
#endif
        for (; j + 8 <= n; j += 8) vv_wr64(vm->out + VV_AT64(at + j), vv_ld64(vm->mem, p + j));
#else
        for (; j + 4 <= n; j += 4) vv_wr32(vm->out + VV_AT64(at + j), vv_ld32(vm->mem, p + j));
#endif
        for (; j < n; j++) vv_wr8(vm->out + VV_AT64(at + j), vv_ld8(vm->mem, p + j));
        vm->out_len += n;
    }
}
/* In pieces, between which the VM may have to stop. */
VV_INLINE u32 vv_write_pieces(VM *vm, u32 stream, u32 p, u32 n) {
    for (u32 j = 0, piece; j < n; j += piece) {
        u32 end = VV_INTERRUPTED(vm, n - j);
        if (end) return end;
        piece = VV_FIRST(n - j);
        vv_write_piece(vm, stream, p + j, piece);
    }
    return 0;
}
#endif
#ifdef VV_HAS_fd_write
VV_HELPER u32 vv_fd_write(VM *vm, u32 fd, u32 iovs, u32 count, u32 result) {
    u32 stream = vv_stream(vm, fd);
    if (stream < VV_STDOUT) return VV_EBADF;
#ifdef VV_HAS_serverless_response
    stream = VV_STDERR; /* standard output is the answer's */
#endif
    if (!vv_writable(vm, result, 4)) return VV_EFAULT;
    u32 total = 0, p, n;
#ifdef VV_REMOTE
    /* A write that does not fit behind earlier output waits for an empty buffer, so that only a write larger than the
       buffer is a short one. */
    u64 wanted = (u64)vm->out_len + vm->err_len;
    if (wanted) {
        u64 fuel = vm->fuel_left + VV_FUEL(vm);
        for (u32 i = 0; i < count && wanted <= vm->out_cap && vv_buffer(vm, iovs, i, &p, &n); i++) wanted += n;
        if (vm->end) return 0;
        vm->fuel_left = fuel - VV_FUEL(vm); /* charged below, so once, whether or not it fits */
        if (wanted > vm->out_cap) {
            vm->flush = 1;
            return 0;
        }
    }
#endif
    for (u32 i = 0; i < count; i++) {
        if (!vv_buffer(vm, iovs, i, &p, &n)) {
            if (total) break;
            return VV_EFAULT;
        }
        u32 space = vm->out_cap - vm->out_len - vm->err_len;
        u32 fits = n < space ? n : space;
        if (vv_must_end(vm, vv_charge(vm, VV_WRITE_WORK(stream, fits)))) return 0;
        if (vv_must_end(vm, vv_write_pieces(vm, stream, p, fits))) return 0;
        total += fits;
        if (fits < n) {
#ifdef VV_REMOTE
            break;
#else
            vm->end = VV_FULL;
            return 0;
#endif
        }
    }
    vv_st32(vm->mem, result, total);
    return 0;
}
#endif

#ifdef VV_FILES
/* Requests that concern files, whose parts `host.rs` describes. */
#define VV_ANSWERED 0x10000u /* with an errno in `vm->error`: the device has answered */
#define VV_RANGES 16u
VV_INLINE u32 vv_streams(VM *vm) { return (vv_stream(vm, 0) ? 1u : 0) | (vv_stream(vm, 1) ? 2u : 0) | (vv_stream(vm, 2) ? 4u : 0); }
VV_INLINE void vv_request_range(VM *vm, u32 p, u32 n) {
    if (!vv_in_bounds(vm, p, n)) vm->error = VV_EFAULT;
    vv_request_word(vm, p | (u64)n << 32);
}
VV_INLINE void vv_request_result(VM *vm, u32 p, u32 n) {
    if (!vv_writable(vm, p, n)) vm->error = VV_EFAULT;
}
VV_INLINE void vv_request_buffer(VM *vm, u32 p, u32 n) {
    vv_request_result(vm, p, n);
    vv_request_word(vm, n);
}
VV_HELPER void vv_request_from(VM *vm, u32 iovs, u32 count) {
    u32 at = vm->request, ranges = 0, p, n;
    vv_request_word(vm, 0);
    for (u32 i = 0; i < count && ranges < VV_RANGES; i++) {
        if (!vv_buffer(vm, iovs, i, &p, &n)) {
            if (!ranges) vm->error = VV_EFAULT;
            break;
        }
        if (!n) continue;
        vv_request_word(vm, p | (u64)n << 32);
        ranges++;
    }
    vv_sw64(vm->slot, at, ranges);
}
VV_HELPER void vv_request_into(VM *vm, u32 iovs, u32 count) {
    u64 total = 0;
    u32 p, n;
    for (u32 i = 0; i < count; i++) {
        if (!vv_buffer(vm, iovs, i, &p, &n)) {
            if (!total) vm->error = VV_EFAULT;
            break;
        }
        total += n;
    }
    vv_request_word(vm, total);
}
/* Answers: the errno and the number of bytes, then these. */
VV_INLINE u32 vv_answer_bytes(VM *vm, vv_gp *from) {
    *from = vm->in + VV_WORD(vm, VV_WORD_MESSAGE_OFFSET) + 8;
    return (u32)(vv_answer_word(vm, 0) >> 32);
}
VV_HELPER u32 vv_take_name(VM *vm, u32 p, u32 n) {
    vv_gp from;
    u32 bytes = vv_answer_bytes(vm, &from), errno_ = (u32)vv_answer_word(vm, 0);
    if (bytes > n) bytes = n;
    if (vv_must_end(vm, vv_copy_in(vm, vm->mem, p, from, bytes))) return 0;
    return errno_;
}
#define vv_take_result(vm, p) vv_take_name(vm, p, 64u)
VV_INLINE u32 vv_take_buffer(VM *vm, u32 p, u32 n, u32 result) {
    u32 errno_ = vv_take_name(vm, p, n);
    if (!errno_ && !vm->end) vv_st32(vm->mem, result, (u32)(vv_answer_word(vm, 0) >> 32));
    return errno_;
}
VV_HELPER u32 vv_take_into(VM *vm, u32 iovs, u32 count, u32 result) {
    vv_gp from;
    u32 all = vv_answer_bytes(vm, &from), left = all, errno_ = (u32)vv_answer_word(vm, 0), p, n;
    if (errno_) return errno_;
    for (u32 i = 0; left && i < count && vv_buffer(vm, iovs, i, &p, &n); i++) {
        if (n > left) n = left;
        (void)vv_writable(vm, p, n);
        if (vv_must_end(vm, vv_copy_in(vm, vm->mem, p, from, n))) return 0;
        from += n;
        left -= n;
    }
    if (!vm->end) vv_st32(vm->mem, result, all - left);
    return 0;
}
/* A file that takes the number of a stream. */
VV_INLINE u32 vv_take_renumber(VM *vm, u32 from, u32 to) {
    u32 errno_ = (u32)vv_answer_word(vm, 0);
    if (!errno_ && vv_stream(vm, to)) vv_set_stream(vm, to, 0);
    return errno_;
}
#endif

#ifdef VV_REMOTE
/* poll_oneoff: the device reads subscriptions and writes events, any number of them; the host says how long the VM
   waits. A request: the shortest timeout, the earliest time (all ones: none), and what is ready. The answer: for how
   long the VM waited, and its clock. In snapshot 0, the subscription of a clock has 8 more bytes behind the tag. */
#define VV_READY 1u /* a stream is ready at once; then no clock is looked at */
#define VV_INPUT 2u /* standard input will be ready, if nothing else is before it */
VV_HELPER void vv_ask_poll(VM *vm, u32 from, u32 to, u32 count, u32 result, u32 more) {
    u64 shortest = ~(u64)0, earliest = ~(u64)0;
    u32 ready = 0, bytes = 48 + more;
    if (!count) vm->error = VV_EINVAL;
    else if (!vv_in_bounds(vm, from, (u64)count * bytes) || !vv_writable(vm, to, (u64)count * 32) || !vv_writable(vm, result, 4))
        vm->error = VV_EFAULT;
    for (u32 i = 0; i < count && !vm->error; i++, from += bytes) {
        if (vv_must_end(vm, vv_charge(vm, 1))) return;
        u32 kind = vv_ld8(vm->mem, from + 8);
        if (kind == 0) {
            u32 clock = vv_ld32(vm->mem, from + 16 + more), absolute = vv_ld16(vm->mem, from + 40 + more);
            u64 time = vv_ld64(vm->mem, from + 24 + more);
            if (clock > 1 || absolute > 1) vm->error = VV_EINVAL; /* CPU time cannot be waited for */
            else if (absolute) earliest = time < earliest ? time : earliest;
            else shortest = time < shortest ? time : shortest;
        } else if (kind > 2) {
            vm->error = VV_EINVAL;
        } else {
            u32 stream = vv_stream(vm, vv_ld32(vm->mem, from + 16));
            if ((kind == 1) != (stream == VV_STDIN) || !stream) vm->error = VV_EBADF;
            ready |= stream != VV_STDIN || (VV_WORD(vm, VV_WORD_STDIN) & VV_INPUT_KNOWN) ? VV_READY : VV_INPUT;
        }
    }
    vv_request_word(vm, shortest);
    vv_request_word(vm, earliest);
    vv_request_word(vm, ready);
}
VV_HELPER u32 vv_take_poll(VM *vm, u32 from, u32 to, u32 count, u32 result, u32 more) {
    u64 waited = vv_answer_word(vm, 0), now = vv_answer_word(vm, 1), ready = vv_w64(vm->slot, 16);
    u32 due = !(ready & VV_READY) && (vv_w64(vm->slot, 0) <= waited || vv_w64(vm->slot, 8) <= now);
    u32 input = ready & VV_READY ? (VV_WORD(vm, VV_WORD_STDIN) & VV_INPUT_KNOWN) != 0 : !due, events = 0;
    for (u32 i = 0; i < count; i++, from += 48 + more) {
        if (vv_must_end(vm, vv_charge(vm, 1))) return 0;
        u32 kind = vv_ld8(vm->mem, from + 8), is = kind == 2 || input;
        u64 user = vv_ld64(vm->mem, from), time = vv_ld64(vm->mem, from + 24 + more);
        if (kind == 0) is = due && time <= (vv_ld16(vm->mem, from + 40 + more) ? now : waited);
        if (!is) continue;
        vv_st64(vm->mem, to, user);
        vv_st64(vm->mem, to + 8, (u64)kind << 16);
        vv_st64(vm->mem, to + 16, kind != 0); /* at least one byte: a guest that is told of none would wait for ever */
        vv_st64(vm->mem, to + 24, 0);
        to += 32;
        events++;
    }
    if (ready & VV_INPUT) VV_WORD(vm, VV_WORD_STDIN) |= VV_INPUT_KNOWN;
    vv_st32(vm->mem, result, events);
    return 0;
}
#define vv_ask_poll_oneoff(vm, from, to, count, result) vv_ask_poll(vm, from, to, count, result, 0u)
#define vv_take_poll_oneoff(vm, from, to, count, result) vv_take_poll(vm, from, to, count, result, 0u)
#define vv_ask_poll_oneoff_0(vm, from, to, count, result) vv_ask_poll(vm, from, to, count, result, 8u)
#define vv_take_poll_oneoff_0(vm, from, to, count, result) vv_take_poll(vm, from, to, count, result, 8u)
#endif

/* Event loops. The VM's input is its request, and what it writes to standard output its answer. */
#ifdef VV_HAS_serverless_invoke
/* A VM that has a request goes on with it. One without suspends: where the host wants to know the state in which it
   first asks, and where it keeps its state and has answered. */
VV_INLINE void vv_ask_serverless_invoke(VM *vm, u32 p, u32 n) {
    u64 marks = VV_WORD(vm, VV_WORD_STDIN);
    if (!(marks & VV_HAS_REQUEST)) vm->error = !(marks & VV_STOP_AT_INVOKE);
    else if (!(marks & VV_HAS_ANSWERED)) vm->end = VV_UNANSWERED;
}
VV_HELPER u32 vv_take_serverless_invoke(VM *vm, u32 p, u32 n) {
    vm->out_len = vm->err_len = 0; /* what it wrote before belongs to no request */
    u64 length = VV_WORD(vm, VV_WORD_INPUT_LENGTH);
    if (length > n) {
        vm->request = n;
        return vv_must_end(vm, VV_TOO_LONG);
    }
    if (length && !vv_writable(vm, p, length)) {
        vm->fuel |= VV_OOB;
        return vv_must_end(vm, VV_TRAP);
    }
    VV_WORD(vm, VV_WORD_STDIN) = (VV_WORD(vm, VV_WORD_STDIN) & ~(VV_HAS_ANSWERED | (VV_STOP_AT_INVOKE - 1))) | VV_HAS_REQUEST | VV_SAW_INPUT;
    (void)vv_must_end(vm, vv_copy_in(vm, vm->mem, p, vm->in + VV_WORD(vm, VV_WORD_INPUT_OFFSET), (u32)length));
    return (u32)length;
}
#endif

#ifdef VV_HAS_serverless_response
/* The first answer to a request counts; one to no request goes nowhere. Without kept state the VM ends with it. */
VV_HELPER u32 vv_serverless_response(VM *vm, u32 p, u32 n) {
    u64 marks = VV_WORD(vm, VV_WORD_STDIN);
    if (n && !vv_in_bounds(vm, p, n)) {
        vm->fuel |= VV_OOB;
        return vv_must_end(vm, VV_TRAP);
    }
    if ((marks & (VV_HAS_REQUEST | VV_HAS_ANSWERED)) != VV_HAS_REQUEST) return 0;
#ifdef VV_KEEPS
    u32 begin = (u32)(marks & (VV_STOP_AT_INVOKE - 1)); /* a part may have been flushed */
#else
    u32 begin = 0;
#endif
    u32 space = vm->out_cap - vm->out_len - vm->err_len, left = n - begin, fits = left < space ? left : space;
    if (vv_must_end(vm, vv_charge(vm, VV_WORK(fits))) || vv_must_end(vm, vv_write_pieces(vm, VV_STDOUT, p + begin, fits))) return 0;
#ifdef VV_KEEPS
    if (fits < left) {
        VV_WORD(vm, VV_WORD_STDIN) = marks + fits;
        vm->flush = 1;
    } else {
        VV_WORD(vm, VV_WORD_STDIN) = marks | VV_HAS_ANSWERED;
    }
#else
    vm->end = fits < left ? VV_FULL : VV_ANSWERED;
#endif
    return 0;
}
#endif
#define vv_ask_vectorvisor_barrier(vm) ((void)0)
#define vv_take_vectorvisor_barrier(vm) 0u

#ifdef VV_HAS_random_get
/* ChaCha20 (RFC 8439) with a key for each input, so it needs no nonce, and the counter is 64 bits. The position counts
   bytes of the stream. */
#define VV_QUARTER(a, b, c, d) \
    a += b; d = vv_rotl32(d ^ a, 16); c += d; b = vv_rotl32(b ^ c, 12); \
    a += b; d = vv_rotl32(d ^ a, 8); c += d; b = vv_rotl32(b ^ c, 7);
VV_HELPER void vv_chacha(VM *vm, u32 *x, u64 block) {
    u32 s[16];
    s[0] = 0x61707865u; s[1] = 0x3320646eu; s[2] = 0x79622d32u; s[3] = 0x6b206574u;
    for (u32 i = 0; i < 4; i++) {
        u64 key = VV_WORD(vm, VV_WORD_KEY + i);
        s[4 + 2 * i] = (u32)key;
        s[5 + 2 * i] = (u32)(key >> 32);
    }
    s[12] = (u32)block; s[13] = (u32)(block >> 32);
    s[14] = s[15] = 0;
    for (u32 i = 0; i < 16; i++) x[i] = s[i];
    for (u32 i = 0; i < 10; i++) {
        VV_QUARTER(x[0], x[4], x[8], x[12]) VV_QUARTER(x[1], x[5], x[9], x[13])
        VV_QUARTER(x[2], x[6], x[10], x[14]) VV_QUARTER(x[3], x[7], x[11], x[15])
        VV_QUARTER(x[0], x[5], x[10], x[15]) VV_QUARTER(x[1], x[6], x[11], x[12])
        VV_QUARTER(x[2], x[7], x[8], x[13]) VV_QUARTER(x[3], x[4], x[9], x[14])
    }
    for (u32 i = 0; i < 16; i++) x[i] += s[i];
}
VV_HELPER u32 vv_random_get(VM *vm, u32 p, u32 n) {
    if (!vv_writable(vm, p, n)) return VV_EFAULT;
    VV_SEES_INPUT(vm);
    u64 pos = VV_WORD(vm, VV_WORD_RANDOM);
    u32 x[16];
    for (u32 i = 0; i < n; i++, pos++) {
        if (i == 0 || (pos & 63) == 0) {
            if (vv_must_end(vm, vv_charge(vm, 64))) return 0; /* a block is stored byte by byte */
            vv_chacha(vm, x, pos >> 6);
        }
        vv_st8(vm->mem, p + i, x[pos >> 2 & 15] >> ((pos & 3) * 8));
    }
    VV_WORD(vm, VV_WORD_RANDOM) = pos;
    return 0;
}
#endif
