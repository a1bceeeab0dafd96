#pragma once
#include "base/cleanup.h"
#include "policy/entry.h"

/*
 * What one cell may resolve, connect to and reach: read from text once, then only asked. The same
 * code answers at run time and in `creel policy test`. Nothing here acts, does I/O or knows time.
 */
enum creel_policy_mode {
	CREEL_MODE_NONE,
	CREEL_MODE_LISTED,
	CREEL_MODE_ASK,
	CREEL_MODE_OPEN,
};

/** A text of the file and where it stands; borrowed until creel_policy_fini(). */
struct creel_rule_text {
	const char *s;
	uint32_t line;
	uint32_t column;
};
struct creel_rule_reach {
	const char *cell;
	uint16_t port;
	uint32_t line;
	bool six; /* by IPv6, too: both cells have it */
};

/** What a policy is made of. Every pointer is borrowed until creel_policy_fini(). */
struct creel_policy_spec {
	enum creel_policy_mode mode;
	uint32_t mode_line; /* where the mode stands, or the cell when it is the default */
	const struct creel_rule_text *allow;
	size_t n_allow;
	const struct creel_rule_text *deny;
	size_t n_deny;
	const struct creel_rule_reach *reach;
	size_t n_reach;
	const char *const *cells; /* every cell's name, ours too */
	size_t n_cells;
	struct creel_net subnet;             /* the cells' own; no entry opens it */
	const struct creel_brokers *brokers; /* policy/broker.h; NULL: none */
};

struct creel_policy {
	struct creel_policy_spec spec;
	struct creel_rule *rules; /* sorted by name, address entries last */
	size_t n_rules;
	size_t n_named;
};

/**
 * Read the entries of @p spec.
 *
 * @param ret_bad  on CREEL_E_SYNTAX, _TOOBIG, _INVALID: the entry that @p err speaks of
 * @return 0, these, CREEL_E_NOMEM
 */
int creel_policy_init(struct creel_policy *p, const struct creel_policy_spec *spec,
		      struct creel_rule_text *ret_bad, struct creel_err *err);
void creel_policy_fini(struct creel_policy *p);
CREEL_DEFINE_CLEANUP(struct creel_policy, creel_policy_fini)

enum creel_decision {
	CREEL_DENY,
	CREEL_ASK,
	CREEL_ALLOW,
};
/** "deny", "ask", "allow" */
const char *creel_decision_name(enum creel_decision d);

enum creel_why {
	CREEL_WHY_ENTRY_ALLOW, /* an entry of allow */
	CREEL_WHY_ENTRY_DENY,
	CREEL_WHY_REACH,   /* a line of reach */
	CREEL_WHY_MODE,    /* none of the above: the mode decides */
	CREEL_WHY_PORT,    /* the name is allowed, but not on this port or protocol */
	CREEL_WHY_RANGE,   /* a private, host, link-local, metadata, multicast or cells' address */
	CREEL_WHY_ADDRESS, /* an address asked for by itself, and no CIDR entry has it */
	CREEL_WHY_SPECIAL, /* a name that is never asked of the public DNS */
	CREEL_WHY_CELL,    /* another cell, and no line of reach has it with this port */
	CREEL_WHY_FAMILY,  /* said by who knows the cell: an IPv6 address, and it has none of its own */
};

struct creel_answer {
	enum creel_decision decision;
	enum creel_why why;
	enum creel_way way; /* when allowed: how it is checked; ANY in mode open */
	const char *rule;   /* the entry as written, or what decided, such as "mode: listed" */
	uint32_t line;      /* of what decided; 0 when it is in no file */
};

/**
 * What is asked: a name (as creel_name_parse() gives it), an address, or both, when @p addr is what
 * @p name resolved to under this policy. Port 0 asks whether the name may be resolved at all.
 */
struct creel_question {
	const char *name;      /* NULL or "": by address alone */
	struct creel_net addr; /* family 0: by name alone */
	uint16_t port;
	bool udp;
};

/**
 * Decide. deny beats allow beats the mode. Order: the cells' own names; deny entries (by name and
 * by address); never-ranges; allow entries; the mode. Costs a binary search a label and a look at
 * each CIDR entry.
 */
void creel_policy_decide(const struct creel_policy *p, const struct creel_question *q,
			 struct creel_answer *ret);

/** The address entries, for a packet filter: i from 0. @return false when there is none */
bool creel_policy_net_at(const struct creel_policy *p, size_t i, struct creel_entry *ret_entry,
			 bool *ret_deny);

struct creel_opening {
	uint16_t port;
	bool udp;
	enum creel_way way;
};

/**
 * What an address that @p name resolved to is opened for. A name that was granted by a human
 * (mode ask) is opened for TLS on 443 and HTTP on 80, as far as no entry denies it.
 *
 * @return how many were written, at most @p max
 */
size_t creel_policy_openings(const struct creel_policy *p, const char *name, bool granted,
			     struct creel_opening *ret, size_t max);
