#include "config/keys.h"
#include "config/recipe.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#define GIB (1024LL * 1024 * 1024)
#define OFF(type, f) offsetof(struct type, f)
#define END {.name = NULL}

static bool all_of(const char *s, const char *set)
{
	return *s && s[strspn(s, set)] == 0;
}
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

static bool ok_any(const char *s)
{
	return true;
}
static bool ok_name(const char *s)
{
	return strlen(s) <= 32 && s[0] >= 'a' && s[0] <= 'z' && all_of(s, LOWER DIGIT "-_") &&
	       s[strlen(s) - 1] != '-';
}
static bool ok_path(const char *s)
{
	size_t n = strlen(s);

	return s[0] == '/' && n < 1024 && !strstr(s, "//") && !strstr(s, "/./") &&
	       !strstr(s, "/../") && (n == 1 || s[n - 1] != '/') &&
	       !(n >= 2 && !strcmp(s + n - 2, "/.")) && !(n >= 3 && !strcmp(s + n - 3, "/..")) &&
	       !strpbrk(s, "\n\r");
}
static bool ok_anypath(const char *s)
{
	return *s && strlen(s) < 1024 && !strpbrk(s, "\n\r");
}
static bool ok_envname(const char *s)
{
	return !isdigit((unsigned char)*s) && all_of(s, LOWER UPPER DIGIT "_") && strlen(s) < 128;
}
static bool ok_url(const char *s)
{
	return !strncmp(s, "https://", 8) && s[8] && !strpbrk(s, " \t\n\r\"<>\\") &&
	       strlen(s) < 2048;
}
static bool ok_sha256(const char *s)
{
	return strlen(s) == 64 && all_of(s, "0123456789abcdef");
}
static bool port_end(const char *s)
{
	const char *c = strrchr(s, ':');

	return c && c != s && all_of(c + 1, DIGIT) && strlen(c + 1) <= 5 && atoi(c + 1) > 0 &&
	       atoi(c + 1) <= 65535;
}
static bool ok_hostport(const char *s)
{
	return port_end(s) && !strpbrk(s, " /\n\r") && strlen(s) < 300;
}
static bool ok_http(const char *s)
{
	char host[300];
	const char *slash = strchr(s, '/');

	if (!slash || (size_t)(slash - s) >= sizeof(host) || strlen(s) >= 1024 ||
	    strpbrk(s, " \t\r\n"))
		return false;
	memcpy(host, s, (size_t)(slash - s));
	host[slash - s] = 0;
	return port_end(host);
}
static bool ok_domain(const char *s)
{
	size_t label = 0;

	if (strlen(s) > 253 || !all_of(s, LOWER UPPER DIGIT "-_.") || !strchr(s, '.') ||
	    all_of(s, DIGIT "."))
		return false;
	for (;; s++) {
		if (*s == '.' || !*s) {
			if (label == 0 || label > 63 || s[-1] == '-')
				return false;
			label = 0;
			if (!*s)
				return true;
		} else if (label++ == 0 && *s == '-') {
			return false;
		}
	}
}
static bool is_ip(const char *s)
{
	uint8_t a[16];
	return inet_pton(AF_INET, s, a) == 1 || inet_pton(AF_INET6, s, a) == 1;
}
/* src/policy reads the meaning (creel_entry_parse), and says more about what is wrong */
static bool ok_egress(const char *s)
{
	return *s && strlen(s) < 300 && !strpbrk(s, " \t\r\n");
}
static bool ok_resolver(const char *s)
{
	return !strcmp(s, "recursive") || is_ip(s);
}
/* words, then conditions NAME:VALUE; src/policy reads the meaning */
static bool ok_verb(const char *s)
{
	const char *colon = strchr(s, ':');
	size_t words = colon ? (size_t)(colon - s) : strlen(s);

	return *s && strspn(s, LOWER DIGIT "-_ ") >= words && s[0] != ' ' && s[0] != '-' && s[0] != ':' &&
	       s[strlen(s) - 1] != ' ' && !strstr(s, "  ") && !strstr(s, " -") &&
	       !strpbrk(s, "\t\r\n") && (!colon || memchr(s, ' ', words));
}
static bool ok_package(const char *s)
{
	return isalnum((unsigned char)*s) && all_of(s, LOWER UPPER DIGIT "+-.:=~_") &&
	       strlen(s) < 200;
}
static bool ok_npm(const char *s)
{
	return (*s == '@' || isalnum((unsigned char)*s)) &&
	       all_of(s, LOWER UPPER DIGIT "@/._-+") && !strstr(s, "..") && strlen(s) < 300;
}
static bool ok_go(const char *s)
{
	const char *at = strchr(s, '@');
	return at && at != s && at[1] && isalnum((unsigned char)*s) &&
	       all_of(s, LOWER UPPER DIGIT "@/._-+~") && !strstr(s, "..");
}
static bool ok_snapshot(const char *s)
{
	return strlen(s) == 16 && strspn(s, DIGIT) == 8 && s[8] == 'T' &&
	       strspn(s + 9, DIGIT) == 6 && s[15] == 'Z';
}
static bool ok_header(const char *s)
{
	return all_of(s, LOWER UPPER DIGIT "-") && strlen(s) < 100;
}
static bool ok_recipe(const char *s)
{
	return strchr(s, '/') ? ok_anypath(s) : ok_name(s);
}

