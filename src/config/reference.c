#include "config/keys.h"
#include "config/schema.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*
 * creel.yaml(5) and docs/reference/creel.yaml.md: the same walk over the table, two markups. A
 * key's path is shown whole (`cells.NAME.memory`), so that a page can be searched for it.
 */
struct page {
	struct creel_buf *out;
	struct creel_err *err;
	bool man;
	bool fresh; /* a heading stands just above: mdoc wants no .Pp there */
	int r;
};

__attribute__((format(printf, 2, 3))) static void put(struct page *p, const char *fmt, ...)
{
	char s[2048];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(s, sizeof(s), fmt, ap);
	va_end(ap);
	if (p->r == 0 && (n < 0 || (size_t)n >= sizeof(s)))
		p->r = creel_err_set(p->err, CREEL_E_TOOBIG, 0, "a line of the reference");
	if (p->r == 0)
		p->r = creel_buf_add(p->out, s, (size_t)n, p->err);
}

/* Text for the page: in mdoc, a backslash or a dot that begins a line is no markup. */
static void text(struct page *p, const char *s)
{
	for (bool begin = true; *s; s++) {
		if (p->man && *s == '`') { /* `word` */
			const char *end = strchr(s + 1, '`');
			if (end) {
				put(p, "\\(oq%.*s\\(cq", (int)(end - s - 1), s + 1);
				s = end;
				begin = false;
				continue;
			}
		}
		if (p->man && *s == '.' && s[1] == ' ') { /* a sentence a line */
			put(p, ".\n");
			s++;
			begin = true;
			continue;
		}
		if (p->man && *s == '\\')
			put(p, "\\e");
		else if (p->man && begin && (*s == '.' || *s == '\''))
			put(p, "\\&%c", *s);
		else if (!p->man && (*s == '|' || *s == '<' || (*s == '*' && s[1] == '.')))
			put(p, "\\%c", *s);
		else
			put(p, "%c", *s);
		begin = false;
	}
}

