#pragma once
#include "mem.h"

/*
 * A view is a text made from another by a pure function: unescaped, folded, words only, decoded.
 * No map of offsets is kept, as most texts are clean: when something was found, the function runs
 * again in mapping mode and says of the wanted octets which octets of its input they came from.
 */

/* A place where a transform can begin in the middle: what it has read and put until there, and what it knows. */
struct def_mark {
	size_t in, at;
	uint8_t state; /* of the transform */
};

#define DEF_MARK_EVERY 2048 /* octets put */

/* Places every now and then, ascending: a translation goes from the last one before what is wanted. */
struct def_marks {
	const def_mem *mem;
	struct def_mark *m;
	size_t n, cap;
};

struct def_sink {
	struct def_buf *out; /* NULL in mapping mode */
	size_t at;           /* octets put so far */
	struct def_marks *marks;
	/* mapping mode: `want` is ascending; ret_from/ret_to get the source of each */
	const size_t *want;
	size_t n_want, next;
	size_t *ret_from, *ret_to;
};

struct def_view;
struct def_pairs;
/** Arguments of a transform that needs some: a range of its input, a mode, octets that may stand side by side. */
struct def_arg {
	size_t from, to;
	int mode;
	const struct def_pairs *beside;
};
typedef void (*def_transform)(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
			      void *facts);

struct def_view {
	const struct def_view *parent; /* NULL: the original text */
	def_transform fn;
	struct def_arg arg;
	struct def_buf buf; /* owns data, except in the original */
	struct def_marks marks;
	const uint8_t *data;
	size_t len;
	const char *via; /* "base64": what this step is called; "" for those that hide nothing */
};

static inline void def_wanted(struct def_sink *s, size_t n, size_t from, size_t to, bool each)
{
	while (s->next < s->n_want && s->want[s->next] < s->at + n) {
		size_t i = s->want[s->next] - s->at;
		s->ret_from[s->next] = each ? from + i : from;
		s->ret_to[s->next++] = each ? from + i + 1 : to;
	}
}

/** In mapping mode: is all that is wanted @p margin octets and more behind? They may be taken back until then. */
static inline bool def_done(const struct def_sink *s, size_t margin)
{
	return !s->out && s->next == s->n_want && (s->n_want == 0 || s->at > s->want[s->n_want - 1] + margin);
}

/** Put @p n octets that all come from the input's [from, to). */
static inline void def_put(struct def_sink *s, const void *p, size_t n, size_t from, size_t to)
{
	if (s->out)
		def_buf_add(s->out, p, n);
	else
		def_wanted(s, n, from, to, false);
	s->at += n;
}

/** Put @p n octets that come one by one from the input, beginning at @p from. */
static inline void def_put_run(struct def_sink *s, const void *p, size_t n, size_t from)
{
	if (s->out)
		def_buf_add(s->out, p, n);
	else
		def_wanted(s, n, from, 0, true);
	s->at += n;
}

/** From how many octets put on is the next mark wanted? */
static inline size_t def_mark_due(const struct def_sink *s)
{
	if (!s->out || !s->marks)
		return SIZE_MAX;
	return (s->marks->n ? s->marks->m[s->marks->n - 1].at : 0) + DEF_MARK_EVERY;
}

/**
 * The transform could begin here: @p in octets are read, @p at put, of which one or a word may be taken back.
 */
void def_mark(struct def_sink *s, size_t in, size_t at, uint8_t state);

/**
 * In mapping mode: to the last mark behind @p in that is before all that is still wanted.
 *
 * @return it, or NULL: go on
 */
const struct def_mark *def_jump(struct def_sink *s, size_t in);

/** Take back what was put after @p at; it is put again, differently. */
static inline void def_rewind(struct def_sink *s, size_t at)
{
	if (s->out && !s->out->failed)
		s->out->len -= s->at - at;
	while (!s->out && s->next > 0 && s->want[s->next - 1] >= at)
		s->next--;
	s->at = at;
}

