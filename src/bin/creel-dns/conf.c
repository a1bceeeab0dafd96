#include "dns.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * One `WORD VALUE...` a line, written by the monitor:
 *   udp FD, tcp FD, pins FD, events FD      sockets that creel-dns inherits
 *   mode MODE LINE; allow|deny LINE ENTRY; reach LINE CELL PORT
 *   cell NAME ADDR; subnet CIDR; host ADDR; ipv6 yes
 *   upstream ADDR[@PORT] (up to 8) or `recursive yes`; anchor FILE (the DNSSEC root key)
 */
#define CONF_MAX (4 << 20)

void dns_conf_fini(struct dns_conf *c)
{
	creel_policy_fini(&c->policy);
	free(c->allow);
	free(c->deny);
	free(c->reach);
	free(c->text);
}

struct reading {
	struct dns_conf *c;
	struct creel_policy_spec spec;
};

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

static int net_add(const char *w, struct creel_net *ret, struct creel_err *err)
{
	return w ? creel_net_parse(w, strlen(w), ret, err)
		 : creel_err_set(err, CREEL_E_SYNTAX, 0, "no address");
}

static int fd_read(const char *word, const char *value, struct dns_conf *c)
{
	static const char *const words[] = {"udp", "tcp", "pins", "events"};
	int *const slots[] = {&c->udp, &c->tcp, &c->pins, &c->events};
	long v;

	for (size_t i = 0; i < ELEMENTSOF(words); i++)
		if (strcmp(word, words[i]) == 0) {
			if (number(value, 1023, &v) < 0)
				return -1;
			*slots[i] = (int)v;
			return 1;
		}
	return 0;
}

static int policy_line(struct reading *r, const char *word, char *rest, struct creel_err *err)
{
	static const char *const modes[] = {"none", "listed", "ask", "open"};
	char *first = strsep(&rest, " "), *second = rest ? strsep(&rest, " ") : NULL;
	long line, port;

	if (strcmp(word, "mode") == 0) {
		if (number(second, UINT32_MAX, &line) < 0)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "mode MODE LINE");
		r->spec.mode_line = (uint32_t)line;
		for (unsigned m = 0; m < 4; m++)
			if (strcmp(first, modes[m]) == 0) {
				r->spec.mode = (enum creel_policy_mode)m;
				return 1;
			}
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "no mode `%.20s`", first);
	}
	bool allow = strcmp(word, "allow") == 0, deny = strcmp(word, "deny") == 0;
	if (!allow && !deny && strcmp(word, "reach") != 0)
		return 0;
	if (number(first, UINT32_MAX, &line) < 0 || !second)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "%s LINE ...", word);
	if (!allow && !deny) {
		if (number(rest, 65535, &port) < 0)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "reach LINE CELL PORT");
		r->c->reach[r->spec.n_reach++] =
			(struct creel_rule_reach){second, (uint16_t)port, (uint32_t)line};
		return 1;
	}
	struct creel_rule_text t = {second, (uint32_t)line, 1};
	if (allow)
		r->c->allow[r->spec.n_allow++] = t;
	else
		r->c->deny[r->spec.n_deny++] = t;
	return 1;
}

static int line_read(struct reading *r, char *line, struct creel_err *err)
{
	struct dns_conf *c = r->c;
	char *rest = line, *word = strsep(&rest, " ");
	int done;

	if (!*word)
		return 0;
	if (!rest)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "`%.20s` without a value", word);
	done = fd_read(word, rest, c);
	if (done != 0)
		return done > 0 ? 0 : creel_err_set(err, CREEL_E_SYNTAX, 0, "%s FD", word);
	if (strcmp(word, "ipv6") == 0)
		c->ipv6 = strcmp(rest, "yes") == 0;
	else if (strcmp(word, "recursive") == 0)
		c->recursive = strcmp(rest, "yes") == 0;
	else if (strcmp(word, "anchor") == 0)
		c->anchor = rest;
	else if (strcmp(word, "upstream") == 0 && c->n_upstream < ELEMENTSOF(c->upstream))
		c->upstream[c->n_upstream++] = rest;
	else if (strcmp(word, "subnet") == 0)
		return net_add(rest, &r->spec.subnet, err);
	else if (strcmp(word, "host") == 0 && c->n_host < ELEMENTSOF(c->host))
		return net_add(rest, &c->host[c->n_host++], err);
	else if (strcmp(word, "cell") == 0 && c->n_cell < ELEMENTSOF(c->cell)) {
		c->cell_names[c->n_cell] = c->cell[c->n_cell].name = strsep(&rest, " ");
		return net_add(rest, &c->cell[c->n_cell++].addr, err);
	} else {
		done = policy_line(r, word, rest, err);
		if (done == 0)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "unknown or too many: `%.20s`", word);
		return done < 0 ? done : 0;
	}
	return 0;
}

int dns_conf_read(int fd, struct dns_conf *ret, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	struct dns_conf c = {.udp = -1, .tcp = -1, .pins = -1, .events = -1};
	struct reading r = {.c = &c};
	struct creel_rule_text bad = {0};
	size_t lines = 1;
	ssize_t n;
	int e = 0;

	creel_buf_init(&text, CONF_MAX);
	do {
		e = creel_buf_reserve(&text, 65536, err);
		if (e < 0)
			return e;
		n = read(fd, text.data + text.len, 65536);
		if (n < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "read");
		text.len += (size_t)n;
		text.data[text.len] = '\0';
	} while (n > 0);
	for (size_t i = 0; i < text.len; i++)
		lines += text.data[i] == '\n';
	c.text = creel_buf_steal(&text);
	c.allow = calloc(lines, sizeof(*c.allow));
	c.deny = calloc(lines, sizeof(*c.deny));
	c.reach = calloc(lines, sizeof(*c.reach));
	if (!c.text || !c.allow || !c.deny || !c.reach)
		e = creel_err_nomem(err);
	unsigned at = 0;
	for (char *save = c.text, *line; e >= 0 && (line = strsep(&save, "\n")) != NULL;) {
		at++;
		e = line_read(&r, line, err);
		if (e < 0)
			e = creel_err_add(err, "line %u", at);
	}
	r.spec.allow = c.allow;
	r.spec.deny = c.deny;
	r.spec.reach = c.reach;
	r.spec.cells = c.cell_names;
	r.spec.n_cells = c.n_cell;
	if (e >= 0 && (c.udp < 0 || c.pins < 0))
		e = creel_err_set(err, CREEL_E_SYNTAX, 0, "udp and pins are needed");
	if (e >= 0)
		e = creel_policy_init(&c.policy, &r.spec, &bad, err);
	if (e < 0) {
		dns_conf_fini(&c);
		return e;
	}
	*ret = c;
	/* the policy points into what moved along with it */
	ret->policy.spec.cells = ret->cell_names;
	return 0;
}
