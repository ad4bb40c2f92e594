/* The kernels. `vv_dispatch` runs one state and returns the next. */
VV_BODY void vv_run_thread(vv_gp mem, vv_gp64 words, vv_gp in, vv_gp out, vv_gp image, vv_gp env, vv_gp64 par, vv_gpv stop, vv_gp pack, u32 thread) {
    VM vm_;
    VM *vm = &vm_;
    if (!vv_begin(vm, mem, words, in, out, image, env, par, stop, thread)) return;
    VV_ENTER(vm); /* a thread that exits from inside a function comes back here */
    for (;;) {
        if (vm->stop == 2) vm->stop = 0;
        if (vm->stop) break;
        u32 next = vv_dispatch(vm, vm->state);
        if (!vm->stop) vm->state = next;
#ifdef VV_FORCE
        if (!vm->stop) break;
#endif
    }
    vv_end(vm);
}

VV_INLINE void vv_reset_thread(vv_gp mem, vv_gp64 words, vv_gp in, vv_gp out, vv_gp image, vv_gp env, vv_gp64 par, vv_gpv stop, vv_gp pack, u32 thread) {
    u64 vms = par[VV_PAR_VMS];
    if (thread >= vms) return;
    u64 how = words[VV_WORD_RESET * vms + thread];
    if (!how) return;
    words[VV_WORD_RESET * vms + thread] = 0;
    vv_gp head = VV_LANE_BASE(mem, thread, (u64)VV_REGION);
    for (u32 i = 0; i < VV_FRAMES_AT; i += 8) vv_sw64(head, i, vv_rd64(image + i));
    vv_gp m = head + VV_SKIP(VV_MEMORY_AT);
    u32 low = (u32)par[VV_PAR_LOW], high = (u32)par[VV_PAR_HIGH];
    vv_gp data = image + VV_FRAMES_AT;
#if VV_LINEAR && defined(VV_HOST)
    if (how == 1) {
        memset(m, 0, low);
        memset(m + high, 0, VV_INITIAL - high);
    }
    memcpy(m + low, data, high - low);
#else
    if (how == 1) {
        for (u32 i = 0; i < low; i += 8) vv_sw64(m, i, 0);
        for (u32 i = high; i < VV_INITIAL; i += 8) vv_sw64(m, i, 0);
    }
    for (u32 i = low; i < high; i += 8) vv_sw64(m, i, vv_rd64(data + (i - low)));
#endif
}

VV_INLINE void vv_gather_thread(vv_gp mem, vv_gp64 words, vv_gp in, vv_gp out, vv_gp image, vv_gp env, vv_gp64 par, vv_gpv stop, vv_gp pack, u32 thread) {
    if (thread >= par[VV_PAR_SEGMENT_COUNT]) return;
    vv_gp segment = in + (u64)thread * 32;
    u64 what = vv_rd64(segment), from = vv_rd64(segment + 8), n = vv_rd64(segment + 16), to = vv_rd64(segment + 24);
    u32 vm = (u32)what, area = (u32)(what >> 32);
    u64 cap = par[VV_PAR_OUT];
    vv_gp base = area == 2 ? VV_LANE_BASE(mem, vm, (u64)VV_REGION) : VV_LANE_BASE(out, vm, cap);
    vv_gp p = pack + to;
    if (area == 1) {
        for (u64 i = 0; i < n; i++) p[i] = base[VV_AT64(cap - 1 - from - i)];
        return;
    }
    u64 i = 0;
    if (((from | to) & 3) == 0)
        for (; i + 4 <= n; i += 4) vv_wr32(p + i, vv_rd32(base + VV_AT64(from + i)));
    for (; i < n; i++) p[i] = base[VV_AT64(from + i)];
}

VV_KERNEL(vv_run)
VV_KERNEL(vv_reset)
VV_KERNEL(vv_gather)
