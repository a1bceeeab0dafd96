#include "cli.h"
#include "cmds.h"

/* Kept in the order in which `creel --help` shows them. */
const struct creel_verb creel_verbs[] = {
	{
		.name = "build",
		.args = "[RECIPE]",
		.summary = "build the image of a recipe, or find it in the cache",
		.help = "examples:\n  creel build base\n  creel --json build base | jq -r .dir\n",
		.run = cmd_build,
	},
	{0},
};
