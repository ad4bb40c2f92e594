/* GNU C11 for the system's compiler. A thread exits by longjmp to its kernel. */
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
typedef float f32;
typedef double f64;
typedef uint8_t *vv_gp;          /* device memory, bytes */
typedef uint64_t *vv_gp64;       /* device memory, words */
typedef volatile uint32_t *vv_gpv;
typedef volatile uint64_t *vv_gpv64;
#define VV_INLINE static inline __attribute__((always_inline, unused))
#define VV_SMALL static inline __attribute__((unused))
#define VV_COLD static __attribute__((noinline, cold, unused))
#define VV_HELPER static __attribute__((noinline, unused))
#ifdef VV_UNITS
#define VV_FN __attribute__((visibility("hidden")))
#else
#define VV_FN static __attribute__((unused))
#endif
/* For a function of many short pieces, which gcc takes twice as long to optimise more. Where it is older, that would undo
   options. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define VV_QUICK __attribute__((optimize("O1", "expensive-optimizations")))
#else
#define VV_QUICK
#endif
#define VV_BODY static __attribute__((noinline)) /* setjmp forbids inlining */
#define VV_CONSTANT static const
#define VV_CONSTANT_LARGE VV_CONSTANT
#define VV_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define VV_HOST 1                /* unaligned loads, memcpy and its family */
/* /proc/self/pagemap, if the driver could open it: a word for each page of the process, of which all bits but one are 0
   if the page was never touched. Such a page of a device's buffer is zero, and clearing it would cost a page. */
__attribute__((visibility("default"), weak)) int vv_pagemap = -1;
#define VV_SOFT_DIRTY (1ul << 55)
#define VV_LOOK 262144u          /* from so many bytes on, looking costs less than clearing */
static __attribute__((noinline, unused)) void vv_zero(vv_gp p, u64 n) {
    u64 page = (u64)sysconf(_SC_PAGESIZE), words[256];
    while (n >= VV_LOOK && vv_pagemap >= 0) {
        u64 skip = (u64)p % page, count = (skip + n) / page;
        if (count > 256) count = 256;
        ssize_t got = pread(vv_pagemap, words, count * 8, (off_t)((u64)p / page * 8));
        if (got < 8) break;
        for (ssize_t i = 0; i < got / 8; i++, skip = 0) {
            u64 bytes = page - skip;
            if (words[i] & ~VV_SOFT_DIRTY) memset(p, 0, bytes);
            p += bytes;
            n -= bytes;
        }
    }
    memset(p, 0, n);
}
VV_INLINE u32 vv_rd8(vv_gp p) { return *p; }
VV_INLINE u32 vv_rd16(vv_gp p) { u16 v; memcpy(&v, p, 2); return v; }
VV_INLINE u32 vv_rd32(vv_gp p) { u32 v; memcpy(&v, p, 4); return v; }
VV_INLINE u64 vv_rd64(vv_gp p) { u64 v; memcpy(&v, p, 8); return v; }
VV_INLINE void vv_wr8(vv_gp p, u32 v) { *p = (u8)v; }
VV_INLINE void vv_wr16(vv_gp p, u32 v) { u16 h = (u16)v; memcpy(p, &h, 2); }
VV_INLINE void vv_wr32(vv_gp p, u32 v) { memcpy(p, &v, 4); }
VV_INLINE void vv_wr64(vv_gp p, u64 v) { memcpy(p, &v, 8); }
VV_INLINE void vv_rd128(vv_gp p, u64 *low, u64 *high) { *low = vv_rd64(p); *high = vv_rd64(p + 8); }
VV_INLINE void vv_wr128(vv_gp p, u64 low, u64 high) { vv_wr64(p, low); vv_wr64(p + 8, high); }
VV_INLINE u32 vv_i32_reinterpret(f32 f) { u32 v; memcpy(&v, &f, 4); return v; }
VV_INLINE u64 vv_i64_reinterpret(f64 f) { u64 v; memcpy(&v, &f, 8); return v; }
VV_INLINE f32 vv_f32(u32 v) { f32 f; memcpy(&f, &v, 4); return f; }
VV_INLINE f64 vv_f64(u64 v) { f64 f; memcpy(&f, &v, 8); return f; }
VV_INLINE u32 vv_clz32(u32 v) { return v ? (u32)__builtin_clz(v) : 32; }
VV_INLINE u64 vv_clz64(u64 v) { return v ? (u64)__builtin_clzll(v) : 64; }
VV_INLINE u32 vv_popcnt32(u32 v) { return (u32)__builtin_popcount(v); }
VV_INLINE u64 vv_popcnt64(u64 v) { return (u64)__builtin_popcountll(v); }
#define vv_raw_ceilf __builtin_ceilf
#define vv_raw_ceil __builtin_ceil
#define vv_raw_floorf __builtin_floorf
#define vv_raw_floor __builtin_floor
#define vv_raw_truncf __builtin_truncf
#define vv_raw_trunc __builtin_trunc
#define vv_raw_rintf __builtin_rintf
#define vv_raw_rint __builtin_rint
#define vv_raw_sqrtf __builtin_sqrtf
#define vv_raw_sqrt __builtin_sqrt
/* Where the native stack, which grows down, ends at present. */
VV_INLINE u64 vv_depth(void) {
#if defined(__x86_64__)
    u64 p;
    __asm__ volatile("mov %%rsp, %0" : "=r"(p));
    return p;
#elif defined(__aarch64__)
    u64 p;
    __asm__ volatile("mov %0, sp" : "=r"(p));
    return p;
#else
    return (u64)__builtin_frame_address(0);
#endif
}
/* Behind a call that recurses: keeps a compiler from making a loop of it, which nothing would end. */
#define VV_BACK __asm__ volatile("");
VV_INLINE u64 vv_clock(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}
VV_INLINE u64 vv_timer(void) { return vv_clock(CLOCK_MONOTONIC); }
#ifdef VV_TIMER
/* A VM's time is that of its thread, which may wait for others. */
#define VV_USED(vm) vv_clock(CLOCK_THREAD_CPUTIME_ID)
#endif
#define VV_PUBLISH(word, value) __atomic_store_n(&(word), value, __ATOMIC_RELEASE)
#define VV_EXIT_STATE jmp_buf exit;
#define VV_EXIT(vm) longjmp(vm->exit, 1)
#define VV_ENTER(vm) (void)_setjmp(vm->exit)
#define VV_KERNEL(name) \
    __attribute__((visibility("default"))) void name(void *const *a, u32 tile, u32 lanes) { \
        for (u32 lane = 0; lane < lanes; lane++) \
            name##_thread((vv_gp)a[0], (vv_gp64)a[1], (vv_gp)a[2], (vv_gp)a[3], (vv_gp)a[4], (vv_gp)a[5], (vv_gp64)a[6], \
                          (vv_gpv)a[7], (vv_gp)a[8], tile * lanes + lane); \
    }
