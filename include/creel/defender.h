#ifndef CREEL_DEFENDER_H
#define CREEL_DEFENDER_H
/*
 * libcreel-defender: finds text that tries to give an AI agent orders (prompt injection), says where
 * it stands, and returns the text without it.
 *
 * C99, opens in C++. No global state: everything hangs on a struct creel_defender, which does not
 * change after creel_defender_new(); any number of threads may scan with one at the same time. The
 * library never prints, never exits, touches no signal and no environment, and opens no file but
 * the ones that the options name. Time and memory are linear in the length of the text, for every
 * text; no text is cut.
 *
 * Layers: 1, rules, all in one pass over the normalised text and over what is decoded from it;
 * 2, a small n-gram model that is built in; and whatever the caller adds (a neural classifier as
 * layer 2, a judge as layer 3) as struct creel_defender_layer.
 *
 * A structure that a caller fills begins with its own size (sizeof), so that it can grow: fields
 * beyond it count as 0. What a function returns by `ret` stays as it was when it fails.
 */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CREEL_DEFENDER_VERSION "0.1.0"

struct creel_defender;        /* rules, compiled, and models: read-only once made */
struct creel_defender_result; /* what one scan found */
struct creel_defender_stream; /* a text that comes in pieces */

/** Why a call failed; negative, 0 is success. */
enum creel_defender_code {
	CREEL_DEFENDER_OK = 0,
	CREEL_DEFENDER_E_OS = -1,      /* a file could not be read or written */
	CREEL_DEFENDER_E_NOMEM = -2,   /* out of memory */
	CREEL_DEFENDER_E_SYNTAX = -3,  /* a rule file is malformed: FILE:LINE: why */
	CREEL_DEFENDER_E_TOOBIG = -5,  /* over a stated bound */
	CREEL_DEFENDER_E_INVALID = -6, /* an argument, or a rule that cannot be compiled */
	CREEL_DEFENDER_E_LAYER = -16,  /* a layer of the caller's failed */
	CREEL_DEFENDER_E_UNSUPP = -17  /* this processor cannot run the matcher */
};

/** Filled when a call fails; always one line, may hold foreign text. Callers may pass NULL. */
struct creel_defender_error {
	int code;
	int os; /* errno, 0 if no system call failed */
	char msg[240];
};

/** What to do with the text; ordered, the worst finding decides. "Found" is WARN or more. */
enum creel_defender_action {
	CREEL_DEFENDER_ALLOW = 0,
	CREEL_DEFENDER_LOG = 1,      /* note it, show nobody */
	CREEL_DEFENDER_WARN = 2,     /* tell the user or the model */
	CREEL_DEFENDER_SANITIZE = 3, /* use creel_defender_result_sanitized() */
	CREEL_DEFENDER_BLOCK = 4     /* use nothing of it */
};

enum creel_defender_severity {
	CREEL_DEFENDER_INFO = 0,   /* -> log */
	CREEL_DEFENDER_LOW = 1,    /* -> warn */
	CREEL_DEFENDER_MEDIUM = 2, /* -> sanitize */
	CREEL_DEFENDER_HIGH = 3,   /* -> block */
	CREEL_DEFENDER_CRITICAL = 4
};

/** What becomes of a text when a layer could not be asked. */
enum creel_defender_on_error {
	CREEL_DEFENDER_CLOSED = 0, /* the text is blocked */
	CREEL_DEFENDER_OPEN = 1    /* the other layers decide; the failure stands in the result */
};

/** Which way a text goes. Rules on leaking credentials look at OUT only. */
enum creel_defender_direction {
	CREEL_DEFENDER_IN = 0, /* towards the model: a tool's result, a message, a file */
	CREEL_DEFENDER_OUT = 1 /* from the agent to somebody */
};

/** Where the text comes from; every string may be NULL and is borrowed for the call. */
struct creel_defender_context {
	size_t size;
	enum creel_defender_direction direction;
	const char *source;   /* "web", "mail", "file", "tool", "user", "skill", ... */
	const char *role;     /* "user", "tool", "assistant", "system" */
	const char *tool;     /* the tool's name */
	const char *language; /* ISO 639-1; a hint, no rule is skipped for it */
	unsigned skip_layers; /* bit n set: layer n is not asked (1u << 2: no classifier) */
};

/** One place that a rule or a layer found. Strings live as long as the result. */
struct creel_defender_finding {
	const char *rule;     /* "override.ignore-previous"; "ngram" for the built-in model */
	const char *category; /* "override" */
	const char *via;      /* how it was hidden: "" or "base64", "base64,url", "split", ... */
	enum creel_defender_severity severity;
	enum creel_defender_action action; /* what this finding alone would cause */
	double confidence;                 /* 0..1 */
	int layer;
	size_t from; /* first octet in the original text */
	size_t to;   /* one past the last; whole encoded run when it was found inside one */
};

/** A layer's word on the whole text. */
struct creel_defender_verdict {
	int layer;
	const char *name;  /* "rules", "ngram", or the caller's */
	double score;      /* 0..1: how sure it is that the text is an injection */
	int failed;        /* not asked to the end: score means nothing, `on_error` decided */
	const char *error; /* why, or "" */
};

