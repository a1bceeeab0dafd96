#include "policy/policytext.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static const char *const modes[] = {"none", "listed", "ask", "open"};

void creel_policytext_fini(struct creel_policytext *t)
{
	if (!t)
		return;
	creel_policy_fini(&t->policy);
	free(t->allow);
	free(t->deny);
	free(t->reach);
	free(t->brokers);
	free(t->text);
	*t = (struct creel_policytext){0};
}

static int entries_write(const char *word, const struct creel_rule_text *v, size_t n, struct creel_buf *out,
			 struct creel_err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (strpbrk(v[i].s, " \t\r\n"))
			return creel_err_set(err, CREEL_E_INVALID, 0, "an entry with a blank");
		int r = creel_buf_addf(out, err, "%s %u %s\n", word, v[i].line, v[i].s);
		if (r < 0)
			return r;
	}
	return 0;
}

int creel_policytext_write(const struct creel_policy_spec *spec,
			   bool (*addr)(void *ctx, const char *cell, struct creel_net *ret), void *ctx,
			   struct creel_buf *out, struct creel_err *err)
{
	char text[INET6_ADDRSTRLEN];
	int r = creel_buf_addf(out, err, "mode %s %u\n", modes[spec->mode], spec->mode_line);

	if (r == 0 && spec->subnet.family == 4) {
		(void)inet_ntop(AF_INET, spec->subnet.addr, text, sizeof(text));
		r = creel_buf_addf(out, err, "subnet %s/%u\n", text, spec->subnet.bits);
	}
	if (r == 0)
		r = entries_write("allow", spec->allow, spec->n_allow, out, err);
	if (r == 0)
		r = entries_write("deny", spec->deny, spec->n_deny, out, err);
	for (size_t i = 0; r == 0 && i < spec->n_reach; i++) {
		struct creel_net a;
		size_t before = 0;
		while (before < i && strcmp(spec->reach[before].cell, spec->reach[i].cell) != 0)
			before++;
		if (before == i && addr(ctx, spec->reach[i].cell, &a)) {
			(void)inet_ntop(AF_INET, a.addr, text, sizeof(text));
			r = creel_buf_addf(out, err, "cell %s %s\n", spec->reach[i].cell, text);
		}
		if (r == 0)
			r = creel_buf_addf(out, err, "reach %u %s %u%s\n", spec->reach[i].line,
					   spec->reach[i].cell, spec->reach[i].port,
					   spec->reach[i].six ? " ipv6" : "");
	}
	for (size_t i = 0; r == 0 && spec->brokers && i < spec->brokers->n; i++)
		r = creel_broker_write(&spec->brokers->v[i], out, err);
	return r;
}

static int number(const char *w, unsigned long max, unsigned long *ret)
{
	char *end;

	if (!w || *w < '0' || *w > '9' || strlen(w) > 10)
		return -1;
	unsigned long v = strtoul(w, &end, 10);
	if (*end || v > max)
		return -1;
	*ret = v;
	return 0;
}

static int wrong(struct creel_err *err, const char *shape)
{
	return creel_err_set(err, CREEL_E_SYNTAX, 0, "not as in `%s`", shape);
}

static int mode_line(struct creel_policy_spec *s, char *rest, struct creel_err *err)
{
	const char *mode = strsep(&rest, " ");
	unsigned long line;

	if (number(rest, UINT32_MAX, &line) < 0)
		return wrong(err, "mode MODE LINE");
	s->mode_line = (uint32_t)line;
	for (unsigned m = 0; m < ELEMENTSOF(modes); m++)
		if (strcmp(mode, modes[m]) == 0) {
			s->mode = (enum creel_policy_mode)m;
			return 1;
		}
	return creel_err_set(err, CREEL_E_SYNTAX, 0, "no mode `%.20s`", mode);
}

static int cell_line(struct creel_policytext *t, char *rest, struct creel_err *err)
{
	const char *name = strsep(&rest, " ");
	size_t n = t->spec.n_cells;

	if (n == CREEL_POLICYTEXT_CELLS)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "more than %d cells", CREEL_POLICYTEXT_CELLS);
	if (!*name || strlen(name) > 39 /* a broker's: NAME.broker */ || !rest ||
	    creel_net_parse(rest, strlen(rest), &t->cell[n].addr, err) < 0 || t->cell[n].addr.family != 4 ||
	    t->cell[n].addr.bits != 32)
		return wrong(err, "cell NAME ADDRESS");
	t->names[n] = t->cell[n].name = name;
	t->spec.n_cells++;
	return 1;
}

