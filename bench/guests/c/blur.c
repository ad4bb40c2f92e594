// "SEED SIZE" -> the digest of a noisy RGB image of SIZE x SIZE pixels (at most 200) after a Gaussian blur with sigma
// 1. Memory: 262144, of which stack: 8192
//
// The blur is separable and in f32: five rows into one row of floats, then that row into a row of bytes. At the edge
// the outermost pixel is repeated.

#include "guest.h"

enum { MOST = 200, CHANNELS = 3, REACH = 2 };

static float row[MOST * CHANNELS];

static const float weight[2 * REACH + 1] = {0.05448868f, 0.24420134f, 0.40261996f, 0.24420134f, 0.05448868f};

static inline int clamp(int value, int most) { return value < 0 ? 0 : value > most ? most : value; }

static void blur(const uint8_t *from, uint8_t *to, int size) {
  int stride = size * CHANNELS;
  for (int y = 0; y < size; y++) {
    const uint8_t *above[2 * REACH + 1];
    for (int k = 0; k <= 2 * REACH; k++)
      above[k] = from + clamp(y + k - REACH, size - 1) * stride;
    for (int i = 0; i < stride; i++) {
      float sum = 0;
      for (int k = 0; k <= 2 * REACH; k++)
        sum += weight[k] * above[k][i];
      row[i] = sum;
    }
    for (int x = 0; x < size; x++) {
      for (int channel = 0; channel < CHANNELS; channel++) {
        float sum = 0;
        for (int k = 0; k <= 2 * REACH; k++)
          sum += weight[k] * row[clamp(x + k - REACH, size - 1) * CHANNELS + channel];
        to[y * stride + x * CHANNELS + channel] = (uint8_t)(sum < 255 ? sum + 0.5f : 255);
      }
    }
  }
}

int main(void) {
  char line[64] = {0}, *next = line;
  read_all(line, sizeof line);
  uint32_t seed = number(&next), size = number(&next);
  if (size == 0 || size > MOST)
    return 2;
  size_t words = ((size_t)size * size * CHANNELS + 7) / 8;
  uint64_t *image = must(malloc(words * 8)), *blurred = must(calloc(words, 8));
  fill_words(image, words, seed);
  blur((const uint8_t *)image, (uint8_t *)blurred, (int)size);
  print_digest(digest_words(blurred, words));
  return 0;
}
