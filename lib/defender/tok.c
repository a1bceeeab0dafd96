#include "tok.h"
#include "base/escape.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 16
#define UNK_COST  10.0 /* below the worst piece, what an unknown character costs */

enum step_kind { STEP_STRIP, STEP_MAP, STEP_BLANKS };
struct step {
	enum step_kind kind;
	bool left, right;
	struct def_charsmap map;
};

/* A node of the tree of pieces: its children are consecutive and ascend by octet. */
struct node {
	uint32_t child;
	uint16_t n;
	uint8_t octet;
	int32_t id; /* of the piece that ends here, -1 */
};

struct added {
	char *text;
	size_t len;
	int32_t id;
	bool lstrip, rstrip, normalized;
};

struct def_tok {
	struct step steps[STEPS_MAX];
	size_t n_steps;
	struct added *added;
	size_t n_added;
	double *score;
	size_t n_pieces;
	double min_score;
	int32_t unk;
	struct node *nodes;
	size_t n_nodes, cap_nodes;
	bool prepend;
	int32_t before[4], after[4];
	size_t n_before, n_after;
};

struct piece {
	const char *s;
	size_t len;
	int32_t id;
};

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static int unknown(struct creel_err *err, const char *what, const char *value)
{
	return creel_err_set(err, CREEL_E_SYNTAX, 0, "tokenizer.json: %s \"%.40s\" is not known here", what,
			     value);
}

static int normalizer_read(struct def_tok *t, const json_t *n, struct creel_err *err)
{
	const char *type = text_of(n, "type");
	json_t *list = json_object_get(n, "normalizers"), *pattern = json_object_get(n, "pattern"), *v;
	size_t i;
	int r = 0;

	if (json_is_null(n) || !n)
		return 0;
	if (strcmp(type, "Sequence") == 0) {
		json_array_foreach (list, i, v)
			if (strcmp(text_of(v, "type"), "Sequence") == 0)
				return unknown(err, "normalizer", "Sequence in a Sequence");
			else if (r == 0)
				r = normalizer_read(t, v, err);
		return r;
	}
	if (t->n_steps == STEPS_MAX)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "tokenizer.json: over 16 normalizers");
	struct step *s = &t->steps[t->n_steps++];
	if (strcmp(type, "Strip") == 0) {
		*s = (struct step){.kind = STEP_STRIP,
				   .left = json_is_true(json_object_get(n, "strip_left")),
				   .right = json_is_true(json_object_get(n, "strip_right"))};
		return 0;
	}
	if (strcmp(type, "Precompiled") == 0) {
		json_t *b = json_object_get(n, "precompiled_charsmap");
		s->kind = STEP_MAP;
		return def_charsmap_load(&s->map, json_is_string(b) ? json_string_value(b) : "",
					 json_string_length(b), err);
	}
	if (strcmp(type, "Replace") == 0 && strcmp(text_of(pattern, "Regex"), " {2,}") == 0 &&
	    strcmp(text_of(n, "content"), " ") == 0) {
		s->kind = STEP_BLANKS;
		return 0;
	}
	return unknown(err, "normalizer", type);
}

static int words_read(struct def_tok *t, const json_t *p, struct creel_err *err)
{
	const char *type = text_of(p, "type");
	json_t *list = json_object_get(p, "pretokenizers"), *split = json_object_get(p, "split");

	if (strcmp(type, "Sequence") == 0 && json_array_size(list) == 1)
		return words_read(t, json_array_get(list, 0), err);
	if (strcmp(type, "Metaspace") != 0)
		return unknown(err, "pre_tokenizer", type);
	if (strcmp(text_of(p, "replacement"), "\xe2\x96\x81") != 0 || json_is_false(split))
		return unknown(err, "pre_tokenizer", "Metaspace of another shape");
	const char *scheme = text_of(p, "prepend_scheme");
	t->prepend = strcmp(scheme, "always") == 0 ||
		     (!scheme[0] && json_is_true(json_object_get(p, "add_prefix_space")));
	if (scheme[0] && !t->prepend && strcmp(scheme, "never") != 0)
		return unknown(err, "prepend_scheme", scheme);
	return 0;
}

