#include "image/image.h"
#include "image/builtin.h"
#include "image/install.h"
#include "image/tree.h"
#include "wire/cpio.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char format_version[] = "creel-image-2";

/* In the order in which they are loaded; what the kernel has built in is passed over. */
static const char *const modules[] = {
	"drivers/virtio/virtio_ring", "drivers/virtio/virtio",	  "drivers/virtio/virtio_mmio",
	"drivers/block/virtio_blk",   "net/core/failover",	  "drivers/net/net_failover",
	"drivers/net/virtio_net",     "drivers/char/virtio_console", "fs/fuse/fuse",
	"fs/fuse/virtiofs",	      "fs/overlayfs/overlay",	  "lib/libcrc32c",
	"fs/erofs/erofs",	      "fs/mbcache",		  "fs/jbd2/jbd2",
	"fs/ext4/ext4",
};

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

static int hash_file(crypto_generichash_state *h, const char *path, struct creel_err *err)
{
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t buf[65536];
	ssize_t n;

	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		crypto_generichash_update(h, buf, (unsigned long long)n);
	return n < 0 ? creel_err_set(err, CREEL_E_OS, errno, "read %s", path) : 0;
}

static int hash_source(crypto_generichash_state *h, int dirfd, const char *name, struct creel_err *err)
{
	char path[64];

	/* beneath the recipe's folder; what is installed is opened the same way, without links */
	autofd int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return creel_err_set(err, CREEL_E_CONFIG, errno, "source %s", name);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return hash_file(h, path, err);
}

static void hash_word(crypto_generichash_state *h, const char *s)
{
	crypto_generichash_update(h, (const unsigned char *)s, strlen(s) + 1);
}

static bool sources_glob(glob_t *g)
{
	*g = (glob_t){0};
	(void)glob("/etc/apt/sources.list", 0, NULL, g);
	(void)glob("/etc/apt/sources.list.d/*.list", GLOB_APPEND, NULL, g);
	(void)glob("/etc/apt/sources.list.d/*.sources", GLOB_APPEND, NULL, g);
	return g->gl_pathc > 0;
}

static int id_make(const struct creel_image_spec *spec, const struct creel_image_env *env,
		   const glob_t *sources, char ret[65], struct creel_err *err)
{
	crypto_generichash_state h;
	uint8_t sum[32];
	int r;

	if (sodium_init() < 0)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "libsodium does not start");
	crypto_generichash_init(&h, NULL, 0, sizeof(sum));
	hash_word(&h, format_version);
	hash_word(&h, spec->name);
	crypto_generichash_update(&h, spec->recipe->hash, sizeof(spec->recipe->hash));
	for (size_t i = 0; i < spec->recipe->files.n; i++)
		if (spec->recipe->files.v[i].source.s &&
		    (r = hash_source(&h, spec->dirfd, spec->recipe->files.v[i].source.s, err)) < 0)
			return r;
	for (size_t i = 0; i < ELEMENTSOF(modules); i++)
		hash_word(&h, modules[i]);
	for (size_t i = 0; i < sources->gl_pathc; i++)
		if ((r = hash_file(&h, sources->gl_pathv[i], err)) < 0)
			return r;
	if ((r = hash_file(&h, env->init_path, err)) < 0)
		return r;
	crypto_generichash_final(&h, sum, sizeof(sum));
	sodium_bin2hex(ret, 65, sum, sizeof(sum));
	return 0;
}

struct build {
	const struct creel_image_spec *spec;
	const struct creel_image_env *env;
	glob_t sources;
	char tmp[400]; /* the work folder, below the cache */
	int step, steps;
	struct creel_buf *tail;
};

static void step(struct build *b, const char *what)
{
	if (b->env->progress)
		b->env->progress(b->env->ctx, ++b->step, b->steps, what);
}

