/* The VM while it runs: loaded from the state words by `vv_begin`, written back by `vv_end`. */
typedef struct VM {
    vv_gp mem;      /* linear memory */
    vv_gp head;     /* globals, tables */
    vv_gp frames;   /* frame area */
    vv_gp slot;     /* request of a remote call */
    vv_gp out;      /* output buffer */
    vv_gp in;       /* packed inputs of all VMs */
    vv_gp image;
#ifdef VV_SHARED_AT
    vv_gp shared;   /* where address 0 would be in the image */
#endif
    vv_gp env;
#ifdef VV_FILES_HERE
    vv_gp files;
#endif
    vv_gp64 words;  /* this VM's first state word */
    vv_gp64 par;
    vv_gpv host_stop;
    u64 vms;        /* distance of state words */
    u32 fuel;       /* of the current slice, below 2^30; above are VV_OOB and VV_VIOLATION, for one test of both */
    u32 size;       /* bytes of linear memory */
    u32 refused;    /* memory.grow failed for our limit, not the module's; or the pages that it wants */
    u32 fp;         /* frame pointer: bytes into the frame area */
    u32 frames_end; /* bytes of the frame area */
    u32 state;      /* trampoline state */
#ifdef VV_RECURSES
    u64 deepest;    /* the native stack must not grow down beyond this at a call that closes a cycle */
#endif
    u32 zero;       /* 0, but no compiler knows that */
    u32 stop;       /* 1: ended or suspended, status says how; 2: abandoned its callers, go on at `state` */
    u32 status, code, func, at;
    u64 fuel_left;  /* beyond the current slice */
    u32 slice;      /* fuel between two looks at the stop word and the ticks */
    u64 looked;     /* the ticks at the last */
    u64 begun;      /* this launch, in VV_USED */
    u64 left;       /* nanoseconds that it may take */
    u64 deadline;   /* before these ticks they are not over; all ones: there is no limit */
    u32 out_len, err_len, out_cap;
    u32 request;    /* bytes packed so far */
    u32 error;      /* errno of a request that is not made */
    u32 flush;      /* fd_write found the buffer full */
    u32 end;        /* the status with which a host call wants the VM to end, or 0 */
    u64 clock, timer;
#ifdef VV_PROFILE
    u64 edges_direct, edges_state, edges_framed;
#endif
    VV_EXIT_STATE
    VV_GLOBALS
} VM;

/* Sticky flags: a bad access happened; an access that is not aligned as its hint says, or a store into shared data.
   `vv_halt` turns them into a status. */
#define VV_OOB 0x80000000u
#define VV_VIOLATION 0xc0000000u
#define VV_STRAYED(vm) ((s32)(vm)->fuel < 0)
#define VV_FUEL(vm) ((vm)->fuel & ~VV_VIOLATION)
#ifndef VV_BASE
#define VV_BASE(p) (p) /* tells the compiler that a pointer is to a buffer of the device */
#define VV_BASE_ONCE(p) (p) /* the same for one access, of which a function may have thousands */
#endif
#define VV_WORD(vm, row) (vm)->words[(u64)(row) * (vm)->vms]
#ifdef VV_TIMER
#define VV_TIME(vm) vv_timer()
#else
#define VV_TIME(vm) (*(vv_gpv64)((vm)->host_stop + VV_STOP_TIME / 4)) /* the host updates it */
#endif
/* What a VM's own time is measured by. */
#ifndef VV_USED
#define VV_USED(vm) VV_TIME(vm)
#endif
/* What is cheap to look at often: some VV_STEP in a millisecond, and in so many nanoseconds at least VV_TICKS_IN. */
#ifndef VV_TICKS
#define VV_TICKS(vm) VV_TIME(vm)
#define VV_TICKS_IN(ns) (ns)
#define VV_STEP (1u << 20)
#endif
/* A store after which the host may look at what the VM stored before, though others go on. */
#ifndef VV_PUBLISH
#define VV_PUBLISH(word, value) ((word) = (value))
#endif
#define VV_HALT 0u
#define VV_FINISH 1u
#define VV_NESTED 2u

