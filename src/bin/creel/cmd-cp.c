#include "base/cleanup.h"
#include "cmds.h"
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * cp: a tar stream through `creel exec`. In the cell its own tar packs and unpacks; here libarchive
 * does. What a cell sends is hostile: its names may not leave the place that was given, and only
 * files, folders and links are made, never with set-user-ID bits.
 */
struct place {
	const char *cell; /* NULL: here */
	const char *path;
	char cell_name[64];
};

static int place_parse(const char *arg, struct place *p, struct creel_err *err)
{
	const char *colon = strchr(arg, ':'), *slash = strchr(arg, '/');

	*p = (struct place){.path = arg};
	if (!colon || (slash && slash < colon))
		return 0;
	if (colon == arg || (size_t)(colon - arg) >= sizeof(p->cell_name) || !colon[1])
		return creel_err_set(err, CREEL_E_USAGE, 0, "'%s' is neither PATH nor CELL:PATH", arg);
	memcpy(p->cell_name, arg, (size_t)(colon - arg));
	p->cell = p->cell_name;
	p->path = colon + 1;
	return 0;
}

/* "a/b//" is folder "a" and name "b"; @p dir and @p base have PATH_MAX octets. */
static int path_split(const char *path, char *dir, char *base, struct creel_err *err)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	if (n == 0 || n >= PATH_MAX)
		return creel_err_set(err, CREEL_E_USAGE, 0, "'%.80s' is no path", path);
	memcpy(dir, path, n);
	dir[n] = '\0';
	char *slash = strrchr(dir, '/');
	(void)snprintf(base, PATH_MAX, "%s", slash ? slash + 1 : dir);
	if (!slash)
		(void)snprintf(dir, PATH_MAX, ".");
	else
		slash[slash == dir] = '\0';
	if (!base[0] || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
		return creel_err_set(err, CREEL_E_USAGE, 0, "'%.80s' has no name of its own to copy", path);
	return 0;
}

struct child {
	pid_t pid;
	int fd; /* its standard input, or its output */
};

/* `creel exec CELL -- WORDS...`: ours to write to or to read from. */
static int exec_start(struct creel_cli *cli, const char *cell, const char *const *words, bool to_cell,
		      struct child *ret, struct creel_err *err)
{
	const char *argv[32] = {"creel"};
	size_t n = 1;
	int p[2];

