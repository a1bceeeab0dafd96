#include "config/approved.h"
#include "config/recipe.h"
#include "tests/cmocka-all.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TOP "version: 1\ncells:\n  box:\n    recipe: base\n"
#define REC "version: 1\n"

/* what is wrong, all of it, and exactly where */
struct row {
	const char *yaml, *errors;
};

static const struct row scalars[] = {
	{TOP, ""},
	{TOP "    memmory: 1GiB\n", "t:5:5: unknown key `memmory`; did you mean `memory`?\n"},
	{TOP "    zzz: 1\n", "t:5:5: unknown key `zzz`; known here: recipe, cpus, memory, volumes, "
			     "secrets, publish, egress, "
			     "reach, gate, broker, docker, ipv6, settings\n"},
	{TOP "    memory: 1MiB\n", "t:5:13: `memory: 1MiB` is out of range; it is 64MiB to 1048576MiB\n"},
	{TOP "    memory: 512\n", "t:5:13: `memory: 512` is not right; it wants a size such as "
				  "512MiB (KiB, MiB, GiB, TiB)\n"},
	{TOP "    memory: 512MB\n", "t:5:13: `memory: 512MB` is not right; it wants a size such as "
				    "512MiB (KiB, MiB, GiB, TiB)\n"},
	{TOP "    memory: 99999999999999999999GiB\n",
	 "t:5:13: `memory: 99999999999999999999GiB` is not right; it wants a size such as 512MiB "
	 "(KiB, "
	 "MiB, GiB, TiB)\n"},
	{TOP "    memory: [1GiB]\n",
	 "t:5:13: `memory` is a list; it wants a size such as 512MiB (KiB, MiB, GiB, TiB)\n"},
	{TOP "    cpus: 1.5\n", "t:5:11: `cpus: 1.5` is not right; it wants a whole number\n"},
	{TOP "    cpus: 65\n", "t:5:11: `cpus: 65` is out of range; it is 1 to 64\n"},
	{TOP "    cpus: 99999999999999999999\n",
	 "t:5:11: `cpus: 99999999999999999999` is not right; it wants a whole number\n"},
	{TOP "    ipv6: 1\n", "t:5:11: `ipv6: 1` is not right; it wants true or false\n"},
	{TOP "    recipe: 5\n    recipe: 6\n",
	 "t:5:5: key `recipe` stands twice, first on line 4; keep one\n"
	 "t:6:5: key `recipe` stands twice, first on line 4; keep one\n"},
	{"version: 1\ncells:\n  box:\n    recipe: 5\n",
	 "t:4:13: `recipe` is a number; it wants a built-in recipe (base, openclaw, gog) or the "
	 "path of "
	 "one, with a `/`, in quotes\n"},
	{TOP "    egress: {mode: opn}\n",
	 "t:5:20: `mode: opn` is unknown; did you mean `open`? (none, listed, ask, open)\n"},
	{TOP "    egress: {mode: everything}\n",
	 "t:5:20: `mode: everything` is unknown; it is one of none, listed, ask, open\n"},
	{TOP "    egress: {allow: [a.b c.d]}\n",
	 "t:5:22: `allow: a.b c.d` is not right; it wants NAME, *.NAME, NAME:PORT, NAME:PORT/raw, "
	 "NAME:PORT/udp or CIDR:PORT[/udp]\n"},
	{TOP "    secrets: {t: {env: A=B}}\n",
	 "t:5:24: `env: A=B` is not right; it wants the name of an environment variable\n"},
	{TOP "    broker: {x: {host: a..b, secret: t, methods: [], paths: []}}\n",
	 "t:5:24: `host: a..b` is not right; it wants a domain name\n"},
	{TOP "  Box: {recipe: base}\n", "t:5:3: `Box` is not right; it wants a name: a small "
					"letter, then small letters, digits, `-`, `_`; "
					"32 at most\n"},
	{TOP "    reach: [{cell: box2, port: 70000}]\n",
	 "t:5:20: no cell `box2` in this file\n"
	 "t:5:32: `port: 70000` is out of range; it is 1 to 65535\n"},
	{TOP "    reach: [{cell: box, port: 22}]\n", "t:5:20: a cell reaches itself already; name another\n"},
	{TOP "    volumes: {v: {at: persist}}\n",
	 "t:5:18: `size` is missing; it wants a size such as 512MiB (KiB, MiB, GiB, TiB)\n"
	 "t:5:23: `at: persist` is not right; it wants an absolute path without `..`, such as "
	 "/persist\n"},
	{TOP "    volumes: {v: {size: 1GiB, at: /a/../b}}\n",
	 "t:5:35: `at: /a/../b` is not right; it wants an absolute path without `..`, such as "
	 "/persist\n"},
	{"version: 2\n", "t:1:1: `cells` is missing; it wants a mapping\n"
			 "t:1:10: `version: 2` is out of range; it is 1 to 1\n"},
	{"cells: {box: {}}\n", "t:1:1: `version` is missing; it wants a whole number\n"
			       "t:1:14: `recipe` is missing; it wants a built-in recipe (base, "
			       "openclaw, gog) or the path of one, "
			       "with a `/`\n"},
	{"version: 1\ncells: [box]\n",
	 "t:2:8: `cells` is a list; it wants a mapping of names, `NAME: {...}`\n"},
	{"version: 1\ncells: {box: }\n", "t:2:14: `box` is nothing; it wants a mapping, such as {}\n"},
	{"version: 1\ncells: {box: {recipe: bse}}\n", "t:2:23: unknown recipe `bse`; did you mean `base`?\n"},
	{"version: 1\ncells: {box: {recipe: nixos}}\n",
	 "t:2:23: unknown recipe `nixos`; it is base, openclaw, gog, gh or a path with a `/`\n"},
};

