#include "vmm.h"
#include <stdint.h>
#include <time.h>

#ifdef __x86_64__
enum { SPAN_NS = 20000000, TRIES = 8 };

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The counter and the clock at one moment: of a few tries the one that was interrupted the least. */
static void sample(uint64_t *ret_ticks, int64_t *ret_ns)
{
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		uint64_t before = __builtin_ia32_rdtsc();
		int64_t ns = now_ns();
		uint64_t took = __builtin_ia32_rdtsc() - before;
		if (took >= least)
			continue;
		least = took;
		*ret_ticks = before + took / 2;
		*ret_ns = ns;
	}
}

unsigned creel_vmm_tsc_khz(void)
{
	static unsigned known;
	uint64_t from = 0, to = 0;
	int64_t from_ns = 0, to_ns = 0;

	if (known)
		return known;
	sample(&from, &from_ns);
	do {
		(void)nanosleep(&(struct timespec){.tv_nsec = SPAN_NS}, NULL);
		sample(&to, &to_ns);
	} while (to_ns - from_ns < SPAN_NS);
	known = (unsigned)((double)(to - from) * 1e6 / (double)(to_ns - from_ns));
	return known;
}
#else
unsigned creel_vmm_tsc_khz(void)
{
	return 0;
}
#endif