VV_INLINE u32 vv_begin(VM *vm, vv_gp mem, vv_gp64 words, vv_gp in, vv_gp out, vv_gp image, vv_gp env, vv_gp64 par, vv_gpv stop, u32 thread) {
    vm->vms = par[VV_PAR_VMS];
    if (thread >= vm->vms) return 0;
    vm->words = words + thread;
    u64 status = VV_WORD(vm, VV_WORD_STATUS);
    if ((u32)status != VV_START && (u32)status != VV_RUN) return 0;
    if (*stop) return 0; /* not begun: the host launches it again */
    vm->head = VV_LANE_BASE(mem, thread, par[VV_PAR_REGION]);
    vm->frames = vm->head + VV_SKIP(par[VV_PAR_FRAMES_AT]);
    vm->slot = vm->head + VV_SKIP(VV_SLOT_AT);
    vm->mem = vm->head + VV_SKIP(VV_MEMORY_AT);
    vm->out_cap = (u32)par[VV_PAR_OUT];
    vm->out = VV_LANE_BASE(out, thread, (u64)vm->out_cap);
    vm->in = in;
    vm->image = image;
#ifdef VV_SHARED_AT
    vm->shared = image + VV_HEAD - par[VV_PAR_LOW];
#endif
    vm->env = env;
#if defined(VV_HAS_args_get) || defined(VV_HAS_args_sizes_get) || defined(VV_HAS_environ_get) || defined(VV_HAS_environ_sizes_get)
    if (VV_WORD(vm, VV_WORD_ENVIRONMENT)) vm->env = in + VV_WORD(vm, VV_WORD_ENVIRONMENT) - 1;
#endif
    vm->par = par;
    vm->host_stop = stop;
    vm->size = (u32)VV_WORD(vm, VV_WORD_MEMORY);
    vm->refused = (u32)(VV_WORD(vm, VV_WORD_MEMORY) >> 32);
    vm->fp = (u32)VV_WORD(vm, VV_WORD_FRAME);
    vm->frames_end = (u32)par[VV_PAR_FRAMES];
    vm->state = (u32)VV_WORD(vm, VV_WORD_STATE);
#ifdef VV_RECURSES
    vm->deepest = vv_depth() - VV_STACK;
#endif
    vm->zero = (u32)(par[VV_PAR_VMS] >> 32);
    vm->stop = 0;
    vm->status = VV_RUN;
    vm->code = 0;
    vm->func = vm->at = 0xffffffffu;
    vm->fuel = 0;
    vm->fuel_left = VV_WORD(vm, VV_WORD_FUEL);
#ifdef VV_TIMER
    vm->slice = (u32)par[VV_PAR_SLICE] >> 3;
#else
    vm->slice = (u32)par[VV_PAR_SLICE];
#endif
    vm->looked = VV_TICKS(vm);
    u64 limit = par[VV_PAR_LIMIT], used = VV_WORD(vm, VV_WORD_TIME);
    vm->deadline = ~(u64)0;
    if (limit != ~(u64)0) {
        vm->begun = VV_USED(vm);
        vm->left = used < limit ? limit - used : 0;
        vm->deadline = vm->looked + VV_TICKS_IN(vm->left);
#ifdef VV_TIMER
        /* One with little time soon looks: a unit of fuel may take as long as it takes to read memory. */
        u64 soon = (vm->left >> 10) + 64;
        if (soon < vm->slice) vm->slice = (u32)soon;
#endif
    }
    u64 lengths = VV_WORD(vm, VV_WORD_OUT);
    vm->out_len = (u32)lengths;
    vm->err_len = (u32)(lengths >> 32);
    vm->request = 0;
    vm->error = 0;
    vm->flush = 0;
    vm->end = 0;
#ifdef VV_CLOCK
    vm->clock = VV_WORD(vm, VV_WORD_CLOCK);
    vm->timer = VV_TIME(vm);
#endif
#ifdef VV_PROFILE
    vm->edges_direct = VV_WORD(vm, VV_WORD_EDGES_DIRECT);
    vm->edges_state = VV_WORD(vm, VV_WORD_EDGES_STATE);
    vm->edges_framed = VV_WORD(vm, VV_WORD_EDGES_FRAMED);
#endif
    VV_LOAD_GLOBALS
    if ((u32)status == VV_START) {
        vm->fp = 0;
        vv_sw64(vm->frames, 0, VV_FINISH);
        vv_gp message = in + VV_WORD(vm, VV_WORD_MESSAGE_OFFSET);
        u32 count = (u32)(VV_WORD(vm, VV_WORD_MESSAGE_LENGTH) / 8);
        for (u32 i = 0; i < count; i++) vv_sw64(vm->frames, 8 + i * 8, vv_in64(message + i * 8));
    }
    return 1;
}

#ifdef VV_CLOCK
VV_HELPER u64 vv_now(VM *vm) {
    u64 now = VV_TIME(vm), passed = now - vm->timer;
    vm->timer = now;
    vm->clock += passed + 1; /* strictly increasing */
    return vm->clock;
}
#endif

