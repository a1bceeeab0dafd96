#include "base/cleanup.h"
#include "image/build.h"
#include "image/goversion.h"
#include "image/tool.h"
#include <stdio.h>
#include <string.h>

/* The builder's Go and how it is configured to get modules. */
struct go {
	struct tool tool;
	struct registries reg;
	char env[8][1024]; /* NAME=VALUE */
	size_t n_env;
	char version[64], root[PATH_MAX], path[2 * PATH_MAX];
};

/* Module proxies are registries; `direct` would mean any version control host, so it is none. */
static int proxies_add(struct go *g, const char *list, struct creel_err *err)
{
	int r = 0;

	for (const char *p = list; r == 0 && *p; p += strcspn(p, ",|"), p += *p != '\0') {
		char one[512];
		(void)snprintf(one, sizeof(one), "%.*s", (int)strcspn(p, ",|"), p);
		if (strncmp(one, "http", 4) == 0)
			r = registries_add(&g->reg, one, NULL, err);
		else if (strncmp(one, "file:", 5) == 0)
			r = creel_err_set(err, CREEL_E_UNSUPP, 0,
					  "GOPROXY %s: a build step sees no files of yours; serve it by http",
					  one);
	}
	return r;
}

static int config_take(struct go *g, struct creel_err *err)
{
	static const char *const keep[] = {"GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE"};
	struct creel_buf autoclean(creel_buf_fini) text;
	int r;

	creel_buf_init(&text, 65536);
	r = registries_ask((const char *const[]){g->tool.program, "env", "-json", NULL}, &text, err);
	if (r < 0)
		return r;
	json_t *j = json_loadb(creel_buf_str(&text), text.len, 0, NULL);
	const char *version = json_string_value(json_object_get(j, "GOVERSION"));
	const char *root = json_string_value(json_object_get(j, "GOROOT"));
	const char *proxy = json_string_value(json_object_get(j, "GOPROXY"));
	const char *sumdb = json_string_value(json_object_get(j, "GOSUMDB"));
	if (!version || !root || !proxy)
		r = creel_err_set(err, CREEL_E_CHILD, 0, "go env -json: no GOVERSION, GOROOT or GOPROXY");
	for (size_t i = 0; r == 0 && i < ELEMENTSOF(keep); i++) {
		const char *v = json_string_value(json_object_get(j, keep[i]));
		if (v && (size_t)snprintf(g->env[g->n_env], sizeof(g->env[0]), "%s=%s", keep[i], v) <
				 sizeof(g->env[0]))
			g->n_env++;
	}
	if (r == 0) {
		(void)snprintf(g->version, sizeof(g->version), "%s", version);
		(void)snprintf(g->root, sizeof(g->root), "%s", root);
		r = proxies_add(g, proxy, err);
	}
	/* "NAME" or "NAME+KEY [URL]"; proxies often serve it too, and then it is not asked */
	if (r == 0 && sumdb && sumdb[0] && strcmp(sumdb, "off") != 0) {
		char url[300];
		const char *blank = strchr(sumdb, ' ');
		(void)snprintf(url, sizeof(url), blank ? "%.*s%s" : "https://%.*s%s",
			       blank ? 0 : (int)strcspn(sumdb, "+ "), sumdb, blank ? blank + 1 : "");
		r = registries_add(&g->reg, url, NULL, err);
	}
	json_decref(j);
	return r;
}

static int go_run(struct build *b, struct go *g, const char *const *argv, bool net, const char *out,
		  struct creel_err *err)
{
	char dir[600], path[2 * PATH_MAX + 80], arch[16];
	struct run run = {.argv = argv,
			  .registries = net ? &g->reg : NULL,
			  .out = out,
			  .env = {path, arch, "CGO_ENABLED=0", "GOENV=off", "GOTOOLCHAIN=local",
				  "GOFLAGS=-mod=mod -trimpath -buildvcs=false", "GOPATH=/cache/path",
				  "GOCACHE=/cache/build", "GOTMPDIR=/work/gotmp", "GOBIN=/work/gobin",
				  "GOTELEMETRY=off"}};
	size_t at = 11, binds = 0;

