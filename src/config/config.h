#pragma once
#include "config/diag.h"
#include "config/value.h"
#include <jansson.h>

/*
 * creel.yaml as plain structs (creel.yaml(5)). Loading checks all that the file alone can tell; a
 * cell is checked against its recipe by creel_config_check_recipe().
 */
enum creel_egress_mode {
	CREEL_EGRESS_NONE,
	CREEL_EGRESS_LISTED,
	CREEL_EGRESS_ASK,
	CREEL_EGRESS_OPEN,
};
enum creel_broker_way {
	CREEL_BROKER_WAY_BEARER,
	CREEL_BROKER_WAY_HEADER,
	CREEL_BROKER_WAY_BASIC,
	CREEL_BROKER_WAY_QUERY,
};
enum creel_generate {
	CREEL_GENERATE_NO,
	CREEL_GENERATE_BASE64,
	CREEL_GENERATE_HEX,
};

struct creel_network_cfg {
	struct creel_pos pos;
	struct creel_cidr subnet;    /* IPv4, private, /8 to /29 */
	struct creel_strs upstreams; /* addresses, or the one word `recursive` */
};

struct creel_volume_cfg {
	struct creel_str name; /* 18 octets at most: its disk's serial is v-NAME */
	struct creel_num size; /* octets */
	struct creel_str at;   /* absolute, normal */
};

/** At most one source: generate, env, pair, command or file; none means `creel secret set`. */
struct creel_secret_cfg {
	struct creel_str name;
	struct creel_num generate; /* enum creel_generate */
	struct creel_num bytes;	   /* of generate; 16 to 1024 */
	struct creel_str env;	   /* acts on the host */
	struct creel_num optional; /* boolean */
	struct creel_str pair;	   /* the cell whose other half it is */
	struct creel_strs command; /* acts on the host */
	struct creel_str file;	   /* relative to creel.yaml's folder, or absolute */
	struct creel_str owner;	   /* a user of the recipe; NULL: creel_recipe_owner() */
};

struct creel_egress_cfg {
	struct creel_pos pos;
	struct creel_num mode;	 /* enum creel_egress_mode */
	struct creel_strs allow; /* entries as written; src/policy parses them */
	struct creel_strs deny;
	struct creel_strs approved; /* as allow, of the file beside (config/approved.h): its lines */
};

struct creel_reach_cfg {
	struct creel_pos pos;
	struct creel_str cell;
	struct creel_num port;
};

struct creel_gate_cfg {
	struct creel_pos pos; /* line 0: no gate */
	struct creel_strs clients;
	struct creel_str program;
	struct creel_strs allow; /* verbs, words apart by one blank */
	struct creel_strs ask;
	struct creel_strs deny;
	struct creel_num shared; /* octets; 0: no folder for files */
};

struct creel_broker_cfg {
	struct creel_str name;
	struct creel_str host;
	struct creel_num port;
	struct creel_str secret;
	struct creel_num auth;	    /* enum creel_broker_way */
	struct creel_str header;    /* the credential's header */
	struct creel_str prefix;    /* before the credential: "Bearer " */
	struct creel_str user;	    /* of basic */
	struct creel_str parameter; /* of query */
	struct creel_strs methods;
	struct creel_strs paths;
	struct creel_num body;	    /* octets */
	struct creel_num rate;	    /* requests a minute */
	struct creel_num websocket; /* boolean */
	struct creel_num intercept; /* boolean */
	struct creel_str ca;	    /* relative to creel.yaml's folder, or absolute */
};

struct creel_cell_cfg {
	struct creel_str name;	 /* letter, then letters, digits, '-'; at most 32 */
	struct creel_str recipe; /* a built-in's name, or a path when it holds a '/' */
	struct creel_num cpus;
	struct creel_num memory; /* octets */
	struct {
		struct creel_volume_cfg *v;
		size_t n;
		struct creel_pos pos;
	} volumes;
	struct {
		struct creel_secret_cfg *v;
		size_t n;
		struct creel_pos pos;
	} secrets;
	struct {
		struct creel_publish *v;
		size_t n;
		struct creel_pos pos;
	} publish;
	struct creel_egress_cfg egress;
	struct {
		struct creel_reach_cfg *v;
		size_t n;
		struct creel_pos pos;
	} reach;
	struct creel_gate_cfg gate;
	struct {
		struct creel_broker_cfg *v;
		size_t n;
		struct creel_pos pos;
	} broker;
	struct creel_num docker; /* boolean */
	struct creel_num ipv6;	 /* boolean */
	struct {
		json_t *json; /* an object, or NULL; borrowed */
		const void *node;
		struct creel_pos pos;
	} settings;
};

