/* SARIF 2.1.0 (OASIS), as code hosts read it. */
#include "base/escape.h"
#include "scan.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char *level(const char *severity)
{
	if (strcmp(severity, "critical") == 0 || strcmp(severity, "high") == 0)
		return "error";
	return strcmp(severity, "info") == 0 ? "note" : "warning";
}

static json_t *rules_json(const struct creel_defender *d)
{
	struct creel_defender_rule u;
	json_t *a = json_array();

	for (size_t i = 0; creel_defender_rule(d, i, &u) == 0; i++)
		json_array_append_new(a,
				      json_pack("{s:s,s:{s:s},s:{s:s}}", "id", u.id, "shortDescription",
						"text", u.title[0] ? u.title : u.id, "defaultConfiguration",
						"level", level(creel_defender_severity_name(u.severity))));
	json_array_append_new(a, json_pack("{s:s,s:{s:s}}", "id", "combined.signals", "shortDescription",
					   "text", "several weak signs close together"));
	json_array_append_new(a, json_pack("{s:s,s:{s:s}}", "id", "ngram", "shortDescription", "text",
					   "the built-in model takes the text for an injection"));
	json_array_append_new(a, json_pack("{s:s,s:{s:s}}", "id", "judge", "shortDescription", "text",
					   "the judge takes the text for an injection, or did not answer"));
	return a;
}

/* A path as a reference (RFC 3986, 3.3) */
static json_t *uri_json(const char *path)
{
	char out[3 * 3 * PATH_MAX]; /* an octet that was no UTF-8 is the three of U+FFFD here */

	return json_stringn(out, creel_escape_uri(path, strlen(path), "/", out, sizeof(out)));
}

static json_t *result_json(json_t *file, json_t *f)
{
	json_int_t from = json_integer_value(json_object_get(f, "from"));
	json_int_t to = json_integer_value(json_object_get(f, "to"));
	const char *rule = json_string_value(json_object_get(f, "rule"));

	return json_pack("{s:s,s:s,s:{s:s+},s:[{s:{s:{s:o},s:{s:O,s:O,s:I,s:I}}}]}", "ruleId", rule, "level",
			 level(json_string_value(json_object_get(f, "severity"))), "message", "text",
			 "prompt injection: ", rule, "locations", "physicalLocation", "artifactLocation",
			 "uri", uri_json(json_string_value(json_object_get(file, "file"))), "region",
			 "startLine", json_object_get(f, "line"), "startColumn", json_object_get(f, "column"),
			 "byteOffset", from, "byteLength", to - from);
}

int scan_sarif(const struct creel_defender *d, struct scan_sum *sum, struct creel_err *err)
{
	json_t *results = json_array(), *file, *f;
	size_t i, k;

	json_array_foreach (sum->sarif_results, i, file)
		json_array_foreach (json_object_get(file, "findings"), k, f)
			if (strcmp(json_string_value(json_object_get(f, "severity")), "info") != 0)
				json_array_append_new(results, result_json(file, f));
	json_t *log = json_pack("{s:s,s:s,s:[{s:{s:{s:s,s:s,s:o}},s:o,s:s}]}", "$schema",
				"https://json.schemastore.org/sarif-2.1.0.json", "version", "2.1.0", "runs",
				"tool", "driver", "name", "creel scan", "semanticVersion",
				creel_defender_version(), "rules", rules_json(d), "results", results,
				"columnKind", "utf16CodeUnits");
	if (!log)
		return creel_err_nomem(err);
	json_dumpf(log, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(5));
	putchar('\n');
	json_decref(log);
	return 0;
}
