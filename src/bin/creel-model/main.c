#include "base/cleanup.h"
#include "base/log.h"
#include "creel/defender.h"
#include "work.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const char usage_text[] =
	"usage: creel model add NAME PATH|URL --sha256 HEX [--network FILE] [--max-size MIB]\n"
	"                       [--ca-file FILE]\n"
	"       creel model list [--check]\n"
	"       creel model rm NAME\n"
	"       creel model hash DIR|ARCHIVE [--network FILE]\n";

struct opts {
	bool json, check;
	const char *sha256, *network, *ca_file;
	unsigned long max_mib;
	char **word;
	int words;
};

static int opts_parse(int argc, char **argv, struct opts *o, struct creel_err *err)
{
	enum { O_JSON = 256, O_SHA256, O_NETWORK, O_MAX, O_CA, O_CHECK, O_HELP };
	static const struct option options[] = {{"json", no_argument, NULL, O_JSON},
						{"sha256", required_argument, NULL, O_SHA256},
						{"network", required_argument, NULL, O_NETWORK},
						{"max-size", required_argument, NULL, O_MAX},
						{"ca-file", required_argument, NULL, O_CA},
						{"check", no_argument, NULL, O_CHECK},
						{"help", no_argument, NULL, O_HELP},
						{0}};
	char *end = NULL;

	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;)
		if (c == O_JSON)
			o->json = true;
		else if (c == O_CHECK)
			o->check = true;
		else if (c == O_SHA256)
			o->sha256 = optarg;
		else if (c == O_NETWORK)
			o->network = optarg;
		else if (c == O_CA)
			o->ca_file = optarg;
		else if (c == O_MAX) {
			o->max_mib = strtoul(optarg, &end, 10);
			if (*optarg < '0' || *optarg > '9' || *end || o->max_mib == 0 ||
			    o->max_mib > 1u << 20)
				return creel_err_set(err, CREEL_E_USAGE, 0, "--max-size wants MiB: 4096");
		} else if (c == O_HELP) {
			fputs(usage_text, stdout);
			exit(0);
		} else
			return creel_err_set(err, CREEL_E_USAGE, 0,
					     "model: unknown option, or one without its value: %.60s; see "
					     "creel model --help",
					     argv[optind - 1]);
	o->word = argv + optind;
	o->words = argc - optind;
	return 0;
}

static json_t *model_json(const struct creel_model *m)
{
	uint64_t size = 0;
	char when[32] = "";
	time_t t = m->added;
	struct tm tm;

	for (size_t i = 0; i < CREEL_MODEL_FILES; i++)
		size += m->file[i].size;
	if (gmtime_r(&t, &tm))
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_pack("{s:s,s:s,s:I,s:s,s:s}", "name", m->name, "sha256", m->sha256, "size",
			 (json_int_t)size, "added", when, "source", m->source);
}

static int json_show(json_t *j, struct creel_err *err)
{
	autofree char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;

	json_decref(j);
	if (!text)
		return creel_err_nomem(err);
	puts(text);
	return 0;
}

int model_try(struct work *w, struct creel_err *err)
{
	struct creel_defender_model_options o = {
		.size = sizeof(o), .name = w->name, .runtime = getenv("CREEL_ONNXRUNTIME"), .threads = 1};
	struct creel_defender_model *m = NULL;
	struct creel_defender_error e = {0};
	double score;

	int r = creel_defender_model_open(w->dir, &o, &m, &e);
	if (r == 0)
		r = creel_defender_model_score(m, "good day", 8, &score, &e);
	creel_defender_model_close(m);
	if (r == CREEL_DEFENDER_E_OS) { /* the files are there: what lacks is the runtime */
		creel_log_warn("not tried: %s", e.msg);
		return 0;
	}
	return r < 0 ? creel_err_set(err, CREEL_E_INVALID, 0, "it does not work: %.200s", e.msg) : 0;
}

static int add(const struct opts *o, struct creel_err *err)
{
	static struct work w;

	if (o->words != 3)
		return creel_err_set(err, CREEL_E_USAGE, 0,
				     "usage: creel model add NAME PATH|URL --sha256 HEX");
	if (!creel_model_name_ok(o->word[1]))
		return creel_err_set(
			err, CREEL_E_USAGE, 0,
			"that cannot be a model's name: letters, digits, '-', '_' and '.', a letter or "
			"digit first, 64 at most");
	if (!o->sha256)
		return creel_err_set(
			err, CREEL_E_USAGE, 0,
			"--sha256 HEX is wanted, as a model is code: `creel model hash PATH` says that "
			"of one that you trust");
	if (!creel_model_hex(o->sha256, w.want))
		return creel_err_set(err, CREEL_E_USAGE, 0, "--sha256 wants 64 hexadecimal digits");
	if (strlen(o->word[2]) >= CREEL_MODEL_SOURCE)
		return creel_err_set(err, CREEL_E_USAGE, 0, "too long a path or URL");
	w.name = o->word[1];
	w.from = o->word[2];
	w.network = o->network;
	w.ca_file = o->ca_file;
	w.max = (uint64_t)o->max_mib << 20;
	int r = model_add(&w, err);
	if (r == 0 && o->json)
		return json_show(model_json(&w.model), err);
	if (r == 0)
		fprintf(stderr, "creel: model %s is there: creel scan --model %s\n", w.name, w.name);
	return r;
}