static const struct row networks[] = {
	{"network: {subnet: 10.0.0.0/24}\n" TOP, ""},
	{"network: {subnet: 10.0.0.1/24}\n" TOP "    ipv6: 1\n",
	 "t:1:19: `subnet: 10.0.0.1/24` has bits set behind its /24; clear them\n"
	 "t:6:11: `ipv6: 1` is not right; it wants true or false\n"},
	{"network: {subnet: fd00::/64}\n" TOP, "t:1:19: `subnet: fd00::/64` is IPv6; cells have "
					       "IPv4 addresses, such as 192.168.83.0/24 (`ipv6: "
					       "true` of a cell adds the other)\n"},
	{"network: {subnet: 10.0.0.0/30}\n" TOP, "t:1:19: `subnet: 10.0.0.0/30` has a wrong size; "
						 "it is /8 to /29, such as 192.168.83.0/24\n"},
	{"network: {subnet: 8.8.8.0/24}\n" TOP,
	 "t:1:19: `subnet: 8.8.8.0/24` is not private; take a part of 10.0.0.0/8, 172.16.0.0/12, "
	 "192.168.0.0/16 or 100.64.0.0/10\n"},
	{"network: {subnet: 192.168.0.0/15}\n" TOP,
	 "t:1:19: `subnet: 192.168.0.0/15` is not private; take a part of 10.0.0.0/8, "
	 "172.16.0.0/12, "
	 "192.168.0.0/16 or 100.64.0.0/10\n"},
	{"network: {subnet: 10.0.0.0/33}\n" TOP, "t:1:19: `subnet: 10.0.0.0/33` is not right; it "
						 "wants a network such as 192.168.83.0/24\n"},
	{"network: {subnet: 10.9.0.0/29}\n" TOP "  b: {recipe: base}\n  c: {recipe: base}\n  d: {recipe: "
	 "base}\n  e: {recipe: base}\n  f: {recipe: base}\n",
	 "t:1:19: `subnet: 10.9.0.0/29` has addresses for 5 cells, and the file has 6; take a "
	 "larger one\n"},
	{"network: {upstreams: [1.1.1.1, recursive]}\n" TOP,
	 "t:1:32: `recursive` stands alone; remove it or the addresses\n"},
	{"network: {upstreams: [dns.example]}\n" TOP,
	 "t:1:23: `upstreams: dns.example` is not right; it wants an IP address, or `recursive`\n"},
	{TOP "notify: {command: [], kinds: [cell, cell.exit, cel, celx.exit]}\n",
	 "t:5:19: `command` is empty; it wants a program and its arguments\n"
	 "t:5:48: no event is of kind `cel`; creel-events(5) lists them\n"
	 "t:5:53: no event is of kind `celx.exit`; did you mean `cell.exit`?\n"},
	{TOP "    publish: [\"80:80\", \"127.0.0.1:80:81\"]\n",
	 "t:5:24: port 80 of 127.0.0.1 is published already on line 5; take another\n"},
	{TOP "    publish: [\"80:80\"]\n  b:\n    recipe: base\n    publish: [\"0.0.0.0:80:81\"]\n",
	 "t:8:15: port 80 of 0.0.0.0 is published already on line 5, for 127.0.0.1; take "
	 "another\n"},
	{TOP "    publish: [\"[::]:80:80\", \"80:80\", \"[::1]:80:80\", \"[::1]:81:80\", \"81:80\"]\n",
	 "t:5:29: port 80 of 127.0.0.1 is published already on line 5, for ::; take another\n"
	 "t:5:38: port 80 of ::1 is published already on line 5, for ::; take another\n"},
	{TOP "    publish: [\"[::ffff:127.0.0.1]:80:80\", \"80:80\"]\n",
	 "t:5:43: port 80 of 127.0.0.1 is published already on line 5, for ::ffff:127.0.0.1; take "
	 "another\n"},
	{TOP "    publish: [\"0:80\", localhost:80:80, \"80\", [80]]\n",
	 "t:5:15: `publish: 0:80` is not right; it wants [ADDRESS:]HOST:GUEST, such as "
	 "\"127.0.0.1:18789:18789\"\n"
	 "t:5:23: `publish: localhost:80:80` is not right; it wants [ADDRESS:]HOST:GUEST, such as "
	 "\"127.0.0.1:18789:18789\"\n"
	 "t:5:40: `publish: 80` is not right; it wants [ADDRESS:]HOST:GUEST, such as "
	 "\"127.0.0.1:18789:18789\"\n"
	 "t:5:46: `publish: ...` is not right; it wants [ADDRESS:]HOST:GUEST, such as "
	 "\"127.0.0.1:18789:18789\"\n"},
};

