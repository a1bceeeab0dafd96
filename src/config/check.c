#include "config/check.h"
#include "base/cleanup.h"
#include "base/closest.h"
#include "wire/event.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { VOLUMES = 8, PORTS = 16, SECRETS = 64, VOLUME_NAME = 18, VOLUME_AT = 255 };

static void recipe_name(struct walk *w, const struct creel_str *recipe, int dirfd)
{
	struct stat st;
	size_t n = 0;

	if (!recipe->s)
		return;
	if (creel_recipe_is_path(recipe->s)) {
		if (dirfd >= 0 && (fstatat(dirfd, recipe->s, &st, 0) < 0 || !S_ISREG(st.st_mode)))
			creel_walk_error(w, recipe->pos,
					 "no recipe file at `%.200s`; the path is relative to this file's "
					 "folder",
					 recipe->s);
		return;
	}
	for (; creel_recipe_builtin[n]; n++)
		if (strcmp(creel_recipe_builtin[n], recipe->s) == 0)
			return;
	const char *near = creel_closest(recipe->s, creel_recipe_builtin, n);
	creel_walk_error(w, recipe->pos, "unknown recipe `%s`; %s%s%s", recipe->s,
			 near ? "did you mean `" : "it is base, openclaw, gog, gh or a path with a `/`",
			 near ? near : "", near ? "`?" : "");
}

static bool beneath(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0' || n == 1);
}

/* What a volume must not hide: the guest needs it to run at all. */
static bool hides_system(const char *at)
{
	static const char *const whole[] = {"/proc", "/sys", "/dev", "/run", "/creel"};
	static const char *const itself[] = {"/",        "/etc",       "/usr", "/usr/bin", "/usr/sbin",
					     "/usr/lib", "/usr/local", "/bin", "/sbin",    "/lib",
					     "/lib64",   "/opt/npm",   "/tmp"};

	for (size_t i = 0; i < ELEMENTSOF(whole); i++)
		if (beneath(at, whole[i]))
			return true;
	for (size_t i = 0; i < ELEMENTSOF(itself); i++)
		if (strcmp(at, itself[i]) == 0)
			return true;
	return false;
}

static void volumes(struct walk *w, const struct creel_cell_cfg *cell)
{
	if (cell->volumes.n > VOLUMES)
		creel_walk_error(w, cell->volumes.v[VOLUMES].name.pos,
				 "a cell has %d volumes at most; put more into one of them", VOLUMES);
	for (size_t i = 0; i < cell->volumes.n; i++) {
		const struct creel_volume_cfg *v = &cell->volumes.v[i];
		if (strlen(v->name.s) > VOLUME_NAME)
			creel_walk_error(w, v->name.pos,
					 "volume `%s`: its name is a disk's serial number in the cell and "
					 "has %d characters at most",
					 v->name.s, VOLUME_NAME);
		if (!v->at.s)
			continue;
		if (hides_system(v->at.s)) {
			creel_walk_error(w, v->at.pos,
					 "a volume at `%.100s` hides what the cell runs from; put it at "
					 "/persist or another folder of its own",
					 v->at.s);
			continue;
		}
		if (strlen(v->at.s) > VOLUME_AT || strpbrk(v->at.s, ",:"))
			creel_walk_error(w, v->at.pos,
					 "a mount point has no `,` and no `:` and %d characters at most; "
					 "such as /persist",
					 VOLUME_AT);
		for (size_t j = 0; j < i; j++) {
			const struct creel_volume_cfg *u = &cell->volumes.v[j];
			if (!u->at.s)
				continue;
			if (strcmp(u->at.s, v->at.s) == 0)
				creel_walk_error(w, v->at.pos,
						 "volume `%s` is mounted at `%.100s` already, on line %u; "
						 "take another folder",
						 u->name.s, v->at.s, u->at.pos.line);
			else if (beneath(u->at.s, v->at.s))
				creel_walk_error(w, v->at.pos,
						 "a volume at `%.100s` hides the one at `%.100s`, line %u; "
						 "write the outer one first",
						 v->at.s, u->at.s, u->at.pos.line);
		}
	}
}

static void secrets(struct walk *w, const struct creel_config *c, const struct creel_cell_cfg *cell)
{
	if (cell->secrets.n > SECRETS)
		creel_walk_error(w, cell->secrets.v[SECRETS].name.pos, "a cell has %d secrets at most",
				 SECRETS);
	for (size_t i = 0; i < cell->secrets.n; i++) {
		const struct creel_secret_cfg *s = &cell->secrets.v[i];
		int sources = (s->generate.v != 0) + (s->env.s != NULL) + (s->pair.s != NULL) +
			      (s->command.pos.line != 0) + (s->file.s != NULL);
		if (sources > 1)
			creel_walk_error(w, s->name.pos,
					 "secret `%s` has %d sources; keep one of generate, env, "
					 "pair, command, file",
					 s->name.s, sources);
		if (s->bytes.pos.line && s->generate.v == CREEL_GENERATE_NO)
			creel_walk_error(w, s->bytes.pos,
					 "`bytes` is of a value that is made; add `generate: base64`, or "
					 "remove it");
		if (s->command.pos.line && s->command.n == 0)
			creel_walk_error(w, s->command.pos,
					 "`command` is empty; it wants a program and its arguments");
		if (s->pair.s && !creel_config_cell(c, s->pair.s))
			creel_walk_error(w, s->pair.pos, "no cell `%s` in this file", s->pair.s);
		else if (s->pair.s && strcmp(s->pair.s, cell->name.s) == 0)
			creel_walk_error(w, s->pair.pos, "a pair's other half is in another cell");
	}
}