static int template_read(struct def_tok *t, const json_t *p, struct creel_err *err)
{
	json_t *single = json_object_get(p, "single"), *v, *id;
	bool seen = false;
	size_t i, k;

	if (!p || json_is_null(p))
		return 0;
	if (strcmp(text_of(p, "type"), "TemplateProcessing") != 0)
		return unknown(err, "post_processor", text_of(p, "type"));
	json_array_foreach (single, i, v) {
		json_t *special = json_object_get(v, "SpecialToken");
		if (!special) {
			seen = true;
			continue;
		}
		json_t *ids = json_object_get(
			json_object_get(json_object_get(p, "special_tokens"), text_of(special, "id")), "ids");
		json_array_foreach (ids, k, id) {
			size_t *n = seen ? &t->n_after : &t->n_before;
			if (*n == 4)
				return creel_err_set(err, CREEL_E_TOOBIG, 0,
						     "tokenizer.json: over 4 special tokens");
			(seen ? t->after : t->before)[(*n)++] = (int32_t)json_integer_value(id);
		}
	}
	return 0;
}

static int by_octets(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;
	int r = memcmp(x->s, y->s, x->len < y->len ? x->len : y->len);

	if (r == 0 && x->len != y->len)
		r = x->len < y->len ? -1 : 1;
	return r ? r : (x->id > y->id) - (x->id < y->id);
}

/* Pieces [lo, hi) share their first @p depth octets: nodes for what follows. Depth is bounded. */
static int tree_grow(struct def_tok *t, const struct piece *p, size_t lo, size_t hi, size_t depth, size_t at)
{
	while (lo < hi && p[lo].len == depth)
		t->nodes[at].id = p[lo++].id; /* of doubles the last counts */
	size_t n = 0;
	for (size_t i = lo; i < hi; i++)
		n += i == lo || p[i].s[depth] != p[i - 1].s[depth];
	while (t->n_nodes + n > t->cap_nodes) {
		size_t cap = t->cap_nodes * 2;
		struct node *more = realloc(t->nodes, cap * sizeof(*more));
		if (!more)
			return CREEL_E_NOMEM;
		t->nodes = more;
		t->cap_nodes = cap;
	}
	size_t child = t->n_nodes;
	t->nodes[at].child = (uint32_t)child;
	t->nodes[at].n = (uint16_t)n;
	t->n_nodes += n;
	for (size_t i = lo, end; i < hi; i = end, child++) {
		for (end = i + 1; end < hi && p[end].s[depth] == p[i].s[depth];)
			end++;
		t->nodes[child] = (struct node){.octet = (uint8_t)p[i].s[depth], .id = -1};
		if (tree_grow(t, p, i, end, depth + 1, child) < 0)
			return CREEL_E_NOMEM;
	}
	return 0;
}

static int pieces_read(struct def_tok *t, const json_t *m, struct creel_err *err)
{
	json_t *vocab = json_object_get(m, "vocab"), *v, *unk = json_object_get(m, "unk_id");
	size_t n = json_array_size(vocab), i;

	if (strcmp(text_of(m, "type"), "Unigram") != 0)
		return unknown(err, "model", text_of(m, "type"));
	if (json_is_true(json_object_get(m, "byte_fallback")))
		return unknown(err, "model", "byte_fallback");
	if (n == 0 || n > 1u << 22 || !json_is_integer(unk) || json_integer_value(unk) < 0 ||
	    (size_t)json_integer_value(unk) >= n)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "tokenizer.json: no pieces, or no unk_id");
	struct piece *p = calloc(n, sizeof(*p));
	t->score = calloc(n, sizeof(*t->score));
	t->nodes = calloc(1024, sizeof(*t->nodes));
	int r = p && t->score && t->nodes ? 0 : creel_err_nomem(err);
	t->unk = (int32_t)json_integer_value(unk);
	t->n_pieces = n;
	json_array_foreach (vocab, i, v) {
		json_t *s = json_array_get(v, 0), *x = json_array_get(v, 1);
		if (r < 0)
			break;
		if (!json_is_string(s) || !json_is_number(x) || json_string_length(s) > DEF_TOK_PIECE) {
			r = creel_err_set(err, CREEL_E_SYNTAX, 0,
					  "tokenizer.json: piece %zu: wants [text, score]", i);
			break;
		}
		p[i] = (struct piece){json_string_value(s), json_string_length(s), (int32_t)i};
		t->score[i] = json_number_value(x);
		t->min_score = i == 0 || t->score[i] < t->min_score ? t->score[i] : t->min_score;
	}
	if (r == 0) {
		qsort(p, n, sizeof(*p), by_octets);
		t->cap_nodes = 1024;
		t->nodes[t->n_nodes++] = (struct node){.id = -1};
		if (tree_grow(t, p, 0, n, 0, 0) < 0)
			r = creel_err_nomem(err);
		t->nodes[0].id = -1; /* an empty piece */
	}
	free(p);
	return r;
}

