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
/* Keeps a compiler from computing with a value before this place. */
#ifndef VV_PIN
#define VV_PIN(v)
#endif
VV_INLINE u64 vv_pinned(u64 v) { VV_PIN(v) return v; }
/* One of the four halfwords that a row begins with. A compiler that sees through it takes more instructions for a slot's
   address. */
#ifndef VV_HALF
#define VV_HALF(low, n) ((u32)((low) >> (16 * (n))) & 0xffffu)
#endif
/* What the row `k` behind the present one says, and the frame's slots that it names. */
#ifdef VV_HOST
#define VV_AT_ROW(k, byte) (VV_ROW_AT(k) + (byte))
#define VV_D(k) vv_rd16(VV_AT_ROW(k, 2))
#define VV_A(k) vv_rd16(VV_AT_ROW(k, 4))
#define VV_B(k) vv_rd16(VV_AT_ROW(k, 6))
#define VV_IMM(k) vv_rd64(VV_AT_ROW(k, 8))
#define VV_LOW(k) vv_rd32(VV_AT_ROW(k, 8))
#define VV_HIGH(k) vv_rd32(VV_AT_ROW(k, 12))
#define VV_X(k) VV_REG(VV_A(k))
#define VV_Y(k) VV_REG(VV_B(k))
#define VV_ROW_FETCHED(k)
#else
#define VV_D(k) VV_HALF(low##k, 1)
#define VV_A(k) VV_HALF(low##k, 2)
#define VV_B(k) VV_HALF(low##k, 3)
#define VV_IMM(k) imm##k
#define VV_LOW(k) (u32)imm##k
#define VV_HIGH(k) (u32)(imm##k >> 32)
#define VV_X(k) VV_X_##k
#define VV_Y(k) VV_Y_##k
/* They are loaded before the operation is known. No compiler shall compute on them there for many operations: that would
   wait for them. */
#define VV_X_0 vv_pinned(x0)
#define VV_Y_0 vv_pinned(y0)
#define VV_X_1 VV_REG(VV_A(1))
#define VV_Y_1 VV_REG(VV_B(1))
#define VV_X_2 VV_REG(VV_A(2))
#define VV_Y_2 VV_REG(VV_B(2))
#define VV_ROW_FETCHED(k) u64 low##k, imm##k; VV_FETCH(VV_ROW_AT(k), low##k, imm##k);
#endif
#define VV_ROWS_1
#define VV_ROWS_2 VV_ROW_FETCHED(1)
#define VV_ROWS_3 VV_ROWS_2 VV_ROW_FETCHED(2)
/* How the loop finds an operation. On a processor each operation ends in a jump of its own to the next, which foresees
   it by what came before; the lanes of a warp have to meet, and an operation fetches the next row in front of that. `at`
   is an address on a processor, and elsewhere bytes from the code's first, which take one register. `VV_LEAVE` leaves a
   row to the slow function; without a jump out of the search, which would cost instructions where lanes meet. */
#ifdef VV_HOST
#define VV_DISPATCH goto *labels[vv_rd16(at)];
#define VV_ROW_AT(k) (at + 16 * (k))
#define VV_PC (u32)((u64)(at - code) >> 4)
#define VV_GO_TO(target) { at = code + (target); VV_DISPATCH }
#define VV_NEXT(n) at += 16 * (n); VV_DISPATCH
#define VV_LEAVE(k) { at += 16 * (k); goto slow; }
#else
#define VV_DISPATCH continue;
#define VV_ROW_AT(k) (code + (u64)at + 16 * (k))
#define VV_PC (at >> 4)
#define VV_GO_TO(target) { at = (target); VV_FETCH(VV_ROW_AT(0), low0, imm0); VV_DISPATCH }
#define VV_NEXT(n) VV_GO_TO(at + 16 * (n))
#define VV_LEAVE(k) { at += 16 * (k); low0 = 0xffffu; VV_DISPATCH }
#endif
#define VV_GO(k) VV_GO_TO(VV_LOW(k))
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
#define VV_ENTER_FUNCTION(f, k, leave) \
    u64 target = vv_rd64(VV_ROW(f)); \
    u32 slots = vv_rd32(VV_ROW(f) + 8), above = VV_HIGH(k); \
    if (VV_UNLIKELY(fp + (above + slots) * 8 > frames_end)) leave \
    VV_SET(above, (u64)(VV_PC + (k) + 1) | (u64)above << 32 | (u64)(VV_B(k) - 1) << 48); \
    fp += above * 8; \
    VV_MOVE_FRAME(above * 8) \
    VV_GO_TO((u32)target)
