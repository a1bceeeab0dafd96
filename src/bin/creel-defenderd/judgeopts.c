#include "judgeopts.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int usage(struct creel_err *err, const char *what)
{
	return creel_err_set(err, CREEL_E_USAGE, 0, "%s", what);
}

static int number(const char *s, unsigned long max, unsigned *ret)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (*s < '0' || *s > '9' || *end || n == 0 || n > max)
		return -1;
	*ret = (unsigned)n;
	return 0;
}

int judge_opt(struct judge_opts *j, int c, const char *value, struct creel_err *err)
{
	char rest;

	switch (c) {
	case JO_API:
		j->given = true;
		if (creel_judge_api_parse(value, &j->o.api) < 0)
			return usage(err, "--judge is openai, cerebras or anthropic");
		break;
	case JO_URL:
		j->o.url = value;
		break;
	case JO_MODEL:
		j->o.model = value;
		break;
	case JO_KEY:
		j->key_file = value;
		break;
	case JO_CA:
		j->o.ca_file = value;
		break;
	case JO_BAND:
		if (sscanf(value, "%lf,%lf%c", &j->o.from, &j->o.to, &rest) != 2 || !(j->o.from >= 0) ||
		    !(j->o.to > j->o.from && j->o.to <= 1))
			return usage(err, "--judge-band wants FROM,TO: 0.15,0.9");
		if (j->o.from == 0)
			j->o.from = -1;
		break;
	case JO_ON_ERROR:
		if (strcmp(value, "open") != 0 && strcmp(value, "closed") != 0)
			return usage(err, "--judge-on-error is open or closed");
		j->o.on_error = *value == 'o' ? CREEL_DEFENDER_OPEN : CREEL_DEFENDER_CLOSED;
		break;
	case JO_BUDGET:
		if (number(value, 100000000, &j->o.budget) < 0)
			return usage(err, "--judge-budget wants requests a day");
		break;
	case JO_BUDGET_FILE:
		j->o.budget_file = value;
		break;
	case JO_TIMEOUT:
		if (number(value, 600, &j->o.timeout_ms) < 0)
			return usage(err, "--judge-timeout wants seconds, up to 600");
		j->o.timeout_ms *= 1000;
		break;
	default:
		return usage(err, "no option of the judge");
	}
	return 0;
}

static int key_read(struct judge_opts *j, struct creel_err *err)
{
	autofd int fd = open(j->key_file, O_RDONLY | O_CLOEXEC);
	char text[4096];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

	if (n < 0)
		return creel_err_set(err, CREEL_E_OS, errno, "read %.160s", j->key_file);
	if (n == (ssize_t)sizeof(text))
		return creel_err_set(err, CREEL_E_TOOBIG, 0, "%.160s is too long for a key", j->key_file);
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' '))
		n--;
	creel_buf_init(&j->key, sizeof(text));
	int r = creel_buf_add(&j->key, text, (size_t)n, err);
	explicit_bzero(text, sizeof(text));
	j->o.key = creel_buf_str(&j->key);
	return r;
}

int judge_opts_make(struct judge_opts *j, struct creel_judge **ret, struct creel_err *err)
{
	struct creel_defender_error e = {0};
	int r = 0;

	if (!j->given)
		return 0;
	j->o.size = sizeof(j->o);
	if (j->key_file)
		r = key_read(j, err);
	if (r == 0 && creel_judge_new(&j->o, ret, &e) < 0)
		r = creel_err_set(err, e.code == CREEL_DEFENDER_E_INVALID ? CREEL_E_USAGE : e.code, e.os,
				  "the judge: %s", e.msg);
	if (j->key.data)
		explicit_bzero(j->key.data, j->key.len);
	creel_buf_fini(&j->key);
	j->o.key = NULL;
	return r;
}
