/*
 * The body of find.c, for vectors of VEC octets: NAME() makes a name of this width, MASK() is a vector's mask, TARGET
 * says what processor has it.
 * Of a block at p each function below says which of its octets are meant, a bit each, from the second on where what
 * stands beside them matters.
 */
typedef uint8_t NAME(vec) __attribute__((vector_size(VEC)));

#define is    WIDE_IS
#define range WIDE_RANGE
#define BITS(v, expr)                                               \
	({                                                          \
		uint64_t bits_ = 0;                                 \
		for (unsigned k_ = 0; k_ < WIDE_BLOCK; k_ += VEC) { \
			NAME(vec) v;                                \
			memcpy(&v, p + k_, VEC);                    \
			NAME(vec) is_ = (expr);                     \
			bits_ |= (uint64_t)MASK(is_) << k_;         \
		}                                                   \
		bits_;                                              \
	})

TARGET static inline uint64_t NAME(run_bits)(const uint8_t *p)
{
	/* at less cost, more than is meant: neither sixteen octets without a blank, nor without a letter behind f */
	uint64_t runs = BITS(v, ~range(v, ' ', '*')),
		 pairs = BITS(v, ~range(v | 0x20, 'g', 'z') | is(v | 0x20, 'x'));

	if (!(rows_of_run(runs) | rows_of_run(pairs)))
		return 0;
	/* digits of base64 with line ends, and a few more octets; then pairs */
	runs = BITS(v, range(v | 0x20, 'a', 'z') | range(v | 0x20, '/', '9') | range(v | 0x20, '*', '-') |
			       is(v | 0x20, '_' | 0x20));
	pairs = BITS(v, range(v | 0x20, 'a', 'f') | range(v | 0x20, '0', ':') | is(v | 0x20, 'x') |
				is(v | 0x20, ' ') | is(v | 0x20, ',') | is(v | 0x20, '\n' | 0x20));
	return (rows_of_run(runs) | rows_of_run(pairs)) & BITS(v, ~range(v, 0, ' '));
}

TARGET static inline uint64_t NAME(escape_bits)(const uint8_t *p)
{
	return BITS(v, is(v, '%') | is(v, '&') | is(v, '\\') | is(v, 0x1b));
}

TARGET static inline uint64_t NAME(mark_bits)(const uint8_t *p)
{
	uint64_t tags = BITS(v, is(v, '<')), others = BITS(v, is(v, '*') | is(v, '`') | is(v, '~')),
		 blanks = BITS(v, range(v, 0, ' ')), closes = BITS(v, is(v, '>'));

	return (tags | (others & ~(blanks >> 1))) & ~((blanks | closes) << 1) & (UINT64_MAX >> 1);
}

TARGET static inline uint64_t NAME(leet_bits)(const uint8_t *p)
{
	uint64_t digits = BITS(v, range(v, '0', '9') | is(v, '@') | is(v, '$') | is(v, '!') | is(v, '|') |
					  is(v, '+')),
		 letters = BITS(v, range(v, 'a', 'z'));

	return digits & letters << 1 & (letters >> 1 | (digits >> 1 & letters >> 2)) & (UINT64_MAX >> 2);
}

TARGET static inline uint64_t NAME(changed_bits)(const uint8_t *p)
{
	/* 2 and 6 differ in one bit, and stand for themselves */
	uint64_t digits = BITS(v, (range(v, '0', '9') & ~is(v & 0xfb, '2')) | is(v, '@') | is(v, '$') |
					  is(v, '!'));

	if (!digits)
		return 0;
	uint64_t letters = BITS(v, range(v, 'a', 'z'));
	return digits & letters << 1 & letters >> 1;
}

/* As find.h has them. @p before: 1 where an octet's bit is the next one's; @p known: octets of whose bits all is known */
#define FIND(what, before, known)                                                                      \
	TARGET static size_t NAME(what)(struct def_known * k, const uint8_t *in, size_t i, size_t len) \
	{                                                                                              \
		for (; i - (before) + WIDE_BLOCK <= len; i = k->to) {                                  \
			uint64_t bits = NAME(what##_bits)(in + i - (before));                          \
			*k = (struct def_known){i, i + (known), bits >> (before)};                     \
			if (k->bits)                                                                   \
				return i + (size_t)__builtin_ctzll(k->bits);                           \
		}                                                                                      \
		return i;                                                                              \
	}

FIND(run, 0, WIDE_BLOCK - DEF_RUN_MIN + 1)
FIND(escape, 0, WIDE_BLOCK)
FIND(mark, 1, WIDE_BLOCK - 2)
FIND(leet, 1, WIDE_BLOCK - 3)
FIND(changed, 1, WIDE_BLOCK - 2)

#undef FIND
#undef BITS
#undef range
#undef is
