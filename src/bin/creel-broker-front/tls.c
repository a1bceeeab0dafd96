#include "front.h"
#include "linux/fd.h"
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

/*
 * The guest's TLS to a name that is intercepted, by this start's certificate. Which name, the hello says;
 * the certificate has no other, and the request's Host has to be it.
 */
static void host_refuse(struct conn *c, const char *name)
{
	c->told = (struct creel_brokerev){.told = CREEL_BROKER_DENIED, .reason = CREEL_BROKER_HOST};
	(void)snprintf(c->told.host, sizeof(c->told.host), "%.253s", name ? name : "");
	(void)broker_tell(c->f->events, &c->told);
}

static int named(SSL *ssl, int *alert, void *arg)
{
	struct conn *c = SSL_get_app_data(ssl);
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	char lower[256] = "";

	for (size_t i = 0; name && name[i] && i < sizeof(lower) - 1; i++)
		lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
	c->by = creel_broker_intercepts(c->f->pt->brokers, lower);
	if (c->by)
		return SSL_TLSEXT_ERR_OK;
	host_refuse(c, name);
	*alert = SSL_AD_UNRECOGNIZED_NAME;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int protocol(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in,
		    unsigned len, void *arg)
{
	static const unsigned char own[] = "\x08http/1.1";

	return SSL_select_next_proto((unsigned char **)(uintptr_t)out, n, own, sizeof(own) - 1, in, len) ==
			       OPENSSL_NPN_NEGOTIATED
		       ? SSL_TLSEXT_ERR_OK
		       : SSL_TLSEXT_ERR_ALERT_FATAL;
}

int tls_start(struct front *f, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;

	creel_buf_init(&text, 65536);
	int r = creel_fd_read(f->identity, &text, err);
	if (r < 0)
		return r;
	BIO *in = BIO_new_mem_buf(text.data, (int)text.len);
	EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, NULL, NULL) : NULL;
	X509 *cert = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
	f->tls = SSL_CTX_new(TLS_server_method());
	bool ok = f->tls && key && cert && SSL_CTX_set_min_proto_version(f->tls, TLS1_2_VERSION) == 1 &&
		  SSL_CTX_use_certificate(f->tls, cert) == 1 && SSL_CTX_use_PrivateKey(f->tls, key) == 1;
	EVP_PKEY_free(key);
	X509_free(cert);
	BIO_free(in);
	if (!ok)
		return creel_err_set(err, CREEL_E_INVALID, 0, "no key and certificate to intercept with");
	(void)SSL_CTX_set_options(f->tls, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
	(void)SSL_CTX_set_session_cache_mode(f->tls, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_tlsext_servername_callback(f->tls, named);
	SSL_CTX_set_alpn_select_cb(f->tls, protocol, NULL);
	return 0;
}

struct bufferevent *tls_conn(struct conn *c, int fd)
{
	SSL *ssl = SSL_new(c->f->tls);

	if (!ssl)
		return NULL;
	SSL_set_app_data(ssl, c);
	/* where it fails it has freed ssl, and left the socket */
	return bufferevent_openssl_socket_new(c->f->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
					      BEV_OPT_CLOSE_ON_FREE);
}

void tls_forget(void)
{
	ERR_clear_error();
}

void tls_end(struct conn *c)
{
	(void)SSL_shutdown(bufferevent_openssl_get_ssl(c->guest));
	ERR_clear_error();
}
