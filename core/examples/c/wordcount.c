// Counts the words of standard input; prints totals and the top words in several orders.
//
// Hashing, ordering and printing all go through function pointers, and which hash function
// is called depends on the word: the guest for indirect calls that differ between inputs.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOP = 10, LONGEST = 64 };

typedef struct word {
  struct word *next; // in its bucket
  uint32_t hash;
  uint32_t count;
  uint32_t length;
  char text[]; // ends with a zero byte
} word;

typedef struct {
  word **buckets;
  size_t bucket_count; // a power of two
  size_t distinct;
  uint64_t total;
  uint64_t lines;
  uint64_t bytes;
} counts;

static void *must(void *memory) {
  if (!memory) {
    fputs("wordcount: out of memory\n", stderr);
    exit(1);
  }
  return memory;
}

// One hash function for short words, one for middling and one for long ones.

static uint32_t hash_fnv(const char *text, size_t length) {
  uint32_t hash = 2166136261;
  for (size_t i = 0; i < length; i++)
    hash = (hash ^ (unsigned char)text[i]) * 16777619;
  return hash;
}

static uint32_t hash_djb(const char *text, size_t length) {
  uint32_t hash = 5381;
  for (size_t i = 0; i < length; i++)
    hash = hash * 33 + (unsigned char)text[i];
  return hash;
}

static uint32_t hash_jenkins(const char *text, size_t length) {
  uint32_t hash = 0;
  for (size_t i = 0; i < length; i++) {
    hash += (unsigned char)text[i];
    hash += hash << 10;
    hash ^= hash >> 6;
  }
  hash += hash << 3;
  hash ^= hash >> 11;
  return hash + (hash << 15);
}

typedef uint32_t hash_function(const char *text, size_t length);
static hash_function *const hashes[] = {hash_fnv, hash_djb, hash_jenkins};

static void grow(counts *all) {
  size_t wider = all->bucket_count * 2;
  word **buckets = must(calloc(wider, sizeof *buckets));
  for (size_t i = 0; i < all->bucket_count; i++) {
    for (word *entry = all->buckets[i], *next; entry; entry = next) {
      next = entry->next;
      word **bucket = &buckets[entry->hash & (wider - 1)];
      entry->next = *bucket;
      *bucket = entry;
    }
  }
  free(all->buckets);
  all->buckets = buckets;
  all->bucket_count = wider;
}

static void count(counts *all, const char *text, size_t length) {
  all->total++;
  uint32_t hash = hashes[length < 4 ? 0 : length < 8 ? 1 : 2](text, length);
  for (word *entry = all->buckets[hash & (all->bucket_count - 1)]; entry; entry = entry->next) {
    if (entry->hash == hash && entry->length == length && memcmp(entry->text, text, length) == 0) {
      entry->count++;
      return;
    }
  }

  if (all->distinct == all->bucket_count)
    grow(all);
  word **bucket = &all->buckets[hash & (all->bucket_count - 1)];
  word *entry = must(malloc(sizeof *entry + length + 1));
  *entry = (word){.next = *bucket, .hash = hash, .count = 1, .length = (uint32_t)length};
  memcpy(entry->text, text, length);
  entry->text[length] = 0;
  *bucket = entry;
  all->distinct++;
}

// Letters and digits of ASCII, and every byte of UTF-8 beyond it, make words.
static int in_word(int byte) {
  return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static void read_words(counts *all, FILE *file) {
  char text[LONGEST]; // a longer word counts as several
  size_t length = 0;
  for (int byte; (byte = getc(file)) != EOF;) {
    all->bytes++;
    all->lines += byte == '\n';
    if (length > 0 && (length == LONGEST || !in_word(byte))) {
      count(all, text, length);
      length = 0;
    }
    if (in_word(byte))
      text[length++] = (char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
  }
  if (length > 0)
    count(all, text, length);
}

// Each order is total, so that any qsort gives the same result.

static int by_name(const void *left, const void *right) {
  const word *a = *(word *const *)left, *b = *(word *const *)right;
  int order = memcmp(a->text, b->text, (a->length < b->length ? a->length : b->length) + 1);
  return (order > 0) - (order < 0);
}

static int by_count(const void *left, const void *right) {
  const word *a = *(word *const *)left, *b = *(word *const *)right;
  return a->count != b->count ? (a->count < b->count ? 1 : -1) : by_name(left, right);
}

static int by_length(const void *left, const void *right) {
  const word *a = *(word *const *)left, *b = *(word *const *)right;
  return a->length != b->length ? (a->length < b->length ? 1 : -1) : by_name(left, right);
}

static void print_count(const word *entry) { printf("%8u %s\n", (unsigned)entry->count, entry->text); }
static void print_length(const word *entry) { printf("%8u %s\n", (unsigned)entry->length, entry->text); }
static void print_word(const word *entry) { printf("%8s %s\n", "", entry->text); }

typedef struct {
  const char *title;
  int (*order)(const void *, const void *);
  void (*print)(const word *);
} report;

static const report reports[] = {
    {"most frequent", by_count, print_count},
    {"longest", by_length, print_length},
    {"first", by_name, print_word},
};

int main(void) {
  counts all = {.bucket_count = 256};
  all.buckets = must(calloc(all.bucket_count, sizeof *all.buckets));
  read_words(&all, stdin);

  word **words = must(malloc((all.distinct + 1) * sizeof *words));
  size_t next = 0;
  for (size_t i = 0; i < all.bucket_count; i++)
    for (word *entry = all.buckets[i]; entry; entry = entry->next)
      words[next++] = entry;

  printf("%llu bytes, %llu lines, %llu words, %lu distinct\n", (unsigned long long)all.bytes,
         (unsigned long long)all.lines, (unsigned long long)all.total, (unsigned long)all.distinct);
  for (size_t i = 0; i < sizeof reports / sizeof *reports; i++) {
    printf("%s:\n", reports[i].title);
    qsort(words, all.distinct, sizeof *words, reports[i].order);
    for (size_t j = 0; j < all.distinct && j < TOP; j++)
      reports[i].print(words[j]);
  }
  return 0;
}
