/*
 * A command line against a fixed gate. Whatever is allowed is one of the verbs that the gate allows,
 * by its own words or by an alias, and no refused flag or file is in it; and quoting the argv again
 * gives the same argv.
 */
#include "policy/gateconf.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char conf_text[] = "program gog\nexec /x\nhome /y\nallow gmail search\nask gmail send\n"
				"allow gmail send who:*@example.org\ndeny people\n";
static struct creel_gateconf conf;

static void again(const struct creel_argv *a)
{
	size_t need = 1;
	for (size_t i = 0; i < a->n; i++)
		need += 3 + 4 * strlen(a->v[i]);
	char *line = malloc(need), *at = line;
	for (size_t i = 0; i < a->n; i++) {
		*at++ = ' ';
		*at++ = '\'';
		for (const char *s = a->v[i]; *s; s++) {
			if (*s == '\'')
				at = (char *)memcpy(at, "'\\'", 3) + 3;
			*at++ = *s;
		}
		*at++ = '\'';
	}
	struct creel_argv b = {0};
	struct creel_err err = {0};
	int r = creel_argv_parse(line, (size_t)(at - line), &b, &err);
	if (r < 0 && r != CREEL_E_TOOBIG)
		abort();
	if (r == 0 && b.n != a->n)
		abort();
	for (size_t i = 0; r == 0 && i < a->n; i++)
		if (strcmp(a->v[i], b.v[i]) != 0)
			abort();
	creel_argv_fini(&b);
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct creel_err err = {0};
	struct creel_argv a = {0};
	struct creel_gate_answer answer = {.decision = CREEL_ALLOW};

	if (!conf.program && creel_gateconf_parse(conf_text, sizeof(conf_text) - 1, &conf, &err) < 0)
		abort();
	if (creel_argv_parse((const char *)data, len, &a, &err) < 0) {
		if (a.v || !err.msg[0])
			abort();
		return 0;
	}
	again(&a);
	creel_gate_decide(&conf.gate, &a, &answer);
	if (answer.decision == CREEL_ALLOW) {
		if (strcmp(answer.verb, "gmail/search") != 0 && strcmp(answer.verb, "gmail/send") != 0)
			abort();
		for (size_t i = 1; i < a.n && strcmp(a.v[i], "--") != 0; i++)
			/* a detached value does not begin with '-': such a word is a flag */
			if (strncmp(a.v[i], "--acc", 5) == 0 || strcmp(a.v[i], "-a") == 0 ||
			    strncmp(a.v[i], "--attach", 8) == 0 || strncmp(a.v[i], "--home", 6) == 0)
				abort();
	}
	if (!answer.why[0] || !answer.rule)
		abort();
	creel_argv_fini(&a);
	return 0;
}
