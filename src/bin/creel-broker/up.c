#include "keep.h"
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>

/* Connections to hosts: TLS, to one of the addresses that the front resolved, never without its proof. */
static void ended(struct bufferevent *bev, short what, void *ctx);

/* One record, or what is left of it. @return as SSL_read_ex() */
static int record_read(SSL *ssl, char *to, size_t size, size_t *done, size_t *used)
{
	size_t got = 0;

	/* over the turn's share only what OpenSSL holds already is taken, and no more asked of the socket */
	if (*done >= BROKER_FILL)
		SSL_set_read_ahead(ssl, 0);
	int r = SSL_read_ex(ssl, to, size, &got);
	*done += got;
	*used += got;
	return r;
}

/*
 * What there is beside what the bufferevent read, which is two records a turn at most; until OpenSSL holds
 * none, since nothing would tell of it.
 * @return 0, or what ended it
 */
static short fill(struct bufferevent *bev)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	SSL *ssl = bufferevent_openssl_get_ssl(bev);
	struct evbuffer_iovec v;
	size_t n = 0;
	int r = 1;

	while (r > 0 && (n < BROKER_FILL || SSL_has_pending(ssl))) {
		size_t used = 0;
		if (evbuffer_reserve_space(in, BROKER_FILL, &v, 1) != 1)
			break;
		ERR_clear_error();
		while (r > 0 && used < v.iov_len && (n < BROKER_FILL || SSL_has_pending(ssl)))
			r = record_read(ssl, (char *)v.iov_base + used, v.iov_len - used, &n, &used);
		v.iov_len = used;
		(void)evbuffer_commit_space(in, &v, 1);
	}
	SSL_set_read_ahead(ssl, 1);
	int why = r > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl, r);
	ERR_clear_error();
	return why == SSL_ERROR_NONE || why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0
	       : why == SSL_ERROR_ZERO_RETURN ? BEV_EVENT_READING | BEV_EVENT_EOF
					      : BEV_EVENT_READING | BEV_EVENT_ERROR;
}

static void readable(struct bufferevent *bev, void *ctx)
{
	struct up *u = ctx;
	bool gone = false;

	if (!u->chan) {
		up_free(u); /* an idle host has nothing to say */
		return;
	}
	short end = fill(bev);
	u->gone = &gone;
	chan_answer(u->chan);
	if (gone)
		return;
	u->gone = NULL;
	if (end)
		ended(bev, end, u);
}

static void writable(struct bufferevent *bev, void *ctx)
{
	struct up *u = ctx;

	if (u->chan && u->chan->h && !(bufferevent_get_enabled(u->chan->bev) & EV_READ)) {
		(void)bufferevent_enable(u->chan->bev, EV_READ);
		chan_take(u->chan);
	}
}

static void ended(struct bufferevent *bev, short what, void *ctx)
{
	struct up *u = ctx;
	SSL *ssl = bufferevent_openssl_get_ssl(bev);

	if (what & BEV_EVENT_CONNECTED) {
		u->connected = true;
		if (SSL_get_verify_result(ssl) == X509_V_OK)
			return;
	}
	if (!u->chan) {
		up_free(u);
		return;
	}
	bool proven = SSL_get_verify_result(ssl) == X509_V_OK;
	/* an end that TLS did not say may be a third party's */
	enum creel_broker_reason why = !proven                ? CREEL_BROKER_TLS
				       : !u->connected        ? CREEL_BROKER_CONNECT
				       : what & BEV_EVENT_EOF ? CREEL_BROKER_OK
							      : CREEL_BROKER_CLOSED;
	chan_host_gone(u->chan, why);
}

static int dial(const uint8_t addr[16], uint16_t port)
{
	static const int on = 1;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	autofd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(&to.sin_addr, addr + 12, 4);
	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS))
		return -1;
	return steal_fd(&fd);
}

static struct up *up_new(struct chan *c)
{
	struct up *u = calloc(1, sizeof(*u));
	SSL *ssl = u ? SSL_new(c->h->tls) : NULL;
	int fd = -1;

	while (ssl && fd < 0 && c->next_addr < c->n_addrs)
		fd = dial(c->addr[c->next_addr++], c->h->b->port);
	if (fd < 0 || SSL_set_tlsext_host_name(ssl, c->h->b->host) != 1 ||
	    SSL_set1_host(ssl, c->h->b->host) != 1) {
		if (fd >= 0)
			close(fd);
		SSL_free(ssl);
		free(u);
		return NULL;
	}
	SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	u->bev = bufferevent_openssl_socket_new(c->k->base, fd, ssl, BUFFEREVENT_SSL_CONNECTING,
						BEV_OPT_CLOSE_ON_FREE);
	if (!u->bev) { /* libevent has freed ssl, and left the socket */
		close(fd);
		free(u);
		return NULL;
	}
	bufferevent_openssl_set_allow_dirty_shutdown(u->bev, 0);
	bufferevent_setcb(u->bev, readable, writable, ended, u);
	bufferevent_setwatermark(u->bev, EV_READ, 0, BROKER_QUEUE);
	bufferevent_setwatermark(u->bev, EV_WRITE, BROKER_QUEUE / 4, 0);
	(void)bufferevent_enable(u->bev, EV_READ | EV_WRITE);
	u->k = c->k;
	u->h = c->h;
	TAILQ_INSERT_TAIL(&c->k->ups, u, entry);
	return u;
}

enum creel_broker_reason up_get(struct chan *c)
{
	struct up *u;

	TAILQ_FOREACH(u, &c->k->ups, entry)
	if (!u->chan && u->h == c->h)
		break;
	if (u) {
		u->h->n_idle--;
		u->reused = true;
	} else {
		u = up_new(c);
	}
	if (!u)
		return CREEL_BROKER_CONNECT;
	u->chan = c;
	c->up = u;
	return CREEL_BROKER_OK;
}

void up_idle(struct up *u)
{
	u->chan->up = NULL;
	u->chan = NULL;
	u->idle_ms = broker_now();
	u->h->n_idle++;
	(void)bufferevent_enable(u->bev, EV_READ);
	if (u->h->n_idle > KEEP_IDLE_MAX)
		up_free(u);
}

void up_free(struct up *u)
{
	if (u->chan)
		u->chan->up = NULL;
	else
		u->h->n_idle--;
	if (u->gone)
		*u->gone = true;
	TAILQ_REMOVE(&u->k->ups, u, entry);
	SSL *ssl = bufferevent_openssl_get_ssl(u->bev);
	SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN);
	(void)SSL_shutdown(ssl);
	bufferevent_free(u->bev);
	free(u);
	ERR_clear_error();
}

void up_sweep(struct keeper *k)
{
	int64_t now = broker_now();
	struct up *next;

	for (struct up *u = TAILQ_FIRST(&k->ups); u; u = next) {
		next = TAILQ_NEXT(u, entry);
		if (!u->chan && now - u->idle_ms > KEEP_IDLE_S * 1000)
			up_free(u);
	}
}
