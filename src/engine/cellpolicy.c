#include "engine/cellpolicy.h"
#include "base/cleanup.h"
#include <string.h>

_Static_assert((int)CREEL_MODE_NONE == (int)CREEL_EGRESS_NONE &&
		       (int)CREEL_MODE_LISTED == (int)CREEL_EGRESS_LISTED &&
		       (int)CREEL_MODE_ASK == (int)CREEL_EGRESS_ASK &&
		       (int)CREEL_MODE_OPEN == (int)CREEL_EGRESS_OPEN,
	       "the modes have one order");

void creel_cellpolicy_fini(struct creel_cellpolicy *c)
{
	if (!c)
		return;
	creel_policy_fini(&c->policy);
	free(c->texts);
	c->texts = NULL;
}

static void texts(struct creel_rule_text *out, const struct creel_strs *in)
{
	for (size_t i = 0; i < in->n; i++)
		out[i] = (struct creel_rule_text){in->v[i].s, in->v[i].pos.line, in->v[i].pos.column};
}

int creel_cellpolicy_init(struct creel_cellpolicy *c, const struct creel_config *config,
			  const struct creel_cell_cfg *cell, struct creel_diags *diags,
			  struct creel_err *err)
{
	const struct creel_egress_cfg *e = &cell->egress;
	struct creel_rule_text bad = {0};
	struct store {
		const char **cells;
		struct creel_rule_reach *reach;
		struct creel_rule_text *texts;
	} at;
	size_t n_texts = e->allow.n + e->deny.n;
	/* one piece of memory: pointers first, then what has their alignment too */
	autofree char *all = calloc(1, config->cells.n * sizeof(*at.cells) +
					       cell->reach.n * sizeof(*at.reach) +
					       n_texts * sizeof(*at.texts) + 1);
	if (!all)
		return creel_err_nomem(err);
	at.cells = (const char **)(void *)all;
	at.reach = (struct creel_rule_reach *)(void *)(at.cells + config->cells.n);
	at.texts = (struct creel_rule_text *)(void *)(at.reach + cell->reach.n);
	for (size_t i = 0; i < config->cells.n; i++)
		at.cells[i] = config->cells.v[i].name.s;
	for (size_t i = 0; i < cell->reach.n; i++)
		at.reach[i] = (struct creel_rule_reach){cell->reach.v[i].cell.s,
							(uint16_t)cell->reach.v[i].port.v,
							cell->reach.v[i].pos.line};
	texts(at.texts, &e->allow);
	texts(at.texts + e->allow.n, &e->deny);

	struct creel_policy_spec spec = {
		.mode = (enum creel_policy_mode)e->mode.v,
		.mode_line = e->mode.pos.line ? e->mode.pos.line
			     : e->pos.line    ? e->pos.line
					      : cell->name.pos.line,
		.allow = at.texts,
		.n_allow = e->allow.n,
		.deny = at.texts + e->allow.n,
		.n_deny = e->deny.n,
		.reach = at.reach,
		.n_reach = cell->reach.n,
		.cells = at.cells,
		.n_cells = config->cells.n,
		.subnet = {.family = config->network.subnet.family, .bits = config->network.subnet.bits},
	};
	memcpy(spec.subnet.addr, config->network.subnet.addr, sizeof(spec.subnet.addr));
	int r = creel_policy_init(&c->policy, &spec, &bad, err);
	if (r == CREEL_E_NOMEM)
		return r;
	if (r < 0) {
		creel_diag_add(diags, CREEL_DIAG_ERROR, config->file,
			       (struct creel_pos){bad.line, bad.column}, "`%.200s`: %s", bad.s, err->msg);
		return creel_err_set(err, CREEL_E_CONFIG, 0, "the policy of cell %s is not right",
				     cell->name.s);
	}
	c->texts = steal_ptr(&all);
	return 0;
}
