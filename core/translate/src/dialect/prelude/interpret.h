/* An interpreter's loop and what its operations are made of. `pc` is the row behind the one that runs, `imm` its
   immediate, `x` and `y` its operands, `r` its result. */
#ifndef VV_FETCH
#define VV_FETCH(p, low, high) vv_rd128(p, &low, &high)
#endif
/* Slots of the frame. */
#if VV_LINEAR
#define VV_FRAME(fp) (vm->frames + (fp))
#define VV_MOVE_FRAME(by) frame += by;
#define VV_REG(n) vv_rd64(VV_BASE_ONCE(frame + (u64)(n) * 8))
#define VV_SET(n, v) vv_wr64(VV_BASE_ONCE(frame + (u64)(n) * 8), v)
#else
#define VV_FRAME(fp) (vm->frames)
#define VV_MOVE_FRAME(by)
#define VV_REG(n) vv_w64(frame, fp + (n) * 8)
#define VV_SET(n, v) vv_sw64(frame, fp + (n) * 8, v)
#endif
#define VV_CODE(vm) (VV_BASE((vm)->image) + (vm)->par[VV_PAR_SEGMENTS] + VV_CODE_AT)
/* One of the four halfwords that a row begins with. A compiler that sees through it takes more instructions for a slot's
   address. */
#ifndef VV_HALF
#define VV_HALF(low, n) ((u32)((low) >> (16 * (n))) & 0xffffu)
#endif
#define VV_DECODE(row) \
    u64 low, imm; \
    VV_FETCH(row, low, imm); \
    u32 const op = VV_HALF(low, 0), a = VV_HALF(low, 2), b = VV_HALF(low, 3); \
    u32 d = VV_HALF(low, 1); \
    u64 const x = VV_REG(a), y = VV_REG(b); \
    u64 r = x;
/* Whether an address has to be left to the slow function. */
#if VV_LINEAR && defined(VV_HOST)
#define VV_ODD(a, align) 0
#else
#define VV_ODD(a, align) ((a) & ((align) - 1))
#endif
/* A row of the table of functions: entry, type, slots. */
#define VV_ROW(f) (code + (u64)(VV_TABLE_ROW + (f)) * 16)
/* Where a trap in the row before this one is. */
#define VV_SITE(pc) vv_rd32(VV_CODE(vm) + (u64)VV_SITES_ROW * 16 + ((u64)(pc) - 1) * 4)
/* The function that has a row: the last that begins there or before. */
VV_COLD u32 vv_function(VM *vm, u32 pc) {
    vv_gp code = VV_CODE(vm);
    u32 found = 0xffffffffu;
    for (u32 f = 0; f < VV_FUNCTIONS; f++) {
        u32 entry = vv_rd32(VV_ROW(f));
        if (entry && entry / 16 < pc) found = f;
    }
    return found;
}
#define VV_END_HERE(status, trap) vv_halt(vm, status, trap, vv_function(vm, pc), VV_SITE(pc)); return VV_HALT;
#define VV_TRAP_HERE(kind) VV_END_HERE(VV_TRAP, kind)
#define VV_CHARGE_HERE u32 end = vv_charge(vm, 1); if (end) { VV_END_HERE(end, VV_OUT_OF_BOUNDS_MEMORY) }
/* A frame begins with the row to return to, the caller's slots, and one less than the slot that gets the result: so the
   word of an entry, which is a row only, leads to where the host looks for results. */
#define VV_ENTER_FUNCTION(f) { \
    u64 target = vv_rd64(VV_ROW(f)); \
    u32 slots = vv_rd32(VV_ROW(f) + 8), above = (u32)(imm >> 32); \
    if (VV_UNLIKELY(fp + (above + slots) * 8 > frames_end)) goto slow; \
    VV_SET(above, (u64)(at - code) >> 4 | (u64)above << 32 | (u64)(b - 1) << 48); \
    fp += above * 8; \
    VV_MOVE_FRAME(above * 8) \
    at = code + (u32)target; \
}
#define VV_LEAVE_FUNCTION { \
    u64 back = VV_REG(0); \
    u32 below = ((u32)(back >> 32) & 0xffff) * 8; \
    fp -= below; \
    VV_MOVE_FRAME(0 - (u64)below) \
    d = (u32)(back >> 48) + 1; \
    at = code + (u64)(u32)back * 16; \
}
/* Runs one row, and returns the next. */
#define VV_SLOW_BEGIN \
VV_COLD u32 vv_slow(VM *vm, u32 pc) { \
    vv_gp const mem = VV_BASE(vm->mem), code = VV_CODE(vm); \
    u32 const size = vm->size, fp = vm->fp; \
    vv_gp const frame = VV_FRAME(fp); \
    VV_DECODE(code + (u64)pc * 16) \
    pc++; \
    switch (op) {
#define VV_SLOW_END \
    } \
    if (d != 0xffffu) VV_SET(d, r); \
    return pc; \
}
/* Runs rows until the VM stops. What is kept in variables is loaded again behind the only call, so that nothing has to
   outlive it: a GPU's compiler would keep that in memory all the time. */
#define VV_LOAD_STATE \
    mem = VV_BASE(vm->mem); \
    head = VV_BASE(vm->head); \
    code = VV_CODE(vm); \
    size = vm->size; \
    fuel = vm->fuel; \
    fp = vm->fp; \
    frames_end = vm->frames_end; \
    frame = VV_FRAME(fp);
#define VV_FAST_BEGIN \
VV_FN u32 vv_interpret(VM *vm, u32 pc) { \
    vv_gp mem, head, code, frame; \
    u32 size, fuel, fp, frames_end; \
    VV_LOAD_STATE \
    vv_gp at = code + (u64)pc * 16; \
    for (;;) { \
        VV_DECODE(at) \
        at += 16; \
        if (op < VV_FREQUENT) switch (op) {
#define VV_FAST_END \
        default: \
        slow: \
            vm->fuel = fuel; \
            vm->fp = fp; \
            pc = vv_slow(vm, (u32)((u64)(at - code) >> 4) - 1); \
            if (VV_STOPPED(vm)) return VV_HALT; \
            VV_LOAD_STATE \
            at = code + (u64)pc * 16; \
            continue; \
        } \
        if (d != 0xffffu) VV_SET(d, r); \
    } \
} \
VV_INLINE u32 vv_dispatch(VM *vm, u32 pc) { return vv_interpret(vm, pc); }