struct creel_notify_cfg {
	struct creel_pos pos;
	struct creel_strs command; /* acts on the host */
	struct creel_strs kinds;   /* event kinds or their beginnings */
};

struct creel_config {
	char *file;		  /* its name in diagnostics */
	char *approved_file;	  /* the one beside it; NULL: there is none */
	struct creel_num version; /* 1 */
	struct creel_network_cfg network;
	struct {
		struct creel_cell_cfg *v; /* in file order */
		size_t n;
		struct creel_pos pos;
	} cells;
	struct creel_notify_cfg notify;
	uint8_t hash[32]; /* BLAKE2b-256 of the file's octets: what `--trust` is bound to */
	void *arena;	  /* owns all of the above */
};

void creel_config_fini(struct creel_config *c);
CREEL_DEFINE_CLEANUP(struct creel_config, creel_config_fini)

/**
 * Parse and check a creel.yaml in memory.
 *
 * @param data   untrusted octets, borrowed for the call; more than 1 MiB is refused
 * @param len    octets in @p data
 * @param name   the file's name for diagnostics
 * @param dirfd  the folder that recipe paths are relative to, to look whether they exist; -1: don't
 * @param diags  zero or an earlier list; everything that is wrong is appended
 * @return 0; CREEL_E_CONFIG (@p diags says what, @p ret_config untouched), CREEL_E_NOMEM
 */
int creel_config_load(const void *data, size_t len, const char *name, int dirfd,
		      struct creel_config *ret_config, struct creel_diags *diags,
		      struct creel_err *err);

/**
 * The same from a file; @p path is opened here ("-" is standard input) and its folder is where
 * recipes are looked for.
 *
 * @param ret_dirfd  the file's folder, the caller's to close; may be NULL
 * @return as creel_config_load(), or CREEL_E_OS
 */
int creel_config_load_file(const char *path, struct creel_config *ret_config, int *ret_dirfd,
			   struct creel_diags *diags, struct creel_err *err);

/**
 * What only the caller can check (a built-in recipe, what an entry means): called once the file was
 * read, also when something of it is wrong, so that all errors are told at once. What was wrong is
 * zero or missing in @p c.
 */
struct creel_config_more {
	/** Append to @p diags. @return 0, or a code that ends the loading (CREEL_E_NOMEM) */
	int (*check)(void *ctx, const struct creel_config *c, int dirfd, struct creel_diags *diags,
		     struct creel_err *err);
	void *ctx;
};
/** creel_config_load() with @p more, which may be NULL. */
int creel_config_load_with(const void *data, size_t len, const char *name, int dirfd,
			   const struct creel_config_more *more, struct creel_config *ret_config,
			   struct creel_diags *diags, struct creel_err *err);
/** creel_config_load_file() with @p more, which may be NULL. */
int creel_config_load_file_with(const char *path, const struct creel_config_more *more,
				struct creel_config *ret_config, int *ret_dirfd,
				struct creel_diags *diags, struct creel_err *err);

struct creel_recipe;
/**
 * A cell against its recipe: settings by the recipe's schema, and a volume where the recipe keeps
 * something in /persist. What is wrong is appended to @p diags.
 * @return 0, CREEL_E_NOMEM
 */
int creel_config_check_recipe(const struct creel_config *c, const struct creel_cell_cfg *cell,
			      const struct creel_recipe *recipe, struct creel_diags *diags,
			      struct creel_err *err);

/**
 * Whose a cell's secrets are when they do not say it: the user of the first service that is not
 * root's, else the recipe's user where it has one alone, else root (NULL).
 */
const char *creel_recipe_owner(const struct creel_recipe *recipe);

/** The cell of that name, or NULL. */
const struct creel_cell_cfg *creel_config_cell(const struct creel_config *c, const char *name);

/** Does `recipe:` name a file (it holds a '/') rather than a built-in? */
bool creel_recipe_is_path(const char *recipe);
/** The built-in recipes' names, ended by NULL. */
extern const char *const creel_recipe_builtin[];

/** Does the file hold keys that act on the host and need trust (notify, secret command, env)? */
bool creel_config_needs_trust(const struct creel_config *c);
