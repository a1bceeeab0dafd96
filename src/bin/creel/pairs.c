#include "pairs.h"
#include "secret/sbuf.h"
#include "secret/sshkey.h"
#include "secret/store.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static int key_of(struct creel_store *s, const char *cell, const char *name, bool make, char ret[96],
		  struct creel_err *err)
{
	struct creel_buf autoclean(creel_sbuf_fini) value = {.data = NULL};
	struct creel_err none = {0};
	int r = creel_sbuf_init(&value, CREEL_SECRET_MAX, err);

	ret[0] = '\0';
	if (r == 0)
		r = creel_store_get(s, cell, name, &value, &none);
	if (r == CREEL_E_NOTFOUND && !make)
		return 0;
	if (r == CREEL_E_NOTFOUND) {
		none = (struct creel_err){0};
		r = creel_sshkey_make(&value, &none);
		if (r == 0)
			r = creel_store_put(s, cell, name, value.data, value.len, &none);
	}
	if (r == 0)
		r = creel_sshkey_public(creel_buf_str(&value), value.len, ret, &none);
	if (r < 0) {
		*err = none;
		return creel_err_add(err, "secret %s of cell '%s'", name, cell);
	}
	return 0;
}

static int find(struct pairs *p, const struct creel_config *config, struct creel_err *err)
{
	for (size_t i = 0; i < config->cells.n; i++) {
		const struct creel_cell_cfg *c = &config->cells.v[i];
		for (size_t k = 0; k < c->secrets.n; k++) {
			const struct creel_secret_cfg *s = &c->secrets.v[k];
			if (!s->pair.s)
				continue;
			const struct creel_cell_cfg *tool = creel_config_cell(config, s->pair.s);
			if (!tool || tool->gate.pos.line == 0)
				return creel_err_set(err, CREEL_E_CONFIG, 0,
						     "%s:%u:%u: the pair's cell `%s` has no `gate:`",
						     config->file, s->pair.pos.line, s->pair.pos.column,
						     s->pair.s);
			if (p->n == PAIRS)
				return creel_err_set(err, CREEL_E_CONFIG, 0, "over %d pairs", PAIRS);
			p->v[p->n++] = (struct pair){
				.client = c->name.s, .secret = s->name.s, .tool = tool->name.s};
		}
	}
	return 0;
}

int pairs_init(struct pairs *p, const char *state, const struct creel_config *config, bool make,
	       struct creel_err *err)
{
	struct creel_store autoclean(creel_store_fini) store = {.state = -1, .dir = -1, .lock = -1};
	struct creel_err none = {0};

	*p = (struct pairs){0};
	int r = find(p, config, err);
	if (r < 0 || p->n == 0)
		return r;
	autofd int fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT && !make ? 0 : creel_err_set(err, CREEL_E_OS, errno, "open %s", state);
	r = creel_store_open(fd, make, &store, &none);
	if (r == CREEL_E_NOTFOUND && !make)
		return 0;
	if (r < 0) {
		*err = none;
		return r;
	}
	for (size_t i = 0; r == 0 && i < p->n; i++) {
		r = key_of(&store, p->v[i].client, p->v[i].secret, make, p->v[i].client_pub, err);
		if (r == 0)
			r = key_of(&store, p->v[i].tool, PAIRS_HOST_KEY, make, p->v[i].host_pub, err);
	}
	return r;
}

int pairs_plan(const struct pairs *p, const struct creel_cell_cfg *cell, struct creel_plan *plan,
	       struct creel_err *err)
{
	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->v[i].tool, cell->name.s) != 0)
			continue;
		if (plan->n_secrets == CREEL_PLAN_SECRETS)
			return creel_err_set(err, CREEL_E_CONFIG, 0, "over %d secrets", CREEL_PLAN_SECRETS);
		(void)snprintf(plan->secrets[plan->n_secrets].name, sizeof(plan->secrets[0].name), "%s",
			       PAIRS_HOST_KEY);
		plan->secrets[plan->n_secrets++].source = CREEL_SOURCE_STORE;
		return 0;
	}
	return 0;
}
