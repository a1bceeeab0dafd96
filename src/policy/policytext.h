#pragma once
#include "base/buf.h"
#include "policy/broker.h"
#include "policy/egress.h"

/*
 * A cell's policy as text, as it goes from the CLI to the monitor, to creel-dns and to the engine: one
 * `WORD VALUE...` a line, so that each reads the same policy back and none of them reads creel.yaml.
 *
 *   mode MODE LINE          none, listed, ask, open; LINE is where the file says so
 *   allow LINE ENTRY        deny LINE ENTRY
 *   reach LINE CELL PORT [ipv6]
 *   cell NAME ADDRESS       each cell that is reached
 *   subnet CIDR             the cells' own
 *   broker NAME LINE ...    and what follows it (policy/broker.h)
 */
enum { CREEL_POLICYTEXT_MAX = 4 << 20, CREEL_POLICYTEXT_CELLS = 64 };

struct creel_policytext {
	struct creel_policy policy;
	struct creel_policy_spec spec; /* what policy was made of */
	struct {
		const char *name;
		struct creel_net addr; /* family 4 */
	} cell[CREEL_POLICYTEXT_CELLS];
	/* what they point into */
	const char *names[CREEL_POLICYTEXT_CELLS];
	struct creel_rule_text *allow, *deny;
	struct creel_rule_reach *reach;
	struct creel_brokers *brokers; /* NULL: none */
	char *text;
};

void creel_policytext_fini(struct creel_policytext *t);
CREEL_DEFINE_CLEANUP(struct creel_policytext, creel_policytext_fini)

/**
 * Write a policy. @p addr answers a cell's address, or returns false: the cell is left out.
 * @return 0, CREEL_E_INVALID (an entry with a blank or a line's end), CREEL_E_TOOBIG, CREEL_E_NOMEM
 */
int creel_policytext_write(const struct creel_policy_spec *spec,
			   bool (*addr)(void *ctx, const char *cell, struct creel_net *ret), void *ctx,
			   struct creel_buf *out, struct creel_err *err);

/**
 * Read one back. The result holds no pointer into @p text. It is built in place and must not be
 * copied: its policy points into it.
 *
 * @param text   untrusted octets, @p len of them
 * @param other  takes lines of other words, which are errors when it is NULL or returns 0; a
 *               negative code ends the reading. @p rest is writable, lives as long as @p ret
 * @return 0, CREEL_E_SYNTAX, CREEL_E_INVALID, CREEL_E_TOOBIG, CREEL_E_NOMEM
 */
int creel_policytext_read(const char *text, size_t len,
			  int (*other)(void *ctx, const char *word, char *rest, struct creel_err *err),
			  void *ctx, struct creel_policytext *ret, struct creel_err *err);
