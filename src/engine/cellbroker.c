#include "engine/cellbroker.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

struct to {
	const struct creel_config *config;
	struct creel_diags *diags;
	bool bad;
};

__attribute__((format(printf, 3, 4))) static void wrong(struct to *to, struct creel_pos at, const char *fmt,
							...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	creel_diag_add(to->diags, CREEL_DIAG_ERROR, to->config->file, at, "%s", text);
	to->bad = true;
}

/* A host is compared with what a guest and a certificate say: in lower case. */
static bool lower(const char *s)
{
	for (; *s; s++)
		if (isupper((unsigned char)*s))
			return false;
	return true;
}

static void lists(struct to *to, const struct creel_broker_cfg *c, struct creel_broker *b)
{
	static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

	for (size_t i = 0; i < c->methods.n; i++) {
		const struct creel_str *m = &c->methods.v[i];
		size_t k = 0;
		while (k < ELEMENTSOF(known) && strcmp(m->s, known[k]) != 0)
			k++;
		if (k == ELEMENTSOF(known))
			wrong(to, m->pos,
			      "`%.30s` is no method that passes; GET, HEAD, POST, PUT, PATCH, DELETE and "
			      "OPTIONS do",
			      m->s);
		else if (b->n_methods == CREEL_BROKER_METHODS)
			wrong(to, m->pos, "a broker has %d methods at most", CREEL_BROKER_METHODS);
		else
			b->methods[b->n_methods++] = m->s;
	}
	for (size_t i = 0; i < c->paths.n; i++) {
		const struct creel_str *p = &c->paths.v[i];
		if (!creel_broker_pattern_ok(p->s) || strchr(p->s, ' '))
			wrong(to, p->pos,
			      "`%.80s` is no path of a request; `*` is any octets of a segment, a last segment `**` "
			      "all that is below",
			      p->s);
		else if (b->n_paths == CREEL_BROKER_PATHS)
			wrong(to, p->pos, "a broker has %d paths at most", CREEL_BROKER_PATHS);
		else
			b->paths[b->n_paths++] = p->s;
	}
}

/* Which keys go with which `auth`. */
static void carrier(struct to *to, const struct creel_broker_cfg *c, struct creel_broker *b)
{
	const struct {
		const struct creel_str *key;
		const char *name;
		enum creel_broker_way of;
	} keys[] = {{&c->header, "header", CREEL_BROKER_WAY_HEADER},
		    {&c->prefix, "prefix", CREEL_BROKER_WAY_HEADER},
		    {&c->user, "user", CREEL_BROKER_WAY_BASIC},
		    {&c->parameter, "parameter", CREEL_BROKER_WAY_QUERY}};
	static const char *const ways[] = {"bearer", "header", "basic", "query"};

	for (size_t i = 0; i < ELEMENTSOF(keys); i++)
		if (keys[i].key->s && keys[i].of != (enum creel_broker_way)c->auth.v)
			wrong(to, keys[i].key->pos, "`%s` goes with `auth: %s`", keys[i].name,
			      ways[keys[i].of]);
	b->auth = c->auth.v == CREEL_BROKER_WAY_BASIC   ? CREEL_BROKER_BASIC
		  : c->auth.v == CREEL_BROKER_WAY_QUERY ? CREEL_BROKER_QUERY
							: CREEL_BROKER_HEADER;
	b->carrier = "Authorization";
	b->prefix = c->auth.v == CREEL_BROKER_WAY_BEARER ? "Bearer " : "";
	if (c->auth.v == CREEL_BROKER_WAY_HEADER) {
		if (!c->header.s)
			wrong(to, c->name.pos, "`auth: header` wants `header: NAME`");
		b->carrier = c->header.s ? c->header.s : "Authorization";
		b->prefix = c->prefix.s ? c->prefix.s : "";
		static const char *const not [] = {"host",         "connection", "content-length",
						   "content-type", "upgrade",    "transfer-encoding",
						   "expect",       "trailer",    "te"};
		for (size_t i = 0; i < ELEMENTSOF(not ); i++)
			if (strcasecmp(b->carrier, not [i]) == 0)
				wrong(to, c->header.pos, "`%s` cannot carry a credential", b->carrier);
	}
	if (c->auth.v == CREEL_BROKER_WAY_BASIC)
		b->prefix = c->user.s ? c->user.s : "";
	if (c->auth.v == CREEL_BROKER_WAY_BASIC && strchr(b->prefix, ':'))
		wrong(to, c->user.pos, "a user of basic authentication has no `:`");
	if (c->auth.v == CREEL_BROKER_WAY_QUERY) {
		if (!c->parameter.s)
			wrong(to, c->name.pos, "`auth: query` wants `parameter: NAME`");
		b->carrier = c->parameter.s ? c->parameter.s : "key";
	}
	for (const char *p = b->prefix; *p; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e) {
			wrong(to, c->prefix.s ? c->prefix.pos : c->user.pos,
			      "visible ASCII and blanks alone");
			break;
		}
}

