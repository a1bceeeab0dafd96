/*
 * defender-train DATA.jsonl OWN.txt BENIGN-DIR... : train the n-gram model of lib/defender.
 *
 *   -o FILE  write the model; without it only the cross-validation is printed
 *
 * The same input gives the same octets. Cross-validated by family: a family of attacks, and a source
 * of benign text, is wholly in one of five parts, so no phrase of a tested family was trained on.
 * OWN.txt holds texts of this project's own, a line each, `+ text` an attack, `- text` none.
 */
#include "creel/defender.h"
#include "ngram-features.h"
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDS 5
#ifndef EPOCHS
#define EPOCHS     10
#define RATE       0.03
#define DECAY      1e-4
#define GROUPS     3
#define TURNS      16
#define OWN_WEIGHT 0.5
#endif
#define TARGET_FP 0.015 /* with what layer 1 finds wrongly, under two in a hundred */

struct text {
	uint8_t *words;
	size_t len;
	bool attack, own, rules; /* rules: layer 1 finds it */
	unsigned group;          /* 0..63: families that share hosts are one */
	int fold;                /* -1: trained on always, never tested */
	double weight, score;
	char family[48], kind[16];
};

static struct text *texts;
static size_t n_texts, cap_texts;
static float w[NGRAM_WEIGHTS], g2[NGRAM_WEIGHTS], bias;

static int words_take(void *arg, const struct creel_defender_view *v)
{
	struct text *t = arg;

	if (strcmp(v->name, "words") != 0 || v->via[0])
		return 0;
	t->words = malloc(v->len + 8);
	if (!t->words)
		exit(1);
	memcpy(t->words, v->data, v->len);
	t->len = v->len;
	return 1;
}

static struct text *text_add(const struct creel_defender *d, const char *s, size_t len, bool attack)
{
	if (n_texts == cap_texts) {
		cap_texts = cap_texts ? cap_texts * 2 : 4096;
		texts = realloc(texts, cap_texts * sizeof(*texts));
		if (!texts)
			exit(1);
	}
	struct text *t = &texts[n_texts];
	struct creel_defender_result *r;
	*t = (struct text){.attack = attack, .fold = -1, .weight = 1};
	if (creel_defender_explain(d, s, len, words_take, t, NULL) < 0 || !t->words || t->len < 8)
		return NULL;
	if (creel_defender_scan(d, s, len, NULL, &r, NULL) < 0)
		exit(1);
	t->rules = creel_defender_result_action(r) >= CREEL_DEFENDER_WARN;
	creel_defender_result_free(r);
	n_texts++;
	return t;
}

static int fold_of(const char *name)
{
	uint32_t h = 2166136261u;
	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return (int)(h >> 8) % FOLDS;
}

static unsigned group_of(const char *name)
{
	uint32_t h = 2166136261u;
	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return (h >> 10) % 64;
}

static void data_read(const struct creel_defender *d, const char *path)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t cap = 0;

	for (ssize_t n; f && (n = getline(&line, &cap, f)) > 0;) {
		json_t *j = json_loadb(line, (size_t)n, JSON_ALLOW_NUL, NULL);
		json_t *text = json_object_get(j, "text");
		const char *family = json_string_value(json_object_get(j, "family"));
		const char *source = json_string_value(json_object_get(j, "source"));
		if (!text || !family || !source)
			exit(1);
		bool attack = strcmp(json_string_value(json_object_get(j, "label")), "injection") == 0;
		struct text *t = text_add(d, json_string_value(text), json_string_length(text), attack);
		if (t) {
			(void)snprintf(t->family, sizeof(t->family), "%s", attack ? family : source);
			(void)snprintf(t->kind, sizeof(t->kind), "%s",
				       json_string_value(json_object_get(j, "kind")));
			/*
			 * One family is a fifth of the attacks: its records are parted. So are the mails,
			 * documents and JSON that attacks are put into: to test on them without their
			 * clean form in the training would only show that hosts can be told apart.
			 */
			bool host = strcmp(family, "email") == 0 || strcmp(family, "document") == 0 ||
				    strcmp(family, "tool-json") == 0 || strcmp(family, "question") == 0;
			t->weight = host ? 3 : 1; /* as many as the attacks that are put into them */
			char group[64];
			(void)snprintf(group, sizeof(group), "%s",
				       strcmp(family, "jb-cluster") == 0
					       ? json_string_value(json_object_get(j, "id"))
					       : t->family);
			if (attack && strncmp(family, "cse:", 4) != 0)
				group[strcspn(group, ":")] = 0;
			t->group = group_of(group);
			t->fold = host || strcmp(family, "jb-cluster") == 0
					  ? fold_of(json_string_value(json_object_get(j, "id")))
					  : fold_of(t->family);
		}
		json_decref(j);
	}
	if (!f) {
		perror(path);
		exit(1);
	}
	free(line);
	fclose(f);
}

