#include "event/verify.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static int line_check(struct creel_verify *v, const struct creel_link_state *head, const uint8_t *line,
		      size_t len, struct creel_err *err)
{
	int r = creel_chain_check(&v->at, line, len, err);

	if (r < 0)
		return r;
	v->lines++;
	if (head && v->at.seq == head->seq) {
		if (sodium_memcmp(v->at.hash, head->hash, CREEL_HASH) != 0)
			return creel_err_set(err, CREEL_E_BROKEN, 0,
					     "it is not the line that was signed: the chain was rewritten");
		v->head_seen = true;
	}
	return 0;
}

static int file_check(int dirfd, struct creel_verify *v, const struct creel_link_state *head,
		      struct creel_err *err)
{
	autofd int fd = openat(dirfd, v->file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	autofile FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	autofree char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	if (!f)
		return creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_OS, errno, "open %s",
				     v->file);
	(void)steal_fd(&fd); /* the stream's now */
	v->line = 0;
	while ((n = getline(&line, &cap, f)) > 0) {
		v->line++;
		if (n > CREEL_LINE_MAX)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "a line of %zd octets", n);
		if (line[n - 1] != '\n')
			return creel_err_set(err, CREEL_E_BROKEN, 0, "the line is cut");
		int r = line_check(v, head, (const uint8_t *)line, (size_t)n - 1, err);
		if (r < 0)
			return r;
	}
	return ferror(f) ? creel_err_set(err, CREEL_E_OS, errno, "read %s", v->file) : 0;
}

int creel_verify(int dirfd, const struct creel_link_state *head, struct creel_verify *ret,
		 struct creel_err *err)
{
	struct creel_verify v = {.head_seq = head ? head->seq : 0};
	int r = 0;

	/* no state leaves with a file missing in the middle: its lines' numbers are missing too */
	for (unsigned i = 1; r == 0; i++) {
		(void)snprintf(v.file, sizeof(v.file), "events-%06u.jsonl", i);
		r = file_check(dirfd, &v, head, err);
	}
	if (r == CREEL_E_NOTFOUND) {
		*err = (struct creel_err){0};
		(void)snprintf(v.file, sizeof(v.file), "events.jsonl");
		r = file_check(dirfd, &v, head, err);
		if (r == CREEL_E_NOTFOUND && v.lines > 0)
			r = 0;
	}
	if (r == 0 && head && head->seq > v.at.seq) {
		v.line++;
		r = creel_err_set(err, CREEL_E_BROKEN, 0,
				  "the tail is cut: %llu line(s) up to the signed head are missing",
				  (unsigned long long)(head->seq - v.at.seq));
	}
	*ret = v;
	return r;
}
