#include "inner.h"
#include <string.h>

struct creel_defender_stream {
	const struct creel_defender *d;
	struct creel_defender_context ctx;
	struct def_buf text;
};

int creel_defender_stream_new(const struct creel_defender *d, const struct creel_defender_context *ctx,
			      struct creel_defender_stream **ret, struct creel_defender_error *error)
{
	if (!d || !ret || (ctx && ctx->size < sizeof(size_t)))
		return def_fail(error, CREEL_DEFENDER_E_INVALID, "stream: an argument is missing");
	struct creel_defender_stream *s = def_alloc(&d->mem, sizeof(*s));
	if (!s)
		return def_fail(error, CREEL_DEFENDER_E_NOMEM, "out of memory");
	s->d = d;
	s->text.mem = &d->mem;
	if (ctx)
		memcpy(&s->ctx, ctx, ctx->size < sizeof(s->ctx) ? ctx->size : sizeof(s->ctx));
	s->ctx.size = sizeof(s->ctx);
	*ret = s;
	return 0;
}

int creel_defender_stream_feed(struct creel_defender_stream *s, const void *piece, size_t len,
			       struct creel_defender_error *error)
{
	if (!s || (!piece && len))
		return def_fail(error, CREEL_DEFENDER_E_INVALID, "feed: an argument is missing");
	def_buf_add(&s->text, piece, len);
	return s->text.failed ? def_fail(error, CREEL_DEFENDER_E_NOMEM, "out of memory") : 0;
}

int creel_defender_stream_end(struct creel_defender_stream *s, struct creel_defender_result **ret,
			      struct creel_defender_error *error)
{
	if (!s || s->text.failed)
		return def_fail(error, CREEL_DEFENDER_E_NOMEM, "a piece of the text was lost before");
	int r = creel_defender_scan(s->d, s->text.data, s->text.len, &s->ctx, ret, error);
	s->text.len = 0;
	return r;
}

void creel_defender_stream_free(struct creel_defender_stream *s)
{
	if (!s)
		return;
	const def_mem *m = &s->d->mem;
	def_buf_fini(&s->text);
	def_free(m, s);
}