/* A line with its {a|b} chosen, by the number @p turn. */
static size_t choose(const char *line, size_t len, unsigned turn, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (line[i] != '{') {
			out[n++] = line[i];
			continue;
		}
		const char *end = memchr(line + i, '}', len - i), *p = line + i + 1;
		unsigned ways = 1, pick;
		if (!end)
			break;
		for (const char *q = p; q < end; q++)
			ways += *q == '|';
		turn = turn * 1103515245u + 12345u;
		pick = (turn >> 16) % ways;
		while (pick-- > 0)
			p = (const char *)memchr(p, '|', (size_t)(end - p)) + 1;
		while (p < end && *p != '|')
			out[n++] = *p++;
		i = (size_t)(end - line);
	}
	return n;
}

static void own_read(const struct creel_defender *d, const char *path)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t cap = 0;
	unsigned at = 0;

	for (ssize_t n; f && (n = getline(&line, &cap, f)) > 0; at++) {
		if (n < 4 || (line[0] != '+' && line[0] != '-'))
			continue;
		for (unsigned turn = 0; turn < TURNS; turn++) {
			char *out = malloc((size_t)n);
			size_t len = choose(line + 2, (size_t)n - 3, at * 64 + turn, out);
			struct text *t = text_add(d, out, len, line[0] == '+');
			if (t) {
				t->own = true;
				t->weight = OWN_WEIGHT;
				t->group = at % 64;
			}
			free(out);
		}
	}
	if (!f) {
		perror(path);
		exit(1);
	}
	free(line);
	fclose(f);
}

/* The project's own texts, cut into pieces: benign. */
static void benign_read(const struct creel_defender *d, const char *path)
{
	FILE *f = fopen(path, "r");
	static char buf[1 << 20];
	size_t n = f ? fread(buf, 1, sizeof(buf), f) : 0;

	for (size_t at = 0; at < n; at += 1500) {
		struct text *t = text_add(d, buf + at, n - at < 1500 ? n - at : 1500, false);
		if (t) {
			t->own = true;
			t->weight = 0.5;
			t->group = group_of(path);
		}
	}
	if (f)
		fclose(f);
}

/*
 * Which features may have a weight: those that stand in texts of several groups. What one family or
 * one host document alone has, says nothing of the next. Exact, by a table of the whole hashes.
 */
#define SEEN_BITS 23
static uint64_t seen_key[1u << SEEN_BITS], seen_groups[1u << SEEN_BITS];

static size_t seen_at(uint64_t mixed)
{
	size_t i = mixed >> (64 - SEEN_BITS);
	while (seen_key[i] && seen_key[i] != mixed)
		i = (i + 1) & ((1u << SEEN_BITS) - 1);
	return i;
}

struct counting {
	uint64_t group;
};
static void seen_add(void *ctx, uint64_t mixed)
{
	struct counting *c = ctx;
	size_t i = seen_at(mixed);
	seen_key[i] = mixed;
	seen_groups[i] |= c->group;
}

