// A text of less than 16 KiB -> how many words it has, how many different ones, and a digest of those in order. The C
// library's qsort calls the comparison by a pointer.
// Memory: 131072, of which stack: 8192

#include "guest.h"

enum { MOST = 16 << 10 };

static char text[MOST + 1];
static const char *words[MOST / 2];

static int compare(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

int main(void) {
  size_t length = read_all(text, sizeof text), count = 0;
  for (size_t at = 0; at < length; at++) {
    if (text[at] == ' ' || text[at] == '\n')
      text[at] = 0;
    else if (at == 0 || text[at - 1] == 0)
      words[count++] = text + at;
  }
  qsort(words, count, sizeof *words, compare);
  uint32_t different = 0, digest = 0x811c9dc5;
  for (size_t n = 0; n < count; n++) {
    if (n > 0 && strcmp(words[n - 1], words[n]) == 0)
      continue;
    different++;
    for (const char *next = words[n]; *next; next++)
      digest = (digest ^ (unsigned char)*next) * 0x01000193;
  }
  print_words((uint32_t[]){(uint32_t)count, different, digest}, 3);
  return 0;
}