static const struct texttype texts[] = {
	[K_TEXT] = {"text", NULL, ok_any},
	[K_NAME] = {"a name: a small letter, then small letters, digits, `-`, `_`; 32 at most",
		    "^[a-z]([a-z0-9_-]{0,30}[a-z0-9_])?$", ok_name},
	[K_PATH] = {"an absolute path without `..`, such as /persist", "^/", ok_path},
	[K_ANYPATH] = {"a path", "^.+$", ok_anypath},
	[K_ENVNAME] = {"the name of an environment variable", "^[A-Za-z_][A-Za-z0-9_]*$",
		       ok_envname},
	[K_URL] = {"an https:// URL", "^https://", ok_url},
	[K_SHA256] = {"a SHA-256: 64 digits of 0-9a-f", "^[0-9a-f]{64}$", ok_sha256},
	[K_HOSTPORT] = {"HOST:PORT, such as 127.0.0.1:8080", "^[^ /]+:[0-9]{1,5}$", ok_hostport},
	[K_HTTP] = {"HOST:PORT/PATH, such as 127.0.0.1:8080/health", "^[^ /]+:[0-9]{1,5}/",
		    ok_http},
	[K_EGRESS] = {"NAME, *.NAME, NAME:PORT, NAME:PORT/raw, NAME:PORT/udp or CIDR:PORT[/udp]",
		      "^[^ ]+$", ok_egress},
	[K_RESOLVER] = {"an IP address, or `recursive`", "^[^ ]+$", ok_resolver},
	[K_VERB] = {"a verb: small words one blank apart, such as `gmail send`, then conditions "
		    "such as `who:*@example.org`",
		    "^[a-z0-9_][a-z0-9_-]*( [a-z0-9_][a-z0-9_-]*)*( [a-z0-9_-]+:[^ ]+)*$", ok_verb},
	[K_PACKAGE] = {"a Debian package, such as curl", "^[A-Za-z0-9][A-Za-z0-9+.:=~_-]*$",
		       ok_package},
	[K_NPM] = {"an npm package, such as node@24.21.0", "^[@A-Za-z0-9][A-Za-z0-9@/._+-]*$",
		   ok_npm},
	[K_GO] = {"MODULE@VERSION", "^[^@ ]+@[^@ ]+$", ok_go},
	[K_SNAPSHOT] = {"a time such as 20260101T000000Z", "^[0-9]{8}T[0-9]{6}Z$", ok_snapshot},
	[K_DOMAIN] = {"a domain name", "^[A-Za-z0-9_.-]+$", ok_domain},
	[K_HEADER] = {"a header's name", "^[A-Za-z0-9-]+$", ok_header},
	[K_RECIPE] = {"a built-in recipe (base, openclaw, gog) or the path of one, with a `/`",
		      "^.+$", ok_recipe},
};

const struct texttype *creel_key_text(enum key_type t)
{
	return t <= K_TEXT_LAST ? &texts[t] : NULL;
}

