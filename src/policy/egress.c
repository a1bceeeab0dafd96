#include "policy/egress.h"
#include "base/cleanup.h"
#include "policy/broker.h"
#include <string.h>

struct creel_rule {
	struct creel_entry entry;
	const struct creel_rule_text *text;
	bool deny;
};

static const char *const mode_rules[] = {"mode: none", "mode: listed", "mode: ask", "mode: open"};
/* RFC 6761, 7686, 9476 and ours: the public DNS has nothing to say of them */
static const char *const special[] = {"creel", "invalid", "local", "localhost", "onion", "alt"};

const char *creel_decision_name(enum creel_decision d)
{
	return d == CREEL_ALLOW ? "allow" : d == CREEL_ASK ? "ask" : "deny";
}

/* Named rules first, by name; then as in the file, so that the first line that matches is told. */
static int by_name(const void *a, const void *b)
{
	const struct creel_rule *x = a, *y = b;
	int named = (x->entry.net.family != 0) - (y->entry.net.family != 0);
	int c = named ? named : strcmp(x->entry.name.text, y->entry.name.text);

	if (c != 0)
		return c;
	if (x->text->line != y->text->line)
		return x->text->line < y->text->line ? -1 : 1;
	return (x->text->column > y->text->column) - (x->text->column < y->text->column);
}

int creel_policy_init(struct creel_policy *p, const struct creel_policy_spec *spec,
		      struct creel_rule_text *ret_bad, struct creel_err *err)
{
	size_t n = spec->n_allow + spec->n_deny, named = 0;
	autofree struct creel_rule *rules = calloc(n ? n : 1, sizeof(*rules));

	if (!rules)
		return creel_err_nomem(err);
	for (size_t i = 0; i < n; i++) {
		bool deny = i >= spec->n_allow;
		const struct creel_rule_text *t = deny ? &spec->deny[i - spec->n_allow] : &spec->allow[i];
		int r = creel_entry_parse(t->s, deny, &rules[i].entry, err);
		if (r < 0) {
			*ret_bad = *t;
			return r;
		}
		rules[i].text = t;
		rules[i].deny = deny;
		named += rules[i].entry.net.family == 0;
	}
	qsort(rules, n, sizeof(*rules), by_name);
	*p = (struct creel_policy){.spec = *spec, .rules = steal_ptr(&rules), .n_rules = n, .n_named = named};
	return 0;
}

void creel_policy_fini(struct creel_policy *p)
{
	if (!p)
		return;
	free(p->rules);
	*p = (struct creel_policy){0};
}

static bool way_fits(enum creel_way way, bool udp)
{
	return way == CREEL_WAY_ANY || udp == (way == CREEL_WAY_UDP);
}

/* Would the rule have a say on this port? A question without a port asks for the name alone. */
static bool port_fits(const struct creel_rule *r, const struct creel_question *q)
{
	if (q->port == 0)
		return !r->deny || (r->entry.port == 0 && r->entry.way == CREEL_WAY_ANY);
	return (r->entry.port == 0 || r->entry.port == q->port) && way_fits(r->entry.way, q->udp);
}

struct found {
	const struct creel_rule *deny, *allow;
	bool name_allowed; /* on some other port */
};

static void consider(struct found *f, const struct creel_rule *r, const struct creel_question *q)
{
	const struct creel_rule **slot = r->deny ? &f->deny : &f->allow;

	if (!port_fits(r, q)) {
		f->name_allowed = f->name_allowed || (!r->deny && r->entry.net.family == 0);
		return;
	}
	if (!*slot || r->text->line < (*slot)->text->line ||
	    (r->text->line == (*slot)->text->line && r->text->column < (*slot)->text->column))
		*slot = r;
}

