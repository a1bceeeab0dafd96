#include "base/cleanup.h"
#include "debian-hook.h"
#include "image/build.h"
#include "image/control.h"
#include "image/lock.h"
#include "pins.h"
#include "trim.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

const char *build_arch(void)
{
	struct utsname u;

	return uname(&u) == 0 && strcmp(u.machine, "aarch64") == 0 ? "arm64" : "amd64";
}

/* Every package of the lock at its version, whatever else the mirror has. */
static int preferences_give(struct build *b, struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	size_t i;
	json_t *p;
	int r = 0;

	creel_buf_init(&text, 4 << 20);
	json_array_foreach (json_object_get(b->lock, "debian"), i, p)
		if (r == 0)
			r = creel_buf_addf(&text, err, "Package: %s\nPin: version %s\nPin-Priority: 1001\n\n",
					   json_string_value(json_object_get(p, "name")),
					   json_string_value(json_object_get(p, "version")));
	if (r == 0)
		r = build_give(b, "preferences", text.data, text.len, err);
	creel_buf_clear(&text);
	json_array_foreach (json_object_get(b->lock, "debian"), i, p)
		if (r == 0)
			r = creel_buf_addf(&text, err, "%s=%s\n",
					   json_string_value(json_object_get(p, "name")),
					   json_string_value(json_object_get(p, "version")));
	if (r == 0)
		r = build_give(b, "pins", text.data, text.len, err);
	if (r == 0)
		r = build_give(b, "check", pins, sizeof(pins), err);
	creel_buf_clear(&text);
	const json_t *k = json_object_get(b->lock, "kernel");
	if (r == 0)
		r = creel_buf_addf(&text, err, "%s=%s", json_string_value(json_object_get(k, "name")),
				   json_string_value(json_object_get(k, "version")));
	return r < 0 ? r : build_give(b, "kernel", text.data, text.len, err);
}

/* The proxy that the builder's apt uses; "" when there is none, or no apt to ask. */
static void apt_proxy(const char *name, char *ret, size_t size)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	struct creel_err ignored = {0};

	creel_buf_init(&text, 4096);
	ret[0] = '\0';
	/* prints: P='http://10.0.0.1:3142' */
	if (registries_ask((const char *const[]){"apt-config", "shell", "P", name, NULL}, &text, &ignored) <
		    0 ||
	    strncmp(creel_buf_str(&text), "P='", 3) != 0 ||
	    strncmp(creel_buf_str(&text), "P='DIRECT'", 10) == 0)
		return;
	(void)snprintf(ret, size, "%.*s", (int)strcspn(creel_buf_str(&text) + 3, "'"),
		       creel_buf_str(&text) + 3);
}

/* The registries are the hosts of the sources that were picked. */
static int sources_registries(const char *sources, struct registries *reg, struct creel_err *err)
{
	char http[512], https[512];
	int r = 0;

	apt_proxy("Acquire::http::Proxy", http, sizeof(http));
	apt_proxy("Acquire::https::Proxy", https, sizeof(https));
	for (const char *line = sources; r == 0 && *line; line += strcspn(line, "\n") + 1) {
		const char *url = memmem(line, strcspn(line, "\n"), "] ", 2);
		char one[1024];
		if (!url)
			continue;
		(void)snprintf(one, sizeof(one), "%.*s", (int)strcspn(url + 2, " \n"), url + 2);
		r = registries_add(reg, one, strncmp(one, "https:", 6) == 0 ? https : http, err);
	}
	return r;
}

static int bootstrap(struct build *b, const char *sources, struct creel_err *err)
{
	const struct creel_recipe *recipe = b->spec->recipe;
	struct creel_buf autoclean(creel_buf_fini) include;
	struct registries reg = {0};
	const char *argv[40];
	char ca[PATH_MAX + 40];
	size_t n = 0;
	int r = sources_registries(sources, &reg, err);

	creel_buf_init(&include, 65536);
	/* e2fsprogs: creel-init makes, checks and grows volumes with it */
	if (r == 0)
		r = creel_buf_adds(&include, "--include=e2fsprogs", err);
	for (size_t i = 0; r == 0 && i < recipe->debian.packages.n; i++)
		r = creel_buf_addf(&include, err, ",%s", recipe->debian.packages.v[i].s);
	if (r == 0 && recipe->docker.v)
		r = creel_buf_adds(&include, ",docker.io", err);
	if (r < 0)
		return r;
	argv[n++] = "mmdebstrap";
	argv[n++] = "--mode=root";
	argv[n++] = "--variant=minbase";
	argv[n++] = "--skip=chroot/mount/sys"; /* no host's hardware is in view, and nothing asks for it */
	argv[n++] = creel_buf_str(&include);
	argv[n++] = "--dpkgopt=path-exclude=/usr/share/man/*";
	argv[n++] = "--dpkgopt=path-exclude=/usr/share/doc/*";
	argv[n++] = "--dpkgopt=path-include=/usr/share/doc/*/copyright";
	argv[n++] = "--dpkgopt=path-exclude=/usr/share/locale/*";
	argv[n++] = "--aptopt=Acquire::http::Proxy \"http://127.0.0.1:3128\"";
	argv[n++] = "--aptopt=Acquire::https::Proxy \"http://127.0.0.1:3128\"";
	argv[n++] = "--aptopt=Acquire::Retries \"2\"";
	argv[n++] = "--aptopt=APT::Sandbox::User \"root\"";
	if (b->ca[0]) {
		(void)snprintf(ca, sizeof(ca), "--aptopt=Acquire::https::CAInfo \"%s\"", b->ca);
		argv[n++] = ca;
	}
	if (b->pinned)
		argv[n++] = "--extract-hook=/bin/sh /in/check";
	if (b->pinned)
		argv[n++] = "--setup-hook=mkdir -p \"$1/etc/apt/preferences.d\" && "
			    "cp /in/preferences \"$1/etc/apt/preferences.d/creel-lock\"";
	argv[n++] = "--customize-hook=/bin/sh /in/hook \"$1\"";
	argv[n++] = recipe->debian.suite.s;
	argv[n++] = "/work/root";
	argv[n++] = "/in/sources.list";
	argv[n] = NULL;
	return build_run(b, &(struct run){.argv = argv, .registries = &reg, .caps = true}, err);
}

