// "PASSWORD SALT N" -> 64 bytes of scrypt with r = 1 and p = 1 in hex; N is a power of two, at most 1024.
// Memory: 196608, of which stack: 8192

#include "guest.h"
#include "sha256.h"

enum { WORDS = 32, MOST = 1024 }; // of a block of 128 bytes; blocks

static inline uint32_t rotl(uint32_t x, int n) { return x << n | x >> (32 - n); }

static inline uint32_t swap(uint32_t x) { return __builtin_bswap32(x); }

#define QUARTER(a, b, c, d) \
  x[b] ^= rotl(x[a] + x[d], 7), x[c] ^= rotl(x[b] + x[a], 9), x[d] ^= rotl(x[c] + x[b], 13), x[a] ^= rotl(x[d] + x[c], 18)

// b ^= a, then Salsa20/8 on it.
__attribute__((always_inline)) static inline void salsa(uint32_t *restrict b, const uint32_t *restrict a) {
  uint32_t x[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++)
    x[i] = b[i] ^= a[i];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    QUARTER(0, 4, 8, 12), QUARTER(5, 9, 13, 1), QUARTER(10, 14, 2, 6), QUARTER(15, 3, 7, 11);
    QUARTER(0, 1, 2, 3), QUARTER(5, 6, 7, 4), QUARTER(10, 11, 8, 9), QUARTER(15, 12, 13, 14);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++)
    b[i] += x[i];
}

__attribute__((always_inline)) static inline void mix(uint32_t b[WORDS]) {
  salsa(b, b + 16);
  salsa(b + 16, b);
}

int main(void) {
  char line[256] = {0}, *next = line;
  read_all(line, sizeof line);
  char *password = field(&next), *salt = field(&next);
  uint32_t n = number(&next), b[WORDS], x[WORDS], key[16];
  if (strlen(password) > 64 || n < 2 || n > MOST || (n & (n - 1)) != 0)
    return 2;

  uint32_t(*blocks)[WORDS] = must(malloc(n * sizeof *blocks));
  pbkdf2(password, (const uint8_t *)salt, strlen(salt), 1, b, WORDS);
  // The address of `x` does not escape, and each index is a constant, so compilers keep it in variables.
#pragma GCC unroll 32
  for (int i = 0; i < WORDS; i++)
    x[i] = swap(b[i]);
  for (uint32_t i = 0; i < n; i++) {
    memcpy(blocks[i], x, sizeof x);
    mix(x);
  }
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t *v = blocks[x[16] & (n - 1)];
#pragma GCC unroll 32
    for (int j = 0; j < WORDS; j++)
      x[j] ^= v[j];
    mix(x);
  }
  memcpy(b, x, sizeof b);
  pbkdf2(password, (const uint8_t *)b, sizeof b, 1, key, 16);
  print_words(key, 16);
  return 0;
}
