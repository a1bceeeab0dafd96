#include "dns.h"
#include "linux/fd.h"
#include "linux/memfd.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * One `WORD VALUE...` a line, written by the monitor: the policy's own (policy/policytext.h), and
 *   udp FD, tcp FD, pins FD, events FD      sockets that creel-dns inherits; of udp and tcp up to two
 *   host ADDR[/BITS]; ipv6 yes; rate N     queries a second instead of DNS_RATE; 0: as many as come
 *   ula NET/48                              the cells' IPv6: one that is reached has it with its IPv4 address
 *   upstream ADDR[@PORT] (up to 8) or `recursive yes`;
 *   anchor RECORD (up to 16): DS or DNSKEY of the root; none: DNSSEC is not looked at
 */
static void policy_free(struct creel_policytext *t)
{
	if (t)
		creel_policytext_fini(t);
	free(t);
}

void dns_conf_fini(struct dns_conf *c)
{
	if (c->pt != c->first)
		policy_free(c->pt);
	policy_free(c->first);
	c->pt = c->first = NULL;
}

int dns_conf_policy(struct dns_conf *c, int fd, struct creel_err *err)
{
	struct creel_policytext *t = calloc(1, sizeof(*t));
	struct creel_buf autoclean(creel_buf_fini) text;

	creel_buf_init(&text, CREEL_POLICYTEXT_MAX);
	int r = t ? creel_memfd_read_sealed(fd, &text, err) : creel_err_nomem(err);
	if (r == 0)
		r = creel_policytext_read((const char *)text.data, text.len, NULL, NULL, t, err);
	if (r < 0) {
		free(t);
		return r;
	}
	if (c->pt != c->first)
		policy_free(c->pt);
	c->pt = t;
	return 0;
}

static int number(const char *w, long max, long *ret)
{
	char *end;

	if (!w || *w < '0' || *w > '9')
		return -1;
	long v = strtol(w, &end, 10);
	if (*end || v > max)
		return -1;
	*ret = v;
	return 0;
}

static int fd_read(const char *word, const char *value, struct dns_conf *c)
{
	const struct {
		const char *word;
		int *fd;
		size_t n;
	} slots[] = {
		{"udp", c->udp, 2}, {"tcp", c->tcp, 2}, {"pins", &c->pins, 1}, {"events", &c->events, 1}};

	for (size_t i = 0; i < ELEMENTSOF(slots); i++) {
		size_t k = 0;
		if (strcmp(word, slots[i].word) != 0)
			continue;
		while (k < slots[i].n && slots[i].fd[k] >= 0)
			k++;
		return k == slots[i].n || (slots[i].fd[k] = creel_fd_number(value)) < 0 ? -1 : 1;
	}
	return 0;
}

static int ula_read(const char *text, struct creel_net *ret, struct creel_err *err)
{
	struct creel_net net;
	int r = creel_net_parse(text, strlen(text), &net, err);

	if (r == 0 && (net.family != 6 || net.bits != 48))
		r = creel_err_set(err, CREEL_E_SYNTAX, 0, "ula NET/48");
	if (r == 0)
		*ret = net;
	return r < 0 ? r : 1;
}

static int line_read(void *ctx, const char *word, char *rest, struct creel_err *err)
{
	struct dns_conf *c = ctx;
	int done = fd_read(word, rest, c);

	if (done < 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "%s FD", word);
	if (done > 0)
		return 1;
	long n;

	if (strcmp(word, "rate") == 0) {
		if (number(rest, 1000000, &n) < 0)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "rate N");
		c->rate = n;
	} else if (strcmp(word, "ipv6") == 0)
		c->ipv6 = strcmp(rest, "yes") == 0;
	else if (strcmp(word, "ula") == 0)
		return ula_read(rest, &c->ula, err);
	else if (strcmp(word, "recursive") == 0)
		c->recursive = strcmp(rest, "yes") == 0;
	else if (strcmp(word, "anchor") == 0 && c->n_anchor < ELEMENTSOF(c->anchor))
		c->anchor[c->n_anchor++] = rest;
	else if (strcmp(word, "upstream") == 0 && c->n_upstream < ELEMENTSOF(c->upstream))
		c->upstream[c->n_upstream++] = rest;
	else if (strcmp(word, "host") == 0 && c->n_host < ELEMENTSOF(c->host))
		return creel_net_parse(rest, strlen(rest), &c->host[c->n_host++], err) < 0 ? err->code : 1;
	else
		return 0;
	return 1;
}

int dns_conf_read(int fd, struct dns_conf *ret, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;

	*ret = (struct dns_conf){
		.udp = {-1, -1}, .tcp = {-1, -1}, .pins = -1, .events = -1, .rate = DNS_RATE};
	creel_buf_init(&text, CREEL_POLICYTEXT_MAX);
	int r = creel_fd_read(fd, &text, err);
	if (r < 0)
		return r;
	ret->first = calloc(1, sizeof(*ret->first));
	if (!ret->first)
		return creel_err_nomem(err);
	r = creel_policytext_read((const char *)text.data, text.len, line_read, ret, ret->first, err);
	if (r == 0 && (ret->udp[0] < 0 || ret->pins < 0))
		r = creel_err_set(err, CREEL_E_SYNTAX, 0, "udp and pins are needed");
	ret->pt = ret->first;
	return r;
}

static int host_read(void *ctx, const char *word, char *rest, struct creel_err *err)
{
	struct dns_conf *c = ctx;

	if (strcmp(word, "host") != 0 || c->n_host == ELEMENTSOF(c->host))
		return 0;
	return creel_net_parse(rest, strlen(rest), &c->host[c->n_host++], err) < 0 ? err->code : 1;
}

int dns_conf_hosts(struct dns_conf *c, int fd, struct creel_err *err)
{
	struct creel_policytext autoclean(creel_policytext_fini) none = {0};
	struct creel_buf autoclean(creel_buf_fini) text;

	creel_buf_init(&text, 65536);
	int r = creel_memfd_read_sealed(fd, &text, err);
	c->n_host = 0;
	return r < 0 ? r : creel_policytext_read((const char *)text.data, text.len, host_read, c, &none, err);
}