/* @param rest  PORT [ipv6] */
static int reach_line(struct creel_policytext *t, uint32_t line, const char *cell, char *rest,
		      struct creel_err *err)
{
	const char *port = rest ? strsep(&rest, " ") : NULL;
	unsigned long v;

	if (number(port, 65535, &v) < 0 || v == 0 || (rest && strcmp(rest, "ipv6") != 0))
		return wrong(err, "reach LINE CELL PORT [ipv6]");
	t->reach[t->spec.n_reach++] = (struct creel_rule_reach){cell, (uint16_t)v, line, rest != NULL};
	return 1;
}

/* @return 1: it was one of ours, 0: of another word */
static int policy_line(struct creel_policytext *t, const char *word, char *rest, struct creel_err *err)
{
	struct creel_policy_spec *s = &t->spec;
	unsigned long line;

	if (strcmp(word, "mode") == 0)
		return mode_line(s, rest, err);
	if (strcmp(word, "cell") == 0)
		return cell_line(t, rest, err);
	if (strcmp(word, "subnet") == 0)
		return creel_net_parse(rest, strlen(rest), &s->subnet, err) < 0 ? err->code : 1;
	if (strncmp(word, "broker", 6) == 0) {
		if (!t->brokers && !(t->brokers = calloc(1, sizeof(*t->brokers))))
			return creel_err_nomem(err);
		return creel_broker_line(t->brokers, word, rest, err);
	}
	bool allow = strcmp(word, "allow") == 0, deny = strcmp(word, "deny") == 0;
	if (!allow && !deny && strcmp(word, "reach") != 0)
		return 0;
	const char *first = strsep(&rest, " "), *second = rest ? strsep(&rest, " ") : NULL;
	if (number(first, UINT32_MAX, &line) < 0 || !second || !*second)
		return wrong(err, "WORD LINE VALUE");
	if (!allow && !deny)
		return reach_line(t, (uint32_t)line, second, rest, err);
	if (rest)
		return wrong(err, "allow LINE ENTRY");
	struct creel_rule_text e = {second, (uint32_t)line, 1};
	if (allow)
		t->allow[s->n_allow++] = e;
	else
		t->deny[s->n_deny++] = e;
	return 1;
}

static int lines_read(struct creel_policytext *t,
		      int (*other)(void *ctx, const char *word, char *rest, struct creel_err *err), void *ctx,
		      struct creel_err *err)
{
	unsigned at = 0;

	for (char *save = t->text, *line; (line = strsep(&save, "\n")) != NULL;) {
		char *rest = line, *word = strsep(&rest, " ");
		int r = 0;
		at++;
		if (!*word)
			continue;
		if (!rest || !*rest)
			r = creel_err_set(err, CREEL_E_SYNTAX, 0, "`%.20s` without a value", word);
		if (r == 0)
			r = policy_line(t, word, rest, err);
		if (r == 0 && other)
			r = other(ctx, word, rest, err);
		if (r == 0)
			r = creel_err_set(err, CREEL_E_SYNTAX, 0, "unknown: `%.20s`", word);
		if (r < 0)
			return creel_err_add(err, "line %u", at);
	}
	return 0;
}

int creel_policytext_read(const char *text, size_t len,
			  int (*other)(void *ctx, const char *word, char *rest, struct creel_err *err),
			  void *ctx, struct creel_policytext *ret, struct creel_err *err)
{
	struct creel_policytext *t = ret;
	struct creel_rule_text bad = {0};
	size_t lines = 1;

	*t = (struct creel_policytext){0};
	if (len > CREEL_POLICYTEXT_MAX)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "a policy of %zu octets", len);
	if (memchr(text, '\0', len))
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "a NUL in a policy");
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	t->text = malloc(len + 1);
	t->allow = calloc(lines, sizeof(*t->allow));
	t->deny = calloc(lines, sizeof(*t->deny));
	t->reach = calloc(lines, sizeof(*t->reach));
	int r = t->text && t->allow && t->deny && t->reach ? 0 : creel_err_nomem(err);
	if (r == 0) {
		memcpy(t->text, text, len);
		t->text[len] = '\0';
		r = lines_read(t, other, ctx, err);
	}
	if (r >= 0) {
		t->spec.allow = t->allow;
		t->spec.deny = t->deny;
		t->spec.reach = t->reach;
		t->spec.cells = t->names;
		t->spec.brokers = t->brokers;
		r = creel_policy_init(&t->policy, &t->spec, &bad, err);
	}
	if (r < 0) {
		creel_policytext_fini(t);
		return creel_err_add(err, "policy");
	}
	return 0;
}
