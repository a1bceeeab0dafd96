#include "accel.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "client.h"
#include "cmds.h"
#include "linux/memfd.h"
#include "load.h"
#include "missing.h"
#include "notify.h"
#include "planmake.h"
#include "secrets.h"
#include "where.h"
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void on_interrupt(int sig)
{
	client_interrupted = 1;
}

/* One cell on its way up. */
struct coming {
	const struct creel_cell_cfg *cfg;
	struct creel_image image;
	bool began; /* it was not running: what fails is taken down again */
	bool done;
	json_int_t serial;
	struct timespec since;
	char shown[256];
};

struct up {
	struct creel_cli *cli;
	struct creel_client client;
	const struct creel_config *config;
	struct coming cells[64];
	size_t n;
	bool daemon_ours;
};

static double seconds(const struct timespec *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - since->tv_sec) + (double)(now.tv_nsec - since->tv_nsec) / 1e9;
}

static void say(const struct coming *c, const char *what)
{
	struct creel_buf autoclean(creel_buf_fini) shown;
	struct creel_err err = {0};

	creel_buf_init(&shown, 4096);
	/* what a guest said is among it */
	(void)creel_escape_term(&shown, what, strlen(what), &err);
	fprintf(stderr, "creel: %s: %s (%.1f s)\n", c->cfg->name.s, creel_buf_str(&shown),
		seconds(&c->since));
}

/* An image that cannot be had ends it all before a daemon, a key or a cell is there. */
static int image(struct coming *c, int dirfd, struct creel_err *err)
{
	struct load_recipe autoclean(load_recipe_fini) recipe = {.dirfd = -1};
	int r = load_cell_recipe(c->cfg, dirfd, &recipe, err);

	if (r == 0)
		r = load_image(&recipe, dirfd, false, &c->image, NULL, err);
	return r < 0 ? creel_err_add(err, "image of cell '%s', nothing was started", c->cfg->name.s) : 0;
}

static int prepare(struct up *u, struct coming *c, const struct netplan *net, int dirfd,
		   struct creel_err *err)
{
	struct planmake autoclean(planmake_fini) p = {0};
	struct load_recipe autoclean(load_recipe_fini) recipe = {.dirfd = -1};
	bool kvm = false;

	int r = load_cell_recipe(c->cfg, dirfd, &recipe, err);
	if (r == 0)
		r = client_built(&u->client, c->cfg->recipe.s, &c->image, err);
	if (r == 0)
		r = accel_kvm(&c->image, &kvm, err);
	if (r == 0)
		r = planmake(net, u->config, c->cfg, &recipe.recipe, recipe.dirfd, &c->image, kvm, &p, err);
	if (r < 0)
		return r;
	autofd int plan = creel_memfd_sealed("plan", p.text.data, p.text.len, err);
	autofd int boot = plan < 0 ? -1 : creel_memfd_sealed("boot", p.boot.data, p.boot.len, err);
	autofd int given = boot < 0 ? -1 : secrets_given(c->cfg, dirfd, err);
	autofd int policy = given < 0 ? -1 : creel_memfd_sealed("policy", p.policy.data, p.policy.len, err);
	return policy < 0 ? err->code : client_plan(&u->client, plan, boot, given, policy, err);
}

static int start(struct up *u, struct coming *c, struct creel_err *err)
{
	json_t *j = NULL;
	char path[96];

	clock_gettime(CLOCK_MONOTONIC, &c->since);
	(void)snprintf(path, sizeof(path), "/v1/cells/%s", c->cfg->name.s);
	int r = client_call(&u->client, "GET", path, NULL, &j, err);
	if (r < 0)
		return r;
	const char *state = json_string_value(json_object_get(j, "state"));
	c->began = state && strcmp(state, "stopped") == 0;
	json_decref(j);
	j = NULL;
	(void)snprintf(path, sizeof(path), "/v1/cells/%s/start", c->cfg->name.s);
	if ((r = client_call(&u->client, "POST", path, NULL, &j, err)) < 0)
		return r;
	c->serial = -1;
	json_decref(j);
	return 0;
}

