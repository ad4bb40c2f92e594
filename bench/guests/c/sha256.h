// SHA-256, HMAC and PBKDF2 on words, with the padded keys of HMAC compressed once.

#pragma once

#include <stdint.h>
#include <string.h>

static const uint32_t sha256_start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static const uint32_t sha256_round[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline uint32_t rotr(uint32_t x, int n) { return x >> n | x << (32 - n); }

// One block of 16 words, most significant byte first in each.
static void compress(uint32_t state[8], const uint32_t block[16]) {
  uint32_t w[16];
  memcpy(w, block, sizeof w);
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
#pragma GCC unroll 64
  for (int i = 0; i < 64; i++) {
    if (i >= 16) {
      uint32_t early = w[(i + 1) & 15], late = w[(i + 14) & 15];
      w[i & 15] += (rotr(early, 7) ^ rotr(early, 18) ^ early >> 3) + w[(i + 9) & 15] +
                   (rotr(late, 17) ^ rotr(late, 19) ^ late >> 10);
    }
    uint32_t t = h + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + (g ^ (e & (f ^ g))) + sha256_round[i] + w[i & 15];
    uint32_t u = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) | (c & (a | b)));
    h = g, g = f, f = e, e = d + t;
    d = c, c = b, b = a, a = t + u;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d;
  state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

static inline uint32_t load_big(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

// Ends a message: `state` has taken `before` bytes, a multiple of 64; `length` more follow, then `extra` as a
// big-endian word unless it is 0.
static void finish(uint32_t state[8], uint64_t before, const uint8_t *message, size_t length, uint32_t extra) {
  uint64_t bits = (before + length + (extra ? 4 : 0)) * 8;
  uint8_t tail[128] = {0};
  uint32_t block[16];
  for (; length >= 64; message += 64, length -= 64) {
    for (int i = 0; i < 16; i++)
      block[i] = load_big(message + 4 * i);
    compress(state, block);
  }
  if (length > 0)
    memcpy(tail, message, length);
  if (extra)
    for (int i = 0; i < 4; i++)
      tail[length++] = (uint8_t)(extra >> (24 - 8 * i));
  tail[length] = 0x80;
  size_t end = length + 9 <= 64 ? 64 : 128;
  for (int i = 0; i < 8; i++)
    tail[end - 8 + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
  for (size_t at = 0; at < end; at += 64) {
    for (int i = 0; i < 16; i++)
      block[i] = load_big(tail + at + 4 * i);
    compress(state, block);
  }
}

// PBKDF2 with HMAC-SHA256; `count` words of key, a multiple of 8. The password has at most 64 bytes.
static void pbkdf2(const char *password, const uint8_t *salt, size_t salt_length, uint32_t iterations, uint32_t *key,
                   size_t count) {
  uint8_t padded[64] = {0};
  uint32_t inner[8], outer[8], block[16];
  memcpy(padded, password, strlen(password));
  memcpy(inner, sha256_start, sizeof inner);
  memcpy(outer, sha256_start, sizeof outer);
  for (int i = 0; i < 16; i++)
    block[i] = load_big(padded + 4 * i) ^ 0x36363636;
  compress(inner, block);
  for (int i = 0; i < 16; i++)
    block[i] ^= 0x36363636 ^ 0x5c5c5c5c;
  compress(outer, block);

  for (uint32_t number = 1; number <= count / 8; number++, key += 8) {
    uint32_t state[8];
    // Every message from here on is one digest after a padded key, with the same padding.
    memset(block, 0, sizeof block);
    block[8] = 0x80000000;
    block[15] = (64 + 32) * 8;
    memcpy(state, inner, sizeof state);
    finish(state, 64, salt, salt_length, number);
    memcpy(block, state, sizeof state);
    memcpy(state, outer, sizeof state);
    compress(state, block);
    memcpy(key, state, sizeof state);
    for (uint32_t i = 1; i < iterations; i++) {
      memcpy(block, state, sizeof state);
      memcpy(state, inner, sizeof state);
      compress(state, block);
      memcpy(block, state, sizeof state);
      memcpy(state, outer, sizeof state);
      compress(state, block);
      for (int j = 0; j < 8; j++)
        key[j] ^= state[j];
    }
  }
}
