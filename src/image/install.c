#include "image/install.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { FILE_MAX = 32 << 20, PATH_LEN = 1024 };

static int open_in(int root, const char *path, uint64_t flags, uint64_t mode)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC, .mode = mode, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

static int tree_read(int root, const char *path, struct creel_buf *out, struct creel_err *err)
{
	autofd int fd = open_in(root, path, O_RDONLY, 0);
	uint8_t buf[65536];
	ssize_t n;

	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s of the image", path);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (creel_buf_add(out, buf, (size_t)n, err) < 0)
			return creel_err_add(err, "%s of the image", path);
	return n < 0 ? creel_err_set(err, CREEL_E_OS, errno, "read %s of the image", path) : 0;
}

static int write_fd(int fd, const void *data, size_t len, const char *path, struct creel_err *err)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, (const char *)data + at, len - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "write %s of the image", path);
		at += (size_t)n;
	}
	return 0;
}

/* The folder that holds @p path, made with what is missing; @p ret_name is its last component. */
static int parent_open(int root, const char *path, const char **ret_name, struct creel_err *err)
{
	char copy[PATH_LEN];

	if (path[0] != '/' || strlen(path) >= sizeof(copy))
		return creel_err_set(err, CREEL_E_INVALID, 0, "path %s", path);
	strcpy(copy, path);
	*ret_name = strrchr(path, '/') + 1;
	autofd int dir = dup(root);
	for (char *p = copy + 1, *slash; dir >= 0 && (slash = strchr(p, '/')); p = slash + 1) {
		*slash = '\0';
		int next = open_in(root, copy, O_RDONLY | O_DIRECTORY, 0);
		if (next < 0 && errno == ENOENT && mkdirat(dir, p, 0755) == 0)
			next = open_in(root, copy, O_RDONLY | O_DIRECTORY, 0);
		if (next < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "make %s in the image", copy);
		*slash = '/';
		close(dir);
		dir = next;
	}
	if (dir < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open the image's root");
	return steal_fd(&dir);
}

static int append(int root, const char *path, const char *line, struct creel_err *err)
{
	autofd int fd = open_in(root, path, O_WRONLY | O_APPEND, 0);

	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s of the image", path);
	return write_fd(fd, line, strlen(line), path, err);
}

static int users_install(int root, const struct creel_recipe *r, struct creel_err *err)
{
	char line[1024];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < r->users.n; i++) {
		const struct creel_user_cfg *u = &r->users.v[i];
		int id = (int)u->uid.v;
		const char *home = u->home.s ? u->home.s : "/nonexistent";
		const char *shell = u->shell.s ? u->shell.s : "/usr/sbin/nologin";
		if (strpbrk(home, ":\n") || strpbrk(shell, ":\n"))
			return creel_err_set(err, CREEL_E_INVALID, 0, "user %s: home or shell", u->name.s);
		(void)snprintf(line, sizeof(line), "%s:x:%d:%d::%s:%s\n", u->name.s, id, id, home, shell);
		rc = append(root, "/etc/passwd", line, err);
		(void)snprintf(line, sizeof(line), "%s:x:%d:\n", u->name.s, id);
		if (rc == 0)
			rc = append(root, "/etc/group", line, err);
		/* no password, and not locked: sshd refuses even the key of a locked account */
		(void)snprintf(line, sizeof(line), "%s:*:1:0:99999:7:::\n", u->name.s);
		if (rc == 0)
			rc = append(root, "/etc/shadow", line, err);
	}
	return rc;
}

