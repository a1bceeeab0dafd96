#pragma once
#include "config/config.h"
#include "wire/bootcfg.h"

/*
 * A recipe: all that an image holds, as plain structs (creel.yaml(5), RECIPES).
 */
struct creel_debian_cfg {
	struct creel_pos pos;   /* line 0: no Debian packages asked for */
	struct creel_str suite; /* "bookworm" by default */
	struct creel_strs packages;
	struct creel_str snapshot; /* YYYYMMDDTHHMMSSZ, or NULL */
};

/** `url:` entries: PATH: { url, sha256, mode, unpack } */
struct creel_url_cfg {
	struct creel_str name;   /* where it goes in the image, absolute */
	struct creel_str url;    /* https:// */
	struct creel_str sha256; /* 64 lower-case hex digits */
	struct creel_num mode;
	struct creel_num unpack;     /* boolean: a tar archive, unpacked into the folder NAME */
	struct creel_strs redirects; /* further hosts that it may lead to */
};

struct creel_user_cfg {
	struct creel_str name;
	struct creel_num uid; /* 1 to 64999 */
	struct creel_str home;
	struct creel_str shell;
	struct creel_strs groups;
};

/** One source: content, source, or link. */
struct creel_file_cfg {
	struct creel_str name;     /* where it goes, absolute */
	struct creel_str content;  /* the octets themselves */
	struct creel_str source;   /* a path beneath the recipe's folder */
	struct creel_str sha256;   /* what the source must be; NULL: whatever it is */
	struct creel_str link;     /* make a symbolic link to this */
	struct creel_str owner;    /* a user of the recipe or root */
	struct creel_num mode;     /* 0644 by default */
	struct creel_num declared; /* boolean: put back at each start */
};

struct creel_ready_cfg {
	struct creel_pos pos;  /* line 0: ready as soon as it runs */
	struct creel_str http; /* HOST:PORT/PATH, 2xx is ready */
	struct creel_str tcp;  /* HOST:PORT */
	struct creel_strs command;
	struct creel_num timeout; /* ms */
};

enum creel_on_secret { CREEL_ON_NONE, CREEL_ON_RESTART, CREEL_ON_HUP, CREEL_ON_USR1, CREEL_ON_USR2 };

struct creel_service_cfg {
	struct creel_str name;
	struct creel_strs run; /* argv; [0] absolute */
	struct creel_str user; /* root by default */
	struct creel_str dir;  /* working directory; the user's home by default */
	struct creel_pairs environment;
	struct creel_str environment_file; /* may be absent in the guest */
	struct creel_ready_cfg ready;
	struct creel_num restart; /* enum creel_boot_restart */
	struct creel_strs after;
	struct creel_num stop_timeout; /* ms */
	struct creel_num on_secret;    /* enum creel_on_secret */
};

struct creel_recipe {
	char *file;
	struct creel_num version;
	struct creel_str description;
	struct creel_debian_cfg debian;
	struct creel_strs npm;         /* NAME@VERSION */
	struct creel_strs npm_scripts; /* packages whose lifecycle scripts may run */
	struct creel_strs go;          /* MODULE@VERSION */
	struct {
		struct creel_url_cfg *v;
		size_t n;
		struct creel_pos pos;
	} url;
	struct {
		struct creel_user_cfg *v;
		size_t n;
		struct creel_pos pos;
	} users;
	struct {
		struct creel_file_cfg *v;
		size_t n;
		struct creel_pos pos;
	} files;
	struct {
		struct creel_service_cfg *v; /* in file order; no ring of `after` */
		size_t n;
		struct creel_pos pos;
	} services;
	struct creel_num docker;       /* boolean */
	struct creel_strs secrets_env; /* NAME of the secrets assembled into gateway-env */
	struct {
		json_t *json; /* JSON Schema of a cell's `settings:`; NULL: it has none */
		const void *node;
		struct creel_pos pos;
	} settings;
	uint8_t hash[32]; /* BLAKE2b-256 of the file's octets */
	const char *text; /* the file's octets */
	size_t text_len;
	void *arena;
};

void creel_recipe_fini(struct creel_recipe *r);
CREEL_DEFINE_CLEANUP(struct creel_recipe, creel_recipe_fini)

/** Parse and check a recipe; parameters and results as creel_config_load(). */
int creel_recipe_load(const void *data, size_t len, const char *name, int dirfd,
		      struct creel_recipe *ret_recipe, struct creel_diags *diags, struct creel_err *err);

/**
 * Open and load the recipe file @p path relative to @p dirfd.
 * @param ret_dirfd  the recipe's folder (sources of files are beneath it); may be NULL
 */
int creel_recipe_load_file(int dirfd, const char *path, struct creel_recipe *ret_recipe, int *ret_dirfd,
			   struct creel_diags *diags, struct creel_err *err);
