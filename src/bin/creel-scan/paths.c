#include "base/cleanup.h"
#include "base/log.h"
#include "scan.h"
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TEXT_MAX (128u << 20) /* the library's own bound */

int scan_read(int fd, const char *name, struct creel_buf *buf, struct creel_err *err)
{
	for (;;) {
		int r = creel_buf_reserve(buf, 65536, err);
		if (r == CREEL_E_TOOBIG)
			return creel_err_set(err, r, 0,
					     "%.120s: more than %u MiB, which is the most that is scanned",
					     name, TEXT_MAX >> 20);
		if (r < 0)
			return creel_err_add(err, "%.120s", name);
		size_t room = buf->cap - buf->len;
		ssize_t n = read(fd, buf->data + buf->len, room);
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "read %.120s", name);
		if (n == 0)
			return 0;
		buf->len += (size_t)n;
		buf->data[buf->len] = 0;
	}
}

static int text_scan(const struct scan_opts *o, const struct creel_defender *d, int fd, const char *name,
		     struct scan_sum *sum, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	struct creel_defender_context ctx;
	struct creel_defender_result *res = NULL;
	struct creel_defender_error e = {0};

	creel_buf_init(&text, TEXT_MAX + 65537);
	int r = scan_read(fd, name, &text, err);
	if (r == 0 && o->explain)
		r = scan_explain(d, &text, err);
	if (r < 0)
		return r;
	scan_context(o, &ctx);
	if (creel_defender_scan(d, text.data, text.len, &ctx, &res, &e) < 0)
		return creel_err_set(err, e.code, 0, "%.120s: %s", name, e.msg);
	sum->files++;
	sum->found += creel_defender_result_action(res) >= CREEL_DEFENDER_WARN;
	sum->blocked += creel_defender_result_action(res) == CREEL_DEFENDER_BLOCK;
	r = scan_report(o, name, &text, res, sum, err);
	creel_defender_result_free(res);
	return r;
}

/* A file that cannot be read is said and counted, and the others are scanned all the same. */
static int file_scan(const struct scan_opts *o, const struct creel_defender *d, const char *path, int flags,
		     struct scan_sum *sum, struct creel_err *err)
{
	struct creel_err e = {0};
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | flags);
	int r = fd < 0 ? creel_err_set(&e, CREEL_E_OS, errno, "open %.160s", path)
		       : text_scan(o, d, fd, path, sum, &e);

	if (r == CREEL_E_NOMEM) {
		*err = e;
		return r;
	}
	if (r < 0) {
		creel_log_error(&e);
		sum->failed++;
	}
	return 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int tree_scan(const struct scan_opts *o, const struct creel_defender *d, char *path,
		     struct scan_sum *sum, struct creel_err *err)
{
	char *roots[] = {path, NULL};
	FTS *t = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	int r = 0;

	if (!t)
		return creel_err_set(err, CREEL_E_OS, errno, "open %.160s", path);
	for (FTSENT *e; r == 0 && (e = fts_read(t));) {
		if (e->fts_info == FTS_F) {
			/* links are not followed: what they name is scanned where it stands */
			r = file_scan(o, d, e->fts_path, O_NOFOLLOW, sum, err);
		} else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS) {
			creel_log_warn("%s: %s", e->fts_path, strerror(e->fts_errno));
			sum->failed++;
		}
	}
	fts_close(t);
	return r;
}

int scan_paths(const struct scan_opts *o, const struct creel_defender *d, struct scan_sum *sum,
	       struct creel_err *err)
{
	int r = 0;

	if (o->n_paths == 0)
		return text_scan(o, d, 0, "-", sum, err);
	for (int i = 0; r == 0 && i < o->n_paths; i++) {
		struct stat st;
		char *p = o->paths[i];
		if (strcmp(p, "-") == 0)
			r = text_scan(o, d, 0, "-", sum, err);
		else if (stat(p, &st) == 0 && S_ISDIR(st.st_mode) && !o->recurse)
			r = creel_err_set(err, CREEL_E_USAGE, 0, "%.160s is a folder: add -r", p);
		else if (stat(p, &st) == 0 && S_ISDIR(st.st_mode))
			r = tree_scan(o, d, p, sum, err);
		else
			r = file_scan(o, d, p, 0, sum, err);
	}
	return r;
}
