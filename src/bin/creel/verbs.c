#include "cli.h"
#include "cmds.h"

/* Kept in the order in which `creel --help` shows them. */
const struct creel_verb creel_verbs[] = {
	{0},
};
