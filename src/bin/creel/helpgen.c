#include "helpgen.h"
#include "wire/event.h"
#include <stdio.h>
#include <string.h>

static size_t line_len(const char *s)
{
	return strcspn(s, "\n");
}

/* mdoc: a line's backslash is no escape, a dot or quote at its beginning no request */
static void man_line(const char *s, size_t n)
{
	if (n > 0 && (s[0] == '.' || s[0] == '\''))
		fputs("\\&", stdout);
	for (size_t i = 0; i < n; i++)
		if (s[i] == '\\')
			fputs("\\e", stdout);
		else
			putchar(s[i]);
	putchar('\n');
}

static void man_block(const char *head, const char *s, const char *end, const char *indent, size_t strip)
{
	if (s >= end)
		return;
	printf("%s", head);
	printf(".Bd -literal%s -compact\n", indent);
	while (s < end) {
		size_t n = line_len(s), skip = n >= strip && strspn(s, " ") >= strip ? strip : 0;
		bool last = s + n + 1 >= end;
		if (n > 0 || !last)
			man_line(s + skip, n - skip);
		s += n + (s[n] == '\n');
	}
	puts(".Ed");
}

void helpgen_man(void)
{
	for (const struct creel_verb *v = creel_verbs; v->name; v++) {
		const char *help = v->help ? v->help : "", *end = help + strlen(help);
		const char *ex = strstr(help, "example");
		while (ex && ex != help && ex[-1] != '\n')
			ex = strstr(ex + 1, "example");
		printf(".It Cm %s%s%s\n", v->name, v->args[0] ? " " : "", v->args);
		man_line(v->summary, strlen(v->summary));
		man_block("", help, ex ? ex : end, "", 0);
		if (ex)
			man_block(".Pp\nExamples:\n", ex + line_len(ex) + 1, end, " -offset indent", 2);
	}
}

void helpgen_events(void)
{
	for (size_t i = 0; i < CREEL_EV_KINDS; i++) {
		const struct creel_event_kind_row *k = &creel_event_kinds[i];
		printf(".It Sy %s\n", k->name);
		man_line(k->what, strlen(k->what));
		if (creel_event_fields_doc[i])
			printf(".br\nFields: %s.\n", creel_event_fields_doc[i]);
		if (k->guest)
			puts(".br\nA guest's word.");
		if (k->durable)
			puts(".br\nOn disk before its effect.");
	}
}

/*
 * Call @p put for each option of a verb: a line of its help that begins with `-t`, or `-t, --tty`;
 * @p what is what the line says of it.
 */
static void options_each(const struct creel_verb *v,
			 void (*put)(const char *option, size_t n, const char *what, size_t len, bool value))
{
	const char *s = v->help ? v->help : "";

	for (; *s; s += line_len(s) + (s[line_len(s)] == '\n')) {
		const char *end = s + line_len(s), *o = s + strspn(s, " "), *what = strstr(o, "  ");
		if (o - s < 2 || *o != '-')
			continue;
		if (!what || what > end)
			what = end;
		const char *name_end = what;
		what += strspn(what, " ");
		while (*o == '-') {
			size_t len = strcspn(o, " ,\n");
			const char *next = o + len + 2 < name_end && strncmp(o + len, ", -", 3) == 0
						   ? o + len + 2
						   : NULL;
			const char *last = next ? next : o;
			/* a word behind the last name is what all of them take */
			put(o, len, what, (size_t)(end - what),
			    strcspn(last, " ") < (size_t)(name_end - last));
			o = next ? next : "";
		}
	}
}

static void bash_option(const char *o, size_t n, const char *what, size_t len, bool value)
{
	printf(" %.*s", (int)n, o);
}

static void bash(void)
{
	puts("# bash completion for creel; made by `creel --completion bash`\n"
	     "_creel_cells() { creel status 2>/dev/null | awk 'NR > 1 && $1 ~ /^[a-z]/ { print $1 "
	     "}'; }\n"
	     "_creel() {\n"
	     "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb= i\n"
	     "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	     "\t\tcase ${COMP_WORDS[i]} in\n"
	     "\t\t-f | --file | --state-dir) ((i++)) ;;\n"
	     "\t\t-*) ;;\n"
	     "\t\t*) verb=${COMP_WORDS[i]}; break ;;\n"
	     "\t\tesac\n"
	     "\tdone\n"
	     "\tcase $prev in\n"
	     "\t-f | --file | --key | --state-dir) COMPREPLY=($(compgen -f -- \"$cur\")); return "
	     ";;\n"
	     "\tesac\n"
	     "\tlocal words='-f --state-dir --json --trust'\n"
	     "\tcase $verb in");
	printf("\t'') words+=' --help --version");
	for (const struct creel_verb *v = creel_verbs; v->name; v++)
		printf(" %s", v->name);
	puts("' ;;");
	for (const struct creel_verb *v = creel_verbs; v->name; v++) {
		printf("\t%s) words+=' --help", v->name);
		options_each(v, bash_option);
		printf("'%s ;;\n",
		       strstr(v->args, "CELL") ? "; [[ $cur == -* ]] || words=$(_creel_cells)" : "");
	}
	puts("\tesac\n"
	     "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	     "}\n"
	     "complete -o default -F _creel creel");
}

