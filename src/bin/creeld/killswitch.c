#include "base/log.h"
#include "monitor.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * The kill switch of a cell: a file in the monitor's own folder, which no other process writes, so it
 * outlives creeld, the cell and the machine. While it is there, the cell's policy is "nothing", whatever
 * was declared; who asks for a cell's policy asks here.
 */
static void file_name(const char *cell, char ret[64])
{
	(void)snprintf(ret, 64, "killswitch-%s", cell);
}

bool killswitch_on(const char *cell)
{
	char name[64];

	file_name(cell, name);
	/* one that cannot be looked at counts as on */
	return faccessat(mon.seal_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

int killswitch_set(const char *cell, bool on, struct creel_err *err)
{
	char name[64];

	file_name(cell, name);
	if (on) {
		autofd int fd = openat(mon.seal_fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "keep the kill switch of '%s'", cell);
	} else if (unlinkat(mon.seal_fd, name, 0) < 0 && errno != ENOENT) {
		return creel_err_set(err, CREEL_E_OS, errno, "remove the kill switch of '%s'", cell);
	}
	return fsync(mon.seal_fd) < 0 ? creel_err_set(err, CREEL_E_OS, errno, "keep the kill switch") : 0;
}

/* "nothing", and the line that says which addresses are the cells' own */
const struct creel_buf *killswitch_policy(const struct mon_cell *c)
{
	static struct creel_buf text;
	struct creel_err err = {0};

	if (!killswitch_on(c->name))
		return &c->policy;
	creel_buf_fini(&text);
	creel_buf_init(&text, 4096);
	const char *end = (const char *)c->policy.data + c->policy.len, *next;
	if (creel_buf_adds(&text, "mode none 1\n", &err) < 0)
		creel_log_error(&err);
	for (const char *line = (const char *)c->policy.data; line && line < end; line = next) {
		next = memchr(line, '\n', (size_t)(end - line));
		next = next ? next + 1 : end;
		if ((size_t)(next - line) > 7 && memcmp(line, "subnet ", 7) == 0 &&
		    creel_buf_add(&text, line, (size_t)(next - line), &err) < 0)
			creel_log_error(&err);
	}
	return &text;
}
