#pragma once
#include "base/buf.h"
#include "policy/argv.h"
#include "policy/egress.h"
#include "policy/verbs.h"

/*
 * What others may ask of a cell's tool: an argv is understood by the tool's verb table and matched
 * against the rules of `gate:`. Anything not understood whole is denied. Decides, never acts; the
 * same code in creel-gate and in `creel policy test --command`.
 *
 * A rule is a verb's words ("gmail send"), and may add conditions that the call must meet as well:
 *   who:PATTERN[,PATTERN]  every address in every flag that names people is *@DOMAIN or USER@DOMAIN,
 *                          there is one at least, and no flag adds people who are not named
 *   FLAG:VALUE[,VALUE]     the flag is given, and each time with one of these values
 *   argN:VALUE[,VALUE]     the N-th positional argument, from 1, is one of these
 * A rule of deny may name a group ("gmail settings") and has no conditions. deny beats all; a rule
 * with conditions that are met beats one without; then ask beats allow.
 */
struct creel_gate_rule {
	const struct creel_tool_verb *verb; /* of the table */
	enum creel_decision decision;
	const char *conditions; /* the text behind the verb, NULL: none */
	struct creel_rule_text text;
};

struct creel_gate {
	struct creel_verbs table;
	struct creel_gate_rule *rules;
	size_t n_rules;
	bool shared; /* there is a folder for files: see creel_gate_file_ok() */
};

void creel_gate_fini(struct creel_gate *g);
CREEL_DEFINE_CLEANUP(struct creel_gate, creel_gate_fini)

struct creel_gate_spec {
	const struct creel_rule_text *rule[3]; /* by enum creel_decision; borrowed */
	size_t n[3];
};

/**
 * @param table    moved into the gate on success; the caller's own otherwise
 * @param ret_bad  the rule that @p err speaks of
 * @return 0; CREEL_E_INVALID (no such verb, a group that is allowed, a bad condition), CREEL_E_NOMEM
 */
int creel_gate_init(struct creel_gate *g, struct creel_verbs *table, const struct creel_gate_spec *spec,
		    struct creel_rule_text *ret_bad, struct creel_err *err);

enum {
	CREEL_GATE_FILES = 16, /* that one call may name */
	CREEL_GATE_SHOW = 32,  /* words that a table's `shows` may have */
};

/** What a part of a call means for files. */
enum creel_gate_use {
	CREEL_USE_NONE,
	CREEL_USE_IN,    /* a file of the shared folder, read */
	CREEL_USE_OUT,   /* one that is written */
	CREEL_USE_STDIN, /* standard input is read */
};

/**
 * Is @p name one that a file of the shared folder may have? One plain name: letters, digits, characters
 * beyond ASCII, blanks, and . _ + -, the first no blank, dot or dash, at most 200 octets. So no path leads
 * out, none is a list to a tool that splits at commas, and none begins a flag, a home or a hidden file.
 */
bool creel_gate_file_ok(const char *name);

/** How a call reads, for a person and for `--same-verb`. Strings are the call's own. */
struct creel_gate_part {
	const char *label; /* a flag's name, or "argument" */
	const char *value; /* "" for a flag without one */
	bool fixed;        /* says whom or what it concerns: kept by a grant for the verb */
	enum creel_gate_use use;
	const char *file; /* the name, for USE_IN and USE_OUT */
};

/**
 * The parts of a call that creel_gate_decide() understood, in their order.
 *
 * @return how many there are; @p ret has the first @p max
 */
size_t creel_gate_parts(const struct creel_gate *g, const struct creel_argv *argv,
			struct creel_gate_part *ret, size_t max);

/** The positional arguments behind the verb. @return how many there are; @p ret has the first @p max */
size_t creel_gate_args(const struct creel_gate *g, const struct creel_argv *argv, const char **ret,
		       size_t max);

struct creel_gate_answer {
	enum creel_decision decision;
	const char *verb;                        /* its path in the table, NULL: not understood */
	const struct creel_tool_verb *tool_verb; /* the same, whole */
	bool reads_stdin;                        /* else it gets none */
	bool files;                              /* it is for the gate itself: PROGRAM-files VERB [NAME] */
	const char *rule;                        /* the rule as written, or "default: deny" */
	uint32_t line;                           /* of the rule; 0: none */
	bool json;                               /* the call asked for JSON: its refusal is JSON too */
	char why[240];                           /* words; may hold foreign text */
};

/**
 * @param argv  argv[0] is the program, by its plain name
 */
void creel_gate_decide(const struct creel_gate *g, const struct creel_argv *argv,
		       struct creel_gate_answer *ret);

/** Is @p text a rule's form (words, then conditions)? What it names is not looked up. */
bool creel_gate_rule_ok(const char *text);
