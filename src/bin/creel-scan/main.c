#include "base/cleanup.h"
#include "base/log.h"
#include "model/store.h"
#include "scan.h"
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char usage_text[] =
	"usage: creel scan [-r] [--layers N,...] [--rules FILE] [--direction in|out] [--explain]\n"
	"                  [--sanitize] [--json | --sarif] [FILE|DIR...]\n"
	"       creel scan --judge openai|cerebras|anthropic [--judge-model NAME] [--judge-url URL]\n"
	"                  [--judge-key-file FILE] [--judge-ca-file FILE] [--judge-band FROM,TO]\n"
	"                  [--judge-on-error open|closed] [--judge-budget N] [--judge-budget-file FILE]\n"
	"                  [--judge-timeout SECONDS] [FILE|DIR...]\n"
	"       creel scan --batch FILE.jsonl\n"
	"       creel scan --list\n"
	"with a classifier: --model NAME of `creel model`, or a folder (tokenizer.json, config.json, model.onnx);\n"
	"CREEL_ONNXRUNTIME=FILE is the path of libonnxruntime.so.1 when the system's loader does not find it\n";

enum {
	O_LAYERS = 256,
	O_RULES,
	O_DIRECTION,
	O_EXPLAIN,
	O_SANITIZE,
	O_JSON,
	O_SARIF,
	O_BATCH,
	O_LIST,
	O_SOURCE,
	O_MODEL,
	O_HELP
};

static int layers_parse(const char *s, unsigned *ret, struct creel_err *err)
{
	unsigned mask = 0;

	for (; *s; s += s[1] == ',' ? 2 : 1) {
		if (*s < '1' || *s > '3' || (s[1] && s[1] != ',') || (s[1] == ',' && !s[2]))
			return creel_err_set(err, CREEL_E_USAGE, 0,
					     "--layers wants a list of 1, 2 and 3: 1,2");
		mask |= 1u << (*s - '0');
	}
	if (!(mask & 2))
		return creel_err_set(err, CREEL_E_USAGE, 0,
				     "layer 1 is always asked: --layers 1 or 1,2 or 1,2,3");
	*ret = mask;
	return 0;
}

static int opts_parse(int argc, char **argv, struct scan_opts *o, struct creel_err *err)
{
	static const struct option options[] = {{"layers", required_argument, NULL, O_LAYERS},
						{"rules", required_argument, NULL, O_RULES},
						{"direction", required_argument, NULL, O_DIRECTION},
						{"explain", no_argument, NULL, O_EXPLAIN},
						{"sanitize", no_argument, NULL, O_SANITIZE},
						{"json", no_argument, NULL, O_JSON},
						{"sarif", no_argument, NULL, O_SARIF},
						{"batch", required_argument, NULL, O_BATCH},
						{"list", no_argument, NULL, O_LIST},
						{"source", required_argument, NULL, O_SOURCE},
						{"model", required_argument, NULL, O_MODEL},
						{"help", no_argument, NULL, O_HELP},
						JUDGE_OPTIONS,
						{0}};
	size_t n_rules = 0;
	int r = 0;

	opterr = 0;
	for (int c; r == 0 && (c = getopt_long(argc, argv, "r", options, NULL)) != -1;)
		switch (c) {
		case 'r':
			o->recurse = true;
			break;
		case O_LAYERS:
			r = layers_parse(optarg, &o->layers, err);
			break;
		case O_RULES:
			if (n_rules + 1 == ELEMENTSOF(o->rules))
				return creel_err_set(err, CREEL_E_USAGE, 0, "--rules: 16 files at most");
			o->rules[n_rules++] = optarg;
			break;
		case O_DIRECTION:
			o->out = strcmp(optarg, "out") == 0;
			if (!o->out && strcmp(optarg, "in") != 0)
				return creel_err_set(err, CREEL_E_USAGE, 0, "--direction is in or out");
			break;
		case O_EXPLAIN:
			o->explain = true;
			break;
		case O_SANITIZE:
			o->sanitize = true;
			break;
		case O_JSON:
			o->form = SCAN_JSON;
			break;
		case O_SARIF:
			o->form = SCAN_SARIF;
			break;
		case O_BATCH:
			o->batch = optarg;
			break;
		case O_LIST:
			o->list = true;
			break;
		case O_SOURCE:
			o->source = optarg;
			break;
		case O_MODEL:
			o->model = optarg;
			break;
		case O_HELP:
			fputs(usage_text, stdout);
			exit(0);
		default:
			if (c >= JO_FIRST && c < JO_LAST) {
				r = judge_opt(&o->judge, c, optarg, err);
				break;
			}
			return creel_err_set(err, CREEL_E_USAGE, 0,
					     "scan: unknown option, or one without its "
					     "value: %.60s; see creel scan --help",
					     argv[optind - 1]);
		}
	o->paths = argv + optind;
	o->n_paths = argc - optind;
	if (r == 0 && !o->layers)
		o->layers = 1u << 1 | 1u << 2 | (o->judge.given ? 1u << 3 : 0);
	if (r == 0 && (o->layers & (1u << 3)) && !o->judge.given)
		r = creel_err_set(err, CREEL_E_USAGE, 0, "layer 3 needs a judge: --judge");
	if (r == 0 && o->batch && (o->n_paths || o->explain || o->sanitize || o->form == SCAN_SARIF))
		r = creel_err_set(err, CREEL_E_USAGE, 0,
				  "--batch reads its own file and prints its own lines");
	if (r == 0 && o->sanitize && (o->n_paths > 1 || o->recurse || o->form != SCAN_TEXT || o->explain))
		r = creel_err_set(err, CREEL_E_USAGE, 0,
				  "--sanitize prints one text: give one file, or none");
	if (r == 0 && o->explain && o->form != SCAN_TEXT)
		r = creel_err_set(err, CREEL_E_USAGE, 0,
				  "--explain is for people: without --json or --sarif");
	return r;
}

