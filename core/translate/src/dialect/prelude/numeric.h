/* Integer and float operations exactly as the WebAssembly spec has them, from the dialect's primitives. */
VV_INLINE u32 vv_ctz32(u32 v) { return v ? 31 - vv_clz32(v & (0 - v)) : 32; }
VV_INLINE u64 vv_ctz64(u64 v) { return v ? 63 - vv_clz64(v & (0 - v)) : 64; }
VV_INLINE u32 vv_rotl32(u32 v, u32 n) { return v << (n & 31) | v >> ((0 - n) & 31); }
VV_INLINE u64 vv_rotl64(u64 v, u64 n) { return v << (n & 63) | v >> ((0 - n) & 63); }
VV_INLINE u32 vv_rotr32(u32 v, u32 n) { return v >> (n & 31) | v << ((0 - n) & 31); }
VV_INLINE u64 vv_rotr64(u64 v, u64 n) { return v >> (n & 63) | v << ((0 - n) & 63); }
VV_INLINE f32 vv_f32_abs(f32 v) { return vv_f32(vv_i32_reinterpret(v) & 0x7fffffffu); }
VV_INLINE f64 vv_f64_abs(f64 v) { return vv_f64(vv_i64_reinterpret(v) & 0x7fffffffffffffffu); }
VV_INLINE f32 vv_f32_neg(f32 v) { return vv_f32(vv_i32_reinterpret(v) ^ 0x80000000u); }
VV_INLINE f64 vv_f64_neg(f64 v) { return vv_f64(vv_i64_reinterpret(v) ^ 0x8000000000000000u); }
VV_INLINE f32 vv_f32_copysign(f32 a, f32 b) {
    return vv_f32((vv_i32_reinterpret(a) & 0x7fffffffu) | (vv_i32_reinterpret(b) & 0x80000000u));
}
VV_INLINE f64 vv_f64_copysign(f64 a, f64 b) {
    return vv_f64((vv_i64_reinterpret(a) & 0x7fffffffffffffffu) | (vv_i64_reinterpret(b) & 0x8000000000000000u));
}
/* A NaN operand comes out quiet, its payload kept. */
VV_INLINE f32 vv_quiet32(f32 v) { return vv_f32(vv_i32_reinterpret(v) | 0x00400000u); }
VV_INLINE f64 vv_quiet64(f64 v) { return vv_f64(vv_i64_reinterpret(v) | 0x0008000000000000u); }
/* NVIDIA's f32 units give the NaN 0x7fffffff, which the spec does not allow where no operand is such a NaN. */
#if defined(__CUDACC_RTC__) || defined(__CUDA_ARCH__) || defined(VV_NVIDIA)
VV_INLINE f32 vv_nan32(f32 v) { return v != v ? vv_f32(0x7fc00000u) : v; }
#define VV_NAN32(v) vv_nan32(v)
#else
#define VV_NAN32(v) (v)
#endif
/* NVIDIA's OpenCL compiler folds x / 2 * 2 to x, also where x / 2 is not exact. */
#if defined(VV_NVIDIA) && defined(__OPENCL_VERSION__)
VV_INLINE f32 vv_f32_div(f32 a, f32 b) {
    f32 r;
    __asm("div.rn.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}
#else
VV_INLINE f32 vv_f32_div(f32 a, f32 b) { return a / b; }
#endif
VV_INLINE f32 vv_f32_same(f32 v) { return v != v ? vv_quiet32(v) : v; }
VV_INLINE f64 vv_f64_same(f64 v) { return v != v ? vv_quiet64(v) : v; }
/* Compilers remove a demotion of a promotion, and then a signalling NaN would stay one. */
VV_INLINE f32 vv_f32_demote(f64 v) {
    return VV_NAN32(vv_f32_same((f32)v));
}
#define VV_ROUND(name, f, quiet, raw) VV_INLINE f name(f v) { return v != v ? quiet(v) : raw(v); }
VV_ROUND(vv_f32_ceil, f32, vv_quiet32, vv_raw_ceilf)
VV_ROUND(vv_f64_ceil, f64, vv_quiet64, vv_raw_ceil)
VV_ROUND(vv_f32_floor, f32, vv_quiet32, vv_raw_floorf)
VV_ROUND(vv_f64_floor, f64, vv_quiet64, vv_raw_floor)
VV_ROUND(vv_f32_trunc, f32, vv_quiet32, vv_raw_truncf)
VV_ROUND(vv_f64_trunc, f64, vv_quiet64, vv_raw_trunc)
VV_ROUND(vv_f32_nearest, f32, vv_quiet32, vv_raw_rintf)
VV_ROUND(vv_f64_nearest, f64, vv_quiet64, vv_raw_rint)
#ifdef VV_PATCH
/* For a compiler whose square root is not correctly rounded (clang 17 and older for AMD): computed bit by bit, from the
   mantissa followed by as many zeros. */
VV_HELPER f64 vv_f64_sqrt(f64 v) {
    if (v != v) return vv_quiet64(v);
    u64 bits = vv_i64_reinterpret(v);
    if (bits << 1 == 0 || bits == 0x7ff0000000000000u) return v;
    if (bits >> 63) return vv_f64(0x7ff8000000000000u);
    s32 exponent = (s32)(bits >> 52);
    u64 mantissa = bits & 0xfffffffffffffu, root = 0, rest = 0;
    if (exponent == 0) {
        u32 shift = (u32)vv_clz64(mantissa) - 11;
        mantissa <<= shift;
        exponent = 1 - (s32)shift;
    } else mantissa |= (u64)1 << 52;
    if (!(exponent & 1)) mantissa <<= 1; /* the bias is odd */
    for (u32 i = 0; i < 54; i++, mantissa <<= 2) {
        rest = rest << 2 | (mantissa >> 52 & 3);
        u64 test = root << 2 | 1, fits = rest >= test;
        if (fits) rest -= test;
        root = root << 1 | fits;
    }
    /* The last bit rounds; a root is never halfway between two numbers. */
    return vv_f64(((u64)((exponent + 1021) >> 1) << 52) + ((root + 1) >> 1));
}
VV_INLINE f32 vv_f32_sqrt(f32 v) { return vv_f32_demote(vv_f64_sqrt((f64)v)); }
#else
#define vv_f32_sqrt vv_raw_sqrtf
#define vv_f64_sqrt vv_raw_sqrt
#endif
VV_INLINE f32 vv_f32_min(f32 a, f32 b) {
    if (a != a) return vv_quiet32(a);
    if (b != b) return vv_quiet32(b);
    if (a == b) return vv_f32(vv_i32_reinterpret(a) | vv_i32_reinterpret(b));
    return a < b ? a : b;
}
VV_INLINE f32 vv_f32_max(f32 a, f32 b) {
    if (a != a) return vv_quiet32(a);
    if (b != b) return vv_quiet32(b);
    if (a == b) return vv_f32(vv_i32_reinterpret(a) & vv_i32_reinterpret(b));
    return a > b ? a : b;
}
VV_INLINE f64 vv_f64_min(f64 a, f64 b) {
    if (a != a) return vv_quiet64(a);
    if (b != b) return vv_quiet64(b);
    if (a == b) return vv_f64(vv_i64_reinterpret(a) | vv_i64_reinterpret(b));
    return a < b ? a : b;
}
VV_INLINE f64 vv_f64_max(f64 a, f64 b) {
    if (a != a) return vv_quiet64(a);
    if (b != b) return vv_quiet64(b);
    if (a == b) return vv_f64(vv_i64_reinterpret(a) & vv_i64_reinterpret(b));
    return a > b ? a : b;
}
/* Saturating conversions; only a value that fits is cast. Bounds are exact in the float's type. */
#define VV_SAT(name, f, i, s, low, low_value, high, high_value) \
    VV_INLINE i name(f v) { \
        if (v != v) return 0; \
        if (!(v > (f)(low))) return (i)(low_value); \
        if (!(v < (f)(high))) return (i)(high_value); \
        return (i)(s)v; \
    }
VV_SAT(vv_i32_sat_f32_s, f32, u32, s32, -2147483648.0, 0x80000000u, 2147483648.0, 0x7fffffffu)
VV_SAT(vv_i32_sat_f32_u, f32, u32, u32, -1.0, 0, 4294967296.0, 0xffffffffu)
VV_SAT(vv_i32_sat_f64_s, f64, u32, s32, -2147483649.0, 0x80000000u, 2147483648.0, 0x7fffffffu)
VV_SAT(vv_i32_sat_f64_u, f64, u32, u32, -1.0, 0, 4294967296.0, 0xffffffffu)
VV_SAT(vv_i64_sat_f32_s, f32, u64, s64, -9223372036854775808.0, 0x8000000000000000u, 9223372036854775808.0, 0x7fffffffffffffffu)
VV_SAT(vv_i64_sat_f32_u, f32, u64, u64, -1.0, 0, 18446744073709551616.0, 0xffffffffffffffffu)
VV_SAT(vv_i64_sat_f64_s, f64, u64, s64, -9223372036854775808.0, 0x8000000000000000u, 9223372036854775808.0, 0x7fffffffffffffffu)
VV_SAT(vv_i64_sat_f64_u, f64, u64, u64, -1.0, 0, 18446744073709551616.0, 0xffffffffffffffffu)
/* Trapping conversions: 0 = fits, else the trap. f32 and f64 bounds differ: -2147483649 is no f32. */
VV_INLINE u32 vv_range32(f32 v, f32 low, u32 closed, f32 high) {
    if (v != v) return VV_INVALID_CONVERSION;
    return (closed ? v >= low : v > low) && v < high ? 0 : VV_INTEGER_OVERFLOW;
}
VV_INLINE u32 vv_range64(f64 v, f64 low, u32 closed, f64 high) {
    if (v != v) return VV_INVALID_CONVERSION;
    return (closed ? v >= low : v > low) && v < high ? 0 : VV_INTEGER_OVERFLOW;
}
