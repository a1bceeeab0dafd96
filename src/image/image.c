#include "image/image.h"
#include "base/clock.h"
#include "image/aptsources.h"
#include "image/bom.h"
#include "image/build.h"
#include "image/builtin.h"
#include "image/lock.h"
#include "image/store.h"
#include "image/tree.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/openat2.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static const char format_version[] = "creel-image-4";
enum { SOURCE_MAX = 32 << 20 };

int creel_image_builtin(const char *name, struct creel_recipe *ret, struct creel_err *err)
{
	struct creel_diags autoclean(creel_diags_fini) diags = {0};

	for (const struct creel_builtin *b = creel_builtins; b->name; b++)
		if (strcmp(b->name, name) == 0) {
			int r = creel_recipe_load(b->text, b->len, name, -1, ret, &diags, err);
			if (r < 0 && diags.n > 0)
				return creel_err_set(err, r, 0, "built-in recipe %s:%u: %s", name,
						     diags.v[0].pos.line, diags.v[0].msg);
			return r;
		}
	return creel_err_set(err, CREEL_E_NOTFOUND, 0, "no built-in recipe '%s'", name);
}

/* The builder's sources of the recipe's suite, as lines: /etc/apt, or the file that CREEL_APT_SOURCES
 * names (a host that is no Debian has none of its own). */
static int sources_take(const struct creel_recipe *recipe, struct creel_buf *out, struct creel_err *err)
{
	static const char *const patterns[] = {"/etc/apt/sources.list", "/etc/apt/sources.list.d/*.list",
					       "/etc/apt/sources.list.d/*.sources"};
	const char *own = getenv("CREEL_APT_SOURCES");
	glob_t g = {0};
	int found = 0, r = 0;

	for (size_t i = 0; i < (own ? 1 : ELEMENTSOF(patterns)); i++)
		(void)glob(own ? own : patterns[i], i > 0 ? GLOB_APPEND : 0, NULL, &g);
	for (size_t i = 0; r >= 0 && i < g.gl_pathc; i++) {
		struct creel_buf autoclean(creel_buf_fini) text;
		const char *path = g.gl_pathv[i], *dot = strrchr(path, '.');
		creel_buf_init(&text, 1 << 20);
		r = creel_tree_read(path, &text, err);
		if (r == 0)
			r = creel_aptsources_pick(creel_buf_str(&text), dot && strcmp(dot, ".sources") == 0,
						  recipe->debian.suite.s, recipe->debian.snapshot.s, out,
						  err);
		found += r > 0 ? r : 0;
	}
	globfree(&g);
	if (r >= 0 && found == 0)
		return creel_err_set(
			err, CREEL_E_NOTFOUND, 0,
			"no apt source of this machine has the suite %s; write one to a file and set "
			"CREEL_APT_SOURCES to its path",
			recipe->debian.suite.s);
	return r < 0 ? r : 0;
}

static void hash_word(crypto_generichash_state *h, const char *s)
{
	crypto_generichash_update(h, (const unsigned char *)s, strlen(s) + 1);
}

/* A file of the recipe's folder, beneath it and without links; @p to: keep a copy there for the steps */
static int source_take(const struct creel_image_spec *spec, size_t at, crypto_generichash_state *h,
		       const struct build *to, struct creel_err *err)
{
	const struct creel_file_cfg *f = &spec->recipe->files.v[at];
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	struct creel_buf autoclean(creel_buf_fini) data;
	uint8_t buf[65536], sum[32];
	char hex[65], name[40];
	ssize_t n = 0;

	creel_buf_init(&data, SOURCE_MAX);
	autofd int fd = (int)syscall(SYS_openat2, spec->dirfd, f->source.s, &how, sizeof(how));
	if (fd < 0)
		return creel_err_set(err, CREEL_E_CONFIG, errno, "%s line %u: source %s", spec->recipe->file,
				     f->source.pos.line, f->source.s);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (creel_buf_add(&data, buf, (size_t)n, err) < 0)
			return creel_err_add(err, "source %s", f->source.s);
	if (n < 0)
		return creel_err_set(err, CREEL_E_CONFIG, errno, "source %s", f->source.s);
	crypto_hash_sha256(sum, data.data, data.len);
	sodium_bin2hex(hex, sizeof(hex), sum, sizeof(sum));
	if (f->sha256.s && strcmp(hex, f->sha256.s) != 0)
		return creel_err_set(err, CREEL_E_CONFIG, 0, "%s line %u: %s has the SHA-256 %s",
				     spec->recipe->file, f->sha256.pos.line, f->source.s, hex);
	hash_word(h, hex);
	(void)snprintf(name, sizeof(name), "files/%zu", at);
	return to ? build_give(to, name, data.data, data.len, err) : 0;
}

