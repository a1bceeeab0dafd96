#pragma once
#include "monitor.h"
#include "net/nft.h"

/* What the filter is told of a cell; its lists live as long as this. */
struct filter {
	struct creel_nft_cell cell;
	struct creel_link link;
	struct creel_nft_reach reach[512], resolvers[CREEL_PLAN_UPSTREAMS]; /* 256 lines, by IPv6 too */
};

/**
 * @param t  NULL: for a removal, which needs no policy
 * @return 0, CREEL_E_TOOBIG (lines of reach)
 */
int filter_of(const struct mon_cell *c, const struct creel_policytext *t, struct filter *f,
	      struct creel_err *err);
