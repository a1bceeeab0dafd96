#include "policy/gateconf.h"
#include <string.h>

void creel_gateconf_fini(struct creel_gateconf *c)
{
	if (!c)
		return;
	creel_gate_fini(&c->gate);
	free(c->env);
	free(c->secret);
	free(c->text);
	*c = (struct creel_gateconf){0};
}

/* The rules of the file as they are read, one list a decision. */
struct reading {
	struct creel_gateconf *conf;
	struct creel_rule_text *rules[3];
	size_t n[3];
};

static int secret_add(struct creel_gateconf *c, char *value, struct creel_err *err)
{
	char *path = strchr(value, ' ');
	size_t n = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	if (!path || path[1] != '/' || value + n != path || n == 0 || strncmp(value, "LD_", 3) == 0)
		return creel_err_set(err, CREEL_E_INVALID, 0,
				     "secret wants NAME and an absolute path, and never LD_");
	*path++ = '\0';
	c->secret[c->n_secret++] = value;
	c->secret[c->n_secret++] = path;
	return 0;
}

/* These would let whoever sets them run code of theirs in the tool. */
static bool env_ok(const char *v)
{
	size_t name = strcspn(v, "=");

	return v[name] == '=' && name > 0 && strncmp(v, "LD_", 3) != 0 &&
	       strspn(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == name;
}

static int once(const char **slot, const char *value, bool path, const char *word, struct creel_err *err)
{
	if (*slot)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "`%s` stands twice", word);
	if (path && value[0] != '/')
		return creel_err_set(err, CREEL_E_INVALID, 0, "`%s` wants an absolute path", word);
	*slot = value;
	return 0;
}

static int line_read(struct reading *r, char *line, uint32_t number, struct creel_err *err)
{
	static const char *const decisions[] = {"deny", "ask", "allow"};
	char *value = strchr(line, ' ');

	if (!*line || *line == '#')
		return 0;
	if (!value || !value[1])
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "`%.40s` without a value", line);
	*value++ = '\0';
	for (unsigned d = 0; d < 3; d++)
		if (strcmp(line, decisions[d]) == 0) {
			r->rules[d][r->n[d]++] = (struct creel_rule_text){value, number, 1};
			return 0;
		}
	if (strcmp(line, "program") == 0)
		return once(&r->conf->program, value, false, line, err);
	if (strcmp(line, "exec") == 0)
		return once(&r->conf->exec, value, true, line, err);
	if (strcmp(line, "home") == 0)
		return once(&r->conf->home, value, true, line, err);
	if (strcmp(line, "log") == 0)
		return once(&r->conf->log, value, true, line, err);
	if (strcmp(line, "host") == 0)
		return once(&r->conf->host, value, true, line, err);
	if (strcmp(line, "wait") == 0) {
		r->conf->wait_s = (unsigned)strtoul(value, NULL, 10);
		if (value[strspn(value, "0123456789")] || r->conf->wait_s < 10 || r->conf->wait_s > 86400)
			return creel_err_set(err, CREEL_E_INVALID, 0, "`wait` is 10 to 86400 seconds");
		return 0;
	}
	if (strcmp(line, "shared") == 0) {
		r->conf->shared = strtoull(value, NULL, 10);
		if (value[strspn(value, "0123456789")] || r->conf->shared < 4096 ||
		    r->conf->shared > CREEL_GATECONF_SHARED)
			return creel_err_set(err, CREEL_E_INVALID, 0, "`shared` is 4096 octets to 16 GiB");
		return 0;
	}
	if (strcmp(line, "secret") == 0)
		return secret_add(r->conf, value, err);
	if (strcmp(line, "env") != 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "unknown word `%.40s`", line);
	if (!env_ok(value))
		return creel_err_set(err, CREEL_E_INVALID, 0, "env wants NAME=VALUE, and never LD_");
	r->conf->env[r->conf->n_env++] = value;
	return 0;
}

static int rules_apply(struct reading *r, struct creel_err *err)
{
	struct creel_verbs autoclean(creel_verbs_fini) table = {0};
	struct creel_gate_spec spec = {.rule = {r->rules[0], r->rules[1], r->rules[2]},
				       .n = {r->n[0], r->n[1], r->n[2]}};
	struct creel_rule_text bad = {0};
	int e = creel_verbs_builtin(r->conf->program, &table, err);

	if (e < 0)
		return e;
	e = creel_gate_init(&r->conf->gate, &table, &spec, &bad, err);
	r->conf->gate.shared = r->conf->shared > 0;
	if (e < 0 && e != CREEL_E_NOMEM)
		return creel_err_add(err, "line %u", bad.line);
	return e;
}

int creel_gateconf_parse(const char *text, size_t len, struct creel_gateconf *ret_conf, struct creel_err *err)
{
	struct creel_gateconf autoclean(creel_gateconf_fini) conf = {.wait_s = 600};
	struct reading r = {.conf = &conf};
	size_t lines = 2;
	uint32_t number = 0;

	if (len > CREEL_GATECONF_MAX)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "the file has %zu octets", len);
	if (memchr(text, '\0', len))
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "NUL in the file");
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	conf.text = strndup(text, len);
	conf.env = calloc(lines, sizeof(*conf.env));
	conf.secret = calloc(2 * lines, sizeof(*conf.secret));
	autofree struct creel_rule_text *deny = calloc(lines, sizeof(*deny));
	autofree struct creel_rule_text *ask = calloc(lines, sizeof(*ask));
	autofree struct creel_rule_text *allow = calloc(lines, sizeof(*allow));
	if (!conf.text || !conf.env || !conf.secret || !deny || !ask || !allow)
		return creel_err_nomem(err);
	r.rules[CREEL_DENY] = deny;
	r.rules[CREEL_ASK] = ask;
	r.rules[CREEL_ALLOW] = allow;
	for (char *save = conf.text, *line; (line = strsep(&save, "\n")) != NULL;) {
		int e = line_read(&r, line, ++number, err);
		if (e < 0)
			return creel_err_add(err, "line %u", number);
	}
	if (!conf.program || !conf.exec || !conf.home)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "program, exec or home is missing");
	int e = rules_apply(&r, err);
	if (e < 0)
		return e;
	*ret_conf = conf;
	conf = (struct creel_gateconf){0};
	return 0;
}
