#pragma once
#include "config/arena.h"
#include "config/diag.h"

/*
 * One YAML document as a tree that keeps its positions. Aliases are followed while it is built (a
 * node may so have several parents), bounded by what the tree would be if written out.
 */
enum node_kind {
	NODE_SCALAR,
	NODE_SEQ,
	NODE_MAP,
};

struct creel_node {
	enum node_kind kind;
	struct creel_pos pos;
	bool plain;       /* a scalar without quotes: may be a number, boolean or null */
	const char *text; /* of a scalar; no NUL inside */
	size_t len;
	struct creel_node **kids; /* of a mapping: key, value, key, ... */
	size_t n, cap;
	size_t weight, height;
};

#define CREEL_YAML_MAX_OCTETS (1024 * 1024)
#define CREEL_YAML_MAX_DEPTH  64
#define CREEL_YAML_MAX_NODES  50000

/**
 * Read exactly one document. Keys are scalars, different in each mapping.
 * @return the root; NULL when something was wrong (@p diags) or memory ran out (@p arena->failed)
 */
struct creel_node *creel_node_parse(struct creel_arena *arena, const void *data, size_t len, const char *file,
				    struct creel_diags *diags);

enum node_type {
	NODE_NULL,
	NODE_BOOL,
	NODE_INT,
	NODE_FLOAT,
	NODE_TEXT,
};
/** What a scalar is by YAML 1.2's core schema. */
enum node_type creel_node_type(const struct creel_node *n);