/* Add @p user to the line of @p group; that Debian or the recipe has it is required. */
static int group_join(int root, const char *user, const struct creel_str *group, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text, autoclean(creel_buf_fini) out;
	char begin[64];
	size_t n = (size_t)snprintf(begin, sizeof(begin), "%s:", group->s);
	bool found = false;

	creel_buf_init(&text, 1 << 20);
	creel_buf_init(&out, 1 << 20);
	int r = tree_read(root, "/etc/group", &text, err);
	const char *line = creel_buf_str(&text);
	for (size_t len; r == 0 && *line; line += len + (line[len] == '\n')) {
		len = strcspn(line, "\n");
		r = creel_buf_add(&out, line, len, err);
		if (r == 0 && strncmp(line, begin, n) == 0) {
			found = true;
			r = creel_buf_addf(&out, err, "%s%s", line[len - 1] == ':' ? "" : ",", user);
		}
		if (r == 0)
			r = creel_buf_adds(&out, "\n", err);
	}
	if (r == 0 && !found)
		r = creel_err_set(err, CREEL_E_CONFIG, 0, "line %u: no group %s in the image",
				  group->pos.line, group->s);
	autofd int fd = r < 0 ? -1 : open_in(root, "/etc/group", O_WRONLY | O_TRUNC, 0);
	if (r == 0 && fd < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "open /etc/group of the image");
	return r < 0 ? r : write_fd(fd, out.data, out.len, "/etc/group", err);
}

static int groups_install(int root, const struct creel_recipe *r, struct creel_err *err)
{
	int rc = 0;

	for (size_t i = 0; i < r->users.n; i++)
		for (size_t k = 0; rc == 0 && k < r->users.v[i].groups.n; k++)
			rc = group_join(root, r->users.v[i].name.s, &r->users.v[i].groups.v[k], err);
	return rc;
}

static uid_t owner_id(const struct creel_recipe *r, const char *name)
{
	for (size_t i = 0; name && i < r->users.n; i++)
		if (strcmp(r->users.v[i].name.s, name) == 0)
			return (uid_t)r->users.v[i].uid.v;
	return 0;
}

/* What creel put aside for us, in a folder of its own, so no link leads away. */
static int source_read(int in, const char *name, struct creel_buf *out, struct creel_err *err)
{
	autofd int fd = openat(in, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	uint8_t buf[65536];
	ssize_t n;

	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "source %s", name);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (creel_buf_add(out, buf, (size_t)n, err) < 0)
			return creel_err_add(err, "source %s", name);
	return n < 0 ? creel_err_set(err, CREEL_E_OS, errno, "read %s", name) : 0;
}

/* A new file in the tree, in the place of what was there. */
static int place(int root, const char *path, uid_t uid, mode_t mode, const struct creel_buf *data,
		 struct creel_err *err)
{
	const char *name = NULL;

	autofd int dir = parent_open(root, path, &name, err);
	if (dir < 0)
		return dir;
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return creel_err_set(err, CREEL_E_OS, errno, "replace %s of the image", path);
	autofd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || fchown(fd, uid, uid) < 0 || fchmod(fd, mode & 07777) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make %s in the image", path);
	return write_fd(fd, data->data, data->len, path, err);
}

static int link_install(int root, const struct creel_file_cfg *f, struct creel_err *err)
{
	const char *name = NULL;

	autofd int dir = parent_open(root, f->name.s, &name, err);
	if (dir < 0)
		return dir;
	if ((unlinkat(dir, name, 0) < 0 && errno != ENOENT) || symlinkat(f->link.s, dir, name) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "link %s of the image", f->name.s);
	return 0;
}

static int file_install(int root, int in, const struct creel_recipe *r, size_t at, struct creel_err *err)
{
	const struct creel_file_cfg *f = &r->files.v[at];
	struct creel_buf autoclean(creel_buf_fini) data = {0};
	char source[40];

	if (f->link.s)
		return link_install(root, f, err);
	creel_buf_init(&data, FILE_MAX);
	(void)snprintf(source, sizeof(source), "files/%zu", at);
	int rc = f->content.s ? creel_buf_adds(&data, f->content.s, err)
			      : source_read(in, source, &data, err);
	return rc < 0 ? rc : place(root, f->name.s, owner_id(r, f->owner.s), (mode_t)f->mode.v, &data, err);
}

static int urls_install(int root, int in, const struct creel_recipe *r, struct creel_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < r->url.n; i++) {
		struct creel_buf autoclean(creel_buf_fini) data = {0};
		char source[40];
		if (r->url.v[i].unpack.v)
			continue;
		creel_buf_init(&data, (size_t)1 << 30);
		(void)snprintf(source, sizeof(source), "url-%zu", i);
		rc = source_read(in, source, &data, err);
		if (rc == 0)
			rc = place(root, r->url.v[i].name.s, 0, (mode_t)r->url.v[i].mode.v, &data, err);
	}
	return rc;
}