/**
 * A layer that the caller brings. It is asked in the order of its `layer` number, after the built-in
 * ones, and only while the text is undecided as `from_score` and `to_score` say.
 */
struct creel_defender_layer {
	size_t size;
	int layer;        /* 2 or 3 */
	const char *name; /* borrowed until creel_defender_free() */
	/**
	 * The uncertain band: ask when the highest score so far is in [from, to) and the text is not
	 * blocked already. 0, 0: always.
	 */
	double from_score, to_score;
	double warn_at, block_at; /* its score from which on the text is warned of, or blocked */
	enum creel_defender_on_error on_error;
	/**
	 * Score @p text (UTF-8 is not promised). May be called by several threads at once.
	 * @return 0 with *ret_score set, or negative with a reason in @p why (@p why_size octets)
	 */
	int (*score)(void *arg, const char *text, size_t len, const struct creel_defender_context *ctx,
		     double *ret_score, char *why, size_t why_size);
	void (*destroy)(void *arg); /* by creel_defender_free(); NULL: nothing to do */
	void *arg;
};

/** Memory by the caller's functions; all or none. Vectorscan's own scratch is malloc's. */
struct creel_defender_memory {
	void *(*alloc)(void *arg, size_t n);
	void *(*realloc)(void *arg, void *p, size_t n);
	void (*free)(void *arg, void *p);
	void *arg;
};

/** All zero but `size` is a sensible start: the built-in rules and model, no cache. */
struct creel_defender_options {
	size_t size;
	const char *const *rule_files; /* more rule files, NULL at the end; read after the built-in ones */
	const char *rules_text;        /* the same, as text in memory; read last */
	size_t rules_text_len;
	int no_builtin_rules;
	int no_builtin_model;
	/**
	 * A folder for compiled rules, owned by this user or root and writable by no other: found
	 * there, they are loaded in milliseconds; else compiled (about ten seconds of a processor) and
	 * kept there.
	 */
	const char *cache_dir;
	const char *replacement; /* what stands for a removed range; NULL: "[removed]" */
	size_t max_findings;     /* in a result; 0: 256. More are counted, and still sanitised */
	double ngram_warn_at;    /* the built-in model's score that warns; 0: its own; > 1: never */
	const struct creel_defender_layer *layers; /* @p n_layers of them, copied */
	size_t n_layers;
	const struct creel_defender_memory *memory; /* NULL: malloc and its kin; copied */
};

/**
 * Read the rules, compile them, load the model.
 *
 * @param opt  NULL: as if all zero
 * @param ret  the defender; creel_defender_free() it
 * @param err  filled on failure; NULL is allowed
 * @return 0, or a negative creel_defender_code
 */
int creel_defender_new(const struct creel_defender_options *opt, struct creel_defender **ret,
		       struct creel_defender_error *err);

/** Free it; no scan may be under way. NULL is allowed. */
void creel_defender_free(struct creel_defender *d);

/**
 * Scan one text.
 *
 * @param d     may be shared by threads
 * @param text  any octets, borrowed for the call; need not be UTF-8, may hold NUL
 * @param len   octets in @p text
 * @param ctx   NULL: all zero
 * @param ret   what was found; creel_defender_result_free() it
 * @param err   filled on failure; NULL is allowed
 * @return 0 (whatever was found), or negative: nothing is known of the text, so do not use it
 */
int creel_defender_scan(const struct creel_defender *d, const void *text, size_t len,
			const struct creel_defender_context *ctx, struct creel_defender_result **ret,
			struct creel_defender_error *err);

/**
 * What remains to be asked about a scanned text: bit n is set when a layer of number n, that the scan
 * skipped by `skip_layers`, would be asked now. So a caller that must not wait scans with layer 3
 * skipped, and asks it elsewhere only when there is something to ask.
 */
unsigned creel_defender_pending(const struct creel_defender *d, const struct creel_defender_result *r);
/**
 * Ask about an already scanned text the caller's layers that have not been asked, as creel_defender_scan()
 * would have: @p r then holds their words too. One thread at a time for one result.
 *
 * @param text  the same text as was scanned
 * @param ctx   as for the scan, with other layers skipped
 * @return 0, or negative: @p r is good for nothing but creel_defender_result_free()
 */
int creel_defender_ask(const struct creel_defender *d, struct creel_defender_result *r, const void *text,
		       size_t len, const struct creel_defender_context *ctx,
		       struct creel_defender_error *err);

/**
 * A text in pieces, with the same findings as of the whole; offsets count from the first piece.
 * The text is kept until it ends: an instruction may be cut anywhere, and decoding needs its end.
 */
int creel_defender_stream_new(const struct creel_defender *d, const struct creel_defender_context *ctx,
			      struct creel_defender_stream **ret, struct creel_defender_error *err);
/** Add a piece. After a failure the stream is good for nothing but stream_free(). */
int creel_defender_stream_feed(struct creel_defender_stream *s, const void *piece, size_t len,
			       struct creel_defender_error *err);
