#include "base/cleanup.h"
#include "inner.h"
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* What a status or a transport error says of trying again. */
enum again { NEVER, LATER };

struct
try {
	struct creel_judge *j;
	struct creel_buf body;
	bool too_big;
	long status;
	long wait_s; /* Retry-After; 0: not said */
	enum again again;
};

uint64_t judge_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int words_draw(struct judge_words *w, const struct judge_question *q, struct creel_err *err)
{
	uint8_t raw[16];

	do {
		if (getrandom(raw, sizeof(raw), 0) != sizeof(raw))
			return creel_err_set(err, CREEL_E_OS, 0, "no random octets");
		for (int i = 0; i < 8; i++) {
			(void)snprintf(w->mark + i * 2, 3, "%02x", raw[i]);
			(void)snprintf(w->check + i * 2, 3, "%02x", raw[8 + i]);
		}
	} while (q->kind == JUDGE_TEXT && judge_words_in(w, q->text, q->len));
	return 0;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct try *t = arg;
	struct creel_err err = {0};

	if (creel_buf_add(&t->body, p, size * n, &err) < 0) {
		t->too_big = true;
		return 0; /* ends the transfer */
	}
	return size * n;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct creel_judge *j = arg;

	return atomic_load(&j->stopped);
}

static CURL *easy_get(struct creel_judge *j)
{
	struct judge_easy *e;

	pthread_mutex_lock(&j->lock);
	e = j->idle;
	if (e)
		j->idle = e->next;
	pthread_mutex_unlock(&j->lock);
	CURL *c = e ? e->curl : curl_easy_init();
	free(e);
	return c;
}

static void easy_put(struct creel_judge *j, CURL *c)
{
	struct judge_easy *e = malloc(sizeof(*e));

	if (!e) {
		curl_easy_cleanup(c);
		return;
	}
	e->curl = c;
	pthread_mutex_lock(&j->lock);
	e->next = j->idle;
	j->idle = e;
	pthread_mutex_unlock(&j->lock);
}

static bool set_all(CURL *c, struct creel_judge *j, struct try *t, const struct creel_buf *body, long ms)
{
	bool ok = true;

	curl_easy_reset(c); /* keeps its connections */
#define SET(opt, v) ok = ok && curl_easy_setopt(c, opt, v) == CURLE_OK
	SET(CURLOPT_URL, j->url);
	SET(CURLOPT_HTTPHEADER, j->headers);
	SET(CURLOPT_POSTFIELDS, creel_buf_str(body));
	SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, ""); /* and no environment */
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_TIMEOUT_MS, ms);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)MIN((unsigned long)j->o.connect_ms, (unsigned long)ms));
	SET(CURLOPT_USERAGENT, "creel-judge/" CREEL_DEFENDER_VERSION);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(CURLOPT_XFERINFODATA, j);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (j->o.ca_file)
		SET(CURLOPT_CAINFO, j->o.ca_file);
#undef SET
	return ok;
}

static int status_read(struct try *t, struct creel_err *err)
{
	switch (t->status) {
	case 200:
		return 0;
	case 408:
	case 425:
	case 429:
	case 500:
	case 502:
	case 503:
	case 504:
	case 529: /* Anthropic: overloaded */
		t->again = LATER;
		break;
	default:
		break;
	}
	return creel_err_set(err, CREEL_E_PROTO, 0, "the model's server answered %ld", t->status);
}

/* One request. */
static int try_once(struct try *t, const struct creel_buf *body, long ms, struct creel_err *err)
{
	CURL *c = easy_get(t->j);
	curl_off_t wait = 0;

	creel_buf_clear(&t->body);
	t->again = NEVER;
	t->wait_s = 0;
	if (!c || !set_all(c, t->j, t, body, ms)) {
		curl_easy_cleanup(c);
		return creel_err_nomem(err);
	}
	CURLcode e = curl_easy_perform(c);
	(void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &t->status);
	if (curl_easy_getinfo(c, CURLINFO_RETRY_AFTER, &wait) == CURLE_OK && wait > 0)
		t->wait_s = (long)MIN(wait, (curl_off_t)86400);
	easy_put(t->j, c);
	if (atomic_load(&t->j->stopped))
		return creel_err_set(err, CREEL_E_CANCEL, 0, "the judge was stopped");
	if (t->too_big)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "the model's answer is over %u octets",
				     JUDGE_ANSWER_MAX);
	if (e == CURLE_OK)
		return status_read(t, err);
	/* a certificate that is wrong stays wrong */
	t->again = e == CURLE_PEER_FAILED_VERIFICATION || e == CURLE_SSL_CACERT_BADFILE ||
				   e == CURLE_URL_MALFORMAT || e == CURLE_UNSUPPORTED_PROTOCOL
			   ? NEVER
			   : LATER;
	return creel_err_set(err, e == CURLE_OPERATION_TIMEDOUT ? CREEL_E_TIMEOUT : CREEL_E_CLOSED, 0,
			     "the model's server: %s", curl_easy_strerror(e));
}