/* The last lines of a tool's output, for the error message's reader. */
static void tail_take(struct build *b, const char *log)
{
	struct creel_err err = {0};
	autofd int fd = open(log, O_RDONLY | O_CLOEXEC);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	char buf[2048];

	if (!b->tail || size <= 0)
		return;
	ssize_t n = pread(fd, buf, sizeof(buf), size > (off_t)sizeof(buf) ? size - (off_t)sizeof(buf) : 0);
	if (n > 0)
		(void)creel_buf_add(b->tail, buf, (size_t)n, &err);
}

/*
 * Run a tool with no home, an environment of three words, its output in a log, dying with us.
 */
static int run(struct build *b, const char *const argv[], struct creel_err *err)
{
	char log[512];
	pid_t pid;
	int ws = 0;

	(void)snprintf(log, sizeof(log), "%s/log", b->tmp);
	autofd int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", log);
	pid = fork();
	if (pid == 0) {
		static const char cas[] = "/etc/ssl/certs/ca-certificates.crt";
		static const char cafile[] = "npm_config_cafile=/etc/ssl/certs/ca-certificates.crt";
		char home[440], npm[560];
		const char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
					   "SOURCE_DATE_EPOCH=1", home, npm,
					   /* the machine's own trust, as apt has it: Node brings another */
					   access(cas, R_OK) == 0 ? cafile : NULL, NULL};
		int null = open("/dev/null", O_RDONLY);
		(void)snprintf(home, sizeof(home), "HOME=%s/home", b->tmp);
		(void)snprintf(npm, sizeof(npm), "npm_config_cache=%s/npm", b->env->cache);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(null, 0);
		dup2(fd, 1);
		dup2(fd, 2);
		close_range(3, ~0U, 0);
		if (chdir(b->tmp) == 0)
			execvpe(argv[0], (char **)argv, (char **)env);
		dprintf(2, "%s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	if (pid < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "start %s", argv[0]);
	while (waitpid(pid, &ws, 0) < 0)
		if (errno != EINTR)
			return creel_err_set(err, CREEL_E_OS, errno, "wait for %s", argv[0]);
	if (WIFEXITED(ws) && WEXITSTATUS(ws) == 0)
		return 0;
	tail_take(b, log);
	return creel_err_set(err, CREEL_E_CHILD, 0, "%s failed with status %d", argv[0],
			     WIFEXITED(ws) ? WEXITSTATUS(ws) : 128 + WTERMSIG(ws));
}

static int mmdebstrap(struct build *b, const char *variant, const char *include, const char *hook,
		      const char *dir, struct creel_err *err)
{
	const char *argv[64];
	size_t n = 0;

	argv[n++] = "mmdebstrap";
	argv[n++] = "--mode=root";
	argv[n++] = variant;
	argv[n++] = include;
	argv[n++] = "--dpkgopt=path-exclude=/usr/share/man/*";
	argv[n++] = "--dpkgopt=path-exclude=/usr/share/doc/*";
	argv[n++] = "--dpkgopt=path-include=/usr/share/doc/*/copyright";
	argv[n++] = "--dpkgopt=path-exclude=/usr/share/locale/*";
	if (hook)
		argv[n++] = hook;
	argv[n++] = b->spec->recipe->debian.suite.s;
	argv[n++] = dir;
	for (size_t i = 0; i < b->sources.gl_pathc && n + 1 < ELEMENTSOF(argv); i++)
		argv[n++] = b->sources.gl_pathv[i];
	argv[n] = NULL;
	return run(b, argv, err);
}

static int tree_debian(struct build *b, struct creel_err *err)
{
	/* what differs from one build to the next, and what a cell has no use for */
	static const char hook[] =
		"--customize-hook=rm -rf \"$1\"/var/log/* \"$1\"/var/cache/apt/* "
		"\"$1\"/var/cache/ldconfig \"$1\"/var/lib/apt/lists/* \"$1\"/etc/machine-id "
		"\"$1\"/var/lib/dbus/machine-id \"$1\"/etc/resolv.conf \"$1\"/etc/hostname "
		"\"$1\"/etc/apt/sources.list.d/* \"$1\"/dev/* \"$1\"/run/* \"$1\"/tmp/*; "
		"mkdir -p \"$1\"/persist \"$1\"/run/secrets \"$1\"/var/log; : > \"$1\"/etc/machine-id";
	const struct creel_strs *packages = &b->spec->recipe->debian.packages;
	struct creel_buf autoclean(creel_buf_fini) include;
	int r;

	creel_buf_init(&include, 65536);
	/* e2fsprogs: creel-init makes, checks and grows volumes with it */
	r = creel_buf_adds(&include, "--include=e2fsprogs", err);
	for (size_t i = 0; r == 0 && i < packages->n; i++)
		r = creel_buf_addf(&include, err, ",%s", packages->v[i].s);
	return r < 0 ? r : mmdebstrap(b, "--variant=minbase", creel_buf_str(&include), hook, "root", err);
}

/* No lifecycle script runs: what a package wants to do at its installation, it does not do. */
static int tree_npm(struct build *b, struct creel_err *err)
{
	const struct creel_strs *npm = &b->spec->recipe->npm;
	const char *argv[96] = {"npm",	       "install",   "--prefix",	   "root/opt/npm", "--ignore-scripts",
				"--omit=dev",  "--no-audit", "--no-fund",  "--no-update-notifier",
				"--no-save",   "--loglevel=error"};
	char path[480];
	size_t n = 11;

	if (b->spec->recipe->npm_scripts.n > 0)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "npm_scripts: lifecycle scripts are not run yet");
	for (size_t i = 0; i < npm->n; i++) {
		if (n + 2 > ELEMENTSOF(argv))
			return creel_err_set(err, CREEL_E_TOOBIG, 0, "over 80 npm packages");
		argv[n++] = npm->v[i].s;
	}
	argv[n] = NULL;
	(void)snprintf(path, sizeof(path), "%s/home", b->tmp);
	int r = creel_tree_mkdirs(path, err);
	(void)snprintf(path, sizeof(path), "%s/root/opt/npm", b->tmp);
	if (r == 0)
		r = creel_tree_mkdirs(path, err);
	return r < 0 ? r : run(b, argv, err);
}