static void others(struct walk *w, const struct creel_config *c, const struct creel_cell_cfg *cell)
{
	for (size_t i = 0; i < cell->reach.n; i++) {
		const struct creel_str *to = &cell->reach.v[i].cell;
		if (to->s && !creel_config_cell(c, to->s))
			creel_walk_error(w, to->pos, "no cell `%s` in this file", to->s);
		else if (to->s && strcmp(to->s, cell->name.s) == 0)
			creel_walk_error(w, to->pos, "a cell reaches itself already; name another");
	}
	for (size_t i = 0; i < cell->gate.clients.n; i++)
		if (!creel_config_cell(c, cell->gate.clients.v[i].s))
			creel_walk_error(w, cell->gate.clients.v[i].pos, "no cell `%s` in this file",
					 cell->gate.clients.v[i].s);
}

/* 127.0.0.1 and ::ffff:127.0.0.1 are one address; 0.0.0.0 and :: are all of them */
static bool same_address(const char *a, const char *b)
{
	if (strncmp(a, "::ffff:", 7) == 0 && strchr(a, '.'))
		a += 7;
	if (strncmp(b, "::ffff:", 7) == 0 && strchr(b, '.'))
		b += 7;
	if (strcmp(a, "::") == 0 || strcmp(b, "::") == 0)
		return true;
	if (strchr(a, ':') || strchr(b, ':'))
		return strcmp(a, b) == 0;
	return strcmp(a, "0.0.0.0") == 0 || strcmp(b, "0.0.0.0") == 0 || strcmp(a, b) == 0;
}

static void publish(struct walk *w, const struct creel_config *c, size_t at)
{
	const struct creel_cell_cfg *cell = &c->cells.v[at];

	if (cell->publish.n > PORTS)
		creel_walk_error(w, cell->publish.v[PORTS].text.pos, "a cell publishes %d ports at most",
				 PORTS);
	for (size_t i = 0; i < cell->publish.n; i++)
		for (size_t d = 0; d <= at; d++)
			for (size_t j = 0; j < (d == at ? i : c->cells.v[d].publish.n); j++) {
				const struct creel_publish *a = &cell->publish.v[i],
							   *b = &c->cells.v[d].publish.v[j];
				if (a->host == b->host && same_address(a->address, b->address))
					creel_walk_error(w, a->text.pos,
							 "port %u of %s is published already on "
							 "line %u%s%s; take another",
							 a->host, a->address, b->text.pos.line,
							 strcmp(a->address, b->address) ? ", for " : "",
							 strcmp(a->address, b->address) ? b->address : "");
			}
}

static bool private4(const uint8_t a[4], unsigned bits)
{
	return (a[0] == 10 && bits >= 8) || (a[0] == 172 && (a[1] & 0xf0) == 16 && bits >= 12) ||
	       (a[0] == 192 && a[1] == 168 && bits >= 16) ||
	       (a[0] == 100 && (a[1] & 0xc0) == 64 && bits >= 10);
}

static void network(struct walk *w, const struct creel_config *c)
{
	const struct creel_cidr *s = &c->network.subnet;
	const struct creel_strs *up = &c->network.upstreams;

	if (!s->text.s)
		return; /* it was wrong by itself */
	if (s->family != 4)
		creel_walk_error(w, s->text.pos,
				 "`subnet: %s` is IPv6; cells have IPv4 addresses, such as "
				 "192.168.83.0/24 (`ipv6: true` of a cell adds the other)",
				 s->text.s);
	else if (s->bits < 8 || s->bits > 29)
		creel_walk_error(w, s->text.pos,
				 "`subnet: %s` has a wrong size; it is /8 to /29, such as "
				 "192.168.83.0/24",
				 s->text.s);
	else if (!private4(s->addr, s->bits))
		creel_walk_error(w, s->text.pos,
				 "`subnet: %s` is not private; take a part of 10.0.0.0/8, 172.16.0.0/12, "
				 "192.168.0.0/16 or 100.64.0.0/10",
				 s->text.s);
	else if (c->cells.n > (1u << (32 - s->bits)) - 3)
		creel_walk_error(w, s->text.pos.line ? s->text.pos : c->cells.pos,
				 "`subnet: %s` has addresses for %u cells, and the file has %zu; take a "
				 "larger one",
				 s->text.s, (1u << (32 - s->bits)) - 3, c->cells.n);
	for (size_t i = 0; up->n > 1 && i < up->n; i++)
		if (strcmp(up->v[i].s, "recursive") == 0)
			creel_walk_error(w, up->v[i].pos,
					 "`recursive` stands alone; remove it or the addresses");
}

