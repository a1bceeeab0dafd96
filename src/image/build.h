#pragma once
#include "base/buf.h"
#include "image/image.h"
#include "image/proxy.h"
#include "linux/idmap.h"
#include <jansson.h>
#include <limits.h>

/*
 * A build in progress: what its parts share. Within src/image only, and tests.
 *
 *   TMP/in     what we give to the steps; they see it as /in, read-only
 *   TMP/work   theirs: /work; its owner is the steps' root, and what lies in it is hostile to us
 *   TMP/log    the last step's output
 */
struct build {
	const struct creel_image_spec *spec;
	const struct creel_image_env *env;
	struct creel_idmap ids;
	char tmp[400];
	int lock_fd;       /* the cache's lock: steps hold it too, so that no next builder meets them */
	bool pinned;       /* `lock` is from a lock file: what is built must be that */
	json_t *lock;      /* what this image is made of, exactly (lock.h) */
	json_t *bom;       /* what a package is besides: licences and the like, by part (bom.h) */
	char ca[PATH_MAX]; /* "/in/ca.pem" when there is one; else "" */
	int step, steps;
	const char *what;
	uint64_t began_ms;
	uint64_t *counter; /* octets fetched, in a memfd shared with the proxy */
	int counter_fd;
	struct creel_buf *tail;
};

/** Registries that a step may reach. */
struct registries {
	struct creel_proxy_host v[CREEL_PROXY_HOSTS];
	size_t n;
};
/**
 * Add the host of an http:// or https:// URL, its name resolved; or through the builder's own proxy.
 * @param proxy  the URL of the proxy that the builder's tool is configured with; NULL or "": what the
 *               environment says (http_proxy, https_proxy, no_proxy)
 * @return 0, CREEL_E_INVALID (no such URL), CREEL_E_UNSUPP (a proxy with a password), CREEL_E_TOOBIG
 */
int registries_add(struct registries *r, const char *url, const char *proxy, struct creel_err *err);
/** Run one of the builder's own tools, as the builder, and take what it prints: its configuration.
 *  @return 0, CREEL_E_CHILD */
int registries_ask(const char *const *argv, struct creel_buf *out, struct creel_err *err);

/** TMP anew, with the folders above and the certificates that the builder trusts. */
int build_prepare(struct build *b, struct creel_err *err);

enum { RUN_BINDS = 8, RUN_ENV = 20 };
struct run {
	const char *const *argv;             /* ends with NULL; [0] "@install" is creel-step's own */
	const struct registries *registries; /* NULL: no network at all */
	bool caps;                           /* root's capabilities within the step's namespace */
	const char *env[RUN_ENV];            /* NAME=VALUE */
	struct {
		const char *from, *to; /* host, step */
		bool rw;
	} binds[RUN_BINDS];
	const char *out; /* a file of TMP that takes its standard output; NULL: the log */
};
/**
 * Run one step confined. Its status must be 0; else the last lines of its output are in b->tail.
 * @return 0, CREEL_E_CHILD, CREEL_E_CANCEL, CREEL_E_DENIED (this host cannot confine it), CREEL_E_OS
 */
int build_run(struct build *b, const struct run *run, struct creel_err *err);
/** The next of b->steps begins. */
void build_step(struct build *b, const char *what);

/** A file that a step wrote, by its path below TMP/work: no link is followed, and it must be a file. */
int build_open(const struct build *b, const char *path, struct creel_err *err);
int build_read(const struct build *b, const char *path, struct creel_buf *out, struct creel_err *err);
/** What TMP/NAME holds: the output of a step that had `out`. */
int build_log_read(const struct build *b, const char *name, struct creel_buf *out, struct creel_err *err);
/** A folder of the cache that steps write: what a registry gave is not fetched again. Its name. */
int build_cache(const struct build *b, const char *name, char *ret, size_t size, struct creel_err *err);
/** A new file for the steps: /in/NAME. */
int build_give(const struct build *b, const char *name, const void *data, size_t len, struct creel_err *err);

/* the parts, in their order; each fills or checks its part of b->lock */
int build_debian(struct build *b, const char *sources, struct creel_err *err);
int build_npm(struct build *b, struct creel_err *err);
int build_go(struct build *b, struct creel_err *err);
int build_url(struct build *b, struct creel_err *err);
int build_install(struct build *b, struct creel_err *err);
int build_erofs(struct build *b, struct creel_err *err);
int build_initramfs(struct build *b, struct creel_err *err);

/** The kernel modules of an initramfs, in the order in which they are loaded; NULL ends. */
extern const char *const build_modules[];
/** Those of a recipe with `docker`, after them. */
extern const char *const build_docker_modules[];
/** Debian's name of this machine: amd64, arm64. */
const char *build_arch(void);