static int sources_hash(const struct creel_image_spec *spec, const struct build *to, uint8_t ret[32],
			struct creel_err *err)
{
	crypto_generichash_state h;
	int r = 0;

	crypto_generichash_init(&h, NULL, 0, 32);
	for (size_t i = 0; r == 0 && i < spec->recipe->files.n; i++)
		if (spec->recipe->files.v[i].source.s)
			r = source_take(spec, i, &h, to, err);
	crypto_generichash_final(&h, ret, 32);
	return r;
}

/* What goes in, but for what is resolved: @p rest is that (an id), or where it is resolved (a key). */
static int hash_make(const struct creel_image_spec *spec, const struct creel_image_env *env,
		     const uint8_t files[32], const char *rest, char ret[65], struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) init;
	crypto_generichash_state h;
	uint8_t sum[32];

	creel_buf_init(&init, 16 << 20);
	int r = creel_tree_read(env->init_path, &init, err);
	crypto_generichash_init(&h, NULL, 0, sizeof(sum));
	hash_word(&h, format_version);
	/* a file's name is not what it holds; a built-in's may bring more than its recipe says */
	hash_word(&h, creel_recipe_is_path(spec->name) ? "" : spec->name);
	crypto_generichash_update(&h, spec->recipe->hash, sizeof(spec->recipe->hash));
	crypto_generichash_update(&h, files, 32);
	for (const char *const *m = build_modules; *m; m++)
		hash_word(&h, *m);
	for (const char *const *m = build_docker_modules; spec->recipe->docker.v && *m; m++)
		hash_word(&h, *m);
	crypto_generichash_update(&h, init.data, init.len);
	for (size_t i = 0; r == 0 && i < CREEL_IMAGE_GUEST && env->guest[i].path; i++) {
		struct creel_buf autoclean(creel_buf_fini) program;
		creel_buf_init(&program, 16 << 20);
		r = creel_tree_read(env->guest[i].path, &program, err);
		hash_word(&h, env->guest[i].name);
		crypto_generichash_update(&h, program.data, program.len);
	}
	hash_word(&h, rest);
	crypto_generichash_final(&h, sum, sizeof(sum));
	sodium_bin2hex(ret, 65, sum, sizeof(sum));
	return r;
}

static int id_make(const struct creel_image_spec *spec, const struct creel_image_env *env,
		   const uint8_t files[32], const json_t *lock, char ret[65], struct creel_err *err)
{
	autofree char *text = creel_lock_text(lock);

	return text ? hash_make(spec, env, files, text, ret, err) : creel_err_nomem(err);
}

/* The certificates that the builder trusts, for all steps; a machine without the usual file has none. */
static int ca_give(struct build *b, struct creel_err *err)
{
	const char *own = getenv("SSL_CERT_FILE");
	const char *path = own && own[0] ? own : "/etc/ssl/certs/ca-certificates.crt";
	struct creel_buf autoclean(creel_buf_fini) text;

	creel_buf_init(&text, 8 << 20);
	if (access(path, R_OK) < 0)
		return 0;
	int r = creel_tree_read(path, &text, err);
	if (r == 0)
		r = build_give(b, "ca.pem", text.data, text.len, err);
	if (r == 0)
		(void)snprintf(b->ca, sizeof(b->ca), "/in/ca.pem");
	return r;
}