/* Writes the state of the VM back to memory. */
VV_HELPER void vv_end(VM *vm) {
    VV_WORD(vm, VV_WORD_WHERE) = vm->func | (u64)vm->at << 32;
    VV_WORD(vm, VV_WORD_STATE) = vm->state;
    VV_WORD(vm, VV_WORD_FUEL) = vm->fuel_left + VV_FUEL(vm);
    VV_WORD(vm, VV_WORD_OUT) = vm->out_len | (u64)vm->err_len << 32;
    VV_WORD(vm, VV_WORD_MEMORY) = vm->size | (u64)vm->refused << 32;
    VV_WORD(vm, VV_WORD_FRAME) = vm->fp;
    VV_WORD(vm, VV_WORD_REQUEST) = vm->request;
    if (vm->deadline != ~(u64)0) VV_WORD(vm, VV_WORD_TIME) += VV_USED(vm) - vm->begun;
#ifdef VV_CLOCK
    if (vm->status != VV_EXITED) VV_WORD(vm, VV_WORD_CLOCK) = vv_now(vm); /* it may go on */
#endif
#ifdef VV_PROFILE
    VV_WORD(vm, VV_WORD_EDGES_DIRECT) = vm->edges_direct;
    VV_WORD(vm, VV_WORD_EDGES_STATE) = vm->edges_state;
    VV_WORD(vm, VV_WORD_EDGES_FRAMED) = vm->edges_framed;
#endif
    VV_SAVE_GLOBALS
    VV_PUBLISH(VV_WORD(vm, VV_WORD_STATUS), vm->status | (u64)vm->code << 32);
}

#ifdef VV_THREAD_EXIT
#define VV_STOPPED(vm) 0
#else
#define VV_STOPPED(vm) ((vm)->stop)
#endif

/* Ends or suspends the VM. A bad access before it comes first. */
VV_COLD void vv_halt(VM *vm, u32 status, u32 code, u32 func, u32 at) {
    if (VV_STRAYED(vm)) {
        status = VV_TRAP;
        code = VV_OUT_OF_BOUNDS_MEMORY;
        if (vm->fuel >= VV_VIOLATION) status = VV_VIOLATED; /* results after a violated assumption are not the program's */
    }
    vm->status = status;
    vm->code = code;
    vm->func = func;
    vm->at = at;
    vm->stop = 1;
#ifdef VV_THREAD_EXIT
    VV_EXIT(vm);
#endif
}
VV_COLD void vv_trap(VM *vm, u32 kind, u32 func, u32 at) { vv_halt(vm, VV_TRAP, kind, func, at); }

#ifdef VV_RECURSES
#ifdef VV_DEEP_AGAIN
/* The input runs again, where there is more stack. */
VV_COLD void vv_deep(VM *vm) { vv_halt(vm, VV_DEEP, 0, 0xffffffffu, 0xffffffffu); }
#define VV_TOO_DEEP(vm, func, at) vv_deep(vm)
#else
#define VV_TOO_DEEP(vm, func, at) vv_trap(vm, VV_STACK_EXHAUSTED, func, at)
#endif
#define VV_LOOK_HOW_DEEP(func, at, ret) if (VV_UNLIKELY(vv_depth() < vm->deepest)) { VV_TOO_DEEP(vm, func, at); ret; }
/* In front of a native call that closes a cycle of calls. */
#ifdef VV_HOST
#define VV_DEEPER(func, at, ret) VV_LOOK_HOW_DEEP(func, at, ret)
#else
#define VV_DEEPER(func, at, ret)
#endif
/* What such a call enters begins so, where a driver has to find what lies between two looks: it sees who calls `vv_deep`. */
#define VV_DEEP_HERE(ret) VV_LOOK_HOW_DEEP(0xffffffffu, 0xffffffffu, ret)
#endif

/* Goes on at another state with no frames; the caller has written the new frame. */
VV_COLD void vv_abandon(VM *vm, u32 state) {
    if (VV_STRAYED(vm)) { /* the flag would be lost when the thread exits */
        vv_halt(vm, VV_TRAP, 0, 0xffffffffu, 0xffffffffu);
        return;
    }
    vm->fp = 0;
    vm->state = state;
    vm->status = VV_RUN;
    vm->stop = 2;
#ifdef VV_THREAD_EXIT
    VV_EXIT(vm);
#endif
}

