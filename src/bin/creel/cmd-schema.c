#include "base/cleanup.h"
#include "cmds.h"
#include "config/schema.h"
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static int print_schema(bool recipe, struct creel_err *err)
{
	json_t *j = recipe ? creel_schema_recipe() : creel_schema_config();
	autofree char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;

	json_decref(j);
	if (!text)
		return creel_err_nomem(err);
	puts(text);
	return 0;
}

int cmd_schema(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	static const struct option options[] = {{"format", required_argument, NULL, 'F'}, {0}};
	const char *format = "json";
	bool recipe = false;

	optind = 1;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c != 'F')
			return creel_err_set(err, CREEL_E_USAGE, 0,
					     "usage: creel schema "
					     "[--format FORMAT] [recipe]");
		format = optarg;
	}
	if (optind < argc && strcmp(argv[optind], "recipe") == 0) {
		recipe = true;
		optind++;
	}
	if (optind < argc)
		return creel_err_set(err, CREEL_E_USAGE, 0,
				     "schema: '%s' is nothing it prints; "
				     "say nothing, or `recipe`",
				     argv[optind]);
	if (strcmp(format, "json") == 0)
		return print_schema(recipe, err);
	bool man = strcmp(format, "man") == 0;
	if (!man && strcmp(format, "markdown") != 0)
		return creel_err_set(err, CREEL_E_USAGE, 0,
				     "--format=%s is unknown; it is json, markdown or man", format);
	struct creel_buf autoclean(creel_buf_fini) text;
	creel_buf_init(&text, 1 << 20);
	int r = man ? creel_reference_man(&text, err) : creel_reference_markdown(&text, err);
	if (r == 0)
		fputs(creel_buf_str(&text), stdout);
	return r;
}
