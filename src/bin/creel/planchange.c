#include "planchange.h"
#include "accel.h"
#include "base/cleanup.h"
#include "plandiff.h"
#include "planmake.h"
#include "policy/policydiff.h"
#include "policy/policytext.h"
#include "where.h"
#include <stdio.h>
#include <string.h>

/* The lowest address that no line has, as the monitor gives it. */
static int address_guess(struct creel_buf *lines, const struct creel_cidr *net, const char *cell,
			 struct creel_err *err)
{
	uint32_t base = (uint32_t)net->addr[0] << 24 | (uint32_t)net->addr[1] << 16 |
			(uint32_t)net->addr[2] << 8 | net->addr[3];
	char addr[32];

	for (uint32_t a = base + 2;; a++) {
		(void)snprintf(addr, sizeof(addr), " %u.%u.%u.%u\n", a >> 24, a >> 16 & 255, a >> 8 & 255,
			       a & 255);
		if (!strstr(creel_buf_str(lines), addr))
			return creel_buf_addf(lines, err, "%s%s", cell, addr);
	}
}

int planchange_addresses(struct netplan *n, const char *state, const struct creel_config *config,
			 struct creel_err *err)
{
	const struct creel_cidr *net = &config->network.subnet;
	char path[PATH_MAX + 16], line[128], subnet[64];
	int r = 0;

	creel_buf_init(&n->addresses, 1 << 17);
	(void)snprintf(path, sizeof(path), "%s/addresses", state);
	(void)snprintf(subnet, sizeof(subnet), "subnet %u.%u.%u.%u/%u\n", net->addr[0], net->addr[1],
		       net->addr[2], net->addr[3], net->bits);
	autofile FILE *f = fopen(path, "re");
	/* of another network nothing is kept */
	bool ours = f && fgets(line, sizeof(line), f) && strcmp(line, subnet) == 0;
	while (r == 0 && ours && fgets(line, sizeof(line), f))
		r = creel_buf_adds(&n->addresses, line, err);
	for (size_t i = 0; r == 0 && i < config->cells.n; i++) {
		const char *name = config->cells.v[i].name.s;
		char start[64];
		(void)snprintf(start, sizeof(start), "\n%s ", name);
		const char *lines = creel_buf_str(&n->addresses);
		if (strncmp(lines, start + 1, strlen(start + 1)) != 0 && !strstr(lines, start))
			r = address_guess(&n->addresses, net, name, err);
	}
	return r < 0 ? r : pairs_init(&n->pairs, state, config, false, err);
}

/* The plan that `up` would hand over; the image is only looked for. */
static int plan_now(const struct netplan *net, const struct creel_config *config,
		    const struct creel_cell_cfg *cell, int dirfd, json_t *running, json_t **ret,
		    struct creel_buf *ret_policy, bool *ret_image, struct creel_err *err)
{
	struct load_recipe autoclean(load_recipe_fini) recipe = {.dirfd = -1};
	struct planmake autoclean(planmake_fini) p = {0};
	struct creel_image image = {0};
	const char *runs_from = json_string_value(json_object_get(running, "image"));
	char why[160];
	bool known = false, kvm = false;

	int r = load_cell_recipe(cell, dirfd, &recipe, err);
	if (r == 0)
		r = load_image_look(&recipe, dirfd, &image, ret_image, err);
	if (!image.id[0] && runs_from) /* only a build tells which it will be */
		(void)snprintf(image.id, sizeof(image.id), "%s", runs_from);
	accel_known(&known, &kvm, why, sizeof(why));
	if (!known) /* `up` finds out; until then it is as it was */
		kvm = json_is_true(json_object_get(running, "kvm"));
	if (r == 0)
		r = planmake(net, config, cell, &recipe.recipe, recipe.dirfd, &image, kvm, &p, err);
	if (r == 0)
		r = creel_buf_add(ret_policy, p.policy.data, p.policy.len, err);
	if (r == 0 && !(*ret = json_loadb((const char *)p.text.data, p.text.len, 0, NULL)))
		r = creel_err_nomem(err);
	return r;
}

/* @return 0 also when creeld does not know the cell: then *ret is NULL */
static int plan_running(struct creel_client *client, const char *cell, json_t **ret, bool *ret_runs,
			struct creel_err *err)
{
	struct creel_err why = {0};
	char path[96];
	json_t *j = NULL;

	*ret_runs = false;
	if (!client)
		return 0;
	int r = client_path(path, sizeof(path), cell, "/plan", err);
	if (r == 0 && client_call(client, "GET", path, NULL, ret, &why) < 0) {
		*ret = NULL;
		return why.code == CREEL_E_NOTFOUND ? 0 : creel_err_set(err, why.code, 0, "%s", why.msg);
	}
	if (r == 0)
		r = client_path(path, sizeof(path), cell, "", err);
	if (r == 0 && (r = client_call(client, "GET", path, NULL, &j, err)) == 0) {
		const char *state = json_string_value(json_object_get(j, "state"));
		*ret_runs = state && strcmp(state, "stopped") != 0;
	}
	json_decref(j);
	return r;
}

/* The policy that the cell runs under. @return 0 also when there is none: then the text is empty */
static int policy_running(struct creel_client *client, const char *cell, struct creel_buf *out,
			  struct creel_err *err)
{
	struct creel_err why = {0};
	json_t *j = NULL;
	char path[96];

