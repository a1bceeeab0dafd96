#include "wire/execio.h"
#include "wire/le.h"
#include <string.h>

int creel_execio_put(struct creel_buf *out, enum creel_execio_type type, const void *data, size_t len,
		     struct creel_err *err)
{
	uint8_t head[CREEL_EXECIO_HEAD] = {(uint8_t)type};
	int r;

	if (len > CREEL_EXECIO_MAX)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "record of %zu octets", len);
	r = creel_buf_reserve(out, sizeof(head) + len, err);
	if (r < 0)
		return r;
	creel_put_le32(head + 1, (uint32_t)len);
	(void)creel_buf_add(out, head, sizeof(head), err);
	return creel_buf_add(out, data, len, err);
}

ssize_t creel_execio_get(const uint8_t *buf, size_t len, uint8_t *ret_type, const uint8_t **ret_data,
			 size_t *ret_len, struct creel_err *err)
{
	if (len < CREEL_EXECIO_HEAD)
		return 0;
	uint32_t n = creel_le32(buf + 1);
	if (buf[0] < CREEL_EXECIO_IN || buf[0] > CREEL_EXECIO_ERROR || n > CREEL_EXECIO_MAX)
		return creel_err_set(err, CREEL_E_PROTO, 0, "exec stream: bad record");
	if (len < CREEL_EXECIO_HEAD + n)
		return 0;
	*ret_type = buf[0];
	*ret_data = buf + CREEL_EXECIO_HEAD;
	*ret_len = n;
	return CREEL_EXECIO_HEAD + (ssize_t)n;
}

int creel_execspec_encode(const struct creel_execspec *spec, struct creel_buf *out, struct creel_err *err)
{
	uint8_t head[7] = {spec->tty};
	size_t argc = 0, envc = 0;
	int r;

	while (argc < 256 && spec->argv[argc])
		argc++;
	while (envc < 256 && spec->env[envc])
		envc++;
	if (argc == 0 || argc > 255 || envc > 255)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "a command has 1 to 255 words");
	creel_put_le16(head + 1, spec->rows);
	creel_put_le16(head + 3, spec->cols);
	head[5] = (uint8_t)argc;
	head[6] = (uint8_t)envc;
	r = creel_buf_add(out, head, sizeof(head), err);
	if (r == 0)
		r = creel_buf_add(out, spec->user, strlen(spec->user) + 1, err);
	if (r == 0)
		r = creel_buf_add(out, spec->dir, strlen(spec->dir) + 1, err);
	for (size_t i = 0; i < argc && r == 0; i++)
		r = creel_buf_add(out, spec->argv[i], strlen(spec->argv[i]) + 1, err);
	for (size_t i = 0; i < envc && r == 0; i++)
		r = creel_buf_add(out, spec->env[i], strlen(spec->env[i]) + 1, err);
	return r;
}

static const char *string_next(const uint8_t *buf, size_t len, size_t *at)
{
	const uint8_t *end = *at < len ? memchr(buf + *at, 0, len - *at) : NULL;
	const char *s = (const char *)buf + *at;

	if (!end)
		return NULL;
	*at = (size_t)(end - buf) + 1;
	return s;
}

int creel_execspec_decode(const uint8_t *buf, size_t len, struct creel_execspec *ret, struct creel_err *err)
{
	struct creel_execspec out = {0};
	size_t at = 7;
	bool ok = len > 7 && buf[0] <= 1 && buf[5] > 0;

	if (ok) {
		out.tty = buf[0];
		out.rows = creel_le16(buf + 1);
		out.cols = creel_le16(buf + 3);
		ok = (out.user = string_next(buf, len, &at)) && (out.dir = string_next(buf, len, &at));
	}
	for (size_t i = 0; ok && i < buf[5]; i++)
		ok = (out.argv[i] = string_next(buf, len, &at)) != NULL;
	for (size_t i = 0; ok && i < buf[6]; i++)
		ok = (out.env[i] = string_next(buf, len, &at)) != NULL;
	if (!ok || at != len)
		return creel_err_set(err, CREEL_E_PROTO, 0, "bad exec spec");
	*ret = out;
	return 0;
}
