#include "base/cleanup.h"
#include "image/proxy.h"
#include "tests/cmocka-all.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* The proxy of a build step, against registries played on loopback. */
struct world {
	int registry, other; /* listeners that play two registries: allowed, and of another port */
	uint16_t port, other_port, proxy_port;
	pid_t proxy;
	uint64_t *counter;
};

static int listener(uint16_t *ret_port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

static int setup(void **state)
{
	static struct world w;
	struct creel_proxy_host hosts[5] = {0};
	struct creel_err err = {0};
	char text[128];
	int fd = listener(&w.proxy_port);

	w.registry = listener(&w.port);
	w.other = listener(&w.other_port);
	w.counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	(void)snprintf(text, sizeof(text), "Plain.test:80=127.0.0.1:%u", w.port);
	assert_int_equal(creel_proxy_host_parse(text, &hosts[0], &err), 0);
	(void)snprintf(text, sizeof(text), "api.example.org:443/tls=127.0.0.1:1,127.0.0.1:%u", w.port);
	assert_int_equal(creel_proxy_host_parse(text, &hosts[1], &err), 0);
	assert_int_equal(creel_proxy_host_parse("away.test:443/tls=", &hosts[2], &err), 0);
	(void)snprintf(text, sizeof(text), "api.example.org:8443/tls/parent=127.0.0.1:%u", w.other_port);
	assert_int_equal(creel_proxy_host_parse(text, &hosts[3], &err), 0);
	(void)snprintf(text, sizeof(text), "far.test:80/parent=127.0.0.1:%u", w.other_port);
	assert_int_equal(creel_proxy_host_parse(text, &hosts[4], &err), 0);
	w.proxy = fork();
	if (w.proxy == 0) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(2);
		_exit(creel_proxy_serve(fd, hosts, 5, w.counter, &err) < 0);
	}
	close(fd);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	kill(w->proxy, SIGKILL);
	waitpid(w->proxy, NULL, 0);
	return 0;
}

static int client(const struct world *w)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons(w->proxy_port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static void put(int fd, const void *data, size_t len)
{
	assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Read until @p needle came or the other end closed. */
static const char *get(int fd, const char *needle)
{
	static char buf[8192];
	size_t at = 0;

	buf[0] = '\0';
	while (!needle || !strstr(buf, needle)) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (poll(&p, 1, 30000) != 1)
			fail_msg("nothing came in 30 s; so far: %s", buf);
		ssize_t n = read(fd, buf + at, sizeof(buf) - 1 - at);
		if (n <= 0)
			break;
		buf[at += (size_t)n] = '\0';
	}
	return buf;
}

static int taken(int listen_fd)
{
	struct pollfd p = {.fd = listen_fd, .events = POLLIN};

	if (poll(&p, 1, 30000) != 1)
		fail_msg("nobody connected");
	return accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
}

static bool nobody_comes(int listen_fd)
{
	return accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC) < 0 && errno == EAGAIN;
}

static const struct {
	const char *ask, *status;
} refused[] = {
	{"CONNECT evil.test:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 403"},
	{"CONNECT api.example.org:80 HTTP/1.1\r\n\r\n", "HTTP/1.1 403"}, /* its name, another port */
	{"CONNECT plain.test.evil.test:80 HTTP/1.1\r\n\r\n", "HTTP/1.1 403"},
	{"CONNECT 127.0.0.1:80 HTTP/1.1\r\n\r\n", "HTTP/1.1 403"},
	{"CONNECT away.test:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 502"}, /* does not resolve */
	{"CONNECT plain.test:80:80 HTTP/1.1\r\n\r\n", "HTTP/1.1 400"},
	{"CONNECT plain.test HTTP/1.1\r\n\r\n", "HTTP/1.1 400"},
	{"CONNECT  HTTP/1.1\r\n\r\n", "HTTP/1.1 400"},
	{"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n", "HTTP/1.1 403"},
	{"GET http://plain.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n",
	 "HTTP/1.1 400"}, /* which of the two? */
	{"GET http://plain.test:81/ HTTP/1.1\r\nHost: plain.test:81\r\n\r\n", "HTTP/1.1 403"},
	{"GET / HTTP/1.1\r\nHost: plain.test\r\n\r\n", "HTTP/1.1 400"},
	{"POST http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 1\r\n\r\nx",
	 "HTTP/1.1 403"},
	{"GET http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 403"},
	{"PUT http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\n\r\n", "HTTP/1.1 403"},
};

