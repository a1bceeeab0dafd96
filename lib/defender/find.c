/* Where in a text something may begin. The same code for the vectors that every processor has and for wider ones. */
#include "find.h"
#include "wide.h"
#include <assert.h>
#include <string.h>

/* Where DEF_RUN_MIN bits of @p m in a row begin. */
static inline uint64_t rows_of_run(uint64_t m)
{
	static_assert(DEF_RUN_MIN == 16, "four steps");
	m &= m >> 1;
	m &= m >> 2;
	m &= m >> 4;
	return m & m >> 8;
}

#define VEC WIDE
#define TARGET
#define NAME(x) x##_plain
#define MASK(v) wide_mask(v)
#include "find-body.h"
#undef VEC
#undef TARGET
#undef NAME
#undef MASK

#define VEC     (2 * WIDE)
#define TARGET  WIDE_FAST
#define NAME(x) x##_fast
#define MASK(v) wide_two_mask(&(v))
#include "find-body.h"

/* The first octet from @p i on that has its bit, in what is known; else where that ends. @return whether there is one */
static bool known_next(const struct def_known *k, size_t *i)
{
	if (*i < k->from || *i >= k->to)
		return false;
	uint64_t m = k->bits >> (*i - k->from);
	*i = m ? *i + (size_t)__builtin_ctzll(m) : k->to;
	return m != 0;
}

#define FIND(what)                                                                             \
	size_t def_find_##what(struct def_known *k, const uint8_t *in, size_t i, size_t len)   \
	{                                                                                      \
		if (known_next(k, &i))                                                         \
			return i;                                                              \
		return wide_fast() ? what##_fast(k, in, i, len) : what##_plain(k, in, i, len); \
	}

FIND(run)
FIND(escape)
FIND(mark)
FIND(leet)
FIND(changed)
