// Blur-Bmp and PHash-Modified of guests/paper, handwritten: for pictures of the size that the programs are measured with,
// with the same answers, bit by bit.
//
// CUDA C++, and C for the processor, so that tests need no GPU. A tile is a block of threads, which share TASKS between
// barriers (SYNC) and keep nothing in registers across one; in C one thread does them all. A kernel is given:
//   out         answers, one after another
//   in          the pixels of requests, likewise: bytes of blue, green and red, from the bottom row up
//   table       phash_modified: see there

#ifdef __CUDACC__
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long size;
#define DEVICE static __device__ __forceinline__
#define SHARED __shared__
#define SYNC() __syncthreads()
#define TASKS(task, count) for (u32 task = threadIdx.x; task < (count); task += blockDim.x)
#define PICK(a, b, bytes) __byte_perm(a, b, bytes)
#define KERNEL(NAME, THREADS)                                                                                         \
    extern "C" __global__ void __launch_bounds__(THREADS) NAME(u32 *out, const u32 *in, const u32 *table) {           \
        NAME##_tile(out, in, table, blockIdx.x);                                                                      \
    }
// c + a.x * b.x + a.y * b.y, where a has two values of 16 bits, and b has two of 8 in its low or high half.
DEVICE u32 low2(u32 a, u32 b, u32 c) { return __dp2a_lo(a, b, c); }
DEVICE u32 high2(u32 a, u32 b, u32 c) { return __dp2a_hi(a, b, c); }
// The same with a's values signed.
DEVICE int signed_low2(u32 a, u32 b, int c) {
    asm("dp2a.lo.s32.u32 %0, %1, %2, %0;" : "+r"(c) : "r"(a), "r"(b));
    return c;
}
DEVICE int signed_high2(u32 a, u32 b, int c) {
    asm("dp2a.hi.s32.u32 %0, %1, %2, %0;" : "+r"(c) : "r"(a), "r"(b));
    return c;
}
#else
#include <stddef.h>
#include <stdint.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef size_t size;
typedef struct { u32 x, y; } __attribute__((aligned(8))) uint2;
typedef struct { u32 x, y, z, w; } __attribute__((aligned(16))) uint4;
#define DEVICE static inline
#define SHARED
#define SYNC()
#define TASKS(task, count) for (u32 task = 0; task < (count); task++)
#define KERNEL(NAME, THREADS)                                                                                         \
    __attribute__((visibility("default"))) void NAME(void *const *args, u32 tile, u32 lanes) {                        \
        NAME##_tile((u32 *)args[0], (const u32 *)args[1], (const u32 *)args[2], tile);                                \
    }
DEVICE u32 PICK(u32 a, u32 b, u32 bytes) {
    uint64_t both = (uint64_t)b << 32 | a;
    u32 picked = 0;
    for (int i = 0; i < 4; i++) picked |= (u32)(u8)(both >> (bytes >> 4 * i & 7) * 8) << 8 * i;
    return picked;
}
DEVICE u32 low2(u32 a, u32 b, u32 c) { return c + (a & 0xffff) * (b & 0xff) + (a >> 16) * (b >> 8 & 0xff); }
DEVICE u32 high2(u32 a, u32 b, u32 c) { return low2(a, b >> 16, c); }
DEVICE int signed_low2(u32 a, u32 b, int c) {
    return c + (int16_t)a * (int)(b & 0xff) + (int16_t)(a >> 16) * (int)(b >> 8 & 0xff);
}
DEVICE int signed_high2(u32 a, u32 b, int c) { return signed_low2(a, b >> 16, c); }
#endif

#define EACH(i, count) _Pragma("unroll") for (int i = 0; i < count; i++)

// Byte `byte` of four words, as a word.
DEVICE u32 gather(u32 a, u32 b, u32 c, u32 d, int byte) {
    u32 two = byte | (4 + byte) << 4;
    return PICK(PICK(a, b, two), PICK(c, d, two), 0x5410);
}

// Four rows of four words with a byte each, as a word for each column.
DEVICE uint4 turned(const u32 a[4], const u32 b[4], const u32 c[4], const u32 d[4], int byte) {
    uint4 columns = {gather(a[0], b[0], c[0], d[0], byte), gather(a[1], b[1], c[1], d[1], byte),
                     gather(a[2], b[2], c[2], d[2], byte), gather(a[3], b[3], c[3], d[3], byte)};
    return columns;
}