static void refuses(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
		autofd int fd = client(w);
		put(fd, refused[i].ask, strlen(refused[i].ask));
		const char *got = get(fd, NULL);
		if (strncmp(got, refused[i].status, strlen(refused[i].status)) != 0 ||
		    !nobody_comes(w->registry) || !nobody_comes(w->other))
			fail_msg("%s got: %s", refused[i].ask, got);
	}
}

static void plain(void **state)
{
	struct world *w = *state;
	static const char first[] = "GET http://plain.test/a HTTP/1.1\r\nHost: plain.test\r\n"
				    "Proxy-Authorization: mine\r\nX: y\r\n\r\n",
			  second[] = "GET http://plain.test/b HTTP/1.1\r\nHost: plain.test\r\n\r\n",
			  third[] = "GET http://evil.test/c HTTP/1.1\r\nHost: evil.test\r\n\r\n";
	autofd int fd = client(w);

	put(fd, first, sizeof(first) - 1);
	autofd int up = taken(w->registry);
	assert_string_equal(get(up, "\r\n\r\n"), "GET /a HTTP/1.1\r\nHost: plain.test\r\nX: y\r\n\r\n");
	*w->counter = 0;
	put(up, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 40);
	assert_non_null(strstr(get(fd, "hi"), "200 OK"));
	assert_int_equal(*w->counter, 40);
	put(fd, second, sizeof(second) - 1); /* the same connection, for the same host alone */
	assert_non_null(strstr(get(up, "\r\n\r\n"), "GET /b HTTP/1.1"));
	put(fd, third, sizeof(third) - 1);
	assert_string_equal(get(fd, NULL) + 9,
			    "403 Forbidden\r\nConnection: close\r\nContent-Type: text/plain\r\n"
			    "Content-Length: 59\r\n\r\n"
			    "creel: evil.test:80: is no registry of this build: refused\n");
}

static void hello_of(const char *name, uint8_t *buf, size_t size, size_t *ret)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", getenv("CREEL_TEST_DATA"), name);
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size);
	assert_true(n > 0);
	*ret = (size_t)n;
}

static void tunnel(void **state)
{
	static const char ask[] = "CONNECT API.example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n";
	struct world *w = *state;
	uint8_t hello[4096];
	char got[4096];
	size_t len = 0;
	autofd int fd = client(w);

	hello_of("hello-curl", hello, sizeof(hello), &len);
	put(fd, ask, sizeof(ask) - 1);
	autofd int up = taken(w->registry); /* its first address refuses, the second answers */
	assert_non_null(strstr(get(fd, "\r\n\r\n"), " 200 "));
	put(fd, hello, len / 2);
	put(fd, hello + len / 2, len - len / 2);
	assert_int_equal(recv(up, got, len, MSG_WAITALL), (ssize_t)len);
	assert_memory_equal(got, hello, len);
	put(up, "back", 4);
	assert_string_equal(get(fd, "back"), "back");
}

