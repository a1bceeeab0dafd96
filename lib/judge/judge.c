#include "base/cleanup.h"
#include "inner.h"
#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static int give(const struct creel_err *from, int code, struct creel_defender_error *to)
{
	if (to) {
		to->code = code;
		to->os = from->os;
		memcpy(to->msg, from->msg, sizeof(to->msg));
	}
	return code;
}

static int fail(struct creel_defender_error *to, int code, const char *why)
{
	struct creel_err err = {0};

	creel_err_set(&err, code, 0, "%s", why);
	return give(&err, code, to);
}

int creel_judge_api_parse(const char *name, enum creel_judge_api *ret)
{
	static const char *const names[] = {"openai", "cerebras", "anthropic"};

	for (size_t i = 0; name && i < ELEMENTSOF(names); i++)
		if (strcmp(name, names[i]) == 0) {
			*ret = (enum creel_judge_api)i;
			return 0;
		}
	return CREEL_DEFENDER_E_INVALID;
}

/* May a key go there? https, or this machine. */
static int url_check(const char *url, bool key, struct creel_err *err)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL, *user = NULL;
	struct in_addr a;
	int r = 0;

	if (!u || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		r = creel_err_set(err, CREEL_E_INVALID, 0, "url: wants https://HOST/PATH");
	else if (curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK)
		r = creel_err_set(err, CREEL_E_INVALID, 0, "url: no user or password in it");
	else if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)
		r = creel_err_set(err, CREEL_E_INVALID, 0, "url: https or http");
	else if (key && strcmp(scheme, "http") == 0 && strcmp(host, "[::1]") != 0 &&
		 !(inet_pton(AF_INET, host, &a) == 1 && ntohl(a.s_addr) >> 24 == 127))
		r = creel_err_set(err, CREEL_E_INVALID, 0,
				  "url: a key goes by https, or by http to a loopback address");
	curl_free(scheme);
	curl_free(host);
	curl_free(user);
	curl_url_cleanup(u);
	return r;
}

static int options_take(struct creel_judge *j, const struct creel_judge_options *from, struct creel_err *err)
{
	static const char *const urls[] = {"https://api.openai.com/v1", "https://api.cerebras.ai/v1",
					   "https://api.anthropic.com/v1"};
	struct creel_judge_options *o = &j->o;

	memcpy(o, from, MIN(from->size, sizeof(*o)));
	const char *strings[] = {o->url, o->model, o->key, o->ca_file};
	o->url = o->model = o->key = o->ca_file = NULL; /* until they are ours */
	if ((unsigned)o->api >= ELEMENTSOF(urls))
		return creel_err_set(err, CREEL_E_INVALID, 0, "api: openai, cerebras or anthropic");
	if (!strings[0])
		strings[0] = urls[o->api];
	if (!strings[1] && o->api == CREEL_JUDGE_CEREBRAS)
		strings[1] = "gpt-oss-120b";
	if (!strings[1] || !strings[1][0])
		return creel_err_set(err, CREEL_E_INVALID, 0, "model: none is named");
	if (strings[2] && (!strings[2][0] || strpbrk(strings[2], "\r\n")))
		return creel_err_set(err, CREEL_E_INVALID, 0, "key: empty, or more than a line");
	if (o->tries > 10 || o->from > 1 || o->to > 1 || (o->to > 0 && o->from >= o->to))
		return creel_err_set(err, CREEL_E_INVALID, 0, "tries: up to 10; from < to, up to 1");
	const char **to[] = {&o->url, &o->model, &o->key, &o->ca_file};
	for (size_t i = 0; i < ELEMENTSOF(to); i++)
		if (strings[i] && !(*to[i] = strdup(strings[i])))
			return creel_err_nomem(err);
#define DEFAULT(field, v) o->field = o->field ? o->field : (v)
	DEFAULT(timeout_ms, 10000);
	DEFAULT(connect_ms, 3000);
	DEFAULT(tries, 3);
	DEFAULT(backoff_ms, 250);
	DEFAULT(budget, 1000);
	DEFAULT(cache, 1024);
	DEFAULT(at_once, 16);
	DEFAULT(window, 16384);
	DEFAULT(windows, 4);
	DEFAULT(rest_after, 5);
	DEFAULT(rest_ms, 30000);
	DEFAULT(warn_at, 0.55);
	DEFAULT(block_at, 0.85);
#undef DEFAULT
	if (o->cache == (unsigned)-1)
		o->cache = 0;
	if (o->cache > 1u << 20 || o->window < 256 || o->window > 1u << 20)
		return creel_err_set(err, CREEL_E_INVALID, 0, "cache: up to 1048576; window: 256 to 1048576");
	if (o->from == 0 && o->to == 0) {
		o->from = CREEL_JUDGE_FROM;
		o->to = CREEL_JUDGE_TO;
	}
	return 0;
}

