#include "config/diag.h"
#include "base/escape.h"
#include <stdarg.h>
#include <string.h>

void creel_diags_fini(struct creel_diags *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->n; i++) {
		free(d->v[i].file);
		free(d->v[i].msg);
	}
	free(d->v);
	*d = (struct creel_diags){0};
}

/* What stands behind an anchor is read once for each of its aliases. */
static bool told(const struct creel_diags *d, enum creel_diag_level level, const char *file,
		 struct creel_pos pos, const char *msg)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->v[i].level == level && d->v[i].pos.line == pos.line &&
		    d->v[i].pos.column == pos.column && strcmp(d->v[i].msg, msg) == 0 &&
		    strcmp(d->v[i].file, file) == 0)
			return true;
	return false;
}

void creel_diag_add(struct creel_diags *d, enum creel_diag_level level, const char *file,
		    struct creel_pos pos, const char *fmt, ...)
{
	char msg[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	if (told(d, level, file, pos, msg))
		return;
	d->errors += level == CREEL_DIAG_ERROR;
	if (d->n >= CREEL_DIAGS_MAX) {
		d->dropped++;
		return;
	}
	if (!d->v)
		d->v = calloc(CREEL_DIAGS_MAX, sizeof(*d->v));
	if (!d->v) {
		d->nomem = true;
		return;
	}
	autofree char *f = strdup(file), *m = strdup(msg);
	if (!f || !m) {
		d->nomem = true;
		return;
	}
	d->v[d->n++] = (struct creel_diag){level, pos, steal_ptr(&f), steal_ptr(&m)};
}

void creel_diags_sort(struct creel_diags *d)
{
	/* insertion: at most CREEL_DIAGS_MAX, and what stands at one place keeps its order */
	for (size_t i = 1; i < d->n; i++)
		for (size_t j = i; j > 0; j--) {
			struct creel_diag *a = &d->v[j - 1], *b = &d->v[j], t;
			if (strcmp(a->file, b->file) != 0 || a->pos.line < b->pos.line ||
			    (a->pos.line == b->pos.line && a->pos.column <= b->pos.column))
				break;
			t = *a;
			*a = *b;
			*b = t;
		}
}

int creel_diags_print(const struct creel_diags *d, enum creel_diag_level level, struct creel_buf *out,
		      struct creel_err *err)
{
	size_t shown = 0;
	int r = 0;

	for (size_t i = 0; i < d->n && r == 0; i++) {
		const struct creel_diag *g = &d->v[i];
		if (g->level != level)
			continue;
		shown++;
		r = creel_escape_term(out, g->file, strlen(g->file), err);
		if (r == 0)
			r = creel_buf_addf(out, err, ":%u:%u: ", g->pos.line, g->pos.column);
		if (r == 0)
			r = creel_escape_term(out, g->msg, strlen(g->msg), err);
		if (r == 0)
			r = creel_buf_adds(out, "\n", err);
	}
	if (r == 0 && level == CREEL_DIAG_ERROR && d->errors > shown)
		r = creel_buf_addf(out, err, "... and %zu more errors\n", d->errors - shown);
	return r;
}