/** The text ends here: scan it. The stream is empty afterwards and takes another text. */
int creel_defender_stream_end(struct creel_defender_stream *s, struct creel_defender_result **ret,
			      struct creel_defender_error *err);
void creel_defender_stream_free(struct creel_defender_stream *s);

/** What to do with the text. */
enum creel_defender_action creel_defender_result_action(const struct creel_defender_result *r);
/** The highest score of the layers that answered, 0..1. */
double creel_defender_result_score(const struct creel_defender_result *r);
/** The findings, by place; @return their number. @p ret may be NULL. */
size_t creel_defender_result_findings(const struct creel_defender_result *r,
				      const struct creel_defender_finding **ret);
/** Findings over `max_findings`, counted and not kept. */
size_t creel_defender_result_dropped(const struct creel_defender_result *r);
/** Each layer's word; @return their number. */
size_t creel_defender_result_verdicts(const struct creel_defender_result *r,
				      const struct creel_defender_verdict **ret);
/** Bit n is set when a layer of number n was asked and failed; each verdict says why. 0: none. */
unsigned creel_defender_result_failed(const struct creel_defender_result *r);
/**
 * The text with exactly the ranges of warn-or-worse findings replaced, everything else octet by
 * octet as it was. A NUL follows the text and is not counted. Ranges of a layer that judges the
 * whole text (the n-gram model, the caller's) are not replaced: there is no part to name.
 */
const char *creel_defender_result_sanitized(const struct creel_defender_result *r, size_t *ret_len);
/** Octets that all passes over the text looked at: proof of linear cost, for tests and metrics. */
uint64_t creel_defender_result_work(const struct creel_defender_result *r);
void creel_defender_result_free(struct creel_defender_result *r);

/** One view of the text that rules were matched against. */
struct creel_defender_view {
	const char *name; /* "text", "words", "split", "leet" */
	const char *via;  /* "" or how it was decoded */
	const char *data;
	size_t len;
};
/**
 * Show what the rules see: @p each is called with every view of @p text in turn; a non-zero return
 * ends it and becomes the result.
 */
int creel_defender_explain(const struct creel_defender *d, const void *text, size_t len,
			   int (*each)(void *arg, const struct creel_defender_view *view), void *arg,
			   struct creel_defender_error *err);

/** A rule as loaded, for lists and reports. */
struct creel_defender_rule {
	const char *id, *category, *title, *source;
	enum creel_defender_severity severity;
	double confidence;
	int enabled;
	const char *const *must;     /* texts that it must find; NULL at the end */
	const char *const *must_not; /* texts that it must not */
};
/** Rule @p i, in file order. @return 0, or CREEL_DEFENDER_E_INVALID past the last */
int creel_defender_rule(const struct creel_defender *d, size_t i, struct creel_defender_rule *ret);

/*
 * A neural classifier as layer 2: a folder as its publishers lay it out, with tokenizer.json (Unigram),
 * config.json (id2label) and model.onnx. Known to fit: deberta-v3-base-prompt-injection-v2, Prompt
 * Guard 2 86M and 22M. ONNX Runtime's library is looked for when a model is opened, not before; a
 * model's memory is malloc's and the runtime's.
 */
struct creel_defender_model; /* shared by any number of threads and defenders */
struct creel_defender_model_options {
	size_t size;
	const char *name;     /* in findings and verdicts; NULL: the folder's */
	const char *file;     /* the network in the folder; NULL: "model.onnx" */
	const char *runtime;  /* path of libonnxruntime.so.1; NULL: by the system's loader */
	unsigned threads;     /* that one run uses, the caller's included; 0: as processors, at most 4 */
	unsigned batch;       /* short windows run together at most, of all callers; 0: 8, at most 64 */
	unsigned max_windows; /* of one text (about 2,000 octets each); 0: 64. A longer text is a failure */
};
/** @p opt NULL: as if all zero. @return 0 or negative: a file, the runtime or the model is unusable */
int creel_defender_model_open(const char *dir, const struct creel_defender_model_options *opt,
			      struct creel_defender_model **ret, struct creel_defender_error *err);
/** No call and no defender with its layer may be in use. NULL is allowed. */
void creel_defender_model_close(struct creel_defender_model *m);
/**
 * The highest score of the text's windows (512 tokens, an eighth shared with the one before). Calls of
 * several threads are run together. @return 0, or negative: nothing is known of the text
 */
int creel_defender_model_score(struct creel_defender_model *m, const void *text, size_t len, double *ret,
			       struct creel_defender_error *err);
/** A layer to put in creel_defender_options: warns from 0.5 on, blocks from 0.9; a failure blocks. */
void creel_defender_model_layer(struct creel_defender_model *m, struct creel_defender_layer *ret);

/** Names: "block", "critical". Never NULL. */
const char *creel_defender_action_name(enum creel_defender_action a);
const char *creel_defender_severity_name(enum creel_defender_severity s);
/** The library's version, as in CREEL_DEFENDER_VERSION when it was built. */
const char *creel_defender_version(void);

#ifdef __cplusplus
}
#endif
#endif
