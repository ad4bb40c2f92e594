// A number -> how many bytes three of the files `data/000` to `data/199` have, and their sum: what a program does that
// looks something up in a few of many files.
// Memory: 131072, of which stack: 16384

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    static unsigned char part[4096];
    char line[32], name[16];
    if (!fgets(line, sizeof line, stdin)) return 1;
    uint32_t chosen = strtoul(line, NULL, 10);
    uint64_t sum = 0, bytes = 0;
    for (int i = 0; i < 3; i++) {
        chosen = chosen * 1664525 + 1013904223;
        snprintf(name, sizeof name, "data/%03u", (unsigned)(chosen >> 16) % 200);
        FILE *file = fopen(name, "r");
        if (!file) {
            perror(name);
            return 2;
        }
        for (size_t n; (n = fread(part, 1, sizeof part, file)); bytes += n)
            for (size_t j = 0; j < n; j++) sum += part[j];
        fclose(file);
    }
    printf("%llu %llu\n", (unsigned long long)bytes, (unsigned long long)sum);
    return 0;
}
