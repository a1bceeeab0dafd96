#include "flownet.h"
#include "wire/be.h"
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

/* By itself: what runs in a guest (bench/stream) has no library. */

/* a part with a length of @p width octets before it, which is filled in by close_part() */
static uint8_t *open_part(uint8_t **p, unsigned width)
{
	uint8_t *at = *p;

	*p += width;
	return at;
}
static void close_part(uint8_t *at, const uint8_t *end, unsigned width)
{
	size_t n = (size_t)(end - at) - width;

	for (unsigned i = 0; i < width; i++)
		at[i] = (uint8_t)(n >> 8 * (width - 1 - i));
}

size_t flownet_hello(uint8_t *buf, size_t size, const char *name, bool ech, size_t pad, size_t record)
{
	static uint8_t msg[70000];
	uint8_t *p = msg, *whole, *exts, *ext, *list, *host;

	*p++ = 1;
	whole = open_part(&p, 3);
	*p++ = 3;
	*p++ = 3;
	for (unsigned i = 0; i < 32; i++)
		*p++ = (uint8_t)(i * 7);
	*p++ = 0;
	memcpy(p, "\0\2\x13\1\1\0", 6);
	p += 6;
	exts = open_part(&p, 2);
	if (name) {
		memcpy(p, "\0\0", 2);
		p += 2;
		ext = open_part(&p, 2);
		list = open_part(&p, 2);
		*p++ = 0;
		host = open_part(&p, 2);
		memcpy(p, name, strlen(name));
		p += strlen(name);
		close_part(host, p, 2);
		close_part(list, p, 2);
		close_part(ext, p, 2);
	}
	memcpy(p, "\0\x2b\0\3\2\3\4", 7);
	p += 7;
	if (ech) {
		memcpy(p, "\xfe\x0d\0\1\0", 5);
		p += 5;
	}
	if (pad) { /* a large key share, say */
		memcpy(p, "\0\x33", 2);
		p += 2;
		ext = open_part(&p, 2);
		memset(p, 0x5a, pad);
		p += pad;
		close_part(ext, p, 2);
	}
	close_part(exts, p, 2);
	close_part(whole, p, 3);
	size_t len = (size_t)(p - msg), at = 0, out = 0;
	while (at < len) {
		size_t k = MIN(len - at, record);
		if (out + 5 + k > size)
			abort();
		memcpy(buf + out, "\x16\3\1", 3);
		creel_put_be16(buf + out + 3, (uint16_t)k);
		memcpy(buf + out + 5, msg + at, k);
		out += 5 + k;
		at += k;
	}
	return out;
}
