#include "base/escape.h"
#include "base/log.h"
#include "load.h"
#include "where.h"
#include <assert.h>
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* How far a build is, for whoever waits: a line that is written over on a terminal, else one now and then. */
struct show {
	const char *name;
	bool terminal, open; /* open: the line is not ended */
	uint64_t said_ms;
};
enum { SAY_AGAIN_MS = 10000 };

static void progress(void *ctx, const struct creel_image_progress *p)
{
	struct show *s = ctx;
	char more[64] = "";

	if (p->ms > 0 && p->ms < s->said_ms + (s->terminal ? 500 : SAY_AGAIN_MS))
		return;
	s->said_ms = p->ms;
	if (p->ms > 0 && p->fetched > 0)
		(void)snprintf(more, sizeof(more), ", %.1f MB fetched, %llu s", (double)p->fetched / 1e6,
			       (unsigned long long)p->ms / 1000);
	else if (p->ms > 0)
		(void)snprintf(more, sizeof(more), ", %llu s", (unsigned long long)p->ms / 1000);
	if (s->open && p->ms == 0)
		fputc('\n', stderr);
	fprintf(stderr, "%screel: image %s: %d/%d %s%s%s", s->terminal ? "\r\033[K" : "", s->name, p->step,
		p->steps, p->what, more, s->terminal ? "" : "\n");
	s->open = s->terminal;
}

static volatile sig_atomic_t interrupted;
static void on_signal(int sig)
{
	interrupted = 1;
}
static bool cancelled(void *ctx)
{
	return interrupted != 0;
}

static void tail_show(const struct creel_buf *tail)
{
	struct creel_buf autoclean(creel_buf_fini) shown;

	creel_buf_init(&shown, 65536);
	for (char *save = NULL, *line = tail->len > 0 ? strtok_r((char *)tail->data, "\n", &save) : NULL;
	     line; line = strtok_r(NULL, "\n", &save)) {
		struct creel_err ignored = {0};
		creel_buf_clear(&shown);
		if (creel_escape_term(&shown, line, strlen(line), &ignored) == 0)
			fprintf(stderr, "  | %s\n", creel_buf_str(&shown));
	}
}

const char *load_lock_name(const char *recipe)
{
	const char *slash = strrchr(recipe, '/');

	return slash ? slash + 1 : recipe;
}

/* The file as a user knows it, from the folder that is open. */
static void lock_path(int dirfd, char ret[PATH_MAX])
{
	char link[64], dir[PATH_MAX - 16];
	ssize_t n = 0;

	ret[0] = '\0';
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
	if (dirfd >= 0 && (n = readlink(link, dir, sizeof(dir) - 1)) > 0)
		(void)snprintf(ret, PATH_MAX, "%.*s/creel.lock", (int)n, dir);
}

/* Ctrl-C ends the build, not us: what it left must be removed. */
static int build(const struct creel_image_spec *spec, struct creel_image_env *env, struct creel_image *ret,
		 struct creel_buf *tail, struct creel_err *err)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction act = {.sa_handler = on_signal}, old[ELEMENTSOF(signals)];

	interrupted = 0;
	for (size_t i = 0; i < ELEMENTSOF(signals); i++)
		(void)sigaction(signals[i], &act, &old[i]);
	int r = creel_image_build(spec, env, ret, tail, err);
	for (size_t i = 0; i < ELEMENTSOF(signals); i++)
		(void)sigaction(signals[i], &old[i], NULL);
	return r;
}

/* Ours, in every image. */
static const char *const guest_programs[] = {"creel-why", "creel-gate", "creel-call"};

/* And what the recipe openclaw has besides: the plugin, its folder as it was built. */
static const char *const plugin_files[] = {
	"creel-defender.node", "index.js",    "openclaw.plugin.json", "package.json",    "lib/calls.js",
	"lib/guard.js",        "lib/host.js", "lib/integrity.js",     "lib/messages.js", "lib/native.js",
	"lib/require.mjs",     "lib/walk.js", "lib/secrets.js",       "lib/skills.js",
};
/* For whatever recipe has a service that runs it. */
#define DEFENDERD "creel-defenderd"

/* besides those lists: creel-defenderd, and the rules, beside the plugin or else for it */
enum { GUEST_FILES = ELEMENTSOF(guest_programs) + ELEMENTSOF(plugin_files) + 2 };
static_assert((int)GUEST_FILES < (int)CREEL_IMAGE_GUEST, "the list has an end");

struct where {
	char cache[512], init[512], step[512], lock[PATH_MAX];
	char guest[GUEST_FILES][512], name[GUEST_FILES][128];
	size_t n_guest;
};

static int guest_add(struct where *w, struct creel_image_env *env, const char *dir, const char *to,
		     const char *file, struct creel_err *err)
{
	size_t i = w->n_guest++;

	if ((size_t)snprintf(w->guest[i], sizeof(w->guest[i]), "%s/%s", dir, file) >= sizeof(w->guest[i]) ||
	    (size_t)snprintf(w->name[i], sizeof(w->name[i]), "%s/%s", to, file) >= sizeof(w->name[i]))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "the plugin's file %s", file);
	env->guest[i].path = w->guest[i];
	env->guest[i].name = w->name[i];
	return 0;
}

