#include "base/cleanup.h"
#include "image/build.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>

/* scheme://host[:port]/... into its parts; a user's name or password in it is refused */
static int url_split(const char *url, bool *ret_tls, char *ret_host, size_t size, uint16_t *ret_port,
		     struct creel_err *err)
{
	bool tls = strncasecmp(url, "https://", 8) == 0;
	const char *p = tls ? url + 8 : strncasecmp(url, "http://", 7) == 0 ? url + 7 : NULL;
	size_t n = p ? strcspn(p, ":/?#") : 0;
	unsigned long port = tls ? 443 : 80;

	if (!p || n == 0 || n >= size)
		return creel_err_set(err, CREEL_E_INVALID, 0, "'%.80s' is no http:// or https:// address",
				     url);
	if (memchr(p, '@', strcspn(p, "/?#")))
		return creel_err_set(err, CREEL_E_UNSUPP, 0,
				     "a registry or proxy with a password in its address");
	if (p[n] == ':')
		port = strtoul(p + n + 1, NULL, 10);
	if (port == 0 || port > 65535)
		return creel_err_set(err, CREEL_E_INVALID, 0, "'%.80s': port", url);
	for (size_t i = 0; i < n; i++)
		ret_host[i] = (char)tolower((unsigned char)p[i]);
	ret_host[n] = '\0';
	*ret_tls = tls;
	*ret_port = (uint16_t)port;
	return 0;
}

static void resolve(struct creel_proxy_host *h, const char *name, uint16_t port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *list = NULL;
	char service[8];

	(void)snprintf(service, sizeof(service), "%u", port);
	/* one that does not resolve stays without addresses: the proxy says so to whom asks for it */
	if (getaddrinfo(name, service, &hints, &list) != 0)
		return;
	for (const struct addrinfo *a = list; a && h->n_addrs < CREEL_PROXY_ADDRS; a = a->ai_next) {
		if (a->ai_addrlen > sizeof(h->addrs[0].addr))
			continue;
		memcpy(&h->addrs[h->n_addrs].addr, a->ai_addr, a->ai_addrlen);
		h->addrs[h->n_addrs++].len = a->ai_addrlen;
	}
	freeaddrinfo(list);
}

static bool proxy_excepts(const char *name)
{
	const char *list = getenv("no_proxy") ? getenv("no_proxy") : getenv("NO_PROXY");
	size_t len = strlen(name);

	for (const char *p = list; p && *p;) {
		size_t n = strcspn(p, ", ");
		const char *w = *p == '.' && n > 1 ? p + 1 : p;
		size_t wn = n - (size_t)(w - p);
		if (wn == 1 && *w == '*')
			return true;
		if (wn > 0 && wn <= len && strncasecmp(name + len - wn, w, wn) == 0 &&
		    (wn == len || name[len - wn - 1] == '.'))
			return true;
		p += n + (p[n] != '\0');
	}
	return false;
}

/* The builder's own proxy for such an address, or NULL. */
static const char *parent_of(const struct creel_proxy_host *h)
{
	static const char *const tls[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL},
				 *const plain[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};

	if (proxy_excepts(h->name))
		return NULL;
	for (const char *const *n = h->tls ? tls : plain; *n; n++)
		if (getenv(*n) && getenv(*n)[0])
			return getenv(*n);
	return NULL;
}

int registries_add(struct registries *r, const char *url, const char *proxy, struct creel_err *err)
{
	struct creel_proxy_host h = {0};
	int rc = url_split(url, &h.tls, h.name, sizeof(h.name), &h.port, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].port == h.port && strcmp(r->v[i].name, h.name) == 0)
			return 0;
	if (r->n == CREEL_PROXY_HOSTS)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "over %d registries", CREEL_PROXY_HOSTS);
	const char *parent = proxy && proxy[0] ? proxy : parent_of(&h);
	if (parent) {
		char name[256];
		uint16_t port = 0;
		bool tls = false;
		if ((rc = url_split(parent, &tls, name, sizeof(name), &port, err)) < 0 || tls)
			return rc < 0 ? creel_err_add(err, "your proxy")
				      : creel_err_set(err, CREEL_E_UNSUPP, 0,
						      "your proxy: it must be http://");
		h.parent = true;
		resolve(&h, name, port);
	} else {
		resolve(&h, h.name, h.port);
	}
	r->v[r->n++] = h;
	return 0;
}

int registries_ask(const char *const *argv, struct creel_buf *out, struct creel_err *err)
{
	posix_spawn_file_actions_t files;
	pid_t pid = 0;
	int pipe_fd[2], ws = 0, r = 0;
	uint8_t buf[16384];
	ssize_t n;

	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make a pipe");
	autofd int from = pipe_fd[0], to = pipe_fd[1];
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, to, 1);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addchdir_np(&files, "/");
	int e = posix_spawnp(&pid, argv[0], &files, NULL, (char **)argv, environ);
	posix_spawn_file_actions_destroy(&files);
	close(steal_fd(&to));
	if (e != 0)
		return creel_err_set(err, CREEL_E_NOTFOUND, e, "run %s", argv[0]);
	while ((n = read(from, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno != EINTR)
			break;
		if (n > 0 && r == 0)
			r = creel_buf_add(out, buf, (size_t)n, err);
	}
	while (waitpid(pid, &ws, 0) < 0 && errno == EINTR)
		;
	if (r == 0 && ws != 0)
		r = creel_err_set(err, CREEL_E_CHILD, 0, "%s %s failed", argv[0], argv[1] ? argv[1] : "");
	return r;
}
