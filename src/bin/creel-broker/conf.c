#include "base/escape.h"
#include "keep.h"
#include "linux/fd.h"
#include <errno.h>
#include <openssl/pem.h>
#include <sodium.h>
#include <string.h>

/*
 * One `WORD VALUE` a line, written by the monitor: the policy's own (policy/policytext.h), and
 *   front FD, monitor FD, events FD    sockets that creel-broker inherits
 *   roots FD                           the system's CAs, PEM
 *   credential NAME FD                 a secret's file; its value ends before a last newline
 */
struct creds {
	struct keeper *k;
	struct {
		const char *name;
		int fd;
	} v[CREEL_BROKERS];
	size_t n;
};

static int line(void *ctx, const char *word, char *rest, struct creel_err *err)
{
	struct creds *c = ctx;
	static const char *const words[] = {"front", "monitor", "events", "roots"};
	int *const slots[] = {&c->k->front, &c->k->monitor, &c->k->events, &c->k->roots};

	for (size_t i = 0; i < ELEMENTSOF(words); i++)
		if (strcmp(word, words[i]) == 0)
			return (*slots[i] = creel_fd_number(rest)) < 0
				       ? creel_err_set(err, CREEL_E_SYNTAX, 0, "%s FD", word)
				       : 1;
	if (strcmp(word, "credential") != 0 || c->n == CREEL_BROKERS)
		return 0;
	c->v[c->n].name = strsep(&rest, " ");
	c->v[c->n].fd = creel_fd_number(rest);
	return c->v[c->n++].fd < 0 ? creel_err_set(err, CREEL_E_SYNTAX, 0, "credential NAME FD") : 1;
}

static void locked_free(char **p, size_t cap)
{
	if (*p) {
		(void)sodium_munlock(*p, cap);
		free(*p);
	}
	*p = NULL;
}

static char *locked(size_t n)
{
	char *p = malloc(n);

	if (p)
		(void)sodium_mlock(p,
				   n); /* over RLIMIT_MEMLOCK: still wiped, and this process leaves no core */
	return p;
}

static void host_forget(struct host *h)
{
	for (size_t i = 0; i < h->needles.n; i++)
		locked_free(&h->needles.v[i].p, h->needles.v[i].n);
	locked_free(&h->value, h->cap_value);
	h->needles.n = h->needles.longest = h->n_value = 0;
}

static int needle(struct host *h, const char *p, size_t n, struct creel_err *err)
{
	if (n < KEEP_NEEDLE_MIN)
		return 0;
	char *copy = locked(n);
	if (!copy)
		return creel_err_nomem(err);
	memcpy(copy, p, n);
	h->needles.v[h->needles.n].p = copy;
	h->needles.v[h->needles.n++].n = n;
	h->needles.longest = MAX(h->needles.longest, n);
	return 0;
}

/* What is put in, and all that a response may not hold. */
static int host_learn(struct host *h, const char *p, size_t n, struct creel_err *err)
{
	const struct creel_broker *b = h->b;
	size_t prefix = strlen(b->prefix), cap = 3 * (prefix + n) + 64;

	host_forget(h);
	h->value = locked(cap);
	h->cap_value = cap;
	if (!h->value)
		return creel_err_nomem(err);
	if (b->auth == CREEL_BROKER_QUERY) {
		h->n_value = creel_escape_uri(p, n, "", h->value, cap);
	} else if (b->auth == CREEL_BROKER_BASIC) {
		char *pair = locked(prefix + n + 1);
		if (!pair)
			return creel_err_nomem(err);
		memcpy(pair, b->prefix, prefix);
		pair[prefix] = ':';
		memcpy(pair + prefix + 1, p, n);
		memcpy(h->value, "Basic ", 6);
		(void)sodium_bin2base64(h->value + 6, cap - 6, (const unsigned char *)pair, prefix + n + 1,
					sodium_base64_VARIANT_ORIGINAL);
		h->n_value = strlen(h->value);
		locked_free(&pair, prefix + n + 1);
	} else {
		memcpy(h->value, b->prefix, prefix);
		memcpy(h->value + prefix, p, n);
		h->n_value = prefix + n;
	}
	int r = needle(h, p, n, err);
	if (r == 0 && b->auth == CREEL_BROKER_BASIC)
		r = needle(h, h->value + 6, h->n_value - 6, err);
	if (r == 0 && b->auth == CREEL_BROKER_QUERY && h->n_value != n)
		r = needle(h, h->value, h->n_value, err);
	return r;
}

