#pragma once
#include "config/config.h"
#include "config/keys.h"
#include "config/recipe.h"

/* What no single key can tell: how the values of a file fit together. All append to w->diags. */

/** A creel.yaml by itself. @param dirfd  where recipes are looked for; -1: they are not */
void creel_check_config(struct walk *w, const struct creel_config *c, int dirfd);
/** A user that it declares, or root. */
bool creel_recipe_has_user(const struct creel_recipe *r, const char *name);
/** A recipe by itself. @param dirfd  where sources of files are looked for; -1: they are not */
void creel_check_recipe(struct walk *w, const struct creel_recipe *r, int dirfd);

/**
 * A cell's settings against its recipe's schema: type, properties, required, additionalProperties,
 * enum, items, minimum, maximum of JSON Schema. Unlike there, a key that `properties` does not name is
 * an error unless additionalProperties says otherwise, as everywhere in creel.yaml.
 *
 * @param n  the settings, a mapping; NULL: the cell has none
 */
void creel_check_settings(struct walk *w, const struct creel_node *n, json_t *schema, struct creel_pos where);
/** Does a recipe's schema hold only words that creel_check_settings() knows? */
void creel_check_schema(struct walk *w, const struct creel_node *n);
