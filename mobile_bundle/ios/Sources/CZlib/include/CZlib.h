// The C API of the system's zlib: part of Apple's SDKs, zlib1g-dev on Debian.
#include <zlib.h>
