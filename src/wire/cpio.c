#include "wire/cpio.h"
#include <string.h>
#include <sys/stat.h>

void creel_cpio_begin(struct creel_cpio *c, struct creel_buf *out)
{
	*c = (struct creel_cpio){.out = out, .ino = 1};
}

static int pad(struct creel_buf *out, struct creel_err *err)
{
	static const char zero[4] = {0};
	return creel_buf_add(out, zero, (4 - out->len % 4) % 4, err);
}

static int member(struct creel_cpio *c, const char *name, uint32_t mode, unsigned major, unsigned minor,
		  const void *data, size_t len, struct creel_err *err)
{
	size_t name_len = strlen(name) + 1;
	size_t start = c->out->len;
	bool dir = S_ISDIR(mode);
	int r;

	if (name_len < 2 || name_len > 4096 || name[0] == '/')
		return creel_err_set(err, CREEL_E_INVALID, 0, "cpio member name '%s'", name);
	if (len > UINT32_MAX)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "cpio member of %zu octets", len);
	/* magic ino mode uid gid nlink mtime size devmaj devmin rdevmaj rdevmin namesize check */
	r = creel_buf_addf(c->out, err, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", c->ino,
			   mode, 0, 0, dir ? 2 : 1, 0, (unsigned)len, 0, 0, major, minor, (unsigned)name_len,
			   0);
	if (r == 0)
		r = creel_buf_add(c->out, name, name_len, err);
	if (r == 0)
		r = pad(c->out, err);
	if (r == 0)
		r = creel_buf_add(c->out, data, len, err);
	if (r == 0)
		r = pad(c->out, err);
	if (r < 0) {
		c->out->len = start;
		return r;
	}
	c->ino++;
	return 0;
}

int creel_cpio_add(struct creel_cpio *c, const char *name, uint32_t mode, const void *data, size_t len,
		   struct creel_err *err)
{
	return member(c, name, mode, 0, 0, data, len, err);
}

int creel_cpio_add_chrdev(struct creel_cpio *c, const char *name, uint32_t mode, unsigned major,
			  unsigned minor, struct creel_err *err)
{
	return member(c, name, S_IFCHR | (mode & 07777), major, minor, NULL, 0, err);
}

int creel_cpio_end(struct creel_cpio *c, struct creel_err *err)
{
	c->ino = 0;
	return member(c, "TRAILER!!!", 0, 0, 0, NULL, 0, err);
}