/* By the ticks a VM's time may be over. Looks at its own time, and when it will be over at the earliest if it is not. */
VV_INLINE u32 vv_overdue(VM *vm, u64 ticks) {
    u64 used = VV_USED(vm) - vm->begun;
    if (used >= vm->left) return 1;
    vm->deadline = ticks + VV_TICKS_IN(vm->left - used);
    return 0;
}
/* Looks at the stop word and the ticks. Returns 0, or the status with which the VM has to end. */
VV_INLINE u32 vv_look(VM *vm) {
    u64 ticks = VV_TICKS(vm);
    if (*vm->host_stop) return VV_STOP;
    return ticks >= vm->deadline && vv_overdue(vm, ticks) ? VV_LATE : 0;
}
/* Charges more fuel than is left of the slice, so the next slice begins. Returns 0, or the status with which the VM has to
   end: VV_TRAP after a bad access. A slice is as much as lasts for some VV_STEP ticks, up to four, by what the last one
   took, but none beyond the deadline. Lanes beside took their share of that, so there is a least: else lanes that part
   would do nothing but look. */
VV_COLD u32 vv_spend(VM *vm, u32 units) {
    if (VV_STRAYED(vm)) return VV_TRAP;
    u32 more = units - vm->fuel;
    vm->fuel = 0;
    if (vm->fuel_left < more) {
        vm->fuel_left = 0;
        return VV_OUT_OF_FUEL;
    }
    vm->fuel_left -= more;
    u32 end = vv_look(vm);
    if (end) return end;
#ifdef VV_TIMER
    u64 now = VV_TICKS(vm), passed = now - vm->looked;
    u32 most = (u32)vm->par[VV_PAR_SLICE], least = most >> 6;
    if (passed < VV_STEP && now + 2 * passed < vm->deadline) vm->slice = vm->slice * 2 < most ? vm->slice * 2 : most;
    else if (passed > 4 * VV_STEP) vm->slice = vm->slice / (u32)(passed / VV_STEP | 1) + least;
    vm->looked = now;
#endif
    u64 slice = vm->slice;
    if (slice > vm->fuel_left) slice = vm->fuel_left;
    vm->fuel_left -= slice;
    vm->fuel = (u32)slice;
    return 0;
}
/* A back-edge that finds no fuel in the slice, or follows a bad access. Nonzero: the VM stops. */
VV_COLD u32 vv_edge(VM *vm, u32 fuel, u32 func, u32 at) {
    vm->fuel = fuel;
    u32 end = vv_spend(vm, 1);
    if (end) vv_halt(vm, end, VV_OUT_OF_BOUNDS_MEMORY, func, at);
    return end;
}
#ifdef VV_PROFILE
#define VV_COUNT(vm, kind) ((vm)->edges_##kind++)
#else
#define VV_COUNT(vm, kind)
#endif
/* In a function the fuel is in a variable, which is written back where other code reads `vm->fuel`. */
#define VV_SPENT VV_UNLIKELY((s32)fuel-- <= 0)
#define VV_SPENT_OR(test) VV_UNLIKELY(((s32)fuel-- <= 0) | (test))
#define VV_EDGE(func, at, ret) \
    if (VV_SPENT) { VV_REFUEL(func, at, ret) }
#ifdef VV_THREAD_EXIT
#define VV_REFUEL(func, at, ret) vv_edge(vm, fuel + 1, func, at); fuel = vm->fuel; /* returns only if the VM goes on */
#else
#define VV_REFUEL(func, at, ret) if (vv_edge(vm, fuel + 1, func, at)) ret; fuel = vm->fuel;
#endif
/* Keeps a compiler from merging two loops into one. */
#ifndef VV_APART
#ifdef VV_BRANCHY
#define VV_APART
#else
#define VV_APART vm->fuel = fuel; fuel = *(volatile u32 *)&vm->fuel;
#endif
#endif

/* Whether the bytes from `a` to `a + high` leave the memory. `high` is a constant that is at most the limit, so nothing
   wraps around. */
#ifndef VV_ABOVE
#define VV_ABOVE(a, b) ((a) > (b))
#endif
#if VV_FIXED
VV_INLINE u32 vv_bad(u32 size, u32 a, u64 high) { return a > (u32)(VV_LIMIT - high); }
#else
VV_INLINE u32 vv_bad(u32 size, u32 a, u64 high) { return high > VV_INITIAL ? a + high > size : VV_ABOVE(a, size - (u32)high); }
#endif
#ifndef VV_PRIVATE
#define VV_PRIVATE(p) /* tells the compiler that a pointer is to the thread's own memory */
#endif
/* The base of accesses from `low` to `high` bytes above it. If a part is bad, all of it goes to the guard, which begins
   at the size: a store that only begins in memory must not change it. One in the guard is not seen after memory has
   grown, which clears the new pages. `low + residue` is at most the initial size. */