/* Our programs for the guest; the step that installs them sees the build's folder and nothing else. */
static int guest_give(struct build *b, struct creel_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < CREEL_IMAGE_GUEST && b->env->guest[i].path; i++) {
		struct creel_buf autoclean(creel_buf_fini) program;
		char name[NAME_MAX];
		creel_buf_init(&program, 16 << 20);
		int n = snprintf(name, sizeof(name), "guest/%s", b->env->guest[i].name);
		/* one folder; the step that installs them makes the others */
		for (char *p = name + sizeof("guest/") - 1; n > 0 && *p; p++)
			if (*p == '/')
				*p = '!';
		r = creel_tree_read(b->env->guest[i].path, &program, err);
		if (r == 0)
			r = build_give(b, name, program.data, program.len, err);
	}
	return r;
}

int build_prepare(struct build *b, struct creel_err *err)
{
	static const char *const dirs[] = {"", "/in", "/in/files", "/in/guest", "/in/npm", "/out", "/work"};
	char path[PATH_MAX];
	int r = store_clear(b, err);

	for (size_t i = 0; r == 0 && i < ELEMENTSOF(dirs); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", b->tmp, dirs[i]);
		if (mkdir(path, i == 0 ? 0700 : 0755) < 0)
			r = creel_err_set(err, CREEL_E_OS, errno, "make %s", path);
	}
	if (r == 0 && b->ids.root && chown(path, b->ids.uid, b->ids.gid) < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "give %s to the build", path);
	b->counter_fd = r < 0 ? -1 : memfd_create("creel-fetched", MFD_CLOEXEC);
	void *counter = b->counter_fd >= 0 && ftruncate(b->counter_fd, sizeof(uint64_t)) == 0
				? mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED,
				       b->counter_fd, 0)
				: MAP_FAILED;
	if (r == 0 && counter == MAP_FAILED)
		r = creel_err_set(err, CREEL_E_OS, errno, "make the counter");
	else if (r == 0)
		b->counter = counter;
	if (r == 0)
		r = ca_give(b, err);
	return r < 0 ? r : guest_give(b, err);
}

static int parts_make(struct build *b, const char *sources, struct creel_err *err)
{
	const struct creel_recipe *recipe = b->spec->recipe;
	const struct {
		const char *what;
		bool wanted;
		int (*make)(struct build *b, struct creel_err *err);
	} parts[] = {
		{"npm packages", recipe->npm.n > 0, build_npm},
		{"Go programs", recipe->go.n > 0, build_go},
		{"downloads", recipe->url.n > 0, build_url},
		{"users and files", true, build_install},
		{"the root file system", true, build_erofs},
		{"the kernel and its modules", true, build_initramfs},
	};
	int r;

	b->steps = 2; /* Debian's packages, publishing */
	for (size_t i = 0; i < ELEMENTSOF(parts); i++)
		b->steps += parts[i].wanted;
	build_step(b, "Debian packages and the kernel");
	r = build_debian(b, sources, err);
	for (size_t i = 0; r == 0 && i < ELEMENTSOF(parts); i++)
		if (parts[i].wanted) {
			build_step(b, parts[i].what);
			r = parts[i].make(b, err);
			if (r < 0)
				return creel_err_add(err, "%s", parts[i].what);
		}
	return r;
}

static int build_locked(struct build *b, const char *sources, const uint8_t files[32],
			struct creel_image *out, struct creel_err *err)
{
	uint8_t staged[32];
	int r = build_prepare(b, err);

	if (r == 0)
		r = sources_hash(b->spec, b, staged, err);
	if (r == 0 && memcmp(files, staged, sizeof(staged)) != 0)
		r = creel_err_set(err, CREEL_E_BUSY, 0, "a file of the recipe changed meanwhile");
	if (r == 0)
		r = parts_make(b, sources, err);
	if (r == 0)
		r = id_make(b->spec, b->env, files, b->lock, out->id, err);
	if (r == 0) {
		build_step(b, "publishing");
		r = store_publish(b, out, err);
	}
	struct creel_err ignored = {0};
	(void)store_clear(b, &ignored);
	if (b->counter)
		(void)munmap(b->counter, sizeof(uint64_t));
	if (b->counter_fd >= 0)
		close(b->counter_fd);
	return r;
}

/* Find it, by the lock file's entry or by what the same build led to before; else make it. */
static int find_or_build(struct build *b, const char *sources, const uint8_t files[32], const char *key,
			 struct creel_image *out, struct creel_err *err)
{
	int r = b->pinned ? id_make(b->spec, b->env, files, b->lock, out->id, err)
			  : store_ref_read(b->env->cache, key, out->id);

