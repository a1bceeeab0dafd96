#include "base/cleanup.h"
#include "base/escape.h"
#include "client.h"
#include "cmds.h"
#include "image/lock.h"
#include "load.h"
#include "where.h"
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct opts {
	bool update, list, prune, all, explain;
	const char *recipe;
};

static int opts_parse(int argc, char **argv, struct opts *o, struct creel_err *err)
{
	static const struct option options[] = {
		{"update", no_argument, NULL, 'u'},  {"list", no_argument, NULL, 'l'},
		{"prune", no_argument, NULL, 'p'},   {"all", no_argument, NULL, 'a'},
		{"explain", no_argument, NULL, 'e'}, {0},
	};
	int c;

	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		o->update |= c == 'u';
		o->list |= c == 'l';
		o->prune |= c == 'p';
		o->all |= c == 'a';
		o->explain |= c == 'e';
		if (c == '?')
			return creel_err_set(err, CREEL_E_USAGE, 0, "unknown option; see creel build --help");
	}
	o->recipe = optind < argc ? argv[optind] : "base";
	if (argc - optind > 1)
		return creel_err_set(err, CREEL_E_USAGE, 0, "build takes one recipe");
	if (o->list + o->prune + o->explain + o->update > 1 || (o->all && !o->prune) ||
	    ((o->list || o->prune) && optind < argc))
		return creel_err_set(err, CREEL_E_USAGE, 0,
				     "these do not go together; see creel build --help");
	return 0;
}

static void put(const char *text)
{
	struct creel_buf autoclean(creel_buf_fini) shown;
	struct creel_err ignored = {0};

	creel_buf_init(&shown, 65536);
	(void)creel_escape_term(&shown, text ? text : "", text ? strlen(text) : 0, &ignored);
	fputs(creel_buf_str(&shown), stdout);
}

static int json_put(json_t *j, struct creel_err *err)
{
	autofree char *text = j ? json_dumps(j, JSON_INDENT(1)) : NULL;

	if (!text)
		return creel_err_nomem(err);
	puts(text);
	return 0;
}

static void image_row(const json_t *p)
{
	time_t built = (time_t)json_integer_value(json_object_get(p, "built"));
	char when[32] = "";
	struct tm tm;

	if (localtime_r(&built, &tm))
		(void)strftime(when, sizeof(when), "%F %R", &tm);
	printf("%.12s  %-16s  %7lld  %s  ", json_string_value(json_object_get(p, "id")), when,
	       (long long)json_integer_value(json_object_get(p, "size")) / 1000000,
	       json_is_true(json_object_get(p, "in_use")) ? "yes   " : "no    ");
	put(json_string_value(json_object_get(p, "recipe")));
	putchar('\n');
}

static int list(struct creel_cli *cli, const struct opts *o, struct creel_err *err)
{
	char cache[512];
	json_t *images = NULL, *p;
	size_t i;
	int r = where_cache(cache, sizeof(cache), err);

	if (r == 0 && o->prune)
		r = creel_image_prune(cache, o->all, &images, err);
	else if (r == 0)
		r = (images = creel_image_list(cache, err)) ? 0 : err->code;
	if (r == 0 && cli->json)
		r = json_put(images, err);
	else if (r == 0 && json_array_size(images) == 0)
		puts(o->prune ? "nothing to remove" : "no images");
	else if (r == 0) {
		if (o->prune)
			puts("removed:");
		printf("%-12s  %-16s  %7s  %-6s  %s\n", "ID", "BUILT", "SIZE/MB", "IN USE", "RECIPE");
		json_array_foreach (images, i, p)
			image_row(p);
	}
	json_decref(images);
	return r;
}

/* From where, in one word that a person can follow. */
static const char *origin(const json_t *c)
{
	const char *purl = json_string_value(json_object_get(c, "purl"));
	const json_t *more = json_array_get(json_object_get(c, "properties"), 0);
	const json_t *away = json_array_get(json_object_get(c, "externalReferences"), 0);
	const char *value = json_string_value(json_object_get(more, "value"));

	if (away)
		return json_string_value(json_object_get(away, "url"));
	if (purl && strncmp(purl, "pkg:deb/", 8) == 0)
		return value;
	return purl;
}

static int explain(struct creel_cli *cli, const struct creel_image *image, const char *name,
		   struct creel_err *err)
{
	json_t *bom = creel_image_json(image->dir, "bom.json", err), *c;
	size_t i;
	int r = bom ? 0 : err->code;

	if (r == 0 && cli->json) {
		r = json_put(bom, err);
	} else if (r == 0) {
		printf("image %s of ", image->id);
		put(name);
		printf("\n%s\n%zu parts; --json prints them as CycloneDX 1.5, with hashes\n\n", image->dir,
		       json_array_size(json_object_get(bom, "components")));
		printf("%-40s  %-28s  %s\n", "NAME", "VERSION", "FROM");
		json_array_foreach (json_object_get(bom, "components"), i, c) {
			const char *version = json_string_value(json_object_get(c, "version"));
			printf("%-40s  %-28s  ", json_string_value(json_object_get(c, "name")),
			       version ? version : "-");
			put(origin(c));
			putchar('\n');
		}
	}
	json_decref(bom);
	return r;
}

/* What it was resolved to goes into the lock file, where there is a place for one. */
static int lock_save(const struct creel_image *image, const char *name, const char *path,
		     struct creel_err *err)
{
	json_t *entry = path[0] ? creel_image_json(image->dir, "lock.json", err) : NULL;
	int r = entry ? creel_lock_write(path, load_lock_name(name), entry, err) : err->code;

	json_decref(entry);
	if (r > 0)
		fprintf(stderr, "creel: wrote %s\n", path);
	return r < 0 ? r : 0;
}

int cmd_build(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	struct load_recipe autoclean(load_recipe_fini) recipe = {.dirfd = -1};
	struct creel_client autoclean(client_close) client = {.run_fd = -1};
	struct creel_image image = {0};
	struct opts o = {0};
	char lock[PATH_MAX] = "", dir[PATH_MAX] = ".";
	int r = opts_parse(argc, argv, &o, err);

	if (r < 0 || o.list || o.prune)
		return r < 0 ? r : list(cli, &o, err);
	r = load_recipe(o.recipe, AT_FDCWD, &recipe, err);
	if (r == CREEL_E_UNSUPP)
		return creel_err_set(err, CREEL_E_USAGE, 0,
				     "no built-in recipe '%s'; there are: base, openclaw", o.recipe);
	const char *config = cli->file ? cli->file : "creel.yaml", *slash = strrchr(config, '/');
	if (slash)
		(void)snprintf(dir, sizeof(dir), "%.*s", (int)(slash - config) + 1, config);
	autofd int config_dir = access(config, F_OK) == 0 ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
							  : -1;
	if (r == 0)
		r = load_image(&recipe, config_dir, o.update, &image, lock, err);
	if (r == 0 && !o.explain)
		r = lock_save(&image, o.recipe, lock, err);
	if (r == 0 && image.built && (r = client_open(cli, false, &client, err)) == 0)
		r = client_built(&client, o.recipe, &image, err);
	if (r < 0 || o.explain)
		return r < 0 ? r : explain(cli, &image, o.recipe, err);
	if (cli->json) {
		json_t *told = json_pack("{s:s, s:s, s:b, s:b}", "id", image.id, "dir", image.dir, "built",
					 image.built, "pinned", image.pinned);
		r = json_put(told, err);
		json_decref(told);
		return r;
	}
	put(o.recipe);
	printf(" %.12s %s\n", image.id, image.dir);
	return 0;
}
