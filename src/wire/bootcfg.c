#include "wire/bootcfg.h"
#include <errno.h>
#include <string.h>

/* File content may hold NUL octets, so a value is written with its length: key NUL len NUL value */
static int put(struct creel_buf *out, const char *key, const char *value, size_t len, struct creel_err *err)
{
	int r = creel_buf_addf(out, err, "%s%c%zu%c", key, 0, len, 0);
	if (r == 0)
		r = creel_buf_add(out, value, len, err);
	return r < 0 ? r : creel_buf_add(out, "", 1, err);
}

static int puts_(struct creel_buf *out, const char *key, const char *value, struct creel_err *err)
{
	value = value ? value : "";
	return put(out, key, value, strlen(value), err);
}

static int putn(struct creel_buf *out, const char *key, uint64_t n, struct creel_err *err)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	return puts_(out, key, text, err);
}

#define TRY(call)                      \
	do {                           \
		int try_r_ = (call);   \
		if (try_r_ < 0)        \
			return try_r_; \
	} while (0)

int creel_boot_encode(const struct creel_boot *b, struct creel_buf *out, struct creel_err *err)
{
	TRY(puts_(out, "creel", "1", err));
	TRY(puts_(out, "cell", b->cell, err));
	TRY(puts_(out, "address", b->address, err));
	TRY(puts_(out, "gateway", b->gateway, err));
	if (b->address6 && b->address6[0]) {
		TRY(puts_(out, "address6", b->address6, err));
		TRY(puts_(out, "gateway6", b->gateway6, err));
		TRY(puts_(out, "gateway-mac", b->gateway_mac, err));
	}
	TRY(putn(out, "secrets", b->secrets, err));
	TRY(putn(out, "time", b->time_ns, err));
	for (size_t i = 0; i < b->n_volumes; i++) {
		TRY(puts_(out, "+volume", b->volumes[i].name, err));
		TRY(puts_(out, "at", b->volumes[i].at, err));
	}
	for (size_t i = 0; i < b->n_files; i++) {
		const struct creel_boot_file *f = &b->files[i];
		TRY(puts_(out, "+file", f->path, err));
		TRY(put(out, "content", f->content ? f->content : "", f->content_len, err));
		TRY(putn(out, "uid", f->uid, err));
		TRY(putn(out, "gid", f->gid, err));
		TRY(putn(out, "mode", f->mode, err));
		TRY(putn(out, "declared", f->declared, err));
	}
	for (size_t i = 0; i < b->n_services; i++) {
		const struct creel_boot_service *s = &b->services[i];
		TRY(puts_(out, "+service", s->name, err));
		for (size_t k = 0; k < CREEL_BOOT_WORDS && s->argv[k]; k++)
			TRY(puts_(out, "arg", s->argv[k], err));
		for (size_t k = 0; k < CREEL_BOOT_WORDS && s->env[k]; k++)
			TRY(puts_(out, "env", s->env[k], err));
		TRY(puts_(out, "env-file", s->env_file, err));
		TRY(puts_(out, "after", s->after, err));
		TRY(puts_(out, "home", s->home, err));
		TRY(putn(out, "uid", s->uid, err));
		TRY(putn(out, "gid", s->gid, err));
		TRY(putn(out, "probe", s->probe, err));
		TRY(puts_(out, "probe-arg", s->probe_arg, err));
		TRY(putn(out, "probe-timeout", s->probe_timeout_ms, err));
		TRY(putn(out, "restart", s->restart, err));
		TRY(putn(out, "stop-grace", s->stop_grace_ms, err));
		TRY(putn(out, "on-secret", s->on_secret, err));
	}
	for (size_t i = 0; i < b->n_secrets; i++) {
		TRY(puts_(out, "+key", b->secret[i].name, err));
		TRY(putn(out, "uid", b->secret[i].uid, err));
		TRY(putn(out, "gid", b->secret[i].gid, err));
	}
	return 0;
}

struct record {
	const char *key, *value;
	size_t len;
};