static void notify(struct walk *w, const struct creel_config *c)
{
	if (c->notify.command.pos.line && c->notify.command.n == 0)
		creel_walk_error(w, c->notify.command.pos,
				 "`command` is empty; it wants a program and its arguments");
	for (size_t i = 0; i < c->notify.kinds.n; i++) {
		const struct creel_str *s = &c->notify.kinds.v[i];
		const char *names[CREEL_EV_KINDS];
		bool known = false;
		for (size_t k = 0; k < CREEL_EV_KINDS; k++) {
			size_t n = strlen(s->s);
			names[k] = creel_event_kinds[k].name;
			known |= strncmp(names[k], s->s, n) == 0 &&
				 (names[k][n] == '\0' || names[k][n] == '.');
		}
		const char *near = known ? NULL : creel_closest(s->s, names, CREEL_EV_KINDS);
		if (!known)
			creel_walk_error(w, s->pos, "no event is of kind `%.60s`; %s%s%s", s->s,
					 near ? "did you mean `" : "creel-events(5) lists them",
					 near ? near : "", near ? "`?" : "");
	}
}

void creel_check_config(struct walk *w, const struct creel_config *c, int dirfd)
{
	network(w, c);
	notify(w, c);
	for (size_t i = 0; i < c->cells.n; i++) {
		const struct creel_cell_cfg *cell = &c->cells.v[i];
		recipe_name(w, &cell->recipe, dirfd);
		volumes(w, cell);
		secrets(w, c, cell);
		others(w, c, cell);
		publish(w, c, i);
	}
}

static bool at_volume(const struct creel_cell_cfg *cell, const char *path)
{
	for (size_t i = 0; i < cell->volumes.n; i++)
		if (cell->volumes.v[i].at.s && beneath(path, cell->volumes.v[i].at.s))
			return true;
	return false;
}

/* The first path of the recipe that wants a volume which the cell does not have. */
static const char *homeless(const struct creel_cell_cfg *cell, const struct creel_recipe *r)
{
	for (size_t i = 0; i < r->users.n + r->files.n + r->services.n; i++) {
		const char *p = i < r->users.n ? r->users.v[i].home.s
				: i < r->users.n + r->files.n
					? r->files.v[i - r->users.n].name.s
					: r->services.v[i - r->users.n - r->files.n].dir.s;
		if (p && beneath(p, "/persist") && !at_volume(cell, p))
			return p;
	}
	return NULL;
}

const char *creel_recipe_owner(const struct creel_recipe *r)
{
	for (size_t i = 0; i < r->services.n; i++)
		if (r->services.v[i].user.s && strcmp(r->services.v[i].user.s, "root") != 0)
			return r->services.v[i].user.s;
	return r->users.n == 1 ? r->users.v[0].name.s : NULL;
}

static void owners(struct walk *w, const struct creel_cell_cfg *cell, const struct creel_recipe *r)
{
	for (size_t i = 0; i < cell->secrets.n; i++) {
		const struct creel_str *owner = &cell->secrets.v[i].owner;
		if (owner->s && !creel_recipe_has_user(r, owner->s))
			creel_walk_error(w, owner->pos, "recipe `%.60s` has no user `%.60s`", cell->recipe.s,
					 owner->s);
	}
}

int creel_config_check_recipe(const struct creel_config *c, const struct creel_cell_cfg *cell,
			      const struct creel_recipe *recipe, struct creel_diags *diags,
			      struct creel_err *err)
{
	struct walk w = {c->arena, c->file, diags};
	const char *path = homeless(cell, recipe);

	if (!path && (recipe->docker.v || cell->docker.v) && !at_volume(cell, "/persist/docker"))
		path = "/persist/docker";
	if (path)
		creel_walk_error(&w, cell->recipe.pos,
				 "recipe `%.60s` keeps %.100s on a volume, and the cell has none there; add "
				 "`%spersist: { size: 4GiB, at: /persist }%s",
				 cell->recipe.s, path, cell->volumes.pos.line ? "" : "volumes: { ",
				 cell->volumes.pos.line ? "` to its `volumes`" : " }` to it");
	owners(&w, cell, recipe);
	if (cell->settings.node && !recipe->settings.json)
		creel_walk_error(&w, cell->settings.pos, "recipe `%.60s` has no settings; remove them",
				 cell->recipe.s);
	else if (recipe->settings.json)
		creel_check_settings(&w, cell->settings.node, recipe->settings.json,
				     cell->settings.pos.line ? cell->settings.pos : cell->name.pos);
	return diags->nomem ? creel_err_nomem(err) : 0;
}
