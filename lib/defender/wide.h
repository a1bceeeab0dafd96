#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * Sixteen octets at once. Masks have bit i for octet i. SSE2 is part of x86-64; elsewhere the compiler
 * makes what it can of the same words.
 */
#define WIDE       16
#define WIDE_BLOCK 64 /* that are looked at together, with masks of 64 bits */

typedef uint8_t wide __attribute__((vector_size(WIDE)));

static inline wide wide_load(const uint8_t *p)
{
	wide v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void wide_store(uint8_t *p, wide v)
{
	memcpy(p, &v, sizeof(v));
}

static inline wide wide_all(uint8_t c)
{
	return (wide){c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c};
}

#ifdef __SSE2__
#include <emmintrin.h>
static inline unsigned wide_mask(wide v)
{
	return (unsigned)_mm_movemask_epi8((__m128i)v);
}
/* 0xff where first <= octet <= last */
static inline wide wide_range(wide v, uint8_t first, uint8_t last)
{
	__m128i x = _mm_sub_epi8((__m128i)v, (__m128i)wide_all(first));
	return (wide)_mm_cmpeq_epi8(_mm_min_epu8(x, (__m128i)wide_all((uint8_t)(last - first))), x);
}
static inline wide wide_max(wide a, wide b)
{
	return (wide)_mm_max_epu8((__m128i)a, (__m128i)b);
}
#else
static inline unsigned wide_mask(wide v)
{
	unsigned m = 0;
	for (unsigned i = 0; i < WIDE; i++)
		m |= (unsigned)(v[i] >> 7) << i;
	return m;
}
static inline wide wide_range(wide v, uint8_t first, uint8_t last)
{
	return (wide)((v - wide_all(first)) <= wide_all((uint8_t)(last - first)));
}
static inline wide wide_max(wide a, wide b)
{
	wide greater = (wide)(a > b);
	return (a & greater) | (b & ~greater);
}
#endif

static inline wide wide_is(wide v, uint8_t c)
{
	return (wide)(v == wide_all(c));
}

/*
 * What only some processors have. A function of both kinds is written once, as a WIDE_BODY with a `fast` that its
 * two callers know: one is WIDE_FAST, and called where wide_fast().
 */
#define WIDE_BODY static inline __attribute__((always_inline))
#ifdef __x86_64__
#include <immintrin.h>
#define WIDE_FAST __attribute__((target("avx2,bmi,bmi2,popcnt")))
static inline bool wide_fast(void)
{
#ifdef WIDE_PLAIN /* a test's wish */
	return false;
#else
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
	       __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
#endif
}
#else
#define WIDE_FAST
static inline bool wide_fast(void)
{
	return false;
}
#endif

/*
 * Of vectors of any width; they are no arguments, as how those are passed depends on the processor.
 * 0xff where it is c, and where first <= octet <= last.
 */
#define WIDE_IS(v, c) ((__typeof__(v))((v) == (uint8_t)(c)))
#define WIDE_RANGE(v, first, last) \
	((__typeof__(v))((__typeof__(v))((v) - (uint8_t)(first)) <= (uint8_t)((last) - (first))))

/* Thirty-two octets, only where wide_fast(). */
typedef uint8_t wide_two __attribute__((vector_size(2 * WIDE)));
#ifdef __x86_64__
WIDE_FAST static inline uint32_t wide_two_mask(const wide_two *v)
{
	return (uint32_t)_mm256_movemask_epi8((__m256i)*v);
}
#else
static inline uint32_t wide_two_mask(const wide_two *v)
{
	uint32_t m = 0;
	for (unsigned i = 0; i < 2 * WIDE; i++)
		m |= (uint32_t)((*v)[i] >> 7) << i;
	return m;
}
#endif

/* Row m: the places of the bits of m, ascending. */
extern const uint64_t def_wide_places[256];

/* Put the octets that @p keep has, one behind the other; up to 2 * WIDE are written. @return how many */
static inline unsigned wide_pack_plain(uint8_t *out, wide v, unsigned keep)
{
	uint8_t all[2 * WIDE] = {0};
	unsigned n = 0;

	if (keep == 0xffff) {
		wide_store(out, v);
		return WIDE;
	}
	wide_store(all, v);
	while (keep) { /* stretches that stay; what is copied beyond one is overwritten */
		unsigned from = (unsigned)__builtin_ctz(keep),
			 some = (unsigned)__builtin_ctz(~(keep >> from));
		memcpy(out + n, all + from, WIDE);
		n += some;
		keep &= ~0u << (from + some);
	}
	return n;
}

#ifdef __x86_64__
/* Eight at once by a table of shuffles, as in "despacing" (Lemire 2017). */
WIDE_FAST static inline unsigned wide_pack_fast(uint8_t *out, wide v, unsigned keep)
{
	__m128i low = _mm_loadl_epi64((const __m128i *)&def_wide_places[keep & 0xff]),
		high = _mm_loadl_epi64((const __m128i *)&def_wide_places[keep >> 8 & 0xff]);
	unsigned n = (unsigned)__builtin_popcount(keep & 0xff);

	_mm_storel_epi64((__m128i *)out, _mm_shuffle_epi8((__m128i)v, low));
	_mm_storel_epi64((__m128i *)(out + n),
			 _mm_shuffle_epi8((__m128i)v, _mm_add_epi8(high, _mm_set1_epi8(8))));
	return n + (unsigned)__builtin_popcount(keep >> 8 & 0xff);
}
#else
#define wide_pack_fast wide_pack_plain
#endif
