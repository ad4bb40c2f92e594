// Shared by the guests: standard input and output without stdio, which would need more memory than the guests.

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Reads all of standard input, which must fit; returns its length.
static inline size_t read_all(void *buffer, size_t capacity) {
  size_t length = 0;
  for (;;) {
    ssize_t count = read(STDIN_FILENO, (char *)buffer + length, capacity - length);
    if (count < 0 || (count > 0 && (size_t)count == capacity - length))
      exit(2);
    if (count == 0)
      return length;
    length += (size_t)count;
  }
}

static inline void *must(void *memory) {
  if (!memory)
    exit(3);
  return memory;
}

static inline void write_all(const void *data, size_t length) {
  const char *next = data;
  while (length > 0) {
    ssize_t written = write(STDOUT_FILENO, next, length);
    if (written <= 0)
      exit(1);
    next += written;
    length -= (size_t)written;
  }
}

// Prints big-endian words in hex, and a newline.
static inline void print_words(const uint32_t *words, size_t count) {
  char line[8 * 64 + 1];
  for (size_t i = 0; i < count; i++)
    for (size_t digit = 0; digit < 8; digit++)
      line[i * 8 + digit] = "0123456789abcdef"[words[i] >> (28 - 4 * digit) & 15];
  line[count * 8] = '\n';
  write_all(line, count * 8 + 1);
}

static inline void print_digest(uint64_t digest) {
  print_words((uint32_t[]){(uint32_t)(digest >> 32), (uint32_t)digest}, 2);
}

// Returns the next field, which ends at a space, and replaces that by a zero byte.
static inline char *field(char **text) {
  char *begin = *text, *end = begin;
  while (*end && *end != ' ' && *end != '\n')
    end++;
  *text = *end ? end + 1 : end;
  *end = 0;
  return begin;
}

static inline uint32_t number(char **text) {
  uint32_t value = 0;
  for (char *digit = field(text); *digit >= '0' && *digit <= '9'; digit++)
    value = value * 10 + (uint32_t)(*digit - '0');
  return value;
}

// FNV-1a over words of 64 bits.
static inline uint64_t digest_words(const uint64_t *words, size_t count) {
  uint64_t digest = 0xcbf29ce484222325;
  for (size_t i = 0; i < count; i++)
    digest = (digest ^ words[i]) * 0x100000001b3;
  return digest;
}

// Fills memory with pseudo-random bytes.
static inline void fill_words(uint64_t *words, size_t count, uint32_t seed) {
  uint64_t state = seed;
  for (size_t i = 0; i < count; i++) {
    state = state * 6364136223846793005 + 1442695040888963407;
    words[i] = state ^ state >> 29;
  }
}
