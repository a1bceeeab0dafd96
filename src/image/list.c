#include "base/cleanup.h"
#include "image/store.h"
#include "image/tree.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

static bool is_id(const char *name)
{
	return strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64;
}

/* Each running machine holds its root disk open: its id is put into @p set. */
static void in_use_of(const char *pid, const char *images, json_t *set)
{
	char path[300], target[PATH_MAX];
	size_t n = strlen(images);

	(void)snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	autodir DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		(void)snprintf(path, sizeof(path), "/proc/%.20s/fd/%.20s", pid, e->d_name);
		ssize_t len = readlink(path, target, sizeof(target) - 1);
		if (len < (ssize_t)n + 65)
			continue;
		target[len] = '\0';
		if (strncmp(target, images, n) != 0 || target[n] != '/' || target[n + 65] != '/')
			continue;
		target[n + 65] = '\0';
		(void)json_object_set_new(set, target + n + 1, json_true());
	}
}

static json_t *in_use(const char *images)
{
	char real[PATH_MAX];
	json_t *set = json_object();
	autodir DIR *d = opendir("/proc");

	if (!realpath(images, real))
		return set;
	for (struct dirent *e; d && (e = readdir(d));)
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
			in_use_of(e->d_name, real, set);
	return set;
}

static json_int_t size_of(const char *dir)
{
	json_int_t size = 0;
	autodir DIR *d = opendir(dir);
	struct stat st;

	for (struct dirent *e; d && (e = readdir(d));)
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			size += (json_int_t)st.st_blocks * 512;
	return size;
}

static int by_use(const void *a, const void *b)
{
	json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "used")),
		   y = json_integer_value(json_object_get(*(json_t *const *)b, "used"));

	return x < y ? -1 : x > y;
}

static json_t *sorted(json_t *list)
{
	size_t n = json_array_size(list), i;
	autofree json_t **v = calloc(n + 1, sizeof(*v));
	json_t *p, *out = v ? json_array() : NULL;

	if (out) {
		json_array_foreach (list, i, p)
			v[i] = p;
		qsort(v, n, sizeof(*v), by_use);
		for (i = 0; i < n; i++)
			(void)json_array_append(out, v[i]);
	}
	json_decref(list);
	return out;
}

json_t *creel_image_list(const char *cache, struct creel_err *err)
{
	char images[PATH_MAX], dir[PATH_MAX + 300];
	json_t *list = json_array();

	(void)snprintf(images, sizeof(images), "%s/images", cache);
	autodir DIR *d = opendir(images);
	if (!d && errno != ENOENT) {
		creel_err_set(err, CREEL_E_OS, errno, "open %s", images);
		json_decref(list);
		return NULL;
	}
	json_t *used = in_use(images);
	for (struct dirent *e; d && (e = readdir(d));) {
		struct creel_err ignored = {0};
		struct stat st;
		(void)snprintf(dir, sizeof(dir), "%s/%s", images, e->d_name);
		if (!is_id(e->d_name) || stat(dir, &st) < 0)
			continue;
		json_t *m = creel_image_json(dir, "manifest.json", &ignored);
		const char *recipe = json_string_value(json_object_get(m, "recipe"));
		(void)json_array_append_new(list,
					    json_pack("{s:s, s:s, s:I, s:I, s:I, s:b}", "id", e->d_name,
						      "recipe", recipe ? recipe : "?", "built",
						      json_integer_value(json_object_get(m, "built")), "size",
						      size_of(dir), "used", (json_int_t)st.st_mtime, "in_use",
						      json_object_get(used, e->d_name) != NULL));
		json_decref(m);
	}
	json_decref(used);
	list = sorted(list);
	if (!list)
		(void)creel_err_nomem(err);
	return list;
}

/* Is there one of the same recipe that was used later? */
static bool newer(json_t *list, size_t at, const char *recipe)
{
	for (size_t i = at + 1; i < json_array_size(list); i++)
		if (strcmp(json_string_value(json_object_get(json_array_get(list, i), "recipe")), recipe) ==
		    0)
			return true;
	return false;
}

static int image_remove(const char *cache, const char *id, struct creel_err *err)
{
	char from[PATH_MAX], to[PATH_MAX];

	/* out of the way at once: what is half removed has no name that anybody looks for */
	(void)snprintf(from, sizeof(from), "%s/images/%s", cache, id);
	(void)snprintf(to, sizeof(to), "%s/images/.removed", cache);
	int r = creel_tree_remove(to, err);
	if (r == 0 && rename(from, to) < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "remove image %.12s", id);
	return r < 0 ? r : creel_tree_remove(to, err);
}

int creel_image_prune(const char *cache, bool all, json_t **ret, struct creel_err *err)
{
	autofd int lock = store_lock(cache, err);
	json_t *list = lock < 0 ? NULL : creel_image_list(cache, err), *p, *removed = json_array();
	size_t i;
	int r = list ? 0 : err->code;

	json_array_foreach (list, i, p) {
		if (r < 0 || json_is_true(json_object_get(p, "in_use")) ||
		    (!all && !newer(list, i, json_string_value(json_object_get(p, "recipe")))))
			continue;
		r = image_remove(cache, json_string_value(json_object_get(p, "id")), err);
		if (r == 0)
			(void)json_array_append(removed, p);
	}
	json_decref(list);
	if (r < 0)
		json_decref(removed);
	else
		*ret = removed;
	return r;
}