/* A text as the trainer holds it: its blocks, each with the slots that may have a weight. */
struct block {
	uint32_t *slots;
	uint32_t n, all; /* slots kept; features in all, by which a window is normed */
};
static struct block **blocks;

struct taking {
	struct block *b;
	uint32_t cap;
};
static void slot_take(void *ctx, uint64_t mixed)
{
	struct taking *t = ctx;
	struct block *b = t->b;

	b->all++;
	if (__builtin_popcountll(seen_groups[seen_at(mixed)]) < GROUPS)
		return;
	if (b->n == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 256;
		b->slots = realloc(b->slots, t->cap * sizeof(*b->slots));
		if (!b->slots)
			exit(1);
	}
	b->slots[b->n++] = ngram_slot(mixed);
}

static size_t n_blocks(const struct text *t)
{
	return (t->len + NGRAM_BLOCK - 1) / NGRAM_BLOCK;
}

static void features_take(int fold)
{
	memset(seen_key, 0, sizeof(seen_key));
	memset(seen_groups, 0, sizeof(seen_groups));
	for (size_t i = 0; i < n_texts; i++) {
		struct counting c = {1ull << texts[i].group};
		struct ngram_words q = {0x811c9dc5u, 0};
		if (fold < 0 || texts[i].fold != fold)
			ngram_features(texts[i].words, texts[i].len, 0, texts[i].len, &q, seen_add, &c);
	}
	for (size_t i = 0; i < n_texts; i++) {
		struct ngram_words q = {0x811c9dc5u, 0};
		size_t n = n_blocks(&texts[i]);
		blocks[i] = calloc(n, sizeof(**blocks));
		for (size_t k = 0; blocks[i] && k < n; k++) {
			size_t from = k * NGRAM_BLOCK;
			size_t to = texts[i].len - from > NGRAM_BLOCK ? from + NGRAM_BLOCK : texts[i].len;
			struct taking t = {&blocks[i][k], 0};
			ngram_features(texts[i].words, texts[i].len, from, to, &q, slot_take, &t);
		}
	}
}

static void features_drop(void)
{
	for (size_t i = 0; i < n_texts; i++) {
		for (size_t k = 0; k < n_blocks(&texts[i]); k++)
			free(blocks[i][k].slots);
		free(blocks[i]);
	}
}

static double block_sum(const struct block *b)
{
	double x = 0;
	for (uint32_t i = 0; i < b->n; i++)
		x += (double)w[b->slots[i]];
	return x;
}

static double window_norm(const struct block *b, size_t k, size_t n)
{
	return sqrt((double)(b[k].all + (k + 1 < n ? b[k + 1].all : 0) + NGRAM_PRIOR));
}

/* The window (block k and the next) that scores highest. */
static double best_window(const struct block *b, size_t n, size_t *ret_k)
{
	double best = -1e30, here = block_sum(&b[0]);

	for (size_t k = 0; k == 0 || k + 1 < n; k++) {
		double next_one = k + 1 < n ? block_sum(&b[k + 1]) : 0;
		double x = (here + next_one) / window_norm(b, k, n);
		if (x > best) {
			best = x;
			*ret_k = k;
		}
		here = next_one;
	}
	return best + (double)bias;
}

static void learn(const struct block *b, size_t n, size_t k, bool attack, double weight)
{
	double norm = window_norm(b, k, n), x = block_sum(&b[k]) + (k + 1 < n ? block_sum(&b[k + 1]) : 0);
	double p = 1 / (1 + exp(-(x / norm + (double)bias))), err = ((attack ? 1.0 : 0.0) - p) * weight;
	float by = (float)(err / norm);

	if (fabs(err) < 1e-3)
		return;
	for (size_t q = k; q < n && q < k + 2; q++)
		for (uint32_t i = 0; i < b[q].n; i++) {
			uint32_t slot = b[q].slots[i];
			float g = by - (float)DECAY * w[slot];
			g2[slot] += g * g;
			w[slot] += (float)RATE * g / sqrtf(g2[slot] + 1e-4f);
		}
	bias += 0.02f * (float)err;
}

