#pragma once
#include "config/node.h"
#include "config/value.h"
#include <jansson.h>

/* The one table of keys: parser, schema, reference page and manual are made from it. */
enum key_type {
	K_TEXT, /* and its kinds: a text pattern each (texts[] in keys.c) */
	K_NAME,
	K_PATH,
	K_ANYPATH,
	K_ENVNAME,
	K_URL,
	K_SHA256,
	K_HOSTPORT,
	K_HTTP,
	K_EGRESS,
	K_RESOLVER,
	K_VERB,
	K_PACKAGE,
	K_NPM,
	K_GO,
	K_SNAPSHOT,
	K_DOMAIN,
	K_HEADER,
	K_RECIPE,
	K_TEXT_LAST = K_RECIPE,
	K_BOOL, /* numbers */
	K_INT,
	K_SIZE,
	K_DURATION,
	K_PORT,
	K_MODE,
	K_ENUM,
	K_NUM_LAST = K_ENUM,
	K_CIDR,
	K_PUBLISH, /* a list of them */
	K_LIST,	   /* of `item` */
	K_MAP,
	K_DICT, /* NAME (of type `item`): mapping of `sub` */
	K_MAPS, /* a list of mappings */
	K_PAIRS,
	K_JSON,
};

struct key {
	const char *name;
	enum key_type type;
	size_t off;
	const char *help;
	const char *def;	/* as written in a file; NULL: none */
	int64_t min, max;	/* of numbers, in their unit; 0, 0: no bound */
	enum key_type item;	/* of K_LIST, K_DICT's names */
	const struct key *sub;	/* ended by a row without name */
	size_t size;		/* of K_DICT's and K_MAPS' elements */
	const char *const *vals; /* K_ENUM: the words in order of their numbers; NULL ends */
	bool required;
};

struct texttype {
	const char *what;    /* "an absolute path such as /persist" */
	const char *pattern; /* for the schema, ECMA 262; NULL: anything */
	bool (*ok)(const char *s);
};
const struct texttype *creel_key_text(enum key_type t);
/** "a whole number", "a size such as 512MiB": what would be right. */
const char *creel_key_what(enum key_type t);

extern const struct key creel_config_keys[];
extern const struct key creel_recipe_keys[];

struct walk {
	struct creel_arena *arena;
	const char *file;
	struct creel_diags *diags;
};
/** Fill @p out (zeroed) from @p n by @p keys; NULL @p n: defaults alone. */
void creel_walk_map(struct walk *w, const struct creel_node *n, const struct key *keys, void *out,
		    struct creel_pos where);
void creel_walk_error(struct walk *w, struct creel_pos pos, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** A new json value of the tree; NULL when out of memory. */
json_t *creel_node_json(const struct creel_node *n);

/** Numbers as written: @return 0, -1 not of that type */
int creel_parse_size(const char *s, int64_t *ret);
int creel_parse_duration(const char *s, int64_t *ret_ms);
int creel_parse_cidr(const char *s, struct creel_cidr *ret, bool *ret_hostbits);
int creel_parse_publish(const char *s, struct creel_publish *ret);