const char *creel_key_what(enum key_type t)
{
	static const char *const what[] = {
		[K_BOOL] = "true or false",
		[K_INT] = "a whole number",
		[K_SIZE] = "a size such as 512MiB (KiB, MiB, GiB, TiB)",
		[K_DURATION] = "a duration such as 60s (ms, s, m, h, d)",
		[K_PORT] = "a port, 1 to 65535",
		[K_MODE] = "a mode in octal digits, such as \"0644\"",
		[K_ENUM] = "one of the words listed",
		[K_CIDR] = "a network such as 192.168.83.0/24",
		[K_PUBLISH] = "[ADDRESS:]HOST:GUEST, such as \"127.0.0.1:18789:18789\"",
		[K_LIST] = "a list",
		[K_MAP] = "a mapping",
		[K_DICT] = "a mapping",
		[K_MAPS] = "a list of mappings",
		[K_PAIRS] = "a mapping of names to text",
		[K_JSON] = "a mapping",
	};
	return t <= K_TEXT_LAST ? texts[t].what : what[t];
}

const char *const creel_recipe_builtin[] = {"base", "openclaw", "gog", "gh", NULL};
static const char *const egress_modes[] = {"none", "listed", "ask", "open", NULL};
static const char *const broker_ways[] = {"bearer", "header", "basic", "query", NULL};
static const char *const generates[] = {"none", "base64", "hex", NULL};
static const char *const on_secrets[] = {"none", "restart", "SIGHUP", "SIGUSR1", "SIGUSR2", NULL};
static const char *const restarts[] = {"never", "on-failure", "always", NULL};

