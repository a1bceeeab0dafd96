#include "engine/cellpolicy.h"
#include "base/cleanup.h"
#include "engine/cellbroker.h"
#include <stdio.h>
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

static bool has_six(const struct creel_config *config, const char *cell)
{
	for (size_t i = 0; i < config->cells.n; i++)
		if (strcmp(config->cells.v[i].name.s, cell) == 0)
			return config->cells.v[i].ipv6.v;
	return false;
}

int creel_cellpolicy_init(struct creel_cellpolicy *c, const struct creel_config *config,
			  const struct creel_cell_cfg *cell, struct creel_diags *diags, struct creel_err *err)
{
	const struct creel_egress_cfg *e = &cell->egress;
	struct creel_rule_text bad = {0};
	struct store {
		const char **cells;
		struct creel_rule_reach *reach;
		struct creel_rule_text *texts;
		struct creel_brokers *brokers;
		char (*names)[CREEL_CELLBROKER_NAME];
	} at;
	size_t n_brokers = MIN(cell->broker.n, (size_t)CREEL_BROKERS);
	size_t n_allow = e->allow.n + e->approved.n, n_texts = n_allow + e->deny.n;
	/* one piece of memory: pointers first, then what has their alignment too */
	autofree char *all = calloc(1, (config->cells.n + n_brokers) * sizeof(*at.cells) +
					       (cell->reach.n + n_brokers) * sizeof(*at.reach) +
					       n_texts * sizeof(*at.texts) + sizeof(*at.brokers) +
					       n_brokers * sizeof(*at.names));
	if (!all)
		return creel_err_nomem(err);
	at.cells = (const char **)(void *)all;
	at.reach = (struct creel_rule_reach *)(void *)(at.cells + config->cells.n + n_brokers);
	at.texts = (struct creel_rule_text *)(void *)(at.reach + cell->reach.n + n_brokers);
	at.brokers = (struct creel_brokers *)(void *)(at.texts + n_texts);
	at.names = (char(*)[CREEL_CELLBROKER_NAME])(void *)(at.brokers + 1);
	int r = creel_cellbroker_init(at.brokers, config, cell, diags, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < config->cells.n; i++)
		at.cells[i] = config->cells.v[i].name.s;
	for (size_t i = 0; i < cell->reach.n; i++)
		at.reach[i] = (struct creel_rule_reach){
			cell->reach.v[i].cell.s, (uint16_t)cell->reach.v[i].port.v, cell->reach.v[i].pos.line,
			cell->ipv6.v && has_six(config, cell->reach.v[i].cell.s)};
	/* a broker is reached as another cell is: by a name below .creel and one port */
	n_brokers = at.brokers->n;
	for (size_t i = 0; i < n_brokers; i++) {
		const struct creel_broker *b = &at.brokers->v[i];
		(void)snprintf(at.names[i], sizeof(at.names[i]), "%s.broker", b->name);
		at.cells[config->cells.n + i] = at.names[i];
		at.reach[cell->reach.n + i] = (struct creel_rule_reach){at.names[i], 80, b->line, false};
	}
	texts(at.texts, &e->allow);
	texts(at.texts + e->allow.n, &e->approved);
	/* their lines are another file's: no line of creel.yaml decides */
	for (size_t i = e->allow.n; i < n_allow; i++)
		at.texts[i].line = at.texts[i].column = 0;
	texts(at.texts + n_allow, &e->deny);

	struct creel_policy_spec spec = {
		.mode = (enum creel_policy_mode)e->mode.v,
		.mode_line = e->mode.pos.line ? e->mode.pos.line
			     : e->pos.line    ? e->pos.line
					      : cell->name.pos.line,
		.allow = at.texts,
		.n_allow = n_allow,
		.deny = at.texts + n_allow,
		.n_deny = e->deny.n,
		.reach = at.reach,
		.n_reach = cell->reach.n + n_brokers,
		.cells = at.cells,
		.n_cells = config->cells.n + n_brokers,
		.brokers = n_brokers ? at.brokers : NULL,
		.subnet = {.family = config->network.subnet.family, .bits = config->network.subnet.bits},
	};
	memcpy(spec.subnet.addr, config->network.subnet.addr, sizeof(spec.subnet.addr));
	r = creel_policy_init(&c->policy, &spec, &bad, err);
	if (r == CREEL_E_NOMEM)
		return r;
	if (r < 0) {
		creel_diag_add(diags, CREEL_DIAG_ERROR, config->file,
			       (struct creel_pos){bad.line, bad.column}, "`%.200s`: %s", bad.s, err->msg);
		return creel_err_set(err, CREEL_E_CONFIG, 0, "the policy of cell %s is not right",
				     cell->name.s);
	}
	c->brokers = at.brokers;
	c->texts = steal_ptr(&all);
	return 0;
}