DEVICE int clamped(int value, int least, int most) { return value < least ? least : value > most ? most : value; }

// Which bytes of a word of four pixels to take for word `at` of a row or column of `count` words: beyond an end the
// pixel at that end counts.
DEVICE u32 beyond(int at, int count) { return at < 0 ? 0x0000 : at >= count ? 0x3333 : 0x3210; }

// Blur-Bmp: 200 x 200 pixels, blurred horizontally and then vertically with 25 weights of 15 bits, each time rounded to 8
// bits. A tile has a strip of 40 columns. Four neighbouring pixels of one colour are a word, so that dp2a takes two of
// them: a word and the three on both sides of it have all that its four blurred pixels need.
#define EDGE 200
#define WORDS (EDGE / 4)
#define STRIP 10
#define STRIPS (WORDS / STRIP)
// Words of four rows that are blurred horizontally between two barriers.
#define PART 25
// Words of a row of a strip with its margins, and of four such rows; the latter are so many that neighbouring threads
// find theirs in different banks.
#define WIDE 16
#define FOUR_ROWS (4 * WIDE + 2)
#define BLUR_HEADER 54
#define BLUR_FILE (BLUR_HEADER + 3 * EDGE * EDGE)
// The header is at such an offset of an answer that pixels are aligned.
#define BLUR_PIXELS 64

// Adds the weighted sums of four pixels to `sums`, for the words of the pixels from the third before theirs on. Weights
// count double here, so that the third byte of a sum is the blurred pixel.
DEVICE void blur_add(u32 sums[4], u32 word, int number) {
    const u32 weights[25] = {36,   74,   143,  260,  443,  708,  1062, 1498, 1985, 2471, 2889, 3173, 3273,
                             3173, 2889, 2471, 1985, 1498, 1062, 708,  443,  260,  143,  74,   36};
    EACH(pixel, 4) {
        EACH(half, 2) {
            int tap = 4 * number + 2 * half - pixel;
            u32 first = tap >= 0 && tap < 25 ? 2 * weights[tap] : 0;
            u32 second = tap + 1 >= 0 && tap + 1 < 25 ? 2 * weights[tap + 1] : 0;
            u32 both = first | second << 16;
            if (both) sums[pixel] = half ? high2(both, word, sums[pixel]) : low2(both, word, sums[pixel]);
        }
    }
}