static int added_read(struct def_tok *t, const json_t *list, struct creel_err *err)
{
	json_t *v;
	size_t i;

	if (json_array_size(list) > 4096)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "tokenizer.json: over 4096 added tokens");
	t->added = calloc(json_array_size(list) + 1, sizeof(*t->added));
	if (!t->added)
		return creel_err_nomem(err);
	json_array_foreach (list, i, v) {
		json_t *s = json_object_get(v, "content");
		struct added *a = &t->added[t->n_added];
		if (!json_is_string(s) || json_string_length(s) == 0 ||
		    json_string_length(s) > DEF_TOK_PIECE || !json_is_integer(json_object_get(v, "id")))
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "tokenizer.json: added token %zu", i);
		if (json_is_true(json_object_get(v, "single_word")))
			return unknown(err, "added token", "single_word");
		*a = (struct added){
			.text = def_strndup(&def_mem_libc, json_string_value(s), json_string_length(s)),
			.len = json_string_length(s),
			.id = (int32_t)json_integer_value(json_object_get(v, "id")),
			.lstrip = json_is_true(json_object_get(v, "lstrip")),
			.rstrip = json_is_true(json_object_get(v, "rstrip")),
			.normalized = json_is_true(json_object_get(v, "normalized"))};
		t->n_added++;
		if (!a->text)
			return creel_err_nomem(err);
	}
	return 0;
}

int def_tok_load(const char *json, size_t len, struct def_tok **ret, struct creel_err *err)
{
	json_error_t e;

	if (len > DEF_TOK_FILE_MAX)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "tokenizer.json: over 64 MiB");
	json_t *root = json_loadb(json, len, JSON_ALLOW_NUL, &e);
	if (!json_is_object(root)) {
		json_decref(root);
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "tokenizer.json:%d: %.120s", e.line, e.text);
	}
	struct def_tok *t = calloc(1, sizeof(*t));
	int r = t ? pieces_read(t, json_object_get(root, "model"), err) : creel_err_nomem(err);
	if (r == 0)
		r = normalizer_read(t, json_object_get(root, "normalizer"), err);
	if (r == 0)
		r = words_read(t, json_object_get(root, "pre_tokenizer"), err);
	if (r == 0)
		r = template_read(t, json_object_get(root, "post_processor"), err);
	if (r == 0)
		r = added_read(t, json_object_get(root, "added_tokens"), err);
	json_decref(root);
	if (r < 0)
		def_tok_free(t);
	else
		*ret = t;
	return r;
}

void def_tok_free(struct def_tok *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_steps; i++) {
		free(t->steps[i].map.units);
		free(t->steps[i].map.texts);
	}
	for (size_t i = 0; i < t->n_added; i++)
		free(t->added[i].text);
	free(t->added);
	free(t->score);
	free(t->nodes);
	free(t);
}

