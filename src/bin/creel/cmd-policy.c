#include "base/cleanup.h"
#include "base/escape.h"
#include "cmds.h"
#include "engine/cellgate.h"
#include "engine/cellpolicy.h"
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char *const why_words[] = {
	[CREEL_WHY_ENTRY_ALLOW] = "an entry of `allow` has it",
	[CREEL_WHY_ENTRY_DENY] = "an entry of `deny` has it",
	[CREEL_WHY_REACH] = "a line of `reach` has this cell and port",
	[CREEL_WHY_MODE] = "no entry has it, so the mode decides",
	[CREEL_WHY_PORT] = "the name is allowed, but not on this port and protocol",
	[CREEL_WHY_RANGE] = "a private, link-local, metadata, multicast or host range",
	[CREEL_WHY_ADDRESS] = "an address asked for by itself needs an entry ADDR:PORT",
	[CREEL_WHY_SPECIAL] = "the name is never asked of the public DNS",
	[CREEL_WHY_CELL] = "another cell: no line of `reach` has it with this port",
	[CREEL_WHY_FAMILY] = "an IPv6 address, and the cell has IPv4 alone",
};
static const char *const way_words[] = {
	[CREEL_WAY_ANY] = "any", [CREEL_WAY_TLS] = "tls", [CREEL_WAY_HTTP] = "http",
	[CREEL_WAY_TCP] = "tcp", [CREEL_WAY_UDP] = "udp",
};

static void print_escaped(const char *text)
{
	struct creel_buf autoclean(creel_buf_fini) shown;
	struct creel_err err = {0};

	creel_buf_init(&shown, 1 << 20);
	(void)creel_escape_term(&shown, text, strlen(text), &err);
	fputs(creel_buf_str(&shown), stdout);
}

static void diags_print(const struct creel_diags *d)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	struct creel_err err = {0};

	creel_buf_init(&text, 1 << 20);
	(void)creel_diags_print(d, CREEL_DIAG_ERROR, &text, &err);
	fputs(creel_buf_str(&text), stderr);
}

static int egress_print(const struct creel_cli *cli, const char *file, const char *cell, const char *target,
			const struct creel_answer *a, struct creel_err *err)
{
	const char *decision = creel_decision_name(a->decision);

	if (cli->json) {
		json_t *j = json_pack("{s:s,s:s,s:I,s:s,s:s,s:s}", "decision", decision, "rule", a->rule,
				      "line", (json_int_t)a->line, "why", why_words[a->why], "cell", cell,
				      "target", target);
		if (!j)
			return creel_err_set(err, CREEL_E_USAGE, 0, "the target is not UTF-8");
		if (a->decision == CREEL_ALLOW)
			json_object_set_new(j, "way", json_string(way_words[a->way]));
		json_dumpf(j, stdout, JSON_COMPACT);
		json_decref(j);
		putchar('\n');
		return 0;
	}
	printf("%s: %s -> ", decision, cell);
	print_escaped(target);
	printf("\n  ");
	if (a->line) {
		print_escaped(file);
		printf(":%u: ", a->line);
	}
	print_escaped(a->rule);
	printf(" (%s%s)\n", why_words[a->why],
	       a->why == CREEL_WHY_ENTRY_ALLOW && !a->line ? ", approved for good" : "");
	return 0;
}

/* `gog:22` means the cell, as `gog.creel:22` does, unless it has a dot of its own. */
static void cell_name_complete(const struct creel_config *c, struct creel_target *t)
{
	if (t->name.text[0] && creel_config_cell(c, t->name.text) &&
	    strlen(t->name.text) + 6 < sizeof(t->name.text))
		strcat(t->name.text, ".creel");
}

static int egress_test(const struct creel_cli *cli, const struct creel_config *config,
		       const struct creel_cell_cfg *cell, const char *text, struct creel_diags *diags,
		       struct creel_err *err)
{
	struct creel_cellpolicy autoclean(creel_cellpolicy_fini) policy = {0};
	struct creel_target target = {0};
	struct creel_answer answer = {0};

	int r = creel_target_parse(text, &target, err);
	if (r < 0) {
		err->code = CREEL_E_USAGE;
		return creel_err_add(err, "`%.80s`", text);
	}
	r = creel_cellpolicy_init(&policy, config, cell, diags, err);
	if (r < 0)
		return r;
	cell_name_complete(config, &target);
	struct creel_question q = {target.name.text, target.addr, target.port, target.udp};
	creel_policy_decide(&policy.policy, &q, &answer);
	/* the policy is for both; its packets end before it, where the cell has no address for them */
	if (target.addr.family == 6 && !cell->ipv6.v && answer.decision != CREEL_DENY)
		answer = (struct creel_answer){
			.decision = CREEL_DENY, .why = CREEL_WHY_FAMILY, .rule = "ipv6: false"};
	r = egress_print(cli, config->file, cell->name.s, text, &answer, err);
	return r < 0 ? r : answer.decision == CREEL_ALLOW ? 0 : 3;
}

static json_t *argv_json(const struct creel_argv *argv)
{
	json_t *a = json_array();

	for (size_t i = 0; i < argv->n; i++)
		json_array_append_new(a, json_string(argv->v[i]));
	return a;
}