static int files_install(int root, int in, const struct creel_recipe *r, struct creel_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < r->files.n; i++)
		if (strncmp(r->files.v[i].name.s, "/persist/", 9) != 0)
			rc = file_install(root, in, r, i, err);
	return rc;
}

#ifdef __aarch64__
#define NODE_ARCH "arm64"
#else
#define NODE_ARCH "x64"
#endif
static const char node_binary[] = "node-linux-" NODE_ARCH;

void creel_install_npm_spec(const char *spec, char *ret, size_t size)
{
	bool node = strncmp(spec, "node", 4) == 0 && (spec[4] == '@' || spec[4] == '\0');

	(void)snprintf(ret, size, "%s%s", node ? node_binary : spec, node ? spec + 4 : "");
}

void creel_install_npm_name(const char *spec, char *ret, size_t size)
{
	creel_install_npm_spec(spec, ret, size);
	/* a scope begins with '@' itself */
	char *at = ret[0] ? strchr(ret + 1, '@') : NULL;
	if (at)
		*at = '\0';
}

static int link_bin(int root, const char *package, const char *program, const char *target,
		    struct creel_err *err)
{
	char to[PATH_LEN], path[PATH_LEN];
	const char *name = NULL;

	const char *base = strrchr(program, '/') ? strrchr(program, '/') + 1 : program;
	if (!base[0] || strcmp(base, "..") == 0 || strstr(target, ".."))
		return creel_err_set(err, CREEL_E_INVALID, 0, "package %s: program '%s'", package, program);
	(void)snprintf(path, sizeof(path), "/usr/local/bin/%s", base);
	(void)snprintf(to, sizeof(to), "/opt/npm/node_modules/%s/%s", package,
		       strncmp(target, "./", 2) == 0 ? target + 2 : target);
	autofd int dir = parent_open(root, path, &name, err);
	if (dir < 0)
		return dir;
	(void)unlinkat(dir, name, 0);
	if (symlinkat(to, dir, name) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "link %s in the image", path);
	autofd int fd = open_in(root, to, O_RDONLY, 0);
	if (fd < 0 || fchmod(fd, 0755) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "package %s: program %s", package, target);
	return 0;
}

static int package_links(int root, const char *package, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	char path[PATH_LEN];
	json_t *v;
	const char *key;
	int rc;

	creel_buf_init(&text, 1 << 20);
	(void)snprintf(path, sizeof(path), "/opt/npm/node_modules/%s/package.json", package);
	if ((rc = tree_read(root, path, &text, err)) < 0)
		return rc;
	json_t *j = json_loadb((const char *)text.data, text.len, 0, NULL);
	json_t *bin = json_object_get(j, "bin");
	if (!j)
		rc = creel_err_set(err, CREEL_E_SYNTAX, 0, "%s is no JSON", path);
	else if (json_is_string(bin))
		rc = link_bin(root, package, package, json_string_value(bin), err);
	else
		json_object_foreach (bin, key, v)
			if (rc == 0 && json_is_string(v))
				rc = link_bin(root, package, key, json_string_value(v), err);
	json_decref(j);
	if (rc == 0 && !bin && strncmp(package, "node-linux-", 11) == 0)
		rc = link_bin(root, package, "node", "bin/node", err);
	return rc;
}

static int npm_links(int root, const struct creel_recipe *r, struct creel_err *err)
{
	char name[256];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < r->npm.n; i++) {
		creel_install_npm_name(r->npm.v[i].s, name, sizeof(name));
		rc = package_links(root, name, err);
	}
	return rc;
}

