#include "cli.h"
#include "cmds.h"

/* Kept in the order in which `creel --help` shows them. */
const struct creel_verb creel_verbs[] = {
	{
		.name = "up",
		.args = "[CELL...]",
		.summary = "start the cells of creel.yaml, or bring them to what it says now",
		.help = "builds images that are missing, starts creeld when none runs, shows progress, and\n"
			"returns when every cell is ready; a cell that runs as the file says is left alone\n\n"
			"examples:\n  creel up\n  creel -f examples/minimal.yaml up box\n",
		.run = cmd_up,
	},
	{
		.name = "down",
		.args = "[--now] [CELL...]",
		.summary = "stop cells; without a name all of them, and then creeld",
		.help = "  --now  end the machines without asking their systems to stop\n\n"
			"examples:\n  creel down box\n  creel down\n",
		.run = cmd_down,
	},
	{
		.name = "restart",
		.args = "CELL",
		.summary = "stop a cell and start it again",
		.help = "example:\n  creel restart box\n",
		.run = cmd_restart,
	},
	{
		.name = "status",
		.args = "",
		.summary = "show the cells: state, uptime, memory, image, ports",
		.help = "examples:\n  creel status\n  creel --json status | jq -r '.cells[].state'\n",
		.run = cmd_status,
	},
	{
		.name = "exec",
		.args = "[-t] [-n] [-u USER] [-e K=V]... [-w DIR] CELL -- COMMAND...",
		.summary = "run a command in a cell",
		.help = "  -t, --tty          with a terminal\n"
			"  -n, --no-input     without standard input\n"
			"  -i, --interactive  nothing: standard input is always forwarded\n"
			"  -u, --user USER    as this user of the cell (root)\n"
			"  -e, --env K=V      with this in its environment\n"
			"  -w, --workdir DIR  in this folder\n\n"
			"exit status: the command's own, 128+n when signal n ended it; 125 to 127 when it\n"
			"could not be run\n\nexamples:\n  creel exec box -- uname -r\n"
			"  tar c notes | creel exec box -- tar x -C /root\n",
		.passes_through = true,
		.run = cmd_exec,
	},
	{
		.name = "shell",
		.args = "[-u USER] CELL",
		.summary = "open a login shell in a cell",
		.help = "example:\n  creel shell box\n",
		.passes_through = true,
		.run = cmd_shell,
	},
	{
		.name = "cp",
		.args = "FROM TO",
		.summary = "copy files and folders into a cell or out of it",
		.help = "one of FROM and TO is CELL:PATH. modes, times and links are kept, owners are not: in the\n"
			"cell root owns them, here who runs creel; set-user-ID bits and devices are left out\n\n"
			"examples:\n  creel cp notes openclaw:/persist/openclaw/workspace\n"
			"  creel cp openclaw:/persist/openclaw/workspace/report.md .\n",
		.run = cmd_cp,
	},
	{
		.name = "logs",
		.args = "[-f] [--since T] CELL [SERVICE]",
		.summary = "show what a cell's services print",
		.help = "each line with its time; without SERVICE all of them, in the order of their times\n\n"
			"  -f, --follow  go on as more comes\n  --since T     from 90s, 10m, 2h, 1d ago\n\n"
			"examples:\n  creel logs openclaw\n  creel logs -f --since 10m openclaw gateway\n",
		.own_f = true,
		.run = cmd_logs,
	},
	{
		.name = "kill-switch",
		.args = "CELL on|off",
		.summary = "cut a cell off from everything, and tell its agent; kept until `off`",
		.help = "The host cuts its egress and reach, connections that stand too. OpenClaw's plugin stops\n"
			"calls, messages and turns within a second. exec, logs and published ports go on.\n\n"
			"examples:\n  creel kill-switch openclaw on\n  creel --json kill-switch openclaw off\n",
		.run = cmd_killswitch,
	},
	{
		.name = "open",
		.args = "CELL",
		.summary = "print the address of a cell's page, with the token of this start",
		.help = "the token stands in the address's fragment: keep the line to yourself\n\n"
			"example:\n  xdg-open \"$(creel open openclaw)\"\n",
		.run = cmd_open,
	},
	{
		.name = "secret",
		.args = "set CELL NAME | list [CELL] | rm CELL NAME | import ... | rekey | unlock | lock",
		.summary = "keep a cell's secrets: set reads the value from standard input",
		.help = "a value is never an argument, and never shown; it is stored encrypted. a running cell is\n"
			"given the new value at once\n\n"
			"  import CELL FILE                   NAME=VALUE lines; OPENROUTER_API_KEY becomes\n"
			"                                     openrouter-api-key; - is standard input\n"
			"  import CELL --age [-i FILE] FILE   such a file, encrypted by age(1)\n"
			"  import CELL --pass NAME=ENTRY...   first lines of entries of pass(1)\n"
			"  rekey [--method M]                 encrypt all anew; the key is kept by M: file (beside\n"
			"                                     the store), systemd-creds, or passphrase\n"
			"  unlock, lock                       with a passphrase: until the machine's next start\n\n"
			"examples:\n  pass show openrouter | creel secret set openclaw openrouter-api-key\n"
			"  creel secret import openclaw ~/keys.env\n  creel secret list\n",
		.run = cmd_secret,
	},
	{
		.name = "plan",
		.args = "",
		.summary = "check creel.yaml, and say what `up` would change",
		.help = "each cell is new, stopped, unchanged, or changed: then what changes is listed, and that\n"
			"it is restarted. starts nothing and builds nothing; without a creeld every cell is new\n"
			"errors are FILE:LINE:COLUMN: what is wrong, all of them at once; exit status 2\n\n"
			"examples:\n  creel plan\n  creel -f examples/openclaw.yaml --json plan\n",
		.run = cmd_plan,
	},
	{
		.name = "schema",
		.args = "[--format FORMAT] [recipe]",
		.summary = "print what creel.yaml may hold, as JSON Schema for an editor",
		.help = "  --format FORMAT  json (JSON Schema, draft 2020-12), markdown or man\n"
			"  recipe           of a recipe instead of creel.yaml\n\n"
			"examples:\n  creel schema >creel.schema.json\n  creel schema recipe\n",
		.run = cmd_schema,
	},
	{
		.name = "approvals",
		.args = "[--all | -f | --web]",
		.summary = "show what cells wait for: who asks, exactly what, and until when",
		.help = "  --all         those that were answered or have expired too\n"
			"  -f, --follow  show each as it comes, and what becomes of it, until it is interrupted\n"
			"  --web         serve a page for them on this machine; prints its address, whose end is a key\n\n"
			"what a cell says is escaped, and shown whole\n\n"
			"examples:\n  creel approvals\n  creel approvals -f\n  creel --json approvals | jq -r '.id, .subject'\n",
		.own_f = true,
		.run = cmd_approvals,
	},
	{
		.name = "approve",
		.args = "ID [--once | --session | --always | --for TIME [--same-verb]]",
		.summary = "say yes: to one action once, or to a name until it is taken back",
		.help = "  --once        of a name: for one answer, and as long as that is valid\n"
			"  --session     of a name: until its cell starts again\n"
			"  --always      of a name: for good, in a file beside creel.yaml (creel.approved.yaml) that\n"
			"                is part of it, to be reviewed and committed\n"
			"  --for TIME    for so long: 10m, 2h, 1d\n"
			"  --same-verb   to the same verb with the same people, calendar or document, whatever\n"
			"                else the arguments say; needs --for\n\n"
			"exactly what was shown is allowed: a changed argument is another question\n\n"
			"examples:\n  creel approve 12\n  creel approve 12 --for 10m\n"
			"  creel -f examples/openclaw.yaml approve 12 --always\n",
		.run = cmd_approve,
	},
	{
		.name = "deny",
		.args = "ID [--reason TEXT]",
		.summary = "say no; or take back a yes that still stands",
		.help = "  --reason TEXT  is told to the agent\n\nthe same question is answered so for ten minutes\n\n"
			"example:\n  creel deny 12 --reason 'not to people outside the team'\n",
		.run = cmd_deny,
	},
	{
		.name = "policy",
		.args = "test [-f FILE] CELL NAME[:PORT]|ADDR:PORT[/udp]|--command STRING | suggest CELL",
		.summary = "say what a cell's policy answers, and which line of the file decides",
		.help = "from the file alone, by the code that decides at run time; a name without a port\n"
			"means 443. exit status 0: allowed; 3: asked or denied\n"
			"  --command STRING  what the cell's gate says of that command line; nothing is run\n"
			"`suggest` reads the record instead: what the cell used, as a policy to review and paste\n\n"
			"examples:\n  creel policy test openclaw discord.com\n"
			"  creel policy test -f examples/openclaw.yaml openclaw gog.creel:22 --json\n"
			"  creel policy test gog --command \"gog gmail search 'from:boss'\"\n",
		.run = cmd_policy,
	},
	{
		.name = "build",
		.args = "[--update|--explain] [RECIPE] | --list | --prune [--all]",
		.summary = "build the image of a recipe, or find it in the cache",
		.help = "  --update   resolve every package anew, whatever creel.lock says\n"
			"  --explain  say what is in the image, in which version, from where; with --json as a\n"
			"             bill of materials (CycloneDX 1.5)\n"
			"  --list     the images of the cache, oldest use first\n"
			"  --prune    remove images that nothing runs from, but for each recipe's newest\n"
			"  --all      those too\n\n"
			"what was resolved is written to creel.lock, beside creel.yaml or the recipe's file; a\n"
			"build that finds it there takes the very same packages. without root, a range of user\n"
			"ids in /etc/subuid and /etc/subgid is needed\n\n"
			"examples:\n  creel build base\n  creel build ./recipe.yaml\n"
			"  creel --json build base | jq -r .dir\n  creel build --explain openclaw\n",
		.run = cmd_build,
	},
	{
		.name = "events",
		.args = "[-f] [--kind K,...] [--cell CELL] [--since T]",
		.summary = "show the record: what happened, in which cell, when",
		.help = "  -f, --follow  go on as more comes\n"
			"  --cell CELL   of this cell\n"
			"  --kind K,...  kinds or their beginnings: exec,cell.exit\n"
			"  --since T     from 90s, 10m, 2h, 1d ago, or from a time like 2026-01-31T12:00:00Z\n\n"
			"examples:\n  creel events --kind cell,exec --since 1h\n"
			"  creel --json events | jq -r .kind | sort | uniq -c\n",
		.own_f = true,
		.run = cmd_events,
	},
	{
		.name = "verify",
		.args = "[--key FILE] [--head SEQ:HASH] [DIR]",
		.summary = "prove that a record is whole, or name its first bad line",
		.help = "  --key FILE       the public key (64 hexadecimal digits); else DIR/key.pub\n"
			"  --head SEQ:HASH  a head that was noted elsewhere\n\n"
			"exit status 3 when the record is broken\n\n"
			"examples:\n  creel verify\n  creel verify --key backup.pub /mnt/copy/record\n",
		.run = cmd_verify,
	},
	{
		.name = "scan",
		.args = "[-r] [--layers N,...] [--rules FILE] [--json | --sarif] [FILE|DIR...]",
		.summary = "look for prompt injection in files, folders, or standard input",
		.help = "  -r               folders with all that is in them\n"
			"  --layers N,...   1: rules; 2: the built-in model (1,2 without it); 3: the judge\n"
			"  --judge API      ask a model about uncertain texts: openai (and compatible servers),\n"
			"                   cerebras, anthropic; --judge-model NAME, --judge-url URL,\n"
			"                   --judge-key-file FILE, --judge-on-error open|closed and more:\n"
			"                   creel-defenderd(8). The texts go to that server\n"
			"  --model NAME     a neural classifier as well: one of `creel model`, or a folder with its\n"
			"                   tokenizer.json, config.json and model.onnx\n"
			"  --rules FILE     more rules; they may change and disable the built-in ones\n"
			"  --direction D    in (towards the model), or out: what leaks\n"
			"  --source NAME    where the text comes from: web, mail, file, tool\n"
			"  --explain        show what the rules see, and how it was decoded\n"
			"  --sanitize       print the text without what was found\n"
			"  --sarif          a log for code hosts\n"
			"  --batch FILE     {\"id\",\"text\"} lines in, a line of answer for each\n"
			"  --list           the rules\n\n"
			"exit status: 3 when anything is to be blocked; else 1 when something could not be read\n\n"
			"examples:\n  creel scan -r skills/\n  curl -s https://example.org | creel scan\n",
		.run = cmd_scan,
	},
	{
		.name = "model",
		.args = "add NAME PATH|URL --sha256 HEX | list [--check] | rm NAME | hash DIR|ARCHIVE",
		.summary = "keep neural classifiers for `creel scan --model NAME` and creel-defenderd",
		.help = "PATH is a folder as publishers lay it out (config.json, tokenizer.json, model.onnx or\n"
			"onnx/model.onnx), or a tar or zip archive of one. a URL (https) that ends in / is such a\n"
			"folder, any other an archive. nothing is kept of one that is not what HEX says\n\n"
			"  --sha256 HEX    of an archive: its SHA-256. of a folder: what `hash` prints, which is\n"
			"                  sha256sum config.json model.onnx tokenizer.json | sha256sum\n"
			"  --network FILE  take this file of it for model.onnx: onnx/model_quantized.onnx\n"
			"  --max-size MIB  stop when more would be fetched or unpacked (4096)\n"
			"  --ca-file FILE  certificates to trust instead of the system's\n"
			"  --check         hash all again; exit status 3 when one is not what it was\n\n"
			"models are in `models` of the state folder, or in $CREEL_MODELS. gated ones (Prompt Guard)\n"
			"are downloaded with their publisher's client and your account: add the folder. ONNX\n"
			"Runtime runs them: a library of its own, see docs/defender.md\n\n"
			"examples:\n  creel model hash ./prompt-guard-2-22m\n"
			"  creel model add pg22 ./prompt-guard-2-22m --sha256 HEX\n"
			"  creel scan --layers 1,2 --model pg22 mail.txt\n  creel --json model list\n",
		.run = cmd_model,
	},
	{
		.name = "doctor",
		.args = "[--fix]",
		.summary = "say what this host can do, and what to do about each no",
		.help = "  --fix  do what is safe: load a module, make the cache folder, have KVM tried again\n\n"
			"boots a guest under KVM when the base image is there and it was not tried before\n"
			"exit status 3 when something is missing that creel cannot do without\n\n"
			"examples:\n  creel doctor\n  creel --json doctor | jq -r 'select(.verdict == \"no\")'\n",
		.run = cmd_doctor,
	},
	{0},
};