static const struct row cells[] = {
	{TOP "    volumes: {a-name-of-nineteen-: {size: 1GiB, at: /p}}\n",
	 "t:5:15: `a-name-of-nineteen-` is not right; it wants a name: a small letter, then small "
	 "letters, "
	 "digits, `-`, `_`; 32 at most\n"},
	{TOP "    volumes: {a-name-of-nineteen1: {size: 1GiB, at: /p}}\n",
	 "t:5:15: volume `a-name-of-nineteen1`: its name is a disk's serial number in the cell and "
	 "has 18 "
	 "characters at most\n"},
	{TOP "    volumes: {a: {size: 1GiB, at: /run/x}, b: {size: 1GiB, at: /}}\n",
	 "t:5:35: a volume at `/run/x` hides what the cell runs from; put it at /persist or "
	 "another folder "
	 "of its own\n"
	 "t:5:64: a volume at `/` hides what the cell runs from; put it at /persist or another "
	 "folder of "
	 "its own\n"},
	{TOP "    volumes: {a: {size: 1GiB, at: /a/b}, b: {size: 1GiB, at: /a}, c: {size: 1GiB, "
	     "at: /a}}\n",
	 "t:5:62: a volume at `/a` hides the one at `/a/b`, line 5; write the outer one first\n"
	 "t:5:87: a volume at `/a` hides the one at `/a/b`, line 5; write the outer one first\n"
	 "t:5:87: volume `b` is mounted at `/a` already, on line 5; take another folder\n"},
	{TOP "    volumes: {a: {size: 1GiB, at: /a}, b: {size: 1GiB, at: /a/b}, c: {size: 1GiB, "
	     "at: /ab}}\n",
	 ""},
	{TOP "    volumes: {a: {size: 1GiB, at: \"/a:b\"}}\n",
	 "t:5:35: a mount point has no `,` and no `:` and 255 characters at most; such as "
	 "/persist\n"},
	{TOP "    secrets: {t: {generate: hex, env: A}}\n",
	 "t:5:15: secret `t` has 2 sources; keep one of generate, env, pair, command, file\n"},
	{TOP "    secrets: {t: {bytes: 32}, u: {generate: hex, bytes: 8}, v: {command: []}, w: "
	     "{pair: x}, y: "
	     "{pair: box}}\n",
	 "t:5:26: `bytes` is of a value that is made; add `generate: base64`, or remove it\n"
	 "t:5:57: `bytes: 8` is out of range; it is 16 to 1024\n"
	 "t:5:74: `command` is empty; it wants a program and its arguments\n"
	 "t:5:89: no cell `x` in this file\n"
	 "t:5:103: a pair's other half is in another cell\n"},
	{TOP "    gate: {clients: [a], program: gog}\n", "t:5:22: no cell `a` in this file\n"},
};