static int tree_install(struct build *b, struct creel_err *err)
{
	const struct creel_recipe *recipe = b->spec->recipe;
	char path[480];
	int r;

	(void)snprintf(path, sizeof(path), "%s/root", b->tmp);
	autofd int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %s", path);
	r = creel_install_users(root, recipe, err);
	if (r == 0)
		r = creel_install_npm_links(root, recipe, err);
	if (r == 0 && strcmp(b->spec->name, "openclaw") == 0)
		r = creel_install_openclaw(root, err);
	return r < 0 ? r : creel_install_files(root, b->spec->dirfd, recipe, err);
}

static int root_make(struct build *b, struct creel_err *err)
{
	const struct creel_recipe *recipe = b->spec->recipe;
	int r;

	if (recipe->go.n > 0 || recipe->url.n > 0)
		return creel_err_set(err, CREEL_E_UNSUPP, 0, "recipe: `go` and `url` are not built yet");
	step(b, "Debian packages");
	r = tree_debian(b, err);
	if (r == 0 && recipe->npm.n > 0) {
		step(b, "npm packages");
		r = tree_npm(b, err);
	}
	if (r == 0)
		r = tree_install(b, err);
	if (r < 0)
		return r;
	step(b, "the root file system");
	return run(b, (const char *const[]){"mkfs.erofs", "-T0", "-U",
					    "c4ee1000-0000-4000-8000-000000000001", "root.erofs", "root",
					    NULL},
		   err);
}

