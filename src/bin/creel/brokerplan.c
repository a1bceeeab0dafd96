#include "brokerplan.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { FILE_MAX = 65536 };

void brokerplan_fini(struct brokerplan *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->cert[i]);
	p->n = 0;
}

/* RFC 7468: what stands between the two lines, without the lines' ends */
static char *base64_of(const char *pem)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";
	const char *at = strstr(pem, begin), *stop = at ? strstr(at, end) : NULL;
	char *out = stop && !strstr(stop, begin) ? malloc((size_t)(stop - at)) : NULL;
	size_t n = 0;

	if (!out)
		return NULL;
	for (at += sizeof(begin) - 1; at < stop; at++)
		if (!strchr(" \t\r\n", *at))
			out[n++] = *at;
	out[n] = '\0';
	if (n > 0 && strspn(out, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") == n)
		return out;
	free(out);
	return NULL;
}

static int one(const struct creel_str *path, int dirfd, char **ret, struct creel_err *err)
{
	autofd int fd = openat(dirfd, path->s, O_RDONLY | O_CLOEXEC);
	autofree char *text = calloc(1, FILE_MAX + 1);

	if (!text)
		return creel_err_nomem(err);
	ssize_t n = fd < 0 ? -1 : read(fd, text, FILE_MAX);
	if (n < 0)
		return creel_err_set(err, CREEL_E_CONFIG, errno, "line %u: %s", path->pos.line, path->s);
	*ret = base64_of(text);
	return *ret ? 0
		    : creel_err_set(err, CREEL_E_CONFIG, 0, "line %u: %s holds not one PEM certificate",
				    path->pos.line, path->s);
}

int brokerplan_certs(const struct creel_cell_cfg *cell, int dirfd, struct creel_brokers *b,
		     struct brokerplan *ret, struct creel_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->n; i++) {
		if (!cell->broker.v[i].ca.s)
			continue;
		r = one(&cell->broker.v[i].ca, dirfd, &ret->cert[ret->n], err);
		if (r == 0)
			b->v[i].ca = ret->cert[ret->n++];
	}
	return r;
}
