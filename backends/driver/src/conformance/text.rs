//! The suite's kernels, in the languages that devices take.

use crate::Language;

/// Types, address spaces, and `KERNEL(N)`, which defines the kernel N that runs the function `N_lane` for each lane.
pub fn prelude(language: Language) -> &'static str {
    match language {
        Language::C => concat!(
            "#include <stdint.h>\n#include <math.h>\ntypedef uint32_t u32;\ntypedef uint64_t u64;\n#define GLOBAL\n#define DEVICE\n",
            "static u32 bits_of(float f) { u32 b; __builtin_memcpy(&b, &f, 4); return b; }\n",
            "static float float_of(u32 b) { float f; __builtin_memcpy(&f, &b, 4); return f; }\n",
            "static float root(float f) { return sqrtf(f); }\n",
            "#define KERNEL(N) __attribute__((visibility(\"default\"))) void N(void *const *args, u32 tile, u32 lanes) ",
            "{ for (u32 lane = 0; lane < lanes; lane++) N##_lane(args[0], args[1], args[2], tile, lane, lanes); }\n",
        ),
        Language::OpenCl => concat!(
            "#pragma OPENCL FP_CONTRACT OFF\ntypedef uint u32;\ntypedef ulong u64;\n#define GLOBAL __global\n#define DEVICE\n",
            "u32 bits_of(float f) { return as_uint(f); }\nfloat float_of(u32 b) { return as_float(b); }\n",
            "float root(float f) { return sqrt(f); }\n",
            "#define KERNEL(N) __kernel void N(__global u32 *a, __global u32 *b, __global u32 *c) ",
            "{ N##_lane(a, b, c, (u32)get_group_id(0), (u32)get_local_id(0), (u32)get_local_size(0)); }\n",
        ),
        Language::Cuda => concat!(
            "typedef unsigned int u32;\ntypedef unsigned long long u64;\n#define GLOBAL\n#define DEVICE __device__\n",
            "static __device__ u32 bits_of(float f) { return __float_as_uint(f); }\n",
            "static __device__ float float_of(u32 b) { return __uint_as_float(b); }\n",
            "static __device__ float root(float f) { return __fsqrt_rn(f); }\n",
            "#define KERNEL(N) extern \"C\" __global__ void N(u32 *a, u32 *b, u32 *c) ",
            "{ N##_lane(a, b, c, blockIdx.x * blockDim.y + threadIdx.y, threadIdx.x, blockDim.x); }\n",
        ),
        // The compiler's builtins only: HIP's own __fsqrt_rn is not correctly rounded. With the quirk `patch` the
        // builtin is not either: then the root is the float whose midpoints to its neighbours, squared, enclose the
        // argument.
        Language::Hip => concat!(
            "#define __device__ __attribute__((device))\n#define __global__ __attribute__((global))\n",
            "typedef unsigned int u32;\ntypedef unsigned long long u64;\n#define GLOBAL\n#define DEVICE __device__\n",
            "static __device__ u32 bits_of(float f) { return __builtin_bit_cast(u32, f); }\n",
            "static __device__ float float_of(u32 b) { return __builtin_bit_cast(float, b); }\n",
            "static __device__ float root(float f) {\n    float near = __builtin_sqrtf(f);\n#ifdef VV_PATCH\n",
            "    float below = float_of(bits_of(near) - 1), above = float_of(bits_of(near) + 1);\n",
            "    double low = ((double)below + near) / 2, high = ((double)near + above) / 2;\n",
            "    near = f < low * low ? below : f > high * high ? above : near;\n#endif\n    return near;\n}\n",
            "#define KERNEL(N) extern \"C\" __global__ void N(u32 *a, u32 *b, u32 *c) { N##_lane(a, b, c, ",
            "__builtin_amdgcn_workgroup_id_x(), __builtin_amdgcn_workitem_id_x(), __builtin_amdgcn_workgroup_size_x()); }\n",
        ),
    }
}

/// Declares the function of `UNIT` that `KERNELS` calls.
pub const HEADER: &str = "DEVICE u64 mix(u32 x, u32 y);\n";

/// A unit without kernels.
pub const UNIT: &str = "DEVICE u64 mix(u32 x, u32 y) {
    u64 wide = (u64)x * 0x9e3779b97f4a7c15ul;
    return (wide << (y & 63)) ^ (wide >> (x & 63)) ^ y;
}
";

/// The kernels. Each takes three buffers and works on words.
pub const KERNELS: &str = "
#define LANE(N) DEVICE void N##_lane(GLOBAL u32 *a, GLOBAL u32 *b, GLOBAL u32 *c, u32 tile, u32 lane, u32 lanes)
// Lanes are at most 64 here, and one bit says that the thread ran.
LANE(place) { a[tile * lanes + lane] += tile << 8 | lane << 1 | 1; }
KERNEL(place)
LANE(address) { a[0] = (u32)(u64)a & 255; a[1] = (u32)(u64)b & 255; a[2] = c == 0; }
KERNEL(address)
LANE(advance) { u32 i = tile * lanes + lane; a[i] = b[i] * 3 + 1; }
KERNEL(advance)
LANE(steps) {
    u32 x = b[1];
    for (u32 left = b[0]; left != 0; left--) x = x * 1664525u + lane;
    a[tile * lanes + lane] = x;
}
KERNEL(steps)
LANE(answers) {
    u32 i = tile * lanes + lane;
    u32 x = b[i], y = b[(i + 1) & 255];
    u64 wide = mix(x, y);
    float f = float_of(x >> 9 | 0x3f800000u), g = float_of(y >> 9 | 0x3f800000u);
    GLOBAL u32 *to = a + i * 6;
    to[0] = (u32)wide ^ (u32)(wide >> 32);
    to[1] = (u32)((int)x / ((int)(y >> 16) | 1));
    to[2] = bits_of(f * g - 1.5f);
    to[3] = bits_of(f / g);
    to[4] = bits_of(root(f * 3.0f));
    to[5] = bits_of(f * float_of(0x01000000u) * float_of(0x3a000000u));
}
KERNEL(answers)
LANE(listen) {
    volatile GLOBAL u32 *word = (volatile GLOBAL u32 *)b;
    u32 heard = 0;
    for (u32 i = 0; i < 400000000u && heard == 0; i++) heard = *word;
    a[tile * lanes + lane] = heard;
}
KERNEL(listen)
";
