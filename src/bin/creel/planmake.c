#include "planmake.h"
#include "gateplan.h"
#include "openclaw.h"
#include "policy/policytext.h"
#include "secrets.h"
#include "wire/bootcfg.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

enum { DOCKER_MS = 10 * 60000, GRACE_MS = 30000, READY_MS = 20 * 60000, FILE_MAX = 512 * 1024 };

/* Strings that the boot configuration borrows until it is encoded. */
struct strings {
	char *v[1024];
	size_t n;
};

static void strings_free(struct strings *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
}
CREEL_DEFINE_CLEANUP(struct strings, strings_free)

__attribute__((format(printf, 2, 3))) static const char *keep(struct strings *s, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;

	if (s->n == ELEMENTSOF(s->v))
		return NULL;
	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	return s->v[s->n++] = text;
}

void planmake_fini(struct planmake *p)
{
	creel_buf_fini(&p->text);
	creel_buf_fini(&p->boot);
	creel_buf_fini(&p->policy);
}

static const struct creel_user_cfg *user_find(const struct creel_recipe *r, const char *name)
{
	for (size_t i = 0; r && i < r->users.n; i++)
		if (strcmp(r->users.v[i].name.s, name) == 0)
			return &r->users.v[i];
	return NULL;
}

static int user_id(const struct creel_recipe *r, const char *name, uint32_t *ret, const char **ret_home,
		   struct creel_err *err)
{
	const struct creel_user_cfg *u = name ? user_find(r, name) : NULL;

	*ret = 0;
	*ret_home = "/root";
	if (!name || strcmp(name, "root") == 0)
		return 0;
	if (!u)
		return creel_err_set(err, CREEL_E_CONFIG, 0, "recipe: no user '%s' is declared", name);
	*ret = (uint32_t)u->uid.v;
	*ret_home = u->home.s ? u->home.s : "/";
	return 0;
}