static int initramfs_make(struct build *b, const char *kernel_dir, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) out, autoclean(creel_buf_fini) list,
		autoclean(creel_buf_fini) file;
	struct creel_cpio c;
	char path[PATH_MAX], name[128];
	int r;

	creel_buf_init(&out, 64 << 20);
	creel_buf_init(&list, 8192);
	creel_buf_init(&file, 16 << 20);
	creel_cpio_begin(&c, &out);
	static const char *const dirs[] = {"creel", "dev", "lib", "proc", "sys"};
	r = 0;
	for (size_t i = 0; r == 0 && i < ELEMENTSOF(dirs); i++)
		r = creel_cpio_add(&c, dirs[i], S_IFDIR | 0755, NULL, 0, err);
	/* the kernel opens it before /init runs */
	if (r == 0)
		r = creel_cpio_add_chrdev(&c, "dev/console", 0600, 5, 1, err);
	if (r == 0)
		r = creel_tree_read(b->env->init_path, &file, err);
	if (r == 0)
		r = creel_cpio_add(&c, "init", S_IFREG | 0755, file.data, file.len, err);
	for (size_t i = 0; r == 0 && i < ELEMENTSOF(modules); i++) {
		(void)snprintf(path, sizeof(path), "%s/kernel/%s.ko", kernel_dir, modules[i]);
		if (access(path, F_OK) < 0)
			continue;
		(void)snprintf(name, sizeof(name), "lib/%s.ko", strrchr(modules[i], '/') + 1);
		creel_buf_clear(&file);
		if ((r = creel_tree_read(path, &file, err)) == 0 &&
		    (r = creel_cpio_add(&c, name, S_IFREG | 0644, file.data, file.len, err)) == 0)
			r = creel_buf_addf(&list, err, "/%s\n", name);
	}
	if (r == 0)
		r = creel_cpio_add(&c, "creel/modules", S_IFREG | 0644, list.data, list.len, err);
	if (r == 0)
		r = creel_cpio_end(&c, err);
	if (r < 0)
		return creel_err_add(err, "initramfs");
	(void)snprintf(path, sizeof(path), "%s/initramfs.cpio", b->tmp);
	return creel_tree_write(path, out.data, out.len, err);
}

static int kernel_make(struct build *b, struct creel_err *err)
{
	char pattern[PATH_MAX], to[PATH_MAX];
	int r = mmdebstrap(b, "--variant=extract", "--include=linux-image-cloud-amd64", NULL, "kroot",
			   err);

	if (r < 0)
		return r;
	glob_t kernel = {0}, mods = {0};
	(void)snprintf(pattern, sizeof(pattern), "%s/kroot/boot/vmlinuz-*", b->tmp);
	int a = glob(pattern, 0, NULL, &kernel);
	(void)snprintf(pattern, sizeof(pattern), "%s/kroot/lib/modules/*", b->tmp);
	int m = glob(pattern, 0, NULL, &mods);
	(void)snprintf(to, sizeof(to), "%s/vmlinuz", b->tmp);
	if (a != 0 || m != 0)
		r = creel_err_set(err, CREEL_E_NOTFOUND, 0, "the kernel's package holds no kernel");
	else if (rename(kernel.gl_pathv[0], to) < 0)
		r = creel_err_set(err, CREEL_E_OS, errno, "move the kernel");
	else
		r = initramfs_make(b, mods.gl_pathv[0], err);
	globfree(&kernel);
	globfree(&mods);
	return r;
}

