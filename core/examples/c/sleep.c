// Sleeps for as many milliseconds as standard input says, and checks the monotonic clock.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int main(void) {
  char line[16];
  char *end = line;
  unsigned long milliseconds = fgets(line, sizeof line, stdin) ? strtoul(line, &end, 10) : 0;
  if (end == line) {
    fputs("sleep: expected a number of milliseconds on standard input\n", stderr);
    return 2;
  }
  printf("sleeping %lu ms\n", milliseconds);
  fflush(stdout);

  struct timespec duration = {.tv_sec = (time_t)(milliseconds / 1000), .tv_nsec = (long)(milliseconds % 1000) * 1000000};
  int64_t start = now();
  if (nanosleep(&duration, NULL) != 0) {
    perror("sleep");
    return 1;
  }
  int64_t slept = now() - start;

  int enough = slept >= (int64_t)milliseconds * 1000000;
  printf("slept %lu ms: %s\n", milliseconds, enough ? "ok" : "too short");
  return !enough;
}
