// "SEED COUNT bulk|words|library" -> the digest of 32 KiB that were copied COUNT times: by `memory.copy`, in a loop of
// 64-bit words, or by the C library's `memcpy`. Memory: 131072, of which stack: 8192

#include "guest.h"

enum { WORDS = 4096 };

// Otherwise compilers turn the word loop into a call, or remove copies whose result is not used.
#ifdef __clang__
#define NO_BUILTIN __attribute__((no_builtin("memcpy", "memmove")))
#else
#define NO_BUILTIN __attribute__((optimize("no-tree-loop-distribute-patterns")))
#endif
#define COPIED() __asm__ volatile("" ::: "memory")

static void bulk(uint64_t *to, const uint64_t *from) {
  memcpy(to, from, WORDS * sizeof *to);
  COPIED();
}

NO_BUILTIN static void words(uint64_t *restrict to, const uint64_t *restrict from) {
  for (size_t i = 0; i < WORDS; i++)
    to[i] = from[i];
  COPIED();
}

// Called by a volatile pointer, so that the compiler does not know the callee.
static void *(*volatile library)(void *, const void *, size_t) = memcpy;

int main(void) {
  char line[64] = {0}, *next = line;
  read_all(line, sizeof line);
  uint32_t seed = number(&next), count = number(&next);
  char way = field(&next)[0];
  uint64_t *left = must(malloc(WORDS * sizeof *left)), *right = must(malloc(WORDS * sizeof *right));
  fill_words(left, WORDS, seed);
  for (uint32_t i = 0; i < count; i++) {
    // Back and forth, each time with a word changed.
    uint64_t *from = i & 1 ? right : left, *to = i & 1 ? left : right;
    from[i % WORDS] += i;
    if (way == 'b')
      bulk(to, from);
    else if (way == 'l')
      library(to, from, WORDS * sizeof *to);
    else
      words(to, from);
  }
  print_digest(digest_words(count & 1 ? right : left, WORDS));
  return 0;
}
