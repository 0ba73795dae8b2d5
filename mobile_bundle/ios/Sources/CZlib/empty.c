// SwiftPM builds a C target only if it has a source; zlib is the system's library.
