/* CUDA C++ for NVRTC. One thread exits by PTX. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;
typedef float f32;
typedef double f64;
typedef u8 *vv_gp;
typedef u64 *vv_gp64;
typedef volatile u32 *vv_gpv;
typedef volatile u64 *vv_gpv64;
#define VV_INLINE static __device__ __forceinline__
#define VV_SMALL static __device__ __forceinline__
#ifdef VV_UNITS
/* The linker keeps one of the helpers of all units: 14 copies of a memcpy would not fit the caches of instructions. */
#define VV_COLD inline __device__ __noinline__
#define VV_HELPER inline __device__ __noinline__
#define VV_FN __device__ __noinline__
#else
#define VV_COLD static __device__ __noinline__
#define VV_HELPER static __device__ __noinline__
#define VV_FN static __device__ __noinline__
#endif
#define VV_CONSTANT static __constant__ const
#define VV_CONSTANT_LARGE static __device__ const
#define VV_BODY VV_INLINE
#define VV_UNROLL _Pragma("unroll")
#define VV_UNLIKELY(x) __builtin_expect(!!(x), 0)
/* Buffers lie in global memory and the VM in local memory: if the compiler knows, a store to a buffer leaves fields of
   the VM in registers (half as many local loads in sha256). It is told once for each base, not for each access, which
   costs compile time: a thousand in one function take minutes. A generic address of global memory is equal to the
   global address. */
#define VV_BASE_ONCE(p) ((vv_gp)__cvta_global_to_generic((size_t)(p)))
#if VV_LINEAR
/* Here NVRTC 13.0 may never end if the base comes from a conversion: thumbnail's JPEG decoder takes 5 s so, and was
   not done after 25 s. (In cells, SQLite runs 8% slower so.) */
VV_INLINE vv_gp vv_global(vv_gp p) { __builtin_assume(__isGlobal(p)); return p; }
#define VV_BASE(p) vv_global(p)
/* And it may never end where it sees that the same comparison chooses an address: 25 lines of SQLite's pcache1Destroy,
   which reload the size in a loop, were not done after 10 minutes. */
VV_INLINE u32 vv_above(u32 a, u32 b) {
    u32 above;
    asm("{ .reg .pred p; setp.gt.u32 p, %1, %2; selp.u32 %0, 1, 0, p; }" : "=r"(above) : "r"(a), "r"(b));
    return above;
}
#define VV_ABOVE(a, b) vv_above(a, b)
#else
#define VV_BASE VV_BASE_ONCE
#endif
#define VV_PRIVATE(p) __builtin_assume(__isLocal(p))
VV_INLINE u32 vv_rd8(vv_gp p) { return *p; }
VV_INLINE u32 vv_rd16(vv_gp p) { return *(u16 *)p; }
VV_INLINE u32 vv_rd32(vv_gp p) { return *(u32 *)p; }
VV_INLINE u64 vv_rd64(vv_gp p) { return *(u64 *)p; }
VV_INLINE void vv_wr8(vv_gp p, u32 v) { *p = (u8)v; }
VV_INLINE void vv_wr16(vv_gp p, u32 v) { *(u16 *)p = (u16)v; }
VV_INLINE void vv_wr32(vv_gp p, u32 v) { *(u32 *)p = v; }
VV_INLINE void vv_wr64(vv_gp p, u64 v) { *(u64 *)p = v; }
VV_INLINE void vv_rd128(vv_gp p, u64 *low, u64 *high) { ulonglong2 v = *(ulonglong2 *)p; *low = v.x; *high = v.y; }
VV_INLINE void vv_wr128(vv_gp p, u64 low, u64 high) { *(ulonglong2 *)p = make_ulonglong2(low, high); }
#define VV_RO(bits, p) __ldg((const u##bits *)(p)) /* a compiler may move it over stores */
VV_INLINE u32 vv_i32_reinterpret(f32 f) { return __float_as_uint(f); }
VV_INLINE u64 vv_i64_reinterpret(f64 f) { return (u64)__double_as_longlong(f); }
VV_INLINE f32 vv_f32(u32 v) { return __uint_as_float(v); }
VV_INLINE f64 vv_f64(u64 v) { return __longlong_as_double((s64)v); }
VV_INLINE u32 vv_clz32(u32 v) { return (u32)__clz((int)v); }
VV_INLINE u64 vv_clz64(u64 v) { return (u64)__clzll((s64)v); }
VV_INLINE u32 vv_popcnt32(u32 v) { return (u32)__popc(v); }
VV_INLINE u64 vv_popcnt64(u64 v) { return (u64)__popcll(v); }
#define vv_raw_ceilf ceilf
#define vv_raw_ceil ceil
#define vv_raw_floorf floorf
#define vv_raw_floor floor
#define vv_raw_truncf truncf
#define vv_raw_trunc trunc
#define vv_raw_rintf rintf
#define vv_raw_rint rint
#define vv_raw_sqrtf __fsqrt_rn
#define vv_raw_sqrt __dsqrt_rn
#define VV_FETCH(p, low, high) do { ulonglong2 v = __ldg((const ulonglong2 *)(p)); low = v.x; high = v.y; } while (0)
#define VV_PIN(v) asm volatile("mov.b64 %0, %0;" : "+l"(v));
#define VV_HALF(low, n) __byte_perm((u32)((low) >> (32 * ((n) / 2))), 0, (n) % 2 ? 0x4432 : 0x4410)
/* All warps together can read the time some 2 * 10^6 times a second, so they count their multiprocessor's cycles, of which
   there are 0.5 a nanosecond at least. */
#define VV_TICKS(vm) vv_cycles()
#define VV_TICKS_IN(ns) ((ns) >> 1)
#define VV_STEP (1u << 21)
VV_INLINE u64 vv_cycles(void) { u64 t; asm volatile("mov.u64 %0, %%clock64;" : "=l"(t)); return t; }
VV_INLINE u64 vv_timer(void) { u64 t; asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t)); return t; }
#define VV_PUBLISH(word, value) do { __threadfence_system(); *(volatile u64 *)&(word) = (value); } while (0)
/* Where the thread's stack, which grows down, ends at present. */
VV_INLINE u64 vv_depth(void) { u64 p; asm volatile("stacksave.u64 %0;" : "=l"(p)); return p; }
/* Behind a call that recurses: keeps the compiler from making a loop of it, which nothing would end. */
#define VV_BACK asm volatile("");
#define VV_EXIT_STATE
#define VV_EXIT(vm) do { vv_end(vm); asm volatile("exit;"); __builtin_unreachable(); } while (0)
/* Not empty: an empty statement would be removed before PTX is compiled. */
#define VV_APART asm volatile("mov.b32 %0, %0;" : "+r"(fuel));
#define VV_ENTER(vm)
#define VV_KERNEL(name) \
    extern "C" __global__ void name(vv_gp a0, vv_gp64 a1, vv_gp a2, vv_gp a3, vv_gp a4, vv_gp a5, vv_gp64 a6, vv_gpv a7, vv_gp a8) { \
        name##_thread(a0, a1, a2, a3, a4, a5, a6, a7, a8, \
                      (blockIdx.x * blockDim.y + threadIdx.y) * VV_LANES + threadIdx.x); \
    }
