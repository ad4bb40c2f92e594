/* The kernels. `vv_dispatch` runs one state and returns the next. */
#if defined(VV_RECURSES) && !defined(VV_HOST)
/* Nobody runs this: it is a room on the stack, which the driver makes larger by what lies between two looks. */
VV_FN void vv_room(VM *vm) {
    volatile u32 room[VV_STACK / 4];
    room[vm->zero] = 1;
    vm->code = room[vm->fp];
}
#endif

VV_BODY void vv_run_thread(vv_gp mem, vv_gp64 words, vv_gp in, vv_gp out, vv_gp image, vv_gp env, vv_gp64 par, vv_gpv stop, vv_gp pack, u32 thread) {
    VM vm_;
    VM *vm = &vm_;
    /* Few VMs are spread over many warps, whose other threads end here: the lanes of a warp wait for each other. */
    u32 width = (u32)par[VV_PAR_WIDTH], lane = thread % VV_LANES;
    if (lane >= width) return;
    thread = thread / VV_LANES * width + lane;
    if (!vv_begin(vm, mem, words, in, out, image, env, par, stop, thread)) return;
#ifdef VV_FILES_HERE
    vm->files = pack;
#endif
#if defined(VV_RECURSES) && !defined(VV_HOST)
    if (VV_UNLIKELY(vm->zero)) vv_room(vm);
#endif
    VV_ENTER(vm); /* a thread that exits from inside a function comes back here */
    for (;;) {
        if (vm->stop == 2) vm->stop = 0;
        if (vm->stop) break;
        u32 next = vv_dispatch(vm, vm->state);
        if (!vm->stop) vm->state = next;
#ifdef VV_FORCE
        if (!vm->stop && !VV_STRAYED(vm) && !vm->error) break; /* first handle those two: neither outlives a launch */
#endif
    }
    vv_end(vm);
}

/* Up to here a reset clears memory. */
#define VV_CLEARED(par) ((par)[VV_PAR_IMAGE_SIZE] > VV_RESET_END ? (u32)(par)[VV_PAR_IMAGE_SIZE] : VV_RESET_END)

/* Goes through the spans of memory that the image has, and what is zero between them. Spans begin and end at multiples of
   64, so copies of eight bytes do not reach into what is cleared beside. */
#define VV_EACH_SPAN(par, image, how, CLEAR, COPY) \
    u32 at = 0, first = (u32)(par)[VV_PAR_LOW]; \
    for (u64 i = 0; i < (par)[VV_PAR_SPANS]; i++) { \
        vv_gp span = (image) + (par)[VV_PAR_SPANS_AT] + 16 * i; \
        u32 low = (u32)vv_rd64(span), high = (u32)vv_rd64(span + 8); \
        if ((how) == 1) CLEAR(at, low - at); \
        COPY(low, (image) + VV_HEAD + (low - first), high - low); \
        at = high; \
    } \
    if ((how) == 1) CLEAR(at, VV_CLEARED(par) - at);

/* Brings one VM back to the image; `how` 2 means that its memory is all zero, so only the image's spans are written. With
   VV_RESET_TOGETHER this is what one of a tile's threads does of that. */
VV_INLINE void vv_reset_one(vv_gp mem, vv_gp image, vv_gp64 par, u64 how, u32 thread, u32 part) {
#ifdef VV_RESET_TOGETHER
    const u32 begin = part * 8, step = VV_LANES * 8;
#else
    const u32 begin = 0, step = 8;
#endif
    vv_gp head = VV_LANE_BASE(mem, thread, par[VV_PAR_REGION]);
    for (u32 i = begin; i < VV_HEAD; i += step) vv_sw64(head, i, vv_rd64(image + i));
    vv_gp m = head + VV_SKIP(VV_MEMORY_AT);
#if VV_LINEAR && defined(VV_HOST)
#define VV_CLEAR_ONE(to, n) vv_zero(m + (to), n)
#define VV_COPY_ONE(to, from, n) memcpy(m + (to), from, n)
#else
#ifdef VV_RESET_TOGETHER
/* From a multiple of 8 on. */
#define VV_CLEAR_ONE(to, n) { \
        u32 whole = (n) & ~7u; \
        for (u32 j = begin; j < whole; j += step) vv_sw64(m, (to) + j, 0); \
        for (u32 j = whole + part; j < (n); j += VV_LANES) vv_st8(m, (to) + j, 0); \
    }
#else
#define VV_CLEAR_ONE(to, n) vv_fill_short(m, to, 0, n)
#endif
#define VV_COPY_ONE(to, from, n) for (u32 j = begin; j < (n); j += step) vv_sw64(m, (to) + j, vv_rd64((from) + j))
#endif
    VV_EACH_SPAN(par, image, how, VV_CLEAR_ONE, VV_COPY_ONE)
    vv_gp frames = head + VV_SKIP(par[VV_PAR_FRAMES_AT]);
    u32 bytes = (u32)par[VV_PAR_IMAGE_FRAMES];
    for (u32 i = begin; i < bytes; i += step) vv_sw64(frames, i, vv_rd64(image + par[VV_PAR_IMAGE_FRAMES_AT] + i));
}

