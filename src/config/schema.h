#pragma once
#include "base/buf.h"
#include <jansson.h>

/*
 * What the table of keys (keys.c) says, for editors and for people. The parser reads the same
 * table, so none of them can differ from what is accepted.
 */

/** JSON Schema (draft 2020-12) of creel.yaml. @return a new object, the caller's; NULL: no memory */
json_t *creel_schema_config(void);
/** The same of a recipe. */
json_t *creel_schema_recipe(void);

/** docs/reference/creel.yaml.md. @return 0, CREEL_E_TOOBIG, CREEL_E_NOMEM */
int creel_reference_markdown(struct creel_buf *out, struct creel_err *err);
/** creel.yaml(5), mdoc. */
int creel_reference_man(struct creel_buf *out, struct creel_err *err);
