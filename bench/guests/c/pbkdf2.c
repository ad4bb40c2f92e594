// "PASSWORD SALT ITERATIONS" -> 32 bytes of PBKDF2-HMAC-SHA256 in hex.
// Memory: 65536, of which stack: 8192

#include "guest.h"
#include "sha256.h"

int main(void) {
  char line[256] = {0}, *next = line;
  read_all(line, sizeof line);
  char *password = field(&next), *salt = field(&next);
  uint32_t iterations = number(&next), key[8];
  if (strlen(password) > 64)
    return 2;
  pbkdf2(password, (const uint8_t *)salt, strlen(salt), iterations, key, 8);
  print_words(key, 8);
  return 0;
}
