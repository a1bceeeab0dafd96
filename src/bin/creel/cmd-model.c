#include "cmds.h"

int cmd_model(struct creel_cli *cli, int argc, char **argv, struct creel_err *err)
{
	return cmd_become("creel-model", cli, argc, argv, err);
}
