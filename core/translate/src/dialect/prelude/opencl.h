/* OpenCL C 1.2. */
#pragma OPENCL FP_CONTRACT OFF
#ifdef cl_khr_fp64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif
typedef uchar u8;
typedef ushort u16;
typedef uint u32;
typedef ulong u64;
typedef char s8;
typedef short s16;
typedef int s32;
typedef long s64;
typedef float f32;
typedef double f64;
typedef __global uchar *vv_gp;
typedef __global ulong *vv_gp64;
typedef volatile __global uint *vv_gpv;
typedef volatile __global ulong *vv_gpv64;
#define VV_INLINE static inline __attribute__((always_inline))
#define VV_SMALL static inline __attribute__((always_inline))
#define VV_COLD static __attribute__((noinline))
#define VV_HELPER static __attribute__((noinline))
#define VV_FN static __attribute__((noinline))
#define VV_CONSTANT __constant
#define VV_CONSTANT_LARGE VV_CONSTANT
#define VV_BODY VV_INLINE
#define VV_UNLIKELY(x) (x)
VV_INLINE u32 vv_rd8(vv_gp p) { return *p; }
VV_INLINE u32 vv_rd16(vv_gp p) { return *(__global u16 *)p; }
VV_INLINE u32 vv_rd32(vv_gp p) { return *(__global u32 *)p; }
VV_INLINE u64 vv_rd64(vv_gp p) { return *(__global u64 *)p; }
VV_INLINE void vv_wr8(vv_gp p, u32 v) { *p = (u8)v; }
VV_INLINE void vv_wr16(vv_gp p, u32 v) { *(__global u16 *)p = (u16)v; }
VV_INLINE void vv_wr32(vv_gp p, u32 v) { *(__global u32 *)p = v; }
VV_INLINE void vv_wr64(vv_gp p, u64 v) { *(__global u64 *)p = v; }
VV_INLINE void vv_rd128(vv_gp p, u64 *low, u64 *high) { ulong2 v = *(__global ulong2 *)p; *low = v.x; *high = v.y; }
VV_INLINE void vv_wr128(vv_gp p, u64 low, u64 high) { *(__global ulong2 *)p = (ulong2)(low, high); }
VV_INLINE u32 vv_i32_reinterpret(f32 f) { return as_uint(f); }
VV_INLINE u64 vv_i64_reinterpret(f64 f) { return as_ulong(f); }
VV_INLINE f32 vv_f32(u32 v) { return as_float(v); }
VV_INLINE f64 vv_f64(u64 v) { return as_double(v); }
VV_INLINE u32 vv_clz32(u32 v) { return clz(v); }
VV_INLINE u64 vv_clz64(u64 v) { return clz(v); }
VV_INLINE u32 vv_popcnt32(u32 v) { return popcount(v); }
VV_INLINE u64 vv_popcnt64(u64 v) { return popcount(v); }
#define vv_raw_ceilf ceil
#define vv_raw_ceil ceil
#define vv_raw_floorf floor
#define vv_raw_floor floor
#define vv_raw_truncf trunc
#define vv_raw_trunc trunc
#ifdef VV_BRANCHY
/* PoCL's rint branches on a conversion to int that overflows for large numbers. That is undefined, and where the
   operand is a constant, the compiler removes all that follows. */
VV_INLINE f32 vv_raw_rintf(f32 v) { return fabs(v) < 0x1p23f ? copysign((fabs(v) + 0x1p23f) - 0x1p23f, v) : v; }
VV_INLINE f64 vv_raw_rint(f64 v) { return fabs(v) < 0x1p52 ? copysign((fabs(v) + 0x1p52) - 0x1p52, v) : v; }
#else
#define vv_raw_rintf rint
#define vv_raw_rint rint
#endif
#define vv_raw_sqrtf sqrt
#define vv_raw_sqrt sqrt
#define VV_EXIT_STATE
#ifdef VV_NVIDIA
#define VV_EXIT(vm) do { vv_end(vm); __asm volatile("exit;"); } while (0)
#endif
#define VV_ENTER(vm)
#define VV_KERNEL(name) \
    __kernel __attribute__((reqd_work_group_size(VV_LANES, 1, 1))) void name(__global uchar *a0, __global ulong *a1, __global uchar *a2, __global uchar *a3, __global uchar *a4, \
                       __global uchar *a5, __global ulong *a6, volatile __global uint *a7, __global uchar *a8) { \
        name##_thread(a0, a1, a2, a3, a4, a5, a6, a7, a8, (u32)get_global_id(0)); \
    }