static int number(const struct record *rec, uint64_t max, uint64_t *ret, struct creel_err *err)
{
	uint64_t n = 0;

	for (size_t i = 0; i < rec->len; i++) {
		unsigned d = (unsigned)rec->value[i] - '0';
		if (d > 9 || n > (max - d) / 10)
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "boot: %s: bad number", rec->key);
		n = n * 10 + d;
	}
	if (rec->len == 0 || n > max)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "boot: %s: bad number", rec->key);
	*ret = n;
	return 0;
}

static int record_next(const uint8_t *buf, size_t len, size_t *at, struct record *ret, struct creel_err *err)
{
	const uint8_t *nul = memchr(buf + *at, 0, len - *at);
	struct record size = {.key = "length"}, out = {.key = (const char *)buf + *at};
	uint64_t n = 0;

	if (!nul)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "boot: cut at octet %zu", *at);
	size.value = (const char *)nul + 1;
	size_t rest = len - (size_t)(nul + 1 - buf);
	const uint8_t *end = memchr(size.value, 0, rest);
	if (!end)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "boot: cut at octet %zu", *at);
	size.len = (size_t)((const char *)end - size.value);
	int r = number(&size, CREEL_BOOT_MAX, &n, err);
	if (r < 0)
		return r;
	rest = len - (size_t)(end + 1 - buf);
	if (n >= rest || end[1 + n] != 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "boot: %.32s: bad length", out.key);
	out.value = (const char *)end + 1;
	out.len = n;
	*at = (size_t)(end + 1 - buf) + n + 1;
	*ret = out;
	return 0;
}

static int word_add(const char **words, const char *value, struct creel_err *err)
{
	for (size_t i = 0; i < CREEL_BOOT_WORDS; i++)
		if (!words[i]) {
			words[i] = value;
			return 0;
		}
	return creel_err_set(err, CREEL_E_TOOBIG, 0, "boot: over %d words", CREEL_BOOT_WORDS);
}

