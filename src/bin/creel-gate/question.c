#include "base/escape.h"
#include "gate.h"
#include "linux/hostcall.h"
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { GRACE_MS = 30000, TELL_MS = 30000, COMMAND_SHOWN = 2048, CONTENT_SHOWN = 48 << 10 };

/* A question as it is put together: the strings that are made for it, and room for content. */
struct asking {
	struct creel_call_gate q;
	char *kept[2 * CREEL_CALL_LINES + CREEL_CALL_FILES];
	size_t n_kept;
	size_t content; /* octets that may still be shown */
};

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

static const char *hex(const uint8_t hash[32], char ret[65])
{
	for (size_t i = 0; i < 32; i++)
		(void)snprintf(ret + 2 * i, 3, "%02x", hash[i]);
	return ret;
}

/* NULL: no room, or no memory; the question is not asked then. */
static const char *keep(struct asking *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static const char *keep(struct asking *k, const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;

	if (k->n_kept == ELEMENTSOF(k->kept))
		return NULL;
	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	k->kept[k->n_kept++] = s;
	return s;
}

static int line_add(struct asking *k, const char *label, const char *text, struct creel_err *err)
{
	if (!label || !text || k->q.n_lines == CREEL_CALL_LINES)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "too many arguments to be asked for");
	k->q.line[k->q.n_lines].label = label;
	k->q.line[k->q.n_lines++].text = text;
	return 0;
}

/* "to=boss@example.org": what a grant for the verb keeps as it is */
static int fixed_add(struct asking *k, const char *label, const char *value, struct creel_err *err)
{
	const char *s = k->q.n_fixed < CREEL_CALL_LINES ? keep(k, "%s=%s", label, value) : NULL;

	if (!s)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "too many arguments to be asked for");
	k->q.fixed[k->q.n_fixed++] = s;
	return 0;
}

static bool is_text(const char *s, size_t len)
{
	uint32_t cp = 1;

	for (size_t at = 0, n; at < len; at += n)
		if ((n = creel_utf8_decode((const uint8_t *)s + at, len - at, &cp)) == 0 || cp == 0)
			return false;
	return true;
}

/* What a person can read of @p data: all of it or none, and then why. */
static int content_add(struct asking *k, const char *what, const char *data, size_t len, size_t max,
		       struct creel_err *err)
{
	const char *label = keep(k, "%s, %zu octets", what, len), *text = NULL;

	if (len > max || len > k->content)
		text = "(not shown: too long)";
	else if (!is_text(data, len))
		text = "(not shown: not text)";
	else if ((text = keep(k, "%.*s", (int)len, data ? data : "")) != NULL)
		k->content -= len;
	return line_add(k, label, text, err);
}

/* The content of what the call's descriptor @p fd has, from its begin. */
static int content_of(struct asking *k, int fd, const char *what, uint64_t len, struct creel_err *err)
{
	static char buf[GATE_TEXT_MAX];

	if (len > sizeof(buf))
		return content_add(k, what, NULL, (size_t)len, sizeof(buf), err);
	if (fd < 0 || pread(fd, buf, (size_t)len, 0) != (ssize_t)len)
		return creel_err_set(err, CREEL_E_OS, 0, "read %.100s again", what);
	return content_add(k, what, buf, (size_t)len, sizeof(buf), err);
}

static int files_add(const struct gate_call *call, struct asking *k, struct creel_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < call->n_files; i++) {
		const struct gate_file *f = &call->file[i];
		if (f->out)
			continue;
		autofd int fd = openat(call->stage, f->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		k->q.file[k->q.n_files].name = f->name;
		k->q.file[k->q.n_files].len = f->len;
		memcpy(k->q.file[k->q.n_files++].hash, f->hash, 32);
		r = content_of(k, fd, f->name, f->len, err);
	}
	return r;
}

static int input_add(const struct gate_call *call, struct asking *k, struct creel_err *err)
{
	if (call->input < 0)
		return 0;
	k->q.stdin_len = call->input_len;
	memcpy(k->q.stdin_hash, call->input_hash, 32);
	return content_of(k, call->input, "standard input", call->input_len, err);
}

/*
 * gog prints a letter as its service gives it: the text of each part in Base64 (`"data": "SGVsbG8"`, RFC 4648,
 * part 5), which nobody reads. It is shown decoded, too, behind the whole. A `"` within a JSON string stands behind
 * a backslash, so no text can play such a part.
 */
