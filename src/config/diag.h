#pragma once
#include "base/buf.h"
#include "config/value.h"

/*
 * What is wrong in a file, all of it: loaders append here and go on. `file:line:column: what is
 * wrong, what would be right`.
 */
enum creel_diag_level {
	CREEL_DIAG_ERROR,
	CREEL_DIAG_NOTE, /* worth saying, stops nothing */
};

struct creel_diag {
	enum creel_diag_level level;
	struct creel_pos pos;
	char *file;
	char *msg; /* may hold foreign text: escape it for a terminal */
};

/** Zero-initialise; creel_diags_fini() frees. At most CREEL_DIAGS_MAX are kept, all are counted. */
struct creel_diags {
	struct creel_diag *v;
	size_t n;
	size_t errors;  /* all, kept or not */
	size_t dropped; /* of any level, over the bound */
	bool nomem;     /* one could not be stored: the list is not whole */
};
#define CREEL_DIAGS_MAX 100

void creel_diags_fini(struct creel_diags *d);
CREEL_DEFINE_CLEANUP(struct creel_diags, creel_diags_fini)

void creel_diag_add(struct creel_diags *d, enum creel_diag_level level, const char *file,
		    struct creel_pos pos, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/** Order by position within each file (files stay in order of first mention). */
void creel_diags_sort(struct creel_diags *d);

/**
 * Append the diagnostics of @p level as lines "file:line:column: text\n", escaped for a terminal.
 * Errors that were not kept are counted in a last line.
 */
int creel_diags_print(const struct creel_diags *d, enum creel_diag_level level, struct creel_buf *out,
		      struct creel_err *err);