/* What begins otherwise than as TLS for this name reaches nobody. */
static void tunnel_of_others(void **state)
{
	static const char ask[] = "CONNECT api.example.org:443 HTTP/1.1\r\n\r\n";
	struct world *w = *state;
	uint8_t hello[4096];
	size_t len = 0;

	hello_of("hello-curl", hello, sizeof(hello), &len);
	uint8_t *name = memmem(hello, len, "api.example.org", 15);
	assert_non_null(name);
	memcpy(name, "api.exampla.org", 15);
	const struct {
		const void *p;
		size_t n;
	} tries[] = {{hello, len}, {"SSH-2.0-x\r\n", 11}, {"GET / HTTP/1.1\r\n\r\n", 18}};
	for (size_t i = 0; i < ELEMENTSOF(tries); i++) {
		autofd int fd = client(w);
		put(fd, ask, sizeof(ask) - 1);
		autofd int up = taken(w->registry);
		assert_non_null(strstr(get(fd, "\r\n\r\n"), " 200 "));
		put(fd, tries[i].p, tries[i].n);
		assert_string_equal(get(up, NULL), "");
		assert_string_equal(get(fd, NULL), "");
	}
}

/* Through the builder's own proxy, played by `other`. */
static void by_parent(void **state)
{
	static const char ask[] = "CONNECT api.example.org:8443 HTTP/1.1\r\n\r\n",
			  far[] = "GET http://far.test/a HTTP/1.1\r\nHost: far.test\r\n\r\n",
			  yes[] = "HTTP/1.1 200 yes\r\nX: y\r\n\r\n",
			  refusal[] = "HTTP/1.1 407 who are you\r\n\r\n";
	struct world *w = *state;
	uint8_t hello[4096];
	char got[4096];
	size_t len = 0;

	hello_of("hello-curl", hello, sizeof(hello), &len);
	{
		autofd int fd = client(w);
		put(fd, ask, sizeof(ask) - 1);
		autofd int up = taken(w->other);
		assert_string_equal(get(up, "\r\n\r\n"), "CONNECT api.example.org:8443 HTTP/1.1\r\n"
							 "Host: api.example.org:8443\r\n\r\n");
		put(up, yes, sizeof(yes) - 1);
		assert_non_null(strstr(get(fd, "\r\n\r\n"), " 200 "));
		put(fd, hello, len);
		assert_int_equal(recv(up, got, len, MSG_WAITALL), (ssize_t)len);
		assert_memory_equal(got, hello, len);
	}
	autofd int no = client(w);
	put(no, ask, sizeof(ask) - 1);
	autofd int refuses_us = taken(w->other);
	(void)get(refuses_us, "\r\n\r\n");
	put(refuses_us, refusal, sizeof(refusal) - 1);
	assert_non_null(strstr(get(no, NULL), "your proxy refuses it"));
	autofd int fd = client(w);
	put(fd, far, sizeof(far) - 1);
	autofd int up = taken(w->other);
	assert_string_equal(get(up, "\r\n\r\n"), far);
}

static void texts(void **state)
{
	static const char many[] = "a:1=1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,"
				   "1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,1.1.1.1:1";
	static const char *const bad[] = {"",         "a",
					  "a:1",      "a:0=",
					  "a:70000=", ":1=",
					  "a:1/x=",   "a:1=1.2.3.4.5:1",
					  "a:1=::",   "a b:1=1.1.1.1:1",
					  many};
	struct creel_proxy_host h;
	struct creel_err err = {0};
	char text[256];

	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		if (creel_proxy_host_parse(bad[i], &h, &err) == 0)
			fail_msg("'%s' was taken", bad[i]);
	assert_int_equal(creel_proxy_host_parse("A.test:443/tls/parent=1.2.3.4:5,[::1]:6", &h, &err), 0);
	assert_int_equal(creel_proxy_host_print(&h, text, sizeof(text), &err), 0);
	assert_string_equal(text, "a.test:443/tls/parent=1.2.3.4:5,[::1]:6");
	assert_int_equal(creel_proxy_host_print(&h, text, 20, &err), CREEL_E_TOOBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),  cmocka_unit_test(refuses),          cmocka_unit_test(plain),
		cmocka_unit_test(tunnel), cmocka_unit_test(tunnel_of_others), cmocka_unit_test(by_parent),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