static void strip(const struct step *s, struct def_buf *b)
{
	size_t from = 0, n;

	while (s->left && from < b->len && creel_utf8_space(def_utf8_at(b->data + from, &n)))
		from += n;
	while (s->right && b->len > from) {
		size_t at = b->len - 1;
		while (at > from && (b->data[at] & 0xc0) == 0x80)
			at--;
		if (!creel_utf8_space(def_utf8_at(b->data + at, &n)))
			break;
		b->len = at;
	}
	b->len -= from;
	if (from)
		memmove(b->data, b->data + from, b->len);
}

static void blanks(struct def_buf *b)
{
	size_t k = 0;

	for (size_t i = 0; i < b->len; i++)
		if (!(b->data[i] == ' ' && k && b->data[k - 1] == ' '))
			b->data[k++] = b->data[i];
	b->len = k;
}

static void id_add(struct def_ids *ids, int32_t id, bool *failed)
{
	if (def_room(&def_mem_libc, &ids->id, ids->n, &ids->cap, sizeof(*ids->id)) < 0)
		*failed = true;
	else
		ids->id[ids->n++] = id;
}

/* One scratch for all words of a text. */
struct best {
	double score;
	uint32_t from;
	int32_t id;
	bool set;
};
struct work {
	const struct def_tok *t;
	struct best *best;
	size_t cap;
	struct def_ids *ids;
	bool failed;
};

static void better(struct best *b, double score, size_t from, int32_t id)
{
	if (b->set && score <= b->score)
		return;
	*b = (struct best){score, (uint32_t)from, id, true};
}

static const struct node *node_next(const struct def_tok *t, const struct node *n, uint8_t c)
{
	size_t lo = n->child, hi = lo + n->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (t->nodes[mid].octet < c)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < (size_t)n->child + n->n && t->nodes[lo].octet == c ? &t->nodes[lo] : NULL;
}

/* The cheapest way through one word: Viterbi over the pieces (unknown characters in a row are one). */
static void word(struct work *w, const uint8_t *p, size_t len)
{
	const struct def_tok *t = w->t;

	if (len + 1 > w->cap) {
		struct best *more = realloc(w->best, (len + 1) * 2 * sizeof(*more));
		if (!more) {
			w->failed = true;
			return;
		}
		w->best = more;
		w->cap = (len + 1) * 2;
	}
	memset(w->best, 0, (len + 1) * sizeof(*w->best));
	for (size_t at = 0, n; at < len; at += n) {
		bool single = false;
		double here = w->best[at].score;
		const struct node *node = &t->nodes[0];
		(void)def_utf8_at(p + at, &n);
		for (size_t k = at; k < len && (node = node_next(t, node, p[k])); k++) {
			if (node->id < 0)
				continue;
			better(&w->best[k + 1], t->score[node->id] + here, at, node->id);
			single |= k + 1 - at == n;
		}
		if (!single)
			better(&w->best[at + n], t->min_score - UNK_COST + here, at, t->unk);
	}
	/* backwards, then turned round */
	size_t from = w->ids->n;
	for (size_t at = len; at > 0; at = w->best[at].from) {
		bool unk = w->best[at].id == t->unk;
		if (!(unk && at < len && w->ids->n > from && w->ids->id[w->ids->n - 1] == t->unk))
			id_add(w->ids, w->best[at].id, &w->failed);
		if (!w->best[at].set || w->failed)
			return;
	}
	for (size_t i = from, k = w->ids->n; i + 1 < k; i++) {
		int32_t x = w->ids->id[i];
		w->ids->id[i] = w->ids->id[--k];
		w->ids->id[k] = x;
	}
}

/* Blanks become U+2581, which begins a word. */
static void words(struct work *w, const uint8_t *p, size_t len)
{
	static const char mark[] = "\xe2\x96\x81";
	struct def_buf b = {.mem = &def_mem_libc};

	if (len == 0)
		return;
	if (w->t->prepend && p[0] != ' ' && !(len >= 3 && memcmp(p, mark, 3) == 0))
		def_buf_add(&b, mark, 3);
	for (size_t i = 0; i < len; i++)
		def_buf_add(&b, p[i] == ' ' ? (const void *)mark : p + i, p[i] == ' ' ? 3 : 1);
	w->failed |= b.failed;
	for (size_t at = 0, end; at < b.len && !w->failed; at = end) {
		for (end = at + 1; end < b.len && !(b.len - end >= 3 && memcmp(b.data + end, mark, 3) == 0);)
			end++;
		word(w, b.data + at, end - at);
	}
	def_buf_fini(&b);
}

