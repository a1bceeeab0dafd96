#include "base/cleanup.h"
#include "config/check.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

bool creel_recipe_has_user(const struct creel_recipe *r, const char *name)
{
	for (size_t i = 0; i < r->users.n; i++)
		if (strcmp(r->users.v[i].name.s, name) == 0)
			return true;
	return strcmp(name, "root") == 0;
}

static void users(struct walk *w, const struct creel_recipe *r)
{
	for (size_t i = 0; i < r->users.n; i++) {
		const struct creel_user_cfg *u = &r->users.v[i];
		if (strcmp(u->name.s, "root") == 0)
			creel_walk_error(w, u->name.pos, "`root` is there already; name another user");
		if ((u->home.s && strchr(u->home.s, ':')) || (u->shell.s && strchr(u->shell.s, ':')))
			creel_walk_error(w, u->name.pos, "user `%s`: no `:` in home or shell", u->name.s);
		for (size_t j = 0; j < i; j++)
			if (u->uid.v && u->uid.v == r->users.v[j].uid.v)
				creel_walk_error(w, u->uid.pos,
						 "uid %lld is `%s`'s already, on line %u; take another",
						 (long long)u->uid.v, r->users.v[j].name.s,
						 r->users.v[j].uid.pos.line);
	}
}

/* Opened as the builder will open it: beneath the recipe's folder, through no link. */
static void source(struct walk *w, const struct creel_str *s, int dirfd)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	struct stat st;

	if (dirfd < 0)
		return;
	autofd int fd = (int)syscall(SYS_openat2, dirfd, s->s, &how, sizeof(how));
	if (fd < 0 && errno == ENOENT)
		creel_walk_error(w, s->pos, "no file at `%.150s`, beneath the recipe's folder", s->s);
	else if (fd < 0 && (errno == EXDEV || errno == ELOOP))
		creel_walk_error(w, s->pos,
				 "`source: %.150s` leads out of the recipe's folder or through a link; copy "
				 "the file there",
				 s->s);
	else if (fd < 0)
		creel_walk_error(w, s->pos, "`source: %.150s`: %s", s->s, strerror(errno));
	else if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		creel_walk_error(w, s->pos, "`source: %.150s` is no file", s->s);
}

static void files(struct walk *w, const struct creel_recipe *r, int dirfd)
{
	for (size_t i = 0; i < r->files.n; i++) {
		const struct creel_file_cfg *f = &r->files.v[i];
		/* one that is wrong by itself has its line, and was told already */
		int n = (f->content.pos.line != 0) + (f->source.pos.line != 0) + (f->link.pos.line != 0);
		if (n == 0)
			creel_walk_error(w, f->name.pos,
					 "file `%.100s` has no content; add one of content, source, link",
					 f->name.s);
		else if (n > 1)
			creel_walk_error(w, f->name.pos,
					 "file `%.100s` has %d of content, source, link; keep one", f->name.s,
					 n);
		if (f->owner.s && !creel_recipe_has_user(r, f->owner.s))
			creel_walk_error(w, f->owner.pos,
					 "no user `%s` in this recipe; add it under `users`, or take root",
					 f->owner.s);
		if (f->source.s)
			source(w, &f->source, dirfd);
	}
}

static const struct creel_service_cfg *service_find(const struct creel_recipe *r, const char *name)
{
	for (size_t i = 0; i < r->services.n; i++)
		if (strcmp(r->services.v[i].name.s, name) == 0)
			return &r->services.v[i];
	return NULL;
}

/* One wait each, so a chain that is longer than there are services has come round. */
static bool waits_for_itself(const struct creel_recipe *r, const struct creel_service_cfg *s)
{
	const struct creel_service_cfg *at = s;

	for (size_t steps = 0; steps < r->services.n; steps++) {
		if (!(at = at->after.n ? service_find(r, at->after.v[0].s) : NULL))
			return false;
		if (at == s)
			return true;
	}
	return false;
}

static void services(struct walk *w, const struct creel_recipe *r)
{
	for (size_t i = 0; i < r->services.n; i++) {
		const struct creel_service_cfg *s = &r->services.v[i];
		int probes = (s->ready.http.s != NULL) + (s->ready.tcp.s != NULL) +
			     (s->ready.command.pos.line != 0);
		if (s->run.pos.line && s->run.n == 0)
			creel_walk_error(w, s->run.pos, "`run` is empty; it wants a program");
		else if (s->run.n > 0 && s->run.v[0].s[0] != '/')
			creel_walk_error(w, s->run.v[0].pos,
					 "`run: %.80s` is looked for nowhere; write the program's whole "
					 "path, such as /usr/bin/%.80s",
					 s->run.v[0].s, s->run.v[0].s);
		if (s->user.s && !creel_recipe_has_user(r, s->user.s))
			creel_walk_error(w, s->user.pos,
					 "no user `%s` in this recipe; add it under `users`, or take root",
					 s->user.s);
		if (r->docker.v && strcmp(s->name.s, "docker") == 0)
			creel_walk_error(w, s->name.pos,
					 "`docker: true` brings a service `docker`; name this one otherwise");
		if (probes > 1)
			creel_walk_error(w, s->ready.pos, "%d probes; keep one of http, tcp, command",
					 probes);
		if (s->after.n > 1)
			creel_walk_error(w, s->after.v[1].pos,
					 "a service waits for one other; write a chain: let the other wait "
					 "for the third");
		for (size_t k = 0; k < s->after.n; k++)
			if (!service_find(r, s->after.v[k].s) &&
			    !(r->docker.v && strcmp(s->after.v[k].s, "docker") == 0))
				creel_walk_error(w, s->after.v[k].pos, "no service `%s` in this recipe",
						 s->after.v[k].s);
		if (waits_for_itself(r, s))
			creel_walk_error(w, s->after.v[0].pos,
					 "service `%s` waits for itself, by way of `%s`", s->name.s,
					 s->after.v[0].s);
	}
}

/* NAME of NAME@VERSION; a scope begins with `@` itself */
static size_t npm_name(const char *s)
{
	const char *at = strchr(s + 1, '@');

	return at ? (size_t)(at - s) : strlen(s);
}

static void npm(struct walk *w, const struct creel_recipe *r)
{
	for (size_t i = 0; i < r->npm_scripts.n; i++) {
		const struct creel_str *s = &r->npm_scripts.v[i];
		bool has = false;
		for (size_t k = 0; k < r->npm.n; k++) {
			size_t n = npm_name(r->npm.v[k].s);
			has |= npm_name(s->s) == n && strncmp(r->npm.v[k].s, s->s, n) == 0;
		}
		/* it may be one that npm brings along: worth saying, no error */
		if (!has)
			creel_diag_add(w->diags, CREEL_DIAG_NOTE, w->file, s->pos,
				       "`%.80s` is not under `npm`: its scripts run only when another "
				       "package brings it",
				       s->s);
	}
}

void creel_check_recipe(struct walk *w, const struct creel_recipe *r, int dirfd)
{
	users(w, r);
	files(w, r, dirfd);
	services(w, r);
	npm(w, r);
	if (r->settings.node)
		creel_check_schema(w, r->settings.node);
}