#if defined(VV_BRANCHY) && !VV_LINEAR && VV_CELL >= 8
/* On a processor one thread resets a whole tile: neighbouring bytes belong to neighbouring lanes, and all lanes get the
   same values. */
VV_INLINE void vv_spread(vv_gp to, vv_gp from, u32 n) {
    for (u32 i = 0; i < n; i += VV_CELL)
        for (u32 lane = 0; lane < VV_LANES; lane++)
            for (u32 j = 0; j < VV_CELL; j += 8)
                vv_wr64(to + (u64)i * VV_LANES + lane * VV_CELL + j, vv_rd64(from + i + j));
}
VV_INLINE void vv_clear(vv_gp to, u64 n) {
    for (u64 i = 0; i < n * VV_LANES; i += 8) vv_wr64(to + i, 0);
}
VV_INLINE void vv_reset_tile(vv_gp mem, vv_gp image, vv_gp64 par, u64 how, u32 thread) {
    vv_gp tile = VV_LANE_BASE(mem, thread, par[VV_PAR_REGION]);
    vv_spread(tile, image, VV_HEAD);
    vv_gp m = tile + VV_SKIP(VV_MEMORY_AT);
#define VV_CLEAR_TILE(to, n) vv_clear(m + VV_SKIP(to), n)
#define VV_COPY_TILE(to, from, n) vv_spread(m + VV_SKIP(to), from, n)
    VV_EACH_SPAN(par, image, how, VV_CLEAR_TILE, VV_COPY_TILE)
    vv_spread(tile + VV_SKIP(par[VV_PAR_FRAMES_AT]), image + par[VV_PAR_IMAGE_FRAMES_AT], (u32)par[VV_PAR_IMAGE_FRAMES]);
}
#define VV_TILE_RESET 1
#endif

VV_INLINE void vv_reset_thread(vv_gp mem, vv_gp64 words, vv_gp in, vv_gp out, vv_gp image, vv_gp env, vv_gp64 par, vv_gpv stop, vv_gp pack, u32 thread) {
    u64 vms = par[VV_PAR_VMS];
#ifdef VV_RESET_TOGETHER
    u32 part = thread % VV_LANES;
    thread /= VV_LANES;
#endif
    if (thread >= vms || *stop) return; /* stopped before they begin, VMs never do */
    vv_gp64 reset = words + VV_WORD_RESET * vms;
#ifdef VV_RESET_TOGETHER
    /* The host forgets the word: other threads of the tile may not have read it yet. */
    if (reset[thread]) vv_reset_one(mem, image, par, reset[thread], thread, part);
#elif defined(VV_TILE_RESET)
    if (thread % VV_LANES) return;
    u32 all = 1;
    for (u32 lane = 1; lane < VV_LANES; lane++) all &= reset[thread + lane] == reset[thread];
    if (all && reset[thread]) vv_reset_tile(mem, image, par, reset[thread], thread);
    for (u32 lane = 0; lane < VV_LANES; lane++, thread++) {
        if (!all && reset[thread]) vv_reset_one(mem, image, par, reset[thread], thread, 0);
        reset[thread] = 0;
    }
#else
    if (reset[thread]) vv_reset_one(mem, image, par, reset[thread], thread, 0);
    reset[thread] = 0;
#endif
}

VV_INLINE void vv_gather_thread(vv_gp mem, vv_gp64 words, vv_gp in, vv_gp out, vv_gp image, vv_gp env, vv_gp64 par, vv_gpv stop, vv_gp pack, u32 thread) {
    if (thread >= par[VV_PAR_SEGMENT_COUNT]) return;
    vv_gp segment = in + (u64)thread * 32;
    u64 what = vv_rd64(segment), from = vv_rd64(segment + 8), n = vv_rd64(segment + 16), to = vv_rd64(segment + 24);
    u32 vm = (u32)what, area = (u32)(what >> 32);
    u64 cap = par[VV_PAR_OUT];
    vv_gp base = area == 2 ? VV_LANE_BASE(mem, vm, par[VV_PAR_REGION]) : VV_LANE_BASE(out, vm, cap);
    vv_gp p = pack + to;
    if (area == 1) {
        for (u64 i = 0; i < n; i++) p[i] = base[VV_AT64(cap - 1 - from - i)];
        return;
    }
    u64 i = 0;
    if (((from | to) & 3) == 0) {
        for (; i + 16 <= n; i += 16) { /* a thread waits for four loads at once */
            u32 a = vv_rd32(base + VV_AT64(from + i)), b = vv_rd32(base + VV_AT64(from + i + 4));
            u32 c = vv_rd32(base + VV_AT64(from + i + 8)), d = vv_rd32(base + VV_AT64(from + i + 12));
            vv_wr32(p + i, a);
            vv_wr32(p + i + 4, b);
            vv_wr32(p + i + 8, c);
            vv_wr32(p + i + 12, d);
        }
        for (; i + 4 <= n; i += 4) vv_wr32(p + i, vv_rd32(base + VV_AT64(from + i)));
    }
    for (; i < n; i++) p[i] = base[VV_AT64(from + i)];
}

VV_KERNEL(vv_run)
VV_KERNEL(vv_reset)
VV_KERNEL(vv_gather)