	int r = client_path(path, sizeof(path), cell, "/policy", err);
	if (r < 0 || client_call(client, "GET", path, NULL, &j, &why) < 0)
		return r;
	const char *text = json_string_value(json_object_get(j, "policy"));
	r = text ? creel_buf_adds(out, text, err) : 0;
	json_decref(j);
	return r;
}

/* What no word is for: where the other cells are. */
static bool same_cells(const struct creel_policytext *a, const struct creel_policytext *b)
{
	if (a->spec.n_cells != b->spec.n_cells ||
	    memcmp(&a->spec.subnet, &b->spec.subnet, sizeof(a->spec.subnet)) != 0)
		return false;
	for (size_t i = 0; i < a->spec.n_cells; i++) {
		size_t k = 0;
		while (k < b->spec.n_cells && (strcmp(a->cell[i].name, b->cell[k].name) != 0 ||
					       memcmp(a->cell[i].addr.addr, b->cell[k].addr.addr, 16) != 0))
			k++;
		if (k == b->spec.n_cells)
			return false;
	}
	return true;
}

/* Each line of @p words is a change from @p at on. */
static int words_insert(json_t *changes, size_t at, struct creel_buf *words, struct creel_err *err)
{
	for (char *save = (char *)words->data, *line; (line = strsep(&save, "\n")) && *line;)
		if (json_array_insert_new(
			    changes, at++,
			    json_pack("{s:s,s:n,s:n,s:b}", "what", line, "from", "to", "restart", 0)) < 0)
			return creel_err_nomem(err);
	return 0;
}

/* Instead of the one line that the policy is another one: what that means, a line each. Lines of the file
 * that only moved are no change. */
static int policy_words(struct creel_client *client, const char *cell, const struct creel_buf *policy,
			json_t *changes, struct creel_err *err)
{
	struct creel_policytext autoclean(creel_policytext_fini) was = {0};
	struct creel_policytext autoclean(creel_policytext_fini) will = {0};
	struct creel_buf autoclean(creel_buf_fini) runs;
	struct creel_buf autoclean(creel_buf_fini) words;
	size_t i = 0;

	creel_buf_init(&runs, CREEL_POLICYTEXT_MAX);
	creel_buf_init(&words, CREEL_POLICYTEXT_MAX);
	while (i < json_array_size(changes) &&
	       strcmp(json_string_value(json_object_get(json_array_get(changes, i), "what")),
		      PLANDIFF_POLICY) != 0)
		i++;
	if (i == json_array_size(changes))
		return 0;
	int r = policy_running(client, cell, &runs, err);
	if (r < 0 || runs.len == 0)
		return r;
	r = creel_policytext_read((const char *)runs.data, runs.len, NULL, NULL, &was, err);
	if (r == 0)
		r = creel_policytext_read((const char *)policy->data, policy->len, NULL, NULL, &will, err);
	if (r == 0)
		r = creel_policy_diff(&was.spec, &will.spec, &words, err);
	if (r < 0 || (words.len == 0 && !same_cells(&was, &will)))
		return r;
	(void)json_array_remove(changes, i);
	return words_insert(changes, i, &words, err);
}

int planchange(struct creel_client *client, const struct netplan *net, const struct creel_config *config,
	       const struct creel_cell_cfg *cell, int dirfd, json_t *out, struct creel_err *err)
{
	json_t *running = NULL, *now = NULL, *changes = NULL;
	struct creel_buf autoclean(creel_buf_fini) policy;
	struct creel_err why = {0};
	bool runs = false, image = false;
	const char *word = "new";

	creel_buf_init(&policy, CREEL_POLICYTEXT_MAX);
	int r = plan_running(client, cell->name.s, &running, &runs, err);
	if (r == 0 && plan_now(net, config, cell, dirfd, running, &now, &policy, &image, &why) < 0) {
		json_decref(running);
		json_t *said = json_pack("{s:s,s:b,s:[],s:s}", "change", "unknown", "restart", 0, "changes",
					 "why", why.msg);
		r = said && json_object_update(out, said) == 0 ? 0 : creel_err_nomem(err);
		json_decref(said);
		return r;
	}
	if (r == 0 && running && runs)
		changes = plandiff(running, now);
	else if (r == 0)
		changes = json_array();
	if (r == 0 && !changes)
		r = creel_err_nomem(err);
	if (r == 0 && running && runs)
		r = policy_words(client, cell->name.s, &policy, changes, err);
	if (r == 0 && running)
		word = !runs ? "stopped" : json_array_size(changes) > 0 ? "changed" : "unchanged";
	if (r == 0) {
		bool restart = false;
		json_t *v;
		size_t i;
		json_array_foreach (changes, i, v)
			restart |= json_is_true(json_object_get(v, "restart"));
		json_t *more = json_pack("{s:s,s:b,s:O,s:O,s:b}", "change", word, "restart", (int)restart,
					 "changes", changes, "image", json_object_get(now, "image"),
					 "image_ready", (int)image);
		if (!more || json_object_update(out, more) < 0)
			r = creel_err_nomem(err);
		json_decref(more);
	}
	json_decref(running);
	json_decref(now);
	json_decref(changes);
	return r;
}