static void secret(struct to *to, const struct creel_cell_cfg *cell, const struct creel_broker_cfg *c)
{
	for (size_t i = 0; i < cell->secrets.n; i++) {
		const struct creel_secret_cfg *s = &cell->secrets.v[i];
		if (strcmp(s->name.s, c->secret.s) == 0 && (s->generate.v || s->pair.s))
			wrong(to, c->secret.pos, "the secret `%.40s` is made by creel: no host knows it",
			      c->secret.s);
	}
}

/* What a cell says to a name on port 443 goes to one broker. */
static void intercepts(struct to *to, const struct creel_broker_cfg *c, const struct creel_brokers *all)
{
	const struct creel_broker *b = &all->v[all->n - 1];

	if (b->intercept && b->port != 443)
		wrong(to, c->port.pos, "`intercept` is of port 443");
	for (size_t i = 0; b->intercept && i + 1 < all->n; i++)
		if (all->v[i].intercept && strcmp(all->v[i].host, b->host) == 0)
			wrong(to, c->intercept.pos, "%s is the broker %s's already", b->host, all->v[i].name);
}

int creel_cellbroker_init(struct creel_brokers *ret, const struct creel_config *config,
			  const struct creel_cell_cfg *cell, struct creel_diags *diags, struct creel_err *err)
{
	struct to to = {.config = config, .diags = diags};

	*ret = (struct creel_brokers){.n = 0};
	for (size_t i = 0; i < cell->broker.n; i++) {
		const struct creel_broker_cfg *c = &cell->broker.v[i];
		/* what is missing was told */
		if (!c->host.s || !c->secret.s || !c->name.s)
			continue;
		if (ret->n == CREEL_BROKERS) {
			wrong(&to, c->name.pos, "a cell has %d brokers at most", CREEL_BROKERS);
			break;
		}
		struct creel_broker *b = &ret->v[ret->n++];
		*b = (struct creel_broker){.name = c->name.s,
					   .host = c->host.s,
					   .secret = c->secret.s,
					   .body_max = (uint64_t)c->body.v,
					   .rate = (uint32_t)c->rate.v,
					   .line = c->name.pos.line,
					   .port = (uint16_t)c->port.v,
					   .websocket = c->websocket.v != 0,
					   .intercept = c->intercept.v != 0};
		if (!lower(c->host.s))
			wrong(&to, c->host.pos, "a host's name is written in small letters");
		intercepts(&to, c, ret);
		carrier(&to, c, b);
		lists(&to, c, b);
		secret(&to, cell, c);
	}
	return to.bad ? creel_err_set(err, CREEL_E_CONFIG, 0, "the broker of cell %s is not right",
				      cell->name.s)
		      : 0;
}

bool creel_cellbroker_holds(const struct creel_cell_cfg *cell, const char *secret)
{
	for (size_t i = 0; i < cell->broker.n; i++)
		if (cell->broker.v[i].secret.s && strcmp(cell->broker.v[i].secret.s, secret) == 0)
			return true;
	return false;
}