/* The rules as this build compiled them, creel-rules-HASH: they stand beside the plugin. */
static int rules_add(struct where *w, struct creel_image_env *env, const char *to, struct creel_err *err)
{
	char dir[512];
	int r = where_plugin("index.js", dir, sizeof(dir), err);

	if (r < 0)
		return r;
	*strrchr(dir, '/') = '\0';
	autodir DIR *d = opendir(dir);
	for (struct dirent *e; d && (e = readdir(d));)
		if (strncmp(e->d_name, "creel-rules-", 12) == 0)
			return guest_add(w, env, dir, to, e->d_name, err);
	return creel_err_set(err, CREEL_E_NOTFOUND, 0, "%s has no compiled rules", dir);
}

static int plugin_add(struct where *w, struct creel_image_env *env, struct creel_err *err)
{
	char dir[512];
	int r = where_plugin("index.js", dir, sizeof(dir), err);

	if (r < 0)
		return r;
	*strrchr(dir, '/') = '\0';
	for (size_t i = 0; r == 0 && i < ELEMENTSOF(plugin_files); i++)
		r = guest_add(w, env, dir, "openclaw", plugin_files[i], err);
	return r < 0 ? r : rules_add(w, env, "openclaw", err);
}

/* Does a service of it run our creel-defenderd? Then that is in the image, and its rules in "defender". */
static bool defenderd_wanted(const struct creel_recipe *recipe)
{
	for (size_t i = 0; i < recipe->services.n; i++) {
		const struct creel_strs *run = &recipe->services.v[i].run;
		if (run->n > 0 && strcmp(run->v[0].s, "/usr/lib/creel/" DEFENDERD) == 0)
			return true;
	}
	return false;
}

static int program_add(struct where *w, struct creel_image_env *env, const char *name, struct creel_err *err)
{
	size_t i = w->n_guest++;
	int r = where_program(name, w->guest[i], sizeof(w->guest[i]), err);

	env->guest[i].path = w->guest[i];
	env->guest[i].name = name;
	return r;
}

static int places(const struct load_recipe *recipe, int config_dirfd, struct where *w,
		  struct creel_image_spec *ret_spec, struct creel_image_env *ret_env, struct creel_err *err)
{
	lock_path(creel_recipe_is_path(recipe->name) ? recipe->dirfd : config_dirfd, w->lock);
	*ret_spec = (struct creel_image_spec){
		.name = recipe->name,
		.recipe = &recipe->recipe,
		.dirfd = recipe->dirfd,
		.lock_path = w->lock[0] ? w->lock : NULL,
		.lock_name = load_lock_name(recipe->name),
	};
	*ret_env = (struct creel_image_env){.cache = w->cache, .init_path = w->init, .step_path = w->step};
	int r = where_cache(w->cache, sizeof(w->cache), err);
	if (r == 0)
		r = where_program("creel-init", w->init, sizeof(w->init), err);
	if (r == 0)
		r = where_program("creel-step", w->step, sizeof(w->step), err);
	w->n_guest = 0;
	for (size_t i = 0; r == 0 && i < ELEMENTSOF(guest_programs); i++)
		r = program_add(w, ret_env, guest_programs[i], err);
	if (r == 0 && defenderd_wanted(&recipe->recipe))
		r = program_add(w, ret_env, DEFENDERD, err);
	if (r == 0 && defenderd_wanted(&recipe->recipe) && strcmp(recipe->name, "openclaw") != 0)
		r = rules_add(w, ret_env, "defender", err);
	if (r == 0 && strcmp(recipe->name, "openclaw") == 0)
		r = plugin_add(w, ret_env, err);
	return r;
}

int load_image_look(const struct load_recipe *recipe, int config_dirfd, struct creel_image *ret,
		    bool *ret_there, struct creel_err *err)
{
	struct creel_image_spec spec;
	struct creel_image_env env;
	struct where w;
	int r = places(recipe, config_dirfd, &w, &spec, &env, err);

	return r < 0 ? r : creel_image_look(&spec, &env, ret, ret_there, err);
}

int load_image(const struct load_recipe *recipe, int config_dirfd, bool update, struct creel_image *ret,
	       char *ret_lock, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) tail;
	struct show show = {.name = recipe->name, .terminal = isatty(2)};
	struct creel_image_spec spec;
	struct creel_image_env env;
	struct where w;

	creel_buf_init(&tail, 8192);
	int r = places(recipe, config_dirfd, &w, &spec, &env, err);
	spec.update = update;
	env.progress = progress;
	env.cancelled = cancelled;
	env.ctx = &show;
	if (r == 0)
		r = build(&spec, &env, ret, &tail, err);
	if (show.open)
		fputc('\n', stderr);
	if (r < 0)
		tail_show(&tail);
	else if (ret->stale && !update)
		creel_log_warn("%s: creel.lock has it for other packages: `creel build` renews the entry",
			       recipe->name);
	if (ret_lock)
		memcpy(ret_lock, w.lock, sizeof(w.lock));
	return r;
}
