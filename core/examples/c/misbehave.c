// Does what the first line of standard input says: the guest for tests of traps, limits
// and isolation. A first line that names none of these is plain input.
//
//   ok            prints the lines that follow
//   warn          prints them to standard error
//   exit N        exits with N
//   print N       prints N bytes, always the same ones
//   spin N        computes for N steps, then prints the result
//   loop          computes for ever
//   recurse [N]   calls itself N deep, then prints the result; without N, for ever
//   grow N        grows memory by N pages of 64 KiB and writes to the last byte
//   trap          executes unreachable
//   oob [load]    stores to (or loads from) an address near 4 GiB
//   divzero       divides an integer by zero
//   overflow      divides the least integer by -1
//   convert       converts a float that no integer can hold
//   mismatch      calls a function through a pointer of another type
//   anything else prints the FNV-1a digest of the whole input
//
// Built natively, each trap ends the program by a signal instead.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

static void write_all(int file, const void *data, size_t length) {
  const char *next = data;
  while (length > 0) {
    ssize_t written = write(file, next, length);
    if (written <= 0)
      exit(1);
    next += written;
    length -= (size_t)written;
  }
}

static void print(const char *text) { write_all(STDOUT_FILENO, text, strlen(text)); }

static void print_hex(uint64_t value) {
  char line[17];
  for (int digit = 0; digit < 16; digit++)
    line[digit] = "0123456789abcdef"[value >> (60 - 4 * digit) & 15];
  line[16] = '\n';
  write_all(STDOUT_FILENO, line, sizeof line);
}

// The whole of standard input, followed by a zero byte.
static char *read_all(size_t *length) {
  size_t capacity = 4096;
  char *data = malloc(capacity);
  *length = 0;
  while (data) {
    ssize_t count = read(STDIN_FILENO, data + *length, capacity - *length - 1);
    if (count < 0)
      break;
    if (count == 0) {
      data[*length] = 0;
      return data;
    }
    *length += (size_t)count;
    if (capacity - *length == 1)
      data = realloc(data, capacity *= 2);
  }
  exit(1);
}

static uint64_t fnv1a(const char *data, size_t length) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < length; i++)
    hash = (hash ^ (unsigned char)data[i]) * 0x100000001b3;
  return hash;
}

static uint64_t step(uint64_t state) { return state * 6364136223846793005 + 1442695040888963407; }

static void print_bytes(uint64_t count) {
  char block[4096];
  uint64_t state = 1;
  while (count > 0) {
    size_t length = count < sizeof block ? (size_t)count : sizeof block;
    for (size_t i = 0; i < length; i++) {
      state = step(state);
      unsigned letter = state >> 33 & 63;
      block[i] = letter < 26 ? 'a' + letter : letter < 52 ? 'A' + letter - 26 : letter < 62 ? '0' + letter - 52
                                                                             : letter == 62 ? ' ' : '\n';
    }
    write_all(STDOUT_FILENO, block, length);
    count -= length;
  }
}

// Volatile, so that no compiler can prove what happens below and make something else of it.
static volatile uint64_t ticks;
static volatile uint64_t unreached = UINT64_MAX;
static volatile int32_t zero;
static volatile int32_t minus_one = -1;
static volatile int32_t least = INT32_MIN;
static volatile float huge = 1e30f;

static uint64_t spin(uint64_t steps) {
  uint64_t state = 1;
  for (uint64_t i = 0; i < steps; i++) {
    state = step(state);
    ticks = i;
  }
  return state;
}

// Uses the result of its own call in a way that is no accumulator, hence stays a call; keeps
// nothing in memory, hence only the call stack grows.
static NOINLINE uint64_t recurse(uint64_t depth, uint64_t limit) {
  ticks = depth;
  if (depth == limit)
    return 1;
  uint64_t below = recurse(depth + 1, limit);
  return (below << 7 | below >> 57) * 31 ^ depth;
}

static void grow(uint64_t pages) {
#ifdef __wasm__
  size_t before = pages > 65536 ? SIZE_MAX : __builtin_wasm_memory_grow(0, (size_t)pages);
  char *memory = before == SIZE_MAX ? NULL : (char *)(before << 16);
#else
  char *memory = pages > 65536 ? NULL : malloc((size_t)pages << 16 | 1);
#endif
  if (!memory) {
    print("cannot grow\n");
    return;
  }
  if (pages > 0)
    *(volatile char *)(memory + ((size_t)pages << 16) - 1) = 1;
  print("grown\n");
}

static int32_t convert(float value) {
#ifdef __wasm__
  return __builtin_wasm_trunc_s_i32_f32(value);
#else
  (void)value;
  __builtin_trap();
#endif
}

static NOINLINE int64_t two_arguments(int64_t left, int64_t right) { return left + right; }

typedef double other_function(float);
static other_function *volatile wrong_pointer = (other_function *)(void (*)(void))two_arguments;

static void mismatch(void) {
#ifdef __wasm__
  print_hex((uint64_t)wrong_pointer(1.0f));
#else
  __builtin_trap();
#endif
}

// Whether the line is `word`, perhaps with a number after it; the number, or `missing`.
static int is(const char *line, size_t length, const char *word, uint64_t missing, uint64_t *number) {
  size_t size = strlen(word);
  if (length < size || memcmp(line, word, size) != 0)
    return 0;
  *number = missing;
  if (length == size)
    return 1;
  if (line[size] != ' ' || length == size + 1)
    return 0;
  *number = 0;
  for (size_t i = size + 1; i < length; i++) {
    if (line[i] < '0' || line[i] > '9')
      return 0;
    *number = *number * 10 + (uint64_t)(line[i] - '0');
  }
  return 1;
}

int main(void) {
  size_t length;
  char *input = read_all(&length);
  char *newline = memchr(input, '\n', length);
  size_t line = newline ? (size_t)(newline - input) : length;
  char *rest = newline ? newline + 1 : input + length;
  size_t rest_length = length - (size_t)(rest - input);
  uint64_t n;

  if (is(input, line, "ok", 0, &n))
    write_all(STDOUT_FILENO, rest, rest_length);
  else if (is(input, line, "warn", 0, &n))
    write_all(STDERR_FILENO, rest, rest_length);
  else if (is(input, line, "exit", 0, &n))
    exit((int)n);
  else if (is(input, line, "print", 0, &n))
    print_bytes(n);
  else if (is(input, line, "spin", 0, &n))
    print_hex(spin(n));
  else if (is(input, line, "loop", 0, &n))
    print_hex(spin(unreached));
  else if (is(input, line, "recurse", UINT64_MAX, &n))
    print_hex(recurse(0, n));
  else if (is(input, line, "grow", 0, &n))
    grow(n);
  else if (is(input, line, "trap", 0, &n))
    __builtin_trap();
  else if (is(input, line, "oob", 0, &n))
    *(volatile char *)(uintptr_t)0xfffffff0 = 1;
  else if (is(input, line, "oob load", 0, &n))
    print_hex(*(volatile uint64_t *)(uintptr_t)0xfffffff0);
  else if (is(input, line, "divzero", 0, &n))
    print_hex((uint64_t)(least / zero));
  else if (is(input, line, "overflow", 0, &n))
    print_hex((uint64_t)(least / minus_one));
  else if (is(input, line, "convert", 0, &n))
    print_hex((uint64_t)convert(huge));
  else if (is(input, line, "mismatch", 0, &n))
    mismatch();
  else
    print_hex(fnv1a(input, length));
  return 0;
}
