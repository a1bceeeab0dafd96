/*
 * played-host SOCKET ANSWER LOG: plays creel-init and the host for a creel-gate. Each question is a line of LOG
 * ("gate ARG|ARG..." or "event KIND"); a gate's is answered by what the file ANSWER says then: "ok", "deny WHY",
 * "hang", "wait FILE" (ok, when FILE is there). A question's files and standard input are told behind it, and the
 * lines that a person is shown go to LOG.lines.
 */
#include "base/cleanup.h"
#include "wire/call.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static bool read_all(int fd, uint8_t *buf, size_t len)
{
	for (ssize_t n; len > 0; buf += n, len -= (size_t)n)
		if ((n = read(fd, buf, len)) <= 0)
			return false;
	return true;
}

static void answer(int fd, uint8_t type, const char *text)
{
	struct creel_call_head h = {.len = (uint32_t)strlen(text), .type = type};
	uint8_t head[CREEL_CALL_HEAD];

	creel_call_head_encode(&h, head);
	(void)!write(fd, head, sizeof(head));
	(void)!write(fd, text, strlen(text));
}

static struct creel_call_gate g;

static void lines_tell(const char *log)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s.lines", log);
	autofile FILE *f = fopen(path, "ae");
	for (size_t i = 0; f && i < g.n_lines; i++)
		fprintf(f, "%s: %s\n", g.line[i].label, g.line[i].text);
}

static void serve(int fd, const char *said, const char *log)
{
	static uint8_t head[CREEL_CALL_HEAD], body[CREEL_CALL_MAX];
	struct creel_call_event e;
	struct creel_call_head h;
	struct creel_err err = {0};
	char line[256] = "";

	if (!read_all(fd, head, sizeof(head)) || creel_call_head_decode(head, &h, &err) < 0 ||
	    !read_all(fd, body, h.len))
		return;
	autofile FILE *f = fopen(said, "re");
	if (f && fgets(line, sizeof(line), f))
		line[strcspn(line, "\n")] = '\0';
	autofile FILE *out = fopen(log, "ae");
	if (h.type == CREEL_CALL_EVENT && creel_call_event_decode(body, h.len, &e, &err) == 0) {
		fprintf(out, "event %s\n", e.kind);
		answer(fd, CREEL_CALL_OK, "");
	} else if (h.type == CREEL_CALL_GATE && creel_call_gate_decode(body, h.len, &g, &err) == 0) {
		fprintf(out, "gate");
		for (size_t i = 0; i < g.n_argv; i++)
			fprintf(out, "%c%s", i ? '|' : ' ', g.argv[i]);
		for (size_t i = 0; i < g.n_fixed; i++)
			fprintf(out, " {%s}", g.fixed[i]);
		if (g.stdin_len > 0)
			fprintf(out, " stdin=%ju:%02x%02x", (uintmax_t)g.stdin_len, g.stdin_hash[0],
				g.stdin_hash[1]);
		for (size_t i = 0; i < g.n_files; i++)
			fprintf(out, " file=%s:%ju:%02x%02x", g.file[i].name, (uintmax_t)g.file[i].len,
				g.file[i].hash[0], g.file[i].hash[1]);
		fprintf(out, "\n");
		(void)fflush(out);
		lines_tell(log);
		if (strncmp(line, "wait ", 5) == 0)
			while (access(line + 5, F_OK) != 0)
				(void)usleep(20000);
		if (strncmp(line, "deny", 4) == 0)
			answer(fd, CREEL_CALL_DENIED, line + 5);
		else if (strcmp(line, "ok") == 0 || strncmp(line, "wait ", 5) == 0)
			answer(fd, CREEL_CALL_OK, "approval 1");
		else
			(void)!read(fd, head, 1); /* until who asks is gone */
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (argc != 4 || strlen(argv[1]) >= sizeof(a.sun_path))
		return 2;
	strcpy(a.sun_path, argv[1]);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGCHLD, SIG_IGN);
	int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (l < 0 || bind(l, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(l, 64) < 0)
		return 1;
	for (;;) {
		int fd = accept(l, NULL, NULL);
		if (fd >= 0 && fork() == 0) {
			serve(fd, argv[2], argv[3]);
			_exit(0);
		}
		if (fd >= 0)
			close(fd);
	}
}
