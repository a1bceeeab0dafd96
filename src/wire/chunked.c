#include "wire/chunked.h"

enum { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, TRAILER_LF, DONE };
enum { EXTENSION_MAX = 256, TRAILER_MAX = 16384 };

void creel_chunked_init(struct creel_chunked *c, bool lenient)
{
	*c = (struct creel_chunked){.lenient = lenient};
}

static int bad(struct creel_err *err, const char *what)
{
	return creel_err_set(err, CREEL_E_SYNTAX, 0, "chunked body: %s", what);
}

static int size_octet(struct creel_chunked *c, unsigned char o, struct creel_err *err)
{
	int v = o >= '0' && o <= '9'   ? o - '0'
		: o >= 'a' && o <= 'f' ? o - 'a' + 10
		: o >= 'A' && o <= 'F' ? o - 'A' + 10
				       : -1;

	if (v >= 0) {
		if (++c->digits > 15)
			return bad(err, "a size");
		c->left = c->left << 4 | (unsigned)v;
		return 0;
	}
	if (c->digits == 0)
		return bad(err, "a size");
	if (o == '\r')
		c->state = SIZE_LF;
	else if (c->lenient && (o == ';' || o == ' ' || o == '\t'))
		c->state = EXTENSION;
	else
		return bad(err, "a size's end");
	return 0;
}

/* @return as creel_chunked_next(), without a piece */
static int octet(struct creel_chunked *c, unsigned char o, struct creel_err *err)
{
	switch (c->state) {
	case SIZE:
		return size_octet(c, o, err);
	case EXTENSION:
		if (++c->line > EXTENSION_MAX || o == '\n')
			return bad(err, "an extension");
		if (o == '\r')
			c->state = SIZE_LF;
		return 0;
	case SIZE_LF:
		if (o != '\n')
			return bad(err, "a CR alone");
		c->line = 0;
		c->digits = 0;
		c->blank = true;
		c->state = c->left > 0 ? DATA : TRAILER;
		return 0;
	case DATA_CR:
		c->state = DATA_LF;
		return o == '\r' ? 0 : bad(err, "a chunk's end");
	case DATA_LF:
		c->state = SIZE;
		return o == '\n' ? 0 : bad(err, "a chunk's end");
	case TRAILER:
		if (o == '\r') {
			c->state = TRAILER_LF;
			return 0;
		}
		if (!c->lenient || ++c->line > TRAILER_MAX || o == '\n')
			return bad(err, "a trailer");
		c->blank = false;
		return 0;
	case TRAILER_LF:
		if (o != '\n')
			return bad(err, "a CR alone");
		c->state = c->blank ? DONE : TRAILER;
		c->blank = true;
		return c->state == DONE ? 2 : 0;
	default:
		return bad(err, "it has ended");
	}
}

int creel_chunked_next(struct creel_chunked *c, const char *buf, size_t len, size_t *ret_used,
		       struct creel_span *ret_data, struct creel_err *err)
{
	size_t at = 0;
	int r = 0;

	*ret_data = (struct creel_span){buf, 0};
	while (r == 0 && at < len && c->state != DATA)
		r = octet(c, (unsigned char)buf[at++], err);
	if (r == 0 && c->state == DATA && at < len) {
		size_t n = c->left < len - at ? (size_t)c->left : len - at;
		*ret_data = (struct creel_span){buf + at, n};
		at += n;
		c->left -= n;
		if (c->left == 0)
			c->state = DATA_CR;
		r = 1;
	}
	*ret_used = at;
	return r;
}
