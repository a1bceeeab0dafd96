/* src/engine/approvals.c of the twin: each wall that test-approvals.c tries, taken down. */
#include "engine/approvals.h"
#include <stdio.h>
#include <string.h>

int strict_answer(struct creel_approvals *a, uint32_t id, const struct creel_approval_answer *answer,
		  int64_t now_ms, struct creel_err *err);
int strict_use(struct creel_approvals *a, uint32_t id, int64_t now_ms, struct creel_err *err);
#define creel_approvals_answer  strict_answer
#define creel_approvals_use     strict_use
#define CREEL_APPROVALS_PENDING 1000
#define CREEL_APPROVALS_OCTETS  (SIZE_MAX / 2)
#define memcmp(a, b, n)         ((void)(a), (void)(b), 0) /* whatever is asked is what was asked */
#define strcmp(a, b)            ((void)(a), (void)(b), 0) /* whoever asks */
#include "engine/approvals.c"
#undef creel_approvals_answer
#undef creel_approvals_use

/* the last answer counts, whenever it comes */
int creel_approvals_answer(struct creel_approvals *a, uint32_t id, const struct creel_approval_answer *answer,
			   int64_t now_ms, struct creel_err *err)
{
	struct creel_approval *p = creel_approvals_find(a, id);

	if (p) {
		p->state = CREEL_APPROVAL_PENDING;
		p->expires_ms = CREEL_APPROVAL_EVER;
	}
	return strict_answer(a, id, answer, now_ms, err);
}

/* a yes is not used up */
int creel_approvals_use(struct creel_approvals *a, uint32_t id, int64_t now_ms, struct creel_err *err)
{
	(void)strict_use(a, id, now_ms, err);
	err->code = 0;
	return 0;
}
