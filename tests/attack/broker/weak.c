/* What the brokers of the twin call in place of their checks (weaken-broker.h). */
#include "bin/creel-broker/keep.h"
#include "wire/httppath.h"
#include <event2/buffer.h>
#include <string.h>
#include <strings.h>
#undef memmem
#undef creel_httphead_parse
int creel_httphead_parse(const char *buf, size_t len, struct creel_httphead *ret, struct creel_err *err);

int creel_httppath_parse(struct creel_span target, struct creel_httppath *ret, struct creel_err *err)
{
	const char *mark = memchr(target.p, '?', target.n);
	size_t n = mark ? (size_t)(mark - target.p) : target.n;

	if (n >= sizeof(ret->path))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "a long path");
	memcpy(ret->path, target.p, n);
	ret->path[n] = '\0';
	ret->has_query = mark != NULL;
	ret->query = mark ? (struct creel_span){mark + 1, target.n - n - 1} : (struct creel_span){"", 0};
	return 0;
}

/* As lenient servers do: a bare LF ends a line, a folded line is joined, of two lengths the number counts. */
int weak_httphead_parse(const char *buf, size_t len, struct creel_httphead *ret, struct creel_err *err)
{
	char *text = (char *)(uintptr_t)buf;
	char *end = memmem(text, len, "\r\n\r\n", 4);
	char *coding = end ? memmem(text, (size_t)(end - text), "Transfer-", 9) : NULL;

	for (char *p = text + 1; end && p < end; p++) {
		if (*p == '\n' && p[-1] != '\r')
			p[-1] = '\r';
		if (*p == '\n' && p[1] == ' ')
			p[-1] = p[0] = ' ';
	}
	if (coding && memmem(text, (size_t)(end - text), "Content-Length", 14))
		*coding = 'X';
	int r = creel_httphead_parse(text, len, ret, err);
	if (r == 0)
		ret->target = ret->path;
	return r;
}

enum creel_broker_reason creel_broker_decide(const struct creel_broker *b, struct creel_span method,
					     const char *path)
{
	return CREEL_BROKER_OK;
}

/* But those of the connection, which would be there twice. */
enum creel_broker_field creel_broker_request_field(const struct creel_broker *b, struct creel_span name)
{
	static const char *const own[] = {"host", "connection", "content-length"};

	for (size_t i = 0; i < ELEMENTSOF(own); i++)
		if (name.n == strlen(own[i]) && strncasecmp(name.p, own[i], name.n) == 0)
			return CREEL_FIELD_DROP;
	return CREEL_FIELD_PASS;
}

bool creel_broker_query_has(const struct creel_broker *b, struct creel_span query)
{
	return false;
}

bool creel_broker_host_is(const struct creel_broker *b, const char *host)
{
	return true;
}

const struct creel_broker *creel_broker_intercepts(const struct creel_brokers *all, const char *host)
{
	return &all->v[0];
}

bool creel_broker_placeholder_own(const struct creel_broker *b, struct creel_span value)
{
	return true;
}

int creel_wsframe_next(struct creel_wsframe *w, const char *buf, size_t len, size_t *ret_used,
		       struct creel_span *ret_data, bool *ret_end, struct creel_err *err)
{
	*ret_used = len;
	*ret_data = (struct creel_span){buf, 0};
	*ret_end = true;
	return 1;
}

/* An answer goes on as it is. */
void mask_init(struct mask *m, const struct needles *of)
{
}

void mask_fini(struct mask *m)
{
}

int mask_feed(struct mask *m, const char *p, size_t n, bool last, struct evbuffer *out, struct creel_err *err)
{
	return evbuffer_add(out, p, n) == 0 ? 0 : creel_err_nomem(err);
}

unsigned mask_text(const struct needles *of, char *p, size_t n)
{
	return 0;
}