/* @return how many places were changed, or an error */
static int patch_file(int dir, const char *name, struct creel_err *err)
{
	static const char from[] = "LEASE_HEARTBEAT_START_TIMEOUT_MS = 5e3",
			  to[] = "LEASE_HEARTBEAT_START_TIMEOUT_MS = 6e4";
	struct creel_buf autoclean(creel_buf_fini) b;
	int changed = 0;

	creel_buf_init(&b, FILE_MAX);
	autofd int fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || creel_buf_reserve(&b, (size_t)st.st_size, err) < 0 ||
	    read(fd, b.data, (size_t)st.st_size) != st.st_size)
		return creel_err_set(err, CREEL_E_OS, errno, "read %s", name);
	b.len = (size_t)st.st_size;
	for (uint8_t *p = b.data; (p = memmem(p, b.len - (size_t)(p - b.data), from, sizeof(from) - 1));
	     changed++)
		memcpy(p, to, sizeof(to) - 1);
	if (changed > 0 && pwrite(fd, b.data, b.len, 0) != (ssize_t)b.len)
		return creel_err_set(err, CREEL_E_OS, errno, "write %s", name);
	return changed;
}

/*
 * What OpenClaw's package needs in a read-only image. Its install script removes files that an older
 * installation left, of which a new tree has none, and then the mark that it has not run: the mark is
 * removed here. And OpenClaw gives a worker thread five seconds to start, which an emulated machine
 * takes at times: the gateway then ends. Make it a minute, in every file that has the limit; a version
 * that has it nowhere must be looked at again before it is built.
 */
static int openclaw_patch(int root, struct creel_err *err)
{
	static const char pending[] = "/opt/npm/node_modules/openclaw/.openclaw-lifecycle-pending";
	static const char *const dirs[] = {"/opt/npm/node_modules/openclaw/dist",
					   "/opt/npm/node_modules/openclaw/dist/state"};
	const char *name = NULL;
	int changed = 0;

	autofd int dir = parent_open(root, pending, &name, err);
	if (dir < 0 || (unlinkat(dir, name, 0) < 0 && errno != ENOENT))
		return creel_err_set(err, CREEL_E_OS, errno, "remove %s of the image", pending);
	for (size_t i = 0; i < ELEMENTSOF(dirs); i++) {
		int fd = open_in(root, dirs[i], O_RDONLY | O_DIRECTORY, 0);
		autodir DIR *d = fd < 0 ? NULL : fdopendir(fd);
		for (struct dirent *e; d && (e = readdir(d));) {
			if (!strstr(e->d_name, "lease-heartbeat"))
				continue;
			int n = patch_file(dirfd(d), e->d_name, err);
			if (n < 0)
				return n;
			changed += n;
		}
	}
	return changed > 0
		       ? 0
		       : creel_err_set(err, CREEL_E_NOTFOUND, 0,
				       "openclaw: the worker's start limit stands nowhere in this version");
}

/* Our own files, that the builder gave; a `!` in a name stands for a folder's `/`. */
static int guest_install(int root, int in, struct creel_err *err)
{
	int fd = openat(in, "guest", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autodir DIR *d = fd < 0 ? NULL : fdopendir(fd);
	char path[300];
	int r = 0;

	for (struct dirent *e; r == 0 && d && (e = readdir(d));) {
		struct creel_buf autoclean(creel_buf_fini) data = {0};
		if (e->d_name[0] == '.')
			continue;
		creel_buf_init(&data, 16 << 20);
		r = source_read(dirfd(d), e->d_name, &data, err);
		(void)snprintf(path, sizeof(path), "/usr/lib/creel/%s", e->d_name);
		bool program = !strchr(path, '!');
		for (char *p = path; *p; p++)
			if (*p == '!')
				*p = '/';
		if (r == 0)
			r = place(root, path, 0, program ? 0755 : 0644, &data, err);
	}
	const struct creel_file_cfg why = {.name.s = "/usr/local/bin/creel-why",
					   .link.s = "/usr/lib/creel/creel-why"};
	return r < 0 || !d ? r : link_install(root, &why, err);
}

int creel_install(int root, int in, const char *name, const struct creel_recipe *recipe,
		  struct creel_err *err)
{
	int r = users_install(root, recipe, err);

	if (r == 0)
		r = groups_install(root, recipe, err);
	if (r == 0)
		r = npm_links(root, recipe, err);
	if (r == 0 && strcmp(name, "openclaw") == 0)
		r = openclaw_patch(root, err);
	if (r == 0)
		r = guest_install(root, in, err);
	if (r == 0)
		r = urls_install(root, in, recipe, err);
	return r < 0 ? r : files_install(root, in, recipe, err);
}