/* the file itself */
static const struct row files[] = {
	{"{\"version\": 1, \"cells\": {\"box\": {\"recipe\": \"base\"}}}", ""},
	{"{\"version\": 1,\n \"cells\": {\"box\": {\"recipe\": \"base\", \"cpus\": \"two\"}}}",
	 "t:2:46: `cpus: two` is not right; it wants a whole number\n"},
	{"", "t:1:1: the file is empty; it begins `version: 1`\n"},
	{"# nothing\n", "t:1:1: the file is empty; it begins `version: 1`\n"},
	{"- a\n", "t:1:1: the file is not a mapping; it begins `version: 1`\n"},
	{TOP "---\na: 1\n", "t:5:1: a second document; a file holds one, remove the `---`\n"},
	{TOP "    cpus: two\n    cpus: 2\n", "t:6:5: key `cpus` stands twice, first on line 5; keep one\n"},
	{"version: 1\r\ncells:\r\n  box:\r\n    recipe: base\r\n    memmory: 1GiB\r\n",
	 "t:5:5: unknown key `memmory`; did you mean `memory`?\n"},
	{"\xef\xbb\xbf" TOP "    memmory: 1\n", "t:5:5: unknown key `memmory`; did you mean `memory`?\n"},
	{"\xef\xbb\xbf" TOP "\xe9", "t:5:1: octet 0xe9 is not UTF-8; save the file as UTF-8\n"},
	{TOP "# caf\xe9\n", "t:5:6: octet 0xe9 is not UTF-8; save the file as UTF-8\n"},
	{TOP "# caf\xc3\xa9\n    \xc3\xa9: 1\n",
	 "t:6:5: unknown key `\xc3\xa9`; known here: recipe, cpus, memory, volumes, secrets, "
	 "publish, egress, "
	 "reach, gate, broker, docker, ipv6, settings\n"},
	{TOP "\x1b[31m", "t:5:1: control character U+001B; write it as an escape in double quotes\n"},
	{TOP "    x: *box\n",
	 "t:5:8: alias `*box` without an anchor `&box` before it; quote it if it is text\n"},
	{"version: 1\ncells:\n  a: &a\n    recipe: base\n    cpus: 99\n  b: *a\n",
	 "t:5:11: `cpus: 99` is out of range; it is 1 to 64\n"}, /* once, though two cells have it */
	{"version: 1\ncells:\n  a: {recipe: base, egress: {allow: &l [a.b]}, reach: *l}\n",
	 "t:3:41: `reach` is text; it wants a mapping here\n"},
	{"version: &v 1\ncells:\n  a: {recipe: base, ipv6: *v}\n",
	 "t:3:27: `ipv6: 1` is not right; it wants true or false\n"},
	{"version: 1\ncells: &c\n  a: *c\n", "t:3:6: an alias inside what it stands for\n"},
	{"version: !!int 1\n", "t:1:10: a tag (`!...`) has no meaning here; remove it or quote it\n"},
	{"version: 1\n? [a]\n: b\n", "t:2:3: a key must be text\n"},
	{"version: 1\ncells: {\n", "t:3:1: not YAML: did not find expected node content, while parsing a "
				   "flow node\n"},
	{"version: \"1\\0\"\n", "t:1:10: text may not hold a NUL\n"},
};

