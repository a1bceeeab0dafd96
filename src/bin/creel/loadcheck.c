#include "loadcheck.h"
#include "base/cleanup.h"
#include "base/closest.h"
#include "engine/cellbroker.h"
#include "engine/cellgate.h"
#include "image/image.h"
#include "policy/entry.h"
#include <string.h>

static void entries(const char *file, const struct creel_strs *list, bool deny, struct creel_diags *diags)
{
	struct creel_entry entry;

	for (size_t i = 0; i < list->n; i++) {
		struct creel_err why = {0};
		if (creel_entry_parse(list->v[i].s, deny, &entry, &why) < 0)
			creel_diag_add(diags, CREEL_DIAG_ERROR, file, list->v[i].pos,
				       "`%.200s`: %s; it is NAME, *.NAME, NAME:PORT[/raw|/udp] or "
				       "CIDR:PORT[/udp]",
				       list->v[i].s, why.msg);
	}
}

/* Rule by rule, so that all that are wrong are told; then all together, for what two may be. */
static int gate(const struct creel_config *c, const struct creel_cell_cfg *cell, struct creel_diags *diags,
		struct creel_err *err)
{
	const struct creel_strs *lists[] = {&cell->gate.allow, &cell->gate.ask, &cell->gate.deny};
	struct creel_verbs autoclean(creel_verbs_fini) table = {0};
	struct creel_err why = {0};
	size_t before = diags->errors;

	if (!cell->gate.pos.line || !cell->gate.program.s)
		return 0;
	/* a program without a table would be told once a rule */
	bool known = creel_verbs_builtin(cell->gate.program.s, &table, &why) == 0;
	for (size_t k = 0; known && k < ELEMENTSOF(lists); k++)
		for (size_t i = 0; i < lists[k]->n; i++) {
			struct creel_gate autoclean(creel_gate_fini) g = {0};
			struct creel_cell_cfg one = *cell;
			/* in its own list: what `deny` may say is not what `allow` may */
			struct creel_strs *of_one[] = {&one.gate.allow, &one.gate.ask, &one.gate.deny};
			for (size_t j = 0; j < ELEMENTSOF(of_one); j++)
				*of_one[j] = (struct creel_strs){0};
			*of_one[k] = (struct creel_strs){&lists[k]->v[i], 1, lists[k]->pos};
			if (creel_cellgate_init(&g, c, &one, diags, &why) == CREEL_E_NOMEM)
				return creel_err_nomem(err);
		}
	if (diags->errors > before)
		return 0;
	struct creel_gate autoclean(creel_gate_fini) whole = {0};
	int r = creel_cellgate_init(&whole, c, cell, diags, &why);
	return r == CREEL_E_NOMEM ? creel_err_nomem(err) : 0;
}

static int broker(const struct creel_config *c, const struct creel_cell_cfg *cell, struct creel_diags *diags,
		  struct creel_err *err)
{
	autofree struct creel_brokers *b = malloc(sizeof(*b));
	struct creel_err why = {0};
	int r = b ? creel_cellbroker_init(b, c, cell, diags, &why) : CREEL_E_NOMEM;

	return r == CREEL_E_NOMEM ? creel_err_nomem(err) : 0;
}

/* The same recipe of two cells is read, and what is wrong in it told, once. */
static bool seen(const struct creel_config *c, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (c->cells.v[i].recipe.s && strcmp(c->cells.v[i].recipe.s, c->cells.v[at].recipe.s) == 0)
			return true;
	return false;
}

static int recipe(const struct creel_config *c, size_t at, int dirfd, struct creel_diags *diags,
		  struct creel_err *err)
{
	struct creel_recipe autoclean(creel_recipe_fini) own = {0};
	const char *name = c->cells.v[at].recipe.s;
	struct creel_err why = {0};
	int r;

	if (!name || seen(c, at))
		return 0;
	if (creel_recipe_is_path(name))
		r = dirfd < 0 ? CREEL_E_NOTFOUND
			      : creel_recipe_load_file(dirfd, name, &own, NULL, diags, &why);
	else
		r = creel_image_builtin(name, &own, &why);
	if (r == CREEL_E_NOMEM)
		return creel_err_nomem(err);
	if (r < 0) /* missing, or told in diags */
		return 0;
	for (size_t i = at; r == 0 && i < c->cells.n; i++)
		if (c->cells.v[i].recipe.s && strcmp(c->cells.v[i].recipe.s, name) == 0)
			r = creel_config_check_recipe(c, &c->cells.v[i], &own, diags, err);
	return r;
}

int load_check(void *ctx, const struct creel_config *c, int dirfd, struct creel_diags *diags,
	       struct creel_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->cells.n; i++) {
		entries(c->file, &c->cells.v[i].egress.allow, false, diags);
		entries(c->file, &c->cells.v[i].egress.deny, true, diags);
		entries(c->approved_file, &c->cells.v[i].egress.approved, false, diags);
		r = gate(c, &c->cells.v[i], diags, err);
		if (r == 0)
			r = broker(c, &c->cells.v[i], diags, err);
		if (r == 0)
			r = recipe(c, i, dirfd, diags, err);
	}
	return r;
}
