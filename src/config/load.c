#include "base/cleanup.h"
#include "config/approved.h"
#include "config/check.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>

void creel_config_fini(struct creel_config *c)
{
	if (c)
		creel_arena_free(c->arena);
	if (c)
		*c = (struct creel_config){0};
}
void creel_recipe_fini(struct creel_recipe *r)
{
	if (r)
		creel_arena_free(r->arena);
	if (r)
		*r = (struct creel_recipe){0};
}

bool creel_recipe_is_path(const char *recipe)
{
	return strchr(recipe, '/') != NULL;
}

const struct creel_cell_cfg *creel_config_cell(const struct creel_config *c, const char *name)
{
	for (size_t i = 0; i < c->cells.n; i++)
		if (strcmp(c->cells.v[i].name.s, name) == 0)
			return &c->cells.v[i];
	return NULL;
}

bool creel_config_needs_trust(const struct creel_config *c)
{
	if (c->notify.pos.line)
		return true;
	for (size_t i = 0; i < c->cells.n; i++)
		for (size_t j = 0; j < c->cells.v[i].secrets.n; j++)
			if (c->cells.v[i].secrets.v[j].env.s || c->cells.v[i].secrets.v[j].command.n)
				return true;
	return false;
}

/* Tree to struct; the arena is the caller's on success. */
static int load(const void *data, size_t len, const char *name, const struct key *keys, void *out,
		struct creel_arena *arena, struct creel_diags *diags, struct creel_err *err)
{
	struct walk w = {arena, name, diags};
	size_t before = diags->errors;
	struct creel_node *root = creel_node_parse(arena, data, len, name, diags);

	if (root && root->kind != NODE_MAP)
		creel_walk_error(&w, root->pos, "the file is not a mapping; it begins `version: 1`");
	else if (root)
		creel_walk_map(&w, root, keys, out, root->pos);
	if (arena->failed || diags->nomem)
		return creel_err_nomem(err);
	if (diags->errors > before)
		return creel_err_set(err, CREEL_E_CONFIG, 0, "%s is not right", name);
	return root ? 0 : creel_err_set(err, CREEL_E_CONFIG, 0, "%s is not right", name);
}

static int slurp(int dirfd, const char *path, struct creel_buf *out, int *ret_dirfd, struct creel_err *err);

/* What was approved for good, from the file beside: not every folder has one. */
static int approved(const char *name, int dirfd, struct creel_config *c, struct creel_diags *diags,
		    struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) b = {0};
	struct creel_err why = {0};
	char path[1024];
	autofd int dir = -1;

	if (dirfd < 0 || creel_approved_path(name, path, sizeof(path), &why) < 0)
		return 0;
	const char *slash = strrchr(path, '/');
	creel_buf_init(&b, CREEL_YAML_MAX_OCTETS + 1);
	if (slurp(dirfd, slash ? slash + 1 : path, &b, &dir, &why) < 0)
		return why.os == ENOENT ? 0 : creel_err_set(err, why.code, why.os, "%s", path);
	if (!(c->approved_file = creel_arena_strndup(c->arena, path, strlen(path))))
		return creel_err_nomem(err);
	struct walk w = {c->arena, c->approved_file, diags};
	creel_approved_read(&w, creel_buf_str(&b), b.len, c);
	return 0;
}

int creel_config_load_with(const void *data, size_t len, const char *name, int dirfd,
			   const struct creel_config_more *more, struct creel_config *ret_config,
			   struct creel_diags *diags, struct creel_err *err)
{
	struct creel_arena *arena = creel_arena_new();
	size_t before = diags->errors;

	if (!arena)
		return creel_err_nomem(err);
	struct creel_config autoclean(creel_config_fini) c = {.arena = arena};
	struct walk w = {arena, name, diags};
	int r = load(data, len, name, creel_config_keys, &c, arena, diags, err);
	if (r == CREEL_E_NOMEM)
		return r;
	if (!(c.file = creel_arena_strndup(arena, name, strlen(name))))
		return creel_err_nomem(err);
	creel_check_config(&w, &c, dirfd);
	int p = r < 0 ? 0 : approved(name, dirfd, &c, diags, err);
	if (p < 0)
		return p;
	int m = more ? more->check(more->ctx, &c, dirfd, diags, err) : 0;
	creel_diags_sort(diags);
	if (arena->failed || diags->nomem)
		return creel_err_nomem(err);
	if (m < 0)
		return m;
	if (r < 0 || diags->errors > before)
		return creel_err_set(err, CREEL_E_CONFIG, 0, "%s is not right", name);
	crypto_generichash(c.hash, sizeof(c.hash), data, len, NULL, 0);
	*ret_config = c;
	c.arena = NULL;
	return 0;
}