static int start(struct creel_judge *j, const struct creel_judge_options *opt, struct creel_err *err)
{
	int r = options_take(j, opt, err);

	if (r == 0)
		r = url_check(j->o.url, j->o.key != NULL, err);
	if (r == 0 && j->o.budget_file)
		r = judge_budget_open(j, j->o.budget_file, err);
	j->o.budget_file = NULL; /* not ours to keep */
	if (r == 0 && j->o.cache && !(j->cache = calloc(j->o.cache, sizeof(*j->cache))))
		r = creel_err_nomem(err);
	return r < 0 ? r : judge_http_init(j, err);
}

int creel_judge_new(const struct creel_judge_options *opt, struct creel_judge **ret,
		    struct creel_defender_error *error)
{
	struct creel_err err = {0};
	pthread_condattr_t attr;

	if (!opt || !ret || opt->size < sizeof(size_t))
		return fail(error, CREEL_DEFENDER_E_INVALID, "options: size is not set");
	struct creel_judge *j = calloc(1, sizeof(*j));
	if (!j)
		return fail(error, CREEL_DEFENDER_E_NOMEM, "out of memory");
	if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(j);
		return fail(error, CREEL_DEFENDER_E_UNSUPP, "libcurl or libsodium does not start");
	}
	j->budget_fd = -1;
	pthread_mutex_init(&j->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&j->stopping, &attr);
	pthread_condattr_destroy(&attr);
	randombytes_buf(j->salt, sizeof(j->salt));
	int r = start(j, opt, &err);
	if (r < 0) {
		creel_judge_free(j);
		return give(&err, r, error);
	}
	*ret = j;
	return 0;
}

void creel_judge_free(struct creel_judge *j)
{
	if (!j)
		return;
	judge_http_fini(j);
	if (j->o.key)
		explicit_bzero((char *)j->o.key, strlen(j->o.key));
	free((char *)j->o.key);
	free((char *)j->o.url);
	free((char *)j->o.model);
	free((char *)j->o.ca_file);
	free(j->cache);
	if (j->budget_fd >= 0)
		close(j->budget_fd);
	pthread_cond_destroy(&j->stopping);
	pthread_mutex_destroy(&j->lock);
	free(j);
	curl_global_cleanup();
}

void creel_judge_stop(struct creel_judge *j)
{
	atomic_store(&j->stopped, true);
	pthread_mutex_lock(&j->lock);
	pthread_cond_broadcast(&j->stopping);
	pthread_mutex_unlock(&j->lock);
}

void judge_weaken(struct creel_judge *j)
{
	j->bare = true;
}

static void hash_part(crypto_generichash_state *h, const char *s, size_t n)
{
	uint64_t len = s ? n : UINT64_MAX; /* each part says how long it is: no two questions run together */

	crypto_generichash_update(h, (const uint8_t *)&len, sizeof(len));
	if (s)
		crypto_generichash_update(h, (const uint8_t *)s, n);
}

static void hash_string(crypto_generichash_state *h, const char *s)
{
	hash_part(h, s, s ? strlen(s) : 0);
}