#if VV_FIXED
#define VV_GUARD(size, at) (VV_LIMIT - ((u32)(at) & ~15u))
#else
#define VV_GUARD(size, at) ((size) - ((u32)(at) & ~(VV_GUARD_STEP - 1)))
#endif
VV_INLINE u32 vv_aligned(u32 *fuel, u32 a, u32 align, u32 residue) {
#ifdef VV_NATURAL
    if ((a - residue) & (align - 1)) *fuel |= VV_VIOLATION;
#endif
    return a & ~(align - 1);
}
#ifdef VV_STRAY_STOPS
/* A processor foresees this branch, so that no access waits for its check; and behind it the address is known. */
VV_COLD __attribute__((noreturn)) void vv_stray(VM *vm, u32 fuel) {
    vm->fuel = fuel | VV_OOB;
    vv_halt(vm, VV_TRAP, VV_OUT_OF_BOUNDS_MEMORY, 0xffffffffu, 0xffffffffu);
    __builtin_unreachable();
}
VV_INLINE u32 vv_check_or_stray(VM *vm, u32 *fuel, u32 size, u32 a, u64 high, u32 align, u32 residue) {
    u32 at = vv_aligned(fuel, a, align, residue);
    if (VV_UNLIKELY(vv_bad(size, a, high))) vv_stray(vm, *fuel);
    return at;
}
#define vv_check(fuel, size, a, low, high, align, residue) vv_check_or_stray(vm, fuel, size, a, high, align, residue)
#else
VV_INLINE u32 vv_check(u32 *fuel, u32 size, u32 a, u64 low, u64 high, u32 align, u32 residue) {
    u32 bad = vv_bad(size, a, high);
    if (bad) *fuel |= VV_OOB;
    (void)vv_aligned(fuel, a, align, residue);
    return (bad ? VV_GUARD(size, low + residue) : a) & ~(align - 1); /* one mask with that of the cell */
}
#endif
#ifdef VV_NATURAL
/* The same where only `bytes` from `a + sure` are surely accessed. If no more than others are bad, the VM runs again. */
VV_INLINE u32 vv_check_wide(u32 *fuel, u32 size, u32 a, u64 low, u64 high, u32 align, u32 residue, u32 sure, u64 bytes) {
    u32 bad = vv_bad(size, a, high);
    if (bad) *fuel |= vv_bad(size, a + sure, bytes) ? VV_OOB : VV_VIOLATION;
    (void)vv_aligned(fuel, a, align, residue);
    return (bad ? VV_GUARD(size, low + residue) : a) & ~(align - 1);
}
#endif
/* The same for an address to which each iteration of a loop adds `step`. Lowers `iterations` to the number of
   iterations after the next in which the address is good too. */
VV_INLINE void vv_stride(u32 *fuel, u32 *iterations, u32 size, u32 a, s32 step, u64 high, u32 align, u32 residue) {
    if (vv_bad(size, a, high)) *fuel |= VV_OOB;
    (void)vv_aligned(fuel, a, align, residue);
    if (step) {
#if VV_FIXED
        u32 last = (u32)(VV_LIMIT - high);
#else
        u32 last = size - (u32)high;
#endif
        u32 good = step > 0 ? (last - a) / (u32)step : a / (0u - (u32)step);
        if (good < *iterations) *iterations = good;
    }
}
VV_INLINE u32 vv_in_bounds(VM *vm, u32 p, u64 length) { return (u64)p + length <= vm->size; }
#ifdef VV_SHARED_AT
/* Whether any of `n` bytes is data that all VMs share; `n` is a small constant, and the address may be out of bounds. A
   VM that stores there has to run again in a program that shares nothing. */
VV_INLINE u32 vv_shares(u32 a, u32 n) { return a - (VV_SHARED_AT - n + 1) < VV_SHARED_END - VV_SHARED_AT + n - 1; }
/* Here the length is the guest's, up to 4 GiB, and would overflow there; in bounds, the end does not. */
VV_INLINE u32 vv_writable(VM *vm, u32 p, u64 length) {
    u32 good = vv_in_bounds(vm, p, length);
    if (good && length && p < VV_SHARED_END && p + (u32)length > VV_SHARED_AT) vm->fuel |= VV_VIOLATION;
    return good;
}
#else
#define vv_writable vv_in_bounds
#endif

/* Work of a length that the guest chooses is charged before it is done, by the byte, as loops are by the iteration.
   Long work is done in pieces, so that a VM can be stopped between two of them. */