	(void)snprintf(path, sizeof(path), "PATH=%s:/usr/bin:/bin", g->tool.dir);
	(void)snprintf(arch, sizeof(arch), "GOARCH=%s", build_arch());
	for (size_t i = 0; i < g->n_env; i++)
		run.env[at++] = g->env[i];
	/* the link /usr/bin/go may lead to a GOROOT that is elsewhere */
	const char *const roots[] = {g->tool.prefix, strncmp(g->root, "/usr/", 5) == 0 ? "" : g->root};
	for (size_t i = 0; i < ELEMENTSOF(roots); i++)
		if (roots[i][0] && (i == 0 || strcmp(roots[0], roots[1]) != 0)) {
			run.binds[binds].to = roots[i];
			run.binds[binds++].from = roots[i];
		}
	int r = build_cache(b, "go", dir, sizeof(dir), err);
	run.binds[binds].from = dir;
	run.binds[binds].to = "/cache";
	run.binds[binds].rw = true;
	return r < 0 ? r : build_run(b, &run, err);
}

/*
 * PATH@VERSION: the program PATH, or all programs in PATH/cmd when PATH is a module that has them there.
 * No code of a module runs: cgo is off, and nothing is generated.
 */
static int install(struct build *b, struct go *g, const char *spec, struct creel_err *err)
{
	static const char script[] =
		"mkdir -p /work/gotmp /work/gobin && "
		"if \"$1\" install -ldflags=-buildid= \"$2@$3\" 2>/work/go.err; then exit 0; fi; "
		"if grep -qE 'is not a main package|does not contain package' /work/go.err; then "
		"exec \"$1\" install -ldflags=-buildid= \"$2/cmd/...@$3\"; fi; cat /work/go.err >&2; exit 1";
	char path[512];
	const char *at = strchr(spec, '@');

	(void)snprintf(path, sizeof(path), "%.*s", (int)(at - spec), spec);
	return go_run(
		b, g,
		(const char *const[]){"/bin/sh", "-c", script, "go", g->tool.program, path, at + 1, NULL},
		true, NULL, err);
}

/* What each program was made of, as it says itself. */
static int programs_take(struct build *b, struct go *g, json_t *ret, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	static const char script[] =
		"mkdir -p /work/root/usr/local/bin && \"$1\" version -m /work/gobin/* && "
		"install -m 0755 -t /work/root/usr/local/bin /work/gobin/* && "
		"rm -rf /work/gobin /work/gotmp /work/go.err";
	int r = go_run(b, g, (const char *const[]){"/bin/sh", "-c", script, "go", g->tool.program, NULL},
		       false, "go.txt", err);

	creel_buf_init(&text, 4 << 20);
	if (r == 0)
		r = build_log_read(b, "go.txt", &text, err);
	return r < 0 ? r : creel_goversion_parse(creel_buf_str(&text), ret, err);
}

int build_go(struct build *b, struct creel_err *err)
{
	struct go g = {0};
	const struct creel_strs *want = &b->spec->recipe->go;
	json_t *programs = json_array(), *all = NULL;
	const json_t *pinned = json_object_get(b->lock, "go");
	int r = tool_find("go", "recipes with `go:` are built by your Go, 1.21 or later (https://go.dev/dl)",
			  &g.tool, err);

	if (r == 0)
		r = config_take(&g, err);
	if (r == 0 && b->pinned &&
	    strcmp(json_string_value(json_object_get(pinned, "toolchain")), g.version) != 0)
		r = creel_err_set(
			err, CREEL_E_NOTFOUND, 0,
			"creel.lock was made with %s and this is %s: use that one, or creel build --update",
			json_string_value(json_object_get(pinned, "toolchain")), g.version);
	for (size_t i = 0; r == 0 && i < want->n; i++)
		r = install(b, &g, want->v[i].s, err);
	if (r == 0)
		r = programs_take(b, &g, programs, err);
	if (r == 0 && !(all = json_pack("{s:s, s:O}", "toolchain", g.version, "programs", programs)))
		r = creel_err_nomem(err);
	if (r == 0 && b->pinned && !json_equal(all, pinned))
		r = creel_err_set(err, CREEL_E_BROKEN, 0,
				  "the Go modules are not those of creel.lock: their sums differ");
	if (r == 0 && !b->pinned && json_object_set(b->lock, "go", all) < 0)
		r = creel_err_nomem(err);
	json_decref(all);
	json_decref(programs);
	return r;
}