#define VV_LEAVE_FRAME \
    u64 back = VV_REG(0); \
    u32 below = ((u32)(back >> 32) & 0xffff) * 8; \
    fp -= below; \
    VV_MOVE_FRAME(0 - (u64)below)
#define VV_LEAVE_FUNCTION { VV_LEAVE_FRAME VV_GO_TO((u32)back * 16) }
#define VV_LEAVE_FUNCTION_WITH(r) { VV_LEAVE_FRAME VV_SET((u32)(back >> 48) + 1, r); VV_GO_TO((u32)back * 16) }
/* Runs one row, and returns the next. */
#define VV_SLOW_BEGIN \
VV_COLD u32 vv_slow(VM *vm, u32 pc) { \
    vv_gp const mem = VV_BASE(vm->mem), code = VV_CODE(vm), head = VV_BASE(vm->head); \
    u32 const size = vm->size, fp = vm->fp; \
    vv_gp const frame = VV_FRAME(fp); \
    u64 low, imm; \
    VV_FETCH(code + (u64)pc * 16, low, imm); \
    u32 const op = VV_HALF(low, 0), d = VV_HALF(low, 1), a = VV_HALF(low, 2), b = VV_HALF(low, 3); \
    u64 const x = VV_REG(a), y = VV_REG(b); \
    u64 r = x; \
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
#define VV_RUN_SLOW \
    vm->fuel = fuel; \
    vm->fp = fp; \
    pc = vv_slow(vm, VV_PC); \
    if (VV_STOPPED(vm)) return VV_HALT; \
    VV_LOAD_STATE
#ifdef VV_HOST
#define VV_FAST_BEGIN \
VV_QUICK VV_FN u32 vv_interpret(VM *vm, u32 pc) { \
    static void const *const all[] = {VV_LABELS}; \
    void const *const *labels = all; \
    __asm__("" : "+r"(labels)); \
    vv_gp mem, head, code, frame; \
    u32 size, fuel, fp, frames_end; \
    VV_LOAD_STATE \
    vv_gp at = code + (u64)pc * 16; \
    VV_DISPATCH
#define VV_FAST_END \
    slow: \
    VV_RUN_SLOW \
    at = code + (u64)pc * 16; \
    VV_DISPATCH \
} \
VV_INLINE u32 vv_dispatch(VM *vm, u32 pc) { return vv_interpret(vm, pc); }
#else
/* In the kernel itself: elsewhere NVIDIA's compiler moves the descriptor of global memory to uniform registers for each
   access, by two instructions. PoCL's code for a processor takes twice as long so. */
#ifdef VV_BRANCHY
#define VV_LOOP VV_FN
#else
#define VV_LOOP VV_INLINE
#endif
#define VV_FAST_BEGIN \
VV_LOOP u32 vv_dispatch(VM *vm, u32 pc) { \
    vv_gp mem, head, code, frame; \
    u32 size, fuel, fp, frames_end; \
    VV_LOAD_STATE \
    u32 at = pc * 16; \
    u64 low0, imm0; \
    VV_FETCH(VV_ROW_AT(0), low0, imm0); \
    for (;;) { \
        u32 const op = VV_HALF(low0, 0); \
        u64 const x0 = VV_REG(VV_A(0)), y0 = VV_REG(VV_B(0));
#define VV_OTHERS \
    VV_RUN_SLOW \
    at = pc * 16; \
    VV_FETCH(VV_ROW_AT(0), low0, imm0); \
    VV_DISPATCH
#define VV_FAST_END \
    } \
}
#endif
