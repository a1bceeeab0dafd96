#include "cli.h"
#include "cmds.h"

/* Kept in the order in which `creel --help` shows them. */
const struct creel_verb creel_verbs[] = {
	{
		.name = "plan",
		.args = "",
		.summary = "check creel.yaml, and say what its cells are and what is not enforced yet",
		.help = "errors are FILE:LINE:COLUMN: what is wrong, all of them at once; exit status 2\n\n"
			"examples:\n  creel plan\n  creel -f examples/openclaw.yaml --json plan\n",
		.run = cmd_plan,
	},
	{
		.name = "policy",
		.args = "test [-f FILE] CELL NAME[:PORT]|ADDR:PORT[/udp]|--command STRING",
		.summary = "say what a cell's policy answers, and which line of the file decides",
		.help = "from the file alone, by the code that decides at run time; a name without a port\n"
			"means 443. with --command: what the cell's gate says of that command line; nothing\n"
			"is run. exit status 0: allowed; 3: asked or denied\n\n"
			"examples:\n  creel policy test openclaw discord.com\n"
			"  creel policy test -f examples/openclaw.yaml openclaw gog.creel:22 --json\n"
			"  creel policy test gog --command \"gog gmail search 'from:boss'\"\n",
		.run = cmd_policy,
	},
	{
		.name = "build",
		.args = "[RECIPE]",
		.summary = "build the image of a recipe, or find it in the cache",
		.help = "examples:\n  creel build base\n  creel --json build base | jq -r .dir\n",
		.run = cmd_build,
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
		.name = "doctor",
		.args = "",
		.summary = "say what this host can do, and what to do about each no",
		.help = "exit status 3 when something is missing that creel cannot do without\n\n"
			"examples:\n  creel doctor\n  creel --json doctor | jq -r 'select(.verdict == \"no\")'\n",
		.run = cmd_doctor,
	},
	{0},
};
