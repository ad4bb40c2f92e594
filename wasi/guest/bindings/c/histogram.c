// Answers a text with how often it has each byte, as lines of `BYTE COUNT`.

#include "vectorvisor.h"
#include <stdio.h>
#include <string.h>

enum { ROOM = 64 << 10 };

static unsigned char request[ROOM];
static char answer[256 * 16];

int main(void) {
    for (;;) {
        size_t length = serverless_invoke(request, sizeof request);
        unsigned counts[256] = {0};
        for (size_t i = 0; i < length; i++) counts[request[i]]++;
        size_t end = 0;
        for (int byte = 0; byte < 256; byte++) {
            if (counts[byte]) end += (size_t)sprintf(answer + end, "%d %u\n", byte, counts[byte]);
        }
        serverless_response(answer, end);
    }
}