	if (cli->state_dir) {
		argv[n++] = "--state-dir";
		argv[n++] = cli->state_dir;
	}
	argv[n++] = "exec";
	if (!to_cell)
		argv[n++] = "-n";
	argv[n++] = cell;
	argv[n++] = "--";
	while (*words && n < ELEMENTSOF(argv) - 1)
		argv[n++] = *words++;
	if (pipe2(p, O_CLOEXEC) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a pipe");
	ret->pid = fork();
	if (ret->pid < 0) {
		close(p[0]);
		close(p[1]);
		return creel_err_set(err, CREEL_E_OS, errno, "fork");
	}
	if (ret->pid == 0) {
		if (dup2(to_cell ? p[0] : p[1], to_cell ? 0 : 1) < 0)
			_exit(126);
		execv("/proc/self/exe", (char **)argv);
		_exit(127);
	}
	close(to_cell ? p[0] : p[1]);
	ret->fd = to_cell ? p[1] : p[0];
	return 0;
}

/* What went wrong in the cell its tar has said on standard error. */
static int exec_end(struct child *c, const char *what, struct creel_err *err)
{
	int ws = 0;

	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	while (waitpid(c->pid, &ws, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(ws) && WEXITSTATUS(ws) == 0)
		return 0;
	return creel_err_set(err, CREEL_E_CHILD, 0, "%s: status %d", what,
			     WIFEXITED(ws) ? WEXITSTATUS(ws) : 128 + WTERMSIG(ws));
}

/* "a/x" with "a" made @p base; NULL when the name does not begin with @p from. */
static const char *renamed(const char *name, const char *from, const char *base, char ret[PATH_MAX])
{
	size_t n = strlen(from);

	while (name[0] == '.' && name[1] == '/')
		name += 2;
	if (strncmp(name, from, n) != 0 || (name[n] != '\0' && name[n] != '/') ||
	    (size_t)snprintf(ret, PATH_MAX, "%s%s", base, name + n) >= PATH_MAX)
		return NULL;
	return ret;
}

static int archive_err(struct archive *a, const char *what, struct creel_err *err)
{
	const char *why = archive_error_string(a);

	return creel_err_set(err, CREEL_E_OS, 0, "%s: %.150s", what, why ? why : "no reason given");
}

static int data_copy(struct archive *from, struct archive *to, struct creel_err *err)
{
	const void *block;
	size_t len;
	la_int64_t at;
	int r;

	while ((r = archive_read_data_block(from, &block, &len, &at)) == ARCHIVE_OK)
		if (archive_write_data_block(to, block, len, at) < ARCHIVE_WARN)
			return archive_err(to, "write", err);
	return r == ARCHIVE_EOF ? 0 : archive_err(from, "read what the cell sends", err);
}

static int entry_take(struct archive *in, struct archive *disk, struct archive_entry *e, const char *from,
		      const char *base, struct creel_err *err)
{
	const char *name = archive_entry_pathname(e), *link = archive_entry_hardlink(e);
	char path[PATH_MAX], target[PATH_MAX];
	mode_t type = archive_entry_filetype(e);

	if (!name || !renamed(name, from, base, path) || (link && !renamed(link, from, base, target)))
		return creel_err_set(err, CREEL_E_PROTO, 0, "the cell sent a name that was not asked for");
	if (!link && type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK) {
		fprintf(stderr, "creel: left out: %s is neither file, folder nor link\n", path);
		return 0;
	}
	archive_entry_set_pathname(e, path);
	if (link)
		archive_entry_set_hardlink(e, target);
	archive_entry_set_perm(e, archive_entry_perm(e) & 0777);
	if (archive_write_header(disk, e) < ARCHIVE_WARN)
		return archive_err(disk, path, err);
	int r = link || archive_entry_size(e) == 0 ? 0 : data_copy(in, disk, err);
	if (r == 0 && archive_write_finish_entry(disk) < ARCHIVE_WARN)
		r = archive_err(disk, path, err);
	return r;
}

/* Unpack what stands on @p fd into the current folder, its root @p from called @p base. */
static int unpack(int fd, const char *from, const char *base, struct creel_err *err)
{
	struct archive *in = archive_read_new(), *disk = archive_write_disk_new();
	struct archive_entry *e;
	size_t n = 0;
	int r = 0, a = ARCHIVE_OK;

	if (!in || !disk || archive_read_support_format_tar(in) < ARCHIVE_WARN ||
	    archive_write_disk_set_options(disk, ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_PERM |
							 ARCHIVE_EXTRACT_SECURE_SYMLINKS |
							 ARCHIVE_EXTRACT_SECURE_NODOTDOT |
							 ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS) < ARCHIVE_OK)
		r = creel_err_nomem(err);
	else if (archive_read_open_fd(in, fd, 65536) < ARCHIVE_WARN)
		r = archive_err(in, "read what the cell sends", err);
	while (r == 0 && (a = archive_read_next_header(in, &e)) >= ARCHIVE_WARN && a != ARCHIVE_EOF) {
		r = entry_take(in, disk, e, from, base, err);
		n++;
	}
	if (r == 0 && (a != ARCHIVE_EOF || n == 0))
		r = n ? archive_err(in, "read what the cell sends", err)
		      : creel_err_set(err, CREEL_E_NOTFOUND, 0, "the cell sent nothing");
	/* folders get their times when all is in them */
	if (disk && archive_write_free(disk) < ARCHIVE_WARN && r == 0)
		r = creel_err_set(err, CREEL_E_OS, 0, "finish the copy");
	archive_read_free(in);
	return r;
}

static int from_cell(struct creel_cli *cli, const struct place *src, const struct place *dst,
		     struct creel_err *err)
{
	char dir[PATH_MAX], base[PATH_MAX], to_dir[PATH_MAX], to_base[PATH_MAX];
	struct creel_err cell_err = {0};
	struct stat st;
	struct child c;
	int r = path_split(src->path, dir, base, err);

	if (r < 0)
		return r;
	if (stat(dst->path, &st) == 0 && S_ISDIR(st.st_mode)) {
		(void)snprintf(to_dir, sizeof(to_dir), "%s", dst->path);
		memcpy(to_base, base, sizeof(base));
	} else if ((r = path_split(dst->path, to_dir, to_base, err)) < 0) {
		return r;
	}
	if (chdir(to_dir) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "%s", to_dir);
	const char *const words[] = {"tar", "--format=pax", "-C", dir, "-cf", "-", "--", base, NULL};
	if ((r = exec_start(cli, src->cell, words, false, &c, err)) < 0)
		return r;
	r = unpack(c.fd, base, to_base, err);
	/* that there is no such file is tar's to say, and then ours is only what follows from it */
	int e = exec_end(&c, "tar in the cell", &cell_err);
	if (e < 0 && (r == 0 || err->code == CREEL_E_NOTFOUND)) {
		*err = cell_err;
		return e;
	}
	return r;
}

static int pack(int fd, const char *path, const char *base, struct creel_err *err)
{
	struct archive *disk = archive_read_disk_new(), *out = archive_write_new();
	struct archive_entry *e = archive_entry_new();
	static char buf[65536];
	size_t skip = strlen(path);
	int r = 0, a;

	if (!disk || !out || !e || archive_write_set_format_pax_restricted(out) < ARCHIVE_WARN ||
	    archive_write_add_filter_none(out) < ARCHIVE_WARN ||
	    archive_write_open_fd(out, fd) < ARCHIVE_WARN)
		r = creel_err_nomem(err);
	else if (archive_read_disk_set_symlink_physical(disk) < ARCHIVE_WARN ||
		 archive_read_disk_open(disk, path) < ARCHIVE_WARN)
		r = archive_err(disk, path, err);
	while (skip > 1 && path[skip - 1] == '/')
		skip--;
	while (r == 0 && (a = archive_read_next_header2(disk, e)) != ARCHIVE_EOF) {
		char name[PATH_MAX];
		if (a < ARCHIVE_WARN) {
			r = archive_err(disk, path, err);
			break;
		}
		(void)archive_read_disk_descend(disk);
		const char *own = archive_entry_pathname(e);
		mode_t type = archive_entry_filetype(e);
		if (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK) {
			fprintf(stderr, "creel: left out: %s is neither file, folder nor link\n", own);
			continue;
		}
		if (strlen(own) < skip ||
		    (size_t)snprintf(name, sizeof(name), "%s%s", base, own + skip) >= PATH_MAX) {
			r = creel_err_set(err, CREEL_E_TOOBIG, 0, "a name below %s is too long", path);
			break;
		}
		archive_entry_set_pathname(e, name);
		archive_entry_set_uid(e, 0);
		archive_entry_set_gid(e, 0);
		archive_entry_set_uname(e, "");
		archive_entry_set_gname(e, "");
		if (archive_write_header(out, e) < ARCHIVE_WARN) {
			r = archive_err(out, name, err);
			break;
		}
		if (type != AE_IFREG)
			continue;
		int in = open(archive_entry_sourcepath(e), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		ssize_t n = in < 0 ? -1 : 1;
		while (n > 0 && (n = read(in, buf, sizeof(buf))) > 0)
			if (archive_write_data(out, buf, (size_t)n) < 0)
				n = -1;
		if (n < 0)
			r = creel_err_set(err, CREEL_E_OS, errno, "copy %s", own);
		if (in >= 0)
			close(in);
	}
	archive_entry_free(e);
	archive_read_free(disk);
	if (out && archive_write_free(out) < ARCHIVE_WARN && r == 0)
		r = creel_err_set(err, CREEL_E_CLOSED, 0, "the cell stopped reading");
	return r;
}

static int to_cell(struct creel_cli *cli, const struct place *src, const struct place *dst,
		   struct creel_err *err)
{
	char dir[PATH_MAX], base[PATH_MAX], to_dir[PATH_MAX], to_base[PATH_MAX];
	struct creel_err pack_err = {0}, ignored = {0};
	struct stat st;
	struct child c;
	int r = path_split(src->path, dir, base, err);

	if (r == 0 && lstat(src->path, &st) < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "%s", src->path);
	if (r < 0)
		return r;
	const char *const is_dir[] = {"test", "-d", dst->path, NULL};
	if ((r = exec_start(cli, dst->cell, is_dir, false, &c, err)) < 0)
		return r;
	if (exec_end(&c, "test", &ignored) == 0) {
		(void)snprintf(to_dir, sizeof(to_dir), "%s", dst->path);
		memcpy(to_base, base, sizeof(base));
	} else if ((r = path_split(dst->path, to_dir, to_base, err)) < 0) {
		return r;
	}
	const char *const words[] = {"tar", "-C", to_dir, "-xpf", "-", NULL};
	if ((r = exec_start(cli, dst->cell, words, true, &c, err)) < 0)
		return r;
	int packed = pack(c.fd, src->path, to_base, &pack_err);
	r = exec_end(&c, "tar in the cell", err);
	if (r == 0 && packed < 0)
		*err = pack_err;
	return r < 0 ? r : packed;
}

int cmd_cp(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct place src, dst;

	if (argc != 3)
		return creel_err_set(err, CREEL_E_USAGE, 0, "usage: creel cp FROM TO, one of them CELL:PATH");
	int r = place_parse(argv[1], &src, err);
	if (r == 0)
		r = place_parse(argv[2], &dst, err);
	if (r == 0 && !src.cell == !dst.cell)
		r = creel_err_set(err, CREEL_E_USAGE, 0, "one of FROM and TO is in a cell: CELL:PATH");
	if (r < 0)
		return r;
	(void)signal(SIGPIPE, SIG_IGN);
	return src.cell ? from_cell(cli, &src, &dst, err) : to_cell(cli, &src, &dst, err);
}