static const struct row recipes[] = {
	{REC, ""},
	{REC "users: {a: {uid: 1}, b: {uid: 1}, root: {uid: 5}}\n",
	 "t:2:31: uid 1 is `a`'s already, on line 2; take another\n"
	 "t:2:35: `root` is there already; name another user\n"},
	{REC "files:\n  /a: {}\n  /b: {content: x, link: y}\n  /c: {content: x, owner: nobody}\n  "
	     "/d: {source: "
	     "[]}\n",
	 "t:3:3: file `/a` has no content; add one of content, source, link\n"
	 "t:4:3: file `/b` has 2 of content, source, link; keep one\n"
	 "t:5:27: no user `nobody` in this recipe; add it under `users`, or take root\n"
	 "t:6:16: `source` is a list; it wants a path\n"},
	{REC "services:\n  s: {run: [/bin/a], user: x, after: [s]}\n",
	 "t:3:28: no user `x` in this recipe; add it under `users`, or take root\n"
	 "t:3:39: service `s` waits for itself, by way of `s`\n"},
	{REC "services:\n  s: {run: [a], after: [t]}\n  t: {run: [], after: [u, s]}\n  u: {run: "
	     "[/b], after: "
	     "[s]}\n  v: {run: [/b], after: [w], ready: {tcp: \"a:1\", http: \"a:1/\"}}\n",
	 "t:3:13: `run: a` is looked for nowhere; write the program's whole path, such as "
	 "/usr/bin/a\n"
	 "t:3:25: service `s` waits for itself, by way of `t`\n"
	 "t:4:12: `run` is empty; it wants a program\n"
	 "t:4:24: service `t` waits for itself, by way of `u`\n"
	 "t:4:27: a service waits for one other; write a chain: let the other wait for the third\n"
	 "t:5:26: service `u` waits for itself, by way of `s`\n"
	 "t:6:26: no service `w` in this recipe\n"
	 "t:6:37: 2 probes; keep one of http, tcp, command\n"},
	{REC "services: {s: {run: [/b], stop_timeout: 5, ready: {http: x, timeout: 2 days}}}\n",
	 "t:2:41: `stop_timeout: 5` is not right; it wants a duration such as 60s (ms, s, m, h, "
	 "d)\n"
	 "t:2:58: `http: x` is not right; it wants HOST:PORT/PATH, such as 127.0.0.1:8080/health\n"
	 "t:2:70: `timeout: 2 days` is not right; it wants a duration such as 60s (ms, s, m, h, "
	 "d)\n"},
	{REC
	 "docker: true\nservices: {docker: {run: [/b]}, s: {run: [/b], after: [docker], on_secret: HUP}}\n",
	 "t:3:12: `docker: true` brings a service `docker`; name this one otherwise\n"
	 "t:3:76: `on_secret: HUP` is unknown; it is one of none, restart, SIGHUP, SIGUSR1, SIGUSR2\n"},
	{REC "services: {s: {run: [/b], after: [docker]}}\n", "t:2:35: no service `docker` in this recipe\n"},
	{REC "url: {/a: {url: \"http://x\", sha256: 0a}}\n",
	 "t:2:17: `url: http://x` is not right; it wants an https:// URL\n"
	 "t:2:37: `sha256: 0a` is not right; it wants a SHA-256: 64 digits of 0-9a-f\n"},
	{REC "files: {/a: {content: x, mode: \"0999\"}}\n",
	 "t:2:32: `mode: 0999` is not right; it wants a mode in octal digits, such as \"0644\"\n"},
	{REC "settings: {type: objct, propertys: {}, properties: {a: 5, b: {items: []}}, enum: 1}\n",
	 "t:2:18: `type` is one of object, array, string, boolean, integer, number, null\n"
	 "t:2:25: unknown word `propertys` in a schema; did you mean `properties`?\n"
	 "t:2:56: a schema is a mapping, such as { type: string }\n"
	 "t:2:70: a schema is a mapping, such as { type: string }\n"
	 "t:2:82: `enum` is a list of values\n"},
};

/* A cell's lines under `box:`, against a recipe */
#define SCHEMA                                                                                     \
	"settings:\n  type: object\n  required: [model]\n  properties:\n"                          \
	"    model: { type: object, properties: { primary: { type: string }, n: { type: integer, " \
	"minimum: 1, "                                                                             \
	"maximum: 9 }, list: { type: array, items: { enum: [red, green, 5] } } } }\n"              \
	"    free: { type: object }\n    any: {}\n    map: { type: object, additionalProperties: " \
	"{ type: "                                                                                 \
	"[boolean, 'null'] } }\n"
