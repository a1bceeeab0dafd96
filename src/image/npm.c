#include "base/cleanup.h"
#include "image/build.h"
#include "image/install.h"
#include "image/tool.h"
#include <stdio.h>
#include <string.h>

enum { SPECS = 80 };

/* What the builder has configured: where packages come from. */
struct npm {
	struct tool tool;
	struct registries reg;
	struct creel_buf rc; /* an npmrc for the steps */
	char path[PATH_MAX + 80];
};

static int config_take(struct npm *n, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	const char *key;
	json_t *v;

	creel_buf_init(&text, 1 << 20);
	int r = registries_ask((const char *const[]){n->tool.program, "config", "list", "--json", NULL},
			       &text, err);
	if (r < 0)
		return r;
	json_t *j = json_loadb(creel_buf_str(&text), text.len, 0, NULL);
	const char *main = json_string_value(json_object_get(j, "registry"));
	const char *proxy = json_string_value(json_object_get(j, "https-proxy"));
	if (!proxy)
		proxy = json_string_value(json_object_get(j, "proxy"));
	if (!main)
		r = creel_err_set(err, CREEL_E_CHILD, 0, "npm config list: no registry");
	json_object_foreach (j, key, v) {
		size_t len = strlen(key);
		const char *url = json_string_value(v);
		bool scope = key[0] == '@' && len > 10 && strcmp(key + len - 9, ":registry") == 0;
		if (r < 0 || !url || (!scope && strcmp(key, "registry") != 0) || strpbrk(url, "\r\n"))
			continue;
		r = creel_buf_addf(&n->rc, err, "%s=%s\n", key, url);
		if (r == 0)
			r = registries_add(&n->reg, url, proxy, err);
	}
	json_decref(j);
	return r;
}

static int npm_run(struct build *b, struct npm *n, const char *const *argv, bool cache, struct creel_err *err)
{
	char dir[600], ca[PATH_MAX + 40];
	struct run run = {.argv = argv,
			  .registries = &n->reg,
			  .env = {n->path, "npm_config_userconfig=/in/npm/rc",
				  "npm_config_globalconfig=/nonexistent", "npm_config_audit=false",
				  "npm_config_fund=false", "npm_config_update_notifier=false",
				  "npm_config_loglevel=error", "npm_config_fetch_retries=2",
				  "npm_config_fetch_retry_mintimeout=1000",
				  "npm_config_https_proxy=http://127.0.0.1:3128",
				  "npm_config_proxy=http://127.0.0.1:3128",
				  cache ? "npm_config_cache=/cache" : "npm_config_cache=/tmp/npm",
				  "npm_config_omit_lockfile_registry_resolved=true", NULL}};
	size_t binds = 0;

	if (b->ca[0]) {
		(void)snprintf(ca, sizeof(ca), "npm_config_cafile=%s", b->ca);
		run.env[13] = ca;
	}
	if (n->tool.prefix[0]) {
		run.binds[binds].to = n->tool.prefix;
		run.binds[binds++].from = n->tool.prefix;
	}
	if (cache) {
		int r = build_cache(b, "npm", dir, sizeof(dir), err);
		if (r < 0)
			return r;
		run.binds[binds].from = dir;
		run.binds[binds].to = "/cache";
		run.binds[binds].rw = true;
	}
	return build_run(b, &run, err);
}

/*
 * Ask the registry what these packages are today: an npm lock file, with integrity hashes. Twice, as npm
 * leaves out what packages that bundle others need besides, finds that the next time, and `npm ci` takes
 * no lock file that lacks it (seen with npm 11.19).
 */
static int resolve(struct build *b, struct npm *n, struct creel_err *err)
{
	static const char script[] =
		"mkdir -p /work/npm && cd /work/npm && echo '{\"private\":true}' >package.json && "
		"\"$@\" && exec \"$1\" install --package-lock-only --ignore-scripts --omit=dev";
	const struct creel_strs *want = &b->spec->recipe->npm;
	struct creel_buf autoclean(creel_buf_fini) text = {0};
	const char *argv[SPECS + 16] = {"/bin/sh",
					"-c",
					script,
					"npm",
					n->tool.program,
					"install",
					"--package-lock-only",
					"--ignore-scripts",
					"--save-exact",
					"--omit=dev",
					"--"};
	char specs[SPECS][320];
	size_t at = 11;

	if (want->n > SPECS)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "over %d npm packages", SPECS);
	for (size_t i = 0; i < want->n; i++) {
		creel_install_npm_spec(want->v[i].s, specs[i], sizeof(specs[i]));
		argv[at++] = specs[i];
	}
	creel_buf_init(&text, 16 << 20);
	int r = npm_run(b, n, argv, true, err);
	if (r == 0)
		r = build_read(b, "npm/package-lock.json", &text, err);
	if (r < 0)
		return r;
	json_t *j = json_loadb(creel_buf_str(&text), text.len, 0, NULL), *p;
	json_t *packages = json_object_get(j, "packages");
	const char *key;
	if (!json_is_object(packages))
		r = creel_err_set(err, CREEL_E_CHILD, 0,
				  "npm wrote no lock file of version 3: npm 7 or later is needed");
	json_object_foreach (packages, key, p) {
		const char *from = json_string_value(json_object_get(p, "resolved"));
		/* where it came from is the builder's; what it is, its hash says */
		if (from && json_object_get(p, "integrity"))
			(void)json_object_del(p, "resolved");
		else if (key[0] && !json_object_get(p, "integrity") && !json_object_get(p, "inBundle") &&
			 !json_object_get(p, "link") && r == 0)
			r = creel_err_set(err, CREEL_E_UNSUPP, 0, "npm package %s has no integrity hash",
					  key);
	}
	if (r == 0 && json_object_set(b->lock, "npm", packages) < 0)
		r = creel_err_nomem(err);
	json_decref(j);
	return r;
}

