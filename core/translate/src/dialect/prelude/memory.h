/* Tiled memory. Addresses of VM memory are 32 bits; `vv_off` is wide enough for a tile. Bases already hold the lane. */
#ifdef VV_WIDE
typedef u64 vv_off;
#else
typedef u32 vv_off;
#endif
#if VV_LINEAR
#define VV_AT(a) ((vv_off)(a))
#define VV_AT64(a) ((u64)(a))
#else
/* `(a / cell) * cell * lanes + a % cell`, with one mask. */
#define VV_AT(a) ((vv_off)(a) + ((vv_off)(a) & ~(vv_off)(VV_CELL - 1)) * (VV_LANES - 1))
#define VV_AT64(a) ((u64)(a) + ((u64)(a) & ~(u64)(VV_CELL - 1)) * (VV_LANES - 1))
#endif
/* At a constant offset `o` from a checked address, where the sum is aligned to `w` bytes: whole cells of the offset
   fold into the instruction. */
#if VV_LINEAR
#define VV_NEAR(a, o, w) ((u64)(a) + (o))
#else
#define VV_NEAR_(p, w) ((w) == 1 ? VV_AT(p) : (((vv_off)((p) & ~(u32)(VV_CELL - 1)) << VV_LOG_LANES) + ((p) & (VV_CELL - 1) & ~((w) - 1))))
#define VV_NEAR(a, o, w) ((u64)VV_NEAR_((a) + ((o) & (VV_CELL - 1)), w) + (u64)((o) & ~(u32)(VV_CELL - 1)) * VV_LANES)
#endif
/* Where the memory of a lane begins, with `bytes` of memory for each VM. */
#if VV_LINEAR
#define VV_LANE_BASE(p, thread, bytes) ((p) + (u64)(thread) * (bytes))
#else
#define VV_LANE_BASE(p, thread, bytes) \
    ((p) + (u64)((thread) >> VV_LOG_LANES) * (bytes) * VV_LANES + ((thread) & (VV_LANES - 1)) * VV_CELL)
#endif
/* Offset of a base that is itself a multiple of every cell. */
#if VV_LINEAR
#define VV_SKIP(bytes) ((u64)(bytes))
#else
#define VV_SKIP(bytes) ((u64)(bytes) * VV_LANES)
#endif

/* Aligned accesses: the address is a multiple of the width. */
VV_INLINE u32 vv_w32(vv_gp m, u32 a) { return vv_rd32(m + VV_AT(a)); }
VV_INLINE void vv_sw32(vv_gp m, u32 a, u32 v) { vv_wr32(m + VV_AT(a), v); }
#if !VV_LINEAR && VV_CELL == 4
VV_INLINE u64 vv_w64(vv_gp m, u32 a) { return vv_w32(m, a) | (u64)vv_w32(m, a + 4) << 32; }
VV_INLINE void vv_sw64(vv_gp m, u32 a, u64 v) { vv_sw32(m, a, (u32)v); vv_sw32(m, a + 4, (u32)(v >> 32)); }
#else
VV_INLINE u64 vv_w64(vv_gp m, u32 a) { return vv_rd64(m + VV_AT(a)); }
VV_INLINE void vv_sw64(vv_gp m, u32 a, u64 v) { vv_wr64(m + VV_AT(a), v); }
#endif

VV_INLINE u32 vv_a8(vv_gp m, u32 a, u32 o) { return vv_rd8(m + VV_NEAR(a, o, 1u)); }
VV_INLINE u32 vv_a16(vv_gp m, u32 a, u32 o) { return vv_rd16(m + VV_NEAR(a, o, 2u)); }
VV_INLINE u32 vv_a32(vv_gp m, u32 a, u32 o) { return vv_rd32(m + VV_NEAR(a, o, 4u)); }
VV_INLINE void vv_sa8(vv_gp m, u32 a, u32 o, u32 v) { vv_wr8(m + VV_NEAR(a, o, 1u), v); }
VV_INLINE void vv_sa16(vv_gp m, u32 a, u32 o, u32 v) { vv_wr16(m + VV_NEAR(a, o, 2u), v); }
VV_INLINE void vv_sa32(vv_gp m, u32 a, u32 o, u32 v) { vv_wr32(m + VV_NEAR(a, o, 4u), v); }
/* Halves aligned to 4. */
VV_INLINE u64 vv_h64(vv_gp m, u32 a, u32 o) { return vv_a32(m, a, o) | (u64)vv_a32(m, a, o + 4) << 32; }
VV_INLINE void vv_sh64(vv_gp m, u32 a, u32 o, u64 v) { vv_sa32(m, a, o, (u32)v); vv_sa32(m, a, o + 4, (u32)(v >> 32)); }
#if !VV_LINEAR && VV_CELL == 4
#define vv_a64 vv_h64
#define vv_sa64 vv_sh64
#else
VV_INLINE u64 vv_a64(vv_gp m, u32 a, u32 o) { return vv_rd64(m + VV_NEAR(a, o, 8u)); }
VV_INLINE void vv_sa64(vv_gp m, u32 a, u32 o, u64 v) { vv_wr64(m + VV_NEAR(a, o, 8u), v); }
#endif