static void question_hash(const struct creel_judge *j, const struct judge_question *q,
			  uint8_t ret[JUDGE_HASH])
{
	crypto_generichash_state h;
	uint8_t kind = (uint8_t)q->kind;

	crypto_generichash_init(&h, j->salt, sizeof(j->salt), JUDGE_HASH);
	crypto_generichash_update(&h, &kind, 1);
	if (q->kind == JUDGE_TEXT) {
		hash_string(&h, q->source);
		hash_string(&h, q->role);
		hash_string(&h, q->tool);
		hash_part(&h, q->text, q->len);
	} else {
		hash_string(&h, q->call->request);
		hash_string(&h, q->call->tool);
		hash_string(&h, q->call->arguments);
	}
	crypto_generichash_final(&h, ret, JUDGE_HASH);
}

/* With the lock. */
static bool cache_get(struct creel_judge *j, const uint8_t *hash, struct creel_judge_answer *ret)
{
	for (unsigned i = 0; i < j->o.cache; i++)
		if (j->cache[i].used && memcmp(j->cache[i].hash, hash, JUDGE_HASH) == 0) {
			j->cache[i].used = ++j->tick;
			*ret = j->cache[i].answer;
			ret->cached = 1;
			return true;
		}
	return false;
}

static void cache_put(struct creel_judge *j, const uint8_t *hash, const struct creel_judge_answer *a)
{
	struct judge_cached *oldest = NULL;

	for (unsigned i = 0; i < j->o.cache; i++)
		if (!oldest || j->cache[i].used < oldest->used)
			oldest = &j->cache[i];
	if (!oldest)
		return;
	memcpy(oldest->hash, hash, JUDGE_HASH);
	oldest->used = ++j->tick;
	oldest->answer = *a;
}

/* May it be asked now? With the lock. */
static int enter(struct creel_judge *j, struct creel_err *err)
{
	uint64_t now = judge_now_ms();

	if (atomic_load(&j->stopped))
		return creel_err_set(err, CREEL_E_CANCEL, 0, "the judge was stopped");
	if (j->under_way >= j->o.at_once) {
		j->stats.busy++;
		return creel_err_set(err, CREEL_E_BUSY, 0, "%u questions are under way", j->under_way);
	}
	if (now < j->rest_until_ms) {
		j->stats.busy++;
		return creel_err_set(err, CREEL_E_BUSY, 0, "left alone for %u s more after %u failures",
				     (unsigned)((j->rest_until_ms - now) / 1000 + 1), j->o.rest_after);
	}
	j->under_way++;
	return 0;
}

/* With the lock: what a question did. Neither a full budget nor a stop says anything of the server. */
static void leave(struct creel_judge *j, int r, uint64_t from_ms)
{
	j->under_way--;
	j->stats.micros += (judge_now_ms() - from_ms) * 1000;
	if (r == 0) {
		j->failures = 0;
	} else if (r != CREEL_E_DENIED && r != CREEL_E_CANCEL && ++j->failures >= j->o.rest_after) {
		j->failures = 0;
		j->rest_until_ms = judge_now_ms() + j->o.rest_ms;
	}
}

static int ask(struct creel_judge *j, const struct judge_question *q, struct creel_judge_answer *ret,
	       struct creel_err *err)
{
	uint8_t hash[JUDGE_HASH];
	uint64_t from = judge_now_ms();

	question_hash(j, q, hash);
	pthread_mutex_lock(&j->lock);
	j->stats.questions++;
	bool known = cache_get(j, hash, ret);
	j->stats.cached += known;
	int r = known ? 0 : enter(j, err);
	j->stats.failed += r < 0;
	pthread_mutex_unlock(&j->lock);
	if (known || r < 0)
		return r;
	r = judge_http_ask(j, q, ret, err);
	pthread_mutex_lock(&j->lock);
	leave(j, r, from);
	j->stats.failed += r < 0;
	if (r == 0) {
		j->stats.steered += ret->steered != 0;
		if (!ret->steered)
			cache_put(j, hash, ret);
	}
	pthread_mutex_unlock(&j->lock);
	return r;
}

/* A long text is asked about in pieces that overlap; the worst answer is the text's. */
static int text_ask(struct creel_judge *j, struct judge_question q, struct creel_judge_answer *ret,
		    struct creel_err *err)
{
	const char *text = q.text;
	size_t len = q.len, step = j->o.window - j->o.window / 16;
	struct creel_judge_answer worst = {.score = -1}, a = {0};