int keep_secret(struct keeper *k, const char *name, int fd, struct creel_err *err)
{
	char *p = locked(KEEP_SECRET_MAX);
	ssize_t n = p ? pread(fd, p, KEEP_SECRET_MAX, 0) : -1;
	int r = n < 0 ? creel_err_set(err, CREEL_E_OS, errno, "read a credential") : 0;

	while (n > 0 && p[n - 1] == '\n')
		n--;
	for (ssize_t i = 0; r == 0 && i < n; i++)
		if ((unsigned char)p[i] < 0x20 || (unsigned char)p[i] >= 0x7f)
			r = creel_err_set(err, CREEL_E_INVALID, 0, "credential '%s' is not of visible ASCII",
					  name);
	if (r == 0 && n == 0)
		r = creel_err_set(err, CREEL_E_INVALID, 0, "credential '%s' is empty", name);
	for (size_t i = 0; r == 0 && i < k->n_hosts; i++)
		if (strcmp(k->hosts[i].b->secret, name) == 0)
			r = host_learn(&k->hosts[i], p, (size_t)n, err);
	locked_free(&p, KEEP_SECRET_MAX);
	return r;
}

static int roots_load(const struct keeper *k, X509_STORE *store)
{
	BIO *in = k->roots < 0 ? NULL : BIO_new_fd(dup(k->roots), BIO_CLOSE);
	X509 *cert;
	int n = 0;

	if (!in || lseek(k->roots, 0, SEEK_SET) < 0)
		return 0;
	while ((cert = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL) {
		n += X509_STORE_add_cert(store, cert) == 1;
		X509_free(cert);
	}
	BIO_free(in);
	return n;
}

static int own_load(const char *text, X509_STORE *store)
{
	unsigned char der[16384];
	size_t n = 0;

	if (sodium_base642bin(der, sizeof(der), text, strlen(text), NULL, &n, NULL,
			      sodium_base64_VARIANT_ORIGINAL) < 0)
		return 0;
	const unsigned char *p = der;
	X509 *cert = d2i_X509(NULL, &p, (long)n);
	int r = cert && X509_STORE_add_cert(store, cert) == 1;
	X509_free(cert);
	return r;
}

static int tls_make(const struct keeper *k, struct host *h, struct creel_err *err)
{
	static const unsigned char alpn[] = "\x08http/1.1";

	h->tls = SSL_CTX_new(TLS_client_method());
	if (!h->tls || SSL_CTX_set_min_proto_version(h->tls, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_alpn_protos(h->tls, alpn, sizeof(alpn) - 1) != 0)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "OpenSSL does not start");
	X509_STORE *store = SSL_CTX_get_cert_store(h->tls);
	if ((h->b->ca ? own_load(h->b->ca, store) : roots_load(k, store)) == 0)
		return creel_err_set(err, CREEL_E_INVALID, 0, "broker %s: no CA's certificate", h->b->name);
	/* a record in two reads, its head and the rest, is most of what a stream of small ones costs */
	SSL_CTX_set_read_ahead(h->tls, 1);
	SSL_CTX_set_default_read_buffer_len(h->tls, BROKER_FILL);
	SSL_CTX_set_verify(h->tls, SSL_VERIFY_PEER, NULL);
	return 0;
}

int keep_conf(struct keeper *k, int fd, struct creel_err *err)
{
	struct creds creds = {.k = k};
	int r = broker_conf_read(fd, line, &creds, &k->pt, err);

	if (r == 0 && (k->front < 0 || k->monitor < 0 || k->events < 0))
		r = creel_err_set(err, CREEL_E_SYNTAX, 0, "front, monitor and events are needed");
	for (size_t i = 0; r == 0 && i < k->pt->brokers->n; i++) {
		struct host *h = &k->hosts[k->n_hosts++];
		*h = (struct host){.b = &k->pt->brokers->v[i], .filled_ms = broker_now()};
		h->tokens = h->b->rate;
		r = tls_make(k, h, err);
	}
	for (size_t i = 0; r == 0 && i < creds.n; i++) {
		r = keep_secret(k, creds.v[i].name, creds.v[i].fd, err);
		close(creds.v[i].fd);
	}
	return r;
}

void keep_conf_fini(struct keeper *k)
{
	for (size_t i = 0; i < k->n_hosts; i++) {
		host_forget(&k->hosts[i]);
		SSL_CTX_free(k->hosts[i].tls);
	}
	creel_policytext_fini(k->pt);
	free(k->pt);
}