int creel_config_load(const void *data, size_t len, const char *name, int dirfd,
		      struct creel_config *ret_config, struct creel_diags *diags, struct creel_err *err)
{
	return creel_config_load_with(data, len, name, dirfd, NULL, ret_config, diags, err);
}

int creel_recipe_load(const void *data, size_t len, const char *name, int dirfd,
		      struct creel_recipe *ret_recipe, struct creel_diags *diags, struct creel_err *err)
{
	struct creel_arena *arena = creel_arena_new();

	if (!arena)
		return creel_err_nomem(err);
	struct creel_recipe autoclean(creel_recipe_fini) c = {.arena = arena};
	struct walk w = {arena, name, diags};
	size_t before = diags->errors;
	int r = load(data, len, name, creel_recipe_keys, &c, arena, diags, err);
	if (r == CREEL_E_NOMEM)
		return r;
	creel_check_recipe(&w, &c, dirfd);
	creel_diags_sort(diags);
	if (arena->failed || diags->nomem)
		return creel_err_nomem(err);
	if (r < 0 || diags->errors > before)
		return creel_err_set(err, CREEL_E_CONFIG, 0, "%s is not right", name);
	c.text = creel_arena_strndup(arena, data, len);
	c.text_len = len;
	if (!c.text || !(c.file = creel_arena_strndup(arena, name, strlen(name))))
		return creel_err_nomem(err);
	crypto_generichash(c.hash, sizeof(c.hash), data, len, NULL, 0);
	*ret_recipe = c;
	c.arena = NULL;
	return 0;
}

/* One octet over the bound is read, so that the parser says that it is too long. */
static int slurp(int dirfd, const char *path, struct creel_buf *out, int *ret_dirfd, struct creel_err *err)
{
	char dir[1024] = ".";
	const char *slash = strrchr(path, '/');
	bool in = strcmp(path, "-") == 0;
	autofd int fd = in ? dup(0) : openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	/* not to hang on a FIFO that nobody writes to; a pipe that is slow is waited for */
	if (fcntl(fd, F_SETFL, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	if (slash && (size_t)(slash - path) + 2 > sizeof(dir))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "path of %s", path);
	if (slash)
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path) + 1, path);
	while (out->len < out->max) {
		if (creel_buf_reserve(out, MIN(out->max - out->len, (size_t)65536), err) < 0)
			return err->code;
		ssize_t n = read(fd, out->data + out->len, MIN(out->max - out->len, (size_t)65536));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "read %s", path);
		if (n == 0)
			break;
		out->len += (size_t)n;
	}
	*ret_dirfd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_dirfd < 0 ? creel_err_set(err, CREEL_E_OS, errno, "open folder %s", dir) : 0;
}

int creel_config_load_file_with(const char *path, const struct creel_config_more *more,
				struct creel_config *ret_config, int *ret_dirfd, struct creel_diags *diags,
				struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) b;
	autofd int dir = -1;

	creel_buf_init(&b, CREEL_YAML_MAX_OCTETS + 1);
	int r = slurp(AT_FDCWD, path, &b, &dir, err);
	if (r == 0)
		r = creel_config_load_with(creel_buf_str(&b), b.len, path, dir, more, ret_config, diags, err);
	if (r == 0 && ret_dirfd)
		*ret_dirfd = steal_fd(&dir);
	return r;
}

int creel_config_load_file(const char *path, struct creel_config *ret_config, int *ret_dirfd,
			   struct creel_diags *diags, struct creel_err *err)
{
	return creel_config_load_file_with(path, NULL, ret_config, ret_dirfd, diags, err);
}

int creel_recipe_load_file(int dirfd, const char *path, struct creel_recipe *ret_recipe, int *ret_dirfd,
			   struct creel_diags *diags, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) b;
	autofd int dir = -1;

	creel_buf_init(&b, CREEL_YAML_MAX_OCTETS + 1);
	int r = slurp(dirfd, path, &b, &dir, err);
	if (r == 0)
		r = creel_recipe_load(creel_buf_str(&b), b.len, path, dir, ret_recipe, diags, err);
	if (r == 0 && ret_dirfd)
		*ret_dirfd = steal_fd(&dir);
	return r;
}