#define VV_PIECE 65536u
#define VV_FIRST(n) ((n) < VV_PIECE ? (n) : VV_PIECE)
VV_INLINE u32 vv_charge(VM *vm, u32 units) {
    if (VV_UNLIKELY((s32)vm->fuel < (s32)units)) return vv_spend(vm, units);
    vm->fuel -= units;
    return 0;
}
#define VV_MOVED 128u /* bytes of a copy that a processor does in its registers, if their number is constant */
#define VV_WORK(bytes) ((bytes) >> 4) /* what moving them costs: about as long as an iteration of a loop */

/* memory.copy, memory.fill, memory.init on checked ranges. */
#if !VV_LINEAR || !defined(VV_HOST)
/* Words that are loaded before the first is stored: loaded one by one, each would wait for the memory. */
#define VV_BATCH 8u
#ifndef VV_UNROLL
#define VV_UNROLL /* keeps the batch in registers */
#endif
/* Copies a batch to a multiple of 8. */
VV_INLINE void vv_copy_batch(vv_gp m, u32 to, u32 from) {
    u64 words[VV_BATCH];
    if (from & 7) {
        VV_UNROLL for (u32 i = 0; i < VV_BATCH; i++) words[i] = vv_ld64(m, from + 8 * i);
    } else {
        VV_UNROLL for (u32 i = 0; i < VV_BATCH; i++) words[i] = vv_a64(m, from, 8 * i);
    }
    VV_UNROLL for (u32 i = 0; i < VV_BATCH; i++) vv_sa64(m, to, 8 * i, words[i]);
}
VV_INLINE void vv_copy_in_batch(vv_gp m, u32 to, vv_gp from) {
    u64 words[VV_BATCH];
    VV_UNROLL for (u32 i = 0; i < VV_BATCH; i++) words[i] = vv_in64(from + 8 * i);
    VV_UNROLL for (u32 i = 0; i < VV_BATCH; i++) vv_sa64(m, to, 8 * i, words[i]);
}
#if VV_LINEAR
/* Copies at most 8 bytes, and loads all of them first for the same reason. */
VV_INLINE void vv_copy_few(vv_gp m, u32 to, u32 from, u32 n) {
    u32 bytes[8];
    VV_UNROLL for (u32 i = 0; i < 8; i++) bytes[i] = i < n ? vv_a8(m, from, i) : 0;
    VV_UNROLL for (u32 i = 0; i < 8; i++) if (i < n) vv_sa8(m, to, i, bytes[i]);
}
/* Forwards. Most copies are of short strings. */
VV_INLINE void vv_copy_up(vv_gp m, u32 to, u32 from, u32 n) {
    if (n > 8) {
        u32 head = (0u - to) & 7;
        vv_copy_few(m, to, from, head);
        n -= head;
        to += head;
        from += head;
        for (; n >= 8 * VV_BATCH; n -= 8 * VV_BATCH, to += 8 * VV_BATCH, from += 8 * VV_BATCH) vv_copy_batch(m, to, from);
        for (; n >= 16; n -= 16, to += 16, from += 16) {
            u64 low = vv_ld64(m, from), high = vv_ld64(m, from + 8);
            vv_sw64(m, to, low);
            vv_sw64(m, to + 8, high);
        }
        if (n >= 8) {
            vv_sw64(m, to, vv_ld64(m, from));
            n -= 8;
            to += 8;
            from += 8;
        }
    }
    vv_copy_few(m, to, from, n);
}
#else
VV_INLINE void vv_copy_up(vv_gp m, u32 to, u32 from, u32 n) {
    while (n && (to & 7)) { vv_st8(m, to++, vv_ld8(m, from++)); n--; }
    for (; n >= 8 * VV_BATCH; n -= 8 * VV_BATCH, to += 8 * VV_BATCH, from += 8 * VV_BATCH) vv_copy_batch(m, to, from);
    for (; n >= 8; n -= 8, to += 8, from += 8) vv_sw64(m, to, vv_ld64(m, from));
    while (n--) vv_st8(m, to++, vv_ld8(m, from++));
}
#endif
#endif
VV_INLINE void vv_copy_piece(vv_gp m, u32 to, u32 from, u32 n) {
#if VV_LINEAR && defined(VV_HOST)
    memmove(m + to, m + from, n);
#else
    const u32 batch = 8 * VV_BATCH;
    if (to - from >= n) { /* forwards is safe (to below from wraps around to a large number) */
        vv_copy_up(m, to, from, n);
    } else {
        to += n;
        from += n;
        while (n && (to & 7)) { vv_st8(m, --to, vv_ld8(m, --from)); n--; }
        while (n >= batch) { n -= batch; to -= batch; from -= batch; vv_copy_batch(m, to, from); }
        while (n >= 8) { n -= 8; to -= 8; from -= 8; vv_sw64(m, to, vv_ld64(m, from)); }
        while (n--) vv_st8(m, --to, vv_ld8(m, --from));
    }
#endif
}
VV_INLINE void vv_fill_piece(vv_gp m, u32 to, u32 value, u32 n) {
#if VV_LINEAR && defined(VV_HOST)
    memset(m + to, (int)value, n);
#else
    u64 wide = (u64)(value & 255) * 0x0101010101010101u;
    while (n && (to & 7)) { vv_st8(m, to++, value); n--; }
    for (; n >= 8 * VV_BATCH; n -= 8 * VV_BATCH, to += 8 * VV_BATCH) {
        VV_UNROLL for (u32 i = 0; i < VV_BATCH; i++) vv_sa64(m, to, 8 * i, wide);
    }
    for (; n >= 8; n -= 8, to += 8) vv_sw64(m, to, wide);
    while (n--) vv_st8(m, to++, value);
#endif
}
VV_INLINE void vv_copy_in_piece(vv_gp m, u32 to, vv_gp from, u32 n) {
#if VV_LINEAR && defined(VV_HOST)
    memcpy(m + to, from, n);
#else
    while (n && (to & 7)) { vv_st8(m, to++, *from++); n--; }
    for (; n >= 8 * VV_BATCH; n -= 8 * VV_BATCH, to += 8 * VV_BATCH, from += 8 * VV_BATCH) vv_copy_in_batch(m, to, from);
    for (; n >= 8; n -= 8, to += 8, from += 8) vv_sw64(m, to, vv_in64(from));
    while (n--) vv_st8(m, to++, *from++);
#endif
}
/* The work itself. Work of one piece, which nearly all is, is a function without the loop over pieces: with it, a
   program that copies much took a quarter longer. None calls another, which would cost every kernel registers. Where
   there are pieces, they return 0, or the status with which the VM ends between two of them. */
