/* A verb table (first octet even) or a gate's file (odd): refused with a reason, or usable. */
#include "policy/gateconf.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct creel_err err = {0};
	const char *text = (const char *)data + 1;

	if (len < 1)
		return 0;
	if (data[0] & 1) {
		struct creel_gateconf c = {0};
		if (creel_gateconf_parse(text, len - 1, &c, &err) < 0) {
			if (!err.msg[0])
				abort();
			return 0;
		}
		creel_gateconf_fini(&c);
		return 0;
	}
	struct creel_verbs t = {0};
	if (creel_verbs_parse(text, len - 1, &t, &err) < 0) {
		if (!err.msg[0])
			abort();
		return 0;
	}
	for (size_t i = 0; i < t.n_verbs; i++) {
		const struct creel_tool_verb *v = &t.verb[i];
		if (!v->target && strchr(v->path, '/') == NULL && !creel_verbs_child(&t, NULL, v->path))
			abort();
		for (size_t k = 0; k < v->n_flags; k++) {
			const char *name = t.flag[v->flags + k].names;
			if (!creel_verbs_flag(&t, v, name, strlen(name), strlen(name) == 1))
				abort();
		}
	}
	creel_verbs_fini(&t);
	return 0;
}
