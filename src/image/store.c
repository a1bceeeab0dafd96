#include "image/store.h"
#include "base/cleanup.h"
#include "image/bom.h"
#include "image/lock.h"
#include "image/tree.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

static int dir_make(const char *cache, const char *name, struct creel_err *err)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", cache, name);
	return creel_tree_mkdirs(path, err);
}

int store_lock(const char *cache, struct creel_err *err)
{
	char path[PATH_MAX];
	int r = dir_make(cache, "images", err);

	if (r == 0)
		r = dir_make(cache, "refs", err);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s/lock", cache);
	autofd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	while (fd >= 0 && flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return creel_err_set(err, CREEL_E_OS, errno, "lock %s", path);
	return fd < 0 ? creel_err_set(err, CREEL_E_OS, errno, "lock %s", path) : steal_fd(&fd);
}

bool store_has(const char *cache, struct creel_image *image)
{
	(void)snprintf(image->dir, sizeof(image->dir), "%.430s/images/%s", cache, image->id);
	return access(image->dir, F_OK) == 0;
}

int store_ref_read(const char *cache, const char *key, char ret_id[65])
{
	char path[PATH_MAX], id[66] = "";

	(void)snprintf(path, sizeof(path), "%.440s/refs/%.64s", cache, key);
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || read(fd, id, 65) < 64 || strspn(id, "0123456789abcdef") != 64)
		return CREEL_E_NOTFOUND;
	id[64] = '\0';
	memcpy(ret_id, id, 65);
	return 0;
}

int store_ref_write(const char *cache, const char *key, const char *id, struct creel_err *err)
{
	char path[PATH_MAX], tmp[PATH_MAX];
	struct creel_err ignored = {0};

	(void)snprintf(path, sizeof(path), "%.440s/refs/%.64s", cache, key);
	(void)snprintf(tmp, sizeof(tmp), "%s/refs/new", cache);
	(void)creel_tree_remove(tmp, &ignored);
	int r = creel_tree_write(tmp, id, 64, err);
	if (r == 0 && rename(tmp, path) < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "write %s", path);
	return r;
}

void store_used(const struct creel_image *image)
{
	/* as another user than the cache's owner this fails, and costs no more than its place in the order */
	(void)utimensat(AT_FDCWD, image->dir, NULL, 0);
}

/* What the steps own, removed by a step: the ids are not ours. */
static int clear_as_step(struct build *b, struct creel_err *err)
{
	static const char *const argv[] = {"/usr/bin/find", "/work", "-mindepth", "1", "-delete", NULL};
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/work", b->tmp);
	if (access(path, F_OK) < 0)
		return 0;
	(void)snprintf(path, sizeof(path), "%s/in", b->tmp);
	(void)mkdir(path, 0755);
	return build_run(b, &(struct run){.argv = argv, .caps = true}, err);
}

int store_clear(struct build *b, struct creel_err *err)
{
	int r = b->ids.root ? 0 : clear_as_step(b, err);

	/* processes of a builder that was killed end a moment after its lock is free */
	for (int i = 0; r == 0 && i < 100; i++) {
		struct timespec wait = {.tv_nsec = 100000000};
		struct creel_err now = {0};
		if (creel_tree_remove(b->tmp, &now) == 0)
			return 0;
		if (now.os != ENOTEMPTY && now.os != EBUSY && now.os != EEXIST) {
			*err = now;
			return creel_err_add(err, "remove what an earlier build left");
		}
		(void)nanosleep(&wait, NULL);
	}
	return r < 0 ? r : creel_err_set(err, CREEL_E_BUSY, 0, "%s is in use by something else", b->tmp);
}

static int json_give(struct build *b, const char *name, json_t *j, struct creel_err *err)
{
	autofree char *text = j ? json_dumps(j, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
	char path[PATH_MAX];

	json_decref(j);
	if (!text)
		return creel_err_nomem(err);
	(void)snprintf(path, sizeof(path), "%s/out/%s", b->tmp, name);
	return creel_tree_write(path, text, strlen(text), err);
}

int store_publish(struct build *b, struct creel_image *image, struct creel_err *err)
{
	static const char *const files[] = {"root.erofs", "vmlinuz", "initramfs.cpio"};
	char path[PATH_MAX], out[440];
	time_t now = time(NULL);
	int r;

	(void)snprintf(out, sizeof(out), "%s/out", b->tmp);
	for (size_t i = 0; i < ELEMENTSOF(files); i++) {
		(void)snprintf(path, sizeof(path), "%.440s/out/%s", b->tmp, files[i]);
		if (chmod(path, 0444) < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "publish %s", files[i]);
	}
	r = json_give(b, "lock.json", json_incref(b->lock), err);
	if (r == 0)
		r = json_give(b, "bom.json", creel_bom_make(b, image->id), err);
	if (r == 0)
		r = json_give(b, "manifest.json",
			      json_pack("{s:s, s:s, s:I}", "id", image->id, "recipe", b->spec->name, "built",
					(json_int_t)now),
			      err);
	if (r < 0)
		return r;
	if (store_has(b->env->cache, image)) /* the same from other sources: what is there is in use */
		return 0;
	autofd int fd = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* the name must not survive a power cut that the content did not */
	if (fd < 0 || syncfs(fd) < 0 || rename(out, image->dir) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "publish the image");
	return 0;
}

json_t *creel_image_json(const char *dir, const char *name, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	char path[PATH_MAX];

	creel_buf_init(&text, 64 << 20);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (creel_tree_read(path, &text, err) < 0)
		return NULL;
	json_t *j = json_loadb(creel_buf_str(&text), text.len, 0, NULL);
	if (!j)
		creel_err_set(err, CREEL_E_BROKEN, 0,
			      "%s is damaged: creel build --prune --all, then build again", path);
	return j;
}
