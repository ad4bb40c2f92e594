// PBKDF2-HMAC-SHA256 and scrypt (r = p = 1), handwritten: one hash for each thread, everything except scrypt's V in
// registers.
//
// CUDA C++, and C for the processor, so that tests need no GPU. A kernel is given:
//   out         words of the keys; word i of thread t is out[i * threads + t]
//   in          four words of password and four of salt, in the same layout
//   scratch     scrypt: 128 bytes times N for each thread
//   parameters  iterations or N; the number of threads
//
// Each kernel also exists with half and with all of some rotations in its loops as products of 64 bits.

#ifdef __CUDACC__
typedef unsigned int u32;
typedef unsigned long long u64;
#define DEVICE static __device__ __forceinline__
#define ROTR(x, n) __funnelshift_r(x, x, n)
#define SWAP(x) __byte_perm(x, 0, 0x0123)
#define KERNEL(NAME)                                                                                                  \
    extern "C" __global__ void NAME(u32 *out, const u32 *in, uint4 *scratch, const u32 *parameters) {                 \
        NAME##_thread(out, in, scratch, parameters[0], parameters[1], blockIdx.x * blockDim.y + threadIdx.y,          \
                      threadIdx.x, blockDim.x);                                                                       \
    }
#else
#include <stdint.h>
typedef uint32_t u32;
typedef uint64_t u64;
typedef struct { u32 x, y, z, w; } uint4;
#define DEVICE static inline
#define ROTR(x, n) ((x) >> (n) | (x) << (32 - (n)))
#define SWAP(x) __builtin_bswap32(x)
#define KERNEL(NAME)                                                                                                  \
    __attribute__((visibility("default"))) void NAME(void *const *args, u32 tile, u32 lanes) {                        \
        const u32 *parameters = (const u32 *)args[3];                                                                 \
        for (u32 lane = 0; lane < lanes; lane++)                                                                      \
            NAME##_thread((u32 *)args[0], (const u32 *)args[1], (uint4 *)args[2], parameters[0], parameters[1], tile, \
                          lane, lanes);                                                                               \
    }
#endif

#define EACH(i, count) _Pragma("unroll") for (int i = 0; i < count; i++)

// to ^ (x rotated right), as a product of 64 bits if wanted: its two halves have the parts of the rotated word, and GPUs
// can multiply while they shift and xor. The compiler must not know that `zero` is that: it would shift.
DEVICE u32 turned(u32 to, u32 x, int right, int by_product, u32 zero) {
    if (!by_product) return to ^ ROTR(x, right);
    u64 product = (u64)x * ((1u << (32 - right)) + zero);
    return to ^ (u32)product ^ (u32)(product >> 32);
}

