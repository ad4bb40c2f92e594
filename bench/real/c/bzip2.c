// Standard input -> standard output, compressed by the bzip2 library as `bzip2 -9` does.

#include <bzlib.h>
#include <stdio.h>

// The library is built without stdio, and then calls this when it finds a mistake in itself.
void bz_internal_error(int code) {
    fprintf(stderr, "bzip2: internal error %d\n", code);
    __builtin_trap();
}

int main(void) {
    static char in[5000], out[5000];
    bz_stream stream = {0};
    if (BZ2_bzCompressInit(&stream, 9, 0, 30) != BZ_OK) {
        fprintf(stderr, "bzip2: out of memory\n");
        return 1;
    }
    int action = BZ_RUN, result = BZ_RUN_OK;
    do {
        if (stream.avail_in == 0 && action == BZ_RUN) {
            stream.next_in = in;
            stream.avail_in = fread(in, 1, sizeof in, stdin);
            if (stream.avail_in == 0) action = BZ_FINISH;
        }
        stream.next_out = out;
        stream.avail_out = sizeof out;
        result = BZ2_bzCompress(&stream, action);
        size_t length = sizeof out - stream.avail_out;
        if (result < 0 || fwrite(out, 1, length, stdout) != length) {
            fprintf(stderr, "bzip2: cannot compress or write\n");
            return 1;
        }
    } while (result != BZ_STREAM_END);
    BZ2_bzCompressEnd(&stream);
    return 0;
}