/* The longest added token at @p at. */
static const struct added *added_at(const struct def_tok *t, const uint8_t *p, size_t at, size_t len,
				    bool normalized)
{
	const struct added *best = NULL;

	for (size_t i = 0; i < t->n_added; i++) {
		const struct added *a = &t->added[i];
		if (a->normalized == normalized && a->len <= len - at && (!best || a->len > best->len) &&
		    memcmp(p + at, a->text, a->len) == 0)
			best = a;
	}
	return best;
}

static void part(struct work *w, const uint8_t *p, size_t len, bool normalized);

static void plain(struct work *w, const uint8_t *p, size_t len, bool normalized)
{
	struct def_buf b = {.mem = &def_mem_libc}, c = {.mem = &def_mem_libc};

	if (len == 0)
		return;
	if (normalized) {
		words(w, p, len);
		return;
	}
	def_buf_add(&b, p, len);
	for (size_t i = 0; i < w->t->n_steps; i++) {
		const struct step *s = &w->t->steps[i];
		if (s->kind == STEP_STRIP)
			strip(s, &b);
		if (s->kind == STEP_BLANKS)
			blanks(&b);
		if (s->kind != STEP_MAP)
			continue;
		c.len = 0;
		def_charsmap_apply(&s->map, b.data, b.len, &c);
		struct def_buf swap = b;
		b = c;
		c = swap;
	}
	w->failed |= b.failed | c.failed;
	if (!w->failed)
		part(w, b.data, b.len, true);
	def_buf_fini(&b);
	def_buf_fini(&c);
}

/* Added tokens are cut out first: those that stand in raw text, then those in normalised text. */
static void part(struct work *w, const uint8_t *p, size_t len, bool normalized)
{
	bool first[256] = {0};
	size_t from = 0, n;

	for (size_t i = 0; i < w->t->n_added; i++)
		first[(uint8_t)w->t->added[i].text[0]] = true;
	for (size_t at = 0; at < len && !w->failed;) {
		const struct added *a = first[p[at]] ? added_at(w->t, p, at, len, normalized) : NULL;
		if (!a) {
			at++;
			continue;
		}
		size_t end = at;
		while (a->lstrip && end > from) {
			size_t k = end - 1;
			while (k > from && (p[k] & 0xc0) == 0x80)
				k--;
			if (!creel_utf8_space(def_utf8_at(p + k, &n)))
				break;
			end = k;
		}
		plain(w, p + from, end - from, normalized);
		id_add(w->ids, a->id, &w->failed);
		at += a->len;
		while (a->rstrip && at < len && creel_utf8_space(def_utf8_at(p + at, &n)))
			at += n;
		from = at;
	}
	if (!w->failed && from < len)
		plain(w, p + from, len - from, normalized);
}

int def_tok_encode(const struct def_tok *t, const void *text, size_t len, struct def_ids *ret,
		   struct creel_err *err)
{
	struct def_buf clean = {.mem = &def_mem_libc};
	struct work w = {.t = t, .ids = ret};

	ret->n = 0;
	if (len > UINT32_MAX / 4)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "the text is over 1 GiB");
	def_utf8_clean(text, len, &clean);
	w.failed = clean.failed;
	if (!w.failed)
		part(&w, clean.data, clean.len, false);
	def_buf_fini(&clean);
	free(w.best);
	return w.failed ? creel_err_nomem(err) : 0;
}

size_t def_tok_before(const struct def_tok *t, const int32_t **ret)
{
	*ret = t->before;
	return t->n_before;
}

size_t def_tok_after(const struct def_tok *t, const int32_t **ret)
{
	*ret = t->after;
	return t->n_after;
}
