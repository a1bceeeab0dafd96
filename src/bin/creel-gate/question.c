#include "base/escape.h"
#include "gate.h"
#include "linux/hostcall.h"
#include <stdio.h>
#include <string.h>

enum { GRACE_MS = 30000, TELL_MS = 30000, COMMAND_SHOWN = 2048 };

/* The client's address, as sshd says: the first word. */
static const char *client(char ret[64])
{
	const char *s = getenv("SSH_CONNECTION");
	size_t n = s ? strcspn(s, " ") : 0;

	(void)snprintf(ret, 64, "%.*s", (int)MIN(n, (size_t)63), s ? s : "");
	return ret;
}

static const char *verb_words(const char *path, char ret[256])
{
	size_t i = 0;

	for (; path && path[i] && i < 255; i++)
		ret[i] = path[i] == '/' ? ' ' : path[i];
	ret[i] = '\0';
	return ret;
}

/* "to=boss@example.org": what a grant for the verb keeps as it is */
static int fixed_add(struct creel_call_gate *q, char **kept, const struct creel_gate_part *p, struct creel_err *err)
{
	size_t len = strlen(p->label) + strlen(p->value) + 2;

	if (q->n_fixed == CREEL_CALL_LINES || !(kept[q->n_fixed] = malloc(len)))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "too many arguments to be asked for");
	(void)snprintf(kept[q->n_fixed], len, "%s=%s", p->label, p->value);
	q->fixed[q->n_fixed] = kept[q->n_fixed];
	q->n_fixed++;
	return 0;
}

static int parts_add(const struct creel_gateconf *conf, const struct creel_argv *argv, struct creel_call_gate *q,
		     char **kept, struct creel_err *err)
{
	struct creel_gate_part parts[CREEL_CALL_LINES];
	size_t n = creel_gate_parts(&conf->gate, argv, parts, CREEL_CALL_LINES);
	int r = 0;

	if (n > CREEL_CALL_LINES || argv->n > CREEL_CALL_ARGV)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "too many arguments to be asked for");
	for (size_t i = 0; r == 0 && i < n; i++) {
		q->line[q->n_lines].label = parts[i].label;
		q->line[q->n_lines++].text = parts[i].value;
		if (parts[i].fixed)
			r = fixed_add(q, kept, &parts[i], err);
	}
	q->n_argv = argv->n;
	for (size_t i = 0; i < argv->n; i++)
		q->argv[i] = argv->v[i];
	return r;
}

int question_ask(const struct creel_gateconf *conf, const struct creel_argv *argv, const struct creel_gate_answer *a,
		 char *ret_why, size_t size, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) payload, autoclean(creel_buf_fini) text;
	autofree struct creel_call_gate *q = calloc(1, sizeof(*q));
	char address[64], verb[256], *kept[CREEL_CALL_LINES] = {NULL};

	creel_buf_init(&payload, CREEL_CALL_MAX);
	creel_buf_init(&text, CREEL_CALL_REPLY_MAX);
	if (!q)
		return creel_err_nomem(err);
	q->wait_s = conf->wait_s;
	q->program = conf->program;
	q->verb = verb_words(a->verb, verb);
	q->rule = a->rule;
	q->client = client(address);
	int r = parts_add(conf, argv, q, kept, err);
	if (r == 0)
		r = creel_call_gate_encode(q, &payload, err);
	for (size_t i = 0; i < CREEL_CALL_LINES; i++)
		free(kept[i]);
	if (r == 0)
		r = creel_hostcall(conf->host, CREEL_CALL_GATE, &payload, (int)conf->wait_s * 1000 + GRACE_MS, &text, err);
	(void)snprintf(ret_why, size, "%s", r < 0 ? err->msg : creel_buf_str(&text));
	return r;
}

int question_tell(const struct creel_gateconf *conf, const char *kind, const struct creel_gate_answer *a,
		  const char *command, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) payload, autoclean(creel_buf_fini) text;
	char address[64], verb[256], shown[COMMAND_SHOWN + 32];
	size_t len = strnlen(command, CREEL_COMMAND_MAX + 1);

	if (!conf->host)
		return 0;
	creel_buf_init(&payload, CREEL_CALL_MAX);
	creel_buf_init(&text, CREEL_CALL_REPLY_MAX);
	/* the whole stands in the gate's own log */
	(void)snprintf(shown, sizeof(shown), "%.*s%s", COMMAND_SHOWN, command, len > COMMAND_SHOWN ? " (cut)" : "");
	const struct creel_call_event e = {
		.kind = kind,
		.n_fields = 5,
		.field = {{"verb", verb_words(a->verb, verb)},
			  {"rule", a->rule},
			  {"why", a->why},
			  {"from", client(address)},
			  {"command", shown}},
	};
	int r = creel_call_event_encode(&e, &payload, err);
	if (r == 0)
		r = creel_hostcall(conf->host, CREEL_CALL_EVENT, &payload, TELL_MS, &text, err);
	if (r < 0)
		return creel_err_add(err, "put it on the host's record");
	return r == CREEL_CALL_OK ? 0
				  : creel_err_set(err, CREEL_E_DENIED, 0, "the host does not record it: %s",
						  creel_buf_str(&text));
}
