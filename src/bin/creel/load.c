#include "load.h"
#include "base/escape.h"
#include "loadcheck.h"
#include "where.h"
#include <stdio.h>
#include <string.h>

int load_config(struct creel_cli *cli, struct creel_config *ret, int *ret_dirfd, struct creel_err *err)
{
	const char *file = cli->file ? cli->file : "creel.yaml";
	struct creel_diags autoclean(creel_diags_fini) diags = {0};
	struct creel_buf autoclean(creel_buf_fini) text;
	struct creel_err ignored = {0};

	creel_buf_init(&text, 1 << 20);
	const struct creel_config_more more = {.check = load_check};
	int r = creel_config_load_file_with(file, &more, ret, ret_dirfd, &diags, err);
	(void)creel_diags_print(&diags, CREEL_DIAG_ERROR, &text, &ignored);
	(void)creel_diags_print(&diags, CREEL_DIAG_NOTE, &text, &ignored);
	fputs(creel_buf_str(&text), stderr);
	return r;
}

void load_recipe_fini(struct load_recipe *r)
{
	if (r->have)
		creel_recipe_fini(&r->recipe);
	if (r->dirfd >= 0)
		close(r->dirfd);
}

int load_recipe(const char *name, int dirfd, struct load_recipe *ret, struct creel_err *err)
{
	struct creel_diags autoclean(creel_diags_fini) diags = {0};
	struct creel_buf autoclean(creel_buf_fini) text;
	struct creel_err ignored = {0};
	int r;

	creel_buf_init(&text, 1 << 20);
	*ret = (struct load_recipe){.name = name, .dirfd = -1};
	if (!creel_recipe_is_path(name)) {
		r = creel_image_builtin(name, &ret->recipe, err);
		if (r == CREEL_E_NOTFOUND)
			r = creel_err_set(
				err, CREEL_E_UNSUPP, 0,
				"no recipe '%s': base, openclaw, gog and gh are built in; a file's path "
				"has a '/'",
				name);
	} else {
		r = creel_recipe_load_file(dirfd, name, &ret->recipe, &ret->dirfd, &diags, err);
		(void)creel_diags_print(&diags, CREEL_DIAG_ERROR, &text, &ignored);
		fputs(creel_buf_str(&text), stderr);
	}
	ret->have = r == 0;
	return r;
}

int load_cell_recipe(const struct creel_cell_cfg *cell, int dirfd, struct load_recipe *ret,
		     struct creel_err *err)
{
	int r = load_recipe(cell->recipe.s, dirfd, ret, err);

	if (r == 0 && cell->docker.v)
		ret->recipe.docker.v = 1;
	return r;
}