/* Of the archive's words: what pins a package (the lock) and what else is to be known (the bill). */
static int packages_take(struct build *b, const char *file, json_t *ret_lock, json_t *ret_bom,
			 struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	struct creel_control c;

	creel_buf_init(&text, 32 << 20);
	int r = build_read(b, file, &text, err);
	if (r < 0)
		return r;
	for (const char *at = creel_buf_str(&text); creel_control_next(&at, &c) == 1;) {
		if (!c.package[0] || !c.version[0] || !c.sha256[0])
			continue;
		json_t *p = json_pack("{s:s, s:s, s:s, s:s}", "name", c.package, "version", c.version, "arch",
				      c.arch, "sha256", c.sha256);
		json_t *more = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", c.package, "version", c.version,
					 "arch", c.arch, "source", c.source[0] ? c.source : c.package, "file",
					 c.filename);
		if (!p || !more || json_array_append_new(ret_lock, p) < 0 ||
		    json_array_append_new(ret_bom, more) < 0)
			return creel_err_nomem(err);
	}
	return json_array_size(ret_lock) > 0
		       ? 0
		       : creel_err_set(err, CREEL_E_BROKEN, 0,
				       "the archive's lists say nothing of what is installed");
}

/* Pinned: the first package that is not what the lock says, named, or 0. */
static int compare(const json_t *want, const json_t *have, struct creel_err *err)
{
	size_t i, k;
	json_t *w, *h;

	json_array_foreach ((json_t *)want, i, w) {
		const char *name = json_string_value(json_object_get(w, "name"));
		bool found = false;
		json_array_foreach ((json_t *)have, k, h) {
			if (strcmp(json_string_value(json_object_get(h, "name")), name) != 0)
				continue;
			found = true;
			if (!json_equal(w, h))
				return creel_err_set(
					err, CREEL_E_NOTFOUND, 0,
					"creel.lock has %s %s, the mirror gave %s: set debian.snapshot, or creel "
					"build --update",
					name, json_string_value(json_object_get(w, "version")),
					json_string_value(json_object_get(h, "version")));
		}
		if (!found)
			return creel_err_set(err, CREEL_E_NOTFOUND, 0,
					     "creel.lock has %s, and it was not installed", name);
	}
	if (json_array_size(want) != json_array_size(have))
		return creel_err_set(err, CREEL_E_NOTFOUND, 0,
				     "%zu packages were installed, creel.lock has %zu: creel build --update",
				     json_array_size(have), json_array_size(want));
	return 0;
}

int build_debian(struct build *b, const char *sources, struct creel_err *err)
{
	json_t *list = json_array(), *kernel = json_array(), *bom = json_array();
	int r = build_give(b, "sources.list", sources, strlen(sources), err);

	if (r == 0)
		r = build_give(b, "hook", debian_hook, sizeof(debian_hook), err);
	if (r == 0 && b->pinned)
		r = preferences_give(b, err);
	if (r == 0)
		r = bootstrap(b, sources, err);
	if (r == 0)
		r = build_give(b, "trim", trim, sizeof(trim), err);
	if (r == 0)
		r = build_run(b,
			      &(struct run){.argv = (const char *const[]){"/bin/sh", "/in/trim", NULL},
					    .caps = true},
			      err);
	if (r == 0)
		r = packages_take(b, "debian.txt", list, bom, err);
	if (r == 0)
		r = packages_take(b, "kernel.txt", kernel, bom, err);
	if (r == 0 && b->pinned) {
		json_t *one = json_pack("[O]", json_object_get(b->lock, "kernel"));
		r = compare(json_object_get(b->lock, "debian"), list, err);
		if (r == 0)
			r = compare(one, kernel, err);
		json_decref(one);
	} else if (r == 0 && (json_object_set(b->lock, "debian", list) < 0 ||
			      json_object_set(b->lock, "kernel", json_array_get(kernel, 0)) < 0)) {
		r = creel_err_nomem(err);
	}
	if (r == 0 && json_object_set(b->bom, "debian", bom) < 0)
		r = creel_err_nomem(err);
	json_decref(list);
	json_decref(kernel);
	json_decref(bom);
	return r;
}
