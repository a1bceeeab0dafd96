/*
 * page URL WANT SECONDS [PNG]: opens URL in headless Chromium, waits until the page's text (shadow
 * trees included) has WANT, prints the text, takes a picture. Exit 0 when WANT came, 1 when not.
 *
 * The browser is spoken to by its DevTools protocol over two pipes (--remote-debugging-pipe: fd 3
 * in, fd 4 out, JSON ended by NUL), so no port opens and nobody else can join.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int to_browser, from_browser;
static pid_t browser;
static char home[] = "/tmp/page-XXXXXX";

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

__attribute__((noreturn)) static void quit(int status)
{
	if (browser > 0) {
		kill(-browser, SIGKILL);
		waitpid(browser, NULL, 0);
	}
	/* helpers of the browser may still write there for a moment */
	for (int i = 0; i < 50; i++) {
		pid_t rm = fork();
		int ws = 1;
		if (rm == 0) {
			execlp("rm", "rm", "-rf", "--", home, (char *)NULL);
			_exit(127);
		}
		waitpid(rm, &ws, 0);
		if (ws == 0)
			break;
		nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	}
	exit(status);
}

__attribute__((noreturn)) static void die(const char *what)
{
	(void)fprintf(stderr, "page: %s\n", what);
	quit(2);
}

static void start(void)
{
	int in[2], out[2];
	char dir[64];

	if (!mkdtemp(home) || pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		die(strerror(errno));
	(void)snprintf(dir, sizeof(dir), "--user-data-dir=%s", home);
	browser = fork();
	if (browser == 0) {
		setpgid(0, 0);
		int null = open("/dev/null", O_RDWR);
		/* out of the way of 3 and 4, which may be the pipes' own numbers */
		int r = fcntl(in[0], F_DUPFD, 20), w = fcntl(out[1], F_DUPFD, 20);
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		dup2(r, 3);
		dup2(w, 4);
		setenv("HOME", home, 1);
		execlp("chromium", "chromium", "--headless=new", "--no-sandbox", "--disable-gpu",
		       "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		       "--disable-component-update", "--disable-sync", "--window-size=1280,800",
		       "--remote-debugging-pipe", dir, "about:blank", (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	to_browser = in[1];
	from_browser = out[0];
}

/* The next message, or NULL when @p until has come. */
static json_t *next(double until)
{
	static char *buf;
	static size_t len, size;

	for (;;) {
		char *end = len ? memchr(buf, '\0', len) : NULL;
		if (end) {
			size_t used = (size_t)(end - buf) + 1;
			json_t *j = json_loadb(buf, used - 1, 0, NULL);
			memmove(buf, buf + used, len - used);
			len -= used;
			if (j)
				return j;
			continue;
		}
		struct pollfd p = {.fd = from_browser, .events = POLLIN};
		double left = until - now();
		if (left <= 0 || poll(&p, 1, (int)(left * 1000) + 1) <= 0)
			return NULL;
		if (len + 65536 > size) {
			size = (len + 65536) * 2;
			buf = realloc(buf, size);
			if (!buf)
				die("out of memory");
		}
		ssize_t n = read(from_browser, buf + len, 65536);
		if (n <= 0)
			die("the browser ended");
		len += (size_t)n;
	}
}

/* Calls @p method; its result (to be released), NULL on an error or after @p seconds. */
static json_t *call(const char *session, const char *method, json_t *params, double seconds)
{
	static int id;
	double until = now() + seconds;
	json_t *j = json_pack("{s:i,s:s,s:o}", "id", ++id, "method", method, "params", params);

	if (session)
		json_object_set_new(j, "sessionId", json_string(session));
	char *text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	for (size_t off = 0, n = strlen(text) + 1; off < n;) {
		ssize_t w = write(to_browser, text + off, n - off);
		if (w < 0)
			die("the browser does not listen");
		off += (size_t)w;
	}
	free(text);
	while ((j = next(until))) {
		if (json_integer_value(json_object_get(j, "id")) == id) {
			json_t *r = json_incref(json_object_get(j, "result"));
			json_decref(j);
			return r;
		}
		json_decref(j);
	}
	return NULL;
}

static void decode(const char *s, FILE *f)
{
	static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned acc = 0, bits = 0;

	for (const char *p; *s && (p = strchr(abc, *s)); s++) {
		acc = acc << 6 | (unsigned)(p - abc);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			(void)fputc((int)(acc >> bits & 255), f);
		}
	}
}

static const char text_of_page[] = "(function t(n){let s='';for(const c of n.childNodes){"
				   "if(c.nodeType===3)s+=c.data+' ';"
				   "else if(c.nodeType===1&&!/^(SCRIPT|STYLE)$/.test(c.tagName)){"
				   "if(c.tagName==='INPUT')s+='['+(c.placeholder||c.type)+'] ';"
				   "if(c.shadowRoot)s+=t(c.shadowRoot);s+=t(c)}}return s})(document)"
				   ".replace(/\\s+/g,' ')";

int main(int argc, char **argv)
{
	bool found = false;
	char *text = NULL;

	if (argc < 4) {
		(void)fprintf(stderr, "usage: page URL WANT SECONDS [PNG]\n");
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	start();
	json_t *r = call(NULL, "Target.createTarget", json_pack("{s:s}", "url", "about:blank"), 60);
	const char *target = json_string_value(json_object_get(r, "targetId"));
	if (!target)
		die("no page");
	json_t *a = call(NULL, "Target.attachToTarget",
			 json_pack("{s:s,s:b}", "targetId", target, "flatten", 1), 60);
	const char *session = json_string_value(json_object_get(a, "sessionId"));
	if (!session)
		die("no session with the page");
	json_decref(call(session, "Page.enable", json_object(), 10));
	double until = now() + atof(argv[3]);
	json_decref(call(session, "Page.navigate", json_pack("{s:s}", "url", argv[1]), atof(argv[3])));
	while (!found && now() < until) {
		json_t *e = call(session, "Runtime.evaluate",
				 json_pack("{s:s,s:b}", "expression", text_of_page, "returnByValue", 1), 20);
		json_t *v = json_object_get(json_object_get(e, "result"), "value");
		if (json_is_string(v)) {
			free(text);
			text = strdup(json_string_value(v));
			found = text && strstr(text, argv[2]);
		}
		json_decref(e);
		nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
	}
	printf("%s\n", text ? text : "");
	if (argc > 4) {
		nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
		json_t *s = call(session, "Page.captureScreenshot", json_pack("{s:s}", "format", "png"), 60);
		const char *png = json_string_value(json_object_get(s, "data"));
		FILE *f = png ? fopen(argv[4], "we") : NULL;
		if (!f)
			die("no picture");
		decode(png, f);
		if (fclose(f) != 0)
			die("no picture");
		json_decref(s);
	}
	free(text);
	json_decref(a);
	json_decref(r);
	quit(found ? 0 : 1);
}