/** What room a view is given at first, which is enough for most. */
static inline size_t def_view_need(const struct def_view *parent, const struct def_arg *arg)
{
	return (arg->to > arg->from ? arg->to - arg->from : parent->len) + 64;
}

/**
 * Make the view that @p fn yields of @p parent.
 *
 * @param buf  where its text goes, and then the view's; its mem is set, and octets that it has are used
 * @return 0 or CREEL_E_NOMEM; in either case for def_view_fini()
 */
int def_view_make(struct def_view *v, const struct def_view *parent, def_transform fn, struct def_arg arg,
		  const char *via, struct def_buf buf, void *facts, uint64_t *work);
void def_view_fini(struct def_view *v);

/**
 * Translate places of @p v into the original text, or into the view @p stop that @p v was made from:
 * @p at (ascending, @p n of them, each < v->len) becomes the first octet of its source when even in
 * the array, one past its last when odd. Places stay ascending unless the view is reversed; then pairs
 * are exchanged and the array turned round.
 *
 * @return 0 or CREEL_E_NOMEM
 */
int def_view_origin(const struct def_view *v, const struct def_view *stop, size_t *at, size_t n,
		    const def_mem *mem, uint64_t *work);

/* The transforms. */
struct def_facts;
void def_unescape(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts);
void def_fold(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts);
void def_words(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts);
void def_leet(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts);
void def_dense(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts);
void def_glue(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts);
void def_rot13(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts);
void def_reverse(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts);
void def_base64(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts);
void def_hex(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts);
void def_qp(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts);
void def_tags(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts);
void def_selectors(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s, void *facts);

/* What a transform notices on its way (never needed in mapping mode: NULL there). */
enum def_builtin {
	DEF_ZERO_WIDTH = 0, /* three or more invisible characters in a row, or inside words */
	DEF_FULLWIDTH,
	DEF_HOMOGLYPH, /* a word of two alphabets */
	DEF_BIDI,
	DEF_TAGS,
	DEF_SELECTORS,
	DEF_BUDGET, /* decoded more than the budget: what is left is reported, not skipped silently */
	DEF_BUILTINS
};
struct def_hit {
	int id;
	size_t from, to;
};
struct def_facts {
	const def_mem *mem;
	struct def_hit *hits; /* places in the input */
	size_t n_hits, cap_hits;
	bool again;             /* unescape: the result may hold further escapes */
	size_t tags, selectors; /* characters seen */
	size_t splits;          /* words: stretches of single letters */
	size_t leets;           /* words with digits in the place of letters */
	size_t ones_from;       /* leet: where words with a 1 are, which may be two letters; */
	size_t ones_to;         /* 0: nowhere */
	bool joins;             /* glue: markup without which words change */
	bool failed;            /* out of memory */
};
void def_fact(struct def_facts *f, int id, size_t from, size_t to);

/** Does @p in hold anything that def_unescape() changes? */
bool def_escapes(const uint8_t *in, size_t len);
/**
 * How many of the @p n octets at @p p are the text that begins there: one of ASCII, or a sequence of UTF-8.
 *
 * @param cut  a sequence that the end cuts counts
 * @return 0: no text
 */
size_t def_text_at(const uint8_t *p, size_t n, bool cut);
/** Characters of a run that are decoded at first, to see whether it is worth the rest. */
#define DEF_HEAD 160
/** Is the text that was decoded a text at all? Looks at the first and the last kilobyte. */
bool def_texty(const uint8_t *p, size_t len);

/** Call @p each for every run that may be base64 or hexadecimal. @return its first negative */
int def_runs(const uint8_t *in, size_t len,
	     int (*each)(void *ctx, def_transform fn, const char *via, size_t from, size_t to), void *ctx);
/** Quoted-printable: are there enough of its marks? */
bool def_is_qp(const uint8_t *in, size_t len);
