#include "keep.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>

/*
 * What intercepting needs: a CA of this start that may speak for the declared names alone, as a server (RFC
 * 5280, 4.2.1.10: a kind of name that is not constrained is free, so addresses are ruled out), and one
 * certificate of it with all of them. The CA's key signs once and is gone with this process, before the
 * cell's guest begins: nobody can make another.
 */
enum { DAYS = 3650 };
#define NO_ADDRESSES  "excluded;IP:0.0.0.0/0.0.0.0,excluded;IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0"
#define autossl(type) __attribute__((cleanup(type##_fini))) type
#define FINI(type)                        \
	static void type##_fini(type **p) \
	{                                 \
		type##_free(*p);          \
	}
FINI(X509)
FINI(EVP_PKEY)
static void bio_fini(BIO **b)
{
	BIO_free_all(*b);
}

static int ssl_err(struct creel_err *err, const char *what)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	return creel_err_set(err, CREEL_E_UNSUPP, 0, "%s: %s", what, why ? why : "OpenSSL");
}

static bool extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool done = e && X509_add_ext(cert, e, -1) == 1;
	X509_EXTENSION_free(e);
	return done;
}

/* `BEFOREhost`, apart by commas, for each name that is intercepted. @return how many */
static size_t list(const struct creel_brokers *b, const char *first, const char *each, char *buf, size_t size)
{
	size_t n = (size_t)snprintf(buf, size, "%s", first), hosts = 0;

	for (size_t i = 0; i < b->n && n < size; i++)
		if (b->v[i].intercept)
			n += (size_t)snprintf(buf + n, size - n, "%s%s%s", hosts++ || *first ? "," : "", each,
					      b->v[i].host);
	return n < size ? hosts : 0;
}

static X509 *begun(EVP_PKEY *key, const char *name)
{
	unsigned char raw[16];
	X509 *c = X509_new();
	BIGNUM *serial = NULL;
	bool ok = c && RAND_bytes(raw, sizeof(raw)) == 1;

	raw[0] &= 0x7f; /* a serial number is positive */
	ok = ok && (serial = BN_bin2bn(raw, sizeof(raw), NULL)) &&
	     BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(c)) && X509_set_version(c, 2) == 1 &&
	     X509_gmtime_adj(X509_getm_notBefore(c), -86400) &&
	     X509_time_adj_ex(X509_getm_notAfter(c), DAYS, 0, NULL) && X509_set_pubkey(c, key) == 1 &&
	     X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC,
					(const unsigned char *)name, -1, -1, 0) == 1;
	BN_free(serial);
	if (!ok) {
		X509_free(c);
		return NULL;
	}
	return c;
}

static int put(int fd, BIO *b, struct creel_err *err)
{
	char *p;
	long n = BIO_get_mem_data(b, &p);

	return n > 0 && write(fd, p, (size_t)n) == n
		       ? 0
		       : creel_err_set(err, CREEL_E_OS, 0, "write a certificate");
}

int ca_make(const struct creel_brokers *b, int ca_fd, int identity_fd, struct creel_err *err)
{
	char hosts[CREEL_BROKERS * 300], only[CREEL_BROKERS * 300];
	autossl(EVP_PKEY) *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	autossl(X509) *ca = ca_key ? begun(ca_key, "creel: this cell's broker, this start") : NULL;
	autossl(X509) *leaf = key ? begun(key, "creel broker") : NULL;
	__attribute__((cleanup(bio_fini))) BIO *out = BIO_new(BIO_s_mem());
	__attribute__((cleanup(bio_fini))) BIO *own = BIO_new(BIO_s_secmem());

	if (list(b, "", "DNS:", hosts, sizeof(hosts)) == 0 ||
	    list(b, "critical," NO_ADDRESSES, "permitted;DNS:", only, sizeof(only)) == 0)
		return creel_err_set(err, CREEL_E_INVALID, 0, "no name is intercepted");
	if (!ca || !leaf || !out || !own || X509_set_issuer_name(ca, X509_get_subject_name(ca)) != 1 ||
	    !extend(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
	    !extend(ca, ca, NID_key_usage, "critical,keyCertSign") ||
	    !extend(ca, ca, NID_ext_key_usage, "serverAuth") || !extend(ca, ca, NID_name_constraints, only) ||
	    !extend(ca, ca, NID_subject_key_identifier, "hash") || X509_sign(ca, ca_key, EVP_sha256()) <= 0)
		return ssl_err(err, "make a CA");
	if (X509_set_issuer_name(leaf, X509_get_subject_name(ca)) != 1 ||
	    !extend(leaf, ca, NID_basic_constraints, "critical,CA:FALSE") ||
	    !extend(leaf, ca, NID_key_usage, "critical,digitalSignature") ||
	    !extend(leaf, ca, NID_ext_key_usage, "serverAuth") ||
	    !extend(leaf, ca, NID_subject_alt_name, hosts) ||
	    !extend(leaf, ca, NID_authority_key_identifier, "keyid") ||
	    X509_sign(leaf, ca_key, EVP_sha256()) <= 0)
		return ssl_err(err, "make a certificate");
	/* the first line is the name that OpenSSL looks for in a folder of CAs; no reader of PEM minds it */
	if (BIO_printf(out, "%08lx\n", X509_subject_name_hash(ca)) <= 0 || PEM_write_bio_X509(out, ca) != 1 ||
	    PEM_write_bio_PrivateKey(own, key, NULL, NULL, 0, NULL, NULL) != 1 ||
	    PEM_write_bio_X509(own, leaf) != 1)
		return ssl_err(err, "write a certificate");
	int r = put(ca_fd, out, err);
	return r < 0 ? r : put(identity_fd, own, err);
}