static const struct {
	const char *recipe, *cell, *errors;
} fits[] = {
	{REC, "", ""},
	{REC, "    settings: {a: 1}\n", "t:5:15: recipe `base` has no settings; remove them\n"},
	{REC SCHEMA, "", "t:3:3: `settings.model` is missing; the recipe needs it\n"},
	{REC SCHEMA, "    settings: {}\n", "t:5:15: `settings.model` is missing; the recipe needs it\n"},
	{REC SCHEMA,
	 "    settings: {modl: 1, model: {primary: x, list: [red, 5]}, free: {a: {b: 1}}, any: "
	 "1}\n",
	 "t:5:16: unknown key `modl` in `settings`; did you mean `model`?\n"},
	{REC SCHEMA,
	 "    settings:\n      model: {primary: 5, n: 10, list: [gren, 6, blue]}\n      free: []\n",
	 "t:6:24: `settings.model.primary` is a whole number; it wants text\n"
	 "t:6:30: `settings.model.n: 10` is out of range; it is 9 at most\n"
	 "t:6:41: `settings.model.list[0]: gren` is unknown; did you mean `green`?\n"
	 "t:6:47: `settings.model.list[1]: 6` is unknown; it is one of red, green\n"
	 "t:6:50: `settings.model.list[2]: blue` is unknown; it is one of red, green\n"
	 "t:7:13: `settings.free` is a list; it wants a mapping\n"},
	{REC SCHEMA, "    settings: {model: {n: 0, zzz: 1}, map: {a: true, b: ~, c: x}}\n",
	 "t:5:27: `settings.model.n: 0` is out of range; it is 1 at least\n"
	 "t:5:30: unknown key `zzz` in `settings.model`; known here: primary, n, list\n"
	 "t:5:63: `settings.map.c` is text; it wants true or false or nothing\n"},
	{REC "files: {/persist/a/b: {content: x}}\n", "",
	 "t:4:13: recipe `base` keeps /persist/a/b on a volume, and the cell has none there; add "
	 "`volumes: { persist: { size: 4GiB, at: /persist } }` to it\n"},
	{REC "users: {u: {uid: 5, home: /persist/u}}\n", "    volumes: {v: {size: 1GiB, at: /persist/w}}\n",
	 "t:4:13: recipe `base` keeps /persist/u on a volume, and the cell has none there; add "
	 "`persist: { size: 4GiB, at: /persist }` to its `volumes`\n"},
	{REC "services: {s: {run: [/b], dir: /persist/x}}\n",
	 "    volumes: {v: {size: 1GiB, at: /persist}}\n", ""},
	{REC "files: {/persistent: {content: x}}\n", "", ""},
	{REC "users: {u: {uid: 5}}\n", "    secrets: {a: {owner: u}, b: {owner: root}, c: {owner: v}}\n",
	 "t:5:59: recipe `base` has no user `v`\n"},
	{REC, "    docker: true\n",
	 "t:4:13: recipe `base` keeps /persist/docker on a volume, and the cell has none there; add "
	 "`volumes: { persist: { size: 4GiB, at: /persist } }` to it\n"},
	{REC "docker: true\nservices: {s: {run: [/b], after: [docker]}}\n",
	 "    volumes: {v: {size: 1GiB, at: /persist/docker}}\n", ""},
};

static int check_fit(void *ctx, const struct creel_config *c, int dirfd, struct creel_diags *diags,
		     struct creel_err *err)
{
	return creel_config_check_recipe(c, &c->cells.v[0], ctx, diags, err);
}

static size_t wrong; /* rows, all of which are shown before the test fails */

static void compare(const char *table, size_t i, int r, const struct creel_diags *d, const char *errors)
{
	struct creel_buf autoclean(creel_buf_fini) b;
	struct creel_err err = {0};

	creel_buf_init(&b, 65536);
	assert_int_equal(creel_diags_print(d, CREEL_DIAG_ERROR, &b, &err), 0);
	if (strcmp(creel_buf_str(&b), errors) != 0 || r != (errors[0] ? CREEL_E_CONFIG : 0)) {
		print_error("%s %zu: r=%d\n%s\nwanted:\n%s\n", table, i, r, creel_buf_str(&b), errors);
		wrong++;
	}
}

static void config_rows(const char *table, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct creel_config autoclean(creel_config_fini) c = {0};
		struct creel_diags autoclean(creel_diags_fini) d = {0};
		struct creel_err err = {0};
		int r = creel_config_load(rows[i].yaml, strlen(rows[i].yaml), "t", -1, &c, &d, &err);
		compare(table, i, r, &d, rows[i].errors);
	}
}

static void errors_and_positions(void **state)
{
	wrong = 0;
	config_rows("scalars", scalars, ELEMENTSOF(scalars));
	config_rows("networks", networks, ELEMENTSOF(networks));
	config_rows("cells", cells, ELEMENTSOF(cells));
	config_rows("files", files, ELEMENTSOF(files));
	assert_int_equal(wrong, 0);
}

static void recipe_errors(void **state)
{
	wrong = 0;
	for (size_t i = 0; i < ELEMENTSOF(recipes); i++) {
		struct creel_recipe autoclean(creel_recipe_fini) q = {0};
		struct creel_diags autoclean(creel_diags_fini) d = {0};
		struct creel_err err = {0};
		int r = creel_recipe_load(recipes[i].yaml, strlen(recipes[i].yaml), "t", -1, &q, &d, &err);
		compare("recipes", i, r, &d, recipes[i].errors);
	}
	assert_int_equal(wrong, 0);
}