	if (r == 0 && !b->spec->update && store_has(b->env->cache, out))
		return 0;
	if (r < 0 && b->pinned)
		return r;
	if (!b->pinned &&
	    !(b->lock = json_pack("{s:o}", "asks", creel_lock_asks(b->spec->recipe, build_arch()))))
		return creel_err_nomem(err);
	if (!(b->bom = json_object()))
		return creel_err_nomem(err);
	if ((r = creel_idmap_find(&b->ids, err)) < 0)
		return r;
	autofd int lock = store_lock(b->env->cache, err);
	if (lock < 0)
		return lock;
	b->lock_fd = lock;
	/* the other builder may have made it */
	if (!b->pinned)
		r = store_ref_read(b->env->cache, key, out->id);
	if (r == 0 && !b->spec->update && store_has(b->env->cache, out))
		return 0;
	r = build_locked(b, sources, files, out, err);
	if (r == 0)
		r = store_ref_write(b->env->cache, key, out->id, err);
	out->built = r == 0;
	return r;
}

/* What the recipe is at these sources, before anything is built. */
static int ask(struct build *b, uint8_t files[32], struct creel_buf *sources, char key[65],
	       struct creel_image *out, struct creel_err *err)
{
	const struct creel_image_spec *spec = b->spec;

	if (sodium_init() < 0)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "libsodium does not start");
	if (strchr(b->env->cache, ':') ||
	    (size_t)snprintf(b->tmp, sizeof(b->tmp), "%s/building", b->env->cache) >= sizeof(b->tmp))
		return creel_err_set(err, CREEL_E_INVALID, 0, "the cache's path is too long or holds a ':'");
	int r = sources_hash(spec, NULL, files, err);
	if (r == 0 && spec->lock_path)
		r = creel_lock_read(spec->lock_path, spec->lock_name, spec->recipe, build_arch(), &b->lock,
				    &out->stale, err);
	if (spec->update && b->lock) {
		json_decref(b->lock);
		b->lock = NULL;
	}
	b->pinned = out->pinned = b->lock != NULL;
	if (r == 0)
		r = sources_take(spec->recipe, sources, err);
	return r < 0 ? r : hash_make(spec, b->env, files, creel_buf_str(sources), key, err);
}

int creel_image_build(const struct creel_image_spec *spec, const struct creel_image_env *env,
		      struct creel_image *ret, struct creel_buf *tail, struct creel_err *err)
{
	struct build b = {.spec = spec, .env = env, .tail = tail, .lock_fd = -1, .counter_fd = -1};
	struct creel_buf autoclean(creel_buf_fini) sources;
	struct creel_image out = {0};
	uint8_t files[32];
	char key[65];

	creel_buf_init(&sources, 1 << 20);
	int64_t since = creel_clock_ms();
	int r = ask(&b, files, &sources, key, &out, err);
	if (r == 0)
		r = find_or_build(&b, creel_buf_str(&sources), files, key, &out, err);
	out.ms = (uint64_t)(creel_clock_ms() - since);
	json_decref(b.lock);
	json_decref(b.bom);
	if (r < 0)
		return creel_err_add(err, "image %s", spec->name);
	store_used(&out);
	*ret = out;
	return 0;
}

int creel_image_look(const struct creel_image_spec *spec, const struct creel_image_env *env,
		     struct creel_image *ret, bool *ret_there, struct creel_err *err)
{
	struct build b = {.spec = spec, .env = env, .lock_fd = -1, .counter_fd = -1};
	struct creel_buf autoclean(creel_buf_fini) sources;
	struct creel_image out = {0};
	uint8_t files[32];
	char key[65];

	creel_buf_init(&sources, 1 << 20);
	int r = ask(&b, files, &sources, key, &out, err);
	if (r == 0 && b.pinned)
		r = id_make(spec, env, files, b.lock, out.id, err);
	else if (r == 0 && store_ref_read(env->cache, key, out.id) < 0)
		out.id[0] = '\0';
	json_decref(b.lock);
	if (r < 0)
		return creel_err_add(err, "image %s", spec->name);
	*ret_there = out.id[0] && store_has(env->cache, &out);
	*ret = out;
	return 0;
}
