/*
 * defender-eval DATA.jsonl [MODEL]: what layer 1 alone, and with the built-in model (and the classifier
 * in the folder MODEL), find of labelled texts,
 * by kind, language and source. Found means warn, sanitize or block.
 *
 * The model was trained on the open data: its honest figures on it are the cross-validated ones,
 * which defender-train prints; `make eval` shows both.
 */
#include "creel/defender.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
	char kind[20], lang[8], source[64];
	bool attack, found1, found12;
	double score1, score12;
};
static struct row *rows;
static size_t n_rows;

static void scan(const struct creel_defender *d, const char *t, size_t n, unsigned skip, bool *found,
		 double *score)
{
	struct creel_defender_context ctx = {.size = sizeof(ctx), .skip_layers = skip};
	struct creel_defender_result *r;
	struct creel_defender_error e;

	if (creel_defender_scan(d, t, n, &ctx, &r, &e) < 0) {
		fprintf(stderr, "defender-eval: %s\n", e.msg);
		exit(1);
	}
	*found = creel_defender_result_action(r) >= CREEL_DEFENDER_WARN;
	*score = creel_defender_result_score(r);
	creel_defender_result_free(r);
}

static void copy(char *to, size_t size, const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));
	(void)snprintf(to, size, "%s", s ? s : "?");
	/* "npm package.json of x": one source */
	char *of = strstr(to, " of ");
	if (of)
		*of = 0;
}

static void data_read(const struct creel_defender *d, const char *path)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t cap = 0, room = 0;

	if (!f) {
		perror(path);
		exit(1);
	}
	for (ssize_t n; (n = getline(&line, &cap, f)) > 0; n_rows++) {
		json_t *j = json_loadb(line, (size_t)n, JSON_ALLOW_NUL, NULL),
		       *t = json_object_get(j, "text");
		if (n_rows == room) {
			room = room ? room * 2 : 4096;
			rows = realloc(rows, room * sizeof(*rows));
			if (!rows)
				exit(1);
		}
		struct row *r = &rows[n_rows];
		if (!json_is_string(t)) {
			fprintf(stderr, "%s:%zu: no text\n", path, n_rows + 1);
			exit(1);
		}
		copy(r->kind, sizeof(r->kind), j, "kind");
		copy(r->lang, sizeof(r->lang), j, "lang");
		copy(r->source, sizeof(r->source), j, "source");
		r->attack = strcmp(json_string_value(json_object_get(j, "label")), "injection") == 0;
		scan(d, json_string_value(t), json_string_length(t), 1u << 2, &r->found1, &r->score1);
		scan(d, json_string_value(t), json_string_length(t), 0, &r->found12, &r->score12);
		json_decref(j);
	}
	free(line);
	fclose(f);
}

static const char *all_of(const struct row *r)
{
	return "all";
}
static const char *kind_of(const struct row *r)
{
	return r->kind;
}
static const char *lang_of(const struct row *r)
{
	return r->lang;
}
static const char *source_of(const struct row *r)
{
	return r->source;
}

static void table(const char *title, const char *(*key)(const struct row *), bool attack)
{
	printf("\n%-9s %-56s %6s %9s %9s\n", attack ? "attacks" : "benign", title, "texts", "layer 1",
	       "1 and 2");
	for (size_t i = 0; i < n_rows; i++) {
		size_t n = 0, a = 0, b = 0;
		bool seen = rows[i].attack != attack;
		for (size_t k = 0; k < i && !seen; k++)
			seen = rows[k].attack == attack && strcmp(key(&rows[k]), key(&rows[i])) == 0;
		for (size_t k = i; k < n_rows && !seen; k++)
			if (rows[k].attack == attack && strcmp(key(&rows[k]), key(&rows[i])) == 0) {
				n++;
				a += rows[k].found1;
				b += rows[k].found12;
			}
		if (n)
			printf("%-9s %-56.56s %6zu %7.1f %% %7.1f %%\n", "", key(&rows[i]), n,
			       100.0 * (double)a / (double)n, 100.0 * (double)b / (double)n);
	}
}

static int by_score(const void *a, const void *b)
{
	double x = ((const struct row *)a)->score12, y = ((const struct row *)b)->score12;
	return x < y ? 1 : x > y ? -1 : 0;
}

/* Ties count by half; @p ret_at1: found at one false alarm in a hundred. */
static double auc(double *ret_at1)
{
	double sum = 0, pos = 0, neg = 0, tp = 0, fp = 0;

	qsort(rows, n_rows, sizeof(*rows), by_score);
	for (size_t i = 0; i < n_rows; i++)
		*(rows[i].attack ? &pos : &neg) += 1;
	*ret_at1 = 0;
	for (size_t i = 0, k; i < n_rows; i = k) {
		double a = 0, b = 0;
		for (k = i; k < n_rows && rows[k].score12 == rows[i].score12; k++)
			*(rows[k].attack ? &a : &b) += 1;
		sum += b * (tp + a / 2);
		tp += a;
		fp += b;
		if (fp <= 0.01 * neg)
			*ret_at1 = tp / pos;
	}
	return sum / (pos * neg);
}

int main(int argc, char **argv)
{
	struct creel_defender_options o = {.size = sizeof(o), .cache_dir = getenv("CREEL_DEFENDER_CACHE")};
	struct creel_defender *d;
	struct creel_defender_error e;
	double at1;

	struct creel_defender_model_options mo = {.size = sizeof(mo), .runtime = getenv("CREEL_ONNXRUNTIME")};
	struct creel_defender_model *model = NULL;
	struct creel_defender_layer layer;

	if (argc == 3) {
		if (creel_defender_model_open(argv[2], &mo, &model, &e) < 0) {
			fprintf(stderr, "defender-eval: %s\n", e.msg);
			return 1;
		}
		creel_defender_model_layer(model, &layer);
		o.layers = &layer;
		o.n_layers = 1;
	}
	if (argc < 2 || argc > 3 || creel_defender_new(&o, &d, &e) < 0) {
		fprintf(stderr, "usage: defender-eval DATA.jsonl [MODEL]%s%s\n", argc >= 2 ? ": " : "",
			argc >= 2 ? e.msg : "");
		return 2;
	}
	data_read(d, argv[1]);
	for (int attack = 1; attack >= 0; attack--) {
		table("all", all_of, attack);
		table("kind", kind_of, attack);
		table("language", lang_of, attack);
		table("source", source_of, attack);
	}
	for (size_t i = 0; i < n_rows; i++) {
		double both = rows[i].score12;
		rows[i].score12 = rows[i].score1;
		rows[i].score1 = both;
	}
	double a = auc(&at1);
	printf("\nlayer 1: AUC %.4f, found at 1 %% false positives %.1f %%\n", a, 100 * at1);
	for (size_t i = 0; i < n_rows; i++)
		rows[i].score12 = rows[i].score1;
	a = auc(&at1);
	printf("layers 1 and 2: AUC %.4f, found at 1 %% false positives %.1f %% (the model has seen these texts)\n",
	       a, 100 * at1);
	creel_defender_free(d);
	creel_defender_model_close(model);
	free(rows);
	return 0;
}