#define VV_INTERRUPTED(vm, left) ((left) > VV_PIECE ? vv_look(vm) : 0)
VV_HELPER void vv_copy_short(vv_gp m, u32 to, u32 from, u32 n) { vv_copy_piece(VV_BASE(m), to, from, n); }
VV_COLD u32 vv_copy_long(VM *vm, vv_gp m, u32 to, u32 from, u32 n) {
    m = VV_BASE(m);
    u32 backwards = to - from < n; /* the last piece first: an earlier one overwrites its source */
    while (n) {
        u32 end = VV_INTERRUPTED(vm, n);
        if (end) return end;
        u32 piece = VV_FIRST(n);
        n -= piece;
        if (backwards) {
            vv_copy_piece(m, to + n, from + n, piece);
        } else {
            vv_copy_piece(m, to, from, piece);
            to += piece;
            from += piece;
        }
    }
    return 0;
}
VV_HELPER void vv_fill_short(vv_gp m, u32 to, u32 value, u32 n) { vv_fill_piece(VV_BASE(m), to, value, n); }
VV_COLD u32 vv_fill_long(VM *vm, vv_gp m, u32 to, u32 value, u32 n) {
    m = VV_BASE(m);
    while (n) {
        u32 end = VV_INTERRUPTED(vm, n);
        if (end) return end;
        u32 piece = VV_FIRST(n);
        vv_fill_piece(m, to, value, piece);
        to += piece;
        n -= piece;
    }
    return 0;
}
VV_HELPER void vv_copy_in_short(vv_gp m, u32 to, vv_gp from, u32 n) { vv_copy_in_piece(VV_BASE(m), to, from, n); }
/* Charged. Each returns 0, or the status with which the VM has to end; VV_TRAP means that the range is bad. */
VV_INLINE u32 vv_copy(VM *vm, vv_gp m, u32 to, u32 from, u32 n) {
    u32 end = vv_charge(vm, VV_WORK(n));
    if (end) return end;
    if (VV_UNLIKELY(n > VV_PIECE)) return vv_copy_long(vm, m, to, from, n);
#if VV_LINEAR && defined(VV_HOST)
    if (__builtin_constant_p(n) && n <= VV_MOVED) {
        memmove(m + to, m + from, n);
        return 0;
    }
#endif
    vv_copy_short(m, to, from, n);
    return 0;
}
VV_INLINE u32 vv_fill(VM *vm, vv_gp m, u32 to, u32 value, u32 n) {
    u32 end = vv_charge(vm, VV_WORK(n));
    if (end) return end;
    if (VV_UNLIKELY(n > VV_PIECE)) return vv_fill_long(vm, m, to, value, n);
    vv_fill_short(m, to, value, n);
    return 0;
}
VV_INLINE u32 vv_copy_in_at_once(VM *vm, vv_gp m, u32 to, vv_gp from, u32 n) {
    u32 end = vv_charge(vm, VV_WORK(n));
    if (!end) vv_copy_in_short(m, to, from, n);
    return end;
}
VV_INLINE u32 vv_copy_in(VM *vm, vv_gp m, u32 to, vv_gp from, u32 n) {
    u32 end = vv_charge(vm, VV_WORK(n));
    while (!end && n) {
        u32 piece = VV_FIRST(n);
        vv_copy_in_short(m, to, from, piece);
        to += piece;
        from += piece;
        n -= piece;
        if (n) end = vv_look(vm);
    }
    return end;
}
VV_INLINE u32 vv_memory_copy(VM *vm, u32 to, u32 from, u32 n) {
    if (!vv_in_bounds(vm, from, n) || !vv_writable(vm, to, n)) return VV_TRAP;
    return vv_copy(vm, vm->mem, to, from, n);
}
VV_INLINE u32 vv_memory_fill(VM *vm, u32 to, u32 value, u32 n) {
    if (!vv_writable(vm, to, n)) return VV_TRAP;
    return vv_fill(vm, vm->mem, to, value, n);
}
VV_HELPER u32 vv_memory_init(VM *vm, u32 segment, u32 length, u32 to, u32 from, u32 n) {
    if ((u64)from + n > length || !vv_writable(vm, to, n)) return VV_TRAP;
    return vv_copy_in(vm, vm->mem, to, vm->image + vm->par[VV_PAR_SEGMENTS] + segment + from, n);
}
/* Clears what memory grows by. Returns 0, or the status with which the VM has to end. */
#if VV_LINEAR && defined(VV_HOST)
VV_COLD u32 vv_clear_long(VM *vm, u32 at, u32 n) {
    while (n) {
        u32 end = vv_look(vm);
        if (end) return end;
        u32 piece = n < VV_LOOK * 16 ? n : VV_LOOK * 16;
        vv_zero(vm->mem + at, piece);
        at += piece;
        n -= piece;
    }
    return 0;
}
#else
#define vv_clear_long(vm, at, n) vv_fill_long(vm, (vm)->mem, at, 0, n)
#endif
/* Pages beyond the size hold whatever a bad store or an earlier VM left, so growing clears them before it changes the
   size. Returns the old size in pages, and in the upper half the status with which the VM has to end, or 0. */