static bool beneath(const char *path, const char *dir)
{
	size_t n = strlen(dir);
	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool in_volume(const struct creel_cell_cfg *cell, const char *path)
{
	for (size_t i = 0; i < cell->volumes.n; i++)
		if (beneath(path, cell->volumes.v[i].at.s))
			return true;
	return false;
}

static int source_read(int dirfd, const char *name, struct strings *s, const char **ret, size_t *ret_len,
		       struct creel_err *err)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	autofd int fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
	struct creel_buf autoclean(creel_buf_fini) b;
	uint8_t buf[16384];
	ssize_t n;

	creel_buf_init(&b, FILE_MAX);
	if (fd < 0)
		return creel_err_set(err, CREEL_E_CONFIG, errno, "recipe: source %s", name);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (creel_buf_add(&b, buf, (size_t)n, err) < 0)
			return creel_err_add(err, "recipe: source %s", name);
	if (n < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read %s", name);
	*ret_len = b.len;
	*ret = b.len > 0 && s->n < ELEMENTSOF(s->v) ? (s->v[s->n++] = creel_buf_steal(&b)) : "";
	return 0;
}

/* What lies in a volume, or is put back at each start, is the guest's to write: the rest is in the image. */
static int files_make(const struct creel_cell_cfg *cell, const struct creel_recipe *r, int dirfd,
		      struct creel_boot *b, struct strings *s, struct creel_err *err)
{
	for (size_t i = 0; r && i < r->files.n; i++) {
		const struct creel_file_cfg *f = &r->files.v[i];
		const char *home;
		if (f->link.s || !(f->declared.v || in_volume(cell, f->name.s)))
			continue;
		if (b->n_files == CREEL_BOOT_FILES)
			return creel_err_set(err, CREEL_E_CONFIG, 0, "recipe: over %d files for volumes",
					     CREEL_BOOT_FILES);
		struct creel_boot_file *to = &b->files[b->n_files++];
		*to = (struct creel_boot_file){
			.path = f->name.s, .mode = (uint32_t)f->mode.v, .declared = f->declared.v};
		int rc = user_id(r, f->owner.s, &to->uid, &home, err);
		to->gid = to->uid;
		if (rc == 0 && f->content.s) {
			to->content = f->content.s;
			to->content_len = strlen(f->content.s);
		} else if (rc == 0) {
			rc = source_read(dirfd, f->source.s, s, &to->content, &to->content_len, err);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* HOST:PORT[/PATH] without its host: the guest asks its own loopback */
static const char *after_host(const char *s)
{
	const char *slash = strchr(s, '/');
	const char *colon = s;

	for (const char *p = s; *p && (!slash || p < slash); p++)
		if (*p == ':')
			colon = p + 1;
	return colon;
}

/* argv as one sh(1) command: each word in single quotes */
static const char *shell_words(const struct creel_strs *words, struct strings *s)
{
	struct creel_buf autoclean(creel_buf_fini) b;
	struct creel_err err = {0};
	int r = 0;

	creel_buf_init(&b, 65536);
	for (size_t i = 0; r == 0 && i < words->n; i++) {
		r = creel_buf_adds(&b, i ? " '" : "'", &err);
		for (const char *p = words->v[i].s; r == 0 && *p; p++)
			r = *p == '\'' ? creel_buf_adds(&b, "'\\''", &err) : creel_buf_add(&b, p, 1, &err);
		if (r == 0)
			r = creel_buf_adds(&b, "'", &err);
	}
	return r < 0 ? NULL : keep(s, "%s", creel_buf_str(&b));
}

static int probe_make(const struct creel_service_cfg *f, struct creel_boot_service *to, struct strings *s,
		      struct creel_err *err)
{
	to->probe = CREEL_PROBE_NONE;
	to->probe_arg = "";
	to->probe_timeout_ms = 60000;
	if (f->ready.pos.line == 0)
		return 0;
	to->probe_timeout_ms = (uint32_t)f->ready.timeout.v;
	if (f->ready.http.s) {
		to->probe = CREEL_PROBE_HTTP;
		to->probe_arg = after_host(f->ready.http.s);
		if (!strchr(to->probe_arg, '/'))
			to->probe_arg = keep(s, "%s/", to->probe_arg);
	} else if (f->ready.tcp.s) {
		to->probe = CREEL_PROBE_TCP;
		to->probe_arg = after_host(f->ready.tcp.s);
	} else if (f->ready.command.n > 0) {
		to->probe = CREEL_PROBE_COMMAND;
		to->probe_arg = shell_words(&f->ready.command, s);
	}
	return to->probe_arg ? 0 : creel_err_nomem(err);
}

static const uint32_t on_secret[] = {
	[CREEL_ON_NONE] = 0,       [CREEL_ON_RESTART] = CREEL_ON_SECRET_RESTART,
	[CREEL_ON_HUP] = SIGHUP,   [CREEL_ON_USR1] = SIGUSR1,
	[CREEL_ON_USR2] = SIGUSR2,
};

static int service_make(const struct creel_recipe *r, const struct creel_service_cfg *f,
			struct creel_boot_service *to, struct strings *s, struct creel_err *err)
{
	const char *home = "/";
	size_t n_env = 0;

	*to = (struct creel_boot_service){.name = f->name.s, .env_file = "", .after = ""};
	int rc = user_id(r, f->user.s, &to->uid, &home, err);
	to->gid = to->uid;
	if (rc == 0 && (f->run.n > CREEL_BOOT_WORDS || f->environment.n + 2 > CREEL_BOOT_WORDS))
		rc = creel_err_set(err, CREEL_E_CONFIG, 0, "recipe: service %s has over %d words", f->name.s,
				   CREEL_BOOT_WORDS);
	if (rc == 0 && f->after.n > 1)
		rc = creel_err_set(err, CREEL_E_CONFIG, 0, "recipe: service %s: one `after` is possible",
				   f->name.s);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < f->run.n; i++)
		to->argv[i] = f->run.v[i].s;
	to->env[n_env++] = keep(s, "HOME=%s", home);
	for (size_t i = 0; i < f->environment.n; i++)
		to->env[n_env++] = keep(s, "%s=%s", f->environment.v[i].name.s, f->environment.v[i].value.s);
	for (size_t i = 0; i < n_env; i++)
		if (!to->env[i])
			return creel_err_nomem(err);
	to->home = f->dir.s ? f->dir.s : home;
	if (f->environment_file.s)
		to->env_file = f->environment_file.s;
	if (f->after.n == 1)
		to->after = f->after.v[0].s;
	to->restart = (enum creel_boot_restart)f->restart.v;
	to->on_secret = on_secret[f->on_secret.v];
	to->stop_grace_ms = (uint32_t)f->stop_timeout.v;
	return probe_make(f, to, s, err);
}

/* The built-in recipe's own file: what `settings:` becomes. */
static int openclaw_file(const struct creel_cell_cfg *cell, struct creel_boot *b, struct strings *s,
			 struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;

	creel_buf_init(&text, FILE_MAX);
	int r = openclaw_render(cell->settings.json, &text, err);
	if (r < 0)
		return r;
	if (!in_volume(cell, "/persist/openclaw"))
		return creel_err_set(err, CREEL_E_CONFIG, 0,
				     "recipe openclaw keeps its state in /persist; add this to the cell: "
				     "volumes: { persist: { size: 4GiB, at: /persist } }");
	if (s->n == ELEMENTSOF(s->v) || b->n_files == CREEL_BOOT_FILES)
		return creel_err_nomem(err);
	size_t len = text.len;
	const char *content = s->v[s->n++] = creel_buf_steal(&text);
	/* root's: an agent that could write it would switch its own defender off */
	b->files[b->n_files++] = (struct creel_boot_file){.path = "/etc/creel/openclaw.json",
							  .content = content,
							  .content_len = len,
							  .uid = 0,
							  .gid = 1000,
							  .mode = 0640,
							  .declared = true};
	return 0;
}

static const char *keep_text(void *ctx, char *text)
{
	struct strings *s = ctx;

	if (!text || s->n == ELEMENTSOF(s->v)) {
		free(text);
		return NULL;
	}
	return s->v[s->n++] = text;
}

static int owner_add(const struct creel_recipe *r, const char *secret, const char *owner,
		     struct creel_boot *b, struct creel_err *err)
{
	const char *home;

	if (b->n_secrets == CREEL_BOOT_SECRETS)
		return creel_err_set(err, CREEL_E_CONFIG, 0, "over %d secrets", CREEL_BOOT_SECRETS);
	struct creel_boot_secret *to = &b->secret[b->n_secrets++];
	to->name = secret;
	int rc = user_id(r, owner, &to->uid, &home, err);
	to->gid = to->uid;
	return rc;
}

/* What is not named here stays root's: the key of a tool's host. */
static int owners_make(const struct creel_cell_cfg *cell, const struct creel_recipe *r, struct creel_boot *b,
		       struct creel_err *err)
{
	const char *own = r ? creel_recipe_owner(r) : NULL;
	int rc = r && r->secrets_env.n ? owner_add(r, "gateway-env", own, b, err) : 0;

	for (size_t i = 0; rc == 0 && i < cell->secrets.n; i++) {
		const struct creel_secret_cfg *s = &cell->secrets.v[i];
		rc = owner_add(r, s->name.s, s->owner.s ? s->owner.s : own, b, err);
	}
	return rc;
}

/*
 * dockerd, whose data lasts with the volume. Its socket is the agent's, who is root in this cell by it:
 * that is what `docker` says.
 */
static int docker_make(const struct creel_recipe *r, struct creel_boot *b, struct strings *s,
		       struct creel_err *err)
{
	static const char start[] =
		"mountpoint -q /sys/fs/cgroup || mount -t cgroup2 -o nosuid,nodev,noexec none /sys/fs/cgroup; "
		"rm -f /run/docker.pid; exec /usr/sbin/dockerd \"$@\"";
	const char *home;
	uint32_t gid;
	int rc = user_id(r, creel_recipe_owner(r), &gid, &home, err);

	if (rc < 0)
		return rc;
	struct creel_boot_service *to = &b->services[b->n_services++];
	*to = (struct creel_boot_service){
		.name = "docker",
		.argv = {"/bin/sh", "-c", start, "dockerd", "--data-root=/persist/docker",
			 "--exec-root=/run/docker", "--pidfile=/run/docker.pid", "--log-level=warn",
			 "--storage-driver=overlay2", keep(s, "--group=%u", gid)},
		.env_file = "",
		.after = "",
		.home = "/",
		/* not `docker version`: twice a second a program of 60 MB would take the processor from dockerd's start */
		.probe = CREEL_PROBE_HTTP,
		.probe_arg = "unix:/run/docker.sock:/_ping",
		.probe_timeout_ms = DOCKER_MS,
		.restart = CREEL_RESTART_ALWAYS,
		.stop_grace_ms = 15000,
	};
	return to->argv[9] ? 0 : creel_err_nomem(err);
}

static int boot_make(const struct netplan *net, const struct creel_config *config,
		     const struct creel_cell_cfg *cell, const struct creel_recipe *r, int dirfd,
		     struct creel_buf *out, unsigned *ret_ready_ms, struct creel_err *err)
{
	struct strings autoclean(strings_free) s = {.n = 0};
	autofree struct creel_boot *b = calloc(1, sizeof(*b));

	if (!b)
		return creel_err_nomem(err);
	b->cell = cell->name.s;
	for (size_t i = 0; i < cell->volumes.n; i++)
		b->volumes[b->n_volumes++] = (struct creel_boot_volume){.name = cell->volumes.v[i].name.s,
									.at = cell->volumes.v[i].at.s};
	int rc = files_make(cell, r, dirfd, b, &s, err);
	if (rc == 0)
		rc = owners_make(cell, r, b, err);
	if (rc == 0 && strcmp(cell->recipe.s, "openclaw") == 0)
		rc = openclaw_file(cell, b, &s, err);
	if (rc == 0)
		rc = gateplan_files(net, &net->pairs, config, cell, b, keep_text, &s, err);
	if (rc == 0 && r && r->docker.v) {
		rc = docker_make(r, b, &s, err);
		*ret_ready_ms += DOCKER_MS;
	}
	for (size_t i = 0; rc == 0 && r && i < r->services.n; i++) {
		if (b->n_services == CREEL_BOOT_ITEMS)
			return creel_err_set(err, CREEL_E_CONFIG, 0, "recipe: over %d services",
					     CREEL_BOOT_ITEMS);
		struct creel_boot_service *to = &b->services[b->n_services++];
		rc = service_make(r, &r->services.v[i], to, &s, err);
		*ret_ready_ms += to->probe_timeout_ms;
	}
	return rc < 0 ? rc : creel_boot_encode(b, out, err);
}

static int plan_fill(const struct creel_cell_cfg *cell, const struct creel_image *image, struct creel_plan *p,
		     struct creel_err *err)
{
	(void)snprintf(p->cell, sizeof(p->cell), "%s", cell->name.s);
	(void)snprintf(p->recipe, sizeof(p->recipe), "%s", cell->recipe.s);
	(void)snprintf(p->image, sizeof(p->image), "%s", image->id);
	(void)snprintf(p->image_dir, sizeof(p->image_dir), "%s", image->dir);
	p->cpus = (unsigned)cell->cpus.v;
	p->memory_mib = (unsigned)(cell->memory.v >> 20);
	p->stop_grace_ms = GRACE_MS;
	if (cell->volumes.n > CREEL_PLAN_VOLUMES || cell->publish.n > CREEL_PLAN_PORTS)
		return creel_err_set(err, CREEL_E_CONFIG, 0,
				     "cell '%s': at most %d volumes and %d published ports", cell->name.s,
				     CREEL_PLAN_VOLUMES, CREEL_PLAN_PORTS);
	for (size_t i = 0; i < cell->volumes.n; i++) {
		const struct creel_volume_cfg *v = &cell->volumes.v[i];
		if (strlen(v->name.s) >= sizeof(p->volumes[0].name) ||
		    strlen(v->at.s) >= sizeof(p->volumes[0].at))
			return creel_err_set(err, CREEL_E_CONFIG, 0,
					     "volume '%s': its name is over 18 octets", v->name.s);
		(void)snprintf(p->volumes[i].name, sizeof(p->volumes[i].name), "%s", v->name.s);
		(void)snprintf(p->volumes[i].at, sizeof(p->volumes[i].at), "%s", v->at.s);
		p->volumes[i].octets = (uint64_t)v->size.v;
	}
	p->n_volumes = cell->volumes.n;
	for (size_t i = 0; i < cell->publish.n; i++) {
		(void)snprintf(p->ports[i].address, sizeof(p->ports[i].address), "%s",
			       cell->publish.v[i].address);
		p->ports[i].host = cell->publish.v[i].host;
		p->ports[i].guest = cell->publish.v[i].guest;
	}
	p->n_ports = cell->publish.n;
	return 0;
}

int planmake(const struct netplan *net, const struct creel_config *config, const struct creel_cell_cfg *cell,
	     const struct creel_recipe *recipe, int recipe_fd, const struct creel_image *image, bool kvm,
	     struct planmake *ret, struct creel_err *err)
{
	struct planmake out = {.plan = {.ready_limit_ms = READY_MS}};
	uint8_t hash[32];

	creel_buf_init(&out.text, CREEL_PLAN_MAX);
	creel_buf_init(&out.boot, CREEL_BOOT_MAX);
	creel_buf_init(&out.policy, CREEL_POLICYTEXT_MAX);
	int r = plan_fill(cell, image, &out.plan, err);
	if (r == 0)
		r = netplan_cell(net, config, cell, &out.plan, &out.policy, err);
	out.plan.kvm = kvm;
	if (r == 0)
		r = secrets_plan(cell, recipe, &out.plan, err);
	if (r == 0)
		r = pairs_plan(&net->pairs, cell, &out.plan, err);
	out.plan.gate = cell->gate.pos.line > 0;
	if (r == 0)
		r = boot_make(net, config, cell, recipe, recipe_fd, &out.boot, &out.plan.ready_limit_ms, err);
	if (r == 0) {
		crypto_generichash(hash, sizeof(hash), out.boot.data, out.boot.len, NULL, 0);
		sodium_bin2hex(out.plan.boot, sizeof(out.plan.boot), hash, sizeof(hash));
		r = creel_plan_encode(&out.plan, &out.text, err);
	}
	if (r < 0) {
		planmake_fini(&out);
		return creel_err_add(err, "cell '%s'", cell->name.s);
	}
	*ret = out;
	return 0;
}
