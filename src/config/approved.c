#include "config/approved.h"
#include <stdio.h>
#include <string.h>

static const char suffix[] = ".approved";

struct one {
	struct creel_pos pos;
	struct creel_str cell, entry;
};
struct approved {
	struct creel_num version;
	struct {
		struct one *v;
		size_t n;
		struct creel_pos pos;
	} allow;
};

#define END                  \
	{                    \
		.name = NULL \
	}
static const struct key one_keys[] = {
	{"cell", K_NAME, offsetof(struct one, cell), "The cell.", .required = true},
	{"entry", K_EGRESS, offsetof(struct one, entry), "What it may connect to.", .required = true},
	END,
};
static const struct key approved_keys[] = {
	{"version", K_INT, offsetof(struct approved, version), "The format's version: 1.", .min = 1, .max = 1,
	 .required = true},
	{"allow", K_MAPS, offsetof(struct approved, allow), "What was approved for good.", .sub = one_keys,
	 .size = sizeof(struct one)},
	END,
};

int creel_approved_path(const char *file, char *ret, size_t size, struct creel_err *err)
{
	const char *dot = strrchr(file, '.'), *slash = strrchr(file, '/');
	bool yaml = dot && (!slash || dot > slash) &&
		    (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".json") == 0);
	int stem = yaml ? (int)(dot - file) : (int)strlen(file);

	if (strcmp(file, "-") == 0)
		return creel_err_set(err, CREEL_E_USAGE, 0,
				     "what is read from standard input has no file beside it");
	if ((size_t)snprintf(ret, size, "%.*s%s%s", stem, file, suffix, yaml ? dot : ".yaml") >= size)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "path of %s", file);
	return 0;
}

static void entry_add(struct walk *w, const struct one *one, size_t all, struct creel_config *c)
{
	for (size_t i = 0; i < c->cells.n; i++) {
		struct creel_strs *to = &c->cells.v[i].egress.approved;
		if (strcmp(c->cells.v[i].name.s, one->cell.s) != 0)
			continue;
		if (!to->v)
			to->v = creel_arena_alloc(w->arena, all, sizeof(*to->v));
		if (to->v)
			to->v[to->n++] = one->entry;
		return;
	}
	creel_walk_error(w, one->cell.pos, "there is no cell `%.32s`: take this line out", one->cell.s);
}

void creel_approved_read(struct walk *w, const void *text, size_t len, struct creel_config *c)
{
	struct approved a = {0};
	size_t before = w->diags->errors;
	struct creel_node *root = creel_node_parse(w->arena, text, len, w->file, w->diags);

	if (root && root->kind != NODE_MAP)
		creel_walk_error(w, root->pos, "the file is not a mapping; it begins `version: 1`");
	else if (root)
		creel_walk_map(w, root, approved_keys, &a, root->pos);
	if (!root || w->diags->errors > before || w->arena->failed)
		return;
	for (size_t i = 0; i < a.allow.n; i++)
		entry_add(w, &a.allow.v[i], a.allow.n, c);
}

int creel_approved_add(const char *old, const char *cell, const char *entry, const char *note,
		       struct creel_buf *out, struct creel_err *err)
{
	size_t len = old ? strlen(old) : 0;
	int r = len > 0 ? creel_buf_add(out, old, len, err)
			: creel_buf_adds(
				  out,
				  "# Names that `creel approve --always` approved: part of creel.yaml, which lies beside.\n"
				  "# To be reviewed and committed; `creel up` takes a change over.\n"
				  "version: 1\nallow:\n",
				  err);

	if (r == 0 && len > 0 && old[len - 1] != '\n')
		r = creel_buf_adds(out, "\n", err);
	return r < 0 ? r
		     : creel_buf_addf(out, err, "  - { cell: %s, entry: \"%s\" } # %s\n", cell, entry, note);
}