/* 16 bytes, if they are contiguous. */
#if VV_PAIRS
#define VV_PAIRED(a) (!((a) & 15u))
VV_INLINE void vv_a128(vv_gp m, u32 a, u32 o, u64 *low, u64 *high) { vv_rd128(m + VV_NEAR(a, o, 16u), low, high); }
VV_INLINE void vv_sa128(vv_gp m, u32 a, u32 o, u64 low, u64 high) { vv_wr128(m + VV_NEAR(a, o, 16u), low, high); }
#endif

/* Accesses of any alignment: two aligned words and a funnel shift, without a branch; where branches are cheap, only if
   a test finds it necessary. */
#ifdef VV_BRANCHY
#define VV_SLOW VV_HELPER
#else
#define VV_SLOW VV_INLINE
#endif
VV_INLINE u32 vv_ld8(vv_gp m, u32 a) { return vv_rd8(m + VV_AT(a)); }
VV_INLINE void vv_st8(vv_gp m, u32 a, u32 v) { vv_wr8(m + VV_AT(a), v); }
VV_INLINE u32 vv_ld16(vv_gp m, u32 a) { return vv_ld8(m, a) | vv_ld8(m, a + 1) << 8; }
VV_INLINE void vv_st16(vv_gp m, u32 a, u32 v) { vv_st8(m, a, v); vv_st8(m, a + 1, v >> 8); }
#if VV_LINEAR && defined(VV_HOST)
VV_INLINE u32 vv_ld32(vv_gp m, u32 a) { return vv_rd32(m + VV_AT(a)); }
VV_INLINE void vv_st32(vv_gp m, u32 a, u32 v) { vv_wr32(m + VV_AT(a), v); }
VV_INLINE u64 vv_ld64(vv_gp m, u32 a) { return vv_rd64(m + VV_AT(a)); }
VV_INLINE void vv_st64(vv_gp m, u32 a, u64 v) { vv_wr64(m + VV_AT(a), v); }
#else
VV_SLOW u32 vv_funnel32(vv_gp m, u32 a) {
    u32 p = a & ~3u;
    return (u32)((vv_w32(m, p) | (u64)vv_w32(m, p + 4) << 32) >> ((a & 3) * 8));
}
VV_SLOW void vv_unfunnel32(vv_gp m, u32 a, u32 v) {
    u32 p = a & ~3u, s = (a & 3) * 8;
    u64 mask = (u64)0xffffffffu << s, bits = (u64)v << s;
    vv_sw32(m, p, (vv_w32(m, p) & ~(u32)mask) | (u32)bits);
    vv_sw32(m, p + 4, (vv_w32(m, p + 4) & ~(u32)(mask >> 32)) | (u32)(bits >> 32));
}
VV_SLOW u64 vv_funnel64(vv_gp m, u32 a) {
    u32 p = a & ~7u, s = (a & 7) * 8;
    return vv_w64(m, p) >> s | vv_w64(m, p + 8) << 1 << (63 - s);
}
VV_SLOW void vv_unfunnel64(vv_gp m, u32 a, u64 v) {
    u32 p = a & ~7u, s = (a & 7) * 8;
    u64 high = ~(u64)0 >> 1 >> (63 - s);
    vv_sw64(m, p, (vv_w64(m, p) & ~(~(u64)0 << s)) | v << s);
    vv_sw64(m, p + 8, (vv_w64(m, p + 8) & ~high) | (v >> 1 >> (63 - s)));
}
#ifdef VV_BRANCHY
VV_INLINE u32 vv_ld32(vv_gp m, u32 a) { return a & 3 ? vv_funnel32(m, a) : vv_w32(m, a); }
VV_INLINE u64 vv_ld64(vv_gp m, u32 a) { return a & 7 ? vv_funnel64(m, a) : vv_w64(m, a); }
VV_INLINE void vv_st32(vv_gp m, u32 a, u32 v) {
    if (a & 3) vv_unfunnel32(m, a, v);
    else vv_sw32(m, a, v);
}
VV_INLINE void vv_st64(vv_gp m, u32 a, u64 v) {
    if (a & 7) vv_unfunnel64(m, a, v);
    else vv_sw64(m, a, v);
}
#else
#define vv_ld32 vv_funnel32
#define vv_ld64 vv_funnel64
#define vv_st32 vv_unfunnel32
#define vv_st64 vv_unfunnel64
#endif
#endif

/* Device buffers that are not tiled (inputs, image). */
#ifndef VV_RO
#define VV_RO(bits, p) vv_rd##bits(p) /* reads memory that no kernel changes meanwhile */
#endif
VV_INLINE u32 vv_ro8(vv_gp p, u32 a) { return VV_RO(8, p + a); }
VV_INLINE u32 vv_ro16(vv_gp p, u32 a) { return VV_RO(16, p + a); }
VV_INLINE u32 vv_ro32(vv_gp p, u32 a) { return VV_RO(32, p + a); }
VV_INLINE u64 vv_ro64(vv_gp p, u32 a) { return VV_RO(64, p + a); }
VV_INLINE u64 vv_in64(vv_gp p) {
#ifdef VV_HOST
    return vv_rd64(p);
#else
    u32 s = (u32)((u64)p & 7);
    p -= s;
    return vv_rd64(p) >> (s * 8) | vv_rd64(p + 8) << 1 << (63 - s * 8);
#endif
}