static int lock_give(struct build *b, struct creel_err *err)
{
	json_t *packages = json_object_get(b->lock, "npm");
	json_t *deps = json_object_get(json_object_get(packages, ""), "dependencies");
	json_t *lock = json_pack("{s:s, s:i, s:b, s:O}", "name", "image", "lockfileVersion", 3, "requires", 1,
				 "packages", packages);
	json_t *package = json_pack("{s:s, s:b, s:O?}", "name", "image", "private", 1, "dependencies", deps);
	autofree char *lock_text = lock ? json_dumps(lock, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
	autofree char *package_text = package ? json_dumps(package, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
	int r = lock_text && package_text ? 0 : creel_err_nomem(err);

	json_decref(lock);
	json_decref(package);
	if (r == 0)
		r = build_give(b, "npm/package-lock.json", lock_text, strlen(lock_text), err);
	return r < 0 ? r : build_give(b, "npm/package.json", package_text, strlen(package_text), err);
}

/* The scripts of the packages that the recipe names, with the registry in reach and no cache to spoil. */
static int scripts_run(struct build *b, struct npm *n, struct creel_err *err)
{
	const struct creel_strs *named = &b->spec->recipe->npm_scripts;
	const json_t *packages = json_object_get(b->lock, "npm");
	const char *argv[SPECS + 8] = {n->tool.program, "rebuild", "--foreground-scripts",
				       "--prefix=/work/root/opt/npm", "--"};
	char names[SPECS][320];
	size_t at = 5;

	if (named->n > SPECS)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "over %d npm_scripts", SPECS);
	for (size_t i = 0; i < named->n; i++) {
		char path[360];
		creel_install_npm_name(named->v[i].s, names[i], sizeof(names[i]));
		(void)snprintf(path, sizeof(path), "node_modules/%.320s", names[i]);
		if (!json_object_get(packages, path))
			return creel_err_set(err, CREEL_E_CONFIG, 0,
					     "npm_scripts: no package %s is installed", names[i]);
		argv[at++] = names[i];
	}
	return npm_run(b, n, argv, false, err);
}

/* What is there: the lock has the packages of other machines' kinds too. */
static int installed_take(struct build *b, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;

	creel_buf_init(&text, 16 << 20);
	int r = build_read(b, "npm.json", &text, err);
	json_t *j = r < 0 ? NULL : json_loadb(creel_buf_str(&text), text.len, 0, NULL);
	json_t *packages = json_object_get(j, "packages");
	if (r == 0 && (!json_is_object(packages) || json_object_set(b->bom, "npm", packages) < 0))
		r = creel_err_set(err, CREEL_E_CHILD, 0, "npm did not say what it installed");
	json_decref(j);
	return r;
}

static int steps(struct build *b, struct npm *n, struct creel_err *err)
{
	static const char script[] =
		"mkdir -p /work/root/opt/npm && cp /in/npm/package.json "
		"/in/npm/package-lock.json /work/root/opt/npm && \"$1\" ci --prefix /work/root/opt/npm "
		"--ignore-scripts --omit=dev && rm -f /work/root/opt/npm/package*.json && "
		"mv /work/root/opt/npm/node_modules/.package-lock.json /work/npm.json";
	int r = config_take(n, err);

	(void)snprintf(n->path, sizeof(n->path), "PATH=%s:/usr/local/bin:/usr/bin:/bin", n->tool.dir);
	if (r == 0)
		r = build_give(b, "npm/rc", n->rc.data, n->rc.len, err);
	if (r == 0 && !b->pinned)
		r = resolve(b, n, err);
	if (r == 0)
		r = lock_give(b, err);
	if (r == 0)
		r = npm_run(b, n,
			    (const char *const[]){"/bin/sh", "-c", script, "npm", n->tool.program, NULL},
			    true, err);
	if (r == 0)
		r = installed_take(b, err);
	if (r == 0 && b->spec->recipe->npm_scripts.n > 0)
		r = scripts_run(b, n, err);
	return r;
}

int build_npm(struct build *b, struct creel_err *err)
{
	struct npm n = {0};

	creel_buf_init(&n.rc, 65536);
	int r = tool_find("npm", "apt install npm", &n.tool, err);
	if (r == 0)
		r = steps(b, &n, err);
	creel_buf_fini(&n.rc);
	return r;
}
