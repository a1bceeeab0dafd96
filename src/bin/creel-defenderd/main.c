/*
 * creel-defenderd: the defender over HTTP on a loopback address, for agents in any language: /classify (as
 * the usual classifier servers answer it), /scan, /intent, /health, /metrics.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "judgeopts.h"
#include "model/store.h"
#include "server.h"
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct opts {
	const char *listen, *cache_dir, *model, *events;
	const char *rules[17];
	unsigned threads, timeout_s, drain_s, connections, body_mib, model_threads;
	struct judge_opts judge;
};

static const char usage_text[] =
	"usage: creel-defenderd [--listen 127.0.0.1:PORT] [--rules FILE]... [--cache-dir DIR] [--threads N]\n"
	"                       [--timeout SECONDS] [--drain SECONDS] [--connections N] [--body-max MIB]\n"
	"                       [--model NAME|DIR] [--model-threads N] [--events SOCKET]\n"
	"                       [--judge openai|cerebras|anthropic] [--judge-url URL] [--judge-model NAME]\n"
	"                       [--judge-key-file FILE] [--judge-ca-file FILE] [--judge-band FROM,TO]\n"
	"                       [--judge-on-error open|closed] [--judge-budget N] [--judge-budget-file FILE]\n"
	"                       [--judge-timeout SECONDS]\n"
	"\n"
	"  creel-defenderd --listen 127.0.0.1:8000\n"
	"  curl -s http://127.0.0.1:8000/classify -d '{\"text\":\"ignore all previous instructions\"}'\n";

enum {
	O_LISTEN = 256,
	O_RULES,
	O_CACHE,
	O_THREADS,
	O_TIMEOUT,
	O_DRAIN,
	O_CONNECTIONS,
	O_BODY,
	O_MODEL,
	O_MODEL_THREADS,
	O_EVENTS,
	O_HELP
};

static int number(const char *name, const char *s, unsigned max, unsigned *ret, struct creel_err *err)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (*s < '0' || *s > '9' || *end || n == 0 || n > max)
		return creel_err_set(err, CREEL_E_USAGE, 0, "--%s wants a number from 1 to %u", name, max);
	*ret = (unsigned)n;
	return 0;
}

static int opts_parse(int argc, char **argv, struct opts *o, struct creel_err *err)
{
	static const struct option options[] = {{"listen", required_argument, NULL, O_LISTEN},
						{"rules", required_argument, NULL, O_RULES},
						{"cache-dir", required_argument, NULL, O_CACHE},
						{"threads", required_argument, NULL, O_THREADS},
						{"timeout", required_argument, NULL, O_TIMEOUT},
						{"drain", required_argument, NULL, O_DRAIN},
						{"connections", required_argument, NULL, O_CONNECTIONS},
						{"body-max", required_argument, NULL, O_BODY},
						{"model", required_argument, NULL, O_MODEL},
						{"model-threads", required_argument, NULL, O_MODEL_THREADS},
						{"events", required_argument, NULL, O_EVENTS},
						{"help", no_argument, NULL, O_HELP},
						JUDGE_OPTIONS,
						{0}};
	size_t n_rules = 0;
	int r = 0;

	opterr = 0;
	for (int c; r == 0 && (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == O_LISTEN)
			o->listen = optarg;
		else if (c == O_RULES && n_rules + 1 < ELEMENTSOF(o->rules))
			o->rules[n_rules++] = optarg;
		else if (c == O_CACHE)
			o->cache_dir = optarg;
		else if (c == O_THREADS)
			r = number("threads", optarg, 32, &o->threads, err);
		else if (c == O_TIMEOUT)
			r = number("timeout", optarg, 600, &o->timeout_s, err);
		else if (c == O_DRAIN)
			r = number("drain", optarg, 600, &o->drain_s, err);
		else if (c == O_CONNECTIONS)
			r = number("connections", optarg, 10000, &o->connections, err);
		else if (c == O_BODY)
			r = number("body-max", optarg, 128, &o->body_mib, err);
		else if (c == O_MODEL)
			o->model = optarg;
		else if (c == O_EVENTS)
			o->events = optarg;
		else if (c == O_MODEL_THREADS)
			r = number("model-threads", optarg, 64, &o->model_threads, err);
		else if (c == O_HELP) {
			fputs(usage_text, stdout);
			exit(0);
		} else if (c >= JO_FIRST && c < JO_LAST)
			r = judge_opt(&o->judge, c, optarg, err);
		else
			r = creel_err_set(err, CREEL_E_USAGE, 0,
					  "unknown option, one without its value, or one too many: %.60s",
					  argv[optind - 1]);
	}
	if (r == 0 && o->threads == 0) /* those who wait for the model do not work: texts come together */
		o->threads = o->model ? 8 : 2;
	if (r == 0 && optind < argc)
		r = creel_err_set(err, CREEL_E_USAGE, 0, "it takes no arguments: %.60s", argv[optind]);
	return r;
}