static void cell_against_recipe(void **state)
{
	char yaml[2048];

	wrong = 0;
	for (size_t i = 0; i < ELEMENTSOF(fits); i++) {
		struct creel_recipe autoclean(creel_recipe_fini) q = {0};
		struct creel_config autoclean(creel_config_fini) c = {0};
		struct creel_diags autoclean(creel_diags_fini) d = {0};
		struct creel_err err = {0};
		int r = creel_recipe_load(fits[i].recipe, strlen(fits[i].recipe), "r", -1, &q, &d, &err);
		if (r < 0)
			fail_msg("fits %zu: %s", i, d.n ? d.v[0].msg : err.msg);
		struct creel_config_more more = {check_fit, &q};
		(void)snprintf(yaml, sizeof(yaml), TOP "%s", fits[i].cell);
		r = creel_config_load_with(yaml, strlen(yaml), "t", -1, &more, &c, &d, &err);
		compare("fits", i, r, &d, fits[i].errors);
	}
	assert_int_equal(wrong, 0);
}

/* A folder of its own, gone again at the end */
struct folder {
	char path[64];
	int fd;
};

static int folder_make(void **state)
{
	static struct folder f;

	strcpy(f.path, "/tmp/test-config.XXXXXX");
	if (!mkdtemp(f.path) || (f.fd = open(f.path, O_RDONLY | O_DIRECTORY)) < 0)
		return -1;
	*state = &f;
	return 0;
}

static int folder_remove(void **state)
{
	static const char *const names[] = {"f", "link", "r.yaml", "big.yaml"};
	struct folder *f = *state;

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		(void)unlinkat(f->fd, names[i], 0);
	close(f->fd);
	return rmdir(f->path);
}

