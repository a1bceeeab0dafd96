/*
 * Lines: the first octet of each is '+' (allow), '-' (deny) or '?' (asked for). Every name that
 * parses parses to itself again, a rule that is told is one of the lines, and deny beats allow.
 */
#include "policy/egress.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct creel_rule_text allow[32], deny[32], bad;
	char *targets[32];
	size_t na = 0, nd = 0, nt = 0;
	struct creel_err err = {0};

	if (len < 1 || len > 4096)
		return 0;
	char *text = malloc(len);
	memcpy(text, data + 1, len - 1);
	text[len - 1] = '\0';
	uint32_t line = 1;
	for (char *save = NULL, *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		struct creel_entry e;
		if (*l == '?' && nt < 32)
			targets[nt++] = l + 1;
		else if (*l == '+' && na < 32 && creel_entry_parse(l + 1, false, &e, &err) == 0)
			allow[na++] = (struct creel_rule_text){l + 1, line++, 1};
		else if (*l == '-' && nd < 32 && creel_entry_parse(l + 1, true, &e, &err) == 0)
			deny[nd++] = (struct creel_rule_text){l + 1, line++, 1};
	}
	struct creel_policy_spec spec = {.mode = (enum creel_policy_mode)(data[0] & 3),
					 .allow = allow,
					 .n_allow = na,
					 .deny = deny,
					 .n_deny = nd};
	struct creel_policy p = {0};
	if (creel_policy_init(&p, &spec, &bad, &err) < 0)
		abort(); /* every line parsed alone */
	for (size_t i = 0; i < nt; i++) {
		struct creel_target t;
		struct creel_name again;
		struct creel_answer a = {0};
		err = (struct creel_err){0};
		if (creel_target_parse(targets[i], &t, &err) < 0) {
			if (err.code == 0)
				abort();
			continue;
		}
		if (t.name.text[0] && (creel_name_parse(t.name.text, strlen(t.name.text), &again, &err) < 0 ||
				       strcmp(again.text, t.name.text) != 0))
			abort();
		struct creel_question q = {t.name.text, t.addr, t.port, t.udp};
		creel_policy_decide(&p, &q, &a);
		if (!a.rule || (a.why == CREEL_WHY_ENTRY_ALLOW) > (a.decision == CREEL_ALLOW))
			abort();
		if (t.addr.family && creel_range_of(&t.addr, NULL) == CREEL_RANGE_NEVER &&
		    a.decision != CREEL_DENY)
			abort();
	}
	creel_policy_fini(&p);
	free(text);
	return 0;
}