VV_HELPER u64 vv_memory_grow(VM *vm, u32 delta) {
    u32 old = vm->size >> 16;
    u64 pages = (u64)old + delta;
    if (pages > VV_LIMIT >> 16) {
        if (pages <= VV_DECLARED_PAGES) vm->refused = 1;
        return 0xffffffffu;
    }
    if (pages > vm->par[VV_PAR_MEMORY] >> 16) {
        vm->refused = (u32)pages;
        return (u64)VV_OUTGROWN << 32;
    }
    u32 end = vv_charge(vm, VV_WORK(delta << 16));
    /* Also one page: two functions that may be called here cost a kernel registers (blur: 75 instead of 72). */
    if (!end) end = vv_clear_long(vm, vm->size, delta << 16);
    if (end) return (u64)end << 32;
    vm->size += delta << 16;
    return old;
}

/* Frames: words of 8 bytes at a byte offset from the frame pointer. */
VV_INLINE u64 vv_get(VM *vm, u32 at) { return vv_w64(VV_BASE_ONCE(vm->frames), vm->fp + at); }
VV_INLINE void vv_put(VM *vm, u32 at, u64 v) { vv_sw64(VV_BASE_ONCE(vm->frames), vm->fp + at, v); }

/* Inside a host call: whether it has to return, since the VM ends with this status. */
VV_INLINE u32 vv_must_end(VM *vm, u32 status) {
    if (status) vm->end = status;
    return status;
}

/* Requests and answers of remote calls. The slot has space for every request, and keeps its words until the next
   request. */
VV_INLINE void vv_request_word(VM *vm, u64 v) {
    vv_sw64(vm->slot, vm->request, v);
    vm->request += 8;
}
VV_INLINE u64 vv_answer_word(VM *vm, u32 i) { return vv_in64(vm->in + VV_WORD(vm, VV_WORD_MESSAGE_OFFSET) + 8 * i); }