DEVICE void blur_bmp_tile(u32 *out, const u32 *in, const u32 *table, u32 tile) {
    // Pixels of one colour: [colour][four rows][row][word], and [colour][word of four rows][column].
    SHARED uint2 rows[3 * PART * FOUR_ROWS / 2];
    SHARED uint4 columns[3 * WORDS * STRIP];
    u32 picture = tile / STRIPS, left = tile % STRIPS * STRIP;
    in += (size)picture * (3 * EDGE * EDGE / 4);
    out += (size)picture * ((BLUR_PIXELS + 3 * EDGE * EDGE) / 4);

    if (left == 0) {
        const u16 header[BLUR_HEADER / 2] = {0x4d42, BLUR_FILE & 0xffff, BLUR_FILE >> 16, 0, 0, BLUR_HEADER, 0, 40, 0,
                                             EDGE, 0, EDGE, 0, 1, 24, 0, 0, 3 * EDGE * EDGE & 0xffff,
                                             3 * EDGE * EDGE >> 16};
        TASKS(i, BLUR_HEADER / 2) ((u16 *)out)[(BLUR_PIXELS - BLUR_HEADER) / 2 + i] = header[i];
    }
    for (u32 part = 0; part < WORDS / PART; part++) {
        TASKS(task, 4 * PART * WIDE) {
            u32 row = task / WIDE, word = task % WIDE;
            int at = (int)(left + word) - 3;
            const u32 *from = in + ((4 * PART * part + row) * WORDS + clamped(at, 0, WORDS - 1)) * 3;
            u32 a = from[0], b = from[1], c = from[2], ends = beyond(at, WORDS);
            u32 *to = (u32 *)rows + row / 4 * FOUR_ROWS + row % 4 * WIDE + word;
            to[0] = PICK(PICK(PICK(a, b, 0x0630), c, 0x5210), 0, ends);
            to[PART * FOUR_ROWS] = PICK(PICK(PICK(a, b, 0x0741), c, 0x6210), 0, ends);
            to[2 * PART * FOUR_ROWS] = PICK(PICK(PICK(a, b, 0x0052), c, 0x7410), 0, ends);
        }
        SYNC();
        // Two words of four rows, and so eight columns.
        TASKS(task, 3 * PART * STRIP / 2) {
            u32 four = task % PART, pair = task / PART % (STRIP / 2), colour = task / PART / (STRIP / 2);
            u32 sums[2][4][4];
            EACH(row, 4) {
                const uint2 *from = rows + ((colour * PART + four) * FOUR_ROWS + row * WIDE) / 2 + pair;
                EACH(pixel, 4) sums[0][row][pixel] = sums[1][row][pixel] = 1 << 15;
                EACH(i, 4) {
                    uint2 two = from[i];
                    blur_add(sums[0][row], two.x, 2 * i);
                    if (i < 3) blur_add(sums[0][row], two.y, 2 * i + 1);
                    if (i > 0) blur_add(sums[1][row], two.x, 2 * i - 1);
                    blur_add(sums[1][row], two.y, 2 * i);
                }
            }
            uint4 *to = columns + (colour * WORDS + part * PART + four) * STRIP + 2 * pair;
            EACH(i, 2) to[i] = turned(sums[i][0], sums[i][1], sums[i][2], sums[i][3], 2);
        }
        SYNC();
    }
    // Four columns of four rows, in all colours.
    TASKS(task, WORDS * STRIP) {
        u32 word = task % STRIP, four = task / STRIP, blurred[3][4];
        EACH(colour, 3) {
            u32 sums[4][4];
            EACH(column, 4) EACH(row, 4) sums[column][row] = 1 << 15;
            EACH(i, 7) {
                int at = (int)four + i - 3;
                uint4 from = columns[(colour * WORDS + clamped(at, 0, WORDS - 1)) * STRIP + word];
                u32 ends = beyond(at, WORDS);
                blur_add(sums[0], PICK(from.x, 0, ends), i);
                blur_add(sums[1], PICK(from.y, 0, ends), i);
                blur_add(sums[2], PICK(from.z, 0, ends), i);
                blur_add(sums[3], PICK(from.w, 0, ends), i);
            }
            EACH(row, 4) blurred[colour][row] = gather(sums[0][row], sums[1][row], sums[2][row], sums[3][row], 2);
        }
        EACH(row, 4) {
            u32 a = blurred[0][row], b = blurred[1][row], c = blurred[2][row];
            u32 *to = out + BLUR_PIXELS / 4 + ((4 * four + row) * WORDS + left + word) * 3;
            to[0] = PICK(PICK(a, b, 0x1040), c, 0x3410);
            to[1] = PICK(PICK(a, b, 0x6205), c, 0x3250);
            to[2] = PICK(PICK(a, b, 0x0730), c, 0x7216);
        }
    }
}
KERNEL(blur_bmp, 128)

// PHash-Modified: 256 x 256 pixels, of which the brightness is reduced to 129 x 129, first vertically and then
// horizontally, each time rounded to 8 bits; the bits of the hash say which pixels are less than the next of their row
// (row by row), and of their column (column by column). A tile has a picture. As 12 pixels add to a reduced one, they lie
// in 16 that begin at a multiple of 4. The table has, for each reduced pixel, eight words of two weights for those, and
// then, for each, which word of four pixels is the first.
#define FULL 256
#define REDUCED 129
#define SHIFT 14
// Columns that are reduced vertically between two barriers.
#define SLICE 32
#define HASH_WORDS (2 * REDUCED * (REDUCED - 1) / 32)
// A row of reduced pixels has some bytes more, so that it has whole words. The first ones lie where the brightness was,
// and the next ones where columns were that those were made from.
#define ROW 132
#define FIRST_ROWS (SLICE * FULL / ROW)

