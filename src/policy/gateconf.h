#pragma once
#include "policy/gate.h"

/*
 * What creel-gate is started with: /etc/creel/tool.conf of the recipe, and /etc/creel/gate.conf that the
 * host writes into the tool's cell; only root writes them there. Both are read as one text. One `WORD VALUE` a line, in any order, # begins a comment line:
 *
 *   program gog                 the tool's name: the verb table is the built-in one
 *   exec /usr/local/bin/gog     what is run
 *   home /persist/gog           its working directory and HOME
 *   log /var/log/creel-gate     one line a call is appended
 *   host /run/creel/host.sock   where the host is asked and told; without it an ask is refused
 *   wait 600                    seconds that a human has
 *   shared 67108864             a folder HOME/shared for files that calls name: how many octets it may hold
 *   secret NAME FILE            a variable whose value is what FILE holds; without the file there is none
 *   env NAME=VALUE              its environment, besides PATH, HOME and LANG; any number
 *   allow|ask|deny RULE         any number
 */
#define CREEL_GATECONF_MAX    (1 << 20)
#define CREEL_GATECONF_SHARED (16ULL << 30)

struct creel_gateconf {
	char *text; /* owns the strings below */
	const char *program, *exec, *home, *log, *host;
	unsigned wait_s;
	uint64_t shared;  /* 0: none */
	const char **env; /* ended by NULL */
	size_t n_env;
	const char **secret; /* NAME, FILE, NAME, FILE...; ended by NULL */
	size_t n_secret;     /* strings */
	struct creel_gate gate;
};

void creel_gateconf_fini(struct creel_gateconf *c);
CREEL_DEFINE_CLEANUP(struct creel_gateconf, creel_gateconf_fini)

/** @return 0, CREEL_E_SYNTAX, CREEL_E_INVALID, CREEL_E_NOTFOUND, CREEL_E_TOOBIG, CREEL_E_NOMEM */
int creel_gateconf_parse(const char *text, size_t len, struct creel_gateconf *ret_conf,
			 struct creel_err *err);