	if (len > j->o.window && (len - j->o.window + step - 1) / step + 1 > j->o.windows)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "a text of %zu octets is too long to be judged",
				     len);
	for (size_t at = 0;; at += step) {
		q.text = text + at;
		q.len = MIN(len - at, j->o.window);
		int r = ask(j, &q, &a, err);
		if (r < 0)
			return r;
		if (a.score > worst.score)
			worst = a;
		if (at + q.len == len || worst.score >= j->o.block_at)
			break;
	}
	*ret = worst;
	return 0;
}

static void answer_give(struct creel_judge_answer *a, struct creel_judge_answer *ret)
{
	size_t size = ret->size;

	a->size = size;
	memcpy(ret, a, MIN(size, sizeof(*a)));
}

static int code_of(int r)
{
	return r == CREEL_E_NOMEM ? CREEL_DEFENDER_E_NOMEM : CREEL_DEFENDER_E_LAYER;
}

int creel_judge_text(struct creel_judge *j, const char *text, size_t len,
		     const struct creel_defender_context *ctx, struct creel_judge_answer *ret,
		     struct creel_defender_error *error)
{
	struct creel_judge_answer a = {0};
	struct creel_err err = {0};

	if (!j || (!text && len) || !ret || ret->size < sizeof(size_t))
		return fail(error, CREEL_DEFENDER_E_INVALID, "judge: an argument is missing");
	struct judge_question q = {.kind = JUDGE_TEXT, .text = text ? text : "", .len = len};
	if (ctx) {
		q.source = ctx->source;
		q.role = ctx->role;
		q.tool = ctx->tool;
	}
	int r = text_ask(j, q, &a, &err);
	if (r < 0)
		return give(&err, code_of(r), error);
	answer_give(&a, ret);
	return 0;
}

int creel_judge_intent(struct creel_judge *j, const struct creel_judge_call *call,
		       struct creel_judge_answer *ret, struct creel_defender_error *error)
{
	struct creel_judge_answer a = {0};
	struct creel_err err = {0};

	if (!j || !call || !ret || ret->size < sizeof(size_t) || call->size < sizeof(*call) ||
	    !call->request || !call->tool || !call->arguments)
		return fail(error, CREEL_DEFENDER_E_INVALID, "judge: an argument is missing");
	struct judge_question q = {.kind = JUDGE_CALL, .call = call};
	size_t n = strlen(call->request) + strlen(call->tool) + strlen(call->arguments);
	if (n > j->o.window)
		return fail(error, CREEL_DEFENDER_E_LAYER,
			    "the request and the call are too long to be judged");
	int r = ask(j, &q, &a, &err);
	if (r < 0)
		return give(&err, code_of(r), error);
	answer_give(&a, ret);
	return 0;
}

static int layer_score(void *arg, const char *text, size_t len, const struct creel_defender_context *ctx,
		       double *ret, char *why, size_t why_size)
{
	struct creel_judge_answer a = {.size = sizeof(a)};
	struct creel_defender_error e = {0};

	if (creel_judge_text(arg, text, len, ctx, &a, &e) < 0) {
		(void)snprintf(why, why_size, "%s", e.msg);
		return -1;
	}
	*ret = a.score;
	return 0;
}

void creel_judge_layer(struct creel_judge *j, struct creel_defender_layer *ret)
{
	*ret = (struct creel_defender_layer){.size = sizeof(*ret),
					     .layer = 3,
					     .name = "judge",
					     .from_score = MAX(j->o.from, 0.0),
					     .to_score = j->o.to,
					     .warn_at = j->o.warn_at,
					     .block_at = j->o.block_at,
					     .on_error = j->o.on_error,
					     .score = layer_score,
					     .arg = j};
}

void creel_judge_stats(const struct creel_judge *cj, struct creel_judge_stats *ret)
{
	struct creel_judge *j = (struct creel_judge *)cj;
	size_t size = ret->size;

	pthread_mutex_lock(&j->lock);
	struct creel_judge_stats s = j->stats;
	pthread_mutex_unlock(&j->lock);
	s.size = size;
	memcpy(ret, &s, MIN(size, sizeof(s)));
}
