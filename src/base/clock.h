#pragma once
#include <stdint.h>
#include <time.h>

/** Milliseconds of CLOCK_MONOTONIC: for time-outs and durations, never for a date. */
static inline int64_t creel_clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
