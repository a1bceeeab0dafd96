#pragma once
#include "mem.h"

/*
 * A view is a text made from another by a pure function: unescaped, folded, words only, decoded.
 * No map of offsets is kept, as most texts are clean: when something was found, the function runs
 * again in mapping mode and says of the wanted octets which octets of its input they came from.
 */
struct def_sink {
	struct def_buf *out; /* NULL in mapping mode */
	size_t at;	     /* octets put so far */
	/* mapping mode: `want` is ascending; ret_from/ret_to get the source of each */
	const size_t *want;
	size_t n_want, next;
	size_t *ret_from, *ret_to;
};

struct def_view;
/** Arguments of a transform that needs some: a range of its input, a mode. */
struct def_arg {
	size_t from, to;
	int mode;
};
typedef void (*def_transform)(const uint8_t *in, size_t len, const struct def_arg *arg,
			      struct def_sink *s, void *facts);

struct def_view {
	const struct def_view *parent; /* NULL: the original text */
	def_transform fn;
	struct def_arg arg;
	struct def_buf buf; /* owns data, except in the original */
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

/** Take back what was put after @p at; it is put again, differently. */
static inline void def_rewind(struct def_sink *s, size_t at)
{
	if (s->out && !s->out->failed)
		s->out->len -= s->at - at;
	while (!s->out && s->next > 0 && s->want[s->next - 1] >= at)
		s->next--;
	s->at = at;
}

/** Make the view that @p fn yields of @p parent. @return 0 or CREEL_E_NOMEM */
int def_view_make(struct def_view *v, const struct def_view *parent, def_transform fn,
		  struct def_arg arg, const char *via, const def_mem *mem, void *facts,
		  uint64_t *work);
void def_view_fini(struct def_view *v);

/**
 * Translate places of @p v into the original text: @p at (ascending, @p n of them, each < v->len)
 * becomes the first octet of its source when even in the array, one past its last when odd. Places
 * stay ascending unless the view is reversed; then pairs are exchanged and the array turned round.
 *
 * @return 0 or CREEL_E_NOMEM
 */
int def_view_origin(const struct def_view *v, size_t *at, size_t n, const def_mem *mem,
		    uint64_t *work);

/* The transforms. */
struct def_facts;
void def_unescape(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
		  void *facts);
void def_fold(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
	      void *facts);
void def_words(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
	       void *facts);
void def_leet(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
	      void *facts);
void def_dense(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
	       void *facts);
void def_glue(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
	      void *facts);
void def_rot13(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
	       void *facts);
void def_reverse(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
		 void *facts);
void def_base64(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
		void *facts);
void def_hex(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
	     void *facts);
void def_qp(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
	    void *facts);
void def_tags(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
	      void *facts);
void def_selectors(const uint8_t *in, size_t len, const struct def_arg *arg, struct def_sink *s,
		   void *facts);

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
	bool decoded;	    /* unescape: something was */
	bool again;	    /* unescape: the result may hold further escapes */
	size_t tags, selectors; /* characters seen */
	size_t splits;	    /* words: stretches of single letters */
	size_t leets;	    /* words with digits in the place of letters */
	size_t glues;	    /* markup inside words */
	bool failed;	    /* out of memory */
};
void def_fact(struct def_facts *f, int id, size_t from, size_t to);

/** Does @p in hold anything that def_unescape() changes? */
bool def_escapes(const uint8_t *in, size_t len);
/** Is the text that was decoded a text at all? Looks at the first and the last kilobyte. */
bool def_texty(const uint8_t *p, size_t len);

/** Call @p each for every run that may be base64 or hexadecimal. @return its first negative */
int def_runs(const uint8_t *in, size_t len,
	     int (*each)(void *ctx, def_transform fn, const char *via, size_t from, size_t to),
	     void *ctx);
/** Quoted-printable: are there enough of its marks? */
bool def_is_qp(const uint8_t *in, size_t len);