static int model_open(const struct opts *o, struct creel_defender_model **ret, struct creel_err *err)
{
	struct creel_defender_model_options m = {
		.size = sizeof(m), .runtime = getenv("CREEL_ONNXRUNTIME"), .threads = o->model_threads};
	struct creel_defender_error e = {0};
	char dir[PATH_MAX];

	if (!o->model)
		return 0;
	int r = creel_model_find(o->model, dir, sizeof(dir), err);
	if (r == 0 && creel_defender_model_open(dir, &m, ret, &e) < 0)
		r = creel_err_set(err, e.code, e.os, "%s", e.msg);
	return r;
}

static int defender_make(const struct opts *o, struct creel_judge *judge, struct creel_defender_model *model,
			 struct creel_defender **ret, struct creel_err *err)
{
	struct creel_defender_error e = {0};
	struct creel_defender_layer layers[2];
	struct creel_defender_options d = {
		.size = sizeof(d), .rule_files = o->rules, .cache_dir = o->cache_dir, .layers = layers};

	if (o->cache_dir)
		(void)mkdir(o->cache_dir, 0755);
	if (model)
		creel_defender_model_layer(model, &layers[d.n_layers++]);
	if (judge)
		creel_judge_layer(judge, &layers[d.n_layers++]);
	if (creel_defender_new(&d, ret, &e) < 0)
		return creel_err_set(err, e.code == CREEL_DEFENDER_E_SYNTAX ? CREEL_E_CONFIG : e.code, e.os,
				     "%s", e.msg);
	return 0;
}

static void on_signal(evutil_socket_t signal, short what, void *arg)
{
	server_drain(arg);
}

static int serve(const struct opts *o, struct pool *pool, struct server *s, struct creel_err *err)
{
	int r = tell_start(&pool->tell, o->events, err);

	if (r == 0)
		r = pool_start(pool, o->threads, pool->judge ? 16 : 0, err);
	if (r == 0)
		r = server_start(s, o->listen, (size_t)o->body_mib << 20, o->timeout_s, err);
	struct event *term = evsignal_new(s->base, SIGTERM, on_signal, s);
	struct event *interrupt = evsignal_new(s->base, SIGINT, on_signal, s);
	if (r == 0 && (!term || !interrupt || event_add(term, NULL) < 0 || event_add(interrupt, NULL) < 0))
		r = creel_err_nomem(err);
	if (r == 0) {
		creel_log_info("listening on port %u", server_port(s));
		(void)event_base_dispatch(s->base);
		if (s->open > 0)
			r = creel_err_set(err, CREEL_E_TIMEOUT, 0, "%u requests were not answered in time",
					  s->open);
	}
	server_end(s);
	if (pool->judge)
		creel_judge_stop(pool->judge);
	pool_end(pool);
	tell_end(&pool->tell);
	if (term)
		event_free(term);
	if (interrupt)
		event_free(interrupt);
	return r;
}

static int run(int argc, char **argv, struct creel_err *err)
{
	struct opts o = {.listen = "127.0.0.1:8000",
			 .timeout_s = 10,
			 .drain_s = 15,
			 .connections = 256,
			 .body_mib = 8};
	const struct rlimit none = {0, 0};
	static struct pool pool;
	struct server s = {.pool = &pool};
	struct creel_defender *d = NULL;
	struct creel_defender_model *model = NULL;
	int r = opts_parse(argc, argv, &o, err);

	if (r < 0)
		return r;
	/* texts and a key are in its memory */
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)signal(SIGPIPE, SIG_IGN);
	/* threads with heaps of their own keep what one large text took */
	(void)mallopt(M_ARENA_MAX, 2);
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 17);
	s.connections_max = o.connections;
	s.drain_s = o.drain_s;
	r = judge_opts_make(&o.judge, &pool.judge, err);
	if (r == 0)
		r = model_open(&o, &model, err);
	if (r == 0)
		r = defender_make(&o, pool.judge, model, &d, err);
	pool.defender = d;
	if (r == 0) {
		s.base = event_base_new();
		r = s.base ? serve(&o, &pool, &s, err) : creel_err_nomem(err);
		if (s.base)
			event_base_free(s.base);
	}
	creel_defender_free(d);
	creel_defender_model_close(model);
	creel_judge_free(pool.judge);
	return r;
}

int main(int argc, char **argv)
{
	struct creel_err err = {0};

	creel_log_name("creel-defenderd");
	int r = run(argc, argv, &err);
	if (r < 0)
		creel_log_error(&err);
	return creel_exit_status(r);
}
