#include "wide.h"

/* The place of bit @p i before those of @p more, if @p m has it. */
#define PUT(m, i, more) ((more) << ((m) >> (i)&1) * 8 | ((m) >> (i)&1) * (i))
#define ROW(m)     \
	PUT(m, 0u, \
	    PUT(m, 1u, PUT(m, 2u, PUT(m, 3u, PUT(m, 4u, PUT(m, 5u, PUT(m, 6u, PUT(m, 7u, UINT64_C(0)))))))))
#define ROWS4(m)  ROW(m), ROW((m) + 1u), ROW((m) + 2u), ROW((m) + 3u)
#define ROWS16(m) ROWS4(m), ROWS4((m) + 4u), ROWS4((m) + 8u), ROWS4((m) + 12u)
#define ROWS64(m) ROWS16(m), ROWS16((m) + 16u), ROWS16((m) + 32u), ROWS16((m) + 48u)

const uint64_t def_wide_places[256] = {ROWS64(0u), ROWS64(64u), ROWS64(128u), ROWS64(192u)};