static uint64_t rng;
static uint64_t next(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

/* Train on all texts but those of @p fold (-1: on all). */
static void train(int fold)
{
	size_t *order = malloc(n_texts * sizeof(*order)), n = 0;
	double pos = 0, neg = 0;

	memset(w, 0, sizeof(w));
	memset(g2, 0, sizeof(g2));
	bias = -1;
	rng = 88172645463325252u;
	features_take(fold);
	for (size_t i = 0; i < n_texts; i++)
		if (fold < 0 || texts[i].fold != fold) {
			order[n++] = i;
			*(texts[i].attack ? &pos : &neg) += texts[i].weight;
		}
	for (int e = 0; e < EPOCHS; e++) {
		for (size_t i = n; i > 1; i--) {
			size_t k = next() % i, t = order[i - 1];
			order[i - 1] = order[k];
			order[k] = t;
		}
		for (size_t i = 0; i < n; i++) {
			struct text *t = &texts[order[i]];
			const struct block *b = blocks[order[i]];
			size_t k = 0, nb = n_blocks(t);
			/* at first only short attacks: in a long one, which part it is must be learnt */
			if (e < 2 && t->attack && nb > 4)
				continue;
			best_window(b, nb, &k);
			learn(b, nb, k, t->attack, t->attack ? t->weight * neg / pos : t->weight);
			if (!t->attack && nb > 2) /* and any other part */
				learn(b, nb, next() % (nb - 1), false, t->weight * 0.5);
		}
	}
	free(order);
}

/* As the library scores: every feature by its slot, whether it was trained or not. */
struct sum {
	double total;
	uint32_t n;
};
static void sum_add(void *ctx, uint64_t mixed)
{
	struct sum *s = ctx;
	s->total += (double)w[ngram_slot(mixed)];
	s->n++;
}

static double score(const struct text *t)
{
	struct ngram_words q = {0x811c9dc5u, 0};
	struct sum last = {0};
	double best = -1e30;

	for (size_t at = 0; at < t->len; at += NGRAM_BLOCK) {
		struct sum now = {0};
		size_t to = t->len - at > NGRAM_BLOCK ? at + NGRAM_BLOCK : t->len;
		ngram_features(t->words, t->len, at, to, &q, sum_add, &now);
		double x = (now.total + last.total) / sqrt((double)(now.n + last.n + NGRAM_PRIOR));
		best = x > best ? x : best;
		last = now;
	}
	return best + (double)bias;
}

static int by_score(const void *a, const void *b)
{
	double x = texts[*(const size_t *)a].score, y = texts[*(const size_t *)b].score;
	return x < y ? 1 : x > y ? -1 : 0;
}

/* Over the tested texts: area under the curve, and what is found at given shares of false alarms. */
static double report(double at_fp, bool print)
{
	size_t *order = malloc(n_texts * sizeof(*order)), n = 0, pos = 0, neg = 0, tp = 0, fp = 0;
	double auc = 0, threshold = 1;

	for (size_t i = 0; i < n_texts; i++)
		if (texts[i].fold >= 0) {
			order[n++] = i;
			pos += texts[i].attack;
			neg += !texts[i].attack;
		}
	qsort(order, n, sizeof(*order), by_score);
	for (size_t i = 0; i < n; i++) {
		struct text *t = &texts[order[i]];
		tp += t->attack;
		fp += !t->attack;
		auc += t->attack ? 0 : (double)tp;
		if ((double)fp <= at_fp * (double)neg)
			threshold = t->score;
	}
	auc /= (double)pos * (double)neg;
	static const double shares[] = {0.005, 0.01, 0.02, 0.05};
	if (print)
		printf("cross-validated: AUC %.4f\n", auc);
	for (size_t k = 0; print && k < 4; k++) {
		size_t found = 0, both = 0, false_both = 0;
		double cut = 1;
		fp = 0;
		for (size_t i = 0; i < n; i++) {
			fp += !texts[order[i]].attack;
			if ((double)fp <= shares[k] * (double)neg)
				cut = texts[order[i]].score;
		}
		for (size_t i = 0; i < n; i++) {
			struct text *t = &texts[order[i]];
			found += t->attack && t->score >= cut;
			both += t->attack && (t->score >= cut || t->rules);
			false_both += !t->attack && (t->score >= cut || t->rules);
		}
		printf("  at %.1f %% false positives (%.3f): %.1f %% found; with layer 1: %.1f %% at %.1f %%\n",
		       100 * shares[k], cut, 100.0 * (double)found / (double)pos,
		       100.0 * (double)both / (double)pos, 100.0 * (double)false_both / (double)neg);
	}
	free(order);
	return threshold;
}

static void by_family(double cut)
{
	for (size_t i = 0; i < n_texts; i++) {
		size_t n = 0, found = 0, both = 0;
		bool seen = texts[i].fold < 0;
		for (size_t k = 0; k < i && !seen; k++)
			seen = texts[k].fold >= 0 && strcmp(texts[k].family, texts[i].family) == 0;
		for (size_t k = i; k < n_texts && !seen; k++)
			if (texts[k].fold >= 0 && strcmp(texts[k].family, texts[i].family) == 0) {
				n++;
				found += texts[k].score >= cut;
				both += texts[k].score >= cut || texts[k].rules;
			}
		if (!seen)
			printf("  %-9s %-46.46s %4zu  layer 2 %5.1f %%  with 1 %5.1f %%\n",
			       texts[i].attack ? "attack" : "benign", texts[i].family, n,
			       100.0 * (double)found / (double)n, 100.0 * (double)both / (double)n);
	}
}

static int model_write(const char *path, double warn_at)
{
	struct def_ngram_head h = {
		.magic = DEF_NGRAM_MAGIC, .bias = bias, .warn_at = (float)(1 / (1 + exp(-warn_at)))};
	static int8_t out[NGRAM_WEIGHTS];
	float most = 0;
	FILE *f = fopen(path, "w");

	/* few weights are large: those are cut, so that the others keep their steps */
	for (size_t i = 0; i < NGRAM_WEIGHTS; i++)
		most = fmaxf(most, fabsf(w[i]));
	most *= 0.5f;
	h.scale = most / 127;
	for (size_t i = 0; i < NGRAM_WEIGHTS; i++)
		out[i] = (int8_t)lrintf(fminf(127, fmaxf(-127, w[i] / h.scale)));
	if (!f || fwrite(&h, sizeof(h), 1, f) != 1 || fwrite(out, sizeof(out), 1, f) != 1 || fclose(f) != 0) {
		perror(path);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct creel_defender_options o = {.size = sizeof(o), .no_builtin_model = 1};
	struct creel_defender *d = NULL;
	const char *out = NULL;
	int a = 1;

	o.cache_dir = getenv("CREEL_DEFENDER_CACHE");
	if (argc > 2 && strcmp(argv[1], "-o") == 0) {
		out = argv[2];
		a = 3;
	}
	if (argc < a + 2 || creel_defender_new(&o, &d, NULL) < 0) {
		fputs("usage: defender-train [-o FILE] DATA.jsonl OWN.txt [BENIGN-FILE...]\n", stderr);
		return 2;
	}
	data_read(d, argv[a]);
	own_read(d, argv[a + 1]);
	for (int i = a + 2; i < argc; i++)
		benign_read(d, argv[i]);
	printf("%zu texts\n", n_texts);
	blocks = calloc(n_texts, sizeof(*blocks));
	if (!blocks)
		return 1;
	for (int fold = 0; fold < FOLDS; fold++) {
		train(fold);
		for (size_t i = 0; i < n_texts; i++)
			if (texts[i].fold == fold)
				texts[i].score = score(&texts[i]);
		features_drop();
	}
	double cut = report(TARGET_FP, true);
	by_family(cut);
	int r = 0;
	if (out) {
		train(-1);
		features_drop();
		r = model_write(out, cut);
	}
	creel_defender_free(d);
	return r;
}
