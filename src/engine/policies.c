#include "base/log.h"
#include "engine/engine.h"
#include "linux/memfd.h"
#include "policy/policydiff.h"
#include "policy/policytext.h"
#include <stdio.h>
#include <string.h>

/*
 * A plan that differs from what runs in nothing but the policy is taken on by the running cell: first it
 * is on the record, in words, then the monitor changes filter and resolver in one go, and the flows that
 * are permitted no more are cut.
 */
static void text_copy(struct creel_buf *to, const struct creel_buf *from)
{
	struct creel_err err = {0};

	creel_buf_fini(to);
	creel_buf_init(to, CREEL_POLICYTEXT_MAX);
	if (creel_buf_add(to, from->data, from->len, &err) < 0)
		creel_log_error(&err);
}

void policies_ran(struct eng_cell *c)
{
	c->ran = c->plan;
	memcpy(c->ran_hash, c->plan_hash, sizeof(c->ran_hash));
	text_copy(&c->ran_policy, &c->policy);
	c->applying = false;
}

/* The change as one line: what `creel plan` shows, apart by "; ". */
static int words(const struct eng_cell *c, struct creel_buf *out, struct creel_err *err)
{
	struct creel_policytext autoclean(creel_policytext_fini) was = {0},
								 autoclean(creel_policytext_fini) will = {0};
	int r = creel_policytext_read((const char *)c->ran_policy.data, c->ran_policy.len, NULL, NULL, &was,
				      err);

	if (r == 0)
		r = creel_policytext_read((const char *)c->policy.data, c->policy.len, NULL, NULL, &will,
					  err);
	if (r == 0)
		r = creel_policy_diff(&was.spec, &will.spec, out, err);
	for (size_t i = 0; r == 0 && i + 1 < out->len; i++)
		if (out->data[i] == '\n')
			out->data[i] = ';';
	if (out->len > 0)
		out->data[--out->len] = '\0';
	return r;
}

int policies_apply(struct eng_cell *c, uid_t by, struct creel_err *err)
{
	struct creel_event e = {.kind = CREEL_EV_POLICY_CHANGE, .cell = c->name};
	struct creel_buf autoclean(creel_buf_fini) change;

	creel_buf_init(&change, CREEL_POLICYTEXT_MAX);
	int r = words(c, &change, err);
	if (r < 0)
		return r;
	creel_event_str(&e, "change", change.len ? creel_buf_str(&change) : "resolvers or lines of the file");
	creel_event_num(&e, "uid", by);
	if ((r = journal_add(&e, err)) < 0)
		return r;
	if (engine_ask(CREEL_MON_APPLY, c->name, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, 0, "the monitor cannot be asked");
	c->applying = true;
	c->why[0] = '\0';
	cells_changed(c);
	return 0;
}

void policies_on_monitor(struct eng_cell *c, const struct creel_monmsg *m, int fd)
{
	struct creel_err err = {0};

	if (m->type == CREEL_MON_POLICY) {
		creel_buf_fini(&c->policy);
		creel_buf_init(&c->policy, CREEL_POLICYTEXT_MAX);
		if (creel_memfd_read_sealed(fd, &c->policy, &err) < 0)
			creel_log_error(&err);
	} else if (m->type == CREEL_MON_APPLIED) {
		policies_ran(c);
		cells_changed(c);
	} else {
		c->applying = false;
		(void)snprintf(c->why, sizeof(c->why), "%.199s", m->text);
		cells_changed(c);
	}
}
