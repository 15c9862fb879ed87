// The system's zlib, and those of its entry points that are macros, which Swift does not see.

#ifndef CDUPLEXZLIB_H
#define CDUPLEXZLIB_H

#include <zlib.h>

static inline int duplex_inflate_init(z_stream *stream, int window_bits) { return inflateInit2(stream, window_bits); }

static inline int duplex_deflate_init(z_stream *stream, int level, int window_bits, int memory_level, int strategy) {
    return deflateInit2(stream, level, Z_DEFLATED, window_bits, memory_level, strategy);
}

#endif
