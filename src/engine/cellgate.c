#include "engine/cellgate.h"
#include "base/cleanup.h"

static int bad(struct creel_diags *diags, const struct creel_config *config, uint32_t line, uint32_t column,
	       const struct creel_cell_cfg *cell, struct creel_err *err)
{
	creel_diag_add(diags, CREEL_DIAG_ERROR, config->file, (struct creel_pos){line, column}, "%s",
		       err->msg);
	return creel_err_set(err, CREEL_E_CONFIG, 0, "the gate of cell %s is not right", cell->name.s);
}

int creel_cellgate_init(struct creel_gate *gate, const struct creel_config *config,
			const struct creel_cell_cfg *cell, struct creel_diags *diags, struct creel_err *err)
{
	const struct creel_gate_cfg *c = &cell->gate;
	const struct creel_strs *lists[] = {
		[CREEL_DENY] = &c->deny, [CREEL_ASK] = &c->ask, [CREEL_ALLOW] = &c->allow};
	struct creel_verbs autoclean(creel_verbs_fini) table = {0};
	struct creel_rule_text at = {0};
	struct creel_gate_spec spec = {0};
	autofree struct creel_rule_text *texts = calloc(c->deny.n + c->ask.n + c->allow.n + 1,
							sizeof(*texts));
	struct creel_rule_text *next = texts;

	if (!texts)
		return creel_err_nomem(err);
	for (unsigned d = 0; d < ELEMENTSOF(lists); d++) {
		spec.rule[d] = next;
		spec.n[d] = lists[d]->n;
		for (size_t i = 0; i < lists[d]->n; i++)
			*next++ = (struct creel_rule_text){lists[d]->v[i].s, lists[d]->v[i].pos.line,
							   lists[d]->v[i].pos.column};
	}
	int r = creel_verbs_builtin(c->program.s, &table, err);
	if (r == CREEL_E_NOMEM)
		return r;
	if (r < 0)
		return bad(diags, config, c->program.pos.line, c->program.pos.column, cell, err);
	r = creel_gate_init(gate, &table, &spec, &at, err);
	gate->shared = r == 0 && c->shared.v > 0;
	if (r < 0 && r != CREEL_E_NOMEM)
		return bad(diags, config, at.line, at.column, cell, err);
	return r;
}