static void gate_print(const struct creel_cli *cli, const char *file, const struct creel_argv *argv,
		       const struct creel_gate_answer *a)
{
	if (cli->json) {
		/* `why` may hold a foreign word that was cut inside a character */
		struct creel_buf autoclean(creel_buf_fini) why;
		struct creel_err err = {0};
		creel_buf_init(&why, 4096);
		char verb[256] = "";
		for (size_t i = 0; a->verb && a->verb[i] && i + 1 < sizeof(verb); i++)
			verb[i] = a->verb[i] == '/' ? ' ' : a->verb[i];
		(void)creel_escape_term(&why, a->why, strlen(a->why), &err);
		json_t *j = json_pack("{s:s,s:o,s:s?,s:s,s:I,s:s}", "decision",
				      creel_decision_name(a->decision), "argv", argv_json(argv), "verb",
				      a->verb ? verb : NULL, "rule", a->rule, "line", (json_int_t)a->line,
				      "why", creel_buf_str(&why));
		if (j)
			json_dumpf(j, stdout, JSON_COMPACT);
		json_decref(j);
		putchar('\n');
		return;
	}
	printf("%s: ", creel_decision_name(a->decision));
	print_escaped(a->why);
	printf("\n  ");
	if (a->line) {
		print_escaped(file);
		printf(":%u: ", a->line);
	}
	print_escaped(a->rule);
	putchar('\n');
	for (size_t i = 0; i < argv->n; i++) {
		printf("  argv[%zu] ", i);
		print_escaped(argv->v[i]);
		putchar('\n');
	}
}

/* Put the program before a command that leaves it out; its words are understood alike. */
static int with_program(const char *program, const char *command, struct creel_argv *ret,
			struct creel_err *err)
{
	struct creel_buf autoclean(creel_buf_fini) text;
	size_t len = strlen(program);

	creel_buf_init(&text, CREEL_COMMAND_MAX + 256);
	bool there = strncmp(command, program, len) == 0 &&
		     (!command[len] || strchr(" \t", command[len]) ||
		      strncmp(command + len, "-files", strlen("-files")) == 0);
	int r = there ? 0 : creel_buf_addf(&text, err, "%s ", program);
	if (r >= 0)
		r = creel_buf_add(&text, command, strnlen(command, CREEL_COMMAND_MAX + 1), err);
	if (r < 0)
		return r;
	return creel_argv_parse((const char *)text.data, text.len, ret, err);
}

static int gate_test(const struct creel_cli *cli, const struct creel_config *config,
		     const struct creel_cell_cfg *cell, const char *command, struct creel_diags *diags,
		     struct creel_err *err)
{
	struct creel_gate autoclean(creel_gate_fini) gate = {0};
	struct creel_argv autoclean(creel_argv_fini) argv = {0};
	struct creel_gate_answer a = {.decision = CREEL_DENY, .rule = "default: deny"};
	struct creel_err why = {0};

	if (!cell->gate.pos.line)
		return creel_err_set(err, CREEL_E_USAGE, 0, "cell %s has no `gate:`", cell->name.s);
	int r = creel_cellgate_init(&gate, config, cell, diags, err);
	if (r < 0)
		return r;
	r = with_program(cell->gate.program.s, command, &argv, &why);
	if (r == CREEL_E_NOMEM)
		return creel_err_nomem(err);
	if (r < 0)
		(void)snprintf(a.why, sizeof(a.why), "%s", why.msg);
	else
		creel_gate_decide(&gate, &argv, &a);
	gate_print(cli, config->file, &argv, &a);
	return a.decision == CREEL_ALLOW ? 0 : 3;
}

int cmd_policy(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	static const struct option options[] = {
		{"file", required_argument, NULL, 'f'}, {"command", required_argument, NULL, 'c'}, {0}};
	const char *file = cli->file ? cli->file : "creel.yaml", *command = NULL;
	struct creel_diags autoclean(creel_diags_fini) diags = {0};
	struct creel_config autoclean(creel_config_fini) config = {0};
	int o;

	if (argc == 3 && strcmp(argv[1], "suggest") == 0)
		return policy_suggest(cli, argv[2], err);
	if (argc < 2 || strcmp(argv[1], "test") != 0)
		return creel_err_set(err, CREEL_E_USAGE, 0,
				     "policy test CELL TARGET, or policy suggest CELL; see --help");
	optind = 0;
	opterr = 0;
	while ((o = getopt_long(argc - 1, argv + 1, ":f:c:", options, NULL)) != -1) {
		if (o == 'f')
			file = optarg;
		else if (o == 'c')
			command = optarg;
		else
			return creel_err_set(err, CREEL_E_USAGE, 0, "%s %s",
					     o == ':' ? "no value for" : "unknown option", argv[optind]);
	}
	int words = argc - 1 - optind;
	char **word = argv + 1 + optind;
	if (words != (command ? 1 : 2))
		return creel_err_set(
			err, CREEL_E_USAGE, 0,
			"policy test takes CELL and NAME[:PORT] or ADDR:PORT, or CELL and --command STRING");
	int r = creel_config_load_file(file, &config, NULL, &diags, err);
	const struct creel_cell_cfg *cell = r < 0 ? NULL : creel_config_cell(&config, word[0]);
	if (r == 0 && !cell)
		r = creel_err_set(err, CREEL_E_USAGE, 0, "no cell `%.64s` in %.100s", word[0], file);
	else if (r == 0 && command)
		r = gate_test(cli, &config, cell, command, &diags, err);
	else if (r == 0)
		r = egress_test(cli, &config, cell, word[1], &diags, err);
	diags_print(&diags);
	return r;
}
