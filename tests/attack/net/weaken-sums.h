#pragma once
/* What makes the creel-flowlog of `sums`'s twin: what was lost is not told, as if the count were not there. */
#include "linux/flowsend.h"

static inline bool weak_put(struct creel_flowsend *s, const struct creel_flowmsg *m)
{
	return m->type == CREEL_FLOWMSG_LOST || creel_flowsend_put(s, m);
}
#define creel_flowsend_put(s, m) weak_put((s), (m))