static const struct key network_keys[] = {
	{"subnet", K_CIDR, OFF(creel_network_cfg, subnet),
	 "The cells' IPv4 network; the gateway is its first address.", .def = "192.168.83.0/24"},
	{"upstreams", K_LIST, OFF(creel_network_cfg, upstreams),
	 "Resolvers that names are asked of, or the one word `recursive`.", .item = K_RESOLVER},
	END,
};
static const struct key volume_keys[] = {
	{"size", K_SIZE, OFF(creel_volume_cfg, size), "How large it is; it may grow later.",
	 .min = 16 * 1024 * 1024, .max = 16384 * GIB, .required = true},
	{"at", K_PATH, OFF(creel_volume_cfg, at), "Where it is mounted in the cell.",
	 .required = true},
	END,
};
static const struct key secret_keys[] = {
	{"generate", K_ENUM, OFF(creel_secret_cfg, generate), "Make a new value at each start.",
	 .def = "none", .vals = generates},
	{"bytes", K_INT, OFF(creel_secret_cfg, bytes), "Random octets of a generated value.",
	 .def = "32", .min = 16, .max = 1024},
	{"env", K_ENVNAME, OFF(creel_secret_cfg, env),
	 "Take the value from this variable of the environment of `creel up` (needs trust)."},
	{"optional", K_BOOL, OFF(creel_secret_cfg, optional),
	 "Start the cell without it when there is no value.", .def = "false"},
	{"pair", K_NAME, OFF(creel_secret_cfg, pair),
	 "One half of an ed25519 SSH key pair made by creel; the other is in this cell."},
	{"command", K_LIST, OFF(creel_secret_cfg, command),
	 "Take the standard output of this command, run as you (needs trust).", .item = K_TEXT},
	{"file", K_ANYPATH, OFF(creel_secret_cfg, file), "Take the content of this file."},
	{"owner", K_NAME, OFF(creel_secret_cfg, owner),
	 "The recipe's user who alone may read it in the cell (0400). Not given: the user of the first "
	 "service that is not root's, else the recipe's only user, else root."},
	END,
};
static const struct key egress_keys[] = {
	{"mode", K_ENUM, OFF(creel_egress_cfg, mode),
	 "none: no network. listed: what `allow` says. ask: a new name waits for an approval. "
	 "open: everything public.",
	 .def = "none", .vals = egress_modes},
	{"allow", K_LIST, OFF(creel_egress_cfg, allow), "What the cell may connect to.",
	 .item = K_EGRESS},
	{"deny", K_LIST, OFF(creel_egress_cfg, deny),
	 "What it may not, whatever else says so; without a port: every port.", .item = K_EGRESS},
	END,
};
static const struct key reach_keys[] = {
	{"cell", K_NAME, OFF(creel_reach_cfg, cell), "The other cell.", .required = true},
	{"port", K_PORT, OFF(creel_reach_cfg, port), "Its TCP port.", .required = true},
	END,
};
static const struct key gate_keys[] = {
	{"clients", K_LIST, OFF(creel_gate_cfg, clients), "The cells that may call the tool.",
	 .item = K_NAME, .required = true},
	{"program", K_TEXT, OFF(creel_gate_cfg, program), "The tool.", .required = true},
	{"allow", K_LIST, OFF(creel_gate_cfg, allow), "Verbs that run at once.", .item = K_VERB},
	{"ask", K_LIST, OFF(creel_gate_cfg, ask), "Verbs that wait for an approval.",
	 .item = K_VERB},
	{"deny", K_LIST, OFF(creel_gate_cfg, deny), "Verbs that never run, as all others.",
	 .item = K_VERB},
	{"shared", K_SIZE, OFF(creel_gate_cfg, shared),
	 "How much its folder for the files that calls name may hold; without it calls name none.",
	 .min = 1024 * 1024, .max = 16 * GIB},
	END,
};
static const struct key broker_keys[] = {
	{"host", K_DOMAIN, OFF(creel_broker_cfg, host), "The host that it speaks to, by TLS.",
	 .required = true},
	{"port", K_PORT, OFF(creel_broker_cfg, port), "Its port.", .def = "443"},
	{"secret", K_NAME, OFF(creel_broker_cfg, secret),
	 "The credential; it never enters the cell, also when `secrets` declares it.", .required = true},
	{"auth", K_ENUM, OFF(creel_broker_cfg, auth),
	 "How it is sent. bearer: `Authorization: Bearer ...`. header: in `header`, after `prefix`. "
	 "basic: with `user`. query: as `parameter`.",
	 .def = "bearer", .vals = broker_ways},
	{"header", K_HEADER, OFF(creel_broker_cfg, header), "The header that carries it (auth: header)."},
	{"prefix", K_TEXT, OFF(creel_broker_cfg, prefix),
	 "What stands before it in the header (auth: header)."},
	{"user", K_TEXT, OFF(creel_broker_cfg, user), "The user (auth: basic)."},
	{"parameter", K_HEADER, OFF(creel_broker_cfg, parameter),
	 "The query's parameter that carries it (auth: query)."},
	{"methods", K_LIST, OFF(creel_broker_cfg, methods), "Methods that may pass.",
	 .item = K_HEADER, .required = true},
	{"paths", K_LIST, OFF(creel_broker_cfg, paths),
	 "Paths that may pass. `*`: any octets of a segment. A last `**`: all that is below.",
	 .item = K_PATH, .required = true},
	{"body", K_SIZE, OFF(creel_broker_cfg, body), "How large a request's body may be.",
	 .def = "32MiB", .max = 64 * GIB},
	{"rate", K_INT, OFF(creel_broker_cfg, rate), "Requests a minute.", .def = "600", .min = 1,
	 .max = 100000},
	{"websocket", K_BOOL, OFF(creel_broker_cfg, websocket),
	 "A GET of these paths may become a WebSocket.", .def = "false"},
	{"intercept", K_BOOL, OFF(creel_broker_cfg, intercept),
	 "The cell's connections to `host` on port 443 are the broker's, by a CA of this start that the cell trusts.",
	 .def = "false"},
	{"ca", K_ANYPATH, OFF(creel_broker_cfg, ca),
	 "A CA's certificate (PEM) that alone may sign the host's; the system's CAs when not given."},
	END,
};
static const struct key cell_keys[] = {
	{"recipe", K_RECIPE, OFF(creel_cell_cfg, recipe), "What its image is built from.",
	 .required = true},
	{"cpus", K_INT, OFF(creel_cell_cfg, cpus), "Virtual processors.", .def = "1", .min = 1,
	 .max = 64},
	{"memory", K_SIZE, OFF(creel_cell_cfg, memory), "Memory.", .def = "512MiB",
	 .min = 64 * 1024 * 1024, .max = 1024 * GIB},
	{"volumes", K_DICT, OFF(creel_cell_cfg, volumes), "What lasts over a restart.",
	 .item = K_NAME, .sub = volume_keys, .size = sizeof(struct creel_volume_cfg)},
	{"secrets", K_DICT, OFF(creel_cell_cfg, secrets),
	 "Files in /run/secrets, but for those that a broker holds. Without a source: `creel secret set "
	 "CELL NAME`.",
	 .item = K_NAME,
	 .sub = secret_keys, .size = sizeof(struct creel_secret_cfg)},
	{"publish", K_PUBLISH, OFF(creel_cell_cfg, publish),
	 "Ports of the host that lead to the cell's loopback."},
	{"egress", K_MAP, OFF(creel_cell_cfg, egress), "What it may connect to outside.",
	 .sub = egress_keys},
	{"reach", K_MAPS, OFF(creel_cell_cfg, reach), "Ports of other cells it may connect to.",
	 .sub = reach_keys, .size = sizeof(struct creel_reach_cfg)},
	{"gate", K_MAP, OFF(creel_cell_cfg, gate), "What others may ask of its tool.",
	 .sub = gate_keys},
	{"broker", K_DICT, OFF(creel_cell_cfg, broker), "Credentials added outside the cell.",
	 .item = K_NAME, .sub = broker_keys, .size = sizeof(struct creel_broker_cfg)},
	{"docker", K_BOOL, OFF(creel_cell_cfg, docker),
	 "Run Docker in it, as the recipe's `docker` does.", .def = "false"},
	{"ipv6", K_BOOL, OFF(creel_cell_cfg, ipv6), "Give it IPv6, under the same policy.", .def = "false"},
	{"settings", K_JSON, OFF(creel_cell_cfg, settings),
	 "The recipe's own, checked against its schema."},
	END,
};
static const struct key notify_keys[] = {
	{"command", K_LIST, OFF(creel_notify_cfg, command),
	 "Run for each event, which is its standard input (needs trust).", .item = K_TEXT,
	 .required = true},
	{"kinds", K_LIST, OFF(creel_notify_cfg, kinds),
	 "Kinds of events, or their beginnings; without it approval.ask and approval.flood.",
	 .item = K_TEXT},
	END,
};
const struct key creel_config_keys[] = {
	{"version", K_INT, OFF(creel_config, version), "The format's version: 1.", .min = 1,
	 .max = 1, .required = true},
	{"network", K_MAP, OFF(creel_config, network), "What all cells share.",
	 .sub = network_keys},
	{"cells", K_DICT, OFF(creel_config, cells), "The microVMs.", .item = K_NAME,
	 .sub = cell_keys, .size = sizeof(struct creel_cell_cfg), .required = true},
	{"notify", K_MAP, OFF(creel_config, notify), "Whom to tell.", .sub = notify_keys},
	END,
};

