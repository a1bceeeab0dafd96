#pragma once
#include "mem.h"

/*
 * Rules are data. A rule file is lines; '#' begins a comment, blank lines mean nothing:
 *
 *   let NAME PATTERN           {NAME} in later patterns stands for (?:PATTERN); file-wide
 *   rule CATEGORY.NAME         begins a rule; an id that exists already is changed, not doubled
 *     title TEXT               what it finds, one line
 *     source TEXT              where it comes from
 *     severity info|low|medium|high|critical
 *     confidence 0.01..1
 *     words PATTERN            against the words view: lower case, one blank between words
 *     any PATTERN              the same, but may begin and end inside a word (scripts without blanks)
 *     text PATTERN             against the folded text with its punctuation
 *     unless PATTERN           no finding that ends within a match of this (words), wherever it begins
 *     context WORDS            a mark of writing about attacks: near enough different ones, a finding
 *                              in the open (not hidden in an encoding) is logged only, as a mention
 *     builtin NAME             what the normaliser notices: zero-width, fullwidth, ...
 *     direction in|out|both    which texts it is for (in)
 *     split                    looked for in words taken apart as well ("i g n o r e")
 *     off | on                 disabled, enabled again
 *     clear                    forget the patterns and examples (to override a built-in rule)
 *     must TEXT                an example that it must find; \n \t \\ \xHH \u{H}
 *     mustnot TEXT             one that it must not
 *
 * Patterns are Vectorscan's (PCRE without look-around and back-references). An info rule is a signal:
 * it counts only together with others (combined in findings.c).
 */
#define DEF_RULES_MAX     4096
#define DEF_PATTERN_MAX   8192
#define DEF_RULE_FILE_MAX (4u << 20)

enum def_kind { DEF_WORDS, DEF_ANY, DEF_TEXT, DEF_UNLESS, DEF_CONTEXT };

struct def_rule {
	char *id, *category, *title, *source;
	enum creel_defender_severity severity;
	double confidence;
	bool enabled, split, in, out;
	int builtin; /* enum def_builtin, -1: none */
	const char **must, **must_not;
	size_t n_must, n_must_not, cap_must, cap_must_not;
};
struct def_pattern {
	size_t rule;
	enum def_kind kind;
	char *expr; /* macros replaced, folded */
	const char *file;
	unsigned line;
	bool gone; /* cleared by an override */
};
struct def_arena {
	const def_mem *mem;
	struct def_chunk *chunks;
};
struct def_rules {
	struct def_arena arena;
	struct def_rule *rules;
	size_t n_rules, cap_rules;
	struct def_pattern *patterns;
	size_t n_patterns, cap_patterns;
	uint64_t hash; /* over all that was read, in order */
};

void def_rules_init(struct def_rules *r, const def_mem *mem);
void def_rules_fini(struct def_rules *r);
/**
 * Read one rule file's text.
 *
 * @param name  for messages: NAME:LINE: what is wrong
 * @return 0, CREEL_E_SYNTAX, CREEL_E_TOOBIG, CREEL_E_NOMEM
 */
int def_rules_read(struct def_rules *r, const char *name, const char *text, size_t len,
		   struct creel_err *err);
/** Undo the escapes of an example, into the arena. */
char *def_example(struct def_arena *a, const char *s, size_t n);
/** Copy @p n octets of @p s and a NUL into the arena. @return NULL when out of memory */
char *def_arena_text(struct def_arena *a, const char *s, size_t n);
void def_arena_fini(struct def_arena *a);
