#include "missing.h"
#include "base/cleanup.h"
#include "base/escape.h"
#include "doctor.h"
#include "image/tool.h"
#include "load.h"
#include "netplan.h"
#include "secret/store.h"
#include "secrets.h"
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINES_MAX = 65536 };

void missing_init(struct missing *m)
{
	*m = (struct missing){0};
	creel_buf_init(&m->lines, LINES_MAX);
}

void missing_fini(struct missing *m)
{
	creel_buf_fini(&m->lines);
}

__attribute__((format(printf, 3, 4))) static int add(struct missing *m, struct creel_err *err,
						     const char *fmt, ...)
{
	struct creel_buf autoclean(creel_buf_fini) line;
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	creel_buf_init(&line, 8 * sizeof(text));
	int r = creel_buf_adds(&line, "  ", err);
	if (r == 0)
		r = creel_escape_term(&line, text, strlen(text), err); /* a path is as the file has it */
	if (r == 0)
		r = creel_buf_adds(&line, "\n", err);
	if (r < 0 || (m->n > 0 && strstr(creel_buf_str(&m->lines), creel_buf_str(&line))))
		return r;
	m->n++;
	return creel_buf_adds(&m->lines, creel_buf_str(&line), err);
}

static bool store_locked(const char *state)
{
	struct creel_store autoclean(creel_store_fini) store = {.state = -1, .dir = -1, .lock = -1};
	struct creel_err none = {0};
	autofd int fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && creel_store_open(fd, false, &store, &none) == 0 && creel_store_locked(&store);
}

static int secrets(struct missing *m, const struct creel_cell_cfg *cell, int dirfd, const char *state,
		   struct creel_err *err)
{
	char why[512];
	bool stored = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < cell->secrets.n; i++) {
		const struct creel_secret_cfg *s = &cell->secrets.v[i];
		stored |= secrets_stored(s);
		if (!s->optional.v && secrets_absent(cell->name.s, s, dirfd, state, why, sizeof(why)))
			r = add(m, err, "%s: %s", cell->name.s, why);
	}
	for (size_t i = 0; r == 0 && i < cell->broker.n; i++) {
		struct creel_secret_cfg s;
		if (!secrets_of_broker(cell, i, &s))
			continue;
		stored = true;
		if (secrets_absent(cell->name.s, &s, dirfd, state, why, sizeof(why)))
			r = add(m, err, "%s: %s", cell->name.s, why);
	}
	return r == 0 && stored && store_locked(state)
		       ? add(m, err, "the store of secrets is locked: creel secret unlock")
		       : r;
}

/* What an image is built with is missed only where it is not built yet. */
static int builders(struct missing *m, const struct creel_cell_cfg *cell, int dirfd, bool *ret_builds,
		    struct creel_err *err)
{
	struct load_recipe autoclean(load_recipe_fini) recipe = {.dirfd = -1};
	struct creel_image image = {0};
	struct creel_err why = {0};
	struct tool tool;
	bool there = false;

	*ret_builds = false;
	/* what cannot be asked now is said when the image is built */
	if (load_cell_recipe(cell, dirfd, &recipe, &why) < 0 ||
	    load_image_look(&recipe, dirfd, &image, &there, &why) < 0 || there)
		return 0;
	*ret_builds = true;
	int r = 0;
	if (recipe.recipe.npm.n && tool_find("npm", "apt-get install npm", &tool, &why) < 0)
		r = add(m, err, "recipe %s: %s", cell->recipe.s, why.msg);
	why = (struct creel_err){0};
	if (r == 0 && recipe.recipe.go.n &&
	    tool_find("go", "it is built by your Go, 1.21 or later: https://go.dev/dl", &tool, &why) < 0)
		r = add(m, err, "recipe %s: %s", cell->recipe.s, why.msg);
	return r;
}

static int programs(struct missing *m, const char *cell, bool builds, bool link, struct creel_err *err)
{
	static const char *const build_only[] = {"mmdebstrap", "mkfs.erofs"};
	char path[PATH_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && i < DOCTOR_TOOLS; i++) {
		const struct doctor_tool *t = &doctor_tools[i];
		bool wanted = t->required;
		for (size_t k = 0; k < ELEMENTSOF(build_only); k++)
			wanted &= builds || strcmp(t->name, build_only[k]) != 0;
		if (wanted && !doctor_tool_find("", t, path, sizeof(path)))
			r = add(m, err, "%s, which %s: apt-get install %s", t->name, t->what, t->package);
	}
	const struct doctor_tool *slirp = &doctor_tools[DOCTOR_TOOL_SLIRP];
	if (r == 0 && link && geteuid() != 0 && !doctor_tool_find("", slirp, path, sizeof(path)))
		r = add(m, err, "%s: without root a cell with a network needs %s: apt-get install %s", cell,
			slirp->name, slirp->package);
	return r;
}

int missing_look(struct missing *m, const struct creel_config *config, const struct creel_cell_cfg *cell,
		 int dirfd, const char *state, struct creel_err *err)
{
	bool builds = false;
	int r = builders(m, cell, dirfd, &builds, err);

	if (r == 0)
		r = programs(m, cell->name.s, builds, netplan_link(config, cell), err);
	return r < 0 ? r : secrets(m, cell, dirfd, state, err);
}
