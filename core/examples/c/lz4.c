// Compresses standard input to an LZ4 frame on standard output.
//
// Blocks are independent and at most 64 KiB, because only then does the library use the
// same hash function on 32-bit and 64-bit machines and so write the same bytes on both.

#include <lz4frame.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned char *read_all(FILE *file, size_t *length) {
  size_t capacity = 64 << 10;
  unsigned char *data = malloc(capacity);
  *length = 0;
  while (data) {
    *length += fread(data + *length, 1, capacity - *length, file);
    if (*length < capacity)
      return data;
    capacity *= 2;
    data = realloc(data, capacity);
  }
  return NULL;
}

static int fail(const char *reason) {
  fputs("lz4: ", stderr);
  fputs(reason, stderr);
  fputc('\n', stderr);
  return 1;
}

int main(void) {
  size_t length;
  unsigned char *input = read_all(stdin, &length);
  if (!input || ferror(stdin))
    return fail("cannot read the input");

  LZ4F_preferences_t preferences = LZ4F_INIT_PREFERENCES;
  preferences.frameInfo.blockSizeID = LZ4F_max64KB;
  preferences.frameInfo.blockMode = LZ4F_blockIndependent;
  preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
  preferences.frameInfo.contentSize = length;

  size_t capacity = LZ4F_compressFrameBound(length, &preferences);
  unsigned char *frame = malloc(capacity);
  if (!frame)
    return fail("out of memory");
  size_t size = LZ4F_compressFrame(frame, capacity, input, length, &preferences);
  if (LZ4F_isError(size))
    return fail(LZ4F_getErrorName(size));
  if (fwrite(frame, 1, size, stdout) != size || fflush(stdout))
    return fail("cannot write the output");
  return 0;
}
