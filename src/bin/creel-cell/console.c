#include "base/cleanup.h"
#include "cell.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * The serial console: the kernel's last words. A ring, so that a guest that prints without end costs
 * nothing but its own time; read also when nobody will ever ask, so that the pipe does not fill.
 */
enum { RING = 8192, LINES = 6, LINE = 190 };
static char ring[RING];
static size_t written; /* octets ever */
static struct event *console_read;

static void console_take(void)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(cell.console, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			ring[written++ % RING] = buf[i];
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		event_del(console_read);
}

static void console_readable(evutil_socket_t fd, short what, void *ctx)
{
	console_take();
}

int console_start(struct creel_err *err)
{
	if (evutil_make_socket_nonblocking(cell.console) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "console");
	console_read = event_new(cell.base, cell.console, EV_READ | EV_PERSIST, console_readable, NULL);
	if (!console_read || event_add(console_read, NULL) < 0)
		return creel_err_nomem(err);
	return 0;
}

void console_tell(void)
{
	char text[RING + 1], *line[LINES], panic[LINE + 1] = "";
	size_t n = 0;

	console_take();
	size_t len = written < RING ? written : RING;
	for (size_t i = 0; i < len; i++) {
		char c = ring[(written - len + i) % RING];
		text[i] = c == '\0' ? ' ' : c;
	}
	text[len] = '\0';
	/* behind it come registers and a trace: it is what matters, so it is said last */
	const char *why = strstr(text, "Kernel panic");
	if (why)
		(void)snprintf(panic, sizeof(panic), "%.*s", (int)MIN(strcspn(why, "\r\n"), (size_t)LINE),
			       why);
	for (char *end = text + len; n < LINES && end > text;) {
		while (end > text && (end[-1] == '\n' || end[-1] == '\r'))
			*--end = '\0';
		char *start = memrchr(text, '\n', (size_t)(end - text));
		start = start ? start + 1 : text;
		if (*start)
			line[n++] = start;
		end = start > text ? start - 1 : text;
		*end = '\0';
	}
	while (n-- > 0) {
		if (strlen(line[n]) > LINE)
			line[n][LINE] = '\0';
		engine_tell(CREEL_CELL_NOTE, 0, 0, 0, line[n]);
	}
	if (panic[0])
		engine_tell(CREEL_CELL_NOTE, 0, 0, 0, panic);
}