struct list {
	const struct opts *o;
	const char *store;
	unsigned bad;
};

static int show(const struct creel_model *m, void *ctx)
{
	struct list *l = ctx;
	struct creel_err why = {0}, *err = &why;
	int r = m->sha256[0]
			? 0
			: creel_err_set(err, CREEL_E_BROKEN, 0, "creel-model.json is missing or damaged");

	if (r == 0 && l->o->check)
		r = creel_model_check(l->store, m, true, err);
	l->bad += r < 0;
	json_t *j = model_json(m);
	if (j && (l->o->check || r < 0))
		json_object_set_new(j, "whole", json_boolean(r == 0));
	if (l->o->json)
		return json_show(j, err) < 0 ? CREEL_E_NOMEM : 0;
	printf("%s %s %.1f MB %s%s%s\n", m->name, m->sha256[0] ? m->sha256 : "-",
	       (double)json_integer_value(json_object_get(j, "size")) / 1e6,
	       json_string_value(json_object_get(j, "added")), r < 0 ? " BROKEN: " : "",
	       r < 0 ? why.msg : "");
	json_decref(j);
	return 0;
}

static int list(const struct opts *o, struct creel_err *err)
{
	char store[PATH_MAX];
	struct list l = {.o = o, .store = store};

	if (o->words != 1)
		return creel_err_set(err, CREEL_E_USAGE, 0, "usage: creel model list [--check]");
	int r = creel_model_store(store, sizeof(store), err);
	if (r == 0)
		r = creel_model_each(store, show, &l, err);
	return r < 0 ? r : l.bad ? 3 : 0;
}

/* Nothing is unpacked: of an archive the hash is that of its octets. */
static int hash(const struct opts *o, struct creel_err *err)
{
	struct creel_model m = {0};
	struct creel_model_file whole;
	struct stat st;
	char hex[CREEL_MODEL_HEX];
	int r = 0;

	if (o->words != 2)
		return creel_err_set(err, CREEL_E_USAGE, 0, "usage: creel model hash DIR|ARCHIVE");
	autofd int fd = open(o->word[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open %.160s", o->word[1]);
	for (size_t i = 0; r == 0 && S_ISDIR(st.st_mode) && i < CREEL_MODEL_FILES; i++) {
		const char *name = work_name(o->network, i);
		autofd int file = openat(fd, name, O_RDONLY | O_CLOEXEC);
		if (file < 0 && errno == ENOENT && i == CREEL_MODEL_NETWORK && !o->network)
			file = openat(fd, "onnx/model.onnx", O_RDONLY | O_CLOEXEC);
		r = file < 0 ? creel_err_set(err, CREEL_E_OS, errno, "open %.60s", name)
			     : creel_model_hash(file, &m.file[i], err);
	}
	if (r == 0 && S_ISDIR(st.st_mode))
		creel_model_digest(&m, hex);
	else if (r == 0 && (r = creel_model_hash(fd, &whole, err)) == 0)
		memcpy(hex, whole.sha256, sizeof(hex));
	if (r < 0)
		return creel_err_add(err, "%.100s", o->word[1]);
	if (o->json)
		return json_show(json_pack("{s:s}", "sha256", hex), err);
	puts(hex);
	return 0;
}

static int rm(const struct opts *o, struct creel_err *err)
{
	if (o->words != 2 || !creel_model_name_ok(o->word[1]))
		return creel_err_set(err, CREEL_E_USAGE, 0, "usage: creel model rm NAME");
	return model_remove(o->word[1], err);
}

static const struct {
	const char *name;
	int (*run)(const struct opts *o, struct creel_err *err);
} verbs[] = {{"add", add}, {"list", list}, {"rm", rm}, {"hash", hash}};

static int run(int argc, char **argv, struct creel_err *err)
{
	struct opts o = {.max_mib = 4096};
	int r = opts_parse(argc, argv, &o, err);

	for (size_t i = 0; r == 0 && o.words > 0 && i < ELEMENTSOF(verbs); i++)
		if (strcmp(o.word[0], verbs[i].name) == 0) {
			r = verbs[i].run(&o, err);
			if (r >= 0 && (ferror(stdout) || fflush(stdout) != 0))
				r = creel_err_set(err, CREEL_E_OS, errno, "write to standard output");
			return r;
		}
	return r < 0 ? r
		     : creel_err_set(err, CREEL_E_USAGE, 0,
				     "usage: creel model add|list|rm|hash; see creel model --help");
}

int main(int argc, char **argv)
{
	struct creel_err err = {0};
	int r = run(argc, argv, &err);

	if (r < 0)
		creel_log_error(&err);
	return creel_exit_status(r);
}