/* Move the three files and the manifest into a folder of their own and give it its name. */
static int publish(struct build *b, const char *id, const char *dir, struct creel_err *err)
{
	static const char *const files[] = {"root.erofs", "vmlinuz", "initramfs.cpio"};
	struct creel_buf autoclean(creel_buf_fini) json;
	char from[PATH_MAX], to[PATH_MAX], out[PATH_MAX];
	int r;

	(void)snprintf(out, sizeof(out), "%s/out", b->tmp);
	if (mkdir(out, 0755) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make %s", out);
	for (size_t i = 0; i < ELEMENTSOF(files); i++) {
		(void)snprintf(from, sizeof(from), "%s/%s", b->tmp, files[i]);
		(void)snprintf(to, sizeof(to), "%s/out/%s", b->tmp, files[i]);
		if (chmod(from, 0444) < 0 || rename(from, to) < 0)
			return creel_err_set(err, CREEL_E_OS, errno, "move %s", files[i]);
	}
	creel_buf_init(&json, 65536);
	r = creel_buf_addf(&json, err, "{\"id\":\"%s\",\"recipe\":\"%s\",\"suite\":\"%s\",\"packages\":[",
			   id, b->spec->name, b->spec->recipe->debian.suite.s);
	for (size_t i = 0; r == 0 && i < b->spec->recipe->debian.packages.n; i++)
		r = creel_buf_addf(&json, err, "%s\"%s\"", i ? "," : "",
				   b->spec->recipe->debian.packages.v[i].s);
	if (r == 0)
		r = creel_buf_adds(&json, "],\"npm\":[", err);
	for (size_t i = 0; r == 0 && i < b->spec->recipe->npm.n; i++)
		r = creel_buf_addf(&json, err, "%s\"%s\"", i ? "," : "", b->spec->recipe->npm.v[i].s);
	if (r == 0)
		r = creel_buf_adds(&json, "]}\n", err);
	(void)snprintf(to, sizeof(to), "%s/out/manifest.json", b->tmp);
	if (r == 0)
		r = creel_tree_write(to, json.data, json.len, err);
	if (r < 0)
		return r;
	sync(); /* the name must not survive a power cut that the content did not */
	if (rename(out, dir) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "publish the image");
	return 0;
}

static int build_locked(struct build *b, const char *id, const char *dir, struct creel_err *err)
{
	int r;

	(void)snprintf(b->tmp, sizeof(b->tmp), "%s/building", b->env->cache);
	if ((r = creel_tree_remove(b->tmp, err)) < 0)
		return creel_err_add(err, "remove what an earlier build left");
	if (mkdir(b->tmp, 0755) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "make %s", b->tmp);
	b->steps = b->spec->recipe->npm.n > 0 ? 6 : 5;
	r = root_make(b, err);
	if (r == 0) {
		step(b, "the kernel and its modules");
		r = kernel_make(b, err);
	}
	if (r == 0) {
		step(b, "publishing");
		r = publish(b, id, dir, err);
	}
	struct creel_err ignored = {0};
	(void)creel_tree_remove(b->tmp, &ignored);
	if (r == 0)
		step(b, "done");
	return r;
}

int creel_image_build(const struct creel_image_spec *spec, const struct creel_image_env *env,
		      struct creel_image *ret, struct creel_buf *tail, struct creel_err *err)
{
	struct build b = {.spec = spec, .env = env, .tail = tail};
	struct creel_image out = {0};
	char path[PATH_MAX];
	int r;

	if (!sources_glob(&b.sources))
		return creel_err_set(err, CREEL_E_NOTFOUND, 0, "this machine has no apt sources");
	r = id_make(spec, env, &b.sources, out.id, err);
	if (r == 0 && (size_t)snprintf(out.dir, sizeof(out.dir), "%s/images/%s", env->cache, out.id) >=
			      sizeof(out.dir))
		r = creel_err_set(err, CREEL_E_TOOBIG, 0, "the cache's path is too long");
	if (r == 0 && access(out.dir, F_OK) < 0) {
		if (geteuid() != 0)
			r = creel_err_set(err, CREEL_E_DENIED, 0,
					  "building an image needs root for now; try: sudo creel build");
		(void)snprintf(path, sizeof(path), "%s/images", env->cache);
		if (r == 0)
			r = creel_tree_mkdirs(path, err);
		(void)snprintf(path, sizeof(path), "%s/lock", env->cache);
		autofd int lock = r < 0 ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (r == 0 && (lock < 0 || flock(lock, LOCK_EX) < 0))
			r = creel_err_set(err, CREEL_E_OS, errno, "lock %s", path);
		if (r == 0 && access(out.dir, F_OK) < 0) { /* the other builder may have made it */
			r = build_locked(&b, out.id, out.dir, err);
			out.built = r == 0;
		}
	}
	globfree(&b.sources);
	if (r < 0)
		return creel_err_add(err, "image %s", spec->name);
	*ret = out;
	return 0;
}
