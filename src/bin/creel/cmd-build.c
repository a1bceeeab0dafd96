#include "base/cleanup.h"
#include "base/escape.h"
#include "cmds.h"
#include "image/image.h"
#include "where.h"
#include <stdio.h>
#include <string.h>

static void progress(void *ctx, int step, int steps, const char *what)
{
	fprintf(stderr, "creel: image %s: %d/%d %s\n", (*(const struct creel_image_spec **)ctx)->name, step, steps, what);
}

int cmd_build(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	const char *name = argc > 1 ? argv[1] : "base";
	const struct creel_image_spec *spec = creel_image_builtin(name);
	struct creel_buf autoclean(creel_buf_fini) tail, autoclean(creel_buf_fini) shown;
	struct creel_image image;
	char cache[512], init[512];

	if (argc > 2)
		return creel_err_set(err, CREEL_E_USAGE, 0, "build takes one recipe");
	if (!spec)
		return creel_err_set(err, CREEL_E_USAGE, 0, "no built-in recipe '%s'; there is: base", name);
	creel_buf_init(&tail, 8192);
	creel_buf_init(&shown, 65536);
	int r = where_cache(cache, sizeof(cache), err);
	if (r == 0)
		r = where_program("creel-init", init, sizeof(init), err);
	struct creel_image_env env = {
		.cache = cache, .init_path = init, .progress = progress, .ctx = &spec};
	if (r == 0)
		r = creel_image_build(spec, &env, &image, &tail, err);
	if (r < 0) {
		/* the tool's own last words, line by line, with nothing in them that a terminal obeys */
		for (char *save = NULL, *line = strtok_r((char *)tail.data, "\n", &save);
		     tail.len > 0 && line; line = strtok_r(NULL, "\n", &save)) {
			struct creel_err ignored = {0};
			creel_buf_clear(&shown);
			if (creel_escape_term(&shown, line, strlen(line), &ignored) == 0)
				fprintf(stderr, "  | %s\n", creel_buf_str(&shown));
		}
		return r;
	}
	if (cli->json)
		printf("{\"recipe\":\"%s\",\"id\":\"%s\",\"dir\":\"%s\",\"built\":%s}\n", spec->name,
		       image.id, image.dir, image.built ? "true" : "false");
	else
		printf("%s %.12s %s\n", spec->name, image.id, image.dir);
	return 0;
}
