/*
 * A whole scan of any octets, with a few rules of each kind. The cost counter proves linear time: all
 * passes together look at no more than a fixed number of octets for one of the text. In pieces the
 * findings are the same.
 */
#include "creel/defender.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char rules[] =
	"rule a.words\nsplit\nwords (?:ignore|forget)(?: (?:all|the)){0,4} (?:rules|instructions)\n"
	"unless do not ignore\nrule a.text\ntext </?system>\ntext ^### system\n"
	"rule a.cjk\nany \xe6\x97\xa0\xe8\xa7\x86.?\xe6\x8c\x87\xe4\xbb\xa4\n"
	"rule a.signal\nseverity info\nconfidence 0.5\nwords you must\n"
	"rule a.signal2\nseverity info\nconfidence 0.5\nwords right now\n"
	"rule b.zero\nbuiltin zero-width\nseverity medium\nrule b.wide\nbuiltin fullwidth\n"
	"rule b.homo\nbuiltin homoglyph\nrule b.bidi\nbuiltin bidi\nrule b.tags\nbuiltin tags\n"
	"rule b.sel\nbuiltin selectors\nrule b.deep\nbuiltin budget\n"
	"rule c.context\nseverity info\nconfidence 0.01\ncontext attack\ncontext scanner\n"
	"context model\ncontext dataset\ncontext paper\n";

#define PER_OCTET 1200 /* a match may look back 640 octets; views and their maps are the rest */

static struct creel_defender *d;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct creel_defender_options o = {.size = sizeof(o),
					   .no_builtin_rules = 1,
					   .rules_text = rules,
					   .rules_text_len = sizeof(rules) - 1};
	struct creel_defender_result *r = NULL, *q = NULL;
	struct creel_defender_stream *s = NULL;
	const struct creel_defender_finding *f, *g;
	size_t clean, again;

	if (!d && creel_defender_new(&o, &d, NULL) < 0)
		abort();
	if (creel_defender_scan(d, data, len, NULL, &r, NULL) < 0)
		abort();
	if (creel_defender_result_work(r) > (uint64_t)len * PER_OCTET + 4096)
		abort();
	size_t n = creel_defender_result_findings(r, &f);
	for (size_t i = 0; i < n; i++)
		if (f[i].from >= f[i].to || f[i].to > len)
			abort();
	const char *c = creel_defender_result_sanitized(r, &clean);
	if (creel_defender_result_action(r) < CREEL_DEFENDER_WARN &&
	    (clean != len || memcmp(c, data, len) != 0))
		abort();
	if (creel_defender_stream_new(d, NULL, &s, NULL) < 0)
		abort();
	for (size_t i = 0; i < len; i += 7)
		(void)creel_defender_stream_feed(s, data + i, len - i < 7 ? len - i : 7, NULL);
	if (creel_defender_stream_end(s, &q, NULL) < 0 || creel_defender_result_findings(q, &g) != n)
		abort();
	(void)creel_defender_result_sanitized(q, &again);
	if (again != clean)
		abort();
	creel_defender_stream_free(s);
	creel_defender_result_free(q);
	creel_defender_result_free(r);
	return 0;
}
