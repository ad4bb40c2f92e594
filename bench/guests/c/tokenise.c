// A text of less than 16 KiB -> how many words it has, how many of them are not stop words, and a digest of those in
// lower case. Memory: 65536, of which stack: 8192

#include "guest.h"

enum { MOST = 16 << 10, SLOTS = 512 };

static char text[MOST], kept[MOST + 8];

static const char stop_words[] =
    "a about above after again against all am an and any are as at be because been before being below between both but by "
    "can did do does doing down during each few for from further had has have having he her here hers him his how i if in "
    "into is it its just me more most my no nor not now of off on once only or other our out over own same she should so "
    "some such than that the their them then there these they this those through to too under until up very was we were "
    "what when where which while who whom why will with you your";

// A slot of the hash table of stop words (open addressing): the word's offset in `stop_words`, and its length, 0 if
// empty.
static struct {
  uint16_t begin, length;
} slots[SLOTS];

enum { FNV = 0x811c9dc5, PRIME = 0x01000193 };

// The slot of a word with this hash, or the empty slot where it would be.
static size_t find(const char *word, size_t length, uint32_t hash) {
  for (uint32_t at = hash ^ hash >> 16;; at++) {
    size_t slot = at % SLOTS;
    if (slots[slot].length == 0 ||
        (slots[slot].length == length && memcmp(stop_words + slots[slot].begin, word, length) == 0))
      return slot;
  }
}

static void learn(void) {
  for (const char *word = stop_words; *word;) {
    size_t length = 0;
    uint32_t hash = FNV;
    for (; word[length] && word[length] != ' '; length++)
      hash = (hash ^ (unsigned char)word[length]) * PRIME;
    size_t slot = find(word, length, hash);
    slots[slot].begin = (uint16_t)(word - stop_words);
    slots[slot].length = (uint16_t)length;
    word += length + (word[length] == ' ');
  }
}

static int is_letter(int byte) { return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z'); }

int main(void) {
  size_t length = read_all(text, sizeof text);
  uint32_t words = 0, kept_words = 0;
  char *out = kept;
  learn();
  for (size_t at = 0;;) {
    while (at < length && !is_letter(text[at]))
      at++;
    if (at == length)
      break;
    char *word = out;
    uint32_t hash = FNV;
    for (; at < length && is_letter(text[at]); at++) {
      *out = (char)(text[at] | 32);
      hash = (hash ^ (unsigned char)*out++) * PRIME;
    }
    words++;
    if (slots[find(word, (size_t)(out - word), hash)].length == 0) {
      kept_words++;
      *out++ = ' ';
    } else {
      out = word;
    }
  }
  memset(out, 0, 8); // `kept` is digested in whole words
  uint64_t digest = 0;
  for (char *next = kept; next < out; next += 8) {
    uint64_t eight;
    memcpy(&eight, next, 8);
    digest = (digest ^ eight) * 0x100000001b3;
  }
  print_words((uint32_t[]){words, kept_words, (uint32_t)(digest >> 32), (uint32_t)digest}, 4);
  return 0;
}
