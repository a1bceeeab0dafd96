#pragma once
#include "base/err.h"
#include <stdatomic.h>
#include <stdint.h>

/*
 * What a creel-flowlog took from the filter and what it told of that, for each NFLOG group, in memory that
 * outlives it: the next one on the same sockets knows how much was not told when it was killed. It writes
 * what it took before anything of that is told, and what was told after; so what a kill falls between is
 * counted as lost, never passed over.
 */
enum { CREEL_FLOWSUMS = 257 /* groups 0, which is nobody's, to 256 */ };

struct creel_flowsum {
	_Atomic uint64_t
		taken; /* NFLOG's numbers up to this one, which begin at 0; the next is its low half */
	_Atomic uint64_t told; /* so many of them: sent, or that were our own ticks */
};

/** Memory for all groups. @return a memfd that nobody makes smaller; CREEL_E_OS */
int creel_flowsums_new(struct creel_err *err);
/** A group's numbers begin anew: its socket is another one. @return 0, CREEL_E_OS */
int creel_flowsums_clear(int fd, uint16_t group, struct creel_err *err);
/** @return 0, CREEL_E_OS (also of what is no such memory) */
int creel_flowsums_map(int fd, struct creel_flowsum **ret, struct creel_err *err);