static void put(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void files_beside_the_file(void **state)
{
	static const char yaml[] =
		"version: 1\ncells:\n  a: {recipe: ./r.yaml}\n  b: {recipe: ./none.yaml}\n  c: "
		"{recipe: ../test-config-none/}\n";
	static const char recipe[] = REC "files:\n  /a: {source: ./f}\n  /b: {source: none}\n  /c: "
					 "{source: ../f}\n  /d: {source: "
					 "link}\n  /e: {source: .}\n  /f: {source: /etc/passwd}\n";
	const struct folder *f = *state;
	struct creel_err err = {0};

	wrong = 0;
	put(f->fd, "f", "x");
	put(f->fd, "r.yaml", recipe);
	assert_int_equal(symlinkat("/etc/passwd", f->fd, "link"), 0);
	struct creel_config autoclean(creel_config_fini) c = {0};
	struct creel_diags autoclean(creel_diags_fini) d = {0};
	int r = creel_config_load(yaml, strlen(yaml), "t", f->fd, &c, &d, &err);
	compare("beside", 0, r, &d,
		"t:4:15: no recipe file at `./none.yaml`; the path is relative to this file's "
		"folder\n"
		"t:5:15: no recipe file at `../test-config-none/`; the path is relative to this "
		"file's folder\n");
	struct creel_recipe autoclean(creel_recipe_fini) q = {0};
	struct creel_diags autoclean(creel_diags_fini) e = {0};
	r = creel_recipe_load_file(f->fd, "r.yaml", &q, NULL, &e, &err);
	compare("beside", 1, r, &e,
		"r.yaml:4:16: no file at `none`, beneath the recipe's folder\n"
		"r.yaml:5:16: `source: ../f` leads out of the recipe's folder or through a link; "
		"copy the file "
		"there\n"
		"r.yaml:6:16: `source: link` leads out of the recipe's folder or through a link; "
		"copy the file "
		"there\n"
		"r.yaml:7:16: `source: .` is no file\n"
		"r.yaml:8:16: `source: /etc/passwd` leads out of the recipe's folder or through a "
		"link; copy the "
		"file there\n");
	assert_int_equal(wrong, 0);
}

/* 100 MB are not read: the bound is, and one octet more */
static void large_file(void **state)
{
	const struct folder *f = *state;
	struct creel_config autoclean(creel_config_fini) c = {0};
	struct creel_diags autoclean(creel_diags_fini) d = {0};
	struct creel_err err = {0};
	char path[96];

	put(f->fd, "big.yaml", "version: 1\n");
	(void)snprintf(path, sizeof(path), "%s/big.yaml", f->path);
	assert_int_equal(truncate(path, 100000000), 0);
	int r = creel_config_load_file(path, &c, NULL, &d, &err);
	assert_int_equal(r, CREEL_E_CONFIG);
	assert_int_equal(d.n, 1);
	assert_string_equal(d.v[0].msg, "the file is over 1 MiB");
}

static void examples_load(void **state)
{
	static const char *const names[] = {"minimal.yaml", "openclaw.yaml"};
	char path[1024];
	struct creel_err err = {0};

	for (size_t i = 0; i < ELEMENTSOF(names); i++) {
		struct creel_config autoclean(creel_config_fini) c = {0};
		struct creel_diags autoclean(creel_diags_fini) d = {0};
		snprintf(path, sizeof(path), "%s/%s", EXAMPLES, names[i]);
		int r = creel_config_load_file(path, &c, NULL, &d, &err);
		if (r < 0)
			fail_msg("%s: %s %s", path, err.msg, d.n ? d.v[0].msg : "");
		assert_int_equal(c.cells.v[0].memory.v, i ? 4LL << 30 : 256LL << 20);
	}
	struct creel_recipe autoclean(creel_recipe_fini) q = {0};
	struct creel_diags autoclean(creel_diags_fini) d = {0};
	snprintf(path, sizeof(path), "%s/recipe.yaml", EXAMPLES);
	int r = creel_recipe_load_file(AT_FDCWD, path, &q, NULL, &d, &err);
	if (r < 0)
		fail_msg("%s: %s %s", path, err.msg, d.n ? d.v[0].msg : "");
	assert_int_equal(q.services.v[0].ready.timeout.v, 60000);
}

/* creel.approved.yaml beside creel.yaml: its names, what is wrong in it, and one more line */
static void approved(void **state)
{
	static const char yaml[] = "version: 1\ncells:\n  a: { recipe: base }\n  b: { recipe: base }\n";
	static const struct {
		const char *text;
		int r;
		size_t n;
	} cases[] = {
		{"", CREEL_E_CONFIG, 0},
		{"version: 1\n", 0, 0},
		{"version: 1\nallow:\n  - { cell: a, entry: one.example }\n  - { cell: a, entry: \"two.example:80\" }\n",
		 0, 2},
		{"version: 1\nallow:\n  - { cell: c, entry: one.example }\n", CREEL_E_CONFIG, 0},
		{"version: 1\nallow:\n  - { cell: a }\n", CREEL_E_CONFIG, 0},
		{"version: 1\ndeny:\n  - { cell: a, entry: one.example }\n", CREEL_E_CONFIG, 0},
		{"version: 1\nallow:\n  - { cell: a, entry: one.example, port: 1 }\n", CREEL_E_CONFIG, 0},
	};
	struct creel_buf autoclean(creel_buf_fini) out;
	const struct folder *dir = *state;
	struct creel_err err = {0};
	char name[32];
	FILE *t;

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct creel_config autoclean(creel_config_fini) c = {0};
		struct creel_diags autoclean(creel_diags_fini) d = {0};
		int fd = openat(dir->fd, "x.approved.yaml", O_WRONLY | O_CREAT | O_TRUNC, 0600);
		assert_non_null(t = fdopen(fd, "w"));
		assert_true(fputs(cases[i].text, t) >= 0);
		assert_int_equal(fclose(t), 0);
		err = (struct creel_err){0};
		int r = creel_config_load(yaml, sizeof(yaml) - 1, "x.yaml", dir->fd, &c, &d, &err);
		if (r != cases[i].r || (r == 0 && c.cells.v[0].egress.approved.n != cases[i].n))
			fail_msg("case %zu: r=%d %s", i, r, err.msg);
		assert_true(r == 0 || strcmp(d.v[0].file, "x.approved.yaml") == 0);
	}
	assert_int_equal(unlinkat(dir->fd, "x.approved.yaml", 0), 0);
	creel_buf_init(&out, 4096);
	assert_int_equal(creel_approved_add("allow:", "a", "x.example", "why", &out, &err), 0);
	assert_string_equal(creel_buf_str(&out), "allow:\n  - { cell: a, entry: \"x.example\" } # why\n");
	assert_int_equal(creel_approved_path("a.b/creel", name, sizeof(name), &err), 0);
	assert_string_equal(name, "a.b/creel.approved.yaml");
	assert_int_equal(creel_approved_path("-", name, sizeof(name), &err), CREEL_E_USAGE);
	assert_int_equal(creel_approved_path("creel.yaml", name, 8, &err), CREEL_E_TOOBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_and_positions),
		cmocka_unit_test(recipe_errors),
		cmocka_unit_test(cell_against_recipe),
		cmocka_unit_test_setup_teardown(files_beside_the_file, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(large_file, folder_make, folder_remove),
		cmocka_unit_test_setup_teardown(approved, folder_make, folder_remove),
		cmocka_unit_test(examples_load),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
