#include "work.h"
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One GET on its way into a sink. */
struct get {
	struct work *w;
	CURL *curl;
	struct sink sink;
	struct creel_err err; /* of the sink */
};

bool fetch_is_url(const char *text)
{
	return strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0;
}

/* Plain http is for a server on this machine: the hash would save us, but not the user's privacy. */
static int url_check(const char *url, struct creel_err *err)
{
	CURLU *u = curl_url();
	char *host = NULL, *user = NULL;
	int r = 0;

	if (!u)
		return creel_err_nomem(err);
	bool ok = curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
		  curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK;
	if (!ok)
		r = creel_err_set(err, CREEL_E_USAGE, 0, "that is no URL: %.120s", url);
	else if (curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK)
		r = creel_err_set(err, CREEL_E_USAGE, 0,
				  "a URL with a name or a token in it would be kept: refused");
	else if (url[4] == ':' && strcmp(host, "127.0.0.1") != 0 && strcmp(host, "[::1]") != 0 &&
		 strcmp(host, "localhost") != 0)
		r = creel_err_set(err, CREEL_E_USAGE, 0, "https only (http to this machine alone): %.120s",
				  url);
	curl_free(host);
	curl_free(user);
	curl_url_cleanup(u);
	return r;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct get *g = arg;
	curl_off_t length = -1;
	long status = 0;

	(void)curl_easy_getinfo(g->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		return size * n; /* a page that says why not: nobody reads it */
	if (g->sink.file.size == 0 &&
	    curl_easy_getinfo(g->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) == CURLE_OK && length > 0)
		g->w->total = g->w->done + (uint64_t)length;
	return sink_write(&g->sink, p, size * n, &g->err) == 0 ? size * n : 0;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	return work_cancelled();
}

static bool set_all(struct get *g, const char *url)
{
	CURL *c = g->curl;
	bool ok = true;

#define SET(opt, v) ok = ok && curl_easy_setopt(c, opt, v) == CURLE_OK
	SET(CURLOPT_URL, url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_REDIR_PROTOCOLS_STR, "https"); /* hubs lead to their stores; never back to http */
	SET(CURLOPT_FOLLOWLOCATION, 1L);
	SET(CURLOPT_MAXREDIRS, 5L);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_CONNECTTIMEOUT, 30L);
	SET(CURLOPT_LOW_SPEED_LIMIT, 1L); /* a minute without an octet is a server that has gone */
	SET(CURLOPT_LOW_SPEED_TIME, 60L);
	SET(CURLOPT_USERAGENT, "creel/" CREEL_VERSION);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, g);
	SET(CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (g->w->ca_file)
		SET(CURLOPT_CAINFO, g->w->ca_file);
#undef SET
	return ok;
}

static int answer_check(struct get *g, CURLcode rc, struct creel_err *err)
{
	long status = 0;

	(void)curl_easy_getinfo(g->curl, CURLINFO_RESPONSE_CODE, &status);
	if (g->err.code < 0) {
		*err = g->err;
		return err->code;
	}
	if (rc == CURLE_ABORTED_BY_CALLBACK)
		return creel_err_set(err, CREEL_E_CANCEL, 0, "interrupted");
	if (rc != CURLE_OK)
		return creel_err_set(err, CREEL_E_CLOSED, 0, "the download failed: %s",
				     curl_easy_strerror(rc));
	if (status == 401 || status == 403)
		return creel_err_set(
			err, CREEL_E_DENIED, 0,
			"HTTP %ld: gated? accept its licence at the publisher's, download it with their "
			"client and your account, and add the folder",
			status);
	if (status != 200)
		return creel_err_set(err, status == 404 ? CREEL_E_NOTFOUND : CREEL_E_PROTO, 0, "HTTP %ld",
				     status);
	return 0;
}

static int get(struct work *w, const char *url, const char *name, struct creel_model_file *ret,
	       struct creel_err *err)
{
	struct get g = {.w = w};
	int r = sink_open(w, name, &g.sink, err);

	if (r < 0)
		return r;
	g.curl = curl_easy_init();
	if (!g.curl || !set_all(&g, url))
		r = creel_err_set(err, CREEL_E_NOMEM, 0, "libcurl refuses an option");
	else
		r = answer_check(&g, curl_easy_perform(g.curl), err);
	curl_easy_cleanup(g.curl);
	if (r == 0)
		return sink_close(&g.sink, ret, err);
	sink_drop(&g.sink);
	return creel_err_add(err, "%.100s", url);
}

static int folder_get(struct work *w, struct creel_err *err)
{
	char url[2048], digest[CREEL_MODEL_HEX];
	int r = 0;

	for (size_t i = 0; r == 0 && i < CREEL_MODEL_FILES; i++) {
		const char *name = creel_model_files[i];
		(void)snprintf(url, sizeof(url), "%s%s", w->from, work_name(w->network, i));
		r = get(w, url, name, &w->model.file[i], err);
		if (r == CREEL_E_NOTFOUND && i == CREEL_MODEL_NETWORK && !w->network) {
			*err = (struct creel_err){0};
			(void)snprintf(url, sizeof(url), "%sonnx/model.onnx", w->from);
			r = get(w, url, name, &w->model.file[i], err);
		}
	}
	if (r < 0)
		return r;
	creel_model_digest(&w->model, digest);
	return work_vouched(w, digest, "its three files", err);
}

static int archive_get(struct work *w, struct creel_err *err)
{
	static const char name[] = "archive";
	struct creel_model_file file;
	int r = get(w, w->from, name, &file, err);

	if (r < 0)
		return r;
	autofd int fd = openat(w->dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || unlinkat(w->dir_fd, name, 0) < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "open what was downloaded");
	w->done = 0;
	return take_archive(w, fd, err);
}

int fetch(struct work *w, struct creel_err *err)
{
	size_t n = strlen(w->from);
	int r = url_check(w->from, err);

	return r < 0 ? r : w->from[n - 1] == '/' ? folder_get(w, err) : archive_get(w, err);
}
