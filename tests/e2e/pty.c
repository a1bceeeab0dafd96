/*
 * pty ROWS COLS PROGRAM [ARGUMENT...]: run PROGRAM on a terminal of its own and play the person before
 * it, as the script on standard input says, a line each:
 *   expect TEXT     wait until TEXT is shown, after what was expected before (30 s at most)
 *   send TEXT       type it; \r \n \e \\ and \xNN mean what they say
 *   size ROWS COLS  another window
 * What is shown goes to standard output. Exit status: the program's own, 128+n, or 99 when TEXT did not
 * come.
 */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_MS = 30000 };
static int master;
static pid_t pid;
static char shown[1 << 20];
static size_t len, seen; /* seen: what was expected ends here */

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* @return false when the program closed its terminal */
static bool take(int ms)
{
	struct pollfd p = {.fd = master, .events = POLLIN};

	if (poll(&p, 1, ms) <= 0)
		return true;
	if (len == sizeof(shown))
		len = seen = 0;
	ssize_t n = read(master, shown + len, sizeof(shown) - len);
	if (n <= 0)
		return false;
	(void)!write(STDOUT_FILENO, shown + len, (size_t)n);
	len += (size_t)n;
	return true;
}

static void expect(const char *text)
{
	long until = now_ms() + LIMIT_MS;
	bool alive = true;

	for (;;) {
		char *at = memmem(shown + seen, len - seen, text, strlen(text));
		if (at) {
			seen = (size_t)(at - shown) + strlen(text);
			return;
		}
		if (!alive || now_ms() > until)
			break;
		alive = take(100);
	}
	fprintf(stderr, "pty: '%s' was not shown\n", text);
	kill(pid, SIGKILL);
	exit(99);
}

static void type(const char *text)
{
	char out[1024];
	size_t n = 0;

	for (const char *p = text; *p && n < sizeof(out); p++) {
		unsigned code = 0;
		if (*p != '\\' || !p[1]) {
			out[n++] = *p;
		} else if (p[1] == 'x' && sscanf(p + 2, "%2x", &code) == 1) {
			out[n++] = (char)code;
			p += 3;
		} else {
			p++;
			out[n++] = *p == 'r' ? '\r' : *p == 'n' ? '\n' : *p == 'e' ? '\033' : *p;
		}
	}
	for (size_t at = 0; at < n;) {
		ssize_t w = write(master, out + at, n - at);
		if (w > 0)
			at += (size_t)w;
		else if (errno != EINTR && errno != EAGAIN)
			return;
	}
}

int main(int argc, char **argv)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};
	char line[1024];
	int ws = 0;

	if (argc < 4)
		return 2;
	size.ws_row = (unsigned short)atoi(argv[1]);
	size.ws_col = (unsigned short)atoi(argv[2]);
	pid = forkpty(&master, NULL, NULL, &size);
	if (pid < 0)
		return 98;
	if (pid == 0) {
		(void)setenv("TERM", "xterm", 1);
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "expect ", 7) == 0)
			expect(line + 7);
		else if (strncmp(line, "send ", 5) == 0)
			type(line + 5);
		else if (sscanf(line, "size %hu %hu", &size.ws_row, &size.ws_col) == 2)
			(void)ioctl(master, TIOCSWINSZ, &size);
		else if (line[0] && line[0] != '#')
			return 2;
	}
	for (long until = now_ms() + LIMIT_MS; now_ms() < until && take(100);)
		;
	if (waitpid(pid, &ws, WNOHANG) == 0) {
		sleep(1);
		if (waitpid(pid, &ws, WNOHANG) == 0) {
			kill(pid, SIGKILL);
			return 98;
		}
	}
	return WIFEXITED(ws) ? WEXITSTATUS(ws) : 128 + WTERMSIG(ws);
}
