// SHA-256 and Ed25519 for the tests on Linux, which has no CryptoKit.
#include <openssl/evp.h>
