#include "base/log.h"
#include "monitor.h"
#include "ramfolder.h"
#include "secret/sbuf.h"
#include "secret/store.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/*
 * A cell's secrets, put where its share's server finds them (ramfolder.h). The server sees them through a
 * read-only bind, so that what a guest asks for cannot change them, whatever it mounts.
 */
enum { ENV_MAX = 1 << 20 };
#define FOLDER "secrets"

void stage_drop(const char *name)
{
	ramfolder_drop(name, FOLDER);
}

/* Whole, or not there: a guest may read it in this moment. */
int stage_put(int dirfd, const char *name, const void *data, size_t len, struct creel_err *err)
{
	static const char tmp[] = ".new";

	(void)unlinkat(dirfd, tmp, 0);
	autofd int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
	if (fd < 0 || write(fd, data, len) != (ssize_t)len || fchmod(fd, 0444) < 0 ||
	    renameat(dirfd, tmp, dirfd, name) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "stage secret %s", name);
	return 0;
}

static int stored_read(const char *cell, const char *name, struct creel_buf *out, struct creel_err *err)
{
	struct creel_store autoclean(creel_store_fini) store = {.state = -1, .dir = -1, .lock = -1};
	int r = creel_store_open(mon.state_fd, false, &store, err);

	if (r == CREEL_E_NOTFOUND)
		return creel_err_set(err, r, 0, "secret '%s' is not set; try: creel secret set %s %s", name,
				     cell, name);
	return r < 0 ? r : creel_store_get(&store, cell, name, out, err);
}

static int made(unsigned bytes, bool hex, struct creel_buf *out, struct creel_err *err)
{
	unsigned char raw[1024];
	char text[2200];

	randombytes_buf(raw, bytes);
	if (hex)
		sodium_bin2hex(text, sizeof(text), raw, bytes);
	else
		sodium_bin2base64(text, sizeof(text), raw, bytes, sodium_base64_VARIANT_ORIGINAL);
	int r = creel_buf_adds(out, text, err);
	sodium_memzero(raw, sizeof(raw));
	sodium_memzero(text, sizeof(text));
	return r;
}

/* @return 0, CREEL_E_NOTFOUND (it has no value) */
int stage_value(const struct mon_cell *c, size_t i, json_t *given, struct creel_buf *out,
		struct creel_err *err)
{
	const char *name = c->plan.secrets[i].name;
	json_t *v;

	switch (c->plan.secrets[i].source) {
	case CREEL_SOURCE_STORE:
		return stored_read(c->name, name, out, err);
	case CREEL_SOURCE_BASE64:
		return made(c->plan.secrets[i].bytes, false, out, err);
	case CREEL_SOURCE_HEX:
		return made(c->plan.secrets[i].bytes, true, out, err);
	case CREEL_SOURCE_GIVEN:
	default:
		v = json_object_get(given, name);
		if (!json_is_string(v))
			return creel_err_set(err, CREEL_E_NOTFOUND, 0, "secret '%s' was not given", name);
		return creel_buf_add(out, json_string_value(v), json_string_length(v), err);
	}
}

static int staged_read(int dirfd, const char *name, struct creel_buf *out, struct creel_err *err)
{
	autofd int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return creel_err_set(err, errno == ENOENT ? CREEL_E_NOTFOUND : CREEL_E_OS, errno,
				     "open staged secret '%s'", name);
	ssize_t n = read(fd, out->data, out->max);
	if (n < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read staged secret '%s'", name);
	out->len = (size_t)n;
	/* a value set by `echo x | creel secret set` ends in a newline that is not meant */
	while (out->len > 0 && out->data[out->len - 1] == '\n')
		out->len--;
	if (memchr(out->data, '\n', out->len) || memchr(out->data, '\0', out->len))
		return creel_err_set(err, CREEL_E_INVALID, 0,
				     "secret '%s' has several lines and cannot be in an environment", name);
	return 0;
}

/* gateway-env: what of the staged files the recipe wants as variables */
static int env_put(const struct creel_plan *plan, int dirfd, struct creel_err *err)
{
	struct creel_buf autoclean(creel_sbuf_fini) env = {.data = NULL},
						    autoclean(creel_sbuf_fini) value = {.data = NULL};
	int r = creel_sbuf_init(&env, ENV_MAX, err);

	if (r == 0)
		r = creel_sbuf_init(&value, CREEL_SECRET_MAX, err);
	for (size_t i = 0; r == 0 && i < plan->n_secrets; i++) {
		struct creel_err why = {0};
		if (!plan->secrets[i].env[0])
			continue;
		r = staged_read(dirfd, plan->secrets[i].name, &value, &why);
		if (r == CREEL_E_NOTFOUND && plan->secrets[i].optional) {
			r = 0;
			continue;
		}
		if (r < 0)
			*err = why;
		if (r == 0)
			r = creel_buf_addf(&env, err, "%s=", plan->secrets[i].env);
		if (r == 0)
			r = creel_buf_add(&env, value.data, value.len, err);
		if (r == 0)
			r = creel_buf_adds(&env, "\n", err);
	}
	return r < 0 ? r : stage_put(dirfd, "gateway-env", env.data, env.len, err);
}

static int stage_in(const struct mon_cell *c, int dirfd, json_t *given, struct creel_err *err)
{
	for (size_t i = 0; i < c->plan.n_secrets; i++) {
		struct creel_buf autoclean(creel_sbuf_fini) value = {.data = NULL};
		struct creel_err why = {0};
		if (c->plan.secrets[i].broker)
			continue;
		int r = creel_sbuf_init(&value, CREEL_SECRET_MAX, err);
		if (r == 0)
			r = stage_value(c, i, given, &value, &why);
		if (r == CREEL_E_NOTFOUND && c->plan.secrets[i].optional)
			continue;
		if (r == 0)
			r = stage_put(dirfd, c->plan.secrets[i].name, value.data, value.len, &why);
		if (r < 0) {
			if (why.code)
				*err = why;
			return r;
		}
	}
	return env_put(&c->plan, dirfd, err);
}

int stage_again(struct mon_cell *c, const char *secret, struct creel_err *err)
{
	struct creel_buf autoclean(creel_sbuf_fini) value = {.data = NULL};
	bool known = false;

	/* as it was started: that is what the cell was granted */
	for (size_t i = 0; i < c->ran.n_secrets; i++) {
		if (c->ran.secrets[i].broker && strcmp(c->ran.secrets[i].name, secret) == 0)
			return broker_stage_again(c, secret, err);
		known |= c->ran.secrets[i].source == CREEL_SOURCE_STORE &&
			 strcmp(c->ran.secrets[i].name, secret) == 0;
	}
	if (!known)
		return creel_err_set(err, CREEL_E_DENIED, 0, "cell '%s' has no stored secret '%s'", c->name,
				     secret);
	autofd int dirfd = ramfolder_open(c->name, FOLDER, err);
	if (dirfd < 0)
		return dirfd;
	int r = creel_sbuf_init(&value, CREEL_SECRET_MAX, err);
	if (r == 0)
		r = stored_read(c->name, secret, &value, err);
	if (r == 0)
		r = stage_put(dirfd, secret, value.data, value.len, err);
	return r < 0 ? r : env_put(&c->ran, dirfd, err);
}

int stage_secrets(const struct mon_cell *c, struct creel_err *err)
{
	autofd int dirfd = ramfolder_make(c->name, FOLDER, 0755, err);
	if (dirfd < 0)
		return dirfd;
	json_t *given = json_loadb((const char *)c->given.data, c->given.len, 0, NULL);
	int r = stage_in(c, dirfd, given, err);
	json_decref(given);
	return r;
}