/* in single quotes, and without what zsh and fish take for more than text */
static void quoted(const char *s, size_t n)
{
	putchar('\'');
	for (size_t i = 0; i < n; i++)
		if (s[i] == '\'')
			fputs("'\\''", stdout);
		else if (s[i] == '[' || s[i] == ']' || s[i] == ':')
			printf("\\%c", s[i]);
		else
			putchar(s[i]);
	putchar('\'');
}

static void zsh_option(const char *o, size_t n, const char *what, size_t len, bool value)
{
	printf(" '%.*s[", (int)n, o);
	for (size_t i = 0; i < len; i++) {
		if (what[i] == '\'')
			fputs("'\\''", stdout);
		else if (what[i] == '[' || what[i] == ']' || what[i] == ':')
			printf("\\%c", what[i]);
		else
			putchar(what[i]);
	}
	printf("]%s'", value ? ":value:_files" : "");
}

static void zsh(void)
{
	puts("#compdef creel\n# zsh completion for creel; made by `creel --completion zsh`\n"
	     "_creel_cells() { compadd -- ${(f)\"$(creel status 2>/dev/null | awk 'NR > 1 && $1 ~ "
	     "/^[a-z]/ { print $1 "
	     "}')\"} }\n"
	     "_creel_verbs() {\n\tlocal -a verbs=(");
	for (const struct creel_verb *v = creel_verbs; v->name; v++) {
		printf("\t\t%s:", v->name);
		quoted(v->summary, strlen(v->summary));
		putchar('\n');
	}
	puts("\t)\n\t_describe verb verbs\n}\n"
	     "_creel() {\n"
	     "\tlocal line state\n"
	     "\t_arguments -C '(-f --file)'{-f,--file}'[the configuration]:file:_files' "
	     "'--state-dir[the state folder]:folder:_files -/' '--json[facts as JSON]' "
	     "'--trust[allow keys that act on the host]' '--help[help]' '--version[version]' '1: "
	     ":_creel_verbs' "
	     "'*::argument:->rest'\n"
	     "\tcase $line[1] in");
	for (const struct creel_verb *v = creel_verbs; v->name; v++) {
		printf("\t%s) _arguments '--help[help]'", v->name);
		options_each(v, zsh_option);
		printf(" '*: :%s' ;;\n", strstr(v->args, "CELL") ? "_creel_cells" : "_files");
	}
	puts("\tesac\n}\n_creel \"$@\"");
}

static const char *fish_verb;

static void fish_option(const char *o, size_t n, const char *what, size_t len, bool value)
{
	printf("complete -c creel -n '__fish_seen_subcommand_from %s' %s %.*s%s -d ", fish_verb,
	       o[1] == '-' ? "-l" : "-s", (int)(n - (o[1] == '-' ? 2 : 1)), o + (o[1] == '-' ? 2 : 1),
	       value ? " -r" : "");
	putchar('\'');
	for (size_t i = 0; i < len; i++)
		printf(what[i] == '\'' || what[i] == '\\' ? "\\%c" : "%c", what[i]);
	puts("'");
}

static void fish(void)
{
	puts("# fish completion for creel; made by `creel --completion fish`\n"
	     "function __creel_cells; creel status 2>/dev/null | awk 'NR > 1 && $1 ~ /^[a-z]/ { "
	     "print $1 }'; end\n"
	     "complete -c creel -n __fish_use_subcommand -f\n"
	     "complete -c creel -s f -l file -r -d 'the configuration'\n"
	     "complete -c creel -l state-dir -r -d 'the state folder'\n"
	     "complete -c creel -l json -d 'facts as JSON'\n"
	     "complete -c creel -l trust -d 'allow keys that act on the host'\n"
	     "complete -c creel -l help -d 'help'\n"
	     "complete -c creel -n __fish_use_subcommand -l version -d 'version'");
	for (const struct creel_verb *v = creel_verbs; v->name; v++) {
		fish_verb = v->name;
		printf("complete -c creel -n __fish_use_subcommand -a %s -d '", v->name);
		for (const char *s = v->summary; *s; s++)
			printf(*s == '\'' || *s == '\\' ? "\\%c" : "%c", *s);
		puts("'");
		if (strstr(v->args, "CELL"))
			printf("complete -c creel -n '__fish_seen_subcommand_from %s' -f -a "
			       "'(__creel_cells)'\n",
			       v->name);
		options_each(v, fish_option);
	}
}

int helpgen_completion(const char *shell, struct creel_err *err)
{
	if (strcmp(shell, "bash") == 0)
		bash();
	else if (strcmp(shell, "zsh") == 0)
		zsh();
	else if (strcmp(shell, "fish") == 0)
		fish();
	else
		return creel_err_set(err, CREEL_E_USAGE, 0,
				     "--completion %s is unknown; it is bash, zsh or fish", shell);
	return 0;
}
