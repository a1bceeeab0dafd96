#include "wire/httpbody.h"

enum { END, LENGTH, SIZE, SIZE_LF, DATA, DATA_CR, DATA_LF, LAST_CR, LAST_LF };

void creel_httpbody_init(struct creel_httpbody *b, const struct creel_httphead *head)
{
	*b = (struct creel_httpbody){.state = END};
	if (head->body == CREEL_HTTP_BODY_LENGTH) {
		b->left = head->length;
		b->state = b->left ? LENGTH : END;
	} else if (head->body == CREEL_HTTP_BODY_CHUNKED) {
		b->state = SIZE;
	}
}

static int hex(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One octet outside data. @return false: it may not stand here */
static bool step(struct creel_httpbody *b, unsigned char c)
{
	int digit = hex(c);

	switch (b->state) {
	case SIZE:
		if (c == '\r' && b->digits > 0) {
			b->state = SIZE_LF;
			return true;
		}
		/* 15 digits: no sum can wrap around, here or in a server's 63 bits */
		if (digit < 0 || b->digits == 15)
			return false;
		b->left = b->left << 4 | (unsigned)digit;
		b->digits++;
		return true;
	case SIZE_LF:
		b->state = b->left ? DATA : LAST_CR;
		b->digits = 0;
		return c == '\n';
	case DATA_CR:
		b->state = DATA_LF;
		return c == '\r';
	case DATA_LF:
		b->state = SIZE;
		return c == '\n';
	case LAST_CR:
		b->state = LAST_LF;
		return c == '\r';
	case LAST_LF:
		b->state = END;
		return c == '\n';
	default:
		return false;
	}
}

int creel_httpbody_feed(struct creel_httpbody *b, const char *buf, size_t len, size_t *ret_used,
			struct creel_err *err)
{
	size_t at = 0;

	while (b->state != END && at < len) {
		if (b->state != LENGTH && b->state != DATA) {
			if (!step(b, (unsigned char)buf[at++]))
				return creel_err_set(err, CREEL_E_SYNTAX, 0, "request body: its chunks");
			continue;
		}
		size_t n = b->left < len - at ? (size_t)b->left : len - at;
		at += n;
		b->left -= n;
		if (b->left == 0)
			b->state = b->state == LENGTH ? END : DATA_CR;
	}
	*ret_used = at;
	return b->state == END;
}