static const struct key debian_keys[] = {
	{"suite", K_PACKAGE, OFF(creel_debian_cfg, suite), "The release.", .def = "bookworm"},
	{"packages", K_LIST, OFF(creel_debian_cfg, packages), "Packages.", .item = K_PACKAGE},
	{"snapshot", K_SNAPSHOT, OFF(creel_debian_cfg, snapshot), "The archive as of then."},
	END,
};
static const struct key url_keys[] = {
	{"url", K_URL, OFF(creel_url_cfg, url), "Where it is fetched from.", .required = true},
	{"sha256", K_SHA256, OFF(creel_url_cfg, sha256), "What it must be.", .required = true},
	{"mode", K_MODE, OFF(creel_url_cfg, mode), "Permissions.", .def = "0644"},
	{"unpack", K_BOOL, OFF(creel_url_cfg, unpack), "It is a tar archive: unpack it there.",
	 .def = "false"},
	{"redirects", K_LIST, OFF(creel_url_cfg, redirects),
	 "Hosts that the address may lead to, besides its own.", .item = K_DOMAIN},
	END,
};
static const struct key user_keys[] = {
	{"uid", K_INT, OFF(creel_user_cfg, uid), "User and group id.", .min = 1, .max = 64999,
	 .required = true},
	{"home", K_PATH, OFF(creel_user_cfg, home), "Home.", .def = "/nonexistent"},
	{"shell", K_PATH, OFF(creel_user_cfg, shell), "Shell.", .def = "/bin/sh"},
	{"groups", K_LIST, OFF(creel_user_cfg, groups), "Further groups.", .item = K_NAME},
	END,
};
static const struct key file_keys[] = {
	{"content", K_TEXT, OFF(creel_file_cfg, content), "What it holds."},
	{"source", K_ANYPATH, OFF(creel_file_cfg, source),
	 "Its content's file, beneath the recipe's folder."},
	{"sha256", K_SHA256, OFF(creel_file_cfg, sha256), "What the source must be."},
	{"link", K_ANYPATH, OFF(creel_file_cfg, link), "Make it a symbolic link to this."},
	{"owner", K_NAME, OFF(creel_file_cfg, owner), "Whose it is.", .def = "root"},
	{"mode", K_MODE, OFF(creel_file_cfg, mode), "Permissions.", .def = "0644"},
	{"declared", K_BOOL, OFF(creel_file_cfg, declared), "Put it back at each start.",
	 .def = "false"},
	END,
};
static const struct key ready_keys[] = {
	{"http", K_HTTP, OFF(creel_ready_cfg, http), "A GET that must answer 2xx."},
	{"tcp", K_HOSTPORT, OFF(creel_ready_cfg, tcp), "A connection that must open."},
	{"command", K_LIST, OFF(creel_ready_cfg, command), "A command that must exit with 0.",
	 .item = K_TEXT},
	{"timeout", K_DURATION, OFF(creel_ready_cfg, timeout), "How long it may take.",
	 .def = "60s", .min = 100, .max = 3600000},
	END,
};
static const struct key service_keys[] = {
	{"run", K_LIST, OFF(creel_service_cfg, run), "Program and arguments.", .item = K_TEXT,
	 .required = true},
	{"user", K_NAME, OFF(creel_service_cfg, user), "As whom.", .def = "root"},
	{"dir", K_PATH, OFF(creel_service_cfg, dir), "Where."},
	{"environment", K_PAIRS, OFF(creel_service_cfg, environment), "Environment."},
	{"environment_file", K_PATH, OFF(creel_service_cfg, environment_file),
	 "More of it, NAME=VALUE a line; may be absent."},
	{"ready", K_MAP, OFF(creel_service_cfg, ready), "When it counts as ready.",
	 .sub = ready_keys},
	{"restart", K_ENUM, OFF(creel_service_cfg, restart), "What to do when it ends.",
	 .def = "on-failure", .vals = restarts},
	{"after", K_LIST, OFF(creel_service_cfg, after), "Services that must be ready before.",
	 .item = K_NAME},
	{"stop_timeout", K_DURATION, OFF(creel_service_cfg, stop_timeout),
	 "How long it may take to stop.", .def = "10s", .min = 100, .max = 600000},
	{"on_secret", K_ENUM, OFF(creel_service_cfg, on_secret),
	 "What it is told when `creel secret set` has changed a secret of its running cell: nothing, this "
	 "signal, or to start anew.",
	 .def = "none", .vals = on_secrets},
	END,
};
const struct key creel_recipe_keys[] = {
	{"version", K_INT, OFF(creel_recipe, version), "The format's version: 1.", .min = 1,
	 .max = 1, .required = true},
	{"description", K_TEXT, OFF(creel_recipe, description), "One line about it."},
	{"debian", K_MAP, OFF(creel_recipe, debian), "Debian packages.", .sub = debian_keys},
	{"npm", K_LIST, OFF(creel_recipe, npm), "npm packages, under /opt/npm.", .item = K_NPM},
	{"npm_scripts", K_LIST, OFF(creel_recipe, npm_scripts),
	 "npm packages whose lifecycle scripts may run.", .item = K_NPM},
	{"go", K_LIST, OFF(creel_recipe, go),
	 "Go programs, built by your Go without cgo, in /usr/local/bin: a program's path, or a module "
	 "whose programs are in its cmd/.",
	 .item = K_GO},
	{"url", K_DICT, OFF(creel_recipe, url), "Downloads, by the path they get.",
	 .item = K_PATH, .sub = url_keys, .size = sizeof(struct creel_url_cfg)},
	{"users", K_DICT, OFF(creel_recipe, users), "Users.", .item = K_NAME, .sub = user_keys,
	 .size = sizeof(struct creel_user_cfg)},
	{"files", K_DICT, OFF(creel_recipe, files), "Files, by path.", .item = K_PATH,
	 .sub = file_keys, .size = sizeof(struct creel_file_cfg)},
	{"services", K_DICT, OFF(creel_recipe, services), "What runs.", .item = K_NAME,
	 .sub = service_keys, .size = sizeof(struct creel_service_cfg)},
	{"docker", K_BOOL, OFF(creel_recipe, docker),
	 "Docker in the cell: Debian's docker.io, the kernel's modules for it, and dockerd as the service "
	 "`docker`, its data in /persist/docker, its socket for the user whose the secrets are.",
	 .def = "false"},
	{"secrets_env", K_LIST, OFF(creel_recipe, secrets_env),
	 "Secrets that are assembled into gateway-env.", .item = K_NAME},
	{"settings", K_JSON, OFF(creel_recipe, settings),
	 "JSON Schema of a cell's settings (type, properties, required, enum, items)."},
	END,
};