/* What is new in a cell's services, a line each. */
static void show_services(struct coming *c, json_t *services)
{
	char now[256] = "";
	size_t i, n = 0;
	json_t *s;

	json_array_foreach (services, i, s) {
		const char *name = json_string_value(json_object_get(s, "name"));
		const char *state = json_string_value(json_object_get(s, "state"));
		int w = snprintf(now + n, sizeof(now) - n, "%s%s %s", n ? ", " : "", name ? name : "?",
				 state ? state : "?");
		if (w < 0 || (size_t)w >= sizeof(now) - n)
			break;
		n += (size_t)w;
	}
	if (n > 0 && strcmp(now, c->shown) != 0) {
		memcpy(c->shown, now, sizeof(now));
		say(c, now);
	}
}

static int follow(struct up *u, struct coming *c, struct creel_err *err)
{
	char path[96];

	while (!c->done) {
		json_t *j = NULL;
		if (client_interrupted)
			return creel_err_set(err, CREEL_E_CANCEL, 0, "interrupted");
		(void)snprintf(path, sizeof(path), "/v1/cells/%s?after=%lld", c->cfg->name.s,
			       (long long)c->serial);
		int r = client_call(&u->client, "GET", path, NULL, &j, err);
		if (r < 0)
			return client_interrupted ? creel_err_set(err, CREEL_E_CANCEL, 0, "interrupted") : r;
		const char *state = json_string_value(json_object_get(j, "state"));
		const char *why = json_string_value(json_object_get(j, "why"));
		json_int_t serial = json_integer_value(json_object_get(j, "serial"));
		bool changed = serial != c->serial;
		c->serial = serial;
		show_services(c, json_object_get(j, "services"));
		bool ready = state && strcmp(state, "ready") == 0;
		if (ready && json_is_false(json_object_get(j, "current"))) {
			r = creel_err_set(err, CREEL_E_CHILD, 0, "cell '%s' runs on as it was: %s",
					  c->cfg->name.s, why && why[0] ? why : "the change was not made");
		} else if (ready) {
			say(c, "ready");
			c->done = true;
		} else if (state && strcmp(state, "stopped") == 0) {
			r = creel_err_set(err, CREEL_E_CHILD, 0, "cell '%s' did not come up: %s",
					  c->cfg->name.s, why && why[0] ? why : "it ended");
		} else if (!changed) {
			say(c, "still starting");
		}
		json_decref(j);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A failed `up` leaves nothing behind that was not there before. */
static void undo(struct up *u)
{
	struct creel_err err = {0};
	char path[96];

	client_interrupted = 0; /* this part is not to be cut short by the same key press */
	for (size_t i = 0; i < u->n; i++) {
		if (!u->cells[i].began)
			continue;
		(void)snprintf(path, sizeof(path), "/v1/cells/%s/kill", u->cells[i].cfg->name.s);
		(void)client_call(&u->client, "POST", path, NULL, NULL, &err);
		(void)snprintf(path, sizeof(path), "/v1/cells/%s", u->cells[i].cfg->name.s);
		for (int tries = 0; tries < 500; tries++) {
			static const struct timespec pause = {.tv_nsec = 10000000};
			if (client_call(&u->client, "DELETE", path, NULL, NULL, &err) == 0)
				break;
			(void)nanosleep(&pause, NULL);
		}
	}
	if (u->daemon_ours)
		(void)client_end(&u->client, &err);
}

static int wanted(struct up *u, const struct creel_config *config, int argc, char **argv,
		  struct creel_err *err)
{
	for (int i = 1; i < argc; i++) {
		const struct creel_cell_cfg *c = creel_config_cell(config, argv[i]);
		if (!c)
			return creel_err_set(err, CREEL_E_USAGE, 0, "no cell '%s' in %s", argv[i],
					     config->file);
		if (u->n == ELEMENTSOF(u->cells))
			return creel_err_set(err, CREEL_E_TOOBIG, 0, "too many cells");
		u->cells[u->n++] = (struct coming){.cfg = c};
	}
	for (size_t i = 0; argc == 1 && i < config->cells.n; i++) {
		if (u->n == ELEMENTSOF(u->cells))
			return creel_err_set(err, CREEL_E_TOOBIG, 0, "too many cells");
		u->cells[u->n++] = (struct coming){.cfg = &config->cells.v[i]};
	}
	return 0;
}

/* What the file asks for and this host has not is said before anything is started. */
static void warn(const struct up *u, const struct coming *c)
{
	const char *no_six = netplan_no_six(u->config, c->cfg);

	if (no_six)
		fprintf(stderr, "creel: %s: ipv6: %s\n", c->cfg->name.s, no_six);
}

/* All of it at once, so that nobody meets the second only after the first was mended. */
static int complete(const struct up *u, int dirfd, struct creel_err *err)
{
	struct missing autoclean(missing_fini) m = {0};
	int r = 0;

	missing_init(&m);
	for (size_t i = 0; r == 0 && i < u->n; i++)
		r = missing_look(&m, u->config, u->cells[i].cfg, dirfd, u->client.state, err);
	if (r < 0 || m.n == 0)
		return r;
	fprintf(stderr, "creel: missing:\n%s", creel_buf_str(&m.lines));
	return creel_err_set(err, CREEL_E_NOTFOUND, 0, "%zu %s missing, see above; nothing was started", m.n,
			     m.n == 1 ? "thing is" : "things are");
}

static int begin(struct up *u, int dirfd, struct creel_err *err)
{
	struct netplan autoclean(netplan_fini) net = {.dirfd = dirfd};
	bool started = false;
	int r = client_start(&u->client, &started, err);

	u->daemon_ours |= started;
	if (r == 0)
		r = netplan_init(&net, &u->client, u->config, err);
	if (r == 0)
		r = pairs_init(&net.pairs, u->client.state, u->config, true, err);
	for (size_t i = 0; r == 0 && i < u->n; i++)
		r = prepare(u, &u->cells[i], &net, dirfd, err);
	for (size_t i = 0; r == 0 && i < u->n; i++)
		r = start(u, &u->cells[i], err);
	return r;
}

static int up(struct up *u, int dirfd, struct creel_err *err)
{
	int r = complete(u, dirfd, err);

	for (size_t i = 0; r == 0 && i < u->n; i++)
		warn(u, &u->cells[i]);
	for (size_t i = 0; r == 0 && i < u->n; i++)
		r = image(&u->cells[i], dirfd, err);
	if (r < 0)
		return r;
	for (int tries = 0;; tries++) {
		r = begin(u, dirfd, err);
		/* another `up` that was interrupted, or a `down`, ends its creeld at this moment: ours is next */
		if (r >= 0 || client_interrupted || tries == 3 || !client_ends(&u->client))
			break;
		*err = (struct creel_err){0};
	}
	for (size_t i = 0; r == 0 && i < u->n; i++)
		r = follow(u, &u->cells[i], err);
	if (r < 0)
		undo(u);
	return r;
}

int cmd_up(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct creel_config autoclean(creel_config_fini) config = {0};
	struct sigaction sa = {.sa_handler = on_interrupt};
	struct up u = {.cli = cli, .config = &config, .client = {.run_fd = -1}};
	int dirfd = -1;

	if (sodium_init() < 0)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "libsodium does not start");
	int r = load_config(cli, &config, &dirfd, err);
	autofd int dir = dirfd;
	if (r == 0)
		r = wanted(&u, &config, argc, argv, err);
	if (r == 0)
		r = client_open(cli, true, &u.client, err);
	if (r == 0)
		r = secrets_trust(cli, &u.client, &config, err);
	if (r < 0)
		return r;
	(void)sigaction(SIGINT, &sa, NULL); /* no SA_RESTART: a wait for an answer ends */
	(void)sigaction(SIGTERM, &sa, NULL);
	r = up(&u, dir, err);
	if (r == 0)
		r = notify_start(&u.client, &config, err);
	client_close(&u.client);
	return r;
}