DEVICE u8 reduced(const uint4 weights[2], u32 a, u32 b, u32 c, u32 d) {
    int sum = 1 << (SHIFT - 1);
    sum = signed_high2(weights[0].y, a, signed_low2(weights[0].x, a, sum));
    sum = signed_high2(weights[0].w, b, signed_low2(weights[0].z, b, sum));
    sum = signed_high2(weights[1].y, c, signed_low2(weights[1].x, c, sum));
    sum = signed_high2(weights[1].w, d, signed_low2(weights[1].z, d, sum));
    return (u8)clamped(sum >> SHIFT, 0, 255);
}

// The brightness of four pixels.
DEVICE void brightness(u32 grey[4], u32 a, u32 b, u32 c) {
    const u32 blue = 722, green = 7152, red = 2126;
    grey[0] = high2(red, a, low2(blue | green << 16, a, 0)) / 10000;
    grey[1] = low2(green | red << 16, b, high2(blue << 16, a, 0)) / 10000;
    grey[2] = low2(red, c, high2(blue | green << 16, b, 0)) / 10000;
    grey[3] = high2(green | red << 16, c, low2(blue << 16, c, 0)) / 10000;
}

DEVICE void phash_modified_tile(u32 *out, const u32 *in, const u32 *table, u32 tile) {
    // The brightness of a slice, words of four rows: [word][column]; then rows of bytes, reduced vertically.
    SHARED uint4 area[(SLICE * FULL + REDUCED * FULL) / 16];
    SHARED uint4 weights[REDUCED * 2];
    SHARED u8 firsts[REDUCED];
    u32 *grey = (u32 *)area;
    u8 *small = (u8 *)area, *columns = (u8 *)area + SLICE * FULL;
    in += (size)tile * (3 * FULL * FULL / 4);
    out += (size)tile * HASH_WORDS;

    TASKS(i, REDUCED * 2) weights[i] = ((const uint4 *)table)[i];
    TASKS(i, REDUCED) firsts[i] = (u8)table[REDUCED * 8 + i];
    for (u32 slice = 0; slice < FULL / SLICE; slice++) {
        TASKS(task, SLICE / 4 * FULL / 4) {
            u32 word = task % (SLICE / 4), four = task / (SLICE / 4), row[4][4];
            EACH(i, 4) {
                const u32 *from = in + ((FULL - 1 - 4 * four - i) * (FULL / 4) + slice * (SLICE / 4) + word) * 3;
                brightness(row[i], from[0], from[1], from[2]);
            }
            ((uint4 *)grey)[four * (SLICE / 4) + word] = turned(row[0], row[1], row[2], row[3], 0);
        }
        SYNC();
        TASKS(task, REDUCED * SLICE) {
            u32 column = task % SLICE, row = task / SLICE;
            const u32 *from = grey + firsts[row] * SLICE + column;
            columns[row * FULL + slice * SLICE + column] =
                reduced(weights + 2 * row, from[0], from[SLICE], from[2 * SLICE], from[3 * SLICE]);
        }
        SYNC();
    }
    // After the first rows there is room for all the others.
    for (u32 pass = 0; pass < 2; pass++) {
        u32 begin = pass ? FIRST_ROWS : 0, end = pass ? REDUCED : FIRST_ROWS;
        TASKS(task, (end - begin) * REDUCED) {
            u32 column = task % REDUCED, row = begin + task / REDUCED;
            const u32 *from = (const u32 *)(columns + row * FULL) + firsts[column];
            small[row * ROW + column] = reduced(weights + 2 * column, from[0], from[1], from[2], from[3]);
        }
        SYNC();
    }
    TASKS(task, HASH_WORDS) {
        u32 word = task % (HASH_WORDS / 2), across = word / 4, along = word % 4 * 32, bits = 0;
        u32 rows = task < HASH_WORDS / 2, step = rows ? 1 : ROW;
        const u8 *from = small + across * (rows ? ROW : 1) + along * step;
        u8 before = from[0];
        EACH(bit, 32) {
            u8 next = from[(bit + 1) * step];
            bits |= (u32)(before < next) << bit;
            before = next;
        }
        out[task] = bits;
    }
}
KERNEL(phash_modified, 256)
