// Less than 64 KiB (32 KiB without growing) -> one LZ4 block, compressed by the lz4 library as it is.
// Memory: 131072, of which stack: 24576

#include "guest.h"
#include <lz4.h>

enum { MOST = 64 << 10 };

int main(void) {
  char *input = must(malloc(MOST));
  int length = (int)read_all(input, MOST), bound = LZ4_compressBound(length);
  char *output = must(malloc((size_t)bound));
  int size = LZ4_compress_default(input, output, length, bound);
  if (size <= 0)
    return 1;
  write_all(output, (size_t)size);
  return 0;
}