static void model_close(void *arg)
{
	creel_defender_model_close(arg);
}

int scan_defender(const struct scan_opts *o, struct creel_judge *judge, struct creel_defender **ret,
		  struct creel_err *err)
{
	struct creel_defender_error e = {0};
	struct creel_defender_options d = {.size = sizeof(d), .rule_files = o->rules};
	const char *cache = getenv("CREEL_DEFENDER_CACHE");

	if (cache && cache[0]) {
		(void)mkdir(cache, 0755);
		d.cache_dir = cache;
	}
	struct creel_defender_model_options m = {.size = sizeof(m), .runtime = getenv("CREEL_ONNXRUNTIME")};
	struct creel_defender_model *model = NULL;
	struct creel_defender_layer layers[2];
	size_t n_layers = 0;
	if (o->model) {
		if (!(o->layers & (1u << 2)))
			return creel_err_set(err, CREEL_E_USAGE, 0, "--model is of layer 2: --layers 1,2");
		char dir[PATH_MAX];
		int r = creel_model_find(o->model, dir, sizeof(dir), err);
		if (r < 0)
			return r;
		if (creel_defender_model_open(dir, &m, &model, &e) < 0)
			return creel_err_set(err, e.code, e.os, "%s", e.msg);
		creel_defender_model_layer(model, &layers[n_layers]);
		layers[n_layers++].destroy = model_close;
	}
	if (judge)
		creel_judge_layer(judge, &layers[n_layers++]);
	if (n_layers > 0) {
		d.layers = layers;
		d.n_layers = n_layers;
	}
	if (creel_defender_new(&d, ret, &e) == 0)
		return 0;
	creel_defender_model_close(model);
	bool rule = e.code == CREEL_DEFENDER_E_SYNTAX || e.code == CREEL_DEFENDER_E_INVALID;
	return creel_err_set(err, rule ? CREEL_E_CONFIG : e.code, e.os, "%s", e.msg);
}

void scan_context(const struct scan_opts *o, struct creel_defender_context *ret)
{
	*ret = (struct creel_defender_context){
		.size = sizeof(*ret),
		.direction = o->out ? CREEL_DEFENDER_OUT : CREEL_DEFENDER_IN,
		.source = o->source,
		.skip_layers = ~o->layers,
	};
}

static int run(int argc, char **argv, struct creel_err *err)
{
	struct scan_opts o = {0};
	struct creel_judge *judge = NULL;
	struct creel_defender *d = NULL;
	struct scan_sum sum = {0};
	int r = opts_parse(argc, argv, &o, err);

	if (r == 0)
		r = judge_opts_make(&o.judge, &judge, err);
	if (r == 0)
		r = scan_defender(&o, judge, &d, err);
	if (r == 0 && o.list)
		scan_list(&o, d);
	else if (r == 0 && o.batch)
		r = scan_batch(&o, d, &sum, err);
	else if (r == 0)
		r = scan_paths(&o, d, &sum, err);
	if (r == 0 && o.form == SCAN_SARIF && !o.list)
		r = scan_sarif(d, &sum, err);
	json_decref(sum.sarif_results);
	creel_defender_free(d);
	creel_judge_free(judge);
	if (r == 0 && (ferror(stdout) || fflush(stdout) != 0))
		r = creel_err_set(err, CREEL_E_OS, errno, "write to standard output");
	return r < 0 ? r : sum.blocked ? 3 : sum.failed ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct creel_err err = {0};
	int r = run(argc, argv, &err);

	if (r < 0)
		creel_log_error(&err);
	return creel_exit_status(r);
}