/* The first named rule of exactly this name; n_named when none. */
static size_t first_of(const struct creel_policy *p, const char *name)
{
	size_t lo = 0, hi = p->n_named;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (strcmp(p->rules[mid].entry.name.text, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void find_name(const struct creel_policy *p, const struct creel_question *q, struct found *f)
{
	for (const char *at = q->name; at; at = strchr(at, '.')) {
		at += *at == '.';
		for (size_t i = first_of(p, at);
		     i < p->n_named && strcmp(p->rules[i].entry.name.text, at) == 0; i++)
			if (p->rules[i].entry.subdomains == (at != q->name))
				consider(f, &p->rules[i], q);
	}
}

/* An address that a name resolved to is opened by the name's entry, yet closed by a deny CIDR. */
static void find_addr(const struct creel_policy *p, const struct creel_question *q, enum creel_range range,
		      struct found *f)
{
	bool by_name = q->name && q->name[0];

	for (size_t i = p->n_named; i < p->n_rules; i++) {
		const struct creel_rule *r = &p->rules[i];
		if (!creel_net_has(&r->entry.net, &q->addr))
			continue;
		/* a wide entry (0.0.0.0/0) does not open a private range; one inside it does */
		if (!r->deny && range == CREEL_RANGE_PRIVATE && !creel_range_private(&r->entry.net))
			continue;
		if (r->deny || !by_name || q->port)
			consider(f, r, q);
	}
}

/* A name whose port 443 is its broker's. */
static bool broker_decide(const struct creel_policy *p, const struct creel_question *q,
			  struct creel_answer *ret)
{
	const struct creel_broker *b = creel_broker_intercepts(p->spec.brokers, q->name);

	if (!b)
		return false;
	*ret = q->port == 0 || (q->port == 443 && !q->udp)
		       ? (struct creel_answer){CREEL_ALLOW, CREEL_WHY_REACH, CREEL_WAY_TCP, b->name, b->line}
		       : (struct creel_answer){CREEL_DENY, CREEL_WHY_CELL, CREEL_WAY_ANY,
					       "intercept: port 443 alone", b->line};
	return true;
}

static bool cell_decide(const struct creel_policy *p, const struct creel_question *q,
			struct creel_answer *ret)
{
	size_t len = strlen(q->name);

	if (len <= 6 || strcmp(q->name + len - 6, ".creel") != 0)
		return false;
	for (size_t i = 0; i < p->spec.n_cells; i++) {
		const char *cell = p->spec.cells[i];
		if (strlen(cell) != len - 6 || memcmp(cell, q->name, len - 6) != 0)
			continue;
		*ret = (struct creel_answer){CREEL_DENY, CREEL_WHY_CELL, CREEL_WAY_ANY,
					     "reach: no such cell and port", p->spec.mode_line};
		for (size_t j = 0; j < p->spec.n_reach; j++) {
			const struct creel_rule_reach *r = &p->spec.reach[j];
			if (strcmp(r->cell, cell) != 0)
				continue;
			if (q->port != 0 && (q->port != r->port || q->udp)) {
				ret->line = r->line;
				continue;
			}
			*ret = (struct creel_answer){CREEL_ALLOW, CREEL_WHY_REACH, CREEL_WAY_TCP, r->cell,
						     r->line};
			return true;
		}
		return true;
	}
	return false;
}

static bool is_special(const char *name)
{
	for (size_t i = 0; i < ELEMENTSOF(special); i++)
		if (strcmp(name, special[i]) == 0 || creel_name_below(name, special[i]))
			return true;
	return strchr(name, '.') == NULL; /* a top-level name alone is nobody's host */
}

static struct creel_answer of_rule(const struct creel_rule *r)
{
	return (struct creel_answer){
		.decision = r->deny ? CREEL_DENY : CREEL_ALLOW,
		.why = r->deny ? CREEL_WHY_ENTRY_DENY : CREEL_WHY_ENTRY_ALLOW,
		.way = r->entry.way,
		.rule = r->text->s,
		.line = r->text->line,
	};
}

static struct creel_answer of_mode(const struct creel_policy *p, enum creel_why why, const char *rule)
{
	bool by_mode = why == CREEL_WHY_MODE;
	enum creel_decision d = !by_mode                          ? CREEL_DENY
				: p->spec.mode == CREEL_MODE_OPEN ? CREEL_ALLOW
				: p->spec.mode == CREEL_MODE_ASK  ? CREEL_ASK
								  : CREEL_DENY;

	return (struct creel_answer){d, why, CREEL_WAY_ANY, rule ? rule : mode_rules[p->spec.mode],
				     p->spec.mode_line};
}

void creel_policy_decide(const struct creel_policy *p, const struct creel_question *q,
			 struct creel_answer *ret)
{
	bool named = q->name && q->name[0];
	enum creel_range range = CREEL_RANGE_PUBLIC;
	const char *range_text = NULL;
	struct found f = {0};

	if (named && (broker_decide(p, q, ret) || cell_decide(p, q, ret)))
		return;
	if (q->addr.family) {
		range = creel_range_of(&q->addr, &range_text);
		find_addr(p, q, range, &f);
	}
	if (named)
		find_name(p, q, &f);
	if (f.deny) {
		*ret = of_rule(f.deny);
	} else if (p->spec.mode == CREEL_MODE_NONE) {
		*ret = of_mode(p, CREEL_WHY_MODE, NULL);
	} else if (q->addr.family && p->spec.subnet.family && creel_net_has(&p->spec.subnet, &q->addr)) {
		*ret = of_mode(p, CREEL_WHY_RANGE, "the cells' own network: ask for CELL.creel:PORT");
	} else if (range == CREEL_RANGE_NEVER) {
		*ret = of_mode(p, CREEL_WHY_RANGE, range_text);
	} else if (range == CREEL_RANGE_PRIVATE && !(f.allow && f.allow->entry.net.family)) {
		*ret = of_mode(p, CREEL_WHY_RANGE, range_text); /* a name never opens it: rebinding */
	} else if (f.allow) {
		*ret = of_rule(f.allow);
	} else if (named && is_special(q->name)) {
		*ret = of_mode(p, CREEL_WHY_SPECIAL, "a name that the public DNS does not have");
	} else if (p->spec.mode == CREEL_MODE_OPEN) {
		*ret = of_mode(p, CREEL_WHY_MODE, NULL);
	} else if (!named) {
		*ret = of_mode(p, CREEL_WHY_ADDRESS, mode_rules[p->spec.mode]);
	} else if (f.name_allowed) {
		*ret = of_mode(p, CREEL_WHY_PORT, mode_rules[p->spec.mode]);
	} else {
		*ret = of_mode(p, CREEL_WHY_MODE, NULL);
	}
}

bool creel_policy_net_at(const struct creel_policy *p, size_t i, struct creel_entry *ret_entry,
			 bool *ret_deny)
{
	if (i >= p->n_rules - p->n_named)
		return false;
	*ret_entry = p->rules[p->n_named + i].entry;
	*ret_deny = p->rules[p->n_named + i].deny;
	return true;
}

static void opening_add(const struct creel_policy *p, const char *name, struct creel_opening o, bool granted,
			struct creel_opening *ret, size_t *n, size_t max)
{
	struct creel_question q = {.name = name, .port = o.port, .udp = o.udp};
	struct creel_answer a;

	for (size_t i = 0; i < *n; i++)
		if (ret[i].port == o.port && ret[i].udp == o.udp)
			return;
	creel_policy_decide(p, &q, &a);
	if (*n < max && (a.decision == CREEL_ALLOW || (granted && a.decision == CREEL_ASK)))
		ret[(*n)++] = o;
}

size_t creel_policy_openings(const struct creel_policy *p, const char *name, bool granted,
			     struct creel_opening *ret, size_t max)
{
	size_t n = 0;

	for (const char *at = name; at; at = strchr(at, '.')) {
		at += *at == '.';
		for (size_t i = first_of(p, at);
		     i < p->n_named && strcmp(p->rules[i].entry.name.text, at) == 0; i++) {
			const struct creel_entry *e = &p->rules[i].entry;
			if (!p->rules[i].deny && e->subdomains == (at != name))
				opening_add(p, name,
					    (struct creel_opening){e->port, e->way == CREEL_WAY_UDP, e->way},
					    false, ret, &n, max);
		}
	}
	if (granted) {
		opening_add(p, name, (struct creel_opening){443, false, CREEL_WAY_TLS}, true, ret, &n, max);
		opening_add(p, name, (struct creel_opening){80, false, CREEL_WAY_HTTP}, true, ret, &n, max);
	}
	return n;
}