/* Wait before try number @p n, or less when the judge is stopped. @return 0, CREEL_E_CANCEL, _TIMEOUT */
static int back_off(struct creel_judge *j, const struct try *t, unsigned n, uint64_t end_ms,
		    struct creel_err *err)
{
	uint64_t ms = (uint64_t)j->o.backoff_ms << MIN(n - 1, 10u), now = judge_now_ms(), random = 0;
	struct timespec until;

	if (getrandom(&random, sizeof(random), 0) < 0)
		random = now;
	ms = ms / 2 + random % (ms / 2 + 1);
	ms = MAX(ms, (uint64_t)t->wait_s * 1000);
	if (now + ms >= end_ms)
		return CREEL_E_TIMEOUT; /* what was wrong stands in @p err */
	clock_gettime(CLOCK_MONOTONIC, &until);
	uint64_t ns = (uint64_t)until.tv_nsec + (ms % 1000) * 1000000;
	until.tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
	until.tv_nsec = (long)(ns % 1000000000);
	pthread_mutex_lock(&j->lock);
	for (int r = 0; r == 0 && !atomic_load(&j->stopped);)
		r = pthread_cond_timedwait(&j->stopping, &j->lock, &until);
	j->stats.retries++;
	pthread_mutex_unlock(&j->lock);
	return atomic_load(&j->stopped) ? creel_err_set(err, CREEL_E_CANCEL, 0, "the judge was stopped") : 0;
}

int judge_http_ask(struct creel_judge *j, const struct judge_question *q, struct creel_judge_answer *ret,
		   struct creel_err *err)
{
	uint64_t end = judge_now_ms() + j->o.timeout_ms, now;
	struct creel_buf autoclean(creel_buf_fini) body;
	struct try t = {.j = j};
	int r = CREEL_E_TIMEOUT;

	creel_buf_init(&body, 16u << 20);
	creel_buf_init(&t.body, JUDGE_ANSWER_MAX);
	for (unsigned n = 0; n < j->o.tries; n++) {
		struct judge_words w = {.bare = j->bare};
		struct creel_err last = {0};
		if (n > 0 && (r = back_off(j, &t, n, end, err)) < 0)
			break;
		creel_buf_clear(&body);
		r = words_draw(&w, q, &last); /* new ones for each try */
		if (r == 0)
			r = judge_ask_encode(j->o.api, j->o.model, &w, q, &body, &last);
		if (r == 0)
			r = judge_budget_take(j, &last);
		now = judge_now_ms();
		if (r == 0 && now >= end)
			r = creel_err_set(&last, CREEL_E_TIMEOUT, 0, "no answer in time");
		t.again = NEVER;
		if (r == 0)
			r = try_once(&t, &body, (long)(end - now), &last);
		if (r == 0) {
			r = judge_answer_decode(j->o.api, q->kind, &w, (const char *)t.body.data, t.body.len,
						ret, &last);
			t.again = LATER; /* models vary */
		}
		*err = last;
		if (r == 0 || t.again == NEVER)
			break;
	}
	creel_buf_fini(&t.body);
	return r < 0 ? (err->code < 0 ? err->code : creel_err_set(err, r, 0, "no answer in time")) : 0;
}

int judge_http_init(struct creel_judge *j, struct creel_err *err)
{
	static const char *const tails[] = {"chat/completions", "chat/completions", "messages"};
	size_t n = strlen(j->o.url);
	autofree char *auth = NULL;
	struct curl_slist *h;

	while (n > 0 && j->o.url[n - 1] == '/')
		n--;
	if (asprintf(&j->url, "%.*s/%s", (int)n, j->o.url, tails[j->o.api]) < 0) {
		j->url = NULL;
		return creel_err_nomem(err);
	}
	const char *lines[] = {
		"Content-Type: application/json", "Accept: application/json",
		"Expect:", j->o.api == CREEL_JUDGE_ANTHROPIC ? "anthropic-version: 2023-06-01" : NULL, NULL};
	if (j->o.key) {
		if (asprintf(&auth, "%s%s",
			     j->o.api == CREEL_JUDGE_ANTHROPIC ? "x-api-key: " : "Authorization: Bearer ",
			     j->o.key) < 0) {
			auth = NULL;
			return creel_err_nomem(err);
		}
		lines[4] = auth;
	}
	for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
		if (!lines[i])
			continue;
		h = curl_slist_append(j->headers, lines[i]);
		if (!h)
			return creel_err_nomem(err);
		j->headers = h;
	}
	if (auth)
		explicit_bzero(auth, strlen(auth));
	return 0;
}

void judge_http_fini(struct creel_judge *j)
{
	while (j->idle) {
		struct judge_easy *e = j->idle;
		j->idle = e->next;
		curl_easy_cleanup(e->curl);
		free(e);
	}
	for (struct curl_slist *h = j->headers; h; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(j->headers);
	free(j->url);
}