// Adds a block of 16 words to a SHA-256 state. Overwrites the block with the last words of the message schedule. Bits of
// `products` say which rotations are products: those of e, and those of a.
DEVICE void compress(u32 state[8], u32 w[16], int products, u32 zero) {
    const u32 k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    u32 a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
    EACH(i, 64) {
        if (i >= 16) {
            u32 early = w[(i + 1) & 15], late = w[(i + 14) & 15];
            w[i & 15] += (ROTR(early, 7) ^ ROTR(early, 18) ^ early >> 3) + w[(i + 9) & 15] +
                         (ROTR(late, 17) ^ ROTR(late, 19) ^ late >> 10);
        }
        int of_e = products & 1, of_a = products & 2;
        u32 sum_e = turned(turned(turned(0, e, 6, of_e, zero), e, 11, of_e, zero), e, 25, of_e, zero);
        u32 sum_a = turned(turned(turned(0, a, 2, of_a, zero), a, 13, of_a, zero), a, 22, of_a, zero);
        u32 t = h + sum_e + (g ^ (e & (f ^ g))) + (k[i] + w[i & 15]);
        u32 u = sum_a + ((a & b) | (c & (a | b)));
        h = g, g = f, f = e, e = d + t, d = c, c = b, b = a, a = t + u;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

// state = from + the final block of a message: one digest after the padded key.
DEVICE void compress_digest(u32 state[8], const u32 from[8], const u32 digest[8], int products, u32 zero) {
    u32 w[16];
    EACH(i, 8) w[i] = digest[i], w[8 + i] = 0, state[i] = from[i];
    w[8] = 0x80000000;
    w[15] = (64 + 32) * 8;
    compress(state, w, products, zero);
}

// The SHA-256 states after HMAC's inner and outer padded key.
DEVICE void hmac_key(u32 inner[8], u32 outer[8], const u32 password[4]) {
    const u32 start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    u32 w[16];
    EACH(i, 16) w[i] = (i < 4 ? password[i & 3] : 0) ^ 0x36363636;
    EACH(i, 8) inner[i] = outer[i] = start[i];
    compress(inner, w, 0, 0);
    EACH(i, 16) w[i] = (i < 4 ? password[i & 3] : 0) ^ 0x5c5c5c5c;
    compress(outer, w, 0, 0);
}

// HMAC of the salt and a block's number: PBKDF2's first iteration of that block.
DEVICE void first(u32 digest[8], const u32 inner[8], const u32 outer[8], const u32 salt[4], u32 number) {
    u32 w[16];
    EACH(i, 16) w[i] = i < 4 ? salt[i & 3] : 0;
    w[4] = number;
    w[5] = 0x80000000;
    w[15] = (64 + 16 + 4) * 8;
    EACH(i, 8) digest[i] = inner[i];
    compress(digest, w, 0, 0);
    compress_digest(digest, outer, digest, 0, 0);
}

DEVICE void pbkdf2_with(int products, u32 *out, const u32 *in, u32 iterations, u32 threads, u64 thread) {
    u32 zero = iterations >> 31;
    u32 password[4], salt[4], inner[8], outer[8], digest[8], key[8];
    EACH(i, 4) password[i] = in[(u64)i * threads + thread], salt[i] = in[(u64)(4 + i) * threads + thread];
    hmac_key(inner, outer, password);
    first(digest, inner, outer, salt, 1);
    EACH(i, 8) key[i] = digest[i];
    for (u32 done = 1; done < iterations; done++) {
        compress_digest(digest, inner, digest, products, zero);
        compress_digest(digest, outer, digest, products, zero);
        EACH(i, 8) key[i] ^= digest[i];
    }
    EACH(i, 8) out[(u64)i * threads + thread] = key[i];
}
#define PBKDF2(NAME, PRODUCTS)                                                                                        \
    DEVICE void NAME##_thread(u32 *out, const u32 *in, uint4 *scratch, u32 iterations, u32 threads, u32 tile,         \
                              u32 lane, u32 lanes) {                                                                  \
        pbkdf2_with(PRODUCTS, out, in, iterations, threads, (u64)tile * lanes + lane);                                \
    }                                                                                                                 \
    KERNEL(NAME)
PBKDF2(pbkdf2, 0)
PBKDF2(pbkdf2_half, 1)
PBKDF2(pbkdf2_all, 3)

#define QUARTER(a, b, c, d)                                                                                           \
    x[b] = turned(x[b], x[a] + x[d], 25, products & 1, zero), x[c] = turned(x[c], x[b] + x[a], 23, products & 2, zero), \
    x[d] = turned(x[d], x[c] + x[b], 19, products & 4, zero), x[a] = turned(x[a], x[d] + x[c], 14, products & 8, zero)

// b ^= a, then Salsa20/8 on it. Bits of `products` say which of the four rotations of a quarter round are products.
DEVICE void salsa(u32 *b, const u32 *a, int products, u32 zero) {
    u32 x[16];
    EACH(i, 16) x[i] = b[i] ^= a[i];
    EACH(i, 4) {
        QUARTER(0, 4, 8, 12), QUARTER(5, 9, 13, 1), QUARTER(10, 14, 2, 6), QUARTER(15, 3, 7, 11);
        QUARTER(0, 1, 2, 3), QUARTER(5, 6, 7, 4), QUARTER(10, 11, 8, 9), QUARTER(15, 12, 13, 14);
    }
    EACH(i, 16) b[i] += x[i];
}

DEVICE void mix(u32 b[32], int products, u32 zero) {
    salsa(b, b + 16, products, zero);
    salsa(b + 16, b, products, zero);
}

// Where quarter `q` of a row begins. Each lane has 32 bytes, a whole sector, followed by the next lane's.
#define QUARTER_ROW(row, q) (scratch + ((((u64)tile * n + (row)) * 4 + (q)) * lanes + lane) * 2)

DEVICE void scrypt_with(int products, u32 *out, const u32 *in, uint4 *scratch, u32 n, u32 threads, u32 tile, u32 lane,
                        u32 lanes) {
    u32 zero = n >> 31;
    u64 thread = (u64)tile * lanes + lane;
    u32 password[4], salt[4], inner[8], outer[8], b[32];
    EACH(i, 4) password[i] = in[(u64)i * threads + thread], salt[i] = in[(u64)(4 + i) * threads + thread];
    hmac_key(inner, outer, password);
    EACH(i, 4) first(b + 8 * i, inner, outer, salt, i + 1);
    EACH(i, 32) b[i] = SWAP(b[i]);

    for (u32 row = 0; row < n; row++) {
        EACH(i, 4) {
            uint4 *to = QUARTER_ROW(row, i);
            uint4 low = {b[8 * i], b[8 * i + 1], b[8 * i + 2], b[8 * i + 3]};
            uint4 high = {b[8 * i + 4], b[8 * i + 5], b[8 * i + 6], b[8 * i + 7]};
            to[0] = low, to[1] = high;
        }
        mix(b, products, zero);
    }
    for (u32 done = 0; done < n; done++) {
        u32 row = b[16] & (n - 1);
        EACH(i, 4) {
            const uint4 *from = QUARTER_ROW(row, i);
            uint4 low = from[0], high = from[1];
            b[8 * i] ^= low.x, b[8 * i + 1] ^= low.y, b[8 * i + 2] ^= low.z, b[8 * i + 3] ^= low.w;
            b[8 * i + 4] ^= high.x, b[8 * i + 5] ^= high.y, b[8 * i + 6] ^= high.z, b[8 * i + 7] ^= high.w;
        }
        mix(b, products, zero);
    }

    // PBKDF2 again, with the 128 bytes of `b` as the salt.
    EACH(half, 2) {
        u32 w[16];
        EACH(i, 16) w[i] = SWAP(b[16 * half + i]);
        compress(inner, w, 0, 0);
    }
    EACH(half, 2) {
        u32 w[16], digest[8];
        EACH(i, 16) w[i] = 0;
        EACH(i, 8) digest[i] = inner[i];
        w[0] = half + 1;
        w[1] = 0x80000000;
        w[15] = (64 + 128 + 4) * 8;
        compress(digest, w, 0, 0);
        compress_digest(digest, outer, digest, 0, 0);
        EACH(i, 8) out[(u64)(8 * half + i) * threads + thread] = digest[i];
    }
}
#define SCRYPT(NAME, PRODUCTS)                                                                                        \
    DEVICE void NAME##_thread(u32 *out, const u32 *in, uint4 *scratch, u32 n, u32 threads, u32 tile, u32 lane,        \
                              u32 lanes) {                                                                            \
        scrypt_with(PRODUCTS, out, in, scratch, n, threads, tile, lane, lanes);                                       \
    }                                                                                                                 \
    KERNEL(NAME)
SCRYPT(scrypt, 0)
SCRYPT(scrypt_half, 5)
SCRYPT(scrypt_all, 15)
