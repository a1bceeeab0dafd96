#include "approvedfile.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "config/approved.h"
#include "load.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

int approvedfile_look(struct creel_cli *cli, const char *cell, struct approvedfile *ret,
		      struct creel_err *err)
{
	struct creel_config autoclean(creel_config_fini) config = {0};
	const char *file = cli->file ? cli->file : "creel.yaml";
	char *slash;

	if (access(file, F_OK) < 0 && strcmp(file, "-") != 0)
		return creel_err_set(
			err, CREEL_E_USAGE, 0,
			"--always writes beside creel.yaml, and there is no %s here: say -f FILE", file);
	int r = creel_approved_path(file, ret->path, sizeof(ret->path), err);
	if (r == 0)
		r = load_config(cli, &config, NULL, err);
	if (r == 0 && !creel_config_cell(&config, cell))
		r = creel_err_set(err, CREEL_E_USAGE, 0, "%s has no cell '%s': say -f FILE", file, cell);
	if (r < 0)
		return r;
	char folder[PATH_MAX];
	(void)snprintf(folder, sizeof(folder), "%s", ret->path);
	slash = strrchr(folder, '/');
	if (slash)
		slash[1] = '\0';
	if (access(slash ? folder : ".", W_OK) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "write %s", ret->path);
	return 0;
}

static int old_read(const char *path, struct creel_buf *out, struct creel_err *err)
{
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t buf[4096];
	ssize_t n = 0;
	int r = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	while (r == 0 && (n = read(fd, buf, sizeof(buf))) > 0)
		r = creel_buf_add(out, buf, (size_t)n, err);
	return n < 0 ? creel_err_set(err, CREEL_E_OS, errno, "read %s", path) : r;
}

/* Is its end the list, so that a line more is an entry more? */
static bool ends_in_list(const char *text)
{
	const char *last = "allow:";

	for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n')
		if (p[strspn(p, " \t\r")] != '#' && p[strspn(p, " \t\r")] != '\n' &&
		    p[strspn(p, " \t\r")] != '\0')
			last = p;
	return strncmp(last, "  - {", 5) == 0 || strncmp(last, "allow:", 6) == 0;
}

/* Whole or not at all; who edits the file meanwhile loses nothing but the race. */
static int replace(const char *path, const struct creel_buf *text, struct creel_err *err)
{
	char tmp[PATH_MAX + 8];

	(void)snprintf(tmp, sizeof(tmp), "%s.new", path);
	autofd int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd >= 0 && write(fd, text->data, text->len) == (ssize_t)text->len && fsync(fd) == 0 &&
	    rename(tmp, path) == 0)
		return 0;
	int e = errno ? errno : EIO;
	if (fd >= 0)
		(void)unlink(tmp);
	return creel_err_set(err, CREEL_E_OS, e, "write %s", path);
}

int approvedfile_add(const struct approvedfile *f, const char *cell, const char *name, long long approval,
		     struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) old, autoclean(creel_buf_fini) one,
		autoclean(creel_buf_fini) two;
	char note[96], day[16] = "", entry[280];
	time_t now = time(NULL);
	struct tm tm;

	creel_buf_init(&old, CREEL_YAML_MAX_OCTETS);
	creel_buf_init(&one, CREEL_YAML_MAX_OCTETS);
	creel_buf_init(&two, CREEL_YAML_MAX_OCTETS);
	if (gmtime_r(&now, &tm))
		(void)strftime(day, sizeof(day), "%Y-%m-%d", &tm);
	(void)snprintf(note, sizeof(note), "approval %lld, %s, uid %u", approval, day, (unsigned)getuid());
	int r = old_read(f->path, &old, err);
	if (r == 0 && (!ends_in_list(creel_buf_str(&old)) ||
		       name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.")]))
		r = creel_err_set(
			err, CREEL_E_CONFIG, 0,
			"%s does not end in its list: write `- { cell: %s, entry: \"%s\" }` yourself",
			f->path, cell, name);
	if (r == 0)
		r = creel_approved_add(old.len ? creel_buf_str(&old) : NULL, cell, name, note, &one, err);
	(void)snprintf(entry, sizeof(entry), "%s:80", name);
	if (r == 0)
		r = creel_approved_add(creel_buf_str(&one), cell, entry, note, &two, err);
	return r < 0 ? r : replace(f->path, &two, err);
}
