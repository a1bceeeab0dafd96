#include "image/lock.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { LOCK_MAX = 16 << 20 };

static json_t *strings(const struct creel_strs *l)
{
	json_t *a = json_array();

	for (size_t i = 0; i < l->n; i++)
		(void)json_array_append_new(a, json_string(l->v[i].s));
	return a;
}

json_t *creel_lock_asks(const struct creel_recipe *r, const char *arch)
{
	json_t *debian = strings(&r->debian.packages);

	if (r->docker.v)
		(void)json_array_append_new(debian, json_string("docker.io"));
	return json_pack("{s:s, s:s, s:s?, s:o, s:o, s:o}", "arch", arch, "suite", r->debian.suite.s,
			 "snapshot", r->debian.snapshot.s, "debian", debian, "npm", strings(&r->npm), "go",
			 strings(&r->go));
}

/* @return the file's root; NULL: there is none (err->code 0), or an error */
static json_t *file_read(const char *path, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	json_error_t at;
	uint8_t buf[65536];
	ssize_t n;

	creel_buf_init(&text, LOCK_MAX);
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		if (errno != ENOENT)
			creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
		return NULL;
	}
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (creel_buf_add(&text, buf, (size_t)n, err) < 0)
			return NULL;
	if (n < 0) {
		creel_err_set(err, CREEL_E_OS, errno, "read %s", path);
		return NULL;
	}
	json_t *j = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &at);
	if (!j) {
		creel_err_set(err, CREEL_E_CONFIG, 0, "%s:%d:%d: %s", path, at.line, at.column, at.text);
		return NULL;
	}
	if (json_integer_value(json_object_get(j, "version")) != 1 ||
	    !json_is_object(json_object_get(j, "images"))) {
		creel_err_set(err, CREEL_E_CONFIG, 0, "%s:1:1: this is no lock file of version 1", path);
		json_decref(j);
		return NULL;
	}
	return j;
}

/* Each list holds objects with texts where the build reads texts: checked here, once. */
static bool packages_ok(const json_t *list)
{
	size_t i;
	json_t *p;

	json_array_foreach ((json_t *)list, i, p)
		if (!json_is_string(json_object_get(p, "name")) ||
		    !json_is_string(json_object_get(p, "version")) ||
		    strpbrk(json_string_value(json_object_get(p, "name")), " \n\t:*") ||
		    strpbrk(json_string_value(json_object_get(p, "version")), " \n\t"))
			return false;
	return json_is_array(list);
}

static bool entry_ok(const json_t *e)
{
	const json_t *npm = json_object_get(e, "npm"), *go = json_object_get(e, "go"), *p;
	const json_t *kernel = json_object_get(e, "kernel");
	size_t i;

	if (!packages_ok(json_object_get(e, "debian")) || (npm && !json_is_object(npm)) ||
	    !json_is_string(json_object_get(kernel, "name")) ||
	    !json_is_string(json_object_get(kernel, "version")))
		return false;
	json_array_foreach ((json_t *)json_object_get(go, "programs"), i, p)
		if (!json_is_string(json_object_get(p, "program")))
			return false;
	return !go || json_is_string(json_object_get(go, "toolchain"));
}

int creel_lock_read(const char *path, const char *name, const struct creel_recipe *r, const char *arch,
		    json_t **ret, bool *ret_stale, struct creel_err *err)
{
	json_t *j = file_read(path, err), *asks = creel_lock_asks(r, arch);
	json_t *e = json_object_get(json_object_get(j, "images"), name);
	int rc = err->code;

	*ret = NULL;
	*ret_stale = e && !json_equal(json_object_get(e, "asks"), asks);
	if (e && !*ret_stale) {
		if (entry_ok(e))
			*ret = json_incref(e);
		else
			rc = creel_err_set(
				err, CREEL_E_CONFIG, 0,
				"%s: the entry of %s is not right; creel build --update makes it anew", path,
				name);
	}
	json_decref(asks);
	json_decref(j);
	return rc;
}

char *creel_lock_text(const json_t *entry)
{
	return json_dumps(entry, JSON_COMPACT | JSON_SORT_KEYS);
}

static int replace(const char *path, const char *text, struct creel_err *err)
{
	char tmp[PATH_MAX];

	(void)snprintf(tmp, sizeof(tmp), "%s.new", path);
	autofd int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	size_t len = strlen(text);
	if (fd < 0 || write(fd, text, len) != (ssize_t)len || fsync(fd) < 0 || rename(tmp, path) < 0) {
		int e = errno;
		(void)unlink(tmp);
		return creel_err_set(err, CREEL_E_OS, e, "write %s", path);
	}
	return 1;
}

int creel_lock_write(const char *path, const char *name, json_t *entry, struct creel_err *err)
{
	json_t *j = file_read(path, err);
	int r = err->code;

	if (r < 0)
		return r;
	if (!j)
		j = json_pack("{s:i, s:{}}", "version", 1, "images");
	json_t *images = json_object_get(j, "images");
	if (json_equal(json_object_get(images, name), entry)) {
		json_decref(j);
		return 0;
	}
	if (json_object_set(images, name, entry) < 0) {
		json_decref(j);
		return creel_err_nomem(err);
	}
	autofree char *text = json_dumps(j, JSON_INDENT(1) | JSON_SORT_KEYS);
	json_decref(j);
	if (!text)
		return creel_err_nomem(err);
	return replace(path, text, err);
}