static int take(struct creel_boot *b, char *block, const struct record *rec, struct creel_err *err)
{
	const char *k = rec->key;
	uint64_t n = 0;
	int r = CREEL_E_SYNTAX;
#define IS(name) (strcmp(k, name) == 0)
#define NUM(max, field) \
	((r = number(rec, (max), &n, err)) == 0 ? ((void)((field) = (__typeof__(field))n), 0) : r)

	if (strlen(rec->value) != rec->len && !IS("content"))
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "boot: %s holds a NUL", k);
	if (k[0] == '+') {
		if (IS("+volume") && b->n_volumes < CREEL_BOOT_ITEMS)
			b->volumes[b->n_volumes++].name = rec->value;
		else if (IS("+file") && b->n_files < CREEL_BOOT_FILES)
			b->files[b->n_files++].path = rec->value;
		else if (IS("+service") && b->n_services < CREEL_BOOT_ITEMS)
			b->services[b->n_services++].name = rec->value;
		else if (IS("+key") && b->n_secrets < CREEL_BOOT_SECRETS)
			b->secret[b->n_secrets++].name = rec->value;
		else
			return creel_err_set(err, CREEL_E_TOOBIG, 0, "boot: too many or unknown %s", k);
		*block = k[1];
		return 0;
	}
	if (*block == 0) {
		if (IS("cell")) {
			b->cell = rec->value;
			return 0;
		}
		const char **text = IS("address")       ? &b->address
				    : IS("gateway")     ? &b->gateway
				    : IS("address6")    ? &b->address6
				    : IS("gateway6")    ? &b->gateway6
				    : IS("gateway-mac") ? &b->gateway_mac
							: NULL;
		if (text) {
			*text = rec->value;
			return 0;
		}
		if (IS("secrets"))
			return NUM(1, b->secrets);
		if (IS("time"))
			return NUM(INT64_MAX, b->time_ns);
	} else if (*block == 'v') {
		if (IS("at")) {
			b->volumes[b->n_volumes - 1].at = rec->value;
			return 0;
		}
	} else if (*block == 'f') {
		struct creel_boot_file *f = &b->files[b->n_files - 1];
		if (IS("content")) {
			f->content = rec->value;
			f->content_len = rec->len;
			return 0;
		}
		if (IS("uid"))
			return NUM(UINT32_MAX - 1, f->uid);
		if (IS("gid"))
			return NUM(UINT32_MAX - 1, f->gid);
		if (IS("mode"))
			return NUM(07777, f->mode);
		if (IS("declared"))
			return NUM(1, f->declared);
	} else if (*block == 'k') {
		struct creel_boot_secret *s = &b->secret[b->n_secrets - 1];
		if (IS("uid"))
			return NUM(UINT32_MAX - 1, s->uid);
		if (IS("gid"))
			return NUM(UINT32_MAX - 1, s->gid);
	} else {
		struct creel_boot_service *s = &b->services[b->n_services - 1];
		const char **text = IS("env-file")    ? &s->env_file
				    : IS("after")     ? &s->after
				    : IS("home")      ? &s->home
				    : IS("probe-arg") ? &s->probe_arg
						      : NULL;
		if (text) {
			*text = rec->value;
			return 0;
		}
		if (IS("arg"))
			return word_add(s->argv, rec->value, err);
		if (IS("env"))
			return word_add(s->env, rec->value, err);
		if (IS("uid"))
			return NUM(UINT32_MAX - 1, s->uid);
		if (IS("gid"))
			return NUM(UINT32_MAX - 1, s->gid);
		if (IS("probe"))
			return NUM(CREEL_PROBE_COMMAND, s->probe);
		if (IS("probe-timeout"))
			return NUM(86400000, s->probe_timeout_ms);
		if (IS("restart"))
			return NUM(CREEL_RESTART_ALWAYS, s->restart);
		if (IS("stop-grace"))
			return NUM(3600000, s->stop_grace_ms);
		if (IS("on-secret"))
			return NUM(CREEL_ON_SECRET_RESTART, s->on_secret);
	}
	return creel_err_set(err, CREEL_E_SYNTAX, 0, "boot: unknown key %.32s", k);
}

int creel_boot_decode(const uint8_t *buf, size_t len, struct creel_boot *ret, struct creel_err *err)
{
	struct record rec = {0};
	size_t at = 0;
	char block = 0;
	int r;

	if (len > CREEL_BOOT_MAX)
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "boot: %zu octets", len);
	memset(ret, 0, sizeof(*ret));
	if (len == 0)
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "boot: empty");
	r = record_next(buf, len, &at, &rec, err);
	if (r == 0 && (strcmp(rec.key, "creel") != 0 || strcmp(rec.value, "1") != 0))
		r = creel_err_set(err, CREEL_E_SYNTAX, 0, "boot: not a boot file of this version");
	while (r == 0 && at < len) {
		r = record_next(buf, len, &at, &rec, err);
		if (r == 0)
			r = take(ret, &block, &rec, err);
	}
	if (r < 0)
		return r;
	if (!ret->cell || !ret->cell[0])
		return creel_err_set(err, CREEL_E_SYNTAX, 0, "boot: no cell name");
	for (size_t i = 0; i < ret->n_volumes; i++)
		if (!ret->volumes[i].at || ret->volumes[i].at[0] != '/')
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "boot: volume without a place");
	for (size_t i = 0; i < ret->n_files; i++)
		if (ret->files[i].path[0] != '/')
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "boot: file without a path");
	for (size_t i = 0; i < ret->n_services; i++) {
		struct creel_boot_service *s = &ret->services[i];
		if (!s->argv[0])
			return creel_err_set(err, CREEL_E_SYNTAX, 0, "boot: service without a command");
		s->env_file = s->env_file ? s->env_file : "";
		s->after = s->after ? s->after : "";
		s->home = s->home ? s->home : "/";
		s->probe_arg = s->probe_arg ? s->probe_arg : "";
	}
	return 0;
}