static void bound(char *to, size_t size, const struct key *k, int64_t v)
{
	static const struct {
		int64_t octets;
		const char *name;
	} units[] = {{1LL << 40, "TiB"}, {1LL << 30, "GiB"}, {1LL << 20, "MiB"}, {1LL << 10, "KiB"}};
	static const struct {
		int64_t ms;
		const char *name;
	} times[] = {{3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};

	(void)snprintf(to, size, "%lld", (long long)v);
	for (size_t i = 0; k->type == K_SIZE && i < 4; i++)
		if (v % units[i].octets == 0) {
			(void)snprintf(to, size, "%lld%s", (long long)(v / units[i].octets), units[i].name);
			return;
		}
	for (size_t i = 0; k->type == K_DURATION && i < 4; i++)
		if (v % times[i].ms == 0) {
			(void)snprintf(to, size, "%lld%s", (long long)(v / times[i].ms), times[i].name);
			return;
		}
}

static void value(struct page *p, const struct key *k)
{
	if (k->type == K_ENUM) {
		text(p, "one of ");
		for (size_t i = 0; k->vals[i]; i++) {
			put(p, "%s", i ? ", " : "");
			text(p, k->vals[i]);
		}
	} else if (k->type == K_LIST) {
		text(p, "a list; each: ");
		text(p, creel_key_what(k->item));
	} else if (k->type == K_PUBLISH) {
		text(p, "a list; each: ");
		text(p, creel_key_what(k->type));
	} else if (k->type == K_DICT) {
		text(p, "a mapping; its keys: ");
		text(p, creel_key_what(k->item));
	} else {
		text(p, creel_key_what(k->type));
	}
	if (k->max && k->type != K_PORT && k->min != k->max) {
		char lo[32], hi[32];
		bound(lo, sizeof(lo), k, k->min);
		bound(hi, sizeof(hi), k, k->max);
		put(p, "; %s to %s", lo, hi);
	}
	if (k->def) {
		put(p, "; default ");
		if (k->type <= K_TEXT_LAST && strchr(k->def, ' '))
			put(p, "\"%s\"", k->def);
		else
			text(p, k->def);
	}
	if (k->required)
		put(p, "; required");
}

static void rows(struct page *p, const struct key *keys, const char *prefix)
{
	for (const struct key *k = keys; k->name; k++) {
		char path[200];
		(void)snprintf(path, sizeof(path), "%s%s", prefix, k->name);
		if (p->man) {
			put(p, ".It Li %s\n", path);
			text(p, k->help);
			put(p, "\n.br\nValue: ");
			value(p, k);
			put(p, ".\n");
		} else {
			put(p, "| `%s` | ", path);
			value(p, k);
			put(p, " | ");
			text(p, k->help);
			put(p, " |\n");
		}
		if (!k->sub)
			continue;
		const char *between = k->type == K_MAP    ? "."
				      : k->type == K_MAPS ? "[]."
				      : k->item == K_PATH ? ".PATH."
							  : ".NAME.";
		(void)snprintf(path, sizeof(path), "%s%s%s", prefix, k->name, between);
		rows(p, k->sub, path);
	}
}

static void table(struct page *p, const struct key *keys)
{
	put(p, "%s", p->man ? ".Bl -tag -width Ds\n" : "| key | value | meaning |\n|---|---|---|\n");
	rows(p, keys, "");
	put(p, "%s", p->man ? ".El\n" : "\n");
}

/* A paragraph's lines stand as they are in both. */
static void para(struct page *p, const char *s)
{
	if (p->man && !p->fresh)
		put(p, ".Pp\n");
	p->fresh = false;
	text(p, s);
	put(p, "%s", p->man ? "\n" : "\n\n");
}

static void example(struct page *p, const char *s)
{
	if (p->man) {
		put(p, ".Bd -literal -offset indent\n");
		text(p, s);
		put(p, ".Ed\n");
	} else {
		put(p, "```yaml\n%s```\n\n", s);
	}
}

static void heading(struct page *p, const char *s)
{
	put(p, "%s %s\n%s", p->man ? ".Sh" : "##", s, p->man ? "" : "\n");
	p->fresh = true;
}

static const char types_text[] = "A size is a whole number and KiB, MiB, GiB or TiB. A duration is "
				 "a whole number and ms, s, "
				 "m, h or d. A word that YAML would read as a number, a boolean or "
				 "null stands in quotes where "
				 "text is wanted. JSON is YAML: a file may be JSON.";
static const char errors_text[] =
	"Everything that is wrong is said at once, as FILE:LINE:COLUMN: what is wrong, and what "
	"would "
	"be right; the exit status is 2. Unknown keys, keys that stand twice, a second document, "
	"tags, "
	"octets that are not UTF-8 and control characters are errors. A file is at most 1 MiB, 63 "
	"levels deep and 50000 values with its aliases written out.";
static const char cells_text[] =
	"Beside each key's own value this is checked: a port of the host is published once, where "
	"0.0.0.0 and :: are every address; the subnet is private, IPv4, /8 to /29, and has an "
	"address "
	"for each cell; volumes are at folders of their own, the outer before the inner, and their "
	"names have 18 characters at most; every cell that another key names is in the file; a "
	"secret "
	"has one source at most; entries of `egress` and rules of `gate` mean something; a recipe "
	"is a "
	"built-in or a file that is there, and is right itself; a cell has a volume where its "
	"recipe "
	"keeps something in /persist; `settings` fit the recipe's schema.";
static const char recipe_text[] =
	"A recipe is a file of its own, named by a path with a `/` in `recipe`. What it names is "
	"in it: "
	"owners of files and users of services under `users`, services that others wait for under "
	"`services`; sources of files lie beneath its folder, and no link leads there. Its "
	"`settings` "
	"are a JSON Schema of the words type, properties, required, enum, items, "
	"additionalProperties, "
	"minimum, maximum, description, default and title. A key that `properties` does not name "
	"is an "
	"error, unless `additionalProperties` allows it.";

static void body(struct page *p)
{
	heading(p, p->man ? "DESCRIPTION" : "creel.yaml");
	if (p->man) {
		put(p, ".Nm\nsays which cells there are, what each is built from, and what it may "
		       "do.\n"
		       "It is read by\n.Xr creel 1 .\n");
		p->fresh = false;
	}
	para(p, types_text);
	para(p, errors_text);
	para(p, cells_text);
	table(p, creel_config_keys);
	heading(p, p->man ? "RECIPES" : "Recipes");
	para(p, recipe_text);
	table(p, creel_recipe_keys);
	heading(p, p->man ? "EXAMPLES" : "Examples");
	para(p, "The smallest cell:");
	example(p, "version: 1\ncells:\n  box: { recipe: base, memory: 256MiB }\n");
	para(p, "A cell with a volume, a secret of its own, and a published port:");
	example(p, "version: 1\ncells:\n  agent:\n    recipe: ./recipe.yaml\n    memory: 1GiB\n"
		   "    volumes:\n      persist: { size: 4GiB, at: /persist }\n"
		   "    secrets:\n      token: { generate: base64, bytes: 32 }\n"
		   "    publish: [\"127.0.0.1:8080:8080\"]\n");
}

int creel_reference_markdown(struct creel_buf *out, struct creel_err *err)
{
	struct page p = {.out = out, .err = err};

	put(&p, "<!-- made by `creel schema --format=markdown`; change src/config/keys.c instead -->\n"
		"# Reference: creel.yaml and recipes\n\n"
		"`creel schema` prints the same as JSON Schema, for editors.\n\n");
	body(&p);
	return p.r;
}

int creel_reference_man(struct creel_buf *out, struct creel_err *err)
{
	struct page p = {.out = out, .err = err, .man = true};

	put(&p, ".\\\" made by `creel schema --format=man`; change src/config/keys.c instead\n"
		".Dd November 24, 2026\n.Dt CREEL.YAML 5\n.Os\n.Sh NAME\n.Nm creel.yaml\n"
		".Nd the configuration of creel, and its recipes\n");
	body(&p);
	put(&p, ".Sh SEE ALSO\n.Xr creel 1 ,\n.Xr creel-events 5 ,\n.Xr creeld 8\n");
	return p.r;
}