static int decoded_add(struct asking *k, const char *json, struct creel_err *err)
{
	static const char key[] = "\"data\"";
	static char text[GATE_SHOWN_MAX];
	int r = 0;

	for (const char *s = json; r == 0 && (s = strstr(s, key)) != NULL;) {
		size_t got = 0, len;
		s += strlen(key);
		s += strspn(s, " ");
		if (*s != ':')
			continue;
		s += 1 + strspn(s + 1, " ");
		if (*s != '"')
			continue;
		len = strcspn(++s, "\"");
		if (sodium_base642bin((unsigned char *)text, sizeof(text), s, len, "=", &got, NULL,
				      sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
		    got > 0)
			r = content_add(k, "text in it", text, got, sizeof(text), err);
		s += len;
	}
	return r;
}

/* What a verb `shows` is of the question's identity, and of what a grant for the verb keeps. */
static int shown_add(const struct gate_call *call, struct asking *k, struct creel_err *err)
{
	char text[65];

	if (call->shown.len == 0)
		return 0;
	size_t i = k->q.n_files++;
	k->q.file[i].name = "what it acts on, as shown";
	k->q.file[i].len = call->shown.len;
	memcpy(k->q.file[i].hash, call->shown_hash, 32);
	int r = fixed_add(k, "shown", hex(call->shown_hash, text), err);
	if (r == 0 && !is_text((const char *)call->shown.data, call->shown.len))
		r = creel_err_set(err, CREEL_E_DENIED, 0,
				  "what it would act on is not text: nobody can be shown it");
	if (r == 0)
		r = content_add(k, "what it acts on", (const char *)call->shown.data, call->shown.len,
				GATE_SHOWN_MAX, err);
	return r < 0 ? r : decoded_add(k, creel_buf_str(&call->shown), err);
}

static int parts_add(const struct gate_call *call, struct asking *k, struct creel_err *err)
{
	struct creel_gate_part parts[CREEL_CALL_LINES];
	size_t n = creel_gate_parts(&call->conf->gate, call->argv, parts, CREEL_CALL_LINES);
	int r = 0;

	if (n > CREEL_CALL_LINES || call->argv->n > CREEL_CALL_ARGV)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "too many arguments to be asked for");
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = line_add(k, parts[i].label, parts[i].value, err);
		if (r == 0 && parts[i].fixed)
			r = fixed_add(k, parts[i].label, parts[i].value, err);
	}
	k->q.n_argv = call->argv->n;
	for (size_t i = 0; i < call->argv->n; i++)
		k->q.argv[i] = call->argv->v[i];
	if (r == 0)
		r = input_add(call, k, err);
	if (r == 0)
		r = files_add(call, k, err);
	return r < 0 ? r : shown_add(call, k, err);
}

int question_ask(const struct gate_call *call, char *ret_why, size_t size, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) payload, autoclean(creel_buf_fini) text;
	/* what is said yes to when who called has left is not run for nobody: they call again, or do not */
	static const int caller[] = {1, 2};
	const struct creel_gateconf *conf = call->conf;
	autofree struct asking *k = calloc(1, sizeof(*k));
	char address[64], verb[256];

	creel_buf_init(&payload, CREEL_CALL_MAX);
	creel_buf_init(&text, CREEL_CALL_REPLY_MAX);
	if (!k)
		return creel_err_nomem(err);
	k->content = CONTENT_SHOWN;
	k->q.wait_s = conf->wait_s;
	k->q.program = conf->program;
	k->q.verb = verb_words(call->a.verb, verb);
	k->q.rule = call->a.rule;
	k->q.client = client(address);
	int r = parts_add(call, k, err);
	if (r == 0)
		r = creel_call_gate_encode(&k->q, &payload, err);
	for (size_t i = 0; i < k->n_kept; i++)
		free(k->kept[i]);
	if (r == 0)
		r = creel_hostcall_for(caller, conf->host, CREEL_CALL_GATE, &payload,
				       (int)conf->wait_s * 1000 + GRACE_MS, &text, err);
	(void)snprintf(ret_why, size, "%s", r < 0 ? err->msg : creel_buf_str(&text));
	return r;
}

int question_tell(const struct gate_call *call, const char *kind, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) payload = {0}, autoclean(creel_buf_fini) text = {0};
	char address[64], verb[256], shown[COMMAND_SHOWN + 32];
	size_t len = strnlen(call->command, CREEL_COMMAND_MAX + 1);

	if (!call->conf->host)
		return 0;
	creel_buf_init(&payload, CREEL_CALL_MAX);
	creel_buf_init(&text, CREEL_CALL_REPLY_MAX);
	/* the whole stands in the gate's own log */
	(void)snprintf(shown, sizeof(shown), "%.*s%s", COMMAND_SHOWN, call->command,
		       len > COMMAND_SHOWN ? " (cut)" : "");
	const struct creel_call_event e = {
		.kind = kind,
		.n_fields = 5,
		.field = {{"verb", verb_words(call->a.verb, verb)},
			  {"rule", call->a.rule},
			  {"why", call->a.why},
			  {"from", client(address)},
			  {"command", shown}},
	};
	int r = creel_call_event_encode(&e, &payload, err);
	if (r == 0)
		r = creel_hostcall(call->conf->host, CREEL_CALL_EVENT, &payload, TELL_MS, &text, err);
	if (r < 0)
		return creel_err_add(err, "put it on the host's record");
	return r == CREEL_CALL_OK ? 0
				  : creel_err_set(err, CREEL_E_DENIED, 0, "the host does not record it: %s",
						  creel_buf_str(&text));
}
